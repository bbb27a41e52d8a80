"""The inlined calls of a program: every place at which a function was put into another (DWARF 5, 3.3.8).

May import base, `ttd.wasm` and the rest of `ttd.debuginfo`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import NamedTuple

from ttd.debuginfo.inlining import INLINED, call_site
from ttd.debuginfo.scopes import VariableReader
from ttd.debuginfo.units import Entry, Unit, qualified_name
from ttd.types import Location


class InlinedCall(NamedTuple):
    """A function that was inlined."""

    function: int
    """The function of the module that it was put into, maybe through others."""
    entry: int
    """What tells it apart, as `SourceFrame.entry` does."""
    pc: int
    """Where its code begins: the lowest byte offset in the module file."""
    site: Location | None
    """Where it is called."""


def inlined_calls(
    units: Iterable[Unit], reader: VariableReader, name: str | None = None
) -> Iterator[InlinedCall]:
    """The inlined calls in the code of `units` that the linker has kept; of one function, if named.

    `name` is that in the source, with or without namespaces and classes, or the symbol's.
    """
    for unit in units:
        known: dict[object, bool] = {}
        for entry in unit.index.entries.values() if _may_inline(unit) else ():
            if entry.tag == INLINED and (name is None or _is_wanted(entry, name, reader, known)):
                yield from _call(entry, unit)


def _is_wanted(entry: Entry, name: str, reader: VariableReader, known: dict[object, bool]) -> bool:
    """Whether it is a call of what is called `name`; asked once for each function of the unit."""
    origin = entry.die.attributes.get("DW_AT_abstract_origin")
    key = origin.value if origin is not None else None
    if key not in known:
        known[key] = _is_called(entry, name, reader)
    return known[key]


def _call(entry: Entry, unit: Unit) -> Iterator[InlinedCall]:
    nothing: list[tuple[int, int]] = []
    ranges = unit.units.problems.attempt("an inlined call", lambda: unit.ranges_of(entry.die), nothing)
    low = min((low for low, _ in ranges), default=0)
    function = unit.units.functions.function_at(low)
    if function is not None:
        pc = unit.units.functions.first_instruction(low)
        yield InlinedCall(function.index, entry.die.offset, pc, call_site(entry, unit))


def _is_called(entry: Entry, name: str, reader: VariableReader) -> bool:
    if name == reader.attribute_text(entry, "DW_AT_linkage_name"):
        return True
    if name.rpartition("::")[2] != reader.attribute_text(entry, "DW_AT_name"):
        return False
    holder = reader.holder(entry, "DW_AT_name")
    qualified = qualified_name(holder) if holder is not None else ""
    return qualified == name or qualified.endswith(f"::{name}")


def _may_inline(unit: Unit) -> bool:
    """Whether the unit has inlined subroutines at all: a look at its abbreviations, which are few."""
    abbreviations = unit.cu.get_abbrev_table()
    for code in count(1):
        try:
            tag = abbreviations.get_abbrev(code)["tag"]
        except KeyError:
            return False
        if tag == INLINED:
            return True
    return False
