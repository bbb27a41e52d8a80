"""Which compile units have a name at all: a quick look for its string, so that the others need not be read.

Reading a unit takes time in proportion to it, and a C++ program has hundreds with thousands of entries each.
An entry has its name as a string of its own or by the offset of one in .debug_str, which DWARF 5 keeps in the
unit's part of .debug_str_offsets (7.26). Bytes that look like that by chance only cost the reading of a unit.

May import base, `ttd.wasm` and the rest of `ttd.debuginfo`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ttd.debuginfo.units import Unit, number_of
from ttd.wasm.model import Module

_MOST_PLACES = 200
"""Strings of a short name may end many others, and be shared with all of them: then any unit may have it."""


class Mentions:
    """The units of a module by the names in them. Remembers what it was asked."""

    def __init__(self, module: Module, units: Sequence[Unit]) -> None:
        self._info = _data(module, ".debug_info")
        self._strings = _data(module, ".debug_str")
        self._string_offsets = _data(module, ".debug_str_offsets")
        self._units = units
        self._known: dict[str, tuple[Unit, ...]] = {}

    def units_with(self, name: str) -> Sequence[Unit]:
        """The units that may have an entry with that name; with more of them than there are, never fewer.

        `name` may be qualified (``queue::node``), which entries' own names are not.
        """
        known = self._known.get(name)
        if known is None:
            names = [name, *(name[match.end() :] for match in re.finditer("::", name))]
            sought = [(each.encode() + b"\0", self._places(each.encode() + b"\0")) for each in names]
            known = self._known[name] = tuple(unit for unit in self._units if self._has(unit, sought))
        return known

    def _places(self, string: bytes) -> list[int] | None:
        """The offsets in .debug_str at which the string is; None if there are too many."""
        found: list[int] = []
        at = self._strings.find(string)
        while at >= 0:
            if len(found) == _MOST_PLACES:
                return None
            found.append(at)
            at = self._strings.find(string, at + 1)
        return found

    def _has(self, unit: Unit, sought: Sequence[tuple[bytes, list[int] | None]]) -> bool:
        start, end = unit.extent
        width = unit.offset_size
        first, last = self._part_of_offsets(unit, width)
        for string, places in sought:
            if places is None or self._info.find(string, start, end) >= 0:
                return True
            for place in places:
                offset = place.to_bytes(width, "little")
                if self._info.find(offset, start, end) >= 0:
                    return True
                if self._string_offsets.find(offset, first, last) >= 0:
                    return True
        return False

    def _part_of_offsets(self, unit: Unit, width: int) -> tuple[int, int]:
        """Where in .debug_str_offsets the unit's part is; (0, 0) where it has none."""
        base = number_of(unit.top, "DW_AT_str_offsets_base")
        if base is None or base < width + 4:
            return 0, 0
        length = int.from_bytes(self._string_offsets[base - 4 - width : base - 4], "little")
        return base, base - 4 + length


def _data(module: Module, name: str) -> bytes:
    section = module.custom(name)
    return section.data if section is not None else b""
