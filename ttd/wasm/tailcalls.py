"""Which calls of a stack must have been tail calls: those of frames whose caller calls somebody else.

A tail call (``return_call`` and its like) replaces the frame that makes it. So the frame below the new one is
not that of its caller, and the call instruction there names another function, or none that could be it.
What came between is known where one way of direct tail calls leads from the one to the other.

Imports `ttd.wasm` only.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from ttd.wasm.model import ExternKind, Function, Instruction, Module
from ttd.wasm.opcodes import Immediates

_INDIRECT = frozenset({"return_call_indirect", "return_call_ref"})

MOST_STEPS = 1000
"""Tail calls that are followed for one chain of them."""


@dataclass(frozen=True, slots=True)
class TailCall:
    """That a frame was entered by a tail call."""

    gone: tuple[int, ...] = ()
    """The functions whose frames were replaced, outermost first; empty where that cannot be told."""


@dataclass
class _Search:
    """The ways from one function to another by direct tail calls, as far as they were followed."""

    goal: int
    ways: list[tuple[int, ...]] = field(default_factory=list)
    steps: int = 0
    is_certain: bool = True


class TailCalls:
    """The tail calls of a module. Bodies are looked at when a frame is in question."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._made: dict[int, tuple[frozenset[int], bool]] = {}
        self._known: dict[tuple[int, int], TailCall] = {}
        self._referenced: frozenset[int] | None = None

    def into(self, function: int, caller: Function, pc: int) -> TailCall | None:
        """How `function` came to run above a frame of `caller` that stands at the call at `pc`.

        None where that call may have called it.
        """
        instructions = caller.code.instructions
        index = bisect_left(instructions, pc, key=lambda instruction: instruction.offset)
        if index == len(instructions) or instructions[index].offset != pc:
            return None
        return self._from_call(instructions[index], function)

    def _from_call(self, call: Instruction, function: int) -> TailCall | None:
        if call.op.immediates is Immediates.FUNC:
            return self.instead_of(call.immediates[0], function)
        if call.op.mnemonic in ("call_indirect", "call_ref"):
            return TailCall() if function not in self._referable() else None
        return None

    def instead_of(self, called: object, function: int) -> TailCall | None:
        """How `function` came to run where `called` was called; None if they are the same."""
        if not isinstance(called, int) or called == function:
            return None
        key = called, function
        if key not in self._known:
            search = _Search(function)
            self._follow(search, (called,))
            is_known = search.is_certain and len(search.ways) == 1
            self._known[key] = TailCall(search.ways[0] if is_known else ())
        return self._known[key]

    def _follow(self, search: _Search, way: tuple[int, ...]) -> None:
        """Find all ways on from `way` that pass no function twice."""
        search.steps += 1
        if search.steps > MOST_STEPS or len(search.ways) > 1:
            search.is_certain = False
            return
        targets, others = self._tail_calls_of(way[-1])
        if others:
            search.is_certain = False
        for target in targets:
            if target == search.goal:
                search.ways.append(way)
            elif target in way:
                search.is_certain = False  # it may have gone round any number of times
            else:
                self._follow(search, (*way, target))

    def _tail_calls_of(self, index: int) -> tuple[frozenset[int], bool]:
        """The functions that a function calls by tail calls, and whether it calls others through tables."""
        if index not in self._made:
            body = self._module.functions[index].body
            instructions = body.instructions if body is not None else ()
            direct = [i.immediates[0] for i in instructions if i.op.mnemonic == "return_call"]
            indirect = any(i.op.mnemonic in _INDIRECT for i in instructions)
            self._made[index] = frozenset(target for target in direct if isinstance(target, int)), indirect
        return self._made[index]

    def _referable(self) -> frozenset[int]:
        """All functions that a reference can be made of: they are declared so (core 3.4.10)."""
        if self._referenced is None:
            self._referenced = referable(self._module)
        return self._referenced


def referable(module: Module) -> frozenset[int]:
    """The functions that tables and other references can hold: element segments, initial values and exports
    declare them (core specification 3.4.10)."""
    expressions = [item for element in module.elements for item in element.items]
    expressions += [table.init for table in module.tables if table.init is not None]
    expressions += [variable.init for variable in module.globals if variable.init is not None]
    found = {
        index
        for code in expressions
        for instruction in code
        if instruction.op.immediates is Immediates.FUNC
        for index in instruction.immediates
        if isinstance(index, int)
    }
    exported = {export.index for export in module.exports if export.kind is ExternKind.FUNCTION}
    return frozenset(found | exported)
