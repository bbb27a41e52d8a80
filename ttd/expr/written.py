"""Types written out, as gdb's ptype does.

May import `ttd.debuginfo.types`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttd.debuginfo.readable import readable_name
from ttd.debuginfo.types import (
    AggregateType,
    AliasType,
    ArrayType,
    EnumType,
    Language,
    Member,
    PointerType,
    QualifiedType,
    Type,
)

MOST_MEMBERS = 1000
"""Members of a type that are written out."""


def describe_type(type_: Type) -> str:
    """A type written out as gdb's ptype does: typedefs resolved, members one to a line."""
    core, wrap = _unwrapped(type_)
    if isinstance(core, AggregateType):
        if core.size is None:
            return f"{core.name} {{<incomplete type>}}" if core is type_ else f"{type_} (incomplete)"
        return wrap.around(_written_out(core))
    if isinstance(core, EnumType):
        return wrap.around(_enum_written_out(core))
    return type_.strip().name if isinstance(type_, AliasType | QualifiedType) else type_.name


@dataclass(frozen=True)
class _Wrap:
    """What stands about a written-out type: ``const`` before it; ``*``, ``[3]`` behind it."""

    prefix: str
    suffix: str

    def around(self, text: str) -> str:
        return self.prefix + text + self.suffix


def _unwrapped(type_: Type) -> tuple[Type, _Wrap]:
    suffix = ""
    current = type_
    for _ in range(64):
        core = current.strip()
        if isinstance(core, PointerType):
            suffix, current = core.symbol + suffix, core.target
        elif isinstance(core, ArrayType):
            suffix, current = f"{suffix}[{'' if core.count is None else core.count}]", core.element
        else:
            break
    return current.strip(), _Wrap(_qualifiers(current), " " + suffix if suffix else "")


def _qualifiers(type_: Type) -> str:
    """``const `` and the like of the type itself, behind typedefs too."""
    found = ""
    while isinstance(type_, AliasType | QualifiedType):
        if isinstance(type_, QualifiedType):
            found += f"{type_.qualifier} "
        type_ = type_.target
    return found


def _class_name(type_: Type) -> str:
    """The name of a base class, without its ``struct``."""
    stripped = type_.strip()
    return readable_name(stripped.tag) if isinstance(stripped, AggregateType) and stripped.tag else type_.name


def _written_out(type_: AggregateType) -> str:
    if type_.language is Language.RUST:
        return _rust_written_out(type_)
    lines = [aggregate_head(type_)]
    shown = [member for member in type_.members if not member.is_base and not member.is_hidden]
    lines += [f"    {_member_written_out(member)};" for member in shown[:MOST_MEMBERS]]
    if len(shown) > MOST_MEMBERS:
        lines.append(f"    … ({len(shown) - MOST_MEMBERS} more)")
    lines += [
        f"    static {member.type.declare(member.name)};"
        for member in type_.contents.statics
        if not member.is_hidden
    ]
    if len(lines) == 1:
        lines.append("    <no data fields>")
    return "\n".join([*lines, "}"])


def aggregate_head(type_: AggregateType) -> str:
    """The line with which a C or C++ type begins: ``class zoo::Duck : zoo::Bird {``."""
    bases = ", ".join(
        ("virtual " if member.virtual_offset is not None else "") + _class_name(member.type)
        for member in type_.members
        if member.is_base
    )
    name = readable_name(type_.tag)
    return f"{type_.kind.value} {name}".rstrip() + (f" : {bases} {{" if bases else " {")


def member_declaration(member: Member) -> str:
    """``int small : 3``"""
    bits = f" : {member.bit_size}" if member.bit_size is not None else ""
    return member.type.declare(member.name) + bits


def _member_written_out(member: Member) -> str:
    inner = member.type.strip()
    if not member.name and isinstance(inner, AggregateType) and not inner.tag:
        return _written_out(inner).replace("\n", "\n    ")
    return member_declaration(member)


def _rust_written_out(type_: AggregateType) -> str:
    """A struct or enum as Rust declares it."""
    name = readable_name(type_.tag)
    if not type_.contents.variants:
        return f"struct {name} {_rust_fields(type_, chr(10))}".replace(" (", "(", 1)
    lines = []
    for variant in type_.contents.variants:
        inner = variant.member.type.strip()
        fields = _rust_fields(inner, "") if isinstance(inner, AggregateType) and inner.members else ""
        lines.append(
            f"    {variant.member.name}{'' if fields.startswith('(') or not fields else ' '}{fields},"
        )
    return "\n".join([f"enum {name} {{", *lines, "}"])


def _rust_fields(type_: AggregateType, separator: str) -> str:
    """The fields in braces, on lines of their own if `separator` ends a line; unnamed ones in parentheses."""
    members = type_.members[:MOST_MEMBERS]
    if members and all(member.name.startswith("__") for member in members):
        ordered = sorted(members, key=lambda member: (len(member.name), member.name))
        return f"({', '.join(member.type.name for member in ordered)})"
    fields = [f"{member.name}: {member.type.name}" for member in members]
    if separator:
        return "{\n" + "".join(f"    {text},\n" for text in fields) + "}"
    return f"{{{', '.join(fields)}}}"


def _enum_written_out(type_: EnumType) -> str:
    parts, expected = [], 0
    for name, value in type_.enumerators:
        parts.append(name if value == expected else f"{name} = {value}")
        expected = value + 1
    word, underlying = ("enum class", f" : {type_.underlying}") if type_.underlying else ("enum", "")
    return f"{word} {readable_name(type_.tag)}".rstrip() + underlying + " {" + ", ".join(parts) + "}"
