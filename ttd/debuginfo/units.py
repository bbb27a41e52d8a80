"""Compile units, read when needed: their address ranges, their line table, an index of their entries.

Opening looks at the top entry of each unit only. Everything else in a unit is read in one linear pass
over its entries when somebody first asks for something inside it; so a program with a big library pays for
the parts that are looked at. The pass walks forward through the bytes, never along references, so that
damaged information cannot send it in circles.

May import base, `ttd.wasm` and pyelftools.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ttd.debuginfo.lines import FunctionMap, LineTable
from ttd.debuginfo.sections import Problems

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DWARFInfo
    from elftools.dwarf.locationlists import LocationLists, LocationListsPair
    from elftools.dwarf.ranges import RangeLists, RangeListsPair

_AGGREGATES = {
    "DW_TAG_structure_type": "struct",
    "DW_TAG_union_type": "union",
    "DW_TAG_class_type": "class",
    "DW_TAG_enumeration_type": "enum",
}
_NAMESPACES = ("DW_TAG_compile_unit", "DW_TAG_partial_unit", "DW_TAG_namespace")
_PLACES = ("DW_AT_low_pc", "DW_AT_ranges")

Range = tuple[int, int]


class Entry:
    """A debugging entry with the entries below it. Its attributes are read when somebody asks for them."""

    __slots__ = ("_die", "_offset", "_unit", "children", "parent", "tag")

    def __init__(self, unit: Unit, offset: int, tag: str, parent: Entry | None) -> None:
        self._unit = unit
        self._offset = offset
        self._die: DIE | None = None
        self.tag = tag
        self.parent = parent
        self.children: list[Entry] = []

    @property
    def die(self) -> DIE:
        """The entry itself; one without attributes where it is damaged."""
        if self._die is None:
            self._die = self._unit.read_entry(self._offset)
        return self._die


class Unit:
    """A compile unit."""

    def __init__(self, units: Units, cu: CompileUnit, top: DIE) -> None:
        self.units = units
        self.cu = cu
        self.top = top
        self.version: int = cu["version"]
        self.name = text_of(top, "DW_AT_name")
        self.directory = text_of(top, "DW_AT_comp_dir")
        self.low_pc: int = number_of(top, "DW_AT_low_pc") or 0

    @property
    def extent(self) -> tuple[int, int]:
        """Where it is in .debug_info: its first byte, and that behind its last one."""
        return self.cu.cu_offset, self.cu.cu_offset + self.cu.size

    @property
    def offset_size(self) -> int:
        """Bytes of an offset into another section."""
        return 8 if self.cu.structs.dwarf_format == 64 else 4

    @cached_property
    def ranges(self) -> list[Range]:
        """Address ranges of its code, without those of functions that the linker dropped."""
        return [pair for pair in self.told_ranges if self.units.functions.function_at(pair[0]) is not None]

    @cached_property
    def told_ranges(self) -> list[Range]:
        """Address ranges as they are written, those of dropped functions included."""
        nothing: list[Range] = []
        return self.units.problems.attempt(
            f"ranges of {self.name}", lambda: self.ranges_of(self.top), nothing
        )

    @cached_property
    def lines(self) -> LineTable | None:
        """Its line table, or None."""
        return self.units.problems.attempt(f"line table of {self.name}", self._read_lines, None)

    def _read_lines(self) -> LineTable | None:
        program = self.units.dwarf.line_program_for_CU(self.cu)
        return (
            LineTable(program, self.directory, self.units.functions, self.units.problems)
            if program is not None
            else None
        )

    def ranges_of(self, die: DIE) -> list[Range]:
        """The address ranges of a scope: DW_AT_low_pc and DW_AT_high_pc, or DW_AT_ranges (DWARF 5, 2.17)."""
        if "DW_AT_ranges" in die.attributes:
            return list(self._range_list(die.attributes["DW_AT_ranges"].value))
        low, high = number_of(die, "DW_AT_low_pc"), number_of(die, "DW_AT_high_pc")
        if low is None or high is None:
            return []
        if not die.attributes["DW_AT_high_pc"].form.startswith("DW_FORM_addr"):
            high += low
        return [(low, high)] if low < high else []

    def _range_list(self, offset: int) -> Iterator[Range]:
        from elftools.dwarf.ranges import BaseAddressEntry

        base = self.low_pc
        lists = self.units.range_lists
        if lists is None:
            return
        for entry in lists.get_range_list_at_offset(offset, self.cu):
            if isinstance(entry, BaseAddressEntry):
                base = entry.base_address
                continue
            shift = 0 if entry.is_absolute else base
            if entry.begin_offset < entry.end_offset:
                yield entry.begin_offset + shift, entry.end_offset + shift

    def enumerator_value(self, entry: Entry) -> int:
        """The value of an enumeration constant."""
        return number_of(entry.die, "DW_AT_const_value") or 0

    # --- the index, made in one pass ---

    @cached_property
    def index(self) -> UnitIndex:
        """What the unit holds. Where reading fails half-way, what came before stays."""
        index = UnitIndex()
        self.units.problems.attempt(f"entries of {self.name}", lambda: self._fill(index), None)
        return index

    def _fill(self, index: UnitIndex) -> None:
        from ttd.debuginfo.entries import walk

        current: Entry | None = None
        for offset, tag, has_children, attributes in walk(self.cu, self.units.info):
            if not tag:
                current = current.parent if current is not None else None
                continue
            entry = Entry(self, offset, tag, current)
            index.entries[offset] = entry
            if current is not None:
                current.children.append(entry)
            self._note(index, entry, attributes)
            if has_children:
                current = entry

    def read_entry(self, offset: int) -> DIE:
        """The entry at `offset` of .debug_info; one without attributes where it is damaged."""
        from ttd.debuginfo.entries import Blank

        what = f"entry at {offset:#x} of {self.name}"
        found = self.units.problems.attempt(what, lambda: self.cu.get_DIE_from_refaddr(offset), None)
        return found if found is not None else Blank(self.cu, self.top.stream, offset)

    def _note(self, index: UnitIndex, entry: Entry, attributes: Set[str]) -> None:
        tag = entry.tag
        if tag == "DW_TAG_subprogram":
            if not attributes.isdisjoint(_PLACES):
                self._note_function(index, entry)
            return
        in_namespace = entry.parent is not None and entry.parent.tag in _NAMESPACES
        if tag == "DW_TAG_variable":
            if in_namespace:
                index.variables.append(entry)
        elif tag == "DW_TAG_enumerator":
            index.enumerators.setdefault(text_of(entry.die, "DW_AT_name"), entry)
        elif "DW_AT_name" in attributes and tag.endswith(("_type", "typedef")):
            name = qualified_name(entry)
            declared = "DW_AT_declaration" in attributes
            if tag in _AGGREGATES:
                index.note_type(f"{_AGGREGATES[tag]} {name}", entry, declared)
            index.note_type(name, entry, declared or tag in _AGGREGATES)

    def _note_function(self, index: UnitIndex, entry: Entry) -> None:
        ranges = self.ranges_of(entry.die)
        if not ranges:
            return
        function = self.units.functions.function_starting_at(min(low for low, _ in ranges))
        if function is not None:
            index.functions.setdefault(function.index, entry)


class UnitIndex:
    """The entries of one unit by what they are looked up by."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        """By offset in .debug_info."""
        self.functions: dict[int, Entry] = {}
        """Subprograms with code, by function index."""
        self.variables: list[Entry] = []
        """Variables outside functions."""
        self.types: dict[str, Entry] = {}
        """By qualified name; ``struct node`` and, unless a typedef has that name, plain ``node``."""
        self.enumerators: dict[str, Entry] = {}
        """Constants of enumerations."""
        self._weak: set[str] = set()

    def note_type(self, name: str, entry: Entry, weak: bool) -> None:
        """Enter a type. A definition replaces a `weak` entry (a declaration, a bare tag), not vice versa."""
        if name not in self.types or (name in self._weak and not weak):
            self.types[name] = entry
            (self._weak.add if weak else self._weak.discard)(name)

    def is_declaration(self, name: str) -> bool:
        """Whether the only type called `name` is an incomplete one."""
        return name in self.types and "DW_AT_declaration" in self.types[name].die.attributes


class Units:
    """All compile units of a module."""

    def __init__(self, dwarf: DWARFInfo, functions: FunctionMap, problems: Problems) -> None:
        self.dwarf = dwarf
        self.functions = functions
        self.problems = problems

    @cached_property
    def info(self) -> bytes:
        """The contents of .debug_info."""
        section = self.dwarf.debug_info_sec
        if section is None:
            return b""
        section.stream.seek(0)
        return bytes(section.stream.read())

    @cached_property
    def all(self) -> Sequence[Unit]:
        """In the order of the file; those whose header or top entry is damaged, and what follows a damaged
        header, are missing."""
        units: list[Unit] = []

        def read() -> None:
            for cu in self.dwarf.iter_CUs():
                unit = self.problems.attempt(f"unit at {cu.cu_offset:#x}", partial(self._open, cu), None)
                if unit is not None:
                    units.append(unit)

        self.problems.attempt("compile units", read, None)
        return units

    def unit_with_row(self, pc: int) -> Unit | None:
        """Among the units that do not say where their code is, the one whose line table covers `pc`."""
        for unit in self._without_ranges:
            if unit.lines is not None and unit.lines.row_at(pc) is not None:
                return unit
        return None

    @cached_property
    def location_lists(self) -> LocationLists | LocationListsPair | None:
        return self.dwarf.location_lists()

    @cached_property
    def range_lists(self) -> RangeLists | RangeListsPair | None:
        return self.dwarf.range_lists()

    def _open(self, cu: CompileUnit) -> Unit | None:
        unit = Unit(self, cu, cu.get_top_DIE())
        elsewhere = text_of(unit.top, "DW_AT_dwo_name") or text_of(unit.top, "DW_AT_GNU_dwo_name")
        if elsewhere:
            self.problems.note(
                f"the debug information of {unit.name or 'a unit'} is in {elsewhere} (split DWARF), "
                "which ttd does not read; build without -gsplit-dwarf"
            )
        return unit

    @cached_property
    def _by_address(self) -> tuple[list[int], list[tuple[int, int, Unit]]]:
        """The start of every run of code in order, and each with its end and its unit.

        Of an inline function that several units compile the linker takes one copy, and lets what all of them
        say refer to it. Their lengths tell which is meant; where they are equal the linker took the first.
        """
        spans: dict[int, tuple[int, int, Unit]] = {}
        for unit in self.all:
            for low, high in unit.ranges:
                if low not in spans or (self._is_copy(spans[low][1]) and not self._is_copy(high)):
                    spans[low] = low, high, unit
        starts = sorted(spans)
        return starts, [spans[low] for low in starts]

    def _is_copy(self, end: int) -> bool:
        return not self.functions.ends_at(end)

    @cached_property
    def _without_ranges(self) -> list[Unit]:
        return [
            unit for unit in self.all if not unit.told_ranges and "DW_AT_stmt_list" in unit.top.attributes
        ]

    def unit_at(self, address: int) -> Unit | None:
        """The unit whose code holds a DWARF address."""
        starts, spans = self._by_address
        index = bisect_right(starts, address) - 1
        if index >= 0 and address < spans[index][1]:
            return spans[index][2]
        return None

    def unit_containing(self, offset: int) -> Unit | None:
        """The unit whose entries hold `offset` of .debug_info."""
        offsets = self._offsets
        index = bisect_right(offsets, offset) - 1
        return self.all[index] if index >= 0 else None

    @cached_property
    def _offsets(self) -> list[int]:
        return [unit.cu.cu_offset for unit in self.all]


def text_of(die: DIE, attribute: str) -> str:
    """A string attribute; "" where it is missing."""
    value = die.attributes.get(attribute)
    if value is None or not isinstance(value.value, bytes):
        return ""
    return value.value.decode("utf-8", "replace")


def number_of(die: DIE, attribute: str) -> int | None:
    """A numeric attribute; None where it is missing or of another class."""
    value = die.attributes.get(attribute)
    return value.value if value is not None and type(value.value) is int else None


def qualified_name(entry: Entry) -> str:
    """The name of an entry with the namespaces and aggregates around it: ``queue::node``."""
    names = [text_of(entry.die, "DW_AT_name")]
    scope = entry.parent
    while scope is not None:
        if scope.tag == "DW_TAG_namespace" or scope.tag in _AGGREGATES:
            names.append(text_of(scope.die, "DW_AT_name") or "(anonymous)")
        scope = scope.parent
    return "::".join(reversed(names))
