"""The instrumented program on Wasmtime: entering it, freezing and thawing it, and carrying state across.

`Native` knows frames, values and ticks as the rest of ttd does, and how they lie in the shadow memory and the
injected globals. It decides nothing: that is `compiled`'s.

May import base, `ttd.wasm`, `ttd.instrument`, `ttd.engine.protocol`, `ttd.engine.memory`,
`ttd.engine.builds` and wasmtime.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import cast

import wasmtime
from wasmtime._exportable import AsExtern

from ttd.engine.builds import Compiled
from ttd.engine.exports import Exports
from ttd.engine.gates import Gates
from ttd.engine.memory import LinearMemory
from ttd.engine.references import References
from ttd.engine.stores import weakly
from ttd.errors import LinkError, check
from ttd.instrument import abi
from ttd.instrument.program import constant, gate_type, mutable_globals
from ttd.instrument.site import NOWHERE, Places, Site
from ttd.state import Frame, State
from ttd.types import UNKNOWN_STEP, Position, Value
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.model import ExternKind, Function, FuncType, Module, TagType, ValType

_M64 = (1 << 64) - 1
_FAR = 1 << 62
_WIDTHS = {ValType.I32: 4, ValType.I64: 8, ValType.F32: 4, ValType.F64: 8, ValType.V128: 16}
"""Bytes of a value in a record; it may take more room there."""

_MANY_EXCEPTIONS = 256
"""Exceptions that have crossed, above which those that the program has let go of are let go of too."""

_NO_FUNCTIONS: Mapping[str, wasmtime.Func] = {}

GatesMaker = Callable[[Mapping[int, wasmtime.Func]], Gates]
"""Makes the native gates of an instance from the callbacks for its imports."""

HostCallback = Callable[[int, tuple[Value, ...], Position], tuple[Value, ...]]


class Native:
    """One instance of the instrumented program."""

    def __init__(
        self,
        compiled: Compiled,
        store: wasmtime.Store,
        memories: Sequence[LinearMemory],
        globals_: Sequence[Value],
        host: HostCallback,
        make_gates: GatesMaker,
    ) -> None:
        """Instantiate; `globals_` are the values of all globals: the imported ones are needed now."""
        self.instrumented = compiled.instrumented
        self.module = compiled.instrumented.module
        self._compiled = compiled
        self._store = store
        self._memories = memories
        self._host = host
        self._limit = _FAR
        self._first_event = self._python_calls = 0
        self._callbacks = {f.index: self._callback(f) for f in self.module.functions if f.imported}
        self.gates = make_gates(self._callbacks)
        self._imported_globals = imported_globals(store, self.module, globals_)
        instance = wasmtime.Instance(
            store, compiled.main, [self._import(i.name) for i in compiled.main.imports]
        )
        self._exports = Exports(store, instance)
        self._count = self._export_global(abi.COUNT)
        self._spill = self._export_global(abi.SPILL)
        self._references = self._export_global(abi.REFERENCES)
        self._shadow = _bytes_of(cast(wasmtime.Memory, self._exports[abi.SHADOW]), store)
        self._spill.set_value(store, abi.SPILL_BASE)
        self._entrances: dict[tuple[int, int, Places], wasmtime.Func] = {}
        self._wrappers: dict[str, wasmtime.Module] = {}
        self._patches: dict[tuple[int, Places], wasmtime.Func] = {}
        self._questions: dict[str, wasmtime.Func] = {}
        self.references = References(store, self._all_functions, self._tags())
        self._dropped: set[tuple[bool, int]] = set()
        self._globals = mutable_globals(self.module)
        self._changing_tables = self._find_changing_tables()
        self.seconds = 0.0
        """Seconds that the program has run for, host calls included."""

    def _all_functions(self) -> list[wasmtime.Func]:
        names = (abi.function(index) for index in range(len(self.module.functions)))
        return [cast(wasmtime.Func, self._exports[name]) for name in names]

    def _tags(self) -> list[tuple[TagType, wasmtime.Tag]]:
        tags = enumerate(self.module.tags)
        return [(type_, cast(wasmtime.Tag, self._exports[abi.tag(index)])) for index, type_ in tags]

    def _export_global(self, name: str) -> wasmtime.Global:
        return cast(wasmtime.Global, self._exports[name])

    def _import(self, name: str | None) -> wasmtime.Func | wasmtime.Memory | wasmtime.Global:
        if name in self._imported_globals:
            return self._imported_globals[name]
        for index, memory in enumerate(self._memories):
            if name == abi.memory(index):
                return memory.native
        index = next(i for i in range(len(self.module.functions)) if abi.function(i) == name)
        return self.gates.functions.get(index, self._callbacks[index])

    def _callback(self, function: Function) -> wasmtime.Func:
        """What calls the host."""
        index, type_ = function.index, function.type
        native = gate_type(type_)
        wrapped = wasmtime.FuncType(
            [_native_type(t) for t in native.params], [_native_type(t) for t in native.results]
        )
        call = weakly(self._call_host)
        return wasmtime.Func(self._store, wrapped, lambda *values: call(index, type_, values))

    # --- time -------------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        """The number of the last tick, also while the program runs and after it trapped."""
        return cast(int, self._count.value(self._store)) + self._limit

    def set_clock(self, tick: int, limit: int) -> None:
        """The last tick was number `tick`; freeze at number `limit`."""
        self._limit = limit
        self.gates.set_limit(tick, limit)
        self._count.set_value(self._store, tick - limit)

    def clean_up(self) -> None:
        """Forget what a run that has trapped may have left half done."""
        self._spill.set_value(self._store, abi.SPILL_BASE)
        self._references.set_value(self._store, 0)

    # --- running ----------------------------------------------------------------------------------

    def enter(self, function: int, arguments: Sequence[Value], places: Places = NOWHERE) -> int:
        """Call a function, not an import; how that ended (RETURNED, FROZEN or THREW).

        With `places` it is its patch that is called: the tick is noted before the instructions there.
        """
        type_ = self.module.functions[function].type
        self._put(abi.HEADER, arguments, type_.params, 0)
        instead = {abi.function(function): self._patch(function, places)} if places else {}
        return self._go((function, -1, places), lambda: self._compiled.enter(function), instead)

    def thaw(
        self,
        site: Site,
        frame: Frame,
        results: Sequence[Value],
        threw: bool,
        places: Places = NOWHERE,
    ) -> int:
        """Go on with a frame that was frozen at `site`, whose callee has returned `results` or thrown."""
        types = self._compiled.table(site.function).record_types(site)
        values = [frame.locals[i] for i in site.locals] + frame.operands
        end, references = self._put(abi.HEADER, values, types, 0)
        if not threw:
            self._put(end, results, site.results, references)
        header = struct.pack("<Qq", int(threw), frame.entry.tick - self._limit)
        self._shadow[: len(header)] = header
        key = site.function, site.number, places
        return self._go(key, lambda: self._compiled.thaw(site, places), self._answers(places))

    def _go(
        self,
        key: tuple[int, int, Places],
        module: Callable[[], wasmtime.Module],
        instead: Mapping[str, wasmtime.Func],
    ) -> int:
        function = self._entrances.get(key)
        if function is None:
            function = self._entrances[key] = self._link(module(), instead)
        began = time.perf_counter()
        try:
            return cast(int, function(self._store))
        finally:
            self.seconds += time.perf_counter() - began

    def _link(
        self, module: wasmtime.Module, instead: Mapping[str, wasmtime.Func] = _NO_FUNCTIONS
    ) -> wasmtime.Func:
        """The GO of a module that imports from this program; `instead` are functions to import instead."""
        names = [item.name or "" for item in module.imports]
        externs = [instead.get(name) or self._exports[name] for name in names]
        instance = wasmtime.Instance(self._store, module, externs)
        return cast(wasmtime.Func, instance.exports(self._store)[abi.GO])

    # --- probes ------------------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """The tick at which the program freezes."""
        return self._limit

    def read(self, start: int, size: int) -> bytes:
        """Bytes of the shadow memory."""
        return bytes(self._shadow[start : start + size])

    def write(self, start: int, data: bytes) -> None:
        """Write to the shadow memory."""
        self._shadow[start : start + len(data)] = data

    def note(self) -> None:
        """Note the present tick; raises wasmtime.Trap if enough were noted."""
        cast(wasmtime.Func, self._exports[abi.NOTE])(self._store, self._count.value(self._store))

    def watch(self, memory: int, low: int, span: int) -> None:
        """Look at writes to these addresses of a memory."""
        self.gates.watch(memory, low, low + span)
        bits = 64 if self.module.memories[memory].is64 else 32
        for name, value in ((abi.watch_low(memory), low), (abi.watch_span(memory), span)):
            value = min(value, (1 << bits) - 1)
            self._export_global(name).set_value(self._store, _signed(value, bits))

    def at_entry(self, function: int, what: int) -> None:
        """What a function does first: ENTRY_PLAIN, ENTRY_NOTED or ENTRY_PATCHED."""
        self.write(abi.ENTRIES + function, bytes([what]))

    def put_patch(self, function: int, places: Places) -> None:
        """Make the patch that notes the tick at `places` what ENTRY_PATCHED leads to."""
        patches = cast(wasmtime.Table, self._exports[abi.PATCHES])
        patches.set(self._store, function, self._patch(function, places))

    def put_wrapper(self, function: int, text: str, others: Mapping[str, AsExtern]) -> None:
        """Make a module (in the text format) what ENTRY_PATCHED leads to: its export GO stands in for
        `function`.

        It may import ``body``, a copy of the function, ``count``, the clock, ``guest``, memory 0, and
        `others`."""
        module = self._wrappers.get(text)
        if module is None:
            module = wasmtime.Module(self._store.engine, bytes(wasmtime.wat2wasm(text)))
            self._wrappers[text] = module
        known: dict[str, AsExtern] = {"body": self._patch(function, NOWHERE), "count": self._count}
        if self._memories:
            known["guest"] = self._memories[0].native
        externs = [{**known, **others}[item.name or ""] for item in module.imports]
        made = wasmtime.Instance(self._store, module, externs).exports(self._store)[abi.GO]
        cast(wasmtime.Table, self._exports[abi.PATCHES]).set(self._store, function, cast(wasmtime.Func, made))

    def _patch(self, function: int, places: Places) -> wasmtime.Func:
        key = function, places
        if key not in self._patches:
            self._patches[key] = self._link(self._compiled.patch(function, places), self._answers(places))
        return self._patches[key]

    def _answers(self, places: Places) -> dict[str, wasmtime.Func]:
        """The functions that answer the predicates of `places`, by the names of their imports."""
        found = {}
        for _, predicate in places:
            if predicate is not None:
                if predicate.key not in self._questions:
                    self._questions[predicate.key] = self._link(self._compiled.question(predicate))
                found[abi.predicate(predicate.key)] = self._questions[predicate.key]
        return found

    # --- results and frames -------------------------------------------------------------------------

    def results(self, types: Sequence[ValType]) -> list[Value]:
        """What the function that ended with RETURNED has returned."""
        return self._get(0, types, 0)

    def frozen_frames(self) -> list[Frame]:
        """The frames that a freeze has spilled, outermost first; the spill area is empty then."""
        end = self._spill.value(self._store)
        data = bytes(self._shadow[abi.SPILL_BASE : end])
        references = self._references.value(self._store)
        spilled, offset, length = [], 0, end - abi.SPILL_BASE
        while offset < length:
            header, raw_entry = struct.unpack_from("<Qq", data, offset)
            table = self._compiled.table(header & (1 << abi.SITE_SHIFT) - 1)
            site = table.sites[header >> abi.SITE_SHIFT]
            types, picks = table.spilled(site)
            _, size = abi.offsets(types)
            spilled.append((site, raw_entry, types, picks, offset))
            offset += size
        frames, used = [], 0
        for site, raw_entry, types, picks, offset in spilled:
            values = self._values(data, offset, types, used)
            values = values if picks is None else [values[place] for place in picks]
            used += sum(type_.is_reference for type_ in types)
            frames.append(self._frame(site, raw_entry, values))
        check(used == references, "reference tables out of step with the spill area")
        self._spill.set_value(self._store, abi.SPILL_BASE)
        self._references.set_value(self._store, 0)
        return frames[::-1]

    def _frame(self, site: Site, raw_entry: int, values: list[Value]) -> Frame:
        """A frame; locals that are dead at the site are zero or null, as `liveness` tells the debugger."""
        types = self.module.functions[site.function].local_types
        locals_: list[Value] = [None if type_.is_reference else 0 for type_ in types]
        for index, value in zip(site.locals, values, strict=False):
            locals_[index] = value
        entry_tick = Position(raw_entry + self._limit)
        return Frame(site.function, site.pc, locals_, values[len(site.locals) :], entry_tick)

    # --- host calls -------------------------------------------------------------------------------

    @property
    def next_event(self) -> int:
        """The number of the next host call, between `begin_calls` and `end_calls`."""
        return self._first_event + self._python_calls + self.gates.calls

    def begin_calls(self, event: int) -> None:
        """The program is about to run; its next host call is event number `event`."""
        self._first_event, self._python_calls = event, 0
        self.gates.begin(event)

    def end_calls(self) -> int:
        """The program has stopped; the number of its next host call."""
        event = self.next_event
        self.gates.end(event)
        return event

    def _call_host(self, function: int, type_: FuncType, values: Sequence[object]) -> object:
        arguments: list[Value] = []
        place = 0
        for parameter in type_.params:
            if parameter is ValType.V128:
                low, high = cast(int, values[place]), cast(int, values[place + 1])
                arguments.append((low & _M64) | (high & _M64) << 64)
                place += 2
            else:
                arguments.append(self._from_native(parameter, values[place]))
                place += 1
        for memory in self._memories:
            memory.refresh()
        count, event = cast(int, values[-1]), self.next_event
        self.gates.before(event, count)
        results = self._host(function, tuple(arguments), Position(count + self._limit, UNKNOWN_STEP))
        self._python_calls += 1
        self.gates.after(event + 1)
        native: list[object] = []
        for result, value in zip(type_.results, results, strict=True):
            if result is ValType.V128:
                native += [_signed(cast(int, value) & _M64, 64), _signed(cast(int, value) >> 64, 64)]
            else:
                native.append(self._to_native(result, value))
        return native[0] if len(native) == 1 else native if native else None

    def _from_native(self, type_: ValType, value: object) -> Value:
        if type_ is ValType.FUNCREF:
            return self.references.function_index(cast("wasmtime.Func | None", value))
        if type_ is ValType.EXTERNREF:
            return cast("int | None", value)
        bits = 64 if type_ in (ValType.I64, ValType.F64) else 32
        return cast(int, value) & ((1 << bits) - 1)

    def _to_native(self, type_: ValType, value: Value) -> object:
        if type_ is ValType.FUNCREF:
            return None if value is None else self.references.function(cast(int, value))
        if type_ is ValType.EXTERNREF:
            return value
        bits = 64 if type_ in (ValType.I64, ValType.F64) else 32
        return _signed(cast(int, value), bits)

    # --- values in the shadow memory and the reference tables -------------------------------------

    def _put(
        self, start: int, values: Sequence[Value], types: Iterable[ValType], first_reference: int
    ) -> tuple[int, int]:
        """Write values to the thaw area from `start` on: where they end, and the references in use."""
        types = list(types)
        places, end = abi.offsets(types, start)
        data = bytearray(end - start)
        for value, type_, place in zip(values, types, places, strict=True):
            if type_.is_reference:
                table = cast(wasmtime.Table, self._exports[abi.reference_table(type_)])
                self.references.set(table, first_reference + place, type_, value)
                continue
            size = abi.size_of(type_)
            data[place - start : place - start + size] = cast(int, value).to_bytes(size, "little")
        self._shadow[start : start + len(data)] = data
        return end, first_reference + sum(type_.is_reference for type_ in types)

    def _get(self, start: int, types: Sequence[ValType], first_reference: int) -> list[Value]:
        _, end = abi.offsets(types, start)
        data = bytes(self._shadow[start:end])
        return self._values(data, 0, types, first_reference, 0)

    def _values(
        self, data: bytes, base: int, types: Sequence[ValType], first_reference: int, start: int = abi.HEADER
    ) -> list[Value]:
        values: list[Value] = []
        places, _ = abi.offsets(types, start)
        for type_, place in zip(types, places, strict=True):
            if type_.is_reference:
                table = cast(wasmtime.Table, self._exports[abi.reference_table(type_)])
                values.append(self.references.get(table, first_reference + place, type_))
            else:
                size = _WIDTHS[type_]
                values.append(int.from_bytes(data[base + place : base + place + size], "little"))
        return values

    # --- state that is not the stack --------------------------------------------------------------

    def load(self, state: State) -> None:
        """Make globals, tables and dropped segments those of `state`; memories are shared."""
        if self.references.known_exceptions > _MANY_EXCEPTIONS:
            frames = (value for frame in state.frames for value in (*frame.locals, *frame.operands))
            self.references.forget_all_but(chain(state.globals, *state.tables, frames))
        types = [type_ for _, type_ in self._globals]
        self._put(0, [state.globals[index] for index, _ in self._globals], types, 0)
        cast(wasmtime.Func, self._exports[abi.LOAD])(self._store)
        for index in self._changing_tables:
            self._load_table(index, state.tables[index])
        self._load_dropped(state)

    def save(self, state: State) -> None:
        """Make the globals, tables and dropped segments of `state` those of the program."""
        cast(wasmtime.Func, self._exports[abi.SAVE])(self._store)
        values = self._get(0, [type_ for _, type_ in self._globals], 0)
        for (index, _), value in zip(self._globals, values, strict=True):
            state.globals[index] = value
        for index in self._changing_tables:
            state.tables[index][:] = self._save_table(index)
        self._save_dropped(state)
        for memory in self._memories:
            memory.refresh()

    def _load_dropped(self, state: State) -> None:
        for is_element, dropped in ((False, state.dropped_data), (True, state.dropped_elements)):
            for index in dropped:
                if (is_element, index) not in self._dropped:
                    self._dropped.add((is_element, index))
                    drop = self._exports.get(abi.drop_helper(is_element, index))
                    if drop is not None:  # others were dropped from the beginning
                        cast(wasmtime.Func, drop)(self._store)

    def _save_dropped(self, state: State) -> None:
        for is_element, count, dropped in (
            (False, len(self.module.datas), state.dropped_data),
            (True, len(self.module.elements), state.dropped_elements),
        ):
            if count:
                start = abi.dropped(is_element, 0)
                flags = self._shadow[start : start + count]
                dropped.update(index for index in range(count) if flags[index])
                self._dropped.update((is_element, index) for index in dropped)

    def _find_changing_tables(self) -> list[int]:
        """Tables that may differ from what the segments put there: all or none."""
        imported = any(item.kind.name == "TABLE" for item in self.module.imports)
        writes = imported or self.instrumented.writes_tables
        return list(range(len(self.module.tables))) if writes else []

    def _load_table(self, index: int, values: Sequence[Value]) -> None:
        table = cast(wasmtime.Table, self._exports[abi.table(index)])
        type_ = self.module.tables[index].type.element
        missing = len(values) - table.size(self._store)
        check(missing >= 0, "a table cannot shrink")
        if missing:
            self.references.grow(table, missing, type_)
        for place, value in enumerate(values):
            self.references.set(table, place, type_, value)

    def _save_table(self, index: int) -> list[Value]:
        table = cast(wasmtime.Table, self._exports[abi.table(index)])
        type_ = self.module.tables[index].type.element
        return [self.references.get(table, place, type_) for place in range(table.size(self._store))]


def imported_globals(
    store: wasmtime.Store, module: Module, values: Sequence[Value]
) -> dict[str, wasmtime.Global]:
    """New globals with these values in place of the imported ones, by the names that `abi` gives them.

    They come from a module that is made for this, since wasmtime-py has no globals of some types.
    Raises LinkError for a function reference or an exception that nobody in the program has made.
    """
    builder = ModuleBuilder()
    found: dict[str, wasmtime.Global] = {}
    for index, global_ in enumerate(module.globals):
        if global_.init is not None:
            continue
        type_, value = global_.type.type, values[index]
        if type_ is ValType.EXTERNREF and value is not None:
            native = wasmtime.GlobalType(_native_type(type_), global_.type.mutable)
            found[abi.global_(index)] = wasmtime.Global(store, native, value)
            continue
        if type_.is_reference and value is not None:
            raise LinkError(f"imported global {index} is a reference from outside of the program")
        place = builder.global_(global_.type, Code(constant(type_, value)))
        builder.export(abi.global_(index), ExternKind.GLOBAL, place)
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, builder.encode()), [])
    return found | {name: cast(wasmtime.Global, made) for name, made in instance.exports(store).items()}


def _bytes_of(memory: wasmtime.Memory, store: wasmtime.Store) -> memoryview:
    """All bytes of a memory that cannot grow. Valid as long as its store."""
    address = ctypes.addressof(memory.data_ptr(store).contents)
    return memoryview((ctypes.c_ubyte * memory.data_len(store)).from_address(address)).cast("B")


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _native_type(type_: ValType) -> wasmtime.ValType:
    makers = {
        ValType.I32: wasmtime.ValType.i32,
        ValType.I64: wasmtime.ValType.i64,
        ValType.FUNCREF: wasmtime.ValType.funcref,
        ValType.EXTERNREF: wasmtime.ValType.externref,
    }
    return makers[type_]()
