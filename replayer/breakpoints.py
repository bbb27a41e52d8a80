"""Breakpoints, watchpoints and catchpoints: what the user set, and the places it stands for.

A breakpoint is known here by its places (functions and byte offsets; `resolve` finds them), a watchpoint by
its bytes and the frame it belongs to, a catchpoint by the imports it names. Nothing here runs the machine:
`motions` makes probes of the armed ones and asks `Table.decide` whether a hit is to stop.

May import base, engine, expr and this package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ttd.engine.protocol import CodeProbe, FrameProbe, Probe, WatchProbe
from ttd.errors import ExpressionError, UsageError
from ttd.expr import Expression, Watchable, parse
from ttd.replayer.views import Breakpoint, BreakpointKind, Place


@dataclass(frozen=True, slots=True)
class Armed:
    """A breakpoint with what is needed to recognise its hits."""

    view: Breakpoint
    condition: Expression | None = None
    watchable: Watchable | None = None
    watched: Expression | None = None

    @property
    def number(self) -> int:
        return self.view.number

    def code_probes(self) -> tuple[CodeProbe, ...]:
        """The probes of a code breakpoint."""
        return tuple(CodeProbe(place.function, place.pc) for place in self.view.places)

    def place_at(self, pc: int) -> Place | None:
        """The place of a code breakpoint that is at `pc`."""
        return next((place for place in self.view.places if place.pc == pc), None)

    def watch_probe(self) -> WatchProbe | None:
        """The probe of a watchpoint."""
        view = self.view
        if view.kind is not BreakpointKind.WATCH:
            return None
        return WatchProbe(view.memory, view.address, view.length, not view.any_write)

    def exit_probe(self) -> FrameProbe | None:
        """For a watchpoint on a variable of a frame: the probe that hits where that frame is gone."""
        if self.view.scope is None:
            return None
        return FrameProbe(self.view.scope, frozenset(), on_exit=True)

    def probes(self, is_alive: bool) -> Iterator[Probe]:
        """All probes. A watchpoint whose frame is not alive has none."""
        yield from self.code_probes()
        watch, exit_ = self.watch_probe(), self.exit_probe()
        if watch is not None and (exit_ is None or is_alive):
            yield watch
        if exit_ is not None and is_alive:
            yield exit_


class Table:
    """All breakpoints by number; numbers are never used twice."""

    def __init__(self) -> None:
        self._armed: dict[int, Armed] = {}
        self._next = 1

    def views(self) -> list[Breakpoint]:
        """All breakpoints as the user sees them."""
        return [armed.view for armed in self._armed.values()]

    def active(self) -> list[Armed]:
        """Those that are enabled."""
        return [armed for armed in self._armed.values() if armed.view.enabled]

    def get(self, number: int) -> Armed:
        """Raises UsageError if there is no such breakpoint."""
        if number not in self._armed:
            raise UsageError(f"no breakpoint number {number}; `info breakpoints` lists them")
        return self._armed[number]

    def add(self, make: Callable[[int], Armed]) -> Breakpoint:
        """Add what `make` makes for the next free number."""
        armed = make(self._next)
        self._armed[self._next] = armed
        self._next += 1
        return armed.view

    def delete(self, number: int | None) -> None:
        """Delete one, or (None) all. Raises UsageError."""
        if number is None:
            self._armed.clear()
        else:
            del self._armed[self.get(number).number]

    def enable(self, number: int | None, enabled: bool) -> None:
        """Enable or disable one, or (None) all. Raises UsageError."""
        for each in list(self._armed) if number is None else [number]:
            self._change(each, enabled=enabled)

    def ignore(self, number: int, count: int) -> Breakpoint:
        """Let the next `count` hits of one pass. Raises UsageError."""
        if count < 0:
            count = 0
        return self._change(number, ignore=count)

    def condition(self, number: int, text: str | None) -> Breakpoint:
        """Set or remove a condition. Raises UsageError, ExpressionError."""
        condition = parse_condition(text)
        view = self._change(number, condition=text if condition is not None else None)
        self._armed[number] = replace(self._armed[number], condition=condition)
        return view

    def decide(self, number: int) -> bool:
        """Count a hit of breakpoint `number`; whether it is to stop, or to be ignored."""
        view = self.get(number).view
        if view.ignore > 0:
            self._change(number, ignore=view.ignore - 1, hits=view.hits + 1)
            return False
        self._change(number, hits=view.hits + 1)
        return True

    def drop_temporary(self, number: int) -> None:
        """Delete breakpoint `number` if it was meant for one stop."""
        if self.get(number).view.temporary:
            del self._armed[number]

    def _change(self, number: int, **changes: object) -> Breakpoint:
        armed = self.get(number)
        view = replace(armed.view, **changes)  # type: ignore[arg-type]
        self._armed[number] = replace(armed, view=view)
        return view


def parse_condition(text: str | None) -> Expression | None:
    """The condition written as `text`, None for none; a leading ``if`` is allowed. Raises ExpressionError."""
    if text is None or not text.strip():
        return None
    return parse(re.sub(r"^\s*if\b", "", text).strip())


def parse_range(text: str) -> tuple[int, int] | None:
    """(address, length) of a watch on raw bytes, ``0x1234, 8``; None if `text` is something else."""
    match = re.fullmatch(rf"\s*({_NUMBER})\s*,\s*({_NUMBER})\s*", text)
    return None if match is None else (parse_number(match[1]), parse_number(match[2]))


_NUMBER = r"0[xX][0-9a-fA-F]{1,16}|\d{1,20}"


def parse_number(text: str) -> int:
    """The number written as decimal or ``0x`` hexadecimal; raises ValueError for anything else."""
    if re.fullmatch(_NUMBER, text) is None:
        raise ValueError(text)
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def condition_error(armed: Armed, error: ExpressionError) -> str:
    """What to tell when the condition of a breakpoint cannot be evaluated: the breakpoint then stops."""
    return f"Error in testing condition of breakpoint {armed.number}: {error}"
