"""Locals whose values are known wherever the program stands, however it came there.

Over a tick compiled code keeps the live locals only. But from one tick to the next it is the interpreter
that walks, and it forgets nothing: what was live at the last tick, or has been assigned since, is known
still, though nothing may read it any more. Arguments of a call that has just been prepared are like that,
and they are what one looks at in a debugger.

A forward pass over structured code. It needs no repetition, since every loop header is a tick. Where paths
meet, what is known on all of them is known; where an exception may arrive, what is live.

May import base, `ttd.wasm` and `liveness`.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import cast

from ttd.instrument.liveness import Liveness
from ttd.wasm.model import Instruction, Module
from ttd.wasm.opcodes import BY_MNEMONIC, Catch
from ttd.wasm.ticks import ticks_at_entry
from ttd.wasm.typing import Control, Typing

_SETS = frozenset((BY_MNEMONIC["local.set"], BY_MNEMONIC["local.tee"]))
_BR, _BR_IF, _BR_TABLE = BY_MNEMONIC["br"], BY_MNEMONIC["br_if"], BY_MNEMONIC["br_table"]
_ELSE, _END, _IF, _TRY, _LOOP = (BY_MNEMONIC[name] for name in ("else", "end", "if", "try_table", "loop"))
_CALL, _CALL_INDIRECT = BY_MNEMONIC["call"], BY_MNEMONIC["call_indirect"]
_LEAVES = frozenset(
    BY_MNEMONIC[name]
    for name in ("return", "unreachable", "return_call", "return_call_indirect", "throw", "throw_ref")
)


class Kept:
    """`before[i]`: the mask of locals known before instruction `i`. `waiting(i)`: while call `i` is under
    way."""

    def __init__(self, module: Module, typing: Typing, always: int = 0) -> None:
        """`always` is a mask of locals that compiled code keeps everywhere."""
        self._module = module
        self._typing = typing
        self._all = (1 << len(typing.function.local_types)) - 1
        self._liveness = Liveness(typing, always, everywhere=True)
        self._turns = sorted(self._liveness.before)
        self._ends = [self._all] * len(typing.controls)
        self._opened = {control.opener: control for control in typing.controls}
        self._branches: dict[int, int] = {}  # masks at the open ifs, by number of the construct
        self.before: list[int] = []
        known = self._all  # arguments, and zeros
        for index, instruction in enumerate(typing.instructions):
            self.before.append(known)
            known = self._step(index, instruction, known)

    def waiting(self, index: int) -> int:
        """The mask of locals known in a frame that waits for what call `index` has called."""
        if self._may_tick(self._typing.instructions[index]):
            return self._liveness.live[index]
        return self.before[index]

    def _step(self, index: int, instruction: Instruction, known: int) -> int:
        op, typing = instruction.op, self._typing
        if op in _SETS:
            return known | 1 << cast(int, instruction.immediates[0])
        if op is _LOOP:
            return self._liveness.live[index]
        if op is _CALL or op is _CALL_INDIRECT:
            return self._liveness.live[index] if self._may_tick(instruction) else known
        if op is _IF:
            self._branches[self._opened[index].number] = known
        elif op is _TRY:
            for catch in cast("tuple[Catch, ...]", instruction.immediates[1]):
                target = typing.label(index, catch.depth)
                self._arrive(target, self._live(target.end + 1))
        elif op is _ELSE:
            control = typing.controls[typing.control_of[index]]
            self._arrive(control, known)
            return self._branches.pop(control.number)
        elif op is _END:
            number = typing.control_of[index]
            return known & self._ends[number] & self._branches.pop(number, self._all)
        elif op is _BR or op is _BR_IF:
            self._arrive(typing.label(index, cast(int, instruction.immediates[0])), known)
            return known if op is _BR_IF else self._all
        elif op is _BR_TABLE:
            depths, default = cast("tuple[tuple[int, ...], int]", instruction.immediates)
            for depth in {*depths, default}:
                self._arrive(typing.label(index, depth), known)
            return self._all
        return self._all if op in _LEAVES else known

    def _arrive(self, control: Control, known: int) -> None:
        """A path leads to the label of a construct. What is known at a loop's does not depend on it."""
        if not control.is_loop:
            self._ends[control.number] &= known

    def _live(self, index: int) -> int:
        """The mask of locals live before an instruction."""
        turn = bisect_left(self._turns, index)
        return self._liveness.before[self._turns[turn]] if turn < len(self._turns) else 0

    def _may_tick(self, instruction: Instruction) -> bool:
        """Whether there may be a tick in what an instruction calls. Host calls do not tick."""
        if instruction.op is not _CALL:
            return True
        callee = self._module.functions[cast(int, instruction.immediates[0])]
        return callee.body is not None and ticks_at_entry(callee)
