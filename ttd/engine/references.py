"""References of an instrumented program, as Wasmtime has them and as the rest of ttd does.

Function references are indices of the module's functions, external references numbers, exceptions
`ExceptionValue`s. An exception keeps its identity over any number of crossings: the same one comes out as the
same object. For that, each one that has crossed is kept alive on both sides until `forget_all_but`.

Uses the C API below wasmtime-py, which has tables of no exceptions.

May import base, `ttd.wasm.model` and wasmtime.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import wasmtime
from wasmtime import _bindings as bindings
from wasmtime import _ffi as ffi

from ttd.errors import InternalError, check
from ttd.types import ExceptionValue, Value
from ttd.wasm.model import TagType, ValType

_EXNREF_KIND = 8
"""WASMTIME_EXNREF of wasmtime/val.h."""
_NUMBERS = {
    ValType.I32: (0, "i32", 32),
    ValType.I64: (1, "i64", 64),
    ValType.F32: (2, "i32", 32),
    ValType.F64: (3, "i64", 64),
}
"""Kind, member of the union that holds the bits, and how many they are."""
_V128_KIND = 4


class References:
    """Carries references over, for one instance in one store."""

    def __init__(
        self,
        store: wasmtime.Store,
        functions: Callable[[], Sequence[wasmtime.Func]],
        tags: Sequence[tuple[TagType, wasmtime.Tag]],
    ) -> None:
        """`functions` gives the functions by index; it is called when they are first needed."""
        self._store = store
        self._make_functions = functions
        self._functions: Sequence[wasmtime.Func] | None = None
        self._indices: dict[int, int] = {}
        self._tags = tags
        self._known: list[tuple[ExceptionValue, ffi.wasmtime_val_t]] = []

    def get(self, table: wasmtime.Table, place: int, type_: ValType) -> Value:
        """The element of a table of `type_`."""
        raw = ffi.wasmtime_val_t()
        found = ffi.wasmtime_table_get(
            self._store._context(), ctypes.byref(table._table), place, ctypes.byref(raw)
        )
        check(bool(found), "a table is shorter than its records")
        return self._taken(type_, raw)

    def set(self, table: wasmtime.Table, place: int, type_: ValType, value: Value) -> None:
        """Set the element of a table of `type_`."""
        raw = self._native(type_, value)
        error = ffi.wasmtime_table_set(
            self._store._context(), ctypes.byref(table._table), place, ctypes.byref(raw)
        )
        ffi.wasmtime_val_unroot(ctypes.byref(raw))
        _raise(error)

    def grow(self, table: wasmtime.Table, delta: int, type_: ValType) -> None:
        """Make a table longer, by nulls. Raises WasmtimeError where that is impossible."""
        raw, before = self._native(type_, None), ctypes.c_uint64()
        error = ffi.wasmtime_table_grow(
            self._store._context(),
            ctypes.byref(table._table),
            ctypes.c_uint64(delta),
            ctypes.byref(raw),
            ctypes.byref(before),
        )
        _raise(error)

    def function(self, index: int) -> wasmtime.Func:
        """The function with that index; an import's is its gate."""
        if self._functions is None:
            self._functions = self._make_functions()
        return self._functions[index]

    def function_index(self, function: wasmtime.Func | None) -> int | None:
        """The index of a function of the module."""
        if function is None:
            return None
        if not self._indices:
            self.function(0)
            self._indices = {self._address(f): i for i, f in enumerate(self._functions or ())}
        return self._indices[self._address(function)]

    def _address(self, function: wasmtime.Func) -> int:
        """The address by which Wasmtime knows a function: the same for every reference to it."""
        return cast(int, ffi.wasmtime_func_to_raw(self._store._context(), ctypes.byref(function._func)))

    # --- one value --------------------------------------------------------------------------------

    def _taken(self, type_: ValType, raw: ffi.wasmtime_val_t) -> Value:
        """The value of `raw`, which is used up."""
        if type_ is ValType.EXNREF:
            return self._exception(raw)
        value = wasmtime.Val._from_raw(self._store, raw).value
        if type_ is ValType.FUNCREF:
            return self.function_index(cast("wasmtime.Func | None", value))
        return cast("int | None", value)

    def _native(self, type_: ValType, value: Value) -> ffi.wasmtime_val_t:
        """`value` for Wasmtime; the caller unroots it."""
        if type_ is ValType.EXNREF:
            return self._native_exception(value)
        if type_ is ValType.FUNCREF:
            function = None if value is None else self.function(cast(int, value))
            return wasmtime.Val.funcref(function)._new_raw(self._store)
        return wasmtime.Val.externref(value)._new_raw(self._store)

    # --- exceptions -------------------------------------------------------------------------------

    def _identity(self, raw: ffi.wasmtime_val_t) -> int:
        """A number that two references share if they are to the same exception, until code runs again."""
        reference = ctypes.byref(raw.of.exnref)
        return bindings.wasmtime_exnref_to_raw(self._store._context(), reference)

    def _exception(self, raw: ffi.wasmtime_val_t) -> ExceptionValue | None:
        if raw.of.exnref.store_id == 0:
            return None
        identity = self._identity(raw)
        for exception, known in self._known:
            if self._identity(known) == identity:
                ffi.wasmtime_val_unroot(ctypes.byref(raw))
                return exception
        tag = self._tag(raw)
        types = self._tags[tag][0].type.params
        exception = ExceptionValue(tag, tuple(self._field(raw, i, type_) for i, type_ in enumerate(types)))
        self._known.append((exception, raw))
        return exception

    def _tag(self, raw: ffi.wasmtime_val_t) -> int:
        found = bindings.wasmtime_tag_t()
        context, reference = self._store._context(), ctypes.byref(raw.of.exnref)
        _raise(bindings.wasmtime_exnref_tag(context, reference, ctypes.byref(found)))
        for index, (_, tag) in enumerate(self._tags):
            if bindings.wasmtime_tag_eq(context, ctypes.byref(found), ctypes.byref(tag._tag)):
                return index
        raise InternalError("an exception has a tag that is none of the module")

    def _field(self, raw: ffi.wasmtime_val_t, index: int, type_: ValType) -> Value:
        field = ffi.wasmtime_val_t()
        context, reference = self._store._context(), ctypes.byref(raw.of.exnref)
        _raise(bindings.wasmtime_exnref_field(context, reference, index, ctypes.byref(field)))
        if type_.is_reference:
            return self._taken(type_, field)
        if type_ is ValType.V128:
            return int.from_bytes(bytes(field.of.v128), "little")
        _, member, bits = _NUMBERS[type_]
        return cast(int, getattr(field.of, member)) & ((1 << bits) - 1)

    def _native_exception(self, value: Value) -> ffi.wasmtime_val_t:
        raw = ffi.wasmtime_val_t(kind=_EXNREF_KIND)
        if value is None:
            raw.of.exnref.store_id = 0
            return raw
        exception = cast(ExceptionValue, value)
        kept = next((known for e, known in self._known if e is exception), None)
        if kept is None:
            kept = self._new_exception(exception)
            self._known.append((exception, kept))
        bindings.wasmtime_exnref_clone(ctypes.byref(kept.of.exnref), ctypes.byref(raw.of.exnref))
        return raw

    def _new_exception(self, exception: ExceptionValue) -> ffi.wasmtime_val_t:
        type_, tag = self._tags[exception.tag]
        types = type_.type.params
        fields = (ffi.wasmtime_val_t * len(types))()
        for index, (field_type, value) in enumerate(zip(types, exception.payload, strict=True)):
            fields[index] = self._native_field(field_type, value)
        raw = ffi.wasmtime_val_t(kind=_EXNREF_KIND)
        context, out = self._store._context(), ctypes.byref(raw.of.exnref)
        error = bindings.wasmtime_exnref_new(context, ctypes.byref(tag._tag), fields, len(types), out)
        for field in fields:
            ffi.wasmtime_val_unroot(ctypes.byref(field))
        _raise(error)
        return raw

    def _native_field(self, type_: ValType, value: Value) -> ffi.wasmtime_val_t:
        if type_.is_reference:
            return self._native(type_, value)
        if type_ is ValType.V128:
            field = ffi.wasmtime_val_t(kind=_V128_KIND)
            ctypes.memmove(ctypes.byref(field.of), cast(int, value).to_bytes(16, "little"), 16)
            return field
        kind, member, _ = _NUMBERS[type_]
        field = ffi.wasmtime_val_t(kind=kind)
        setattr(field.of, member, value)  # ctypes takes the low bits
        return field

    @property
    def known_exceptions(self) -> int:
        """How many exceptions are kept alive."""
        return len(self._known)

    def forget_all_but(self, values: Iterable[Value]) -> None:
        """Let go of the exceptions that are not among `values`, nor in the payload of one that is."""
        alive: set[int] = set()
        waiting = [value for value in values if isinstance(value, ExceptionValue)]
        while waiting:
            exception = waiting.pop()
            if id(exception) not in alive:
                alive.add(id(exception))
                waiting += [value for value in exception.payload if isinstance(value, ExceptionValue)]
        for exception, raw in self._known:
            if id(exception) not in alive:
                ffi.wasmtime_val_unroot(ctypes.byref(raw))
        self._known = [(exception, raw) for exception, raw in self._known if id(exception) in alive]


def _raise(error: object) -> None:
    if error:
        raise wasmtime.WasmtimeError._from_ptr(cast("ctypes._Pointer[bindings.wasmtime_error]", error))
