"""A replay in its simplest form: the interpreter, answered from the log. The proof of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ttd.debuginfo.framebases import always_live
from ttd.engine.protocol import EndOfLog, Goal, HostExit, HostTrap, Invocation, Limits, Program
from ttd.engine.validate import load_module
from ttd.events import HostCall, Outcome
from ttd.instrument.dead import DeadLocals
from ttd.interpreter import Interpreter
from ttd.state import Memory, Snapshot
from ttd.store.trace import Trace
from ttd.types import EndKind, Position, StopReason, Value


class LogHost:
    """Answers host calls from a list of events, and fails unless they are the recorded ones."""

    def __init__(self, events: Sequence[HostCall]) -> None:
        self._events = events
        self._next = 0

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        if self._next == len(self._events):
            raise EndOfLog
        event = self._events[self._next]
        assert (event.function, event.arguments) == (function, arguments)
        assert event.position.agrees(position)
        assert event.number == self._next
        for read in event.reads:
            found = memories[read.memory].view()[read.address : read.address + len(read.data)]
            assert bytes(found) == read.data
        self._next += 1
        for write in event.writes:
            memories[write.memory].view()[write.address : write.address + len(write.data)] = write.data
        if event.outcome is Outcome.EXITED:
            raise HostExit(event.code)
        if event.outcome is Outcome.TRAPPED:
            raise HostTrap(event.message)
        return event.results

    def seek(self, event: int) -> None:
        self._next = event


def replay(trace: Trace) -> int:
    """Replay a whole trace, comparing every snapshot and the ending; how many snapshots there were."""
    calls = tuple(Invocation(item.function, item.arguments) for item in trace.manifest.invocations)
    limits = trace.manifest.limits
    program = Program(
        load_module(trace.module),
        calls,
        Limits(limits.call_depth, limits.memory_pages, limits.table_elements),
    )
    engine = Interpreter(program, LogHost(list(trace.events())))
    dead = DeadLocals(program.module, always_live(program.module))
    try:
        for info in trace.snapshots:
            if info.position != trace.ending.position:
                engine.run(Goal(until=info.position))
                _compare(engine, trace.load_snapshot(info), dead)
        interrupted = trace.ending.kind in (EndKind.INTERRUPTED, EndKind.CUT_OFF)
        stop = engine.run(Goal(until=trace.ending.position if interrupted else None))
        assert stop.position.agrees(trace.ending.position)
        if not interrupted:
            assert stop.reason is StopReason.ENDED
            assert stop.ending == replace(trace.ending, position=stop.position)
        for info in trace.snapshots:
            if info.position == trace.ending.position:
                _compare(engine, trace.load_snapshot(info), dead)
    finally:
        engine.close()
    return len(trace.snapshots)


def _compare(engine: Interpreter, recorded: Snapshot, dead: DeadLocals) -> None:
    """The states are equal but for dead locals, and for what nobody knows at an end known to the tick."""
    replayed = Snapshot.capture(engine.state)
    assert replayed.position.agrees(recorded.position)
    if not recorded.position.is_exact:
        recorded = replace(recorded, position=replayed.position, frames=replayed.frames)
    assert _without(dead, replayed).digest() == _without(dead, recorded).digest()


def _without(dead: DeadLocals, snapshot: Snapshot) -> Snapshot:
    frames = tuple(frame.copy() for frame in snapshot.frames)
    dead.clear(frames)
    return replace(snapshot, frames=frames)
