"""An instantiated module: its memories, tables, globals and segments (core 4.5.4).

May import base, `ttd.wasm`, `ttd.engine.protocol` and `ttd.engine.memory`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ttd.engine.memory import LinearMemory, memory_store
from ttd.engine.protocol import Limits
from ttd.errors import LinkError, check, unreachable
from ttd.interpreter.integers import M32, M64
from ttd.types import TrapKind, Value
from ttd.wasm.model import ExternKind, Instruction, Module, SegmentMode, TableType, ValType

if TYPE_CHECKING:
    import wasmtime


@dataclass(frozen=True)
class Imports:
    """What the imported memories, tables and globals of a module are, each in the order of its index space.

    Memories and tables are shared with whoever else has them; globals are copied. Function references in
    them are indices of the importing module's own functions.
    """

    memories: Sequence[LinearMemory] = ()
    tables: Sequence[list[Value]] = ()
    globals: Sequence[Value] = ()


class Instance:
    """The parts of a program's state that are not its stack.

    The lists keep their identity for as long as the instance lives, since operations hold on to them.
    """

    def __init__(
        self, module: Module, limits: Limits, imports: Imports | None, store: wasmtime.Store | None = None
    ) -> None:
        """Instantiate `module`, with its memories in `store` if there is one. Raises LinkError where that
        fails, as the specification says: with the effects of the segments that came before."""
        self.module = module
        self.limits = limits
        _check_supplied(module, imports)
        imports = imports or Imports()
        self.memories = self._memories(imports.memories, store)
        self.globals: list[Value] = []
        for index, global_ in enumerate(module.globals):
            value = self._imported_global(index, imports) if global_.init is None else None
            self.globals.append(self.constant(global_.init) if global_.init is not None else value)
        self.tables = self._tables(imports.tables)
        self.dropped_data: set[int] = set()
        self.dropped_elements: set[int] = set()
        self._elements: dict[int, list[Value]] = {}
        self._activate_elements()
        self._activate_data()

    # --- creation ------------------------------------------------------------------------------------

    def _memories(self, imported: Sequence[LinearMemory], store: wasmtime.Store | None) -> list[LinearMemory]:
        memories = list(imported)
        own = self.module.memories[len(memories) :]
        store = memory_store() if own and store is None else store
        return memories + [LinearMemory(type_, self.limits.memory_pages, store) for type_ in own]

    def _tables(self, imported: Sequence[list[Value]]) -> list[list[Value]]:
        tables = list(imported)
        for table in self.module.tables[len(tables) :]:
            wanted, limit = table.type.minimum, self.limits.table_elements
            if wanted > limit:
                raise LinkError(
                    f"the module asks for a table of {wanted} elements, more than the limit of {limit}"
                )
            value = self.constant(table.init) if table.init is not None else None
            tables.append([value] * table.type.minimum)
        return tables

    def _imported_global(self, index: int, imports: Imports) -> Value:
        if index < len(imports.globals):
            return imports.globals[index]
        return zero(self.module.globals[index].type.type)

    def _activate_elements(self) -> None:
        for index, element in enumerate(self.module.elements):
            if element.mode is SegmentMode.ACTIVE:
                table, offset = self.tables[element.table], self._offset(element.offset)
                if offset + len(element.items) > len(table):
                    raise LinkError(f"element segment {index}: {TrapKind.TABLE_OUT_OF_BOUNDS.value}")
                table[offset : offset + len(element.items)] = self.element(index)
            if element.mode is not SegmentMode.PASSIVE:
                self.dropped_elements.add(index)

    def _activate_data(self) -> None:
        for index, data in enumerate(self.module.datas):
            if data.mode is SegmentMode.ACTIVE:
                memory, offset = self.memories[data.memory], self._offset(data.offset)
                memory.refresh()
                if offset + len(data.data) > memory.size:
                    raise LinkError(f"data segment {index}: {TrapKind.MEMORY_OUT_OF_BOUNDS.value}")
                memory.u8[offset : offset + len(data.data)] = data.data
                self.dropped_data.add(index)

    def _offset(self, expression: tuple[Instruction, ...] | None) -> int:
        if expression is None:
            unreachable("an active segment has no offset")
        return cast(int, self.constant(expression))

    # --- constant expressions ------------------------------------------------------------------------

    def constant(self, expression: tuple[Instruction, ...]) -> Value:
        """The value of a constant expression (core 3.3.10), extended arithmetic included."""
        stack: list[Value] = []
        for instruction in expression:
            mnemonic = instruction.op.mnemonic
            if mnemonic == "global.get":
                stack.append(self.globals[cast(int, instruction.immediates[0])])
            elif mnemonic == "ref.null":
                stack.append(None)
            elif mnemonic == "ref.func" or mnemonic.endswith(".const"):
                stack.append(cast(int, instruction.immediates[0]))
            elif mnemonic != "end":
                right, left = cast(int, stack.pop()), cast(int, stack.pop())
                stack.append(_extended(mnemonic, left, right))
        check(len(stack) == 1, "a constant expression has not one value")
        return stack[0]

    # --- segments and limits -------------------------------------------------------------------------

    def data(self, index: int) -> bytes:
        """What is left of a data segment."""
        return b"" if index in self.dropped_data else self.module.datas[index].data

    def element(self, index: int) -> list[Value]:
        """What is left of an element segment."""
        if index in self.dropped_elements:
            return []
        if index not in self._elements:
            self._elements[index] = [self.constant(item) for item in self.module.elements[index].items]
        return self._elements[index]

    def table_limit(self, type_: TableType) -> int:
        """How many elements a table of that type may grow to."""
        address_limit = M64 if type_.is64 else M32
        declared = address_limit if type_.maximum is None else type_.maximum
        return min(declared, self.limits.table_elements)


def zero(type_: ValType) -> Value:
    """The value that locals of a type start with."""
    return None if type_.is_reference else 0


def _extended(mnemonic: str, left: int, right: int) -> int:
    width, _, operation = mnemonic.partition(".")
    mask = M32 if width == "i32" else M64
    if operation == "add":
        return (left + right) & mask
    if operation == "sub":
        return (left - right) & mask
    check(operation == "mul", f"{mnemonic} in a constant expression")
    return (left * right) & mask


def _check_supplied(module: Module, imports: Imports | None) -> None:
    """Without `imports` everything that is imported is made; with them, everything must be there."""
    if imports is None:
        return
    for kind, supplied in (
        (ExternKind.MEMORY, imports.memories),
        (ExternKind.TABLE, imports.tables),
        (ExternKind.GLOBAL, imports.globals),
    ):
        wanted = sum(item.kind is kind for item in module.imports)
        if len(supplied) != wanted:
            raise LinkError(f"{wanted} imports of kind {kind.name.lower()}, but {len(supplied)} supplied")
