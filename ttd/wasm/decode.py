"""The reader of the binary format (core 5.5): bytes to `Module`.

It checks what it must to read safely: structure, sizes, that types exist. Validation proper is Wasmtime's
(`ttd.engine.validate`). Function bodies are left alone until somebody asks for their instructions,
so that opening a large module is quick; then the same errors can come out of `Body.instructions`.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ttd.errors import InvalidModule, NotAModule
from ttd.wasm.expression import (
    decode_body,
    read_count,
    read_expression,
    read_reference_type,
    read_value_type,
)
from ttd.wasm.leb128 import read_u32, read_u64
from ttd.wasm.model import (
    Body,
    CustomSection,
    Data,
    Element,
    Export,
    ExternKind,
    Function,
    FuncType,
    Global,
    GlobalType,
    Import,
    ImportType,
    Instruction,
    MemoryType,
    Module,
    Section,
    SegmentMode,
    Table,
    TableType,
    TagType,
    ValType,
)
from ttd.wasm.opcodes import BY_MNEMONIC
from ttd.wasm.unsupported import Feature, refuse, refuse_type

MAGIC = b"\0asm"
VERSION = b"\1\0\0\0"

MAX_LOCALS = 50_000
"""Locals of a function: the limit of Wasmtime and of browsers. A few bytes must not ask for gigabytes."""

MAX_LOCALS_IN_ALL = 10_000_000
"""Locals of all functions together: many times what real programs have, for the same reason."""

_ORDER = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)
"""Section ids in the order that the specification asks for (5.5.16)."""

T = TypeVar("T")


def decode(data: bytes) -> Module:
    """The module in `data`.

    Raises InvalidModule with the byte offset, and UnsupportedFeature with the name of the feature and
    advice, where it uses something that ttd does not support (bodies: when they are decoded).
    """
    reader = _ModuleReader(bytes(data))
    try:
        return reader.module()
    except IndexError:
        raise InvalidModule("unexpected end of the module", len(data)) from None


def _check_header(data: bytes) -> None:
    if data[:4] != MAGIC:
        raise NotAModule(_foreign_kind(data))
    if len(data) < 8:
        raise InvalidModule("unexpected end of the module", len(data))
    if data[6:8] == b"\1\0":
        refuse(Feature.COMPONENTS, 4)
    if data[4:8] != VERSION:
        raise InvalidModule(f"unknown binary version {int.from_bytes(data[4:8], 'little')}", 4)


_FOREIGN_KINDS = (
    (b"\x7fELF", "a native program; build it for WebAssembly (clang --target=wasm32-wasi)"),
    (b"MZ", "a native program; build it for WebAssembly (clang --target=wasm32-wasi)"),
    (b"SQLite format 3\0", "a database, perhaps a recording; `ttd replay` opens those"),
    (b"!<arch>\n", "a library archive; link it into a module"),
    (b"BC\xc0\xde", "LLVM bitcode; link it into a module"),
)


def _foreign_kind(data: bytes) -> str:
    """What a file that is not a module is instead, and what to do about it."""
    for magic, kind in _FOREIGN_KINDS:
        if data.startswith(magic):
            return kind
    if data.lstrip()[:1] == b"(" or data.lstrip()[:2] == b";;":
        return "WebAssembly text; assemble it first (wasm-tools parse)"
    return "something else; name a .wasm file" if data else "an empty file; build or copy it again"


class _ModuleReader:
    """A cursor over the file, and what has been read so far."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 8
        self.end = len(data)
        self.types: tuple[FuncType, ...] = ()
        self.imports: tuple[Import, ...] = ()
        self.declared: tuple[int, ...] = ()
        self.tables: list[Table] = []
        self.memories: list[MemoryType] = []
        self.globals: list[Global] = []
        self.tags: list[TagType] = []
        self.exports: tuple[Export, ...] = ()
        self.start: int | None = None
        self.elements: tuple[Element, ...] = ()
        self.data_count: int | None = None
        self.datas: tuple[Data, ...] = ()
        self.bodies: tuple[Body, ...] = ()
        self.customs: list[CustomSection] = []
        self.sections: list[Section] = []
        self.imported_functions: list[Import] = []
        self.code_offset = 0
        self.local_count = 0

    # --- sections ------------------------------------------------------------------------------------

    def module(self) -> Module:
        _check_header(self.data)
        stage = 0
        while self.position < len(self.data):
            stage = self.section(stage)
        if len(self.bodies) != len(self.declared):
            raise InvalidModule(
                f"{len(self.declared)} functions are declared, but {len(self.bodies)} have code",
                self.position,
            )
        if self.data_count not in (None, len(self.datas)):
            raise InvalidModule("data count and data section disagree", self.position)
        return self.assemble()

    def section(self, stage: int) -> int:
        """Read one section; `stage` is the place in `_ORDER` that must not be gone back behind."""
        start = self.position
        id_ = self.byte()
        size, self.position = read_u32(self.data, self.position)
        if size > len(self.data) - self.position:
            raise InvalidModule("unexpected end: a section is longer than the rest of the file", start)
        if id_ != 0:
            if id_ not in _ORDER:
                raise InvalidModule(f"malformed section id {id_}", start)
            place = _ORDER.index(id_) + 1
            if place <= stage:
                raise InvalidModule(f"section {id_} is repeated or out of order", start)
            stage = place
        self.end = self.position + size
        self.sections.append(Section(id_, self.position, size))
        _SECTION_READERS[id_](self)
        if self.position != self.end:
            raise InvalidModule("section size mismatch", self.position)
        self.end = len(self.data)
        return stage

    def assemble(self) -> Module:
        functions = [
            Function(i.index, i.type_index or 0, self.types[i.type_index or 0], None, i)
            for i in self.imported_functions
        ]
        for type_index, body in zip(self.declared, self.bodies, strict=True):
            functions.append(Function(len(functions), type_index, self.types[type_index], body, None))
        return Module(
            data=self.data,
            types=self.types,
            imports=self.imports,
            functions=tuple(functions),
            tables=tuple(self.tables),
            memories=tuple(self.memories),
            globals=tuple(self.globals),
            tags=tuple(self.tags),
            exports=self.exports,
            start=self.start,
            elements=self.elements,
            datas=self.datas,
            customs=tuple(self.customs),
            sections=tuple(self.sections),
            code_offset=self.code_offset,
        )

    def custom_section(self) -> None:
        name = self.name()
        self.customs.append(CustomSection(name, self.position, self.data[self.position : self.end]))
        self.position = self.end

    def type_section(self) -> None:
        self.types = self.vector(self.function_type)

    def import_section(self) -> None:
        self.imports = self.vector(self.import_)

    def function_section(self) -> None:
        self.declared = self.vector(self.type_index)

    def table_section(self) -> None:
        self.vector(self.table)

    def memory_section(self) -> None:
        self.memories += self.vector(self.memory_type)

    def tag_section(self) -> None:
        self.tags += self.vector(self.tag_type)

    def global_section(self) -> None:
        self.vector(self.global_)

    def export_section(self) -> None:
        self.exports = self.vector(self.export)

    def start_section(self) -> None:
        self.start = self.u32()

    def element_section(self) -> None:
        self.elements = self.vector(self.element)

    def data_count_section(self) -> None:
        self.data_count = self.u32()

    def code_section(self) -> None:
        self.code_offset = self.position
        self.bodies = self.vector(self.body)

    def data_section(self) -> None:
        self.datas = self.vector(self.data_segment)

    # --- primitives ----------------------------------------------------------------------------------

    def byte(self) -> int:
        value = self.data[self.position]
        self.position += 1
        return value

    def u32(self) -> int:
        value, self.position = read_u32(self.data, self.position)
        return value

    def take(self, size: int) -> bytes:
        """The next `size` bytes, which must lie in the section."""
        start = self.position
        if size > self.end - start:
            raise InvalidModule("unexpected end: contents are longer than their section", start)
        self.position += size
        return self.data[start : self.position]

    def vector(self, element: Callable[[], T]) -> tuple[T, ...]:
        count, self.position = read_count(self.data, self.position, self.end)
        return tuple([element() for _ in range(count)])

    def name(self) -> str:
        size = self.u32()
        start = self.position
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidModule("malformed UTF-8 encoding", start) from None

    def value_type(self) -> ValType:
        type_, self.position = read_value_type(self.data, self.position)
        return type_

    def reference_type(self) -> ValType:
        type_, self.position = read_reference_type(self.data, self.position)
        return type_

    def expression(self) -> tuple[Instruction, ...]:
        instructions, self.position = read_expression(self.data, self.position, self.end, self.types)
        return instructions

    # --- types ---------------------------------------------------------------------------------------

    def function_type(self) -> FuncType:
        start = self.position
        form = self.byte()
        if form != 0x60:
            refuse_type(form, start)
        return FuncType(self.vector(self.value_type), self.vector(self.value_type))

    def type_index(self) -> int:
        start = self.position
        index = self.u32()
        if index >= len(self.types):
            raise InvalidModule(f"unknown type {index}", start)
        return index

    def limits(self) -> tuple[int, int | None, bool]:
        """Minimum, maximum, and whether addresses have 64 bits (5.3.12)."""
        start = self.position
        flags = self.byte()
        if flags & 0x02 and flags < 0x10:
            refuse(Feature.THREADS, start)
        if flags & 0x08 and flags < 0x10:
            refuse(Feature.CUSTOM_PAGE_SIZES, start)
        if flags > 0x07:
            raise InvalidModule(f"malformed limits flags {flags:#04x}", start)
        read = read_u64 if flags & 0x04 else read_u32
        maximum: int | None = None
        minimum, self.position = read(self.data, self.position)
        if flags & 0x01:
            maximum, self.position = read(self.data, self.position)
        return minimum, maximum, bool(flags & 0x04)

    def memory_type(self) -> MemoryType:
        return MemoryType(*self.limits())

    def table_type(self) -> TableType:
        element = self.reference_type()
        return TableType(element, *self.limits())

    def global_type(self) -> GlobalType:
        type_ = self.value_type()
        start = self.position
        flags = self.byte()
        if flags in (2, 3):
            refuse(Feature.THREADS, start)
        if flags > 1:
            raise InvalidModule(f"malformed mutability {flags:#04x}", start)
        return GlobalType(type_, flags == 1)

    def tag_type(self) -> TagType:
        start = self.position
        if self.byte() != 0:
            raise InvalidModule("malformed tag attribute", start)
        index = self.type_index()
        return TagType(index, self.types[index])

    # --- entries -------------------------------------------------------------------------------------

    def import_(self) -> Import:
        module, name = self.name(), self.name()
        start = self.position
        code = self.byte()
        if code > ExternKind.TAG:
            raise InvalidModule(f"malformed import kind {code:#04x}", start)
        kind = ExternKind(code)
        type_, index, type_index = self.import_type(kind)
        entry = Import(module, name, kind, type_, index, type_index)
        if kind is ExternKind.FUNCTION:
            self.imported_functions.append(entry)
        return entry

    def import_type(self, kind: ExternKind) -> tuple[ImportType, int, int | None]:
        """Type, index in its index space (which it is appended to), and type index of an import."""
        if kind is ExternKind.FUNCTION:
            type_index = self.type_index()
            return self.types[type_index], len(self.imported_functions), type_index
        if kind is ExternKind.TABLE:
            table = self.table_type()
            self.tables.append(Table(table, None))
            return table, len(self.tables) - 1, None
        if kind is ExternKind.MEMORY:
            memory = self.memory_type()
            self.memories.append(memory)
            return memory, len(self.memories) - 1, None
        if kind is ExternKind.GLOBAL:
            global_ = self.global_type()
            self.globals.append(Global(global_, None))
            return global_, len(self.globals) - 1, None
        tag = self.tag_type()
        self.tags.append(tag)
        return tag, len(self.tags) - 1, tag.type_index

    def table(self) -> None:
        """A table; 0x40 0x00 announces one with an initial value (5.5.7)."""
        if self.data[self.position] != 0x40:
            self.tables.append(Table(self.table_type(), None))
            return
        self.position += 1
        start = self.position
        if self.byte() != 0:
            raise InvalidModule("malformed table", start)
        type_ = self.table_type()
        self.tables.append(Table(type_, self.expression()))

    def global_(self) -> None:
        type_ = self.global_type()
        self.globals.append(Global(type_, self.expression()))

    def export(self) -> Export:
        name = self.name()
        start = self.position
        code = self.byte()
        if code > ExternKind.TAG:
            raise InvalidModule(f"malformed export kind {code:#04x}", start)
        return Export(name, ExternKind(code), self.u32())

    def element(self) -> Element:
        """An element segment, in one of eight forms (5.5.12)."""
        start = self.position
        flags = self.u32()
        if flags > 7:
            raise InvalidModule(f"malformed element segment flags {flags}", start)
        mode, table, offset = SegmentMode.PASSIVE, 0, None
        if not flags & 1:
            mode = SegmentMode.ACTIVE
            table = self.u32() if flags & 2 else 0
            offset = self.expression()
        elif flags & 2:
            mode = SegmentMode.DECLARATIVE
        type_ = ValType.FUNCREF
        if flags & 3:
            type_ = self.reference_type() if flags & 4 else self.element_kind()
        items = self.vector(self.expression if flags & 4 else self.function_reference)
        return Element(mode, type_, items, table, offset)

    def element_kind(self) -> ValType:
        start = self.position
        if self.byte() != 0:
            raise InvalidModule("malformed element kind", start)
        return ValType.FUNCREF

    def function_reference(self) -> tuple[Instruction, ...]:
        """A function index that stands for the constant expression ``ref.func index``."""
        start = self.position
        return (Instruction(start, _REF_FUNC, (self.u32(),)), Instruction(self.position, _END, ()))

    def data_segment(self) -> Data:
        start = self.position
        flags = self.u32()
        if flags > 2:
            raise InvalidModule(f"malformed data segment flags {flags}", start)
        if flags == 1:
            return Data(SegmentMode.PASSIVE, self.take(self.u32()), 0, None)
        memory = self.u32() if flags == 2 else 0
        offset = self.expression()
        return Data(SegmentMode.ACTIVE, self.take(self.u32()), memory, offset)

    def body(self) -> Body:
        size = self.u32()
        end = self.position + size
        if end > self.end:
            raise InvalidModule("unexpected end: a function body is longer than its section", self.position)
        locals_ = self.local_types()
        start, self.position = self.position, end
        if start > end:
            raise InvalidModule("local declarations run past the end of the function body", end)
        decoder = partial(decode_body, self.data, start, end, self.types)
        return Body(locals_, start, end, decoder)

    def local_types(self) -> tuple[ValType, ...]:
        runs, self.position = read_count(self.data, self.position, self.end)
        locals_: list[ValType] = []
        for _ in range(runs):
            start = self.position
            count = self.u32()
            self.local_count += count
            if count > MAX_LOCALS - len(locals_) or self.local_count > MAX_LOCALS_IN_ALL:
                raise InvalidModule("too many locals", start)
            locals_ += [self.value_type()] * count
        return tuple(locals_)


_REF_FUNC = BY_MNEMONIC["ref.func"]
_END = BY_MNEMONIC["end"]

_SECTION_READERS: dict[int, Callable[[_ModuleReader], None]] = {
    0: _ModuleReader.custom_section,
    1: _ModuleReader.type_section,
    2: _ModuleReader.import_section,
    3: _ModuleReader.function_section,
    4: _ModuleReader.table_section,
    5: _ModuleReader.memory_section,
    6: _ModuleReader.global_section,
    7: _ModuleReader.export_section,
    8: _ModuleReader.start_section,
    9: _ModuleReader.element_section,
    10: _ModuleReader.code_section,
    11: _ModuleReader.data_section,
    12: _ModuleReader.data_count_section,
    13: _ModuleReader.tag_section,
}
