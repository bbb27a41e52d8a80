"""Which locals matter at each place of a function where it can be frozen.

Only live locals are spilled: a handler that kept every local alive would keep them in registers or on the
native stack over every call, and cost two to three times as much (measured on the prototype).

A backward pass over structured code: sets of locals are bit masks in ints, a label knows the mask at its
target, and the pass is repeated until the masks at loop headers stay as they are.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from typing import cast

from ttd.wasm.opcodes import BY_MNEMONIC, Catch, Opcode
from ttd.wasm.typing import Control, Typing

_GET, _SET, _TEE = (BY_MNEMONIC[f"local.{name}"] for name in ("get", "set", "tee"))
_BR, _BR_IF, _BR_TABLE = BY_MNEMONIC["br"], BY_MNEMONIC["br_if"], BY_MNEMONIC["br_table"]
_ELSE, _END, _IF, _TRY = (BY_MNEMONIC[name] for name in ("else", "end", "if", "try_table"))
_LOOP, _BLOCK = BY_MNEMONIC["loop"], BY_MNEMONIC["block"]
_CALLS = frozenset(BY_MNEMONIC[name] for name in ("call", "call_indirect"))
_THROWS = frozenset(BY_MNEMONIC[name] for name in ("throw", "throw_ref"))
_LEAVES = frozenset(
    BY_MNEMONIC[name] for name in ("return", "unreachable", "return_call", "return_call_indirect")
)
_OPENERS = frozenset((_BLOCK, _LOOP, _IF, _TRY))
_INTERESTING = frozenset(
    (_GET, _SET, _TEE, _BR, _BR_IF, _BR_TABLE, _ELSE, _END, *_OPENERS, *_CALLS, *_THROWS, *_LEAVES)
)


class Liveness:
    """`live[i]`: the mask of locals live behind call `i`, or at the header of loop `i` (instruction
    indices).

    `before[i]`, if that is asked for: the mask of locals live before instruction `i`. Instructions that are
    not in it change nothing: what is live before the next one that is, is live before them.
    """

    def __init__(self, typing: Typing, always: int = 0, everywhere: bool = False) -> None:
        """`always` is a mask of locals to be kept alive everywhere: those debug information needs.
        `everywhere` asks for `before`."""
        self._typing = typing
        self._always = always
        self._order = [
            (index, instruction)
            for index, instruction in enumerate(typing.instructions)
            if instruction.op in _INTERESTING
        ]
        self._order.reverse()
        self._bits = [1 << local for local in range(len(typing.function.local_types))]
        self._opened = {control.opener: control for control in typing.controls}
        self._ends = {control.end: control.number for control in typing.controls}
        self._headers = [0] * len(typing.controls)
        self._after = [0] * len(typing.controls)
        self.live: dict[int, int] = {}
        self.before: dict[int, int] = {}
        self._everywhere = everywhere
        while self._pass():
            pass

    def _pass(self) -> bool:
        """One pass from the end to the beginning; whether a loop header's mask grew."""
        before = list(self._headers)
        typing = self._typing
        opened, ends, bits, always = self._opened, self._ends, self._bits, self._always
        live = always
        branches: list[int] = []  # masks behind the open ifs whose else has been passed, by else
        for index, instruction in self._order:
            op = instruction.op
            if op is _GET:
                live |= bits[cast(int, instruction.immediates[0])]
            elif op is _SET or op is _TEE:
                live = live & ~bits[cast(int, instruction.immediates[0])] | always
            elif op is _END:
                self._after[ends[index]] = live
            elif op in _OPENERS:
                live = self._open(opened[index], live, branches)
            elif op is _ELSE:
                branches.append(live)
                live = self._after[typing.control_of[index]]
            elif op is _BR:
                live = self._label(index, cast(int, instruction.immediates[0]))
            elif op is _BR_IF:
                live |= self._label(index, cast(int, instruction.immediates[0]))
            elif op is _BR_TABLE:
                depths, default = cast("tuple[tuple[int, ...], int]", instruction.immediates)
                live = self._always
                for depth in {*depths, default}:
                    live |= self._label(index, depth)
            elif op in _CALLS:
                live |= self._caught(typing.control_of[index])
                self.live[index] = live
            elif op in _THROWS:
                live = self._caught(typing.control_of[index]) | self._always
            else:  # leaves the function
                live = self._always
            if self._everywhere:
                self.before[index] = live
        return before != self._headers

    def _open(self, control: Control, live: int, branches: list[int]) -> int:
        """The mask before a construct's opener, given that at the start of its (first) body."""
        op: Opcode | None = control.op
        if op is _LOOP:
            self._headers[control.number] |= live
            self.live[control.opener] = self._headers[control.number]
        elif op is _IF:
            live |= branches.pop() if control.otherwise is not None else self._after[control.number]
        return live

    def _label(self, index: int, depth: int) -> int:
        control = self._typing.label(index, depth)
        return self._headers[control.number] if control.is_loop else self._after[control.number]

    def _caught(self, number: int) -> int:
        """What is live in the handlers that an exception thrown inside of construct `number` may reach."""
        live = 0
        while number > 0:
            control = self._typing.controls[number]
            if control.op is _TRY:
                instruction = self._typing.instructions[control.opener]
                for catch in cast("tuple[Catch, ...]", instruction.immediates[1]):
                    live |= self._label(control.opener, catch.depth)
            number = control.parent
        return live
