"""What lies on the operand stack at every instruction of a function, and where its structure leads.

The algorithm is that of validation (core specification, appendix "Validation Algorithm") without the
checks: modules are validated before anybody gets here. `land` finds the place where time rests.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, cast

from ttd.errors import InvalidModule
from ttd.wasm.model import Function, FuncType, Instruction, Module, ValType
from ttd.wasm.opcodes import BY_MNEMONIC, OPCODES, Opcode


def land(function: Function, pc: int) -> int | None:
    """The first real instruction (no structure marker) at or behind byte offset `pc` of a function's code.

    That is where an address that debug information gives for a marker, say that of a loop, becomes
    observable. A `pc` before the first instruction counts as the first. None where no instruction follows:
    behind the last one there is only the return. Raises InternalError for an imported function.
    """
    rests = function.code.rests
    index = bisect_left(rests, pc)
    return rests[index] if index < len(rests) else None


@dataclass(slots=True)
class Control:
    """A structured construct: the function itself, a block, loop, if or try_table.

    `opener`, `otherwise` and `end` are indices of instructions: that which opens it (-1 for the function),
    its `else` (None without one) and its `end`.
    """

    number: int
    """Its index in `Typing.controls`."""
    parent: int
    """Index of the construct around it in `Typing.controls`; -1 for the function."""
    op: Opcode | None
    """Its opcode, None for the function."""
    type: FuncType
    height: int
    """How many operands lie below its parameters: what a branch to it cuts the stack down to before the
    label's values are put back; -1 in unreachable code."""
    opener: int
    otherwise: int | None = None
    end: int = -1

    @property
    def is_loop(self) -> bool:
        return self.op is _LOOP

    @property
    def label_types(self) -> tuple[ValType, ...]:
        """Types of the values that a branch to it carries."""
        return self.type.params if self.is_loop else self.type.results

    @property
    def arity(self) -> int:
        """How many values a branch to it carries."""
        return len(self.label_types)

    @property
    def target(self) -> int:
        """Index of the marker that a branch to it arrives at: the `loop`, or the `end`."""
        return self.opener if self.is_loop else self.end


Stack: TypeAlias = "tuple[Stack, ValType] | None"
"""Types of an operand stack as a linked list from the top, so that all the stacks of a body share theirs."""


@dataclass(frozen=True, slots=True, eq=False)
class Typing:
    """The typing of one function. Lists that are as long as `instructions` hold what is true *before* each.

    Code counts as reachable as far as its types tell: what follows the `end` of a reachable construct is
    reachable, even where all paths through the construct leave elsewhere.
    """

    function: Function
    instructions: tuple[Instruction, ...]
    heights: list[int]
    """Number of operands on the stack; -1 where the instruction is unreachable."""
    controls: list[Control]
    """All constructs in the order in which they open; [0] is the function."""
    control_of: list[int]
    """Innermost construct around each instruction, as an index in `controls`. An instruction that opens a
    construct belongs to the one around it; `else` and `end` to the one that they are part of."""
    stacks: list[Stack]

    def is_reachable(self, index: int) -> bool:
        return self.heights[index] >= 0

    def operands(self, index: int) -> tuple[ValType, ...]:
        """Types of the operand stack before instruction `index`, deepest first; empty if unreachable."""
        types: list[ValType] = []
        stack = self.stacks[index]
        while stack is not None:
            stack, type_ = stack
            types.append(type_)
        return tuple(reversed(types))

    def label(self, index: int, depth: int) -> Control:
        """The construct that label `depth` means in instruction `index`.

        Right for the clauses of a try_table too, whose labels count from outside of it.
        """
        control = self.controls[self.control_of[index]]
        for _ in range(depth):
            if control.parent < 0:
                raise InvalidModule(f"unknown label {depth}", self.instructions[index].offset)
            control = self.controls[control.parent]
        return control


def _offset(instruction: Instruction) -> int:
    return instruction.offset


def type_function(module: Module, function: Function) -> Typing:
    """The typing of a function that has a body (InternalError otherwise).

    Raises InvalidModule only for modules that were never validated.
    """
    return _Typer(module, function).run()


