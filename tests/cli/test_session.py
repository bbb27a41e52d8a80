"""What a session makes of lines, stops and settings, on a made-up debugger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.fake import FakeDebugger, session_on
from ttd.cli.repl.banner import banner
from ttd.cli.repl.bar import bar, gauge
from ttd.cli.repl.completion import candidates
from ttd.cli.repl.script import read_script, run_script
from ttd.errors import TtdError, UsageError
from ttd.expr import Limits
from ttd.types import Position


def typed(*lines: str, debugger: FakeDebugger | None = None, colour: bool = False) -> str:
    """What the prompt prints for some lines."""
    session, out = session_on(debugger or FakeDebugger(), colour)
    for line in lines:
        session.execute(line)
    return out.getvalue()


def asked(*lines: str) -> list[str]:
    """What the prompt asks of the debugger for some lines."""
    debugger = FakeDebugger()
    typed(*lines, debugger=debugger)
    return debugger.calls


def test_first_stop_shows_frame_and_line_and_the_next_in_the_same_frame_only_the_line() -> None:
    assert typed("step") == "push (n=5) at queue.c:2\n2\tint push(int n) {\n"
    assert typed("step", "step").endswith("{\n3\t    int m = n + 1;\n")


def test_watchpoint_shows_values_frame_and_line() -> None:
    assert typed("c") == (
        "\nWatchpoint 2: q->n\n\nOld value = 1\nNew value = 2\npush (n=5) at queue.c:5\n5\t}\n"
    )


def test_end_of_the_run_has_no_frame() -> None:
    assert typed("goto end") == "The program exited with code 3.\n"


def test_stepping_by_instruction_shows_the_instruction() -> None:
    assert typed("si").splitlines()[-1] == "=> 0x00000101:\tlocal.get 1"


def test_without_line_information_the_instruction_is_shown() -> None:
    assert typed("s", debugger=FakeDebugger(has_lines=False)) == (
        "0x00000101 in push (n=5)\n=> 0x00000101:\tlocal.get 1\n"
    )


def test_without_the_source_file_the_line_is_named() -> None:
    assert typed("s", debugger=FakeDebugger(source_text=())).splitlines()[-1] == "2\tin queue.c"


def test_setting_shows_the_next_instruction_at_every_stop() -> None:
    assert typed("set disassemble-next-line on", "s").endswith("=> 0x00000101:\tlocal.get 1\n")


def test_empty_line_repeats_a_motion_but_nothing_else() -> None:
    assert asked("step 2", "", "") == ["step 2"] * 3
    assert asked("break push", "", "  ") == ["break push False None"]
    assert asked("step", "print n", "") == ["step 1"]
    assert asked("", "# a comment") == []


def test_empty_line_after_a_failure_does_not_repeat_what_came_before_it() -> None:
    session, _ = session_on(FakeDebugger())
    session.execute("step")
    with pytest.raises(UsageError):
        session.execute("frobnicate")
    session.execute("")
    assert session.debugger.position == Position(1, 1)


def test_list_goes_on_and_back() -> None:
    session, out = session_on(FakeDebugger())
    session.execute("set listsize 2")
    session.execute("list 1,2")
    session.execute("")
    assert [line.split()[-1] for line in out.getvalue().splitlines()] == ["*/", "{", "1;", "m;"]
    session.execute("list 5,")
    session.execute("list -")
    assert out.getvalue().splitlines()[-2:] == ["      3      int m = n + 1;", "      4      return m;"]


def test_conditions_and_options_are_told_apart_from_places() -> None:
    assert asked("b queue.c:3 if n > 3") == ["break queue.c:3 False n > 3"]
    assert asked("b if n > 3") == ["break None False n > 3"]
    assert asked("tbreak push") == ["break push True None"]
    assert asked("b if(n)") == ["break None False (n)"]
    assert asked("b iffy") == ["break iffy False None"]
    assert asked("watch -w q->n if q") == ["watch q->n True q"]
    assert asked("watch -l q->n") == ["watch q->n False None"]
    assert asked("catch call fd_write, fd_read") == ["catch call ['fd_write', 'fd_read'] None"]
    assert asked("catch trap") == ["catch trap [] None"]
    assert asked("delete", "d 1 3-4", "delete breakpoints 2") == [
        "delete None", "delete 1", "delete 3", "delete 4", "delete 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line, message",
    [
        ("run", "a recording can't be run again"),
        ("start", "a recording can't be run again"),
        ("goto", "takes a place"),
        ("goto nowhere", "nowhere"),
        ("goto 99:0", "outside the recording"),
        ("step x", "'step' takes a count"),
        ("finish 3", "takes no arguments"),
        ("advance", "takes a place"),
        ("watch", "takes an expression"),
        ("watch -x n", "no option '-x'"),
        ("break main if", "needs a condition"),
        ("catch", "takes 'call'"),
        ("catch fork", "it is one of call, trap"),
        ("delete x", "takes numbers"),
        ("ignore 1", "takes the number"),
        ("condition", "takes the number"),
        ("frame x", "takes the number of a frame"),
        ("frame 9", "no frame 9"),
        ("bt x", "takes a count"),
        ("print", "takes an expression"),
        ("print nosuch", "no symbol"),
        ("x", "takes an address"),
        ("x/zz 0", "no such format"),
        ("x/xd 0", "no such format"),
        ("x/0x 0", "shows 1 to"),
        ("info nosuch", "it is one of address, args"),
        ("info functions (", "not a regular expression"),
        ("set", "takes a setting"),
        ("set nosuch 1", "no setting 'nosuch'"),
        ("set listsize many", "takes a count"),
        ("set highlight maybe", "'on' or 'off'"),
        ("set var n = 5", "cannot be changed"),
        ("set n = 5", "cannot be changed"),
        ("source", "takes the name of a file"),
        ("source nosuch.ttd", "cannot read script"),
        ("help nosuch", "no command 'nosuch'"),
        ("undisplay 3", "no display number 3"),
        ("list 9,3", "FIRST up to LAST"),
        ("list 800,900", "no line 800"),
    ],
)
def test_what_is_typed_wrong_is_told_in_one_line(line: str, message: str) -> None:
    with pytest.raises(TtdError, match=re.escape(message)) as caught:
        typed(line)
    assert "\n" not in str(caught.value)


def test_displays_show_at_every_stop_until_removed() -> None:
    out = typed("display n", "display/x n", "step", "undisplay 1", "step", "delete display 2", "step")
    assert [line for line in out.splitlines() if ": " in line] == [
        "1: n = 5", "2: /x n = 0x5", "1: n = 5", "2: /x n = 0x5", "2: /x n = 0x5",
    ]  # fmt: skip


def test_what_the_guest_says_cannot_drive_the_terminal() -> None:
    evil = FakeDebugger(function="\x1b[2Jpush", source_text=["\x1b]0;gone\x07"] * 7)
    out = typed("s", "bt", "list 1,3", debugger=evil)
    assert "\x1b" not in out and "\x07" not in out
    assert "\\x1b[2Jpush" in out


def test_colours_come_only_when_asked_for() -> None:
    lines = ("s", "bt", "list 1,3", "help", "info locals")
    assert "\x1b" not in typed(*lines)
    coloured = typed(*lines, colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == typed(*lines)


def test_backtrace_marks_where_it_was_cut() -> None:
    assert typed("bt 1").splitlines() == ["#0  push (n=5) at queue.c:1", "(1 more frame; 'bt 2' shows all)"]
    assert typed("bt -1").splitlines() == ["#1  main () at queue.c:6"]
    assert typed("bt full").splitlines()[1] == "        m = 6"
    assert typed("goto end", "bt").splitlines()[-1] == "No stack: the program has returned."


def test_bar_tells_position_percentage_event_and_function() -> None:
    session, _ = session_on(FakeDebugger(at=3))
    text = "".join(part for _, part in bar(session))
    assert text.startswith(" 1:3 ") and "50.0 %" in text and "event 1/4" in text
    assert text.endswith("push  queue.c:4")
    session.execute("up")
    assert "".join(part for _, part in bar(session)).endswith("main  queue.c:6  frame #1")
    session.execute("goto end")
    assert bar(session)[-1][1] == "(end of the run)"


@pytest.mark.parametrize("percent", [-5.0, 0.0, 33.3, 100.0, 1e9])
def test_gauge_keeps_its_length(percent: float) -> None:
    assert len("".join(gauge(percent))) == 20


def test_banner_tells_program_ending_events_and_the_way_to_the_end() -> None:
    session, _ = session_on(FakeDebugger())
    assert list(banner(session)) == [
        "Recording of queue.wasm: exit code 3, 4 host calls.",
        "At its beginning; 'goto end' goes to the end, 'help' lists the commands.",
    ]


@pytest.mark.parametrize(
    "line, expected",
    [
        ("reverse-s", ["reverse-step", "reverse-stepi"]),
        ("hel", ["help"]),
        ("help reverse-n", ["reverse-next", "reverse-nexti"]),
        ("b ma", ["main", "malloc"]),
        ("b q", ["queue.c:"]),
        ("b push if q", ["queue"]),
        ("p n + qu", ["queue"]),
        ("p/x m", ["m", "main", "malloc"]),
        ("info loc", ["locals"]),
        ("i f", ["files", "frame", "functions"]),
        ("set li", ["listsize"]),
        ("goto e", ["end", "event "]),
        ("catch ", ["call", "trap"]),
        ("frobnicate x", []),
        ("step ", []),
        ("p nosuch->", []),
    ],
)  # fmt: skip
def test_completion(line: str, expected: list[str]) -> None:
    session, _ = session_on(FakeDebugger())
    assert [candidate.text for candidate in candidates(session, line)] == expected


def test_breakpoint_numbers_are_completed() -> None:
    session, _ = session_on(FakeDebugger())
    session.execute("b push")
    assert [(c.text, c.note) for c in candidates(session, "delete ")] == [("1", "push")]


def test_script_echoes_commands_and_stops_at_the_first_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script"
    script.write_text("# walk\n\nstep\n  frobnicate\nstep\n")
    session, out = session_on(FakeDebugger())
    assert run_script(session, read_script(script)) == 1
    assert out.getvalue() == "(ttd) step\npush (n=5) at queue.c:2\n2\tint push(int n) {\n(ttd) frobnicate\n"
    assert capsys.readouterr().err == (
        "ttd: frobnicate: no command 'frobnicate'; 'help' lists the commands\n"
    )


def test_script_ends_at_quit() -> None:
    session, out = session_on(FakeDebugger())
    assert run_script(session, ["quit", "step"]) == 0
    assert out.getvalue() == "(ttd) quit\n"


def test_scripts_may_source_scripts_but_not_forever(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("step\n")
    outer.write_text(f"source {inner}\nstep\n")
    assert asked(f"source {outer}") == ["step 1", "step 1"]
    inner.write_text(f"source {inner}\n")
    with pytest.raises(UsageError, match="16 deep"):
        typed(f"source {outer}")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * (1 << 22) + b"##"])
def test_script_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(content)
    with pytest.raises(UsageError, match=r"UTF-8|larger"):
        read_script(script)


def test_how_much_of_a_value_is_shown_can_be_set() -> None:
    session, out = session_on(FakeDebugger())
    for line in (
        "set print elements 4",
        "set print max-depth 2",
        "set print-repeats unlimited",
        "show print-e",
    ):
        session.execute(line)
    assert out.getvalue() == "print-elements: 4\n"
    assert session.debugger.limits == Limits(4, 2, 1 << 20)
    with pytest.raises(UsageError, match="takes a count"):
        session.execute("set print elements many")


def test_info_refuses_arguments_that_it_would_ignore() -> None:
    session, _ = session_on(FakeDebugger())
    for line in ("info registers 5", "info frame 1", "info breakpoints 99"):
        with pytest.raises(UsageError, match="takes no argument"):
            session.execute(line)
