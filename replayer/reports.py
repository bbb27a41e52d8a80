"""From where a motion landed to what the user is told about it.

May import base, wasm, debuginfo, expr, store and this package.
"""

from __future__ import annotations

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.stack import LiveFrame
from ttd.errors import ExpressionError
from ttd.expr import StateContext, format_bytes
from ttd.replayer.breakpoints import Armed, Table
from ttd.replayer.host import import_name
from ttd.replayer.inspect import Inspector
from ttd.replayer.motions import Hunt, Landing, Trigger
from ttd.replayer.session import Session
from ttd.replayer.views import BreakpointKind, StopKind, StopReport, WatchChange, Where
from ttd.types import Ending, EndKind, Position

BEGIN_MESSAGE = "No more reverse-execution history: this is the beginning of the recording."
INTERRUPTED_MESSAGE = "Interrupted."


class Reporter:
    """Makes stop reports. The machine stands at the landing that a report is made of."""

    def __init__(self, session: Session, debug: DebugInfo, table: Table, inspector: Inspector) -> None:
        self._session = session
        self._debug = debug
        self._table = table
        self._inspector = inspector

    # --- places --------------------------------------------------------------------------------------

    def percent(self, position: Position) -> float:
        """How much of the run lies before `position`, by ticks, and by steps in a run of one tick."""
        begin, end = self._session.begin, self._session.end
        if position >= end:
            return 100.0
        if end.tick > begin.tick:
            return 100.0 * (position.tick - begin.tick) / (end.tick - begin.tick)
        return 100.0 * (position.step - begin.step) / max(end.step - begin.step, 1)

    def where(self, level: int = 0) -> Where:
        """The place of a frame that there is, or of no frame where the run has returned."""
        state, stack = self._session.state, self._inspector.stack
        frame = stack[level] if stack.has(level) else None
        code = frame.code if frame is not None else None
        return Where(
            position=state.position,
            percent=self.percent(state.position),
            event=state.next_event,
            function=frame.name if frame is not None else None,
            function_index=code.function if code is not None else None,
            location=frame.location if frame is not None else None,
            pc=code.pc if code is not None else None,
            level=level,
            hidden=self._inspector.hidden,
            mid_line=frame is not None and self._is_mid_line(frame),
        )

    def _is_mid_line(self, frame: LiveFrame) -> bool:
        """Whether a frame stands elsewhere than at the start of a line, or at an inlined call."""
        code = frame.code
        if frame.location is None or frame.depth:
            return False
        return code.pc not in self._debug.line_starts(code.function)

    # --- reports -------------------------------------------------------------------------------------

    def report(
        self, landing: Landing, hunt: Hunt, aim: StopKind = StopKind.MOVED, reverse: bool = False
    ) -> StopReport:
        """The report of a motion that was to come to `aim`, and landed here."""
        triggers = landing.triggers
        armed = {trigger.number: self._table.get(trigger.number) for trigger in triggers}
        changes = tuple(
            self._change(armed[trigger.number], trigger) for trigger in triggers if trigger.hit is not None
        )
        reason, message = self._reason(landing, armed, aim, reverse)
        told = [self._told(armed[trigger.number], trigger, changes) for trigger in triggers]
        report = StopReport(
            reason=reason,
            where=self.where(),
            message="\n\n".join(text for text in (*told, message) if text),
            breakpoints=tuple(dict.fromkeys(trigger.number for trigger in triggers)),
            changes=changes,
            call=hunt.call_here(),
            ending=self._session.ending if landing.at_end else None,
        )
        for trigger in triggers:
            self._drop_temporary(trigger)
        return report

    def interrupted(self, hunt: Hunt) -> StopReport:
        """The report of a motion that the user interrupted."""
        return StopReport(StopKind.INTERRUPTED, self.where(), INTERRUPTED_MESSAGE, call=hunt.call_here())

    def _drop_temporary(self, trigger: Trigger) -> None:
        known = {view.number for view in self._table.views()}
        if trigger.number in known and not trigger.scope:
            self._table.drop_temporary(trigger.number)

    def _reason(
        self, landing: Landing, armed: dict[int, Armed], aim: StopKind, reverse: bool
    ) -> tuple[StopKind, str]:
        """The first reason that holds, and what to say about the end or begin that was reached."""
        ending = self._session.ending
        end = _end_message(ending) if landing.at_end and not reverse else ""
        hits = [trigger for trigger in landing.triggers if not trigger.scope]
        kinds = {armed[trigger.number].view.kind for trigger in hits}
        for kind, reason in _REASONS.items():
            if kind in kinds:
                return reason, end
        if landing.triggers:
            return StopKind.SCOPE, end
        if landing.at_end and not reverse:
            is_known = ending.kind in (EndKind.EXIT, EndKind.TRAP)
            return (StopKind.ENDED if is_known else StopKind.END_OF_TRACE), end
        if not landing.own and reverse and landing.position <= self._session.begin:
            return StopKind.BEGIN, BEGIN_MESSAGE
        return aim, end

    # --- words ---------------------------------------------------------------------------------------

    def _change(self, armed: Armed, trigger: Trigger) -> WatchChange:
        hit = trigger.hit
        old, new = (hit.old, hit.new) if hit is not None else (b"", b"")
        return WatchChange(armed.number, armed.view.what, self._value(armed, old), self._value(armed, new))

    def _value(self, armed: Armed, data: bytes) -> str:
        """Watched bytes as a value of the watched type, or as bytes."""
        if armed.watchable is not None:
            try:
                context = StateContext(self._session.state, self._debug)
                return format_bytes(armed.watchable.type, data, context)
            except ExpressionError:
                pass
        return data.hex(" ")

    def _told(self, armed: Armed, trigger: Trigger, changes: tuple[WatchChange, ...]) -> str:
        if trigger.scope:
            return _scope_message(armed, trigger)
        lines = [trigger.error] if trigger.error else []
        if armed.view.kind is BreakpointKind.CODE:
            lines.append(f"{'Temporary breakpoint' if armed.view.temporary else 'Breakpoint'} {armed.number}")
        elif armed.view.kind is BreakpointKind.CATCH:
            lines.append(f"Catchpoint {armed.number} ({self._caught(armed)})")
        else:
            lines += [f"Watchpoint {armed.number}: {armed.view.what}", ""]
            change = next(change for change in changes if change.number == armed.number)
            lines += [f"Old value = {change.old}", f"New value = {change.new}"]
        return "\n".join(lines)

    def _caught(self, armed: Armed) -> str:
        if armed.view.traps:
            return self._session.ending.describe()
        frames, trace = self._session.state.frames, self._session.trace
        number = self._session.state.next_event
        if not frames or number >= trace.event_count:
            return armed.view.what
        return f"call to {import_name(self._session.module, trace.event(number).function)}"


_REASONS = {
    BreakpointKind.CODE: StopKind.BREAKPOINT,
    BreakpointKind.WATCH: StopKind.WATCHPOINT,
    BreakpointKind.CATCH: StopKind.CATCHPOINT,
}


def _scope_message(armed: Armed, trigger: Trigger) -> str:
    """What to say where the frame that a watchpoint belongs to begins or has ended."""
    function = armed.view.scope_function or "its function"
    happened = "is entered" if trigger.scope == "begins" else "has been left"
    return (
        f"Watchpoint {armed.number}: {armed.view.what}\n\n"
        f"The frame of {function} in which it lives {happened} here."
    )


def _end_message(ending: Ending) -> str:
    """What to say at the end of a recording."""
    if ending.kind is EndKind.EXIT:
        return f"[The program exited with code {ending.code}.]"
    if ending.kind is EndKind.TRAP:
        return f"[The program trapped: {ending.trap}.]"
    return f"[The recording ends here: it was {ending.kind.value}.]"
