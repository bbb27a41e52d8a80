"""Disassembly: the instructions of a function as text, in the spelling of the text format (core 6.5).

May import base and `ttd.wasm`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from ttd.wasm.model import Function, FuncType, Instruction, Module, ValType
from ttd.wasm.names import Names
from ttd.wasm.opcodes import BY_MNEMONIC, Catch, Immediates, Opcode


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction. `depth` is how deep it is nested, `comment` what indices in it mean (may be empty)."""

    offset: int
    depth: int
    text: str
    comment: str

    def __str__(self) -> str:
        code = f"{self.offset:#08x}  {'  ' * self.depth}{self.text}"
        return f"{code}  ;; {self.comment}" if self.comment else code


def disassemble(module: Module, function: Function, names: Names) -> list[Line]:
    """The lines of a function's body, the final `end` included; InternalError for an imported function."""
    instructions = function.code.instructions
    ends = _ends(instructions)
    lines: list[Line] = []
    labels: list[tuple[Opcode | None, int]] = [(None, instructions[-1].offset)]
    context = _Context(module, function, names, labels)
    for index, instruction in enumerate(instructions):
        op = instruction.op
        if op is _END:
            labels.pop()
        depth = len(labels) - 1 - (op is _ELSE)
        lines.append(
            Line(instruction.offset, max(depth, 0), spell(instruction), context.comment(instruction))
        )
        if index in ends:
            target = instruction.offset if op is _LOOP else instructions[ends[index]].offset
            labels.append((op, target))
    return lines


def signature(module: Module, function: Function, names: Names) -> str:
    """The head line of a function: ``func[3] push (param i32 i32) (result i32) (local i32)``."""
    name = f" {names.function(function.index)}" if names.has_function(function.index) else ""
    locals_ = function.local_types[len(function.type.params) :]
    return f"func[{function.index}]{name}{type_use(function.type)}{_clause('local', locals_)}"


def spell(instruction: Instruction) -> str:
    """An instruction in the spelling of the text format, indices as numbers."""
    op = instruction.op
    mnemonic = "select" if op.immediates is Immediates.SELECT else op.mnemonic
    speller = _SPELLERS.get(op.immediates, _plain)
    return mnemonic + speller(op, instruction.immediates)


