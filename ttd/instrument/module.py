"""The instrumented module: the guest's own, rewritten so that it can count, freeze and be thawed.

Everything that the guest has keeps its index. Added behind it: a gate for each imported function, helpers for
instructions on segments, two functions that save and load the globals, the shadow memory, the injected
globals, and reference tables. All of it is exported under the names of `abi`; the guest's
own exports and its start function are not: who runs it knows them from the original.

What is imported and what is not changes. Memories are all imported, so that engines share them; segments that
initialise them are empty. Tables and tags are all its own, and the driver fills the tables. Imported globals
stay so, because constant expressions may read them. Host functions
take and give integers only, as Python sees them without loss: the gate reinterprets.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple, cast

from ttd.instrument import abi
from ttd.instrument.bytecode import (
    call,
    global_get,
    global_set,
    i32_const,
    local_get,
    local_set,
    shadow_memarg,
)
from ttd.instrument.emit import DROPS, SEGMENTS, BodyEmitter, Layout
from ttd.instrument.hints import Hints, shifted, with_hints
from ttd.instrument.nan import makes_nans
from ttd.instrument.probes import (
    NOTE_TYPE,
    WROTE_TYPE,
    WriteChecks,
    entry_test,
    keep_function,
    note_function,
    wrote_function,
)
from ttd.instrument.program import Instrumented, constant, gate_type, host_type, mutable_globals
from ttd.instrument.types import TypeTable
from ttd.wasm.encode import encode
from ttd.wasm.leb128 import write_unsigned
from ttd.wasm.model import (
    Body,
    Data,
    Element,
    Export,
    ExternKind,
    Function,
    FuncType,
    Global,
    Import,
    Instruction,
    MemoryType,
    Module,
    SegmentMode,
    Table,
    TableType,
    ValType,
)
from ttd.wasm.opcodes import BY_MNEMONIC, Immediates

_VOID = FuncType((), ())
_REF_FUNC, _END = BY_MNEMONIC["ref.func"], BY_MNEMONIC["end"]


class SegmentHelper(NamedTuple):
    """A function of the instrumented module that performs one instruction, on a segment or `ref.func`."""

    name: str
    type: FuncType
    code: bytes


class ModuleWriter:
    """Writes the instrumented module (`encode`), and what modules that go on in the middle of it share with
    it."""

    def __init__(self, instrumented: Instrumented) -> None:
        self.module = instrumented.module
        self._program = instrumented
        self._hints: dict[int, Hints] = {}
        self._spillers: dict[tuple[ValType, ...], int] = {}
        """Which spillers the bodies call, and their indices: they are the last functions."""

    def layout(
        self,
        function: Callable[[int], int],
        segment_helper: Callable[[Instruction], int],
        spiller: Callable[[tuple[ValType, ...]], int],
        note: Callable[[], int],
        watcher: Callable[[str], int],
    ) -> Layout:
        """Indices of the injected entities; they are the same in continuations, but for the functions."""
        globals_, tables = len(self.module.globals), len(self.module.tables)
        return Layout(
            shadow=len(self.module.memories),
            count=globals_,
            spill=globals_ + 1,
            references=globals_ + 2,
            exception=globals_ + 3 if self._program.exceptions else -1,
            reference_tables={
                type_: tables + place for place, type_ in enumerate(self._program.reference_types)
            },
            function=function,
            segment_helper=segment_helper,
            spiller=spiller,
            note=note,
            watching=self._write_checks(watcher) if self._program.watching else None,
        )

    def _write_checks(self, watcher: Callable[[str], int]) -> WriteChecks:
        first = len(self.module.globals) + 3 + self._program.exceptions
        return WriteChecks([memory.is64 for memory in self.module.memories], first, watcher)

    # --- the instrumented module ------------------------------------------------------------------

    def encode(self) -> bytes:
        """The instrumented module in binary form."""
        types = TypeTable(self.module.types)
        layout = self.layout(
            self._program.gate,
            self._helper_index,
            self._spiller_index,
            self._note_index,
            self._watcher_index,
        )
        self._hints, self._spillers = {}, {}
        bodies = {function.index: self._body(function, layout, types) for function in self._program.own()}
        extra = self._extra_functions(types, layout, bodies)
        shadow = MemoryType(abi.SHADOW_PAGES, abi.SHADOW_PAGES, False)
        module = replace(
            self.module,
            data=b"",
            imports=self._imports(types),
            functions=(*self.module.functions, *extra),
            tables=self._tables(),
            datas=tuple(self._emptied(data) for data in self.module.datas),
            memories=(*self.module.memories, shadow),
            globals=self._globals(),
            elements=self._elements(),
            exports=self._exports(),
            start=None,
            customs=(),
            sections=(),
            types=tuple(types.types),
        )
        return encode(with_hints(module, self._hints), bodies)

    def _imports(self, types: TypeTable) -> tuple[Import, ...]:
        """Host functions, with the types that Python sees, all memories, and the guest's imported globals."""
        imports = []
        for function in self.module.functions[: self._program.imported]:
            type_ = gate_type(function.type)
            name, index = abi.function(function.index), types.index(type_)
            imports.append(Import(abi.SHADOW, name, ExternKind.FUNCTION, type_, function.index, index))
        for i, memory in enumerate(self.module.memories):
            imports.append(Import(abi.SHADOW, abi.memory(i), ExternKind.MEMORY, _any_size(memory), i, None))
        for i, entry in enumerate(self.module.globals):
            if entry.init is None:
                imports.append(Import(abi.SHADOW, abi.global_(i), ExternKind.GLOBAL, entry.type, i, None))
        return tuple(imports)

    def _tables(self) -> tuple[Table, ...]:
        references = (Table(self._reference_table(type_), None) for type_ in self._program.reference_types)
        patches = TableType(ValType.FUNCREF, len(self.module.functions), None, False)
        return (*self.module.tables, *references, *((Table(patches, None),) if self._program.probing else ()))

    @staticmethod
    def _emptied(data: Data) -> Data:
        """Active segments have done their work when the instrumented module is made, and are dropped then."""
        return data if data.mode is SegmentMode.PASSIVE else Data(SegmentMode.PASSIVE, b"", 0, None)

    def _body(self, function: Function, layout: Layout, types: TypeTable) -> bytes:
        code = function.code
        if self._program.probing:
            return self._probed_body(function, layout, types)
        ticks = function.index in self._program.ticking
        if not ticks and not makes_nans(code):
            return declarations(code.locals) + copy_body(self.module, function, layout)
        plan = self._program.plans[function.index] if ticks else self._program.plan(function.index)
        emitter = BodyEmitter(plan, layout, types.block, len(function.local_types))
        return self._emitted(emitter, ticks)

    def _probed_body(self, function: Function, layout: Layout, types: TypeTable) -> bytes:
        ticks = function.index in self._program.ticking
        patches = len(self.module.tables) + len(self._program.reference_types)
        test = entry_test(layout, function, ticks, types.index(function.type), patches)
        if not ticks and not self._program.watching and not makes_nans(function.code):
            return declarations(function.code.locals) + test + copy_body(self.module, function, layout)
        emitter = BodyEmitter(
            self._program.plan(function.index), layout, types.block, len(function.local_types)
        )
        emitter.out += test
        return self._emitted(emitter, ticks)

    def _emitted(self, emitter: BodyEmitter, ticks: bool) -> bytes:
        emitter.emit_function(ticks)
        function = emitter.plan.function
        head = declarations((*function.code.locals, *emitter.added_locals))
        self._hints[function.index] = shifted(emitter.hints, len(head))
        return head + bytes(emitter.out)

    def _extra_functions(self, types: TypeTable, layout: Layout, bodies: dict[int, bytes]) -> list[Function]:
        """Gates, the helpers for segments, what saves and loads the globals, what notes, and the spillers."""
        extra: list[Function] = []

        def add(type_: FuncType, body: bytes, locals_: tuple[ValType, ...] = ()) -> None:
            index = len(self.module.functions) + len(extra)
            extra.append(Function(index, types.index(type_), type_, Body((), 0, 0, lambda: ()), None))
            bodies[index] = declarations(locals_) + body

        for function in self.module.functions[: self._program.imported]:
            locals_, body = gate_body(function, layout)
            add(function.type, body, locals_)
        for helper in self._segment_helpers.values():
            add(helper.type, helper.code)
        for body in globals_transfer(self.module, layout):
            add(_VOID, body)
        locals_, body = note_function(layout)
        add(NOTE_TYPE, body, locals_)
        for i, memory in enumerate(self.module.memories if self._program.watching else ()):
            for make in (keep_function, wrote_function):
                locals_, body = make(layout, i, memory.is64)
                add(WROTE_TYPE, body, locals_)
        for params in self._spillers:
            add(FuncType(params, ()), spiller_body(layout, params), (ValType.I32,))
        return extra

    def _note_index(self) -> int:
        return len(self.module.functions) + self._program.imported + len(self._segment_helpers) + 2

    def _watcher_index(self, name: str) -> int:
        return self._note_index() + 1 + self._watchers().index(name)

    def _spiller_index(self, types: tuple[ValType, ...]) -> int:
        index = self._spillers.get(types)
        if index is None:
            index = self._note_index() + 1 + len(self._watchers()) + len(self._spillers)
            self._spillers[types] = index
        return index

    def _watchers(self) -> list[str]:
        memories = range(len(self.module.memories) if self._program.watching else 0)
        return [name for i in memories for name in (abi.keep(i), abi.wrote(i))]

    def _globals(self) -> tuple[Global, ...]:
        injected = [
            Global(type_, (*constant(type_.type), Instruction(0, _END, ())))
            for _, type_ in self._program.injected_globals()
        ]
        return (*(self._own_global(entry) for entry in self.module.globals), *injected)

    def _own_global(self, entry: Global) -> Global:
        return entry if entry.init is None else entry._replace(init=self._redirected(entry.init))

    def _redirected(self, expression: tuple[Instruction, ...]) -> tuple[Instruction, ...]:
        """A constant expression in which references to imports are references to their gates."""
        return tuple(
            i._replace(immediates=(self._program.gate(cast(int, i.immediates[0])),))
            if i.op is _REF_FUNC
            else i
            for i in expression
        )

    def _elements(self) -> tuple[Element, ...]:
        """The guest's own, and one that declares all functions, so that code may make references to them."""
        own = tuple(self._own_element(element) for element in self.module.elements)
        everything = range(len(self.module.functions))
        items = tuple(
            (Instruction(0, _REF_FUNC, (self._program.gate(index),)), Instruction(0, _END, ()))
            for index in everything
        )
        return (*own, Element(SegmentMode.DECLARATIVE, ValType.FUNCREF, items, 0, None))

    def _own_element(self, element: Element) -> Element:
        """An element segment of the guest; one for an imported table has done its work, and is dropped."""
        if element.mode is SegmentMode.ACTIVE and element.table < self._program.imported_tables:
            return Element(SegmentMode.DECLARATIVE, element.type, (), 0, None)
        return element._replace(items=tuple(self._redirected(item) for item in element.items))

    def _reference_table(self, type_: ValType) -> TableType:
        return TableType(type_, abi.REFERENCE_TABLE_SIZE, None, False)

    def _exports(self) -> tuple[Export, ...]:
        kinds = ExternKind
        module = self.module
        exports = [
            Export(abi.function(i), kinds.FUNCTION, self._program.gate(i))
            for i in range(len(module.functions))
        ]
        first = len(module.functions) + self._program.imported
        exports += [
            Export(helper.name, kinds.FUNCTION, first + i)
            for i, helper in enumerate(self._segment_helpers.values())
        ]
        transfer = first + len(self._segment_helpers)
        exports += [Export(name, kinds.FUNCTION, transfer + i) for i, name in enumerate((abi.SAVE, abi.LOAD))]
        exports.append(Export(abi.NOTE, kinds.FUNCTION, self._note_index()))
        if self._program.probing:
            exports.append(
                Export(abi.PATCHES, kinds.TABLE, len(self.module.tables) + len(self._program.reference_types))
            )
            for name in self._watchers():
                exports.append(Export(name, kinds.FUNCTION, self._watcher_index(name)))
        exports += [
            Export(abi.spiller(types), kinds.FUNCTION, index) for types, index in self._spillers.items()
        ]
        exports += [Export(entry.name, entry.kind, entry.index) for entry in self.shared_imports()]
        return tuple(exports)

    # --- what continuations share with it ---------------------------------------------------------

    def shared_imports(self) -> list[Import]:
        """All memories, tables, globals and tags, as a continuation imports them: in the order of their
        indices."""
        module = self.module
        entries: list[Import] = []

        def add(
            name: str, kind: ExternKind, type_: object, index: int, type_index: int | None = None
        ) -> None:
            entries.append(Import(abi.SHADOW, name, kind, type_, index, type_index))  # type: ignore[arg-type]

        for i, table in enumerate(module.tables):
            add(abi.table(i), ExternKind.TABLE, _open_limits(table.type), i)
        for i, type_ in enumerate(self._program.reference_types, len(module.tables)):
            add(abi.reference_table(type_), ExternKind.TABLE, _open_limits(self._reference_table(type_)), i)
        for i, memory in enumerate(module.memories):
            add(abi.memory(i), ExternKind.MEMORY, _any_size(memory), i)
        add(abi.SHADOW, ExternKind.MEMORY, MemoryType(0, abi.SHADOW_PAGES, False), len(module.memories))
        for i, entry in enumerate(self._globals()[: len(module.globals)]):
            add(abi.global_(i), ExternKind.GLOBAL, entry.type, i)
        for i, (name, global_type) in enumerate(self._program.injected_globals(), len(module.globals)):
            add(name, ExternKind.GLOBAL, global_type, i)
        for i, tag in enumerate(module.tags):
            add(abi.tag(i), ExternKind.TAG, tag, i, tag.type_index)
        return entries

    def continuation_shell(
        self,
        types: tuple[FuncType, ...],
        imports: tuple[Import, ...],
        functions: tuple[Function, ...],
        exports: tuple[Export, ...],
    ) -> Module:
        """A module of these functions in which all else is imported."""
        declared = tuple(
            (Instruction(0, _REF_FUNC, (f.index,)), Instruction(0, _END, ()))
            for f in functions
            if f.imported is not None
        )
        elements = (Element(SegmentMode.DECLARATIVE, ValType.FUNCREF, declared, 0, None),) if declared else ()
        return Module(
            data=b"",
            types=types,
            imports=imports,
            functions=functions,
            tables=(),
            memories=(),
            globals=(),
            tags=(),
            exports=exports,
            start=None,
            elements=elements,
            datas=(),
            customs=(),
            sections=(),
            code_offset=0,
        )

    def segment_helper(self, instruction: Instruction) -> SegmentHelper:
        """The helper for one of `SEGMENTS`."""
        return self._new_helper(instruction)

    def _helper_index(self, instruction: Instruction) -> int:
        """Index in the instrumented module of the helper for an instruction on a segment."""
        place = list(self._segment_helpers).index((instruction.op.code, instruction.immediates))
        return len(self.module.functions) + self._program.imported + place

    @cached_property
    def _segment_helpers(self) -> dict[tuple[int, tuple[object, ...]], SegmentHelper]:
        """All helpers, by the instructions that they are for."""
        helpers: dict[tuple[int, tuple[object, ...]], SegmentHelper] = {}
        for function in self._program.own():
            wanted = SEGMENTS if self._program.probing or function.index in self._program.ticking else DROPS
            if wanted.isdisjoint(function.code.opcodes):
                continue
            for instruction in function.code.instructions:
                key = instruction.op.code, instruction.immediates
                if instruction.op in wanted and key not in helpers:
                    helpers[key] = self._new_helper(instruction)
        return helpers

    def _new_helper(self, instruction: Instruction) -> SegmentHelper:
        params: tuple[ValType, ...] = ()
        name = abi.segment_helper(instruction.op.mnemonic, instruction.immediates)
        if instruction.op is _REF_FUNC:
            function = self._program.gate(cast(int, instruction.immediates[0]))
            code = b"\xd2" + write_unsigned(function) + b"\x0b"
            return SegmentHelper(name, FuncType((), (ValType.FUNCREF,)), code)
        if instruction.op.immediates in (Immediates.MEMORY_INIT, Immediates.TABLE_INIT):
            target = cast(int, instruction.immediates[1])
            memory = instruction.op.immediates is Immediates.MEMORY_INIT
            is64 = self.module.memories[target].is64 if memory else self.module.tables[target].type.is64
            params = (ValType.I64 if is64 else ValType.I32, ValType.I32, ValType.I32)
        arguments = b"".join(local_get(i) for i in range(len(params)))
        if instruction.op.immediates in (Immediates.DATA, Immediates.ELEMENT):
            flag = abi.dropped(
                instruction.op.immediates is Immediates.ELEMENT, cast(int, instruction.immediates[0])
            )
            arguments = i32_const(flag) + i32_const(1) + b"\x3a" + shadow_memarg(len(self.module.memories))
        code = bytes([0xFC]) + write_unsigned(instruction.op.code & 0xFFFF)
        code += b"".join(write_unsigned(cast(int, index)) for index in instruction.immediates)
        return SegmentHelper(name, FuncType(params, ()), arguments + code + b"\x0b")


