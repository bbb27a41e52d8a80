"""The exports of an instance, each looked up when it is asked for.

An instrumented program exports every function. Asking wasmtime-py for all exports of a large one takes
150 ms; few are ever used.

May import wasmtime.
"""

from __future__ import annotations

from ctypes import byref, create_string_buffer

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime._exportable import AsExtern
from wasmtime._extern import wrap_extern


class Exports:
    """The exports of `instance`, by name."""

    def __init__(self, store: wasmtime.Store, instance: wasmtime.Instance) -> None:
        self._store = store
        self._instance = instance
        self._known: dict[str, AsExtern] = {}

    def __getitem__(self, name: str) -> AsExtern:
        """The export called `name`; KeyError if there is none."""
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def get(self, name: str) -> AsExtern | None:
        """The export called `name`, if there is one."""
        if name not in self._known:
            text, item = create_string_buffer(name.encode()), ffi.wasmtime_extern_t()
            context, native = self._store._context(), byref(self._instance._instance)
            if not ffi.wasmtime_instance_export_get(context, native, text, len(text) - 1, byref(item)):
                return None
            self._known[name] = wrap_extern(item)
        return self._known[name]
