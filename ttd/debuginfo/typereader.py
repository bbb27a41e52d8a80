"""From DWARF type entries to `types.Type` (DWARF 5, chapter 5).

Every kind but aggregates is read at once, with what it refers to; the members of an aggregate are read when
they are first asked for. A chain of references that comes back to itself, or is unreasonably long, can only
be damage and becomes an `UnknownType`.

May import base and pyelftools.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from ttd.debuginfo.types import (
    VOID,
    AggregateKind,
    AggregateType,
    AliasType,
    ArrayType,
    BaseType,
    Contents,
    Encoding,
    EnumType,
    FunctionType,
    Language,
    Member,
    MemberPointerType,
    PointerType,
    QualifiedType,
    Type,
    UnknownType,
    Variant,
)
from ttd.debuginfo.units import Entry, Units, number_of, qualified_name, text_of

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarf_expr import DWARFExprOp

MAX_CHAIN = 64
"""References from type to type that are followed: C code does not declare pointers to pointers this deep."""
MAX_MEMBERS = 100_000
MAX_DIMENSIONS = 16

_ENCODINGS = {
    0x02: Encoding.BOOLEAN,
    0x03: Encoding.COMPLEX,
    0x04: Encoding.FLOAT,
    0x05: Encoding.SIGNED,
    0x06: Encoding.SIGNED_CHAR,
    0x07: Encoding.UNSIGNED,
    0x08: Encoding.UNSIGNED_CHAR,
    0x10: Encoding.UTF,
}

_QUALIFIERS = {
    "DW_TAG_const_type": "const",
    "DW_TAG_volatile_type": "volatile",
    "DW_TAG_restrict_type": "restrict",
    "DW_TAG_atomic_type": "_Atomic",
}

_POINTERS = {
    "DW_TAG_pointer_type": "*",
    "DW_TAG_reference_type": "&",
    "DW_TAG_rvalue_reference_type": "&&",
}

_AGGREGATES = {
    "DW_TAG_structure_type": AggregateKind.STRUCT,
    "DW_TAG_union_type": AggregateKind.UNION,
    "DW_TAG_class_type": AggregateKind.CLASS,
}

_FIELDS = ("DW_TAG_member", "DW_TAG_inheritance", "DW_TAG_variable")
"""What an aggregate has; a variable is a static member, by DWARF 5."""

_LANGUAGES = {
    **dict.fromkeys((0x04, 0x1A, 0x21, 0x2B, 0x3A), Language.CPP),
    0x1C: Language.RUST,
}
"""DW_LANG_C_plus_plus, _03 … _23, DW_LANG_Rust; everything else is written as C."""

_REFERENCES = ("DW_FORM_ref1", "DW_FORM_ref2", "DW_FORM_ref4", "DW_FORM_ref8", "DW_FORM_ref_udata")


class TypeReader:
    """Reads types, one object for each entry."""

    def __init__(self, units: Units, pointer_size: int) -> None:
        self._units = units
        self._pointer_size = pointer_size
        self._types: dict[int, Type] = {}

    def type_of(self, entry: Entry) -> Type:
        """The type that `entry` (a variable, member, function …) is of; void where it says nothing."""
        return self._target(entry, ())

    def read(self, entry: Entry) -> Type:
        """The type that `entry` describes."""
        return self._read(entry, ())

    def referred(self, entry: Entry, attribute: str) -> Entry | None:
        """The entry that a reference attribute leads to, in whatever unit; None if it leads nowhere."""
        value = entry.die.attributes.get(attribute)
        if value is None or type(value.raw_value) is not int:
            return None
        if value.form in _REFERENCES:
            offset = entry.die.cu.cu_offset + value.raw_value
        elif value.form == "DW_FORM_ref_addr":
            offset = value.raw_value
        else:
            return None
        unit = self._units.unit_containing(offset)
        return unit.index.entries.get(offset) if unit is not None else None

    def _target(self, entry: Entry, chain: tuple[int, ...]) -> Type:
        if "DW_AT_type" not in entry.die.attributes:
            origin = self.referred(entry, "DW_AT_abstract_origin") or self.referred(
                entry, "DW_AT_specification"
            )
            if origin is not None and len(chain) < MAX_CHAIN:
                return self._target(origin, (*chain, origin.die.offset))
            return VOID
        target = self.referred(entry, "DW_AT_type")
        return self._read(target, chain) if target is not None else UnknownType("missing type")

    def _read(self, entry: Entry, chain: tuple[int, ...]) -> Type:
        offset = entry.die.offset
        known = self._types.get(offset)
        if known is not None:
            return known
        if offset in chain or len(chain) >= MAX_CHAIN:
            return UnknownType("circular type")
        damaged: Type = UnknownType("damaged type")
        type_ = self._units.problems.attempt(
            f"type at {offset:#x}", lambda: self._make(entry, (*chain, offset)), damaged
        )
        self._types[offset] = type_
        return type_

    def _make(self, entry: Entry, chain: tuple[int, ...]) -> Type:
        tag, die = entry.tag, entry.die
        if tag == "DW_TAG_base_type":
            return _base_type(die)
        if tag == "DW_TAG_typedef":
            return AliasType(qualified_name(entry), self._target(entry, chain))
        if tag in _POINTERS:
            size = number_of(die, "DW_AT_byte_size") or self._pointer_size
            label = text_of(die, "DW_AT_name") if _language(entry) is Language.RUST else ""
            return PointerType(self._target(entry, chain), size, _POINTERS[tag], label)
        if tag == "DW_TAG_ptr_to_member_type":
            return self._member_pointer(entry, chain)
        if tag in _QUALIFIERS:
            return QualifiedType(_QUALIFIERS[tag], self._target(entry, chain))
        if tag in _AGGREGATES:
            return self._aggregate(entry)
        if tag == "DW_TAG_array_type":
            return self._array(entry, chain)
        if tag == "DW_TAG_enumeration_type":
            return self._enumeration(entry, chain)
        if tag in ("DW_TAG_subroutine_type", "DW_TAG_subprogram"):
            return self._function(entry, chain)
        if tag == "DW_TAG_unspecified_type":
            if text_of(die, "DW_AT_name") == "decltype(nullptr)":
                return PointerType(VOID, self._pointer_size, label="std::nullptr_t")
            return UnknownType(text_of(die, "DW_AT_name") or "unspecified type")
        return UnknownType(f"{tag.removeprefix('DW_TAG_').replace('_', ' ')}")

    def _aggregate(self, entry: Entry) -> Type:
        size = (
            None if "DW_AT_declaration" in entry.die.attributes else number_of(entry.die, "DW_AT_byte_size")
        )
        name = qualified_name(entry) if "DW_AT_name" in entry.die.attributes else ""
        return AggregateType(
            _AGGREGATES[entry.tag], name, size, lambda: self._contents(entry), _language(entry)
        )

    def _contents(self, entry: Entry) -> Contents:
        fields = [child for child in entry.children[:MAX_MEMBERS] if child.tag in _FIELDS]
        part = next((child for child in entry.children if child.tag == "DW_TAG_variant_part"), None)
        return Contents(
            self._members(child for child in fields if not _is_static(child)),
            self._members(child for child in fields if _is_static(child)),
            tuple(
                (text_of(child.die, "DW_AT_name"), self.type_of(child))
                for child in entry.children
                if child.tag == "DW_TAG_template_type_param"
            ),
            self._discriminant(part) if part is not None else None,
            tuple(self._variants(part)) if part is not None else (),
        )

    def _discriminant(self, part: Entry) -> Member | None:
        entry = self.referred(part, "DW_AT_discr")
        return next(iter(self._members([entry])), None) if entry is not None else None

    def _variants(self, part: Entry) -> Iterator[Variant]:
        for child in part.children[:MAX_MEMBERS]:
            if child.tag == "DW_TAG_variant":
                for member in self._members(child.children[:1]):
                    yield Variant(member, _discriminant_values(child.die))

    def _members(self, entries: Iterable[Entry]) -> tuple[Member, ...]:
        members: list[Member] = []
        for entry in entries:
            member = self._units.problems.attempt(
                f"member at {entry.die.offset:#x}", partial(self._try_member, entry), None
            )
            if member is not None:
                members.append(member)
        return tuple(members)

    def _try_member(self, entry: Entry) -> Member | None:
        return self._member(entry)

    def _member(self, entry: Entry) -> Member:
        die = entry.die
        is_base = entry.tag == "DW_TAG_inheritance"
        type_ = self.type_of(entry)
        name = type_.name if is_base else text_of(die, "DW_AT_name")
        if number_of(die, "DW_AT_virtuality"):
            return Member(name, type_, 0, is_base=is_base, virtual_offset=_virtual_offset(die))
        if _is_static(entry):
            return Member(name, type_, 0, constant=number_of(die, "DW_AT_const_value"))
        offset = _member_offset(die)
        bit_size = number_of(die, "DW_AT_bit_size")
        if bit_size is None:
            return Member(name, type_, offset, is_base=is_base)
        first_bit = _first_bit(die, offset, type_.size or 4, bit_size)
        return Member(name, type_, max(first_bit, 0) // 8, bit_size, max(first_bit, 0) % 8)

    def _member_pointer(self, entry: Entry, chain: tuple[int, ...]) -> Type:
        owner = self.referred(entry, "DW_AT_containing_type")
        if owner is None:
            return UnknownType("pointer to a member of nothing")
        return MemberPointerType(self._read(owner, chain), self._target(entry, chain), self._pointer_size)

    def _array(self, entry: Entry, chain: tuple[int, ...]) -> Type:
        type_ = self._target(entry, chain)
        dimensions = [child for child in entry.children if child.tag == "DW_TAG_subrange_type"]
        if "DW_AT_GNU_vector" in entry.die.attributes and not dimensions:
            return UnknownType("vector")
        for dimension in reversed(dimensions[:MAX_DIMENSIONS]):
            holder = self.referred(dimension, "DW_AT_count") or self.referred(dimension, "DW_AT_upper_bound")
            if holder is not None:
                type_ = ArrayType(type_, None, holder.die.offset)
            else:
                type_ = ArrayType(type_, _count(dimension.die))
        return type_ if dimensions else ArrayType(type_, None)

    def _enumeration(self, entry: Entry, chain: tuple[int, ...]) -> Type:
        underlying = self._target(entry, chain).strip()
        size = number_of(entry.die, "DW_AT_byte_size") or underlying.size or 4
        enumerators = [
            (text_of(child.die, "DW_AT_name"), number_of(child.die, "DW_AT_const_value") or 0)
            for child in entry.children[:MAX_MEMBERS]
            if child.tag == "DW_TAG_enumerator"
        ]
        if isinstance(underlying, BaseType):
            signed = underlying.is_signed
        else:
            signed = any(value < 0 for _, value in enumerators)
        name = qualified_name(entry) if "DW_AT_name" in entry.die.attributes else ""
        is_scoped = "DW_AT_enum_class" in entry.die.attributes and _language(entry) is Language.CPP
        return EnumType(
            name,
            min(size, 16),
            signed,
            tuple(enumerators),
            _language(entry),
            underlying.name if is_scoped else "",
        )

    def _function(self, entry: Entry, chain: tuple[int, ...]) -> Type:
        result = self._target(entry, chain)
        parameters = [child for child in entry.children[:1000] if child.tag == "DW_TAG_formal_parameter"]
        variadic = any(child.tag == "DW_TAG_unspecified_parameters" for child in entry.children)
        if not parameters and "DW_AT_prototyped" not in entry.die.attributes:
            return FunctionType(result, None)
        return FunctionType(result, tuple(self._target(child, chain) for child in parameters), variadic)


def _base_type(die: DIE) -> Type:
    encoding = _ENCODINGS.get(number_of(die, "DW_AT_encoding") or 0, Encoding.UNKNOWN)
    size = number_of(die, "DW_AT_byte_size") or 0
    name = text_of(die, "DW_AT_name") or "?"
    if not 0 < size <= 64:
        return UnknownType(f"{name} of {size} bytes")
    return BaseType(name, size, encoding)


def _language(entry: Entry) -> Language:
    return _LANGUAGES.get(number_of(entry.die.cu.get_top_DIE(), "DW_AT_language") or 0, Language.C)


def _is_static(entry: Entry) -> bool:
    """C++: a static member is a global, not part of the object."""
    return "DW_AT_external" in entry.die.attributes or "DW_AT_declaration" in entry.die.attributes


def _discriminant_values(die: DIE) -> tuple[tuple[int, int], ...]:
    """DW_AT_discr_value: the values that mean a variant (DWARF 5, 5.7.10); none for the variant that is meant
    otherwise. Lists of ranges (DW_AT_discr_list) are not written by any compiler known."""
    value = number_of(die, "DW_AT_discr_value")
    return () if value is None else ((value, value),)


def _virtual_offset(die: DIE) -> int:
    """How far before the vtable's address the offset of a virtual base stands, as clang and gcc write it:
    dup, deref, constu N, minus, deref, plus (Itanium C++ ABI, 2.5.2)."""
    operations = _operations(die)
    names = [operation.op_name.removeprefix("DW_OP_") for operation in operations]
    if names[:2] != ["dup", "deref"] or names[3:] != ["minus", "deref", "plus"]:
        raise ValueError("a virtual base in an unknown place")
    return int(operations[2].args[0]) if operations[2].args else int(names[2].removeprefix("lit"))


def _operations(die: DIE) -> list[DWARFExprOp]:
    from elftools.dwarf.dwarf_expr import DWARFExprParser

    block = die.attributes["DW_AT_data_member_location"]
    return list(DWARFExprParser(die.cu.structs).parse_expr(block.value))


def _member_offset(die: DIE) -> int:
    offset = number_of(die, "DW_AT_data_member_location")
    if offset is not None:
        return offset
    if "DW_AT_data_member_location" not in die.attributes:
        return 0
    operations = _operations(die)  # DWARF 2 wrote plus_uconst here
    if len(operations) != 1 or operations[0].op_name != "DW_OP_plus_uconst":
        raise ValueError("computed member offset")
    return int(operations[0].args[0])


def _first_bit(die: DIE, offset: int, type_size: int, bit_size: int) -> int:
    """Number of a bit field's least significant bit, from the start of the aggregate (little-endian).

    Up to DWARF 3, and still by clang for DWARF 4, the offset counts from the most significant bit of the
    storage unit (DWARF 3, 5.6.6); later from the start of the aggregate (DWARF 5, 5.7.6).
    """
    data_bit_offset = number_of(die, "DW_AT_data_bit_offset")
    if data_bit_offset is not None:
        return data_bit_offset
    old = number_of(die, "DW_AT_bit_offset")
    if old is None:
        return offset * 8
    storage = number_of(die, "DW_AT_byte_size") or type_size
    return offset * 8 + storage * 8 - old - bit_size


def _count(die: DIE) -> int | None:
    """Elements of one dimension; None where it is not a constant."""
    count = number_of(die, "DW_AT_count")
    if count is None:
        upper = number_of(die, "DW_AT_upper_bound")
        if upper is None:
            return None
        count = upper + 1 - (number_of(die, "DW_AT_lower_bound") or 0)
    return count if 0 <= count < 1 << 48 else None
