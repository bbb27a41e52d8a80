"""The conditions of breakpoints: asked where the machine rests, and compiled for probes to ask on the way.

May import base, wasm, engine, debuginfo, expr and this package.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from ttd.debuginfo.info import DebugInfo
from ttd.debuginfo.stack import SourceStack
from ttd.engine.protocol import CodeProbe, Probe
from ttd.errors import ExpressionError
from ttd.expr import Expression, StateContext, compile_any, evaluate
from ttd.replayer.breakpoints import Armed, condition_error
from ttd.replayer.session import Session
from ttd.wasm.predicate import Predicate


class Conditions:
    """The conditions that are asked in one motion."""

    def __init__(self, session: Session, debug: DebugInfo) -> None:
        self._session = session
        self._debug = debug
        self._compiled: dict[tuple[CodeProbe, tuple[tuple[Expression, int], ...]], Predicate | None] = {}
        self.errors: dict[int, str] = {}
        """By number of the breakpoint, why its condition could not be told when it was asked last."""

    def holds(self, armed: Armed) -> bool:
        """Whether the condition of `armed` holds in the state now. One that cannot be told does."""
        if armed.condition is None:
            return True
        try:
            return evaluate(armed.condition, self._context(armed)).is_true()
        except ExpressionError as error:
            self.errors[armed.number] = condition_error(armed, error)
            return True

    def _context(self, armed: Armed) -> StateContext:
        """The innermost frame; for a breakpoint at an inlined call, the one that makes the call."""
        state = self._session.top
        hidden = _hidden(armed, state.frames[-1].pc) if state.frames else 0
        return StateContext(state, self._debug, stack=SourceStack(state.frames, self._debug, hidden))

    def sieve(
        self, armed_by_probe: Mapping[Probe, Sequence[Armed]], own: Container[Probe]
    ) -> tuple[dict[CodeProbe, Predicate], bool]:
        """What can be asked in compiled code; and whether that leaves no hit at which a condition is false.

        A probe is not asked where it is one of `own`, or that of a breakpoint without a condition.
        """
        found: dict[CodeProbe, Predicate] = {}
        is_complete = True
        for probe, concerned in armed_by_probe.items():
            asked = [armed for armed in concerned if armed.condition is not None]
            if probe in own or len(asked) < len(concerned):
                continue
            predicate = self._predicate(probe, asked) if isinstance(probe, CodeProbe) else None
            if predicate is None or not isinstance(probe, CodeProbe):
                is_complete = False
            else:
                found[probe] = predicate
                is_complete &= predicate.is_complete
        return found, is_complete

    def _predicate(self, probe: CodeProbe, asked: Sequence[Armed]) -> Predicate | None:
        conditions = tuple(
            (armed.condition, _hidden(armed, probe.pc)) for armed in asked if armed.condition is not None
        )
        key = probe, conditions
        if key not in self._compiled:
            function, pc = probe.function, probe.pc

            def is_known(local: int) -> bool:
                return self._session.is_known(function, pc, local)

            self._compiled[key] = compile_any(conditions, self._debug, function, pc, is_known)
        return self._compiled[key]


def _hidden(armed: Armed, pc: int) -> int:
    """How many inlined frames are hidden where a breakpoint stops at `pc`."""
    place = armed.place_at(pc)
    return place.hidden if place is not None else 0
