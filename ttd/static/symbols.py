"""The symbols of a module: its functions and data objects, with their addresses and sizes.

May import base, `ttd.wasm` and `ttd.debuginfo`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ttd.debuginfo import DebugInfo
from ttd.wasm.leb128 import read_u32
from ttd.wasm.model import Module

UNNAMED = "(unnamed)"
"""The name of data that has none: string literals."""


class SymbolKind(enum.Enum):
    """What a symbol stands for."""

    FUNCTION = "function"
    """Code; the address is a byte offset in the module file."""
    DATA = "data"
    """A global or static variable; the address is one in linear memory."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function with code, or a variable that has its place for the whole run. Imports are none."""

    kind: SymbolKind
    name: str
    """Of a function, as the name section or an export gives it; of a variable, as in the source, behind the
    name of the function that it is static in: ``next::counter``."""
    address: int
    """Of a function, where its first instruction is."""
    size: int
    """In bytes. Of a function, all that it takes in the code section, its declared locals included; 0 for a
    variable of incomplete type."""
    unit: str
    """The compile unit that it is from, as the compiler was called for it; "" where unknown."""


@dataclass(frozen=True, slots=True)
class UnitTotal:
    """What a compile unit has brought into the module; sizes in bytes."""

    unit: str
    functions: int
    code: int
    objects: int
    data: int


def functions(debug: DebugInfo) -> Iterator[Symbol]:
    """The functions of the code section, in its order. Quick: debug information is looked at by unit only."""
    for index, (start, size) in _entries(debug.module).items():
        yield Symbol(SymbolKind.FUNCTION, debug.names.function(index), start, size, debug.unit_name(start))


def data_objects(debug: DebugInfo) -> Iterator[Symbol]:
    """The variables with a fixed address, by unit. None without DWARF; reads all of it."""
    known: set[tuple[int, str]] = set()
    for unit, name, variable in debug.fixed_variables():
        address = variable.fixed_address
        if address is not None and (address, name) not in known:
            known.add((address, name))
            size = debug.complete_type(variable.type.strip()).size
            yield Symbol(SymbolKind.DATA, name or UNNAMED, address, size or 0, unit)


def totals(symbols: Iterable[Symbol]) -> list[UnitTotal]:
    """What each compile unit brings, largest first."""
    sums: dict[str, list[int]] = {}
    for symbol in symbols:
        row = sums.setdefault(symbol.unit, [0, 0, 0, 0])
        first = 0 if symbol.kind is SymbolKind.FUNCTION else 2
        row[first] += 1
        row[first + 1] += symbol.size
    result = [UnitTotal(unit, *row) for unit, row in sums.items()]
    return sorted(result, key=lambda total: (-total.code - total.data, total.unit))


def _entries(module: Module) -> dict[int, tuple[int, int]]:
    """By function index: the offset of the first instruction, and the size of the code section's entry."""
    bodies = sorted((f.body.start, f.body.end, f.index) for f in module.functions if f.body is not None)
    entries: dict[int, tuple[int, int]] = {}
    previous = read_u32(module.data, module.code_offset)[1] if bodies else 0
    for start, end, index in bodies:
        entries[index] = (start, end - previous)
        previous = end
    return entries
