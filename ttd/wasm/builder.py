"""Modules made by ttd itself: the numerics helper, WASI trampolines, and whatever instruments a guest.

    builder = ModuleBuilder()
    binary = FuncType((ValType.I32, ValType.I32), (ValType.I32,))
    code = Code().emit("local.get", 0).emit("local.get", 1).emit("i32.add")
    builder.export("add", ExternKind.FUNCTION, builder.function(binary, code))
    data = builder.encode()

Indices are those of the finished module, imports first; so all imports of a kind come before the first
own entry of that kind.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from ttd.errors import check
from ttd.wasm.encode import encode
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
    SegmentMode,
    Table,
    TableType,
    TagType,
    ValType,
)
from ttd.wasm.opcodes import BY_MNEMONIC, Immediates, Opcode

_MASKS = {Immediates.I32: (1 << 32) - 1, Immediates.I64: (1 << 64) - 1}
_BLOCKS = (Immediates.BLOCK, Immediates.IF, Immediates.TRY_TABLE)


class Code:
    """A sequence of instructions that grows, without the `end` that closes it as a whole."""

    def __init__(self, instructions: Iterable[Instruction] = ()) -> None:
        self._instructions = list(instructions)

    def emit(self, op: str | Opcode, *immediates: object) -> Self:
        """Append an instruction, by mnemonic or row of the table; immediates as `opcodes.Immediates` says.

        Integer constants may be negative. Raises KeyError for an unknown mnemonic.
        """
        row = BY_MNEMONIC[op] if isinstance(op, str) else op
        mask = _MASKS.get(row.immediates)
        if mask is not None and isinstance(immediates[0], int):
            immediates = (immediates[0] & mask,)
        self._instructions.append(Instruction(0, row, immediates))
        return self

    def access(self, op: str | Opcode, offset: int = 0, memory: int = 0) -> Self:
        """Append a load or store (one without a lane) that promises no alignment."""
        return self.emit(op, memory, 0, offset)

    def block(
        self, op: str | Opcode, params: Sequence[ValType] = (), results: Sequence[ValType] = ()
    ) -> Self:
        """Append `block`, `loop` or `if` with the given type; its `end` is emitted like any instruction."""
        return self.emit(op, FuncType(tuple(params), tuple(results)))

    def extend(self, instructions: Iterable[Instruction]) -> Self:
        """Append instructions as they are, for instance those of another `Code` or of a decoded body."""
        self._instructions.extend(instructions)
        return self

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self._instructions)

    def __len__(self) -> int:
        return len(self._instructions)

    def finished(self) -> tuple[Instruction, ...]:
        """The instructions with the final `end`."""
        return (*self._instructions, Instruction(0, BY_MNEMONIC["end"], ()))


class ModuleBuilder:
    """A module under construction. Methods that add something return its index."""

    def __init__(self) -> None:
        self._types: dict[FuncType, int] = {}
        self._imports: list[Import] = []
        self._functions: list[Function] = []
        self._tables: list[Table] = []
        self._memories: list[MemoryType] = []
        self._globals: list[Global] = []
        self._tags: list[TagType] = []
        self._exports: list[Export] = []
        self._elements: list[Element] = []
        self._datas: list[Data] = []
        self._customs: list[CustomSection] = []
        self._start: int | None = None

    def type(self, type_: FuncType) -> int:
        """The index of a function type, which is added when it is new."""
        return self._types.setdefault(type_, len(self._types))

    # --- imports -------------------------------------------------------------------------------------

    def import_function(self, module: str, name: str, type_: FuncType) -> int:
        index, type_index = len(self._functions), self.type(type_)
        entry = self._import(module, name, ExternKind.FUNCTION, type_, index, type_index)
        self._functions.append(Function(index, type_index, type_, None, entry))
        return index

    def import_memory(self, module: str, name: str, type_: MemoryType) -> int:
        self._import(module, name, ExternKind.MEMORY, type_, len(self._memories))
        self._memories.append(type_)
        return len(self._memories) - 1

    def import_table(self, module: str, name: str, type_: TableType) -> int:
        self._import(module, name, ExternKind.TABLE, type_, len(self._tables))
        self._tables.append(Table(type_, None))
        return len(self._tables) - 1

    def import_global(self, module: str, name: str, type_: GlobalType) -> int:
        self._import(module, name, ExternKind.GLOBAL, type_, len(self._globals))
        self._globals.append(Global(type_, None))
        return len(self._globals) - 1

    def import_tag(self, module: str, name: str, type_: FuncType) -> int:
        tag = TagType(self.type(type_), type_)
        self._import(module, name, ExternKind.TAG, tag, len(self._tags), tag.type_index)
        self._tags.append(tag)
        return len(self._tags) - 1

    def _import(
        self,
        module: str,
        name: str,
        kind: ExternKind,
        type_: ImportType,
        index: int,
        type_index: int | None = None,
    ) -> Import:
        before = sum(entry.kind is kind for entry in self._imports)
        check(before == index, f"import {module}.{name} comes behind the module's own {kind.name.lower()}s")
        entry = Import(module, name, kind, type_, index, type_index)
        self._imports.append(entry)
        return entry

    # --- definitions ---------------------------------------------------------------------------------

    def declare(self, type_: FuncType) -> int:
        """Reserve the index of a function that `define` gives its code later: for calls ahead of it."""
        self._functions.append(Function(len(self._functions), self.type(type_), type_, None, None))
        return len(self._functions) - 1

    def define(self, index: int, code: Code, locals_: Sequence[ValType] = ()) -> None:
        """Give a declared function its code and its locals behind the parameters."""
        declared = self._functions[index]
        check(declared.imported is None, f"function {index} is imported")
        instructions = code.finished()
        self._use_block_types(instructions)
        body = Body(tuple(locals_), 0, 0, lambda: instructions)
        self._functions[index] = Function(index, declared.type_index, declared.type, body, None)

    def function(self, type_: FuncType, code: Code, locals_: Sequence[ValType] = ()) -> int:
        """Declare and define a function."""
        index = self.declare(type_)
        self.define(index, code, locals_)
        return index

    def _use_block_types(self, instructions: Iterable[Instruction]) -> None:
        """Make sure that the module has the types of all blocks that need one."""
        for instruction in instructions:
            if instruction.op.immediates in _BLOCKS:
                type_ = instruction.immediates[0]
                if isinstance(type_, FuncType) and (type_.params or len(type_.results) > 1):
                    self.type(type_)

    def memory(self, type_: MemoryType) -> int:
        self._memories.append(type_)
        return len(self._memories) - 1

    def table(self, type_: TableType, init: Code | None = None) -> int:
        self._tables.append(Table(type_, init.finished() if init is not None else None))
        return len(self._tables) - 1

    def global_(self, type_: GlobalType, init: Code) -> int:
        self._globals.append(Global(type_, init.finished()))
        return len(self._globals) - 1

    def tag(self, type_: FuncType) -> int:
        self._tags.append(TagType(self.type(type_), type_))
        return len(self._tags) - 1

    def export(self, name: str, kind: ExternKind, index: int) -> None:
        self._exports.append(Export(name, kind, index))

    def start(self, function: int) -> None:
        self._start = function

    def element(
        self, mode: SegmentMode, functions: Sequence[int], table: int = 0, offset: Code | None = None
    ) -> int:
        """An element segment of functions; an active one has an `offset`."""
        items = tuple(Code().emit("ref.func", function).finished() for function in functions)
        place = offset.finished() if offset is not None else None
        self._elements.append(Element(mode, ValType.FUNCREF, items, table, place))
        return len(self._elements) - 1

    def data(self, mode: SegmentMode, data: bytes, memory: int = 0, offset: Code | None = None) -> int:
        """A data segment; an active one has an `offset`."""
        self._datas.append(Data(mode, data, memory, offset.finished() if offset is not None else None))
        return len(self._datas) - 1

    def custom(self, name: str, data: bytes) -> None:
        """A custom section; they come behind all others."""
        self._customs.append(CustomSection(name, 0, data))

    # --- the result ----------------------------------------------------------------------------------

    def module(self) -> Module:
        """The module as built. It lies in no file: its offsets are all 0."""
        for function in self._functions:
            defined = function.body is not None or function.imported is not None
            check(defined, f"function {function.index} was declared and never defined")
        return Module(
            data=b"",
            types=tuple(self._types),
            imports=tuple(self._imports),
            functions=tuple(self._functions),
            tables=tuple(self._tables),
            memories=tuple(self._memories),
            globals=tuple(self._globals),
            tags=tuple(self._tags),
            exports=tuple(self._exports),
            start=self._start,
            elements=tuple(self._elements),
            datas=tuple(self._datas),
            customs=tuple(self._customs),
            sections=(),
            code_offset=0,
        )

    def encode(self) -> bytes:
        """The module in binary form."""
        return encode(self.module())
