"""Decoding of instruction sequences: function bodies and constant expressions (core 5.4, 5.4.9).

Written for speed where it is cheap: a table indexed by the opcode byte, shared tuples for small
immediates, everything else in one reader per kind of immediates.

May import base, `opcodes`, `model`, `leb128` and `unsupported`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ttd.errors import InvalidModule
from ttd.wasm.leb128 import read_signed, read_u32, read_u64
from ttd.wasm.model import FuncType, Instruction
from ttd.wasm.opcodes import BY_CODE, BY_MNEMONIC, OPCODES, Catch, CatchKind, Immediates, Opcode
from ttd.wasm.unsupported import refuse_opcode, refuse_type
from ttd.wasm.valtype import ValType

Types: TypeAlias = tuple[FuncType, ...]
Decoded: TypeAlias = tuple[tuple[object, ...], int]
"""Immediates, and the position behind them."""
Reader: TypeAlias = Callable[[bytes, int, Types], Decoded]

_VALUE_TYPES: dict[int, ValType] = {int(type_): type_ for type_ in ValType}
_SINGLES: tuple[tuple[object, ...], ...] = tuple((value,) for value in range(128))
_EMPTY_BLOCK = (FuncType((), ()),)
_RESULT_BLOCKS = {code: (FuncType((), (type_,)),) for code, type_ in _VALUE_TYPES.items()}
_CATCH_KINDS = {int(kind): kind for kind in CatchKind}
_MASK32, _MASK64 = (1 << 32) - 1, (1 << 64) - 1


def read_value_type(data: bytes, position: int) -> tuple[ValType, int]:
    """A value type; raises for one that ttd does not support."""
    type_ = _VALUE_TYPES.get(data[position])
    if type_ is None:
        refuse_type(data[position], position)
    return type_, position + 1


def read_reference_type(data: bytes, position: int) -> tuple[ValType, int]:
    """A reference type; raises for one that ttd does not support, and for number types."""
    type_, after = read_value_type(data, position)
    if not type_.is_reference:
        raise InvalidModule(f"{type_} is not a reference type", position)
    return type_, after


def read_count(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The length of a vector, of which each element takes a byte at least: never more than what is left."""
    count, after = read_u32(data, position)
    if count > end - after:
        raise InvalidModule(f"vector of {count} elements runs past the end", position)
    return count, after


def _index(data: bytes, position: int, types: Types) -> Decoded:
    value, position = read_u32(data, position)
    return (value,), position


def _two_indices(data: bytes, position: int, types: Types) -> Decoded:
    first, position = read_u32(data, position)
    second, position = read_u32(data, position)
    return (first, second), position


def _block(data: bytes, position: int, types: Types) -> Decoded:
    """A block type: empty, a result type, or an index into the types as a positive s33."""
    code = data[position]
    if code == 0x40:
        return _EMPTY_BLOCK, position + 1
    if code in _RESULT_BLOCKS:
        return _RESULT_BLOCKS[code], position + 1
    if 0x40 <= code < 0x80:  # negative, so not an index
        refuse_type(code, position)
    index, after = read_signed(data, position, 33)
    if not 0 <= index < len(types):
        raise InvalidModule(f"unknown type {index}", position)
    return (types[index],), after


def _try_table(data: bytes, position: int, types: Types) -> Decoded:
    (type_,), position = _block(data, position, types)
    count, position = read_count(data, position, len(data))
    catches = []
    for _ in range(count):
        kind = _CATCH_KINDS.get(data[position])
        if kind is None:
            raise InvalidModule(f"malformed catch clause {data[position]:#04x}", position)
        tag = None
        position += 1
        if kind.has_tag:
            tag, position = read_u32(data, position)
        depth, position = read_u32(data, position)
        catches.append(Catch(kind, tag, depth))
    return (type_, tuple(catches)), position


def _label_table(data: bytes, position: int, types: Types) -> Decoded:
    count, position = read_count(data, position, len(data))
    depths = []
    for _ in range(count):
        depth, position = read_u32(data, position)
        depths.append(depth)
    default, position = read_u32(data, position)
    return (tuple(depths), default), position


def _select(data: bytes, position: int, types: Types) -> Decoded:
    count, position = read_count(data, position, len(data))
    operands = []
    for _ in range(count):
        type_, position = read_value_type(data, position)
        operands.append(type_)
    return (tuple(operands),), position


def _reference(data: bytes, position: int, types: Types) -> Decoded:
    if data[position] < 0x40 or data[position] >= 0x80:  # a type index, as a positive s33
        refuse_type(0x63, position)
    type_, position = read_reference_type(data, position)
    return (type_,), position


def _memarg(data: bytes, position: int, types: Types) -> Decoded:
    """Bit 6 of the alignment says that a memory index follows (multi-memory)."""
    start = position
    if data[position] < 0x40 and data[position + 1] < 0x80:  # nearly all of them
        return (0, data[position], data[position + 1]), position + 2
    align, position = read_u32(data, position)
    memory = 0
    if align >= 0x40:
        if align >= 0x80:
            raise InvalidModule("malformed memop flags", start)
        align -= 0x40
        memory, position = read_u32(data, position)
    offset, position = read_u64(data, position)
    return (memory, align, offset), position


def _memarg_lane(data: bytes, position: int, types: Types) -> Decoded:
    memarg, position = _memarg(data, position, types)
    return (*memarg, data[position]), position + 1


