"""Inlined calls: which functions of the source an instruction belongs to (DWARF 5, 3.3.8).

May import base and pyelftools.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from ttd.debuginfo.units import Entry, Range, Unit, number_of
from ttd.types import Location

if TYPE_CHECKING:
    from ttd.debuginfo.scopes import VariableReader

MAX_DEPTH = 1000
"""Nested scopes that are looked into: more can only be damage."""


class SourceFrame(NamedTuple):
    """A function of the source that an instruction belongs to, and where in it the instruction stands."""

    name: str
    """The function, as `DebugInfo.function_name` gives it."""
    location: Location | None
    """The line: of the instruction in the innermost frame, of the inlined call in the others."""
    is_inlined: bool
    """Whether the function was put into the next frame, rather than called from it."""
    entry: int
    """The offset of the frame's debugging entry, which tells inlined calls apart; 0 where there is none."""


class InlinedCall(NamedTuple):
    """A call in whose place the compiler put the body of the function."""

    name: str
    call: Location | None
    """Where the call stands in the source."""
    ranges: tuple[Range, ...]
    """The code that came of it, as DWARF addresses."""
    entry: int


class InlinedCalls:
    """The inlined calls of one function with code."""

    def __init__(self, entry: Entry, unit: Unit, reader: VariableReader) -> None:
        self._entry = entry
        self._unit = unit
        self._reader = reader

    def at(self, address: int) -> list[InlinedCall]:
        """The inlined calls that the instruction at a DWARF address came from, outermost first."""
        return [call for call in self.all if any(low <= address < high for low, high in call.ranges)]

    @cached_property
    def all(self) -> list[InlinedCall]:
        """All of them; those inside others behind those."""
        problems = self._unit.units.problems
        calls = [
            problems.attempt(f"inlined call at {entry.die.offset:#x}", partial(self._read, entry), None)
            for entry in self._entries()
        ]
        return [call for call in calls if call is not None]

    def _entries(self) -> Iterator[Entry]:
        """The inlined subroutines below the function, each behind those around it."""
        pending = [(child, 0) for child in reversed(self._entry.children)]
        while pending:
            entry, depth = pending.pop()
            if entry.tag == "DW_TAG_inlined_subroutine":
                yield entry
            if depth < MAX_DEPTH and entry.tag != "DW_TAG_subprogram":  # that would be a function of its own
                pending += [(child, depth + 1) for child in reversed(entry.children)]

    def _read(self, entry: Entry) -> InlinedCall:
        line = number_of(entry.die, "DW_AT_call_line")
        lines = self._unit.lines
        path = lines.path(number_of(entry.die, "DW_AT_call_file") or 0) if lines is not None else ""
        column = number_of(entry.die, "DW_AT_call_column") or 0
        call = Location(path, line, column) if path and line is not None else None
        ranges = tuple(self._unit.ranges_of(entry.die))
        return InlinedCall(self._reader.function_name(entry), call, ranges, entry.die.offset)
