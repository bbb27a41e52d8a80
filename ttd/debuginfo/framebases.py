"""Which WebAssembly locals hold the frame base of each function: quickly, for all functions of a module.

The instrumenter asks for every function before a program starts, so this reads the entries of .debug_info as
bytes and skips what it does not want, some thirty times as fast as by pyelftools. What it does not
understand it leaves out: the variables of a function whose frame base nobody kept are not available where
the program itself no longer needs it.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ttd.debuginfo.leb128 import unsigned
from ttd.debuginfo.lines import FunctionMap
from ttd.wasm.model import Module

_SUBPROGRAM = 0x2E
_LOW_PC, _FRAME_BASE, _ADDR_BASE = 0x11, 0x40, 0x73
_IMPLICIT_CONST = 0x21
_ADDR, _EXPRLOC = 0x01, 0x18
_WASM_LOCATION, _STACK_VALUE = 0xED, 0x9F

_SIZES = {
    0x05: 2, 0x06: 4, 0x07: 8, 0x0B: 1, 0x0C: 1, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x19: 0, 0x1E: 16,
    0x20: 8, 0x21: 0, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4,
}  # fmt: skip
"""Bytes of the forms that always have the same (DWARF 5, 7.5.6)."""
_OFFSETS = frozenset((0x0E, 0x10, 0x17, 0x1D, 0x1F))
"""Forms of an offset: 4 bytes, and 8 in the 64-bit format."""
_LEBS = frozenset((0x0D, 0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23))


_DAMAGE = (IndexError, KeyError, ValueError)
"""What reading raises where information is cut off, or of a form that nobody knows."""


class _Abbreviation(NamedTuple):
    """How to read an entry: runs of bytes to skip, and in between attributes that are wanted or vary in
    size."""

    steps: tuple[tuple[int, int, int], ...]
    """(bytes to skip, then attribute, its form); form 0: nothing follows."""


def frame_bases(module: Module) -> Mapping[int, int]:
    """The mask of locals that hold the frame base, by function index, as far as the information can be read.

    There may be several: what other units say about their dropped copies of a function is about it, too.
    """
    info, abbreviations = module.custom(".debug_info"), module.custom(".debug_abbrev")
    addresses = module.custom(".debug_addr")
    if info is None or abbreviations is None:
        return {}
    reader = _Reader(info.data, abbreviations.data, addresses.data if addresses is not None else b"")
    with contextlib.suppress(*_DAMAGE):
        reader.read()
    functions = FunctionMap(module)
    found: dict[int, int] = {}
    for address, local in reader.found:
        function = functions.function_at(address)
        if function is not None and local < len(function.local_types):
            found[function.index] = found.get(function.index, 0) | 1 << local
    return found


def always_live(
    module: Module, find: Callable[[Module], Mapping[int, int]] = frame_bases
) -> Callable[[int], int]:
    """By function, the mask of locals that debugging needs everywhere; found when first asked for."""
    known: list[Mapping[int, int]] = []

    def mask(function: int) -> int:
        if not known:
            known.append(find(module))
        return known[0].get(function, 0)

    return mask


class _Reader:
    """Walks over all entries of all units."""

    def __init__(self, info: bytes, abbreviations: bytes, addresses: bytes) -> None:
        self._info = info
        self._abbreviations = abbreviations
        self._addresses = addresses
        self._tables: dict[tuple[int, int, int, int], dict[int, _Abbreviation]] = {}
        self.found: list[tuple[int, int]] = []
        """Address and local of each frame base."""

    def read(self) -> None:
        """Read all units. Raises IndexError or KeyError where they are damaged."""
        at = 0
        while at < len(self._info):
            at = self._unit(at)

    def _number(self, at: int, size: int) -> int:
        if at + size > len(self._info):
            raise IndexError(at)
        return int.from_bytes(self._info[at : at + size], "little")

    def _unit(self, at: int) -> int:
        """Read the unit at `at`; where the next one begins."""
        length, wide = self._number(at, 4), 4
        at += 4
        if length == 0xFFFFFFFF:
            length, wide = self._number(at, 8), 8
            at += 8
        end = at + length
        version = self._number(at, 2)
        if version >= 5:
            kind, size = self._info[at + 2], self._info[at + 3]
            table = self._number(at + 4, wide)
            at += 4 + wide + {4: 8, 5: 8, 2: 8 + wide, 6: 8 + wide}.get(kind, 0)
        else:
            table, size = self._number(at + 2, wide), self._info[at + 2 + wide]
            at += 3 + wide
        with contextlib.suppress(*_DAMAGE):
            self._entries(at, min(end, len(self._info)), self._table(table, size, wide, version), size, wide)
        return end

    def _entries(
        self, at: int, end: int, table: dict[int, _Abbreviation], address_size: int, wide: int
    ) -> None:
        """Read all entries from `at` on. The long loop over everything, so it spares calls."""
        info, base = self._info, 8 if wide == 4 else 16
        while at < end:
            code = info[at]
            at += 1
            if code >= 0x80:
                code, at = unsigned(info, at - 1)
            if not code:
                continue
            low = local = None
            for skip, attribute, form in table[code].steps:
                at += skip
                if not form:
                    continue
                value: int | None = None
                if form == _EXPRLOC:
                    size, at = unsigned(info, at)
                    if attribute == _FRAME_BASE:
                        local = _local_of(info[at : at + size])
                    at += size
                elif form == 0x08:  # string
                    at = info.index(0, at) + 1
                elif form in _LEBS:
                    value, at = unsigned(info, at)
                elif form in _BLOCKS:
                    size, at = self._block(form, at)
                    at += size
                else:
                    width = address_size if form == _ADDR else wide if form in _OFFSETS else _SIZES[form]
                    value = self._number(at, width)
                    at += width
                if attribute == _LOW_PC and value is not None:
                    low = value if form == _ADDR else self._address(base, value, address_size)
                elif attribute == _ADDR_BASE and value is not None:
                    base = value
            if low is not None and local is not None:
                self.found.append((low, local))

    def _block(self, form: int, at: int) -> tuple[int, int]:
        """Size and place of the bytes of a block."""
        width = _BLOCKS[form]
        return (self._number(at, width), at + width) if width else unsigned(self._info, at)

    def _address(self, base: int, index: int, size: int) -> int:
        at = base + index * size
        return int.from_bytes(self._addresses[at : at + size], "little")

    def _table(self, at: int, address_size: int, wide: int, version: int) -> dict[int, _Abbreviation]:
        key = at, address_size, wide, min(version, 3)
        if key not in self._tables:
            self._tables[key] = self._read_table(at, address_size, wide, version)
        return self._tables[key]

    def _read_table(self, at: int, address_size: int, wide: int, version: int) -> dict[int, _Abbreviation]:
        data = self._abbreviations
        table: dict[int, _Abbreviation] = {}
        sizes = _SIZES | {_ADDR: address_size} | dict.fromkeys(_OFFSETS, wide)
        if version < 3:
            sizes[0x10] = address_size  # DW_FORM_ref_addr
        while True:
            code, at = unsigned(data, at)
            if not code:
                return table
            tag, at = unsigned(data, at)
            at += 1
            steps: list[tuple[int, int, int]] = []
            skip = 0
            while True:
                attribute, at = unsigned(data, at)
                form, at = unsigned(data, at)
                if form == _IMPLICIT_CONST:
                    _, at = unsigned(data, at)
                if not attribute and not form:
                    break
                wanted = attribute == _ADDR_BASE or (tag == _SUBPROGRAM and attribute == _LOW_PC)
                if form in sizes and not wanted:
                    skip += sizes[form]
                else:
                    steps.append((skip, attribute if wanted or tag == _SUBPROGRAM else 0, form))
                    skip = 0
            steps.append((skip, 0, 0))
            table[code] = _Abbreviation(tuple(steps))


_BLOCKS = {0x03: 2, 0x04: 4, 0x09: 0, 0x0A: 1}
"""Forms of bytes with their size before them, and the size of that; 0 stands for LEB128."""


def _local_of(expression: bytes) -> int | None:
    """The local of ``DW_OP_WASM_location 0 local``, perhaps followed by DW_OP_stack_value."""
    if expression[:2] != bytes((_WASM_LOCATION, 0)):
        return None
    local, end = unsigned(expression, 2)
    return local if expression[end:] in (b"", bytes((_STACK_VALUE,))) else None
