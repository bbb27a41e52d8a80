"""The places of one function at which a motion by source lines can stop, inlined functions considered.

A place is an instruction at which another line begins, or the line of another inlined function. Arriving
there is one `LineStop` or several: where an inlined function begins, one stands first at its call, in the
function around it, and then in its first line, without any instruction in between. So a stop is a place and
how many frames are still hidden there (see `ttd.debuginfo.stack`); at one place, the stop with the most
hidden frames comes first.

**Starts and continuations.** Code of a line often comes in pieces, with that of inlined functions between
them: what the line does before the call, the inlined code, what it does with the result. The first piece
*starts* the line, and every arrival there is a stop. The others *continue* it: a stop only for who was last
elsewhere, such as in the inlined function; who has just stepped over the call is still in that line.
Which is which is read off the order of the code.

**Where an inlined function begins** is the first of its places in the order of the code. One that is come
to again from inside, as the top of the function's own loop is, is no call.

May import base, wasm, debuginfo.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from ttd.debuginfo.info import DebugInfo
from ttd.debuginfo.inlining import SourceFrame
from ttd.wasm.model import Module
from ttd.wasm.typing import Typing, land, type_function


class SourceLine(NamedTuple):
    """A line of a function: in `scope`, which tells inlined calls apart (`SourceFrame.entry`)."""

    scope: int
    path: str
    line: int


class LineStop(NamedTuple):
    """An arrival at a line. `hidden` frames have not been entered yet."""

    hidden: int
    line: SourceLine
    is_start: bool


@dataclass(frozen=True, slots=True)
class _Place:
    scopes: tuple[int, ...]
    """The functions at work there, innermost first."""
    stops: tuple[LineStop, ...]
    """In the order in which they are come to."""

    def counted(self, last: SourceLine | None) -> Iterator[LineStop]:
        """The stops of who was last in the line `last` of this WebAssembly frame, or (None) elsewhere."""
        for stop in self.stops:
            if stop.is_start or stop.line != last:
                yield stop
                last = stop.line

    def outside(self, scope: int) -> int:
        """The fewest frames that are hidden where one has not entered a call of `scope`: 0 outside of it."""
        return self.scopes.index(scope) + 1 if scope in self.scopes else 0

    def is_outside(self, scope: int) -> bool:
        """Whether who arrives here is outside of `scope`, be it at its call."""
        return self.stops[0].hidden >= self.outside(scope)


class Places:
    """The places of one function, by pc. Without line information there are none."""

    def __init__(self, module: Module, debug: DebugInfo, function: int) -> None:
        self._places = dict(_Reader(module, debug, function).read())

    def __contains__(self, pc: int) -> bool:
        return pc in self._places

    @cached_property
    def starts(self) -> frozenset[int]:
        """The places at which a line starts."""
        return frozenset(
            pc for pc, place in self._places.items() if any(stop.is_start for stop in place.stops)
        )

    def stops_at(self, pc: int, last: SourceLine | None = None) -> list[LineStop]:
        """The stops at a place, for who was last in the line `last`, or (None) in another frame."""
        place = self._places.get(pc)
        return list(place.counted(last)) if place is not None else []

    def lines_at(self, pc: int) -> tuple[LineStop, ...]:
        """All lines that are arrived at in `pc`."""
        place = self._places.get(pc)
        return place.stops if place is not None else ()

    @cached_property
    def arrivals(self) -> dict[int, int]:
        """All places, and what is hidden there for who comes from another frame."""
        return {pc: place.stops[0].hidden for pc, place in self._places.items()}

    def after(self, last: SourceLine | None) -> frozenset[int]:
        """Where a step from the line `last` (None: of another frame) may stop in this WebAssembly frame."""
        return frozenset(
            pc for pc, place in self._places.items() if next(place.counted(last), None) is not None
        )

    def over_calls(self, last: SourceLine) -> dict[int, int]:
        """Where a step from the line `last` over calls, inlined ones too, may stop; what is hidden there."""
        found: dict[int, int] = {}
        for pc, place in self._places.items():
            inside = max(place.outside(last.scope) - 1, 0)
            stops = [stop for stop in place.counted(last) if stop.hidden >= inside]
            if stops:
                found[pc] = stops[0].hidden
        return found

    def outside(self, scope: int) -> dict[int, int]:
        """Where one is outside of `scope`, or at its call; and what is hidden there."""
        return {pc: place.stops[0].hidden for pc, place in self._places.items() if place.is_outside(scope)}

    def inside(self, scope: int) -> frozenset[int]:
        """The places in a call of `scope`."""
        return frozenset(pc for pc, place in self._places.items() if scope in place.scopes)

    def start_in(self, scope: int, pc: int) -> LineStop | None:
        """The start of a line of `scope` at `pc`."""
        return next((stop for stop in self.lines_at(pc) if stop.is_start and stop.line.scope == scope), None)

    def call_of(self, scope: int) -> tuple[int, int] | None:
        """The place at which an inlined function is called, and what is hidden there.

        None where its first place is come to from inside, too.
        """
        return next(
            (
                (pc, place.outside(scope))
                for pc, place in self._places.items()
                if scope in place.scopes and place.is_outside(scope)
            ),
            None,
        )


class _Reader:
    """Finds the places of a function."""

    def __init__(self, module: Module, debug: DebugInfo, index: int) -> None:
        self._debug = debug
        self._index = index
        self._function = module.functions[index]
        self._module = module
        self._frames: dict[int, list[SourceFrame]] = {}
        self._seen: set[int] = set()

    @cached_property
    def _typing(self) -> Typing:
        return type_function(self._module, self._function)

    def read(self) -> Iterator[tuple[int, _Place]]:
        current: dict[int, SourceLine] = {}
        for pc, line in sorted(self._without_forerunners(self._lines()).items()):
            frames = self._frames_at(pc)
            lines = [*reversed(list(self._calls(pc, frames))), (0, line)]
            stops = tuple(LineStop(hidden, line, current.get(line.scope) != line) for hidden, line in lines)
            scopes = tuple(frame.entry for frame in frames)
            current.update((line.scope, line) for _, line in lines)
            current = {scope: current[scope] for scope in scopes if scope in current}
            self._seen.update(scopes)
            yield pc, _Place(scopes, stops)

    def _frames_at(self, pc: int) -> list[SourceFrame]:
        if pc not in self._frames:
            self._frames[pc] = self._debug.source_frames(pc)
        return self._frames[pc]

    def _lines(self) -> dict[int, SourceLine]:
        """The instructions behind the prologue at which the line or the innermost function changes.

        The first one is where breakpoints at the function are.
        """
        rows = self._debug.statements(self._index) if self._function.body is not None else []
        first = self._debug.breakpoint_pc(self._index) if rows else None
        landed = land(self._function, first) if first is not None else None
        if landed is None:
            return {}
        location, frames = self._debug.location(landed), self._frames_at(landed)
        path, line = (location.path, location.line) if location is not None else ("", 0)
        previous = SourceLine(frames[0].entry, path, line)
        lines = {landed: previous}
        for pc, path, line in rows:
            if pc > landed:
                here = SourceLine(self._frames_at(pc)[0].entry, path, line)
                if here != previous:
                    lines[pc] = here
                previous = here
        return lines

    def _without_forerunners(self, lines: dict[int, SourceLine]) -> dict[int, SourceLine]:
        """`lines` without the places that lead straight to another place of the same line.

        The step of a ``for`` has a row of its own, from which the loop goes back to the row of its condition:
        that is one arrival at the line. Dropping the place, not the arrival, keeps stops a matter of places.
        """
        if len(set(lines.values())) == len(lines):
            return lines
        kept = set(lines)
        for pc in sorted(lines, reverse=True)[:-1]:  # the first one is where breakpoints at the function are
            following = _next_of(self._typing, pc, kept)
            if following is not None and following != pc and lines[following] == lines[pc]:
                kept.remove(pc)
        return {pc: lines[pc] for pc in kept}

    # --- inlined functions ---------------------------------------------------------------------------

    def _calls(self, pc: int, frames: Sequence[SourceFrame]) -> Iterator[tuple[int, SourceLine]]:
        """Of the inlined functions that begin at `pc`, innermost first: what is hidden, and the call."""
        for hidden, (callee, caller) in enumerate(pairwise(frames), 1):
            if callee.entry in self._seen or self._is_come_back_to(pc, callee.entry):
                return
            if caller.location is not None:
                yield hidden, SourceLine(caller.entry, caller.location.path, caller.location.line)

    def _is_come_back_to(self, pc: int, scope: int) -> bool:
        """Whether `pc` is in a loop of which all rounds begin from inside `scope`."""
        typing = self._typing
        index = bisect_left(typing.instructions, pc, key=lambda instruction: instruction.offset)
        number = typing.control_of[index]
        while number > 0:
            rounds = self._rounds.get(number)
            if rounds and all(self._is_inside(pc, scope) for pc in rounds):
                return True
            number = typing.controls[number].parent
        return False

    def _is_inside(self, pc: int, scope: int) -> bool:
        return any(frame.entry == scope for frame in self._frames_at(pc))

    @cached_property
    def _rounds(self) -> dict[int, list[int]]:
        """The instructions that go back to the top of each loop, by the number of the loop."""
        typing, found = self._typing, dict[int, list[int]]()
        for index, instruction in enumerate(typing.instructions):
            if instruction.op.mnemonic in _BRANCHES:
                for depth in _depths(instruction.immediates):
                    control = typing.label(index, depth)
                    if control.is_loop:
                        found.setdefault(control.number, []).append(instruction.offset)
        return found


_BRANCHES = frozenset({"br", "br_if", "br_table", "br_on_null", "br_on_non_null"})

_FORKS = frozenset({
    "br_if", "br_table", "if", "else", "return", "return_call", "return_call_indirect", "throw", "throw_ref",
    "unreachable", "br_on_null", "br_on_non_null", "return_call_ref",
})  # fmt: skip
"""What ends a way that has no fork in it. Reaching an `else` means leaving its `if`, which is rare enough."""


def _depths(immediates: Iterable[object]) -> Iterator[int]:
    """The labels that a branch names."""
    for item in immediates:
        if isinstance(item, int):
            yield item
        elif isinstance(item, tuple | list):
            yield from _depths(item)


def _next_of(typing: Typing, pc: int, places: set[int]) -> int | None:
    """The first of `places` that execution comes to from `pc`, if there is one way only; else None."""
    index = bisect_left(typing.instructions, pc, key=lambda instruction: instruction.offset)
    for steps in range(len(typing.instructions)):
        if index >= len(typing.instructions):
            return None
        instruction = typing.instructions[index]
        if steps and instruction.offset in places:
            return instruction.offset
        name = instruction.op.mnemonic
        if name in _FORKS:
            return None
        if name == "br":
            (depth,) = instruction.immediates
            index = typing.label(index, depth if isinstance(depth, int) else 0).target
        index += 1
    return None
