"""Linear memory on Wasmtime's own memory, which every engine and every host function works on.

The bytes belong to Wasmtime, so that its WASI can write to them, and Python sees them through a buffer:
switching engines, recording and replaying copy nothing. `LinearMemory` adds the limits of the program
and, for the interpreter, views of the same bytes as 8, 16, 32 and 64 bit numbers.

May import base, `ttd.wasm.model`, `stores` and wasmtime.
"""

from __future__ import annotations

import ctypes
import sys

import wasmtime

from ttd.engine.stores import new_engine, new_store
from ttd.errors import LinkError, check
from ttd.state import WASM_PAGE
from ttd.wasm.model import MemoryType

check(sys.byteorder == "little", "linear memory is viewed in place, which needs a little-endian machine")

_MAX_PAGES = {False: 1 << 16, True: 1 << 48}
"""What the address width itself allows, by `MemoryType.is64` (core 3.2.17)."""


def memory_store() -> wasmtime.Store:
    """A store for memories and for the host modules that import them (the recorder's WASI)."""
    config = wasmtime.Config()
    config.wasm_memory64 = True
    config.wasm_multi_memory = True
    return new_store(new_engine(config))


class LinearMemory:
    """A linear memory (`ttd.state.Memory`).

    `store` and `native` are the Wasmtime objects behind it: a host module that imports `native` must be
    instantiated in `store`. They are replaced by `reset` only.

    `u8` to `u64` and `s8` to `s32` are views of all bytes, indexed in units of their size: the bytes of an
    address that is not a multiple of the size are reached by `load` and `store_bytes`. They are attributes
    and not local variables of anybody, since growing replaces them; an index outside raises IndexError.
    """

    __slots__ = ("limit", "native", "s8", "s16", "s32", "store", "type", "u8", "u16", "u32", "u64")

    def __init__(self, type_: MemoryType, limit: int, store: wasmtime.Store | None = None) -> None:
        """A zeroed memory of `type_` that never grows beyond `limit` pages, in `store` or one of its own.

        Raises LinkError if the smallest size that the module declares is beyond the limit, or cannot be had.
        """
        declared = _MAX_PAGES[type_.is64] if type_.maximum is None else type_.maximum
        self.type = type_
        self.limit = min(declared, limit, _MAX_PAGES[type_.is64])
        if type_.minimum > limit:
            raise LinkError(
                f"the module asks for a memory of {type_.minimum} pages, more than the limit of {limit}"
            )
        self._allocate(type_.minimum, store or memory_store())

    def _allocate(self, pages: int, store: wasmtime.Store) -> None:
        # The native maximum is the limit, so that compiled code fails to grow it where the interpreter does.
        native_type = wasmtime.MemoryType(wasmtime.Limits(pages, self.limit), is_64=self.type.is64)
        try:
            self.native = wasmtime.Memory(store, native_type)
        except wasmtime.WasmtimeError as error:
            reason = str(error).splitlines()[0]
            raise LinkError(f"cannot allocate a memory of {pages} pages: {reason}") from None
        self.store = store
        self.refresh()

    # --- what ttd.state.Memory asks for ----------------------------------------------------------------

    def view(self) -> memoryview:
        """All bytes, writable, whatever grew the memory. Costs no copy; stale after the next growth."""
        size = self.native.data_len(self.store)
        if size == 0:
            return memoryview(bytearray())
        address = ctypes.addressof(self.native.data_ptr(self.store).contents)
        return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")

    @property
    def pages(self) -> int:
        """Size now, in pages of 64 KiB."""
        return self.native.size(self.store)

    def grow(self, delta: int) -> int:
        """Grow by `delta` pages; the old size, or -1 where the limits forbid it or there is no memory."""
        before = self.pages
        if delta < 0 or before + delta > self.limit:
            return -1
        try:
            self.native.grow(self.store, delta)
        except wasmtime.WasmtimeError:
            return -1
        self.refresh()
        return before

    # --- for the interpreter ---------------------------------------------------------------------------

    def refresh(self) -> None:
        """Renew the typed views: after somebody else may have grown the memory."""
        view = self.view()
        self.u8, self.u16, self.u32, self.u64 = view, view.cast("H"), view.cast("I"), view.cast("Q")
        self.s8, self.s16, self.s32 = view.cast("b"), view.cast("h"), view.cast("i")

    @property
    def size(self) -> int:
        """Bytes, as the typed views have them."""
        return len(self.u8)

    def load(self, address: int, size: int) -> int:
        """The unsigned number in `size` bytes from `address` on, aligned or not; IndexError outside."""
        if address + size > len(self.u8):
            raise IndexError("out of bounds memory access")
        return int.from_bytes(self.u8[address : address + size], "little")

    def store_bytes(self, address: int, size: int, value: int) -> None:
        """Write the low `size` bytes of `value` to `address`; IndexError outside, and nothing written."""
        if address + size > len(self.u8):
            raise IndexError("out of bounds memory access")
        data = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        self.u8[address : address + size] = data

    def renew(self, store: wasmtime.Store) -> None:
        """Become a new native memory in `store`, of the smallest size, zeroed."""
        self._allocate(self.type.minimum, store)

    # --- for restoring ---------------------------------------------------------------------------------

    def resize(self, pages: int) -> None:
        """Make the memory `pages` long, with undefined contents.

        WebAssembly memories never shrink, so a smaller one is a new native memory, in a store of its own:
        host modules bound to the old one are cut off. Raises LinkError if it cannot be had.
        """
        now = self.pages
        if pages < now:
            self._allocate(pages, memory_store())
        elif pages > now and self.grow(pages - now) < 0:
            raise LinkError(f"cannot grow a memory to {pages * WASM_PAGE} bytes")