def _ends(instructions: Sequence[Instruction]) -> dict[int, int]:
    """Index of the `end` of each construct, by the index of the instruction that opens it."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for index, instruction in enumerate(instructions):
        if instruction.op.immediates in _OPENERS:
            opened.append(index)
        elif instruction.op is _END and opened:
            ends[opened.pop()] = index
    return ends


# --- immediates ----------------------------------------------------------------------------------------

Values: TypeAlias = tuple[object, ...]
Speller: TypeAlias = Callable[[Opcode, Values], str]


def _clause(keyword: str, types: Sequence[ValType]) -> str:
    return f" ({keyword} {' '.join(map(str, types))})" if types else ""


def type_use(type_: FuncType) -> str:
    """`` (param i32 i32) (result i32)``: with a space before each clause, empty without any."""
    return _clause("param", type_.params) + _clause("result", type_.results)


def _plain(op: Opcode, values: Values) -> str:
    return "".join(f" {value}" for value in values)


def _block(op: Opcode, values: Values) -> str:
    return type_use(cast(FuncType, values[0]))


def _catch(catch: Catch) -> str:
    tag = "" if catch.tag is None else f" {catch.tag}"
    return f" ({catch.kind.name.lower()}{tag} {catch.depth})"


def _try_table(op: Opcode, values: Values) -> str:
    return _block(op, values) + "".join(map(_catch, cast("tuple[Catch, ...]", values[1])))


def _label_table(op: Opcode, values: Values) -> str:
    depths, default = cast("tuple[tuple[int, ...], int]", values)
    return "".join(f" {depth}" for depth in (*depths, default))


def _call_indirect(op: Opcode, values: Values) -> str:
    type_index, table = values
    return (f" {table}" if table else "") + f" (type {type_index})"


def _select(op: Opcode, values: Values) -> str:
    return _clause("result", cast("tuple[ValType, ...]", values[0]))


def _reference(op: Opcode, values: Values) -> str:
    return " " + str(values[0]).removesuffix("ref")


def _memarg(op: Opcode, values: Values) -> str:
    """The memory if it is not the first, the offset if not 0, the alignment if not the natural one."""
    memory, align, offset, *lane = cast("tuple[int, ...]", values)
    text = f" {memory}" if memory else ""
    text += f" offset={offset}" if offset else ""
    text += f" align={1 << align}" if 1 << align != op.access else ""
    return text + "".join(f" {number}" for number in lane)


def _memory(op: Opcode, values: Values) -> str:
    return f" {values[0]}" if values[0] else ""


def _init(op: Opcode, values: Values) -> str:
    """The binary format has the segment first, the text format last."""
    segment, place = values
    return (f" {place}" if place else "") + f" {segment}"


def _copy(op: Opcode, values: Values) -> str:
    return _plain(op, values) if any(values) else ""


def _signed(bits: int) -> Speller:
    def spell_signed(op: Opcode, values: Values) -> str:
        value = cast(int, values[0])
        return f" {value - (1 << bits) if value >> (bits - 1) else value}"

    return spell_signed


def spell_f32(bits: int) -> str:
    """A 32-bit float as the text format writes it: the shortest decimal that means it, or nan:0x…."""
    value = cast(float, struct.unpack("<f", bits.to_bytes(4, "little"))[0])
    if math.isfinite(value):
        for digits in range(6, 10):
            text = f"{value:.{digits}g}"
            if _rounds_to_f32(text, value):
                return text
    return _spell_special(value, bits >> 31, bits & 0x7F_FFFF, 0x40_0000)


def _rounds_to_f32(text: str, value: float) -> bool:
    try:
        return bool(struct.unpack("<f", struct.pack("<f", float(text)))[0] == value)
    except OverflowError:  # rounded up beyond the largest float
        return False


def spell_f64(bits: int) -> str:
    """A 64-bit float as the text format writes it."""
    value = cast(float, struct.unpack("<d", bits.to_bytes(8, "little"))[0])
    if math.isfinite(value):
        return repr(value).removesuffix(".0")
    return _spell_special(value, bits >> 63, bits & (1 << 52) - 1, 1 << 51)


def _spell_special(value: float, sign: int, payload: int, canonical: int) -> str:
    text = "inf" if math.isinf(value) else "nan" if payload == canonical else f"nan:{payload:#x}"
    return f"-{text}" if sign else text


def _v128(op: Opcode, values: Values) -> str:
    bits = cast(int, values[0])
    return " i32x4" + "".join(f" {bits >> shift & 0xFFFF_FFFF:#010x}" for shift in range(0, 128, 32))


def _shuffle(op: Opcode, values: Values) -> str:
    return "".join(f" {lane}" for lane in cast("tuple[int, ...]", values[0]))


_SPELLERS: dict[Immediates, Speller] = {
    Immediates.BLOCK: _block,
    Immediates.IF: _block,
    Immediates.TRY_TABLE: _try_table,
    Immediates.LABEL_TABLE: _label_table,
    Immediates.CALL_INDIRECT: _call_indirect,
    Immediates.SELECT: _select,
    Immediates.REF_TYPE: _reference,
    Immediates.MEMARG: _memarg,
    Immediates.MEMARG_LANE: _memarg,
    Immediates.MEMORY: _memory,
    Immediates.MEMORY_INIT: _init,
    Immediates.MEMORY_COPY: _copy,
    Immediates.TABLE_INIT: _init,
    Immediates.TABLE_COPY: _copy,
    Immediates.I32: _signed(32),
    Immediates.I64: _signed(64),
    Immediates.F32: lambda op, values: f" {spell_f32(cast(int, values[0]))}",
    Immediates.F64: lambda op, values: f" {spell_f64(cast(int, values[0]))}",
    Immediates.V128: _v128,
    Immediates.SHUFFLE: _shuffle,
}

_OPENERS = (Immediates.BLOCK, Immediates.IF, Immediates.TRY_TABLE)
_END = BY_MNEMONIC["end"]
_ELSE = BY_MNEMONIC["else"]
_LOOP = BY_MNEMONIC["loop"]


# --- comments ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Context:
    """What a comment draws on. `labels` are the open constructs and their branch targets, outermost first."""

    module: Module
    function: Function
    names: Names
    labels: list[tuple[Opcode | None, int]]

    def comment(self, instruction: Instruction) -> str:
        return "; ".join(self.remarks(instruction.op.immediates, instruction.immediates))

    def remarks(self, kind: Immediates, values: Values) -> Iterator[str]:
        """What the indices in an instruction stand for, as far as that has a name."""
        if kind is Immediates.LABEL:
            yield self.target(cast(int, values[0]))
        elif kind is Immediates.LABEL_TABLE:
            depths, default = cast("tuple[tuple[int, ...], int]", values)
            cases = " ".join(map(self.place, depths))
            yield f"to {cases}, else {self.place(default)}" if depths else f"to {self.place(default)}"
        elif kind is Immediates.TRY_TABLE:
            yield from (f"to {self.place(catch.depth)}" for catch in cast("tuple[Catch, ...]", values[1]))
        elif kind is Immediates.CALL_INDIRECT:
            yield self.type(cast(int, values[0]))
        elif kind in _NAMED:
            name = _NAMED[kind](self, cast(int, values[0]))
            if not name.endswith("]"):  # a stand-in such as local[3] says nothing new
                yield name

    def target(self, depth: int) -> str:
        if depth >= len(self.labels):
            return "no such label"
        op, offset = self.labels[-1 - depth]
        return "return" if op is None else f"to {op.mnemonic} {'' if op is _LOOP else 'end '}{offset:#x}"

    def place(self, depth: int) -> str:
        """The target alone: its offset, or ``return``."""
        return self.target(depth).rpartition(" ")[2] if depth < len(self.labels) else "nowhere"

    def type(self, index: int) -> str:
        if index >= len(self.module.types):
            return "no such type"
        return type_use(self.module.types[index]).strip() or "no parameters, no results"


_NAMED: dict[Immediates, Callable[[_Context, int], str]] = {
    Immediates.FUNC: lambda context, index: context.names.function(index),
    Immediates.LOCAL: lambda context, index: context.names.local(context.function.index, index),
    Immediates.GLOBAL: lambda context, index: context.names.global_(index),
    Immediates.TABLE: lambda context, index: context.names.table(index),
    Immediates.TAG: lambda context, index: context.names.tag(index),
    Immediates.DATA: lambda context, index: context.names.data(index),
    Immediates.ELEMENT: lambda context, index: context.names.element(index),
}