class _Typer:
    """The state of the algorithm: the types on the stack now, and the constructs that are open."""

    def __init__(self, module: Module, function: Function) -> None:
        self.module = module
        self.function = function
        self.locals = function.local_types
        self.instructions = function.code.instructions
        self.stack: Stack = None
        self.height = 0
        self.live = True
        self.controls = [Control(0, -1, None, FuncType((), function.type.results), 0, -1)]
        self.current = self.controls[0]
        # The stack below each construct's parameters, and whether the code around it is reachable.
        self.bases: list[tuple[Stack, bool]] = [(None, True)]

    def run(self) -> Typing:
        """Long because it is the inner loop of all analysis: what has a signature of its own is done here,
        with the stack in local variables."""
        heights: list[int] = []
        control_of: list[int] = []
        stacks: list[Stack] = []
        signature, types = _SIGNATURES.get, self.locals
        stack, height, live, number, floor = self.stack, self.height, self.live, 0, 0
        for index, instruction in enumerate(self.instructions):
            heights.append(height if live else -1)
            stacks.append(stack if live else None)
            op = instruction.op
            fixed = signature(op)
            if op is _GET and live:
                stack = (stack, types[cast(int, instruction.immediates[0])])
                height += 1
            elif fixed is None:
                self.stack, self.height = stack, height
                structure = _STRUCTURE.get(op)
                if structure is not None:
                    control_of += [number] * (index + 1 - len(control_of))
                    structure(self, index, instruction)
                    number, floor = self.current.number, self.current.height
                elif live:
                    self.straight(instruction)
                stack, height, live = self.stack, self.height, self.live
            elif live:
                pops, results = fixed
                height -= pops
                if height < floor:
                    raise InvalidModule("operand stack underflow", instruction.offset)
                for _ in range(pops):
                    stack = stack[0] if stack is not None else None
                for type_ in results:
                    stack = (stack, type_)
                    height += 1
        return Typing(self.function, self.instructions, heights, self.controls, control_of, stacks)

    def straight(self, instruction: Instruction) -> None:
        """Type a reachable instruction that neither opens nor closes a construct, and has no signature."""
        pops, pushes = _EFFECTS[instruction.op](self, instruction)
        self.pop(pops, instruction)
        self.push(pushes)
        if instruction.op in _LEAVING:
            self.live = False

    def pop(self, count: int, instruction: Instruction) -> None:
        if self.height - count < self.current.height:
            raise InvalidModule("operand stack underflow", instruction.offset)
        self.height -= count
        stack = self.stack
        for _ in range(count):
            stack = stack[0] if stack is not None else None
        self.stack = stack

    def push(self, types: Iterable[ValType]) -> None:
        for type_ in types:
            self.stack = (self.stack, type_)
            self.height += 1

    def top(self, depth: int, instruction: Instruction) -> ValType:
        """Type of the operand that has `depth` others above it."""
        stack = self.stack
        for _ in range(depth):
            stack = stack[0] if stack is not None else None
        if stack is None:
            raise InvalidModule("operand stack underflow", instruction.offset)
        return stack[1]

    # --- structure -----------------------------------------------------------------------------------

    def open(self, index: int, instruction: Instruction) -> None:
        type_ = cast(FuncType, instruction.immediates[0])
        if self.live:
            self.pop(len(type_.params) + (instruction.op is _IF), instruction)
        height = self.height if self.live else -1
        control = Control(len(self.controls), self.current.number, instruction.op, type_, height, index)
        self.controls.append(control)
        self.bases.append((self.stack, self.live))
        self.current = control
        self.restart(type_.params)

    def otherwise(self, index: int, instruction: Instruction) -> None:
        self.current.otherwise = index
        self.restart(self.current.type.params)

    def close(self, index: int, instruction: Instruction) -> None:
        control = self.current
        control.end = index
        if control.parent >= 0:
            self.restart(control.type.results)
            self.current = self.controls[control.parent]

    def restart(self, types: tuple[ValType, ...]) -> None:
        """Make the stack that of the current construct's base, with values of `types` on it."""
        self.stack, self.live = self.bases[self.current.number]
        if self.live:
            self.height = self.current.height
            self.push(types)


_Effect: TypeAlias = "tuple[int, tuple[ValType, ...]]"
"""How many operands an instruction pops, and the types of those that it pushes."""


