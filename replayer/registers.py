"""Which instructions of a function write to which of its registers.

Validation gives every operand a fixed height. So the operand stack is a row of registers behind the locals:
register r is local r, or operand r - `first_operand`. What a register holds was put there by whichever of
its writers was executed last, however the control flow went: that is all that following a value takes.

May import base and wasm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

from ttd.state import Frame
from ttd.wasm.model import Function, Instruction, Module
from ttd.wasm.opcodes import Catch, Immediates
from ttd.wasm.typing import Control, Typing, type_function


class Move(NamedTuple):
    """What a branch does to the operands: `length` of them go from register `source` on to `target` on."""

    source: int
    target: int
    length: int

    def source_of(self, register: int) -> int | None:
        """The register that is moved to `register`; None if none is."""
        index = register - self.target
        return self.source + index if 0 <= index < self.length and self.source != self.target else None


class Registers:
    """The registers of one function that has a body."""

    def __init__(self, module: Module, function: Function) -> None:
        self.first_operand = len(function.local_types)
        self._module = module
        self._writers: dict[int, set[int]] = {}
        self._moves: dict[int, list[Move]] = {}
        self._throwers: dict[int, set[int]] = {}
        typing = type_function(module, function)
        for index, instruction in enumerate(typing.instructions):
            if typing.is_reachable(index):
                self._add(typing, index, instruction)
                if instruction.op.mnemonic in _THROWING:
                    self._add_thrower(typing, index)

    def writers(self, register: int) -> frozenset[int]:
        """The offsets of all instructions that may write to a register."""
        return frozenset(self._writers.get(register, ()))

    def throwers(self, register: int) -> frozenset[int]:
        """The offsets of instructions with which an exception may come that brings the register a value."""
        return frozenset(self._throwers.get(register, ()))

    def moved(self, register: int, frame: Frame) -> int | None:
        """The register that the branch at `frame.pc` moves to `register`; None if it moves none there."""
        moves = self._moves[frame.pc]
        chosen = cast(int, frame.operands[-1]) if len(moves) > 1 else 0
        return moves[min(chosen, len(moves) - 1)].source_of(register)

    def is_branch(self, pc: int) -> bool:
        """Whether the instruction at `pc` is one that may move operands."""
        return pc in self._moves

    # --- finding out ---------------------------------------------------------------------------------

    def _add(self, typing: Typing, index: int, instruction: Instruction) -> None:
        pc, name = instruction.offset, instruction.op.mnemonic
        if name in ("local.set", "local.tee"):
            self._writers.setdefault(_int(instruction), set()).add(pc)
        elif name in _BRANCHES:
            self._moves[pc] = list(self._branches(typing, index, instruction))
            for move in self._moves[pc]:
                if move.source != move.target:
                    self._write(range(move.target, move.target + move.length), pc)
        else:
            pushed = self._pushed(instruction)
            if pushed:
                top = self.first_operand + typing.heights[index + 1]
                self._write(range(top - pushed, top), pc)

    def _add_thrower(self, typing: Typing, index: int) -> None:
        """Note what the handlers around an instruction bring values into."""
        control = typing.controls[typing.control_of[index]]
        while control.parent >= 0:
            opener = typing.instructions[control.opener]
            if opener.op.mnemonic == "try_table":
                for clause in cast("tuple[Catch, ...]", opener.immediates[1]):
                    label = typing.label(control.opener, clause.depth)
                    base = self.first_operand + label.height
                    for register in range(base, base + label.arity):
                        self._throwers.setdefault(register, set()).add(typing.instructions[index].offset)
            control = typing.controls[control.parent]

    def _write(self, registers: range, pc: int) -> None:
        for register in registers:
            self._writers.setdefault(register, set()).add(pc)

    def _branches(self, typing: Typing, index: int, instruction: Instruction) -> Iterator[Move]:
        """What a branch may do, by its operand: a br_if does nothing, or branches."""
        name, height = instruction.op.mnemonic, typing.heights[index]
        if name == "return":
            yield self._move(typing.controls[0], height)
            return
        depths: tuple[int, ...] = (cast(int, instruction.immediates[-1]),)
        if instruction.op.immediates is Immediates.LABEL_TABLE:
            depths = (*cast("tuple[int, ...]", instruction.immediates[0]), *depths)
        if name == "br_if":
            yield Move(0, 0, 0)
        for depth in depths:
            yield self._move(typing.label(index, depth), height - (name != "br"))

    def _move(self, label: Control, height: int) -> Move:
        first = self.first_operand
        return Move(first + height - label.arity, first + label.height, label.arity)

    def _pushed(self, instruction: Instruction) -> int:
        """How many results an instruction that goes on to the next one pushes."""
        op = instruction.op
        if op.results is not None:
            return len(op.results)
        if op.mnemonic == "call":
            return len(self._module.functions[_int(instruction)].type.results)
        if op.mnemonic == "call_indirect":
            return len(self._module.types[_int(instruction)].results)
        return int(op.mnemonic in _ONE_RESULT)


_BRANCHES = frozenset({"br", "br_if", "br_table", "return"})

_THROWING = frozenset({"call", "call_indirect", "throw", "throw_ref"})
"""A tail call leaves the frame, so its handlers too."""

_ONE_RESULT = frozenset({
    "select", "select_t", "local.get", "global.get", "table.get", "table.size", "table.grow", "ref.null",
    "ref.is_null", "ref.func", "memory.size", "memory.grow",
})  # fmt: skip


def _int(instruction: Instruction) -> int:
    return cast(int, instruction.immediates[0])
