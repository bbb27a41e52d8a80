"""How much of the stack in linear memory a function takes, read off its code.

LLVM opens a function that needs stack with ``global.get sp; i32.const N; i32.sub; local.tee L; global.set
sp``, with other locals in between where nothing is optimised. A function that calls nothing leaves out
``global.set``. So the opening instructions are followed with only one thing known about each value: how far
below the stack pointer of the entry it lies.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ttd.wasm.model import Body, Instruction

MOST_FOLLOWED = 100
"""Instructions that are followed: the stack pointer is set near the entry, or behind a short early exit."""


@dataclass(frozen=True, slots=True)
class StackUse:
    """What a function does to the stack pointer.

    `size` is in bytes, None where it is only known at run time (an over-aligned frame). `base_local` holds
    the lowest address of the frame, `entry_local` the stack pointer at the entry, where there are such
    locals."""

    size: int | None
    base_local: int | None
    entry_local: int | None
    taken_from: int | None
    """The first pc at which the stack pointer has been lowered; None if it never is (a leaf)."""
    released: tuple[tuple[int, int], ...]
    """Ranges of pcs behind the instruction that puts the stack pointer back."""

    def is_taken(self, pc: int) -> bool:
        """Whether the stack pointer is lowered at `pc`, as far as the code tells."""
        if self.taken_from is None or pc < self.taken_from:
            return False
        return not any(start <= pc < end for start, end in self.released)


@dataclass(frozen=True, eq=False, slots=True)
class _Unknown:
    """A value of which nothing is known but that it is itself."""


@dataclass(frozen=True, slots=True)
class _Below:
    """So many bytes below the stack pointer of the entry."""

    distance: int


_Known: TypeAlias = "int | _Below | _Unknown"


def stack_use(body: Body, stack_pointer: int) -> StackUse | None:
    """What the function with `body` takes of the stack; None if nothing."""
    follower = _Follower(stack_pointer)
    for instruction in body.instructions[:MOST_FOLLOWED]:
        if follower.follow(instruction):
            break
    new = follower.written
    if new is None:
        lowered = [value.distance for value in follower.locals.values() if isinstance(value, _Below)]
        new = _Below(max(lowered, default=0))
    if new == _Below(0):
        return None
    sets = [at for at, i in enumerate(body.instructions) if _sets(i, stack_pointer)]
    return StackUse(
        size=new.distance if isinstance(new, _Below) else None,
        base_local=follower.local_with(new),
        entry_local=follower.local_with(_Below(0)),
        taken_from=body.instructions[sets[0] + 1].offset if sets and follower.written is not None else None,
        released=tuple(_released(body, sets[1:])),
    )


def _sets(instruction: Instruction, stack_pointer: int) -> bool:
    return instruction.op.mnemonic == "global.set" and instruction.immediates[0] == stack_pointer


def _released(body: Body, sets: list[int]) -> Iterator[tuple[int, int]]:
    """From behind each later ``global.set`` to where the function is left, if that comes straight behind."""
    instructions = body.instructions
    for at in sets:
        for end in range(at + 1, len(instructions)):
            if instructions[end].op.mnemonic == "return" or end == len(instructions) - 1:
                yield instructions[at + 1].offset, instructions[end].offset + 1
                break
            if instructions[end].op.mnemonic not in ("local.get", "i32.const", "i64.const", "end"):
                break


class _Follower:
    """Follows instructions in a straight line. What it does not know comes out as unknown."""

    def __init__(self, stack_pointer: int) -> None:
        self._stack_pointer = stack_pointer
        self._stack: list[_Known] = []
        self.locals: dict[int, _Known] = {}
        self.written: _Known | None = None
        """What the stack pointer was set to."""

    def local_with(self, value: _Known) -> int | None:
        """A local that holds `value`."""
        return next((local for local, known in self.locals.items() if known == value), None)

    def follow(self, instruction: Instruction) -> bool:
        """Take in one instruction; whether it has set the stack pointer."""
        mnemonic, index = instruction.op.mnemonic, instruction.immediates[:1]
        if mnemonic == "global.get" and index == (self._stack_pointer,):
            self._stack.append(_Below(0))
        elif mnemonic in ("i32.const", "i64.const") and isinstance(index[0], int):
            self._stack.append(_signed(index[0], mnemonic))
        elif mnemonic in ("local.set", "local.tee", "local.get") and isinstance(index[0], int):
            self._local(mnemonic, index[0])
        elif mnemonic in ("i32.sub", "i32.add", "i64.sub", "i64.add"):
            right, left = self._pop(), self._pop()
            self._stack.append(_moved(left, right, -1 if mnemonic.endswith("sub") else 1))
        elif mnemonic in ("i32.and", "i64.and"):
            self._pop(), self._pop()
            self._stack.append(_Unknown())
        elif _sets(instruction, self._stack_pointer):
            self.written = self._pop()
            return True
        else:
            self._stack.clear()
        return False

    def _local(self, mnemonic: str, index: int) -> None:
        if mnemonic == "local.get":
            self._stack.append(self.locals.setdefault(index, _Unknown()))
            return
        self.locals[index] = value = self._pop()
        if mnemonic == "local.tee":
            self._stack.append(value)

    def _pop(self) -> _Known:
        return self._stack.pop() if self._stack else _Unknown()


def _moved(left: _Known, right: _Known, sign: int) -> _Known:
    if isinstance(left, int) and isinstance(right, int):
        return left + sign * right
    if isinstance(right, _Below) and sign > 0:
        left, right = right, left
    if isinstance(left, _Below) and isinstance(right, int):
        return _Below(left.distance - sign * right)
    return _Unknown()


def _signed(bits: int, mnemonic: str) -> int:
    width = 32 if mnemonic == "i32.const" else 64
    return bits - (1 << width) if bits >> (width - 1) else bits
