"""Native gates in whole runs: recording through them, and replaying what they and Python have logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from tests.support import Guests
from ttd.calllog import CallLog, encode_calls
from ttd.engine.compiled import CompiledEngine
from ttd.engine.protocol import Engine, Goal, Host, Program, Stop, WatchProbe
from ttd.engine.validate import load_module
from ttd.errors import DamagedTrace, Divergence
from ttd.events import HostCall, MemoryWrite
from ttd.interpreter import Interpreter
from ttd.recorder.host import RecordingHost
from ttd.recorder.options import PreopenedDirectory, WasiOptions, plan_invocations
from ttd.replayer.host import ReplayHost
from ttd.state import Memory, Snapshot
from ttd.store.manifest import StdinKind
from ttd.store.trace import Trace
from ttd.types import Ending, EndKind, Position, StopReason, Value
from ttd.wasm.model import Module


@pytest.fixture(scope="module")
def module(guest: Guests) -> Module:
    return load_module(guest("wasi_busy", "-O1").read_bytes())


def program(module: Module) -> Program:
    return Program(module, tuple(entry.invocation for entry in plan_invocations(module, ())))


def recorded(
    module: Module, folder: Path, *, gates: bool, slice_: int = 1 << 40
) -> tuple[list[HostCall], Stop]:
    """All events of a run, in slices of so many ticks, with or without native gates."""
    folder.mkdir()
    events: list[HostCall] = []
    argv = ("busy", "box", "90", "40")
    options = WasiOptions(argv=argv, preopens=(PreopenedDirectory(folder, "box"),), stdin=StdinKind.NULL)
    host = RecordingHost(module, options, {}, events.append)
    engine = CompiledEngine(program(module), host if gates else _Plain(host), near=0, replaying=False)
    host.prepare(engine.state.memories)
    stop = engine.run(Goal(until=Position(slice_)))
    while stop.reason is StopReason.LIMIT:
        assert engine.state.next_event == len(events) == host.events
        stop = engine.run(Goal(until=Position(stop.position.tick + slice_)))
    engine.close()
    return events, stop


class _Plain:
    """A host that offers nothing but what it must."""

    def __init__(self, host: Host) -> None:
        self.call, self.seek = host.call, host.seek


def shape(event: HostCall) -> tuple[object, ...]:
    """What is the same in each run."""
    writes = [(write.memory, write.address, len(write.data)) for write in event.writes]
    head = event.number, event.position, event.function, event.arguments, event.results, writes
    return *head, [(read.address, read.data) for read in event.reads], event.outcome, event.code


@pytest.mark.parametrize("slice_", [1 << 40, 97])
def test_a_run_logs_the_same_events_with_gates_and_without(
    module: Module, tmp_path: Path, slice_: int
) -> None:
    native, ending = recorded(module, tmp_path / "a", gates=True, slice_=slice_)
    python, other = recorded(module, tmp_path / "b", gates=False)
    assert len(native) > 400 and ending == other
    for ours, theirs in zip(native, python, strict=True):
        assert shape(ours)[1:5] == shape(theirs)[1:5]
    name = {f.index: f.imported.name for f in module.functions if f.imported is not None}
    steady = ("fd_seek", "fd_close", "path_open", "fd_prestat_get", "fd_fdstat_get")
    for ours, theirs in zip(native, python, strict=True):
        assert [len(w.data) for w in ours.writes] == [len(w.data) for w in theirs.writes]
        if name[ours.function] in steady:
            assert ours == theirs


# --- replaying ---------------------------------------------------------------------------------------


@dataclass
class Log:
    """As much of a trace as a replaying host asks for."""

    events: list[HostCall]
    kind: EndKind = EndKind.EXIT
    raw: bool = False
    """Give calls as a trace does that has them in raw form: all of them, whatever is asked for."""
    fills: int = 0
    asked: list[int] = field(default_factory=list)

    @property
    def ending(self) -> Ending:
        return Ending(self.kind, Position(0))

    @property
    def event_count(self) -> int:
        return len(self.events)

    def event(self, number: int) -> HostCall:
        self.asked.append(number)
        return self.events[number]

    def call_log(self, number: int, size: int) -> tuple[CallLog, int] | None:
        self.fills += 1
        start = number - number % 100 if self.raw else number
        log = encode_calls(self.events[start : start + 100 if self.raw else None], size)
        if log is None or log.count <= number - start:
            return None
        return log, number - start


def replaying(module: Module, log: Log, *, gates: bool = True) -> CompiledEngine:
    host = ReplayHost(cast(Trace, log), module)
    return CompiledEngine(program(module), host if gates else _Plain(host), near=0)


@pytest.fixture(scope="module")
def events(module: Module, tmp_path_factory: pytest.TempPathFactory) -> list[HostCall]:
    return recorded(module, tmp_path_factory.mktemp("gates") / "box", gates=True)[0]


def final(engine: Engine) -> tuple[Stop, Snapshot]:
    stop = engine.run(Goal())
    return stop, Snapshot.capture(engine.state)


@pytest.mark.parametrize("raw", [False, True])
def test_replaying_without_python_ends_as_with_it(module: Module, events: list[HostCall], raw: bool) -> None:
    log = Log(events, raw=raw)
    stop, state = final(replaying(module, log))
    assert stop.ending is not None and stop.ending.kind is EndKind.EXIT
    assert len(log.asked) < 20 < log.fills + 20  # only those without a raw form, and the last ticks
    plain = Log(events)
    other = replaying(module, plain, gates=False)
    assert final(other) == (stop, state)
    assert len(plain.asked) >= len(events)
    exact = Interpreter(program(module), ReplayHost(cast(Trace, Log(events)), module))
    exact_stop, exact_state = final(exact)
    assert exact_stop == stop
    assert (exact_state.memories, exact_state.globals) == (state.memories, state.globals)


@pytest.mark.parametrize("raw", [False, True])
def test_going_back_and_forth_finds_the_right_answers(
    module: Module, events: list[HostCall], raw: bool
) -> None:
    engine = replaying(module, Log(events, raw=raw))
    exact = Interpreter(program(module), ReplayHost(cast(Trace, Log(events)), module))
    begin = Snapshot.capture(engine.state)
    middle: Snapshot | None = None
    end = events[-1].position.tick
    for tick in (end // 2, end // 2 + 40, end - 10, 30, end // 3, end - 300):
        if tick < engine.state.position.tick:
            engine.restore(begin if middle is None or tick < middle.position.tick else middle)
        if tick < exact.state.position.tick:
            exact.restore(begin)
        engine.run(Goal(until=Position(tick)))
        exact.run(Goal(until=Position(tick)))
        here = Snapshot.capture(engine.state)
        middle = middle or here
        there = Snapshot.capture(exact.state)
        assert (here.position, here.next_event, here.memories) == (
            there.position, there.next_event, there.memories,
        )  # fmt: skip


def hits(engine: Engine, watch: WatchProbe, most: int = 5) -> list[Position]:
    """Where the first writes to what is watched are."""
    found: list[Position] = []
    while len(found) < most:
        stop = engine.run(Goal(probes=(watch,), after=found[-1] if found else None))
        if stop.reason is not StopReason.PROBE:
            break
        found.append(stop.hits[0].position)
    return found


@pytest.mark.parametrize("raw", [False, True])
def test_gates_leave_to_python_what_is_watched_and_nothing_else(
    module: Module, events: list[HostCall], raw: bool
) -> None:
    write = events[a_read(module, events)].writes[0]
    before, behind = WatchProbe(0, write.address - 1, 1, False), WatchProbe(0, write.address, 1, False)
    last = WatchProbe(0, write.address + len(write.data) - 1, 1, False)
    for watch in (before, behind, last):
        log = Log(events, raw=raw)
        exact = Interpreter(program(module), ReplayHost(cast(Trace, Log(events)), module))
        assert hits(replaying(module, log), watch) == hits(exact, watch)
    log, nowhere = Log(events, raw=raw), WatchProbe(0, 16, 4, False)
    assert not hits(replaying(module, log), nowhere)
    assert len(log.asked) < 30


def changed(events: Sequence[HostCall], number: int, **changes: object) -> list[HostCall]:
    made = list(events)
    made[number] = replace(made[number], **changes)  # type: ignore[arg-type]
    return made


def a_read(module: Module, events: Sequence[HostCall]) -> int:
    """The number of an event in the middle that a native gate answers, and that writes."""
    pread = next(f.index for f in module.functions if f.imported and f.imported.name == "fd_pread")
    return next(e.number for e in events[200:] if e.function == pread and len(e.writes) > 1)


@pytest.mark.parametrize("raw", [False, True])
def test_differences_are_told_as_by_python(module: Module, events: list[HostCall], raw: bool) -> None:
    number = a_read(module, events)
    event = events[number]
    other = tuple(cast(int, value) + 1 for value in event.arguments)
    for damaged in (
        changed(events, number, arguments=other),
        changed(events, number, function=(event.function + 1) % 5),
        changed(events, number, position=Position(event.position.tick - 1)),
        events[:number] + events[number + 1 :],
        events[:number],
    ):
        told = []
        for gates in (True, False):
            with pytest.raises(Divergence) as caught:
                replaying(module, Log(damaged, raw=raw), gates=gates).run(Goal())
            told.append(str(caught.value))
        assert told[0] == told[1]


@pytest.mark.parametrize("raw", [False, True])
def test_writes_outside_of_memory_are_a_damaged_trace(
    module: Module, events: list[HostCall], raw: bool
) -> None:
    number = a_read(module, events)
    outside = (*events[number].writes, MemoryWrite(0, (1 << 32) - 4, bytes(8)))
    log = Log(changed(events, number, writes=outside), raw=raw)
    with pytest.raises(DamagedTrace, match=f"event {number} .* writes outside of memory"):
        replaying(module, log).run(Goal())


def test_a_log_that_was_cut_off_ends_at_the_same_place(module: Module, events: list[HostCall]) -> None:
    number = a_read(module, events)
    ends = []
    for gates in (True, False):
        engine = replaying(module, Log(events[:number], EndKind.CUT_OFF), gates=gates)
        stop = engine.run(Goal())
        assert stop.reason is StopReason.END_OF_TRACE
        ends.append((stop.position, engine.state.next_event, Snapshot.capture(engine.state)))
    assert ends[0] == ends[1]
    assert ends[0][1] == number


def test_raw_calls_of_another_length_are_left_to_python(module: Module, events: list[HostCall]) -> None:
    class Lying(Log):
        def call_log(self, number: int, size: int) -> tuple[CallLog, int] | None:
            found = super().call_log(number, size)
            if found is None:
                return None
            log, skipped = found
            broken = b"\xff" * 4 if len(self.asked) % 2 else b"\x00" * 4
            return replace(log, data=log.data[:-40] + broken + log.data[-36:-8]), skipped

    stop, _ = final(replaying(module, Lying(events)))
    assert stop.ending is not None and stop.ending.kind is EndKind.EXIT


# --- calls that no gate serves -----------------------------------------------------------------------


def test_floats_and_other_modules_are_answered_from_the_buffer() -> None:
    import wasmtime

    text = """(module (import "env" "mix" (func $mix (param f64 i32 f32) (result f64)))
        (memory (export "memory") 1)
        (func (export "_start") (local i32) (local f64)
         (loop (local.set 1 (call $mix (local.get 1) (local.get 0) (f32.const 1.5)))
          (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get 0) (i32.const 200))))
         (f64.store (i32.const 8) (local.get 1))))"""
    module = load_module(bytes(wasmtime.wat2wasm(text)))
    made: list[HostCall] = []

    class Mixing:
        def call(
            self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
        ) -> tuple[Value, ...]:
            results = (cast(int, arguments[0]) + 0x0010_0000_0000_0001,)
            data = bytes([len(made)]) * 9
            memories[0].view()[100:109] = data
            writes = (MemoryWrite(0, 100, data),)
            made.append(HostCall(len(made), position, function, arguments, results, writes))
            return results

        def seek(self, event: int) -> None: ...

    first = CompiledEngine(program(module), Mixing(), near=0, replaying=False)
    first.run(Goal())
    log = Log(made)
    engine = replaying(module, log)
    _, state = final(engine)
    assert len(made) == 200 and len(log.asked) < 5
    assert bytes(first.state.memories[0].view()) == bytes(engine.state.memories[0].view())
    assert state.next_event == 200