def copy_body(module: Module, function: Function, layout: Layout) -> bytes:
    """The code of a function that does not tick: as it was, but for references to imports, and for drops of
    segments, which are reported."""
    out, copied = bytearray(), function.code.start
    if SEGMENTS.isdisjoint(function.code.opcodes):
        return module.data[copied : function.code.end]
    instructions = function.code.instructions
    for index, instruction in enumerate(instructions):
        if instruction.op is _REF_FUNC:
            code = b"\xd2" + write_unsigned(layout.function(cast(int, instruction.immediates[0])))
        elif instruction.op in DROPS:
            code = call(layout.segment_helper(instruction))
        else:
            continue
        out += module.data[copied : instruction.offset] + code
        copied = instructions[index + 1].offset
    return bytes(out + module.data[copied : function.code.end])


def declarations(locals_: tuple[ValType, ...]) -> bytes:
    """The declarations of locals at the head of a body (core 5.5.13)."""
    runs: list[tuple[int, ValType]] = []
    for type_ in locals_:
        if runs and runs[-1][1] is type_:
            runs[-1] = (runs[-1][0] + 1, type_)
        else:
            runs.append((1, type_))
    return write_unsigned(len(runs)) + b"".join(write_unsigned(n) + bytes([t]) for n, t in runs)


