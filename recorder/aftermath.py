"""Where exactly a run trapped, and with which frames on the stack.

The compiled engine loses the frames when it traps, and knows only the tick. So what was recorded is run
again, from the last snapshot on, answered from the log that has just been written; at the tick of the trap
the interpreter takes over and walks into it.

Imports base modules, `ttd.engine`, `ttd.wasm` and the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ttd.engine.protocol import Engine, Exhaustion, Goal, Host, HostExit, HostTrap, Program
from ttd.errors import InternalError, check
from ttd.events import HostCall, Outcome
from ttd.state import Memory, State
from ttd.store.trace import Trace
from ttd.types import Ending, Position, StopReason, TrapKind, Value


class LoggedHost:
    """A `ttd.engine.protocol.Host` that answers from the log of a recording, for the engine that made it.

    The log is our own, so a call that is not in it means that an engine is wrong: InternalError.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._next = 0

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        event = self._expected(function, arguments, position)
        for write in event.writes:
            memories[write.memory].view()[write.address : write.address + len(write.data)] = write.data
        self._next += 1
        if event.outcome is Outcome.EXITED:
            raise HostExit(event.code)
        if event.outcome is Outcome.TRAPPED:
            raise HostTrap(event.message)
        return event.results

    def _expected(self, function: int, arguments: tuple[Value, ...], position: Position) -> HostCall:
        if self._next < self._trace.event_count:
            event = self._trace.event(self._next)
            if (event.function, event.arguments) == (function, arguments) and event.position.agrees(position):
                return event
        raise InternalError(f"running again to the trap, host call {self._next} differs at {position}")

    def seek(self, event: int) -> None:
        self._next = event


def walk_into_trap(
    trace: Trace,
    program: Program,
    make_engine: Callable[[Program, Host], Engine],
    ending: Ending,
    look: Callable[[State], None],
) -> Ending:
    """The exact form of `ending`, a trap of which the tick is known.

    `trace` has everything up to there. `look` is called where it trapped.
    InternalError if it does not trap again.
    """
    tick = ending.position.tick
    if ending.trap is not None and ending.trap.kind is TrapKind.STACK_EXHAUSTED:
        program = replace(program, exhaustion=Exhaustion(tick, trace.event_count))
    engine = make_engine(program, LoggedHost(trace))
    try:
        # That of a lost end, at an inexact position, has no frames to go on from.
        usable = [info for info in trace.snapshots if info.position.is_exact and info.position.tick <= tick]
        if usable:
            engine.restore(trace.load_snapshot(usable[-1]))
        engine.run(Goal(until=Position(tick)))
        stop = engine.run(Goal(until=Position(tick + 1)))
        check(stop.reason is StopReason.ENDED, "the run did not trap again where it had trapped")
        exact = stop.ending or ending
        check(
            exact.position.is_exact and exact.trap == ending.trap, f"it trapped otherwise: {exact.describe()}"
        )
        look(engine.state)
        return exact
    finally:
        engine.close()
