"""Types written out with the place of each member, as gdb's ptype/o does.

May import `ttd.debuginfo.types` and `written`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ttd.debuginfo.types import AggregateKind, AggregateType, Member, Type
from ttd.expr.written import MOST_MEMBERS, aggregate_head, describe_type, member_declaration

_WIDTH = 29
"""Characters of the column with offsets and sizes."""
_INDENT = "    "


def describe_layout(type_: Type) -> str:
    """A struct, union or class with the offset and size of each member, and the holes between them.

    Offsets count from the begin of the outermost type, also inside anonymous members. Of other types, what
    `describe_type` says.
    """
    core = type_.strip()
    if not isinstance(core, AggregateType) or core.size is None:
        return describe_type(type_)
    return "\n".join(["/* offset      |    size */  " + aggregate_head(core), *_body(core, 0, 1)])


def _body(type_: AggregateType, base: int, depth: int) -> Iterator[str]:
    end = 0  # in bits, from the begin of `type_`
    for member in type_.members[:MOST_MEMBERS]:
        start, size = _extent(member)
        if type_.kind is not AggregateKind.UNION:
            yield from _hole(end, start, depth)
            end = max(end, start + size)
        yield from _member(member, base, depth)
    if len(type_.members) > MOST_MEMBERS:
        yield f"{'':{_WIDTH}}{_INDENT * depth}… ({len(type_.members) - MOST_MEMBERS} more)"
    elif type_.kind is not AggregateKind.UNION and type_.members:
        yield from _hole(end, 8 * (type_.size or 0), depth, "padding")
    yield f"{'':{_WIDTH}}{_INDENT * depth}/* total size: {type_.size or 0:4} bytes */"
    yield f"{'':{_WIDTH}}{_INDENT * (depth - 1)}}}"


def _extent(member: Member) -> tuple[int, int]:
    """First bit and number of bits."""
    start = 8 * member.offset + member.bit_offset
    return start, member.bit_size if member.bit_size is not None else 8 * (member.type.size or 0)


def _hole(end: int, start: int, depth: int, what: str = "hole") -> Iterator[str]:
    bits = start - end
    if bits > 0:
        size = f"{bits // 8}-byte" if bits % 8 == 0 else f"{bits}-bit"
        yield f"{f'/* XXX {size} {what}':{_WIDTH - 4}}*/"


def _member(member: Member, base: int, depth: int) -> Iterator[str]:
    offset = base + member.offset
    inner = member.type.strip()
    is_anonymous = not member.name and isinstance(inner, AggregateType) and not inner.tag
    bits = ""
    if member.bit_size is not None:
        offset, bits = offset + member.bit_offset // 8, f":{member.bit_offset % 8:2}"
    column = f"/* {offset:>6}{bits:6}| {member.type.size or 0:7} */"
    if is_anonymous and isinstance(inner, AggregateType):
        yield f"{column:{_WIDTH}}{_INDENT * depth}{aggregate_head(inner)}"
        *lines, last = _body(inner, base + member.offset, depth + 1)
        yield from lines
        yield f"{last};"
        return
    text = f"<{member.type}>" if member.is_base else f"{member_declaration(member)};"
    yield f"{column:{_WIDTH}}{_INDENT * depth}{text}"
