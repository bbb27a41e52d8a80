"""Recordings made at compiled speed: they end where they should, and verify under either engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from tests.support import Guests
from ttd.engine import builds
from ttd.recorder.options import PreopenedDirectory, RecordOptions, WasiOptions
from ttd.recorder.session import RecordResult, record
from ttd.replayer.debugger import Debugger, ToEnd, ToEvent, ToPercent
from ttd.replayer.session import ENGINES
from ttd.replayer.verify import verify
from ttd.store.manifest import StdinKind
from ttd.store.trace import Trace
from ttd.types import EndKind, TrapKind

_HEAD = """(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $work (param i32) (loop $again
    (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $again (local.get 0))))
  (func $ask (result i32) (drop (call $random (i32.const 8) (i32.const 4))) (i32.load (i32.const 8)))
"""

PROGRAMS = {
    "exit": """
  (func $f (param i32) (drop (call $ask)) (if (i32.eqz (local.get 0)) (then (call $exit (i32.const 3)))))
  (func (export "_start") (local i32) (local.set 0 (i32.const 1000))
    (loop $l (local.set 0 (call $leaf (i32.sub (local.get 0) (i32.const 2))))
      (call $f (local.get 0)) (br $l)))""",
    "trap": """
  (func $g (param i32) (result i32) (i32.div_u (i32.const 5) (i32.sub (local.get 0) (i32.const 1000))))
  (func $f (param i32) (result i32) (drop (call $ask)) (call $g (local.get 0)))
  (func (export "_start") (local i32)
    (loop $l (local.set 0 (call $leaf (local.get 0))) (drop (call $f (local.get 0))) (br $l)))""",
    "deep": """
  (func $f (param i32) (result i32)
    (i32.store (i32.const 0) (local.get 0)) (drop (call $ask))
    (i32.add (call $f (call $leaf (local.get 0))) (i32.const 1)))
  (func (export "_start") (call $work (i32.const 5000)) (drop (call $f (i32.const 0))))""",
    "return": """
  (func (export "_start") (local i32) (local.set 0 (i32.const 700))
    (loop $l (drop (call $ask)) (call $work (local.get 0))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))""",
    "straight": """
  (func (export "_start")
    (drop (call $random (i32.const 8) (i32.const 4))) (i32.store (i32.const 0) (i32.const 1))
    (call $work (i32.const 9)) (drop (call $random (i32.const 8) (i32.const 4)))
    (drop (call $random (i32.const 8) (i32.const 4))) (i32.store (i32.const 0) (i32.const 1)))""",
}

Recorded = Callable[[str], RecordResult]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """``recorded("trap")``: a compiled recording of that program."""
    folder, made = tmp_path_factory.mktemp("compiled"), dict[str, RecordResult]()

    def make(name: str) -> RecordResult:
        if name not in made:
            program = folder / f"{name}.wasm"
            program.write_bytes(wasmtime.wat2wasm(_HEAD + PROGRAMS[name] + ")"))
            made[name] = record(RecordOptions(program, folder / f"{name}.trace", engine="compiled"))
        return made[name]

    return make


def verified(path: Path) -> None:
    """The trace at `path` verifies under both engines."""
    with Trace.open(path) as trace:
        assert not trace.damage
        for engine in ENGINES.values():
            report = verify(trace, engine)
            assert report.is_good, report
            assert (report.events, report.snapshots) == (trace.event_count, len(trace.snapshots))
            assert report.end.is_exact


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_recording_verifies_under_either_engine(recorded: Recorded, name: str) -> None:
    verified(recorded(name).path)


@pytest.mark.parametrize(
    ("name", "kind", "functions"),
    [
        ("trap", TrapKind.DIVIDE_BY_ZERO, ["g", "f", "_start"]),
        ("deep", TrapKind.STACK_EXHAUSTED, ["", "f", "f"]),
    ],
)
def test_a_trap_is_recorded_at_its_instruction(
    recorded: Recorded, name: str, kind: TrapKind, functions: list[str]
) -> None:
    result = recorded(name)
    trap = result.ending.trap
    assert trap is not None and trap.kind is kind
    assert result.ending.position.is_exact
    assert result.exit_code == 134
    lines = result.backtrace.splitlines()
    assert all(name in line for name, line in zip(functions, lines, strict=False)), lines[:3]


@pytest.mark.parametrize("stack", [1 << 19, 3 << 19])
def test_a_stack_runs_out_at_the_same_place_where_there_is_more_or_less_of_it(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, stack: int
) -> None:
    ending = recorded("deep").ending
    monkeypatch.setattr(builds, "_STACK", stack)
    with Trace.open(recorded("deep").path) as trace:
        report = verify(trace)
        assert report.is_good and report.end == ending.position, report
        with Debugger(trace) as debugger:
            assert debugger.goto(ToEnd()).ending == ending
            assert debugger.frame_count > 5_000


def test_an_exit_is_recorded_with_its_code(recorded: Recorded) -> None:
    assert recorded("exit").ending.kind is EndKind.EXIT
    assert recorded("exit").exit_code == 3


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_event_is_found_at_its_call(recorded: Recorded, name: str, engine: str) -> None:
    with Trace.open(recorded(name).path) as trace, Debugger(trace, ENGINES[engine]) as debugger:
        assert debugger.event == 0
        numbers = sorted(
            {*range(0, trace.event_count, max(1, trace.event_count // 7)), trace.event_count - 1}
        )
        forward = [_standing_at(debugger, number) for number in numbers]
        assert forward == sorted(set(forward))
        assert [_standing_at(debugger, number) for number in reversed(numbers)] == forward[::-1]


def _standing_at(debugger: Debugger, number: int) -> object:
    debugger.goto(ToEvent(number))
    call = debugger.call_here()
    assert call is not None
    assert (call.number, call.position) == (number, debugger.position)
    assert call.position.agrees(debugger.trace.event(number).position)
    return debugger.position


@pytest.mark.parametrize("engine", ENGINES)
def test_the_end_is_one_place_however_one_comes_there(recorded: Recorded, engine: str) -> None:
    for name in PROGRAMS:
        with Trace.open(recorded(name).path) as trace, Debugger(trace, ENGINES[engine]) as debugger:
            report = debugger.goto(ToEnd())
            end = debugger.position
            assert end.is_exact and end == debugger.end and not report.message.startswith("There is no")
            debugger.stepi(3, reverse=True)
            assert [debugger.stepi().ending is None for _ in range(3)] == [True, True, False]
            assert debugger.position == end
            debugger.goto(ToPercent(50))
            assert debugger.continue_().ending is not None
            assert debugger.position == end


def test_calls_are_caught_in_both_directions(recorded: Recorded) -> None:
    with Trace.open(recorded("straight").path) as trace, Debugger(trace) as debugger:
        debugger.catch("call", ("random_get",))
        places = []
        while debugger.continue_().ending is None:
            places.append((debugger.event, debugger.position))
        assert [number for number, _ in places] == [0, 1, 2][-len(places) :]
        back = []
        while debugger.continue_(reverse=True).where.position != debugger.begin:
            back.append((debugger.event, debugger.position))
        assert back == places[::-1][: len(back)]


def test_real_programs(guest: Guests, tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    for name in ("hello", "loops", "calls", "structs", "files"):
        output = tmp_path / f"{name}.trace"
        preopens = (PreopenedDirectory(tmp_path / "box", "/work"),)
        wasi = WasiOptions(argv=(name,), stdin=StdinKind.NULL, preopens=preopens)
        plain = record(RecordOptions(guest(name), tmp_path / f"{name}-plain.trace", wasi))
        result = record(RecordOptions(guest(name), output, wasi, engine="compiled"))
        assert (result.ending.kind, result.exit_code) == (plain.ending.kind, plain.exit_code)
        assert result.events == plain.events
        assert result.ending.position.agrees(plain.ending.position)
        verified(output)
        verified(plain.path)


def test_functions_of_a_library_are_called(tmp_path: Path) -> None:
    text = """(module (memory 1) (global $g (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $g (i32.const 7)))
      (func (export "sum") (param i32 i64) (result i32 i64) (local i32)
        (loop $l (local.set 2 (i32.add (local.get 2) (global.get $g)))
          (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 2) (local.get 1)))"""
    program = tmp_path / "sum.wasm"
    program.write_bytes(wasmtime.wat2wasm(text))
    options = RecordOptions(program, tmp_path / "sum.trace", invoke=("sum", "2000", "-1"), engine="compiled")
    assert record(options).ending.results == (14000, (1 << 64) - 1)
    verified(tmp_path / "sum.trace")


def test_the_backtrace_of_a_trap_has_no_values_that_were_not_kept(guest: Guests, tmp_path: Path) -> None:
    """Each is that which the interpreter knows, or none at all; and the debugger tells the same."""
    lines: dict[str, list[str]] = {}
    for engine in ENGINES:
        options = RecordOptions(guest("optimised", "-O2"), tmp_path / f"{engine}.trace", engine=engine)
        result = record(options)
        assert result.ending.kind is EndKind.TRAP
        lines[engine] = result.backtrace.splitlines()
        with Trace.open(result.path) as trace, Debugger(trace, ENGINES[engine]) as debugger:
            debugger.goto(ToEnd())
            told = [(frame.level, frame.function) for frame in debugger.frames()]
            shown = [[argument.value for argument in frame.arguments] for frame in debugger.frames()]
        assert [_frame(line) for line in lines[engine]] == told
        assert [_arguments(line) for line in lines[engine]] == shown
    kept, known = ([_arguments(line) for line in lines[name]] for name in ("compiled", "interpreter"))
    assert ["<optimized out>", "<optimized out>"] in kept
    for ours, theirs in zip(kept, known, strict=True):
        assert all(a in (b, "<optimized out>") for a, b in zip(ours, theirs, strict=True))


def _frame(line: str) -> tuple[int, str]:
    """Level and function in a line of a backtrace: ``#0  f (a=1, b=2) at x.c:1``."""
    match = re.match(r"#(\d+) +(?:0x[0-9a-f]+ in )?(\S+) \(", line)
    assert match is not None, line
    return int(match[1]), match[2]


def _arguments(line: str) -> list[str]:
    """The values of the arguments there."""
    inside = line[line.index("(") + 1 : line.rindex(")")]
    return [part.partition("=")[2] for part in inside.split(", ")] if inside else []
