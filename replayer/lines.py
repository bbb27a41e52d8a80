"""Which functions have lines that one can step through, where in them, and which of them call each other.

May import base, wasm, debuginfo and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from ttd.debuginfo.info import DebugInfo
from ttd.replayer.linestops import Places, SourceLine
from ttd.wasm.model import Instruction, Module
from ttd.wasm.opcodes import Immediates
from ttd.wasm.tailcalls import referable
from ttd.wasm.typing import land

_INDIRECT = frozenset({"call_indirect", "return_call_indirect", "call_ref", "return_call_ref"})


class Lines:
    """The places of a module's functions, and its static call graph. Both are found out as asked."""

    def __init__(self, module: Module, debug: DebugInfo) -> None:
        self._module = module
        self._debug = debug
        self._places: dict[int, Places] = {}
        self._first: dict[int, int | None] = {}
        self._callees: dict[int, tuple[frozenset[int], bool]] = {}

    def places(self, function: int) -> Places:
        """The places at which motions by lines can stop in a function; none without line information."""
        if function not in self._places:
            self._places[function] = Places(self._module, self._debug, function)
        return self._places[function]

    def starts(self, function: int) -> frozenset[int]:
        """The places at which lines start."""
        return self.places(function).starts

    def at(self, pc: int) -> tuple[SourceLine, ...]:
        """The line in each function of the source that is at work at `pc`, innermost first."""
        frames = ((frame.entry, frame.location) for frame in self._debug.source_frames(pc))
        return tuple(
            SourceLine(scope, place.path, place.line) if place is not None else SourceLine(scope, "", 0)
            for scope, place in frames
        )

    def first(self, function: int) -> int | None:
        """The first place of a function; None without line information. Cheap, other than `places`."""
        if function not in self._first:
            self._first[function] = self._find_first(function)
        return self._first[function]

    def has(self, function: int) -> bool:
        """Whether the function has line information."""
        return self.first(function) is not None

    def _find_first(self, index: int) -> int | None:
        function = self._module.functions[index]
        if function.body is None or not self._debug.statements(index):
            return None
        pc = self._debug.breakpoint_pc(index)
        return land(function, pc) if pc is not None else None

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
        return referable(self._module)


def _functions(instruction: Instruction) -> Iterator[int]:
    """The function index that is an instruction's immediate, if it has one."""
    if instruction.op.immediates is Immediates.FUNC:
        yield from (index for index in instruction.immediates if isinstance(index, int))