def gate_body(function: Function, layout: Layout) -> tuple[tuple[ValType, ...], bytes]:
    """Locals and code of the gate of an imported function: reinterpret, call, and reinterpret back."""
    out = bytearray()
    for index, type_ in enumerate(function.type.params):
        out += local_get(index) + _TO_HOST.get(type_, b"")
        if type_ is ValType.V128:
            out += b"\xfd\x1d\x00" + local_get(index) + b"\xfd\x1d\x01"
    out += global_get(layout.count) + call(function.index)
    first, locals_ = len(function.type.params), host_type(function.type).results
    out += b"".join(local_set(first + i) for i in reversed(range(len(locals_))))
    local = first
    for type_ in function.type.results:
        out += local_get(local) + _FROM_HOST.get(type_, b"")
        if type_ is ValType.V128:
            local += 1
            out += b"\xfd\x12" + local_get(local) + b"\xfd\x1e\x01"
        local += 1
    return locals_, bytes(out + b"\x0b")


_TO_HOST = {ValType.F32: b"\xbc", ValType.F64: b"\xbd"}
_FROM_HOST = {ValType.F32: b"\xbe", ValType.F64: b"\xbf"}


def globals_transfer(module: Module, layout: Layout) -> tuple[bytes, bytes]:
    """Code that saves the mutable globals to the shadow memory, as a record from offset 0, and that loads
    them."""
    globals_ = mutable_globals(module)
    places, _ = abi.offsets((type_ for _, type_ in globals_), 0)
    save, load = bytearray(), bytearray()
    for (index, type_), place in zip(globals_, places, strict=True):
        if type_.is_reference:
            table = write_unsigned(layout.reference_tables[type_])
            save += i32_const(place) + global_get(index) + b"\x26" + table
            load += i32_const(place) + b"\x25" + table + global_set(index)
        else:
            save += i32_const(0) + global_get(index) + layout.store(type_, place)
            load += i32_const(0) + layout.load(type_, place) + global_set(index)
    return bytes(save + b"\x0b"), bytes(load + b"\x0b")


def spiller_body(layout: Layout, types: tuple[ValType, ...]) -> bytes:
    """Code that adds values to the end of the spill area; local `len(types)` is for the address.

    It must need no stack of its own, for it may be called where none is left (`emit`)."""
    return layout.append(len(types), [(local_get(i), type_) for i, type_ in enumerate(types)]) + b"\x0b"


def _any_size(type_: MemoryType) -> MemoryType:
    return type_._replace(minimum=0)


def _open_limits(type_: TableType) -> TableType:
    """A table type that matches any size that the table may have grown to."""
    return type_._replace(minimum=0)
