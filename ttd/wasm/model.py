"""The WebAssembly module as data: what `ttd.wasm.decode` makes of bytes and `encode` turns back into them.

Index spaces are plain tuples with imports first, as in the specification (core 2.5.1). Function bodies
stay bytes until somebody asks for their instructions. All offsets are byte offsets in the module file.

May import base only.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

from ttd.errors import unreachable
from ttd.wasm.opcodes import Opcode
from ttd.wasm.valtype import ValType as ValType


class FuncType(NamedTuple):
    """A function type; also the type of a block."""

    params: tuple[ValType, ...]
    results: tuple[ValType, ...]


class MemoryType(NamedTuple):
    """Limits in pages of 64 KiB; `maximum` None means none declared."""

    minimum: int
    maximum: int | None
    is64: bool


class TableType(NamedTuple):
    """Limits in elements."""

    element: ValType
    minimum: int
    maximum: int | None
    is64: bool


class GlobalType(NamedTuple):
    type: ValType
    mutable: bool


class TagType(NamedTuple):
    """An exception tag; its payload is the parameters of `type`."""

    type_index: int
    type: FuncType


ImportType: TypeAlias = "FuncType | MemoryType | TableType | GlobalType | TagType"


class ExternKind(enum.IntEnum):
    """What an import or export is (core 5.5.5)."""

    FUNCTION = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3
    TAG = 4


@dataclass(frozen=True, slots=True)
class Import:
    """An import; `index` is its index in the index space of its kind, `type_index` for functions and tags."""

    module: str
    name: str
    kind: ExternKind
    type: ImportType
    index: int
    type_index: int | None


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: ExternKind
    index: int


class Instruction(NamedTuple):
    """One instruction of a body: its offset in the file, its row of the table, its decoded immediates.

    The shape of `immediates` is told by `op.immediates` (see `opcodes.Immediates`).
    """

    offset: int
    op: Opcode
    immediates: tuple[object, ...]


@dataclass(frozen=True)
class Body:
    """The code of a function: locals declared behind the parameters, and the bytes of its expression.

    `start` is the offset of the first instruction, `end` that just behind the final `end`.
    """

    locals: tuple[ValType, ...]
    start: int
    end: int
    decoder: Callable[[], tuple[Instruction, ...]] = field(repr=False, compare=False)

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """All instructions, structure markers and the final `end` included; decoded on first use."""
        return self.decoder()

    @cached_property
    def opcodes(self) -> frozenset[Opcode]:
        """All opcodes that occur in it: most questions about a body are whether some does."""
        return frozenset([instruction.op for instruction in self.instructions])

    @cached_property
    def rests(self) -> list[int]:
        """Offsets of all instructions but the structure markers: everywhere the machine can rest."""
        return [instruction.offset for instruction in self.instructions if not instruction.op.is_marker]


@dataclass(frozen=True)
class Function:
    """A function of the function index space. Exactly one of `body` and `imported` is not None."""

    index: int
    type_index: int
    type: FuncType
    body: Body | None
    imported: Import | None

    @property
    def local_types(self) -> tuple[ValType, ...]:
        """Types of all locals, parameters first."""
        return self.type.params + (self.body.locals if self.body is not None else ())

    @property
    def code(self) -> Body:
        """The body; InternalError for an imported function, of which nobody should ask it."""
        return self.body if self.body is not None else unreachable(f"function {self.index} has no code")


class Global(NamedTuple):
    """A global; `init` (a constant expression, final `end` included) is None for an imported one."""

    type: GlobalType
    init: tuple[Instruction, ...] | None


class Table(NamedTuple):
    """A table; `init` is the constant expression that fills it, None for the null reference or an import."""

    type: TableType
    init: tuple[Instruction, ...] | None


class SegmentMode(enum.Enum):
    ACTIVE = "active"
    PASSIVE = "passive"
    DECLARATIVE = "declarative"


class Element(NamedTuple):
    """An element segment: one constant expression for each element. `table` and `offset` where active."""

    mode: SegmentMode
    type: ValType
    items: tuple[tuple[Instruction, ...], ...]
    table: int
    offset: tuple[Instruction, ...] | None


class Data(NamedTuple):
    """A data segment. `memory` and `offset` (a constant expression) where active."""

    mode: SegmentMode
    data: bytes
    memory: int
    offset: tuple[Instruction, ...] | None


class CustomSection(NamedTuple):
    """A custom section: where its contents (behind the name) start in the file, and they."""

    name: str
    offset: int
    data: bytes


class Section(NamedTuple):
    """A section as it lies in the file: id, offset of its contents, and their size."""

    id: int
    offset: int
    size: int


@dataclass(frozen=True)
class Module:
    """A decoded module."""

    data: bytes = field(repr=False)
    types: tuple[FuncType, ...]
    imports: tuple[Import, ...]
    functions: tuple[Function, ...]
    tables: tuple[Table, ...]
    memories: tuple[MemoryType, ...]
    globals: tuple[Global, ...]
    tags: tuple[TagType, ...]
    exports: tuple[Export, ...]
    start: int | None
    elements: tuple[Element, ...]
    datas: tuple[Data, ...]
    customs: tuple[CustomSection, ...]
    sections: tuple[Section, ...]
    code_offset: int
    """Offset of the contents of the code section: what DWARF addresses count from. 0 without code."""
    apart: str = ""
    """Names, as a digest, the debug information that `customs` has from another file than `data`, if any."""

    @cached_property
    def exports_by_name(self) -> dict[str, Export]:
        return {export.name: export for export in self.exports}

    def custom(self, name: str) -> CustomSection | None:
        """The first custom section called `name`, or None."""
        return next((section for section in self.customs if section.name == name), None)

    @cached_property
    def _body_starts(self) -> list[tuple[int, int, int]]:
        return sorted((f.body.start, f.body.end, f.index) for f in self.functions if f.body is not None)

    def function_at(self, pc: int) -> Function | None:
        """The function whose code holds byte offset `pc`, or None."""
        index = bisect_right(self._body_starts, (pc, 1 << 62, 0)) - 1
        if index < 0 or not self._body_starts[index][0] <= pc < self._body_starts[index][1]:
            return None
        return self.functions[self._body_starts[index][2]]
