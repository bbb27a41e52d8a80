"""How a program's linear memory is laid out: its stack, its data by segment and variable, its heap.

WebAssembly knows one array of bytes; what lies where in it is the linker's choice. wasm-ld puts static data
and the stack one behind the other, in either order (``--stack-first``), and leaves the rest to the heap
(lld/docs/WebAssembly.rst). What it says about that with symbols (``__data_end``, ``__heap_base``,
``__stack_low``, ``__stack_high``) stands in the module only where they are exported; otherwise the layout is
read off the initial stack pointer and the places of the data, and where a bound is not certain the region
says so.

May import base, `ttd.wasm`, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ttd.debuginfo import DebugInfo
from ttd.static.symbols import UNNAMED, Symbol, data_objects
from ttd.wasm.model import Data, Instruction, SegmentMode, ValType

STACK_POINTER = "__stack_pointer"
_ALIGNMENT = 16
"""Bytes to which wasm-ld aligns the stack and the beginning of the heap."""


class RegionKind(enum.Enum):
    """What a piece of linear memory is for."""

    STACK = "stack"
    """The stack of variables that need an address; it grows down."""
    DATA = "data"
    """Static data with its initial value in a segment."""
    ZEROED = "bss"
    """Static data that begins as zero, and so is in no segment."""
    HEAP = "heap"
    """All behind the static data and the stack, up to the end of memory."""
    UNUSED = "unused"
    """Below everything, so that null points at nothing."""


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes [start, end) of memory 0. `is_exact` False: the linker did not say where it begins; it is the
    least that is known."""

    kind: RegionKind
    start: int
    end: int
    name: str
    is_exact: bool = True

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


class MemoryLayout:
    """The layout of memory 0 of the module that `debug` is about. Reads all debug information when first
    asked."""

    def __init__(self, debug: DebugInfo) -> None:
        self._debug = debug
        self._module = debug.module

    # --- symbols -------------------------------------------------------------------------------------

    @cached_property
    def objects(self) -> Sequence[Symbol]:
        """The variables with a fixed address, by address. String literals and what is nameless are left
        out."""
        named = (symbol for symbol in data_objects(self._debug) if symbol.name != UNNAMED)
        return sorted(named, key=lambda symbol: (symbol.address, -symbol.size))

    def object_at(self, address: int) -> Symbol | None:
        """The variable that a byte belongs to, or None."""
        end = bisect_right(self._addresses, address)
        for symbol in reversed(self.objects[max(0, end - 8) : end]):
            if symbol.address <= address < symbol.address + max(symbol.size, 1):
                return symbol
        return None

    @cached_property
    def _addresses(self) -> list[int]:
        return [symbol.address for symbol in self.objects]

    # --- the stack pointer ---------------------------------------------------------------------------

    @cached_property
    def stack_pointer(self) -> int | None:
        """The index of the global that is the stack pointer; None if there is none.

        By its name; in a module without names the first mutable integer that starts as an aligned address.
        """
        globals_ = self._module.globals
        named = (i for i in range(len(globals_)) if self._debug.names.global_(i) == STACK_POINTER)
        found = next(named, None)
        if found is not None:
            return found
        return next((i for i in range(len(globals_)) if self._may_be_stack_pointer(i)), None)

    def _may_be_stack_pointer(self, index: int) -> bool:
        declared = self._module.globals[index]
        value = _constant(declared.init)
        is_address = declared.type.mutable and declared.type.type in (ValType.I32, ValType.I64)
        return (
            is_address and value is not None and 0 < value <= self._initial_size and value % _ALIGNMENT == 0
        )

    @property
    def _initial_size(self) -> int:
        memories = self._module.memories
        return memories[0].minimum << 16 if memories else 0

    # --- regions -------------------------------------------------------------------------------------

    def regions(self, size: int) -> list[Region]:
        """All regions by address, in a memory of `size` bytes now."""
        fixed = [*self._segments, *self._zeroed()]
        stack = self._stack()
        regions = [region for region in (*fixed, stack) if region is not None and region.size > 0]
        regions.sort(key=lambda region: (region.start, region.end))
        first = min((region.start for region in regions), default=0)
        if first > 0:
            regions.insert(0, Region(RegionKind.UNUSED, 0, first, ""))
        heap = self._heap_base()
        if heap is not None and heap[0] < size:
            regions.append(Region(RegionKind.HEAP, heap[0], size, "", heap[1]))
        return regions

    @cached_property
    def _segments(self) -> list[Region]:
        """The active data segments of memory 0 with a place that the module alone tells."""
        return list(self._placed(self._module.datas))

    def _placed(self, datas: Sequence[Data]) -> Iterator[Region]:
        for index, data in enumerate(datas):
            start = _constant(data.offset) if data.mode is SegmentMode.ACTIVE and data.memory == 0 else None
            if start is not None:
                name = self._debug.names.data(index)
                yield Region(RegionKind.DATA, start, start + len(data.data), name)

    @cached_property
    def _data_end(self) -> tuple[int, bool]:
        """Where the static data ends, and whether the linker said so."""
        said = self._symbol("__data_end")
        if said is not None:
            return said, True
        ends = [region.end for region in self._segments]
        ends += [symbol.address + symbol.size for symbol in self.objects]
        return max(ends, default=0), False

    def _zeroed(self) -> list[Region]:
        """What lies behind the segments."""
        start = max((region.end for region in self._segments), default=None)
        if start is None:
            start = min(self._addresses, default=self._data_end[0])
        return [Region(RegionKind.ZEROED, start, self._data_end[0], ".bss")]

    @cached_property
    def _stack_high(self) -> int | None:
        """The initial stack pointer."""
        said = self._symbol("__stack_high")
        if said is not None or self.stack_pointer is None:
            return said
        return _constant(self._module.globals[self.stack_pointer].init)

    @property
    def _is_stack_first(self) -> bool:
        starts = [region.start for region in self._segments] + list(self._addresses[:1])
        return self._stack_high is not None and self._stack_high <= min(starts, default=self._stack_high)

    def _stack(self) -> Region | None:
        high = self._stack_high
        if high is None:
            return None
        low = self._symbol("__stack_low")
        if low is not None or self._is_stack_first:
            return Region(RegionKind.STACK, low or 0, high, "")
        end, is_exact = self._data_end
        return Region(RegionKind.STACK, min(_aligned(end), high), high, "", is_exact)

    def _heap_base(self) -> tuple[int, bool] | None:
        """Where the heap begins, and whether that is certain; None where nothing is known of the layout."""
        said = self._symbol("__heap_base")
        if said is not None:
            return said, True
        end, is_exact = self._data_end
        high = self._stack_high
        if high is None:
            return (_aligned(end), False) if end else None
        return (_aligned(end), is_exact) if self._is_stack_first else (max(high, _aligned(end)), end <= high)

    def _symbol(self, name: str) -> int | None:
        """The address that the linker exports as an immutable global called `name`."""
        for index, declared in enumerate(self._module.globals):
            if not declared.type.mutable and self._debug.names.global_(index) == name:
                return _constant(declared.init)
        return None


def _constant(expression: tuple[Instruction, ...] | None) -> int | None:
    """The value of a constant expression of one integer constant; None for any other."""
    if (
        expression is None
        or len(expression) != 2
        or expression[0].op.mnemonic not in ("i32.const", "i64.const")
    ):
        return None
    value = expression[0].immediates[0]
    return value if isinstance(value, int) else None


def _aligned(address: int) -> int:
    return -(-address // _ALIGNMENT) * _ALIGNMENT
