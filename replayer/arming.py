"""Making breakpoints, watchpoints and catchpoints of what a user says, and putting them into the table.

May import base, wasm, engine, debuginfo, expr and this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.stack import SourceStack
from ttd.errors import ExpressionError, UsageError
from ttd.expr import Expression, StateContext, check_names, lvalue_range, parse
from ttd.replayer.breakpoints import Armed, Table, parse_condition, parse_range
from ttd.replayer.hostcalls import imports_called
from ttd.replayer.inspect import Inspector
from ttd.replayer.memory import MemoryInspector
from ttd.replayer.session import Session
from ttd.replayer.views import Breakpoint, BreakpointKind, Place
from ttd.state import Frame

MOST_WATCHED = 1 << 20
"""Bytes that one watchpoint may cover."""


class Armer:
    """Arms what is to stop motions. All methods raise ExpressionError for a condition that does not parse."""

    def __init__(
        self, session: Session, debug: DebugInfo, table: Table, inspector: Inspector, memory: MemoryInspector
    ) -> None:
        self._session = session
        self._debug = debug
        self._table = table
        self._inspector = inspector
        self._memory = memory

    def code(
        self,
        what: str,
        places: Sequence[Place],
        note: str = "",
        condition: str | None = None,
        temporary: bool = False,
        ignore: int = 0,
    ) -> Breakpoint:
        """A breakpoint at `places`, of which a user says `what`.

        Raises ExpressionError, too, if the condition names what is unknown at all of them.
        """
        parsed = parse_condition(condition)
        self._check_condition(parsed, places)
        view = Breakpoint(
            0,
            BreakpointKind.CODE,
            what,
            temporary=temporary,
            condition=condition if parsed is not None else None,
            ignore=max(ignore, 0),
            places=tuple(places),
            note=note,
        )
        return self._add(Armed(view, parsed))

    def watch(self, expression: str, any_write: bool, condition: str | None) -> Breakpoint:
        """A watchpoint on what `expression` names now; see `Debugger.watch`."""
        parsed = parse_condition(condition)
        watched = self._watched(expression)
        said = condition if parsed is not None else None
        view = replace(watched.view, any_write=any_write, condition=said)
        return self._add(replace(watched, condition=parsed, view=view))

    def catch(self, what: str, names: Sequence[str], condition: str | None) -> Breakpoint:
        """A catchpoint; see `Debugger.catch`."""
        parsed = parse_condition(condition)
        if what not in ("call", "syscall", "trap"):
            raise UsageError(f"cannot catch {what!r}: it is `catch call [NAME...]` or `catch trap`")
        traps = what == "trap"
        if traps and names:
            raise UsageError("`catch trap` takes no names")
        view = Breakpoint(
            0,
            BreakpointKind.CATCH,
            " ".join(["trap" if traps else "call", *names]),
            condition=condition if parsed is not None else None,
            calls=frozenset() if traps else imports_called(self._session.module, names),
            traps=traps,
        )
        return self._add(Armed(view, parsed))

    def condition(self, number: int, condition: str | None) -> Breakpoint:
        """Set or (None) remove the condition of a breakpoint. Raises UsageError if there is no such one."""
        self._check_condition(parse_condition(condition), self._table.get(number).view.places)
        return self._table.condition(number, condition)

    def _add(self, armed: Armed) -> Breakpoint:
        return self._table.add(lambda number: replace(armed, view=replace(armed.view, number=number)))

    def _check_condition(self, condition: Expression | None, places: Sequence[Place]) -> None:
        """Raise ExpressionError if `condition` has a name that is unknown at all of `places`."""
        if condition is None:
            return
        state, problem = self._session.state, None
        for place in places:
            if place.location is None:
                return
            frames = [Frame(place.function, place.pc, [], [], state.position)]
            stack = SourceStack(frames, self._debug, place.hidden)
            try:
                check_names(condition, StateContext(replace(state, frames=frames), self._debug, stack=stack))
                return
            except ExpressionError as error:
                problem = error
        if problem is not None:
            raise problem

    def _watched(self, expression: str) -> Armed:
        """A watchpoint without a number on what `expression` names now."""
        raw = parse_range(expression)
        view = Breakpoint(0, BreakpointKind.WATCH, expression.strip())
        if raw is not None:
            address, length = raw
            self._check_watched(0, address, length)
            return Armed(replace(view, address=address, length=length))
        watchable = lvalue_range(parse(expression), self._inspector.context)
        self._check_watched(watchable.memory, watchable.address, watchable.length)
        view = replace(view, memory=watchable.memory, address=watchable.address, length=watchable.length)
        if watchable.frame_local:
            frame = self._inspector.frame()
            view = replace(view, scope=frame.code.entry, scope_function=frame.name)
        return Armed(view, watchable=watchable)

    def _check_watched(self, memory: int, address: int, length: int) -> None:
        if not 0 < length <= MOST_WATCHED:
            raise UsageError(f"cannot watch {length} bytes; it must be 1 to {MOST_WATCHED}")
        self._memory.read(address, length, memory)
