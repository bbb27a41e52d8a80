"""Which scopes of a function an instruction lies in: blocks, and subroutines inlined there (DWARF 5, 3.3.8).

Optimised functions have thousands of scopes, in many pieces each; so their ranges are laid out side by side
once, and looking up is a binary search.

May import base and pyelftools.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from ttd.debuginfo.units import Entry, Range, Unit, number_of
from ttd.types import Location

BLOCKS = frozenset({"DW_TAG_lexical_block", "DW_TAG_try_block", "DW_TAG_catch_block"})
INLINED = "DW_TAG_inlined_subroutine"
MAX_DEPTH = 200
"""Nested scopes that are looked into."""


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


def call_site(entry: Entry, unit: Unit) -> Location | None:
    """The place that an inlined subroutine is called from."""
    line = number_of(entry.die, "DW_AT_call_line")
    if not line or unit.lines is None:
        return None
    path = unit.lines.path(number_of(entry.die, "DW_AT_call_file") or 0)
    return Location(path, line, number_of(entry.die, "DW_AT_call_column") or 0) if path else None


class Nesting:
    """The scopes of one function by address. `function` is its entry."""

    def __init__(self, function: Entry, unit: Unit) -> None:
        self._starts: list[int] = []
        self._innermost: list[Entry | None] = []
        for address, scope in _sweep(list(_ranges_below(function, unit))):
            self._starts.append(address)
            self._innermost.append(scope)

    def at(self, address: int) -> list[Entry]:
        """The scopes around a DWARF address below the function itself, outermost first."""
        index = bisect_right(self._starts, address) - 1
        scope = self._innermost[index] if index >= 0 else None
        path: list[Entry] = []
        while scope is not None and (scope.tag in BLOCKS or scope.tag == INLINED):
            path.append(scope)
            scope = scope.parent
        return path[::-1]


_Piece = tuple[int, int, int, Entry]
"""First address, end, depth, scope."""


def _ranges_below(function: Entry, unit: Unit) -> Iterator[_Piece]:
    nothing: list[Range] = []
    pending = [(function, 1)]
    while pending:
        around, depth = pending.pop()
        for scope in around.children:
            if scope.tag in BLOCKS or scope.tag == INLINED:
                what = f"scope at {scope.die.offset:#x}"
                ranges = unit.units.problems.attempt(what, partial(unit.ranges_of, scope.die), nothing)
                yield from ((low, high, depth, scope) for low, high in ranges)
                if depth < MAX_DEPTH:
                    pending.append((scope, depth + 1))


def _sweep(ranges: list[_Piece]) -> Iterator[tuple[int, Entry | None]]:
    """From each address on the deepest of `ranges` that holds it, up to the next address that is given."""
    ranges.sort(key=lambda piece: piece[0])
    boundaries = sorted({address for low, high, _, _ in ranges for address in (low, high)})
    open_: list[tuple[int, int, int, Entry]] = []  # deepest first: -depth, number, end, scope
    following = 0
    for address in boundaries:
        while following < len(ranges) and ranges[following][0] <= address:
            _, end, depth, scope = ranges[following]
            heapq.heappush(open_, (-depth, following, end, scope))
            following += 1
        while open_ and open_[0][2] <= address:
            heapq.heappop(open_)
        yield address, open_[0][3] if open_ else None
