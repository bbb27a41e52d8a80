"""Where `step` and `next` can stop: line starts behind the prologue, and which functions have any.

May import base, wasm, debuginfo.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from ttd.debuginfo.info import DebugInfo
from ttd.wasm.model import ExternKind, Instruction, Module
from ttd.wasm.opcodes import Immediates
from ttd.wasm.typing import Typing, land, type_function

_INDIRECT = frozenset({"call_indirect", "return_call_indirect", "call_ref", "return_call_ref"})


class Lines:
    """The line starts of a module's functions, and its static call graph. Both are found out as asked."""

    def __init__(self, module: Module, debug: DebugInfo) -> None:
        self._module = module
        self._debug = debug
        self._starts: dict[int, frozenset[int]] = {}
        self._callees: dict[int, tuple[frozenset[int], bool]] = {}

    def starts(self, function: int) -> frozenset[int]:
        """The pcs at which `step` stops in a function; empty if it has no line information.

        These are the line starts behind the prologue, and the first place behind it in any case.
        """
        if function not in self._starts:
            self._starts[function] = self._find_starts(function)
        return self._starts[function]

    def first(self, function: int) -> int | None:
        """The first pc at which `step` stops in a function; None without line information."""
        return min(self.starts(function), default=None)

    def has(self, function: int) -> bool:
        """Whether the function has line information."""
        return bool(self.starts(function))

    def _find_starts(self, index: int) -> frozenset[int]:
        function = self._module.functions[index]
        rows = self._debug.line_starts(index) if function.body is not None else frozenset()
        first = self._debug.breakpoint_pc(index) if rows else None
        if first is None:
            return frozenset()
        landed = (land(function, pc) for pc in {first, *(pc for pc in rows if pc > first)})
        starts = {pc for pc in landed if pc is not None}
        return frozenset(self._without_forerunners(index, starts))

    def _without_forerunners(self, index: int, starts: set[int]) -> set[int]:
        """`starts` without those that lead straight to another start of the same line.

        The step of a ``for`` has a row of its own, from which the loop goes back to the row of its condition:
        that is one arrival at the line. Dropping the place, not the arrival, keeps stops a matter of places.
        """
        places = {pc: self._line(pc) for pc in starts}
        if len(set(places.values())) == len(starts):
            return starts
        typing = type_function(self._module, self._module.functions[index])
        kept = set(starts)
        for pc in sorted(starts, reverse=True)[:-1]:  # the first one is where breakpoints at the function are
            following = _next_of(typing, pc, kept)
            if following not in (None, pc) and places[following] == places[pc]:
                kept.remove(pc)
        return kept

    def _line(self, pc: int) -> tuple[str, int] | None:
        location = self._debug.location(pc)
        return None if location is None else (location.path, location.line)

    # --- calls ---------------------------------------------------------------------------------------

    def first_stops(self, functions: Iterable[int]) -> Iterator[tuple[int, int]]:
        """(function, pc) of the first stops in what `functions` call, through functions without lines."""
        return self._stops_below(functions, through=lambda callee: not self.has(callee))

    def all_first_stops(
        self, functions: Iterable[int], themselves: bool = False
    ) -> Iterator[tuple[int, int]]:
        """(function, pc) of the first stops in everything that can be called from `functions`.

        With `themselves`, theirs too; those that are also called come twice.
        """
        roots = list(functions)
        for function in roots if themselves else ():
            first = self.first(function)
            if first is not None:
                yield function, first
        yield from self._stops_below(roots, through=lambda callee: True)

    def _stops_below(
        self, functions: Iterable[int], through: Callable[[int], bool]
    ) -> Iterator[tuple[int, int]]:
        seen: set[int] = set()
        pending = list(functions)
        while pending:
            for callee in self._called(pending.pop()) - seen:
                seen.add(callee)
                first = self.first(callee)
                if first is not None:
                    yield callee, first
                if through(callee):
                    pending.append(callee)

    def _called(self, index: int) -> frozenset[int]:
        if index not in self._callees:
            self._callees[index] = self._find_callees(index)
        direct, indirect = self._callees[index]
        return direct | self._referenced if indirect else direct

    def _find_callees(self, index: int) -> tuple[frozenset[int], bool]:
        """The functions that a function calls directly, and whether it calls others through tables."""
        body = self._module.functions[index].body
        direct: set[int] = set()
        indirect = False
        for instruction in body.instructions if body is not None else ():
            if instruction.op.mnemonic in ("call", "return_call"):
                direct.update(_functions(instruction))
            indirect = indirect or instruction.op.mnemonic in _INDIRECT
        return frozenset(direct), indirect

    @cached_property
    def _referenced(self) -> frozenset[int]:
        """All functions that a reference can be made of: they are declared so (core 3.4.10)."""
        module = self._module
        expressions = [item for element in module.elements for item in element.items]
        expressions += [table.init for table in module.tables if table.init is not None]
        expressions += [variable.init for variable in module.globals if variable.init is not None]
        found = {index for code in expressions for instruction in code for index in _functions(instruction)}
        exported = {export.index for export in module.exports if export.kind is ExternKind.FUNCTION}
        return frozenset(found | exported)


_FORKS = frozenset({
    "br_if", "br_table", "if", "else", "return", "return_call", "return_call_indirect", "throw", "throw_ref",
    "unreachable", "br_on_null", "br_on_non_null", "return_call_ref",
})  # fmt: skip
"""What ends a way that has no fork in it. Reaching an `else` means leaving its `if`, which is rare enough."""


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


def _functions(instruction: Instruction) -> Iterator[int]:
    """The function index that is an instruction's immediate, if it has one."""
    if instruction.op.immediates is Immediates.FUNC:
        yield from (index for index in instruction.immediates if isinstance(index, int))
