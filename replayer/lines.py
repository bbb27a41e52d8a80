"""Which functions have lines that one can step through, where in them, and which of them call each other.

May import base, engine, wasm, debuginfo and this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial

from ttd.debuginfo.info import DebugInfo
from ttd.engine.protocol import FunctionProbe
from ttd.replayer.linestops import Places, SourceLine
from ttd.wasm.model import Instruction, Module
from ttd.wasm.opcodes import Immediates
from ttd.wasm.straight import straight_from_entry
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
        self._below: dict[int, FunctionProbe] = {}
        self.entries = FunctionProbe(self.first, self._firsts)
        """Hits at the first place of every function that has lines."""

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
        if function.body is None or not self._debug.has_statements(index):
            return None
        pc = self._debug.breakpoint_pc(index)
        return land(function, pc) if pc is not None else None

    def _firsts(self) -> Mapping[int, int]:
        """The first places of all functions that have any."""
        found = ((function.index, self.first(function.index)) for function in self._module.functions)
        return {function: first for function, first in found if first is not None}

    # --- calls ---------------------------------------------------------------------------------------

    def entries_below(self, function: int) -> FunctionProbe:
        """As `entries`, for the first hit while only `function` and what it calls is at work."""
        if function not in self._below:
            self._below[function] = FunctionProbe(self.first, partial(self._firsts_below, function))
        return self._below[function]

    def _firsts_below(self, function: int) -> Mapping[int, int]:
        """The first places that can be come to from `function` without passing others."""
        found: dict[int, int] = {}
        seen: set[int] = set()
        pending = [function]
        while pending:
            for callee in self._called(pending.pop()) - seen:
                seen.add(callee)
                first = self.first(callee)
                if first is not None:
                    found[callee] = first
                if first is None or first not in straight_from_entry(self._module.functions[callee].code):
                    pending.append(callee)
        return found

    def _called(self, index: int) -> frozenset[int]:
        """The functions that a function can call."""
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