def _int(instruction: Instruction) -> int:
    return cast(int, instruction.immediates[0])


def _address(is64: bool) -> ValType:
    return ValType.I64 if is64 else ValType.I32


def _select(typer: _Typer, instruction: Instruction) -> _Effect:
    return 3, (typer.top(1, instruction),)


def _local(typer: _Typer, instruction: Instruction) -> ValType:
    return typer.locals[_int(instruction)]


def _global(typer: _Typer, instruction: Instruction) -> ValType:
    return typer.module.globals[_int(instruction)].type.type


def _table_address(typer: _Typer, instruction: Instruction) -> ValType:
    return _address(typer.module.tables[_int(instruction)].type.is64)


def _element(typer: _Typer, instruction: Instruction) -> ValType:
    return typer.module.tables[_int(instruction)].type.element


def _memory_address(typer: _Typer, instruction: Instruction) -> ValType:
    return _address(typer.module.memories[_int(instruction)].is64)


def _call(typer: _Typer, instruction: Instruction) -> _Effect:
    type_ = typer.module.functions[_int(instruction)].type
    return len(type_.params), type_.results


def _call_indirect(typer: _Typer, instruction: Instruction) -> _Effect:
    type_ = typer.module.types[_int(instruction)]
    return len(type_.params) + 1, type_.results


def _fixed(pops: int, *pushes: ValType) -> Callable[[_Typer, Instruction], _Effect]:
    effect = pops, pushes
    return lambda typer, instruction: effect


_STRUCTURE_NAMES = {
    "block": _Typer.open,
    "loop": _Typer.open,
    "if": _Typer.open,
    "try_table": _Typer.open,
    "else": _Typer.otherwise,
    "end": _Typer.close,
}

# Leaving instructions pop what is above their construct implicitly: no more than that needs to be said.
_EFFECT_NAMES: dict[str, Callable[[_Typer, Instruction], _Effect]] = {
    "unreachable": _fixed(0),
    "br": _fixed(0),
    "br_if": _fixed(1),
    "br_table": _fixed(0),
    "return": _fixed(0),
    "throw": _fixed(0),
    "throw_ref": _fixed(0),
    "return_call": _fixed(0),
    "return_call_indirect": _fixed(0),
    "call": _call,
    "call_indirect": _call_indirect,
    "drop": _fixed(1),
    "select": _select,
    "select_t": _select,
    "local.get": lambda t, i: (0, (_local(t, i),)),
    "local.set": _fixed(1),
    "local.tee": lambda t, i: (1, (_local(t, i),)),
    "global.get": lambda t, i: (0, (_global(t, i),)),
    "global.set": _fixed(1),
    "table.get": lambda t, i: (1, (_element(t, i),)),
    "table.set": _fixed(2),
    "table.size": lambda t, i: (0, (_table_address(t, i),)),
    "table.grow": lambda t, i: (2, (_table_address(t, i),)),
    "table.fill": _fixed(3),
    "table.init": _fixed(3),
    "table.copy": _fixed(3),
    "ref.null": lambda t, i: (0, (ValType(_int(i)),)),
    "ref.is_null": _fixed(1, ValType.I32),
    "ref.func": _fixed(0, ValType.FUNCREF),
    "memory.size": lambda t, i: (0, (_memory_address(t, i),)),
    "memory.grow": lambda t, i: (1, (_memory_address(t, i),)),
    "memory.init": _fixed(3),
    "memory.copy": _fixed(3),
    "memory.fill": _fixed(3),
}

_STRUCTURE = {BY_MNEMONIC[name]: method for name, method in _STRUCTURE_NAMES.items()}
_EFFECTS = {BY_MNEMONIC[name]: effect for name, effect in _EFFECT_NAMES.items()}
_SIGNATURES = {
    op: (len(op.params), op.results)
    for op in OPCODES
    if op.params is not None and op.results is not None and op not in _STRUCTURE
}
_LEAVING = frozenset(
    BY_MNEMONIC[name]
    for name in (
        *("unreachable", "br", "br_table", "return", "throw", "throw_ref"),
        *("return_call", "return_call_indirect"),
    )
)
_GET = BY_MNEMONIC["local.get"]
_LOOP = BY_MNEMONIC["loop"]
_IF = BY_MNEMONIC["if"]
