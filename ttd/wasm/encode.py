"""The writer of the binary format (core 5): `Module` to bytes, and instructions to bytes.

What it writes means the same as what was read; it need not be the same bytes: integers take their
shortest form, element segments of plain functions their compact one, block types the one without an index
where there is one. So offsets move, and debug information that was copied along refers to the old ones.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TypeAlias, TypeVar, cast

from ttd.errors import InternalError
from ttd.wasm.leb128 import write_signed, write_unsigned
from ttd.wasm.model import (
    Body,
    CustomSection,
    Data,
    Element,
    Export,
    Function,
    FuncType,
    Global,
    GlobalType,
    Import,
    Instruction,
    MemoryType,
    Module,
    SegmentMode,
    Table,
    TableType,
    TagType,
    ValType,
)
from ttd.wasm.opcodes import BY_MNEMONIC, OPCODES, Catch, Immediates, Opcode

T = TypeVar("T")
TypeIndices: TypeAlias = dict[FuncType, int]
Writer: TypeAlias = Callable[[tuple[object, ...], TypeIndices], bytes]

_REF_FUNC = BY_MNEMONIC["ref.func"]
_END = BY_MNEMONIC["end"]


def encode(module: Module, bodies: Mapping[int, bytes] | None = None) -> bytes:
    """The binary form of `module`; every body is written anew from its instructions.

    But those functions whose index is in `bodies` have that code: declarations of locals and expression.

    Custom sections stay behind the section that they were behind (a built module has them at the end).
    Raises InternalError for a module that contradicts itself, as one with a block type that it lacks.
    """
    sections = _standard_sections(module, bodies or {})
    out = bytearray(b"\0asm\1\0\0\0")
    customs = _customs_by_predecessor(module)
    for custom in customs.get(0, ()):
        out += _custom(custom)
    for id_, contents in sections:
        if contents:
            out += bytes([id_]) + write_unsigned(len(contents)) + contents
        for custom in customs.get(id_, ()):
            out += _custom(custom)
    return bytes(out)


def encode_expression(instructions: Iterable[Instruction], types: TypeIndices) -> bytes:
    """Instructions one behind the other. `types` tells the index of every function type (`type_indices`)."""
    out = bytearray()
    for _, op, immediates in instructions:
        code, writer = _BY_OP[op]
        out += code
        if writer is not None:
            out += writer(immediates, types)
    return bytes(out)


def type_indices(types: Sequence[FuncType]) -> TypeIndices:
    """The index of each type; of equal types the first."""
    return {type_: index for index, type_ in reversed(list(enumerate(types)))}


# --- sections ----------------------------------------------------------------------------------------


def _standard_sections(module: Module, bodies: Mapping[int, bytes]) -> list[tuple[int, bytes]]:
    """Id and contents of all standard sections in their order; empty contents where there is nothing."""
    types = type_indices(module.types)
    own = [function for function in module.functions if function.imported is None]
    tables = module.tables[_imported(module, TableType) :]
    memories = module.memories[_imported(module, MemoryType) :]
    globals_ = module.globals[_imported(module, GlobalType) :]
    tags = module.tags[_imported(module, TagType) :]
    return [
        (1, _section(module.types, _function_type)),
        (2, _section(module.imports, _import)),
        (3, _section(own, lambda function: write_unsigned(function.type_index))),
        (4, _section(tables, lambda table: _table(table, types))),
        (5, _section(memories, _memory_type)),
        (13, _section(tags, _tag_type)),
        (6, _section(globals_, lambda entry: _global(entry, types))),
        (7, _section(module.exports, _export)),
        (8, b"" if module.start is None else write_unsigned(module.start)),
        (9, _section(module.elements, lambda element: _element(element, types))),
        (12, write_unsigned(len(module.datas)) if module.datas else b""),
        (10, _section(own, lambda function: _sized(_code(function, bodies, types)))),
        (11, _section(module.datas, lambda data: _data(data, types))),
    ]


def _imported(module: Module, type_: type[object]) -> int:
    return sum(isinstance(entry.type, type_) for entry in module.imports)


def _customs_by_predecessor(module: Module) -> dict[int, list[CustomSection]]:
    """Custom sections by the id of the standard section that they lie behind, 0 for the very first."""
    customs = iter(module.customs)
    placed: dict[int, list[CustomSection]] = {}
    last = 0
    for section in module.sections:
        if section.id:
            last = section.id
        elif (custom := next(customs, None)) is not None:
            placed.setdefault(last, []).append(custom)
    placed.setdefault(11, []).extend(customs)
    return placed


def _vector(items: Sequence[T], write: Callable[[T], bytes]) -> bytes:
    return write_unsigned(len(items)) + b"".join([write(item) for item in items])


def _section(items: Sequence[T], write: Callable[[T], bytes]) -> bytes:
    return _vector(items, write) if items else b""


def _sized(contents: bytes) -> bytes:
    return write_unsigned(len(contents)) + contents


def _name(text: str) -> bytes:
    return _sized(text.encode("utf-8"))


def _custom(section: CustomSection) -> bytes:
    return b"\0" + _sized(_name(section.name) + section.data)


# --- types -------------------------------------------------------------------------------------------


def _value_types(types: Sequence[ValType]) -> bytes:
    return write_unsigned(len(types)) + bytes(types)


def _function_type(type_: FuncType) -> bytes:
    return b"\x60" + _value_types(type_.params) + _value_types(type_.results)


def _limits(minimum: int, maximum: int | None, is64: bool) -> bytes:
    flags = (maximum is not None) | is64 << 2
    return bytes([flags]) + write_unsigned(minimum) + (b"" if maximum is None else write_unsigned(maximum))


def _memory_type(type_: MemoryType) -> bytes:
    return _limits(type_.minimum, type_.maximum, type_.is64)


def _table_type(type_: TableType) -> bytes:
    return bytes([type_.element]) + _limits(type_.minimum, type_.maximum, type_.is64)


def _global_type(type_: GlobalType) -> bytes:
    return bytes([type_.type, type_.mutable])


def _tag_type(type_: TagType) -> bytes:
    return b"\0" + write_unsigned(type_.type_index)


# --- entries -----------------------------------------------------------------------------------------


def _import(entry: Import) -> bytes:
    return _name(entry.module) + _name(entry.name) + bytes([entry.kind]) + _import_type(entry)


def _import_type(entry: Import) -> bytes:
    if isinstance(entry.type, TableType):
        return _table_type(entry.type)
    if isinstance(entry.type, MemoryType):
        return _memory_type(entry.type)
    if isinstance(entry.type, GlobalType):
        return _global_type(entry.type)
    if isinstance(entry.type, TagType):
        return _tag_type(entry.type)
    if entry.type_index is None:
        raise InternalError(f"import {entry.module}.{entry.name} has no type index")
    return write_unsigned(entry.type_index)


def _initial(init: tuple[Instruction, ...] | None, types: TypeIndices) -> bytes:
    if init is None:
        raise InternalError("a constant expression is missing")
    return encode_expression(init, types)


def _table(table: Table, types: TypeIndices) -> bytes:
    if table.init is None:
        return _table_type(table.type)
    return b"\x40\0" + _table_type(table.type) + _initial(table.init, types)


def _global(entry: Global, types: TypeIndices) -> bytes:
    return _global_type(entry.type) + _initial(entry.init, types)


def _export(export: Export) -> bytes:
    return _name(export.name) + bytes([export.kind]) + write_unsigned(export.index)


def _is_plain(element: Element) -> bool:
    """Whether all items are ``ref.func index``, so that the compact form will do."""
    return element.type is ValType.FUNCREF and all(
        len(item) == 2 and item[0].op is _REF_FUNC and item[1].op is _END for item in element.items
    )


def _element(element: Element, types: TypeIndices) -> bytes:
    """One of the forms of 5.5.12. Bit 0: not active; bit 1: table or kind written; bit 2: expressions."""
    plain = _is_plain(element)
    flags = 0 if plain else 4
    head = b""
    if element.mode is SegmentMode.ACTIVE:
        if element.table or not (plain or element.type is ValType.FUNCREF):
            flags |= 2
            head += write_unsigned(element.table)
        head += _initial(element.offset, types)
    else:
        flags |= 1 if element.mode is SegmentMode.PASSIVE else 3
    if flags & 3:
        head += b"\0" if plain else bytes([element.type])
    if plain:
        items = _vector(element.items, lambda item: write_unsigned(cast(int, item[0].immediates[0])))
    else:
        items = _vector(element.items, lambda item: encode_expression(item, types))
    return bytes([flags]) + head + items


def _data(data: Data, types: TypeIndices) -> bytes:
    if data.mode is not SegmentMode.ACTIVE:
        return b"\1" + _sized(data.data)
    head = b"\2" + write_unsigned(data.memory) if data.memory else b"\0"
    return head + _initial(data.offset, types) + _sized(data.data)


def _code(function: Function, bodies: Mapping[int, bytes], types: TypeIndices) -> bytes:
    given = bodies.get(function.index)
    return given if given is not None else _body(function.code, types)


def _body(body: Body, types: TypeIndices) -> bytes:
    runs = [(len(list(group)), type_) for type_, group in groupby(body.locals)]
    declarations = _vector(runs, lambda run: write_unsigned(run[0]) + bytes([run[1]]))
    return declarations + encode_expression(body.instructions, types)


# --- immediates: one writer per kind, the counterparts of the readers in `expression` ------------------


def _indices(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    return b"".join([write_unsigned(cast(int, index)) for index in immediates])


def _block_type(type_: FuncType, types: TypeIndices) -> bytes:
    if not type_.params and len(type_.results) < 2:
        return bytes([type_.results[0]]) if type_.results else b"\x40"
    if type_ not in types:
        raise InternalError(f"block type {type_} is not among the types of the module")
    return write_signed(types[type_])  # an s33: index 64 takes two bytes


def _block(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    return _block_type(cast(FuncType, immediates[0]), types)


def _catch(catch: Catch) -> bytes:
    tag = b"" if catch.tag is None else write_unsigned(catch.tag)
    return bytes([catch.kind]) + tag + write_unsigned(catch.depth)


def _try_table(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    return _block(immediates, types) + _vector(cast("tuple[Catch, ...]", immediates[1]), _catch)


def _label_table(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    depths, default = cast("tuple[tuple[int, ...], int]", immediates)
    return _vector(depths, write_unsigned) + write_unsigned(default)


def _select(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    return _value_types(cast("tuple[ValType, ...]", immediates[0]))


def _reference(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    return bytes([cast(ValType, immediates[0])])


def _memarg(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    memory, align, offset = cast("tuple[int, int, int]", immediates[:3])
    if memory:
        return bytes([align | 0x40]) + write_unsigned(memory) + write_unsigned(offset)
    return bytes([align]) + write_unsigned(offset)


def _memarg_lane(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    return _memarg(immediates, types) + bytes([cast(int, immediates[3])])


def _signed(bits: int) -> Writer:
    def write(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
        value = cast(int, immediates[0])
        return write_signed(value - (1 << bits) if value >> (bits - 1) else value)

    return write


def _bits(size: int) -> Writer:
    def write(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
        return cast(int, immediates[0]).to_bytes(size, "little")

    return write


def _lanes(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    return bytes(cast("tuple[int, ...]", immediates[0]))


def _lane(immediates: tuple[object, ...], types: TypeIndices) -> bytes:
    return bytes([cast(int, immediates[0])])


_WRITERS: dict[Immediates, Writer | None] = {
    Immediates.NONE: None,
    Immediates.BLOCK: _block,
    Immediates.IF: _block,
    Immediates.TRY_TABLE: _try_table,
    Immediates.LABEL_TABLE: _label_table,
    Immediates.SELECT: _select,
    Immediates.REF_TYPE: _reference,
    Immediates.MEMARG: _memarg,
    Immediates.MEMARG_LANE: _memarg_lane,
    Immediates.I32: _signed(32),
    Immediates.I64: _signed(64),
    Immediates.F32: _bits(4),
    Immediates.F64: _bits(8),
    Immediates.V128: _bits(16),
    Immediates.SHUFFLE: _lanes,
    Immediates.LANE: _lane,
}
"""The rest are indices, one or two, written as they stand."""


def _opcode_bytes(op: Opcode) -> bytes:
    return bytes([op.prefix]) + write_unsigned(op.code & 0xFFFF) if op.prefix else bytes([op.code])


_BY_OP: dict[Opcode, tuple[bytes, Writer | None]] = {
    op: (_opcode_bytes(op), _WRITERS.get(op.immediates, _indices)) for op in OPCODES
}