def _i32(data: bytes, position: int, types: Types) -> Decoded:
    value, position = read_signed(data, position, 32)
    return (value & _MASK32,), position


def _i64(data: bytes, position: int, types: Types) -> Decoded:
    value, position = read_signed(data, position, 64)
    return (value & _MASK64,), position


def _bits(size: int) -> Reader:
    def read(data: bytes, position: int, types: Types) -> Decoded:
        after = position + size  # past the end: seen by the caller
        return (int.from_bytes(data[position:after], "little"),), after

    return read


def _shuffle(data: bytes, position: int, types: Types) -> Decoded:
    return (tuple(data[position : position + 16]),), position + 16


def _lane(data: bytes, position: int, types: Types) -> Decoded:
    return (data[position],), position + 1


def _readers() -> dict[Immediates, Reader | None]:
    kinds = Immediates
    table: dict[Immediates, Reader | None] = dict.fromkeys(kinds, _index)
    two = (
        kinds.CALL_INDIRECT,
        kinds.MEMORY_INIT,
        kinds.MEMORY_COPY,
        kinds.TABLE_INIT,
        kinds.TABLE_COPY,
    )
    table.update(dict.fromkeys(two, _two_indices))
    table.update({kinds.NONE: None, kinds.BLOCK: _block, kinds.IF: _block, kinds.TRY_TABLE: _try_table})
    table.update({kinds.LABEL_TABLE: _label_table, kinds.SELECT: _select, kinds.REF_TYPE: _reference})
    table.update({kinds.MEMARG: _memarg, kinds.MEMARG_LANE: _memarg_lane})
    table.update({kinds.I32: _i32, kinds.I64: _i64, kinds.F32: _bits(4), kinds.F64: _bits(8)})
    table.update({kinds.V128: _bits(16), kinds.SHUFFLE: _shuffle, kinds.LANE: _lane})
    return table


_READERS = _readers()
_OPENERS = (Immediates.BLOCK, Immediates.IF, Immediates.TRY_TABLE)
_Singles: TypeAlias = tuple[tuple[object, ...], ...]
_SHORT: dict[Reader | None, _Singles] = {
    _index: _SINGLES,
    _i32: tuple(_i32(bytes([byte]), 0, ())[0] for byte in range(128)),
    _i64: tuple(_i64(bytes([byte]), 0, ())[0] for byte in range(128)),
}
"""By reader: immediates that take one byte, by that byte."""
_Row: TypeAlias = tuple[Opcode | None, Reader | None, _Singles | None, bool]
_ONE_BYTE: list[_Row] = [(None, None, None, False)] * 256
"""By opcode byte: its row of the table, the reader of its immediates, their short forms, and whether it opens
a construct."""
for _op in OPCODES:
    if _op.code < 0x100:
        _reader = _READERS[_op.immediates]
        _ONE_BYTE[_op.code] = (_op, _reader, _SHORT.get(_reader), _op.immediates in _OPENERS)
_PREFIXES = (0xFB, 0xFC, 0xFD, 0xFE)
_END = BY_MNEMONIC["end"]


def _read_prefixed(data: bytes, position: int, types: Types) -> tuple[Opcode, tuple[object, ...], int]:
    """An instruction that starts with a prefix byte (or with no opcode at all: raises)."""
    start = position
    code = data[position]
    position += 1
    if code in _PREFIXES:
        sub, position = read_u32(data, position)
        code = code << 16 | min(sub, 0xFFFF)
    op = BY_CODE.get(code)
    if op is None:
        refuse_opcode(code, start)
    reader = _READERS[op.immediates]
    if reader is None:
        return op, (), position
    immediates, position = reader(data, position, types)
    return op, immediates, position


def read_expression(
    data: bytes, position: int, end: int, types: Types
) -> tuple[tuple[Instruction, ...], int]:
    """Instructions up to the `end` that closes the expression, and the position behind it.

    `end` is where the bytes that it may lie in end. Long because it is the inner loop of all decoding.
    Raises InvalidModule and UnsupportedFeature; IndexError where `data` ends in the middle.
    """
    out: list[Instruction] = []
    append, new = out.append, tuple.__new__
    table = _ONE_BYTE
    depth = 0
    while position < end:
        start = position
        op, reader, singles, opens = table[data[position]]
        if op is None:
            op, immediates, position = _read_prefixed(data, position, types)
            append(new(Instruction, (start, op, immediates)))
            continue
        position += 1
        if reader is None:
            append(new(Instruction, (start, op, ())))
            if op is _END:
                if depth == 0:
                    return tuple(out), position
                depth -= 1
            continue
        if singles is not None and data[position] < 0x80:
            append(new(Instruction, (start, op, singles[data[position]])))
            position += 1
            continue
        immediates, position = reader(data, position, types)
        append(new(Instruction, (start, op, immediates)))
        if opens:
            depth += 1
    if position > end:
        raise InvalidModule("an instruction runs past the end of its expression", end)
    raise InvalidModule("an expression has no end", end)


def decode_body(data: bytes, start: int, end: int, types: Types) -> tuple[Instruction, ...]:
    """The instructions of the function body in data[start:end]; raises InvalidModule, UnsupportedFeature."""
    try:
        instructions, position = read_expression(data, start, end, types)
    except IndexError:
        raise InvalidModule("unexpected end of a function body", len(data)) from None
    if position != end:
        raise InvalidModule("a function body goes on behind its end", position)
    return instructions
