"""Quick ways through .debug_abbrev and .debug_info, where pyelftools takes seconds for a large program.

`Dwarf` is the `DWARFInfo` of pyelftools with abbreviation tables that are read by a plain loop. `walk` goes
over the entries of a unit without reading their attributes: most of them nobody ever asks for; those that
are asked for pyelftools reads then.

May import pyelftools; imports it at once, so it is to be imported late.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from elftools.construct.lib.container import Container
from elftools.dwarf.abbrevtable import AbbrevDecl, AbbrevTable
from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.dwarf.enums import ENUM_DW_AT, ENUM_DW_FORM, ENUM_DW_TAG

from ttd.debuginfo.leb128 import unsigned

_TAGS, _ATTRIBUTES, _FORMS = (
    {value: name for name, value in names.items() if type(value) is int}
    for names in (ENUM_DW_TAG, ENUM_DW_AT, ENUM_DW_FORM)
)

_SIZES = {
    "DW_FORM_data1": 1, "DW_FORM_data2": 2, "DW_FORM_data4": 4, "DW_FORM_data8": 8, "DW_FORM_data16": 16,
    "DW_FORM_flag": 1, "DW_FORM_flag_present": 0, "DW_FORM_implicit_const": 0, "DW_FORM_ref1": 1,
    "DW_FORM_ref2": 2, "DW_FORM_ref4": 4, "DW_FORM_ref8": 8, "DW_FORM_ref_sig8": 8, "DW_FORM_ref_sup4": 4,
    "DW_FORM_ref_sup8": 8, "DW_FORM_strx1": 1, "DW_FORM_strx2": 2, "DW_FORM_strx3": 3, "DW_FORM_strx4": 4,
    "DW_FORM_addrx1": 1, "DW_FORM_addrx2": 2, "DW_FORM_addrx3": 3, "DW_FORM_addrx4": 4,
}  # fmt: skip
"""Bytes of the forms that always have the same (DWARF 5, 7.5.6)."""
_OFFSETS = ("DW_FORM_strp", "DW_FORM_line_strp", "DW_FORM_sec_offset", "DW_FORM_strp_sup", "DW_FORM_ref_addr")
_NUMBERS = ("DW_FORM_sdata", "DW_FORM_udata", "DW_FORM_ref_udata", "DW_FORM_strx", "DW_FORM_addrx",
            "DW_FORM_loclistx", "DW_FORM_rnglistx")  # fmt: skip
"""LEB128."""
_BLOCKS = {
    "DW_FORM_block1": 1,
    "DW_FORM_block2": 2,
    "DW_FORM_block4": 4,
    "DW_FORM_block": 0,
    "DW_FORM_exprloc": 0,
}
"""By the bytes of the size before them; 0 stands for LEB128."""


class Passed(NamedTuple):
    """What `walk` tells of an entry."""

    offset: int
    """In .debug_info."""
    tag: str
    """"" for the entry that ends a list of children."""
    has_children: bool
    attributes: frozenset[str]
    """Names of those that it has."""


class Dwarf(DWARFInfo):
    """As its base, but quicker."""

    def get_abbrev_table(self, offset: int) -> AbbrevTable:
        """The table at `offset` of .debug_abbrev, made once."""
        known: dict[int, AbbrevTable] = self.__dict__.setdefault("_quick_tables", {})
        if offset not in known:
            section = self.debug_abbrev_sec
            if section is None or offset >= section.size:
                raise ValueError(f"there is no abbreviation table at {offset:#x}")
            known[offset] = _Table(self.structs, section.stream, offset)
        return known[offset]


class Blank(DIE):
    """Stands for an entry that is damaged: one without attributes."""

    def _parse_DIE(self) -> None:
        """Leave everything as it is at first: empty."""


class _Table(AbbrevTable):
    """As its base, but read without `construct`."""

    def _parse_abbrev_table(self) -> dict[int, AbbrevDecl]:
        self.stream.seek(0)
        data, at = self.stream.read(), self.offset
        found: dict[int, AbbrevDecl] = {}
        while True:
            code, at = unsigned(data, at)
            if not code:
                return found
            tag, at = unsigned(data, at)
            flag, at = data[at], at + 1
            specs, at = _attributes(data, at)
            children = "DW_CHILDREN_yes" if flag else "DW_CHILDREN_no"
            declared = Container(tag=_TAGS.get(tag, tag), children_flag=children, attr_spec=specs)
            found[code] = AbbrevDecl(code, declared)


def _attributes(data: bytes, at: int) -> tuple[list[Container], int]:
    """The attributes of a declaration, and where it ends."""
    specs: list[Container] = []
    while True:
        name, at = unsigned(data, at)
        form, at = unsigned(data, at)
        if not name and not form:
            return specs, at
        spec = Container(name=_ATTRIBUTES.get(name, name), form=_FORMS.get(form, form), value=None)
        if spec.form == "DW_FORM_implicit_const":
            spec.value, at = _signed(data, at)
        specs.append(spec)


def walk(unit: CompileUnit, data: bytes) -> Iterator[Passed]:
    """The entries of a unit in their order; `data` is .debug_info.

    Where it is damaged, IndexError, KeyError or ValueError comes after those before.
    """
    table = unit.get_abbrev_table()
    sizes = (
        _SIZES | {"DW_FORM_addr": unit["address_size"]} | dict.fromkeys(_OFFSETS, unit.dwarf_format() // 8)
    )
    if unit["version"] < 3:
        sizes["DW_FORM_ref_addr"] = unit["address_size"]
    plans: dict[int, tuple[str, bool, frozenset[str], list[tuple[int, str]]]] = {}
    at, end = unit.cu_die_offset, min(unit.cu_offset + unit.size, len(data))
    while at < end:
        offset = at
        code, at = unsigned(data, at)
        if not code:
            yield Passed(offset, "", False, frozenset())
            continue
        if code not in plans:
            plans[code] = _plan(table.get_abbrev(code), sizes)
        tag, has_children, attributes, steps = plans[code]
        for size, form in steps:
            at += size
            if form:
                at = _behind(form, data, at, sizes)
        yield Passed(offset, tag, has_children, attributes)


def _plan(
    declaration: AbbrevDecl, sizes: dict[str, int]
) -> tuple[str, bool, frozenset[str], list[tuple[int, str]]]:
    """What `walk` tells of entries of a kind, and the way past one: bytes to skip, then a form ("": none)."""
    specs = declaration["attr_spec"]
    steps: list[tuple[int, str]] = []
    size = 0
    for spec in specs:
        if spec.form in sizes:
            size += sizes[spec.form]
        else:
            steps.append((size, spec.form))
            size = 0
    names = frozenset(spec.name for spec in specs)
    return declaration["tag"], declaration.has_children(), names, [*steps, (size, "")]


def _behind(form: str, data: bytes, at: int, sizes: dict[str, int]) -> int:
    """Where a value ends that begins at `at`, of a form that has no size of its own."""
    if form in sizes:
        return at + sizes[form]
    if form == "DW_FORM_string":
        return data.index(0, at) + 1
    if form in _NUMBERS:
        return unsigned(data, at)[1]
    if form == "DW_FORM_indirect":
        number, at = unsigned(data, at)
        return _behind(_FORMS[number], data, at, sizes)
    width = _BLOCKS[form]
    size, at = (int.from_bytes(data[at : at + width], "little"), at + width) if width else unsigned(data, at)
    return at + size


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, end = unsigned(data, at)
    return value - (1 << 7 * (end - at)) if data[end - 1] & 0x40 else value, end
