"""The commands over real programs and recordings: what they print, their JSON, their exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli import golden
from tests.cli.conftest import Ran
from tests.support import Guests
from ttd.cli import main
from ttd.coredump import format as coredump
from ttd.engine.cache import Cache, program_key
from ttd.replayer.verify import VerifyReport
from ttd.types import Ending, EndKind, Position

Ttd = Callable[..., Ran]
Program = Callable[[str], str]
Recorded = Callable[[str], Path]


# --- record ------------------------------------------------------------------------------------------


def test_record_passes_output_and_exit_code_through(ttd: Ttd, program: Program) -> None:
    ran = ttd("record", program("hello"), "one")
    assert (ran.code, ran.out) == (3, "hello from hello.wasm, 2 arguments\n")
    assert ran.err == "ttd: recorded traces/hello-1.trace (exit code 3); 'ttd replay' opens it\n"


def test_record_can_be_quiet(ttd: Ttd, program: Program) -> None:
    assert ttd("record", "-q", program("hello")).err == ""


def test_everything_behind_the_program_is_the_programs(ttd: Ttd, program: Program) -> None:
    ran = ttd("record", "-q", program("hello"), "-o", "--help", "--", "-q")
    assert ran.out == "hello from hello.wasm, 5 arguments\n"
    assert json.loads(ttd("info", "--json").out)["argv"][1:] == ["-o", "--help", "--", "-q"]


def test_record_writes_where_it_is_told(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    ran = ttd("record", "-o", "run.trace", program("hello"))
    assert ran.err == "ttd: recorded run.trace (exit code 0); 'ttd replay run.trace' opens it\n"
    assert not (tmp_path / "traces").exists()


def test_traces_go_to_the_directory_of_the_environment(
    ttd: Ttd, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTD_TRACE_DIR", str(tmp_path / "elsewhere"))
    ttd("record", program("hello"))
    assert (tmp_path / "elsewhere" / "hello-1.trace").is_file()
    assert "hello-1.trace" in ttd("ls").out


def test_trap_prints_a_backtrace_and_exits_134(ttd: Ttd, program: Program, guest: Guests) -> None:
    ran = ttd("record", program("trap"))
    assert (ran.code, ran.out) == (134, "dividing\n")
    lines = ran.err.splitlines()
    assert lines[0] == "ttd: the program trapped: integer divide by zero"
    assert lines[1].startswith("#0  divide (item=0x")
    assert lines[1].endswith(f"trap.c:{guest.line('trap', 'trap')}")
    assert lines[-1] == "ttd: recorded traces/trap-1.trace; 'ttd replay' opens it"


def test_invoke_calls_an_export_with_arguments(ttd: Ttd, program: Program) -> None:
    assert ttd("record", "-q", "--invoke", "gcd", program("numbers"), "12", "18").code == 0
    assert ttd("info", "--json").code == 0
    assert json.loads(ttd("info", "--json").out)["ending"]["results"] == [6]


def test_an_invocation_is_told_with_arguments_and_result(ttd: Ttd, program: Program) -> None:
    told = ttd("record", "--invoke", "gcd", program("numbers"), "12", "-18")
    assert "ttd: gcd returned 2\n" in told.err  # -18 is taken as unsigned
    info = ttd("info").out
    assert "gcd(12, -18)" in info
    assert "returned        2\n" in info


def test_surroundings_are_given_and_kept(
    ttd: Ttd, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTD_USER", "ada")
    (tmp_path / "in.txt").write_text("typed\n")
    (tmp_path / "data").mkdir()
    ran = ttd(
        "record", "--dir", "data::/w", "--env", "TTD_USER", "--env", "X=1=2", "--stdin", "in.txt",
        program("files"), "/w/sub",
    )  # fmt: skip
    assert "stdin says typed\nuser ada, time is late\n" in ran.out
    info = json.loads(ttd("info", "--json").out)
    assert info["env"] == {"TTD_USER": "ada", "X": "1=2"}
    assert info["preopens"] == [{"host": "data", "guest": "/w"}]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_a_recording_with_a_trace_that_opens(
    number: int, code: int, ttd: Ttd, program: Program, tmp_path: Path
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "ttd.cli.main", "record", program("endless")],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "hi\n"
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (
        code, "ttd: recorded traces/endless-1.trace (interrupted); 'ttd replay' opens it\n",
    )  # fmt: skip
    assert json.loads(ttd("info", "--json").out)["ending"]["kind"] == "interrupted"


# --- ls, info, events, dis, repair -------------------------------------------------------------------


def test_ls_lists_recordings_and_marks_the_latest(ttd: Ttd, program: Program) -> None:
    ttd("record", program("hello"))
    ttd("record", program("trap"))
    golden.check("ls.txt", ttd("ls").out)
    listed = json.loads(ttd("ls", "--json").out)
    assert [(row["program"], row["ending"], row["latest"]) for row in listed] == [
        ("hello.wasm", "exit code 0", False),
        ("trap.wasm", "trap: integer divide by zero", True),
    ]


def test_ls_without_recordings_says_how_to_make_one(ttd: Ttd) -> None:
    assert ttd("ls").out == "No recordings in traces; make one with 'ttd record PROGRAM.wasm'.\n"
    assert json.loads(ttd("ls", "--json").out) == []


def test_ls_lists_what_cannot_be_opened_too(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    ttd("record", program("hello"))
    (tmp_path / "traces" / "bad.trace").write_bytes(b"no trace at all")
    ran = ttd("ls")
    assert ran.code == 0 and "cannot be opened: " in ran.out and "hello-1.trace" in ran.out
    assert any(row["problem"] for row in json.loads(ttd("ls", "--json").out))


def test_info_tells_all_about_a_recording(ttd: Ttd, program: Program) -> None:
    ttd(
        "record",
        "--env",
        "A=b c",
        "--dir",
        ".::/w",
        "--stdin",
        "null",
        "--no-sources",
        program("hello"),
        "x y",
    )
    golden.check("info.txt", ttd("info").out)
    described = json.loads(ttd("info", "--json").out)
    del described["snapshots"]  # how many there are depends on the speed of the machine
    golden.check("info.json", json.dumps(described, indent=2) + "\n")


def test_events_are_listed_in_the_manner_of_strace(ttd: Ttd, program: Program) -> None:
    ttd("record", program("hello"))
    golden.check("events.txt", ttd("events").out)
    events = json.loads(ttd("events", "--json").out)
    assert [event["number"] for event in events] == list(range(len(events)))
    assert {"fd_write"} <= {event["name"] for event in events}


def test_events_can_be_chosen(ttd: Ttd, program: Program) -> None:
    ttd("record", program("hello"))
    assert ttd("events", "--only", "fd_write").out.count("fd_write(") >= 1
    assert "fdstat" not in ttd("events", "--only", "fd_write").out
    assert "+++" not in ttd("events", "--to", "1").out
    assert [e["number"] for e in json.loads(ttd("events", "--from", "1", "--to", "1", "--json").out)] == [1]
    assert ttd("events", "--only", "fork").error == "the program imports no function 'fork'"
    assert ttd("events", "--from", "99").code == 2


def test_events_of_a_program_without_any_are_an_empty_list(ttd: Ttd, program: Program) -> None:
    ttd("record", "--invoke", "gcd", program("numbers"), "1", "1")
    assert ttd("events").out.split() == ["+++", "exit", "code", "0", "+++"]
    assert json.loads(ttd("events", "--json").out) == []


def test_dis_shows_functions_of_modules_and_recordings(ttd: Ttd, program: Program) -> None:
    module = program("numbers")
    ttd("record", "-o", "run.trace", "--invoke", "gcd", module, "1", "1")
    shown = ttd("dis", module).out
    golden.check("dis.txt", shown)
    assert ttd("dis", "run.trace", "gcd").out == shown == ttd("dis", module, "0").out
    assert ttd("dis", module, "--list").out == shown.splitlines()[0] + "\n"


def test_repair_saves_a_recording_into_a_new_file(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    ttd("record", "-o", "run.trace", program("hello"))
    before = (tmp_path / "run.trace").read_bytes()
    ran = ttd("repair", "run.trace")
    assert ran.code == 0 and ran.out.endswith("in run-repaired.trace\n")
    assert (tmp_path / "run.trace").read_bytes() == before
    assert ttd("events", "run-repaired.trace").out == ttd("events", "run.trace").out
    assert "exists already" in ttd("repair", "run.trace").error
    assert json.loads(ttd("repair", "run.trace", "-o", "b.trace", "--json").out)["losses"] == []


def test_verify_of_a_good_recording(ttd: Ttd, recorded: Recorded) -> None:
    trace = str(recorded("calls"))
    ran = ttd("verify", trace)
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"good: 3 events and \d snapshots compared, up to 96:38; exit code 0\n", ran.out)
    told = json.loads(ttd("verify", trace, "--json").out)
    assert (told["good"], told["events"], told["divergence"], told["damage"]) == (True, 3, None, [])


def test_verify_tells_the_first_divergence(
    ttd: Ttd, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = Position(7, 2)
    report = VerifyReport(1, 0, end, Ending(EndKind.EXIT, end), "replay diverged at 7:2", end)
    monkeypatch.setattr("ttd.replayer.verify.verify", lambda *_arguments, **_options: report)
    ran = ttd("verify", str(recorded("calls")))
    assert (ran.code, ran.out.splitlines()) == (
        1, ["replay diverged at 7:2", "not good: 1 events and 0 snapshots compared, up to 7:2"],
    )  # fmt: skip
    ran = ttd("verify", str(recorded("calls")), "--json")
    assert (ran.code, json.loads(ran.out)["divergence_position"]) == (1, "7:2")


def test_verify_tells_what_is_damaged(ttd: Ttd, recorded: Recorded, tmp_path: Path) -> None:
    whole = bytearray(recorded("calls").read_bytes())
    found = set()
    for offset in range(len(whole) // 20, len(whole), len(whole) // 10):
        damaged = bytearray(whole)
        damaged[offset : offset + 64] = bytes(64)
        (tmp_path / "bad.trace").write_bytes(damaged)
        ran = ttd("verify", "bad.trace")
        assert "internal error" not in ran.err and "Traceback" not in ran.err
        found.add(ran.code)
    assert 1 in found and found <= {0, 1}


# --- what is typed or given wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["record", "nosuch.wasm"], 2, "nosuch.wasm"),
        (["record", "."], 2, "directory"),
        (["record", "text.wasm"], 1, "not a WebAssembly"),
        (["record", "cut.wasm"], 1, "); build or copy it again"),
        (["record", "invalid.wasm"], 1, "type mismatch"),
        (["record", "import.wasm"], 1, "nowhere"),
        (["record", "threads.wasm"], 1, "threads"),
        (["record", "--dir", "nosuch", "numbers.wasm"], 2, "nosuch does not exist"),
        (["record", "--stdin", "nosuch", "endless.wasm"], 2, "nosuch is not a file"),
        (["record", "--env", "NO_SUCH_VARIABLE", "numbers.wasm"], 2, "no such variable"),
        (["record", "--env", "=x", "numbers.wasm"], 2, "expected NAME=VALUE"),
        (["record", "--host", "nosuch.py", "endless.wasm"], 2, "nosuch.py"),
        (["record", "--engine", "steam", "numbers.wasm"], 2, "'steam'"),
        (["record", "numbers.wasm"], 2, "--invoke"),
        (["record", "--invoke", "lcm", "numbers.wasm"], 2, "it exports gcd"),
        (["record", "--invoke", "gcd", "numbers.wasm", "1"], 2, "2 arguments"),
        (["record", "--invoke", "gcd", "numbers.wasm", "1", "x"], 2, "'x'"),
        (
            ["record", "-o", "no/such/place.trace", "--invoke", "gcd", "numbers.wasm", "1", "1"],
            2,
            "cannot write",
        ),
        (["info"], 2, "there is no trace"),
        (["info", "nosuch.trace"], 2, "nosuch.trace"),
        (["replay", "numbers.wasm"], 1, "not a trace"),
        (["events", "empty.trace"], 1, "empty.trace"),
        (["ls", "nosuch"], 2, "no such folder"),
        (["ls", "text.wasm"], 2, "'ttd info text.wasm' tells"),
        (["dis", "nosuch.wasm"], 2, "no such file"),
        (["dis", "."], 2, "directory"),
        (["dis", "text.wasm"], 1, "not a WebAssembly"),
        (["dis", "numbers.wasm", "gdc"], 2, "did you mean 'gcd'"),
        (["dis", "numbers.wasm", "9"], 2, "numbered from 0 to 0"),
        (["repair", "nosuch.trace"], 2, "nosuch.trace"),
        (["verify", "text.wasm"], 1, "not a trace"),
    ],
)
def test_bad_input_is_one_line_saying_what(
    arguments: list[str], code: int, message: str, ttd: Ttd, program: Program, tmp_path: Path
) -> None:
    from wasmtime import wat2wasm

    numbers = (tmp_path / program("numbers")).read_bytes()
    program("endless")
    (tmp_path / "cut.wasm").write_bytes(numbers[:-5])
    (tmp_path / "text.wasm").write_text("hello")
    (tmp_path / "empty.trace").write_bytes(b"")
    for name, text in {
        "invalid": '(module (func (export "_start") (drop (i32.add (i32.const 1) (i64.const 2)))))',
        "import": '(module (import "nowhere" "f" (func)) (func (export "_start")))',
        "threads": '(module (memory 1 1 shared) (func (export "_start")))',
    }.items():
        (tmp_path / f"{name}.wasm").write_bytes(bytes(wat2wasm(text)))
    ran = ttd(*arguments)
    assert message in ran.error
    assert (ran.code, ran.out) == (code, "")


def test_damaged_trace_is_told_in_one_line_and_never_changed(
    ttd: Ttd, program: Program, tmp_path: Path
) -> None:
    ttd("record", "-o", "run.trace", program("hello"))
    whole = (tmp_path / "run.trace").read_bytes()
    for cut in (10, 100, 5000, len(whole) // 2, len(whole) - 1):
        damaged = tmp_path / "cut.trace"
        damaged.write_bytes(whole[:cut])
        for command in (["info"], ["events"], ["verify"], ["replay", "-e", "goto end"]):
            ran = ttd(command[0], "cut.trace", *command[1:])
            assert ran.code in (0, 1)
            assert ran.code == 0 or command[0] == "verify" or ran.error
            assert "internal error" not in ran.err
            if ran.code == 1 and command[0] != "verify":
                assert "record the run anew" in ran.error
        assert damaged.read_bytes() == whole[:cut]


def test_what_is_shown_of_a_damaged_recording_comes_with_a_warning(
    ttd: Ttd, program: Program, tmp_path: Path
) -> None:
    ttd("record", "-o", "run.trace", program("hello"))
    shutil.copy(tmp_path / "run.trace", tmp_path / "bad.trace")
    with closing(sqlite3.connect(tmp_path / "bad.trace")) as connection, connection:
        connection.execute("UPDATE events SET checksum = zeroblob(16)")
    for command, *more in (["events"], ["replay", "-e", "when"]):
        ran = ttd(command, "bad.trace", *more)
        assert ran.out and ran.code == 0
        assert ran.error.startswith("bad.trace is damaged: ") and "event" in ran.error
        assert ttd(command, "run.trace", *more).err == ""


def test_flipped_bytes_never_end_in_a_traceback(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    ttd("record", "-o", "run.trace", program("hello"))
    whole = bytearray((tmp_path / "run.trace").read_bytes())
    for offset in range(0, len(whole), max(1, len(whole) // 25)):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x55
        (tmp_path / "bad.trace").write_bytes(damaged)
        for command in ("info", "events"):
            ran = ttd(command, "bad.trace")
            assert ran.code in (0, 1) and "internal error" not in ran.err
            assert ran.code == 0 or ran.error


def test_ttd_runs_as_a_program(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "ttd"
    environment = {**os.environ, "NO_COLOR": "1"}
    ran = subprocess.run([script, "ls"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert main.run(["--version"]) == 0


# --- cache ----------------------------------------------------------------------------------------------


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the test have a cache to itself."""
    monkeypatch.setenv("TTD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "cache"


def filled(folder: Path) -> Cache:
    """The cache of the test, with two parts of one program."""
    cache = Cache(folder, folder.parent / "state" / "ttd")
    key = program_key(b"module")
    cache.put(key, "main", b"native code")
    cache.put(key, "thaw-0-0", b"more of it")
    return cache


def test_cache_shows_what_is_there(ttd: Ttd, own_cache: Path) -> None:
    empty = ttd("cache")
    assert empty.code == 0 and re.search(r"Programs +0\n", empty.out)
    filled(own_cache)
    ran = ttd("cache")
    assert str(own_cache) in ran.out
    assert re.search(rf"\n{hashlib.sha256(b'module').hexdigest()[:16]} .* 2  \d{{4}}-", ran.out)
    shown = json.loads(ttd("cache", "--json").out)
    assert shown["size"] == sum(path.stat().st_size for path in own_cache.iterdir())
    assert [program["parts"] for program in shown["programs"]] == [2]


def test_cache_can_be_cleared(ttd: Ttd, own_cache: Path) -> None:
    cache = filled(own_cache)
    assert ttd("cache", "--clear").out.startswith("Removed ")
    assert cache.programs() == []
    assert json.loads(ttd("cache", "--clear", "--json").out)["freed"] == 0


def test_cache_says_why_there_is_none(ttd: Ttd, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache.mkdir()
    own_cache.chmod(0o777)
    ran = ttd("cache")
    assert ran.code == 1 and "writable to you only" in ran.error
    monkeypatch.setenv("TTD_CACHE_DIR", "")
    assert "TTD_CACHE_DIR is empty" in ttd("cache", "--clear").error


# --- core dumps --------------------------------------------------------------------------------------


def test_record_dumps_core_where_a_program_traps(ttd: Ttd, program: Program, guest: Guests) -> None:
    ran = ttd("record", "--core-dump", "trap.coredump", program("trap"))
    assert ran.code == 134
    assert "ttd: dumped core to trap.coredump\n" in ran.err
    replayed = ttd("replay", "trap.coredump", "-e", "bt", "-e", "info program", "-e", "p *item")
    assert (replayed.code, replayed.err) == (0, "")
    assert f"trap.c:{guest.line('trap', 'trap')}\n" in replayed.out
    assert "Core dump of trap.wasm: integer divide by zero.\n" in replayed.out
    live = ttd("replay", "--at", "end", "-e", "bt", "-e", "p *item")
    assert [
        line for line in live.out.splitlines() if line in replayed.out.splitlines()
    ] == live.out.splitlines()


@pytest.mark.parametrize("command", ["verify", "events", "core"])
def test_a_core_dump_is_told_from_a_trace(command: str, ttd: Ttd, program: Program) -> None:
    ttd("record", "-q", "--core-dump", "trap.coredump", program("trap"))
    assert ttd(command, "trap.coredump") == Ran(
        2, "", "ttd: trap.coredump is a core dump, not a trace; `ttd replay trap.coredump` opens it\n"
    )


def test_record_without_a_trap_dumps_nothing(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    assert "core" not in ttd("record", "--core-dump", "hello.coredump", program("hello")).err
    assert not (tmp_path / "hello.coredump").exists()


def test_a_core_dump_that_cannot_be_written_changes_nothing_else(ttd: Ttd, program: Program) -> None:
    ran = ttd("record", "--core-dump", "nowhere/x", program("trap"))
    assert ran.code == 134
    assert "ttd: cannot write nowhere/x: No such file or directory\n" in ran.err
    assert ttd("replay", "-e", "when").code == 0


def test_core_writes_a_dump_of_a_recording(ttd: Ttd, recorded: Recorded, tmp_path: Path) -> None:
    trace = str(recorded("calls"))
    ran = ttd("core", trace)
    assert re.fullmatch(r"Wrote calls\.coredump, [\d.]+ MiB: the moment \d+:\d+\.\n", ran.out)
    ran = ttd("core", trace, "--at", "40%", "-o", "other.coredump")
    assert ran.code == 0
    replayed = ttd("replay", "other.coredump", "-e", "when", "-e", "reverse-step")
    assert "the only one: this is a core dump\n" in replayed.out
    assert replayed.code == 1
    assert replayed.err == (
        "ttd: reverse-step: a core dump has no past and no future; "
        "record the program with 'ttd record' to move in time\n"
    )
    assert "has no past" in ttd("replay", "other.coredump", "--at", "end", "-e", "bt").error


def test_a_core_dump_of_another_tool_has_no_position(ttd: Ttd, recorded: Recorded, tmp_path: Path) -> None:
    ttd("core", str(recorded("calls")), "-o", "ours.coredump", "--at", "40%")
    dump = coredump.read((tmp_path / "ours.coredump").read_bytes())
    (tmp_path / "theirs.coredump").write_bytes(coredump.write(replace(dump, extra=None)))
    assert "position is not known" in ttd("replay", "theirs.coredump", "-e", "when").out


def test_no_other_file_is_replaced_by_a_core_dump(ttd: Ttd, recorded: Recorded, program: Program) -> None:
    trace, module = str(recorded("calls")), program("hello")
    before = Path(module).read_bytes()
    assert f"{module} exists and is no core dump" in ttd("core", trace, "-o", module).error
    assert Path(module).read_bytes() == before
    assert "is no core dump" in ttd("core", trace, "-o", ".").error
    assert [ttd("core", trace, "-o", "twice.coredump").code for _ in range(2)] == [0, 0]


def test_the_prompt_dumps_core(ttd: Ttd, recorded: Recorded) -> None:
    ran = ttd(
        "replay", str(recorded("calls")), "-e", "break leaf", "-e", "continue", "-e", "gcore here.coredump"
    )
    assert "Wrote here.coredump" in ran.out
    assert "leaf (a=1, b=2)" in ttd("replay", "here.coredump", "-e", "bt").out


def test_replaying_a_module_that_is_no_core_dump(ttd: Ttd, program: Program, recorded: Recorded) -> None:
    hello = str(program("hello"))
    assert f"{hello}: a module, not a trace, and no core dump" in ttd("replay", hello, "-e", "bt").error
    assert "holds its program" in ttd("replay", str(recorded("calls")), "--module", "x.wasm").error
