"""Translated functions, activations of them, and what one operation says to the machine.

A function body becomes a list of entries in the order of the code: one for each reachable instruction,
one for each `loop` marker (which ticks, but is no step) and one for the function's final `end` (which
returns, but is no step). An entry is a closure, its operation. Locals and operands of an activation
live in one list, the registers: WebAssembly's operand stack has a fixed height at each instruction, so
every operand has a fixed register. An operation gets the registers and returns the index of the entry to
go on with, which is known when it is made; or a negative number, a *transfer*, to make the machine do
what an operation alone cannot do. `~transfer` is, by range:

    below SITE          tick, then go on with entry number `~transfer`: a branch back to a loop header
    SITE | index        the call, tail call or throw at entry `index`
    RETURN | index      the `return` at entry `index`: its results lie where the operand stack begins
    END | index         the same for the final `end`: a return that is no step
    PROBE | index       a probe wants to see entry `index` before its own operation is done

May import base, `ttd.wasm` and `ttd.engine.protocol`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ttd.types import ExceptionValue, Position, TrapKind
from ttd.wasm.model import Function, ValType
from ttd.wasm.typing import Typing

Registers: TypeAlias = "list[int]"
"""Locals and operands of an activation.

Registers of reference types hold `Value`s in truth, None and ExceptionValue among them. Validated code never
mixes the two, and nearly all operations work on ints, so that is what they are typed as.
"""
Op: TypeAlias = Callable[[Registers], int]

INDEX_BITS = 24
"""A body is at most 7.6 MB long (Wasmtime's limit), so it has fewer than 2**24 entries."""
INDEX = (1 << INDEX_BITS) - 1
SITE = 1 << INDEX_BITS
RETURN = 2 << INDEX_BITS
END = 3 << INDEX_BITS
PROBE = 4 << INDEX_BITS


class Trapped(Exception):
    """An instruction traps. Nothing of it has been done yet."""

    def __init__(self, kind: TrapKind, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


@dataclass(slots=True, eq=False)
class Landing:
    """Where a branch arrives: the entry, or the transfer that ticks first; and where its values go."""

    goto: int
    base: int


@dataclass(slots=True, eq=False)
class Handler:
    """A catch clause: exceptions of `tag` (None: all) land at `landing`, with the reference if wanted."""

    tag: int | None
    with_reference: bool
    landing: Landing


@dataclass(slots=True, eq=False)
class TryRange:
    """A try_table: its handlers are those of entries first ≤ index < last."""

    first: int
    last: int
    handlers: tuple[Handler, ...]


@dataclass(slots=True, eq=False)
class Site:
    """A call, tail call or throw. `index` is its entry, `resume` the entry to return to.

    `base` is the register of the first argument, and so of the first result. `function` is the callee of a
    direct call. `select` finds that of an indirect one (or raises Trapped). `thrown` makes the exception
    of a throw. Exactly one of the three is not None.
    """

    index: int
    resume: int
    base: int
    function: int | None = None
    select: Callable[[Registers], int] | None = None
    thrown: Callable[[Registers], ExceptionValue] | None = None
    is_tail: bool = False


WriteRange: TypeAlias = Callable[[Registers], "tuple[int, int, int]"]
"""Of an instruction that writes to memory: which memory, from which address on, how many bytes."""


@dataclass(slots=True, eq=False)
class Code:
    """A translated function.

    `ops` are the operations, `active` those with the probes of the present goal patched in (the same list
    where there are none). `offsets` (in the module file) and `heights` (of the operand stack) belong to
    the entries. `loops` and `end` are the entries that are no instructions.
    """

    function: Function
    ticks: bool
    parameters: int
    results: int
    locals: int
    typing: Callable[[], Typing]
    """Makes the typing of the function anew: it is too large to be kept."""
    fresh: Registers
    """What the registers behind the parameters are at entry: declared locals, room for operands."""
    ops: list[Op] = field(default_factory=list)
    active: list[Op] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    heights: list[int] = field(default_factory=list)
    loops: set[int] = field(default_factory=set)
    end: int = -1
    sites: dict[int, Site] = field(default_factory=dict)
    tries: list[TryRange] = field(default_factory=list)
    accesses: set[int] = field(default_factory=set)
    """Entries whose operation may raise IndexError, for an access outside of a memory."""
    writers: dict[int, WriteRange] = field(default_factory=dict)
    indices: dict[int, int] = field(default_factory=dict)
    """From the offset of an instruction, loop marker or final end to its entry."""
    _operand_types: dict[int, tuple[ValType, ...]] = field(default_factory=dict)

    def operand_types(self, index: int) -> tuple[ValType, ...]:
        """Types of the operand stack before entry `index`, deepest first."""
        if index not in self._operand_types:
            typing = self.typing()
            for number, instruction in enumerate(typing.instructions):
                if instruction.offset in self.indices:
                    self._operand_types[self.indices[instruction.offset]] = typing.operands(number)
        return self._operand_types[index]

    def rests(self, index: int, step: int) -> bool:
        """Whether the machine rests before entry `index` when `step` instructions are behind the last tick.

        It rests before instructions, and at a tick. A loop marker that is reached otherwise is walked over
        to the tick that it makes; the end of a function is always walked over.
        """
        return index != self.end and (step == 0 or index not in self.loops)


class Activation:
    """One activation of a function.

    `site` is the call under way, None for the innermost activation. `ops` is `code.active`, or has the
    probes for this one activation patched in. `tick` and `step` are the position of its entry.
    """

    __slots__ = ("code", "ops", "registers", "site", "step", "tick")

    def __init__(self, code: Code, registers: Registers, tick: int, step: int) -> None:
        self.code = code
        self.ops = code.active
        self.registers = registers
        self.site: Site | None = None
        self.tick = tick
        self.step = step

    @property
    def entry(self) -> Position:
        return Position(self.tick, self.step)
