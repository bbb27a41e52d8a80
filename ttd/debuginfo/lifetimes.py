"""How long a WebAssembly local or operand goes on holding what a location says is there.

LLVM's locations for wasm32 say where a variable came to be, but often not where it ceased to be: nothing ends
them when another value takes the operand's place on the stack, or the local that it was given too. (On other
targets the writing of a register does. In SQLite at -O2 one range in five is too long.) What lies there then
is not the variable; so every range is cut off at the first place that may come after such a write.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache

from ttd.wasm.model import Function, Module
from ttd.wasm.typing import Stack, Typing, type_function

MOST_FUNCTIONS = 64
"""How many functions are remembered."""


class Lifetimes:
    """The lifetimes in the functions of a module. All addresses are byte offsets in the module file."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._function = lru_cache(MOST_FUNCTIONS)(self._read)

    def _read(self, index: int) -> _FunctionLifetimes:
        return _FunctionLifetimes(self._module, self._module.functions[index])

    def life_of_local(self, function: int, local: int, start: int) -> tuple[int, int]:
        """[start, end) of the time for which `local` surely holds one value: that of `start`, or its first.

        Its first, if it is no parameter and nothing was written to it before `start`.
        """
        return self._function(function).life_of_local(local, start)

    def end_of_argument(self, function: int, local: int) -> int:
        """From where on a parameter may hold another value than it was called with; 0 if it is none."""
        return self._function(function).end_of_argument(local)

    def end_of_operand(self, function: int, operand: int, start: int) -> int:
        """From where on an operand (0: the bottom of the stack) is no longer the one of `start`."""
        return self._function(function).end_of_operand(operand, start)


class _FunctionLifetimes:
    def __init__(self, module: Module, function: Function) -> None:
        self._typing: Typing = type_function(module, function)
        self._parameters = len(function.type.params)
        self._offsets = [instruction.offset for instruction in self._typing.instructions]
        self._writes: dict[int, list[int]] = {}
        """Indices of the instructions that write to each local, in order."""
        for index, instruction in enumerate(self._typing.instructions):
            if instruction.op.mnemonic in ("local.set", "local.tee"):
                (local,) = instruction.immediates
                if isinstance(local, int):
                    self._writes.setdefault(local, []).append(index)

    def _behind(self, index: int) -> int:
        return self._offsets[min(index + 1, len(self._offsets) - 1)]

    def life_of_local(self, local: int, start: int) -> tuple[int, int]:
        writes = self._writes.get(local, [])
        first = bisect_left(self._offsets, start)
        if local >= self._parameters and writes and writes[0] >= first:
            first, start = writes[0] + 1, self._behind(writes[0])
        later = writes[bisect_left(writes, first) :]
        ends = (min(self._behind(index), self._outermost_loop(index, start)) for index in later)
        return start, min(ends, default=self._offsets[-1] + 1)

    def end_of_argument(self, local: int) -> int:
        return self.life_of_local(local, self._offsets[0])[1] if local < self._parameters else 0

    def _outermost_loop(self, index: int, start: int) -> int:
        """Where the outermost loop around an instruction opens that opens at or behind `start`.

        What is written in a loop may have been written anywhere in it, a round ago. A loop that opens before
        `start` leads through there again.
        """
        typing, found = self._typing, self._offsets[-1]
        number = typing.control_of[index]
        while number > 0:
            control = typing.controls[number]
            if control.is_loop and self._offsets[control.opener] >= start:
                found = self._offsets[control.opener]
            number = control.parent
        return found

    def end_of_operand(self, operand: int, start: int) -> int:
        first = bisect_left(self._offsets, start)
        cell = self._cell(first, operand) if first < len(self._offsets) else None
        if cell is None:
            return start
        for index in range(first + 1, len(self._offsets)):
            following = self._cell(index, operand)
            is_kept = following is cell or self._typing.instructions[index - 1].op.mnemonic == "local.tee"
            if following is None or not is_kept:
                return self._offsets[index]
            cell = following
        return self._offsets[-1]

    def _cell(self, index: int, operand: int) -> Stack:
        """The link of the stack before an instruction that stands for an operand: the same while it lives."""
        stack = self._typing.stacks[index]
        for _ in range(self._typing.heights[index] - 1 - operand):
            stack = stack[0] if stack is not None else None
        return stack if operand < self._typing.heights[index] else None
