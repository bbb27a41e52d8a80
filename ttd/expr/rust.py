"""Rust's values: structs, tuples and enums as its ``{:?}`` writes them, and pretty printers for its library.

The library's types wrap pointers in several layers, which differ from release to release; so a pointer is
found as the first one inside, and the element's type is the one that the type was made with.

May import base, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

from dataclasses import replace

from ttd.debuginfo.types import AggregateType, BaseType, Encoding, Language, PointerType, Type
from ttd.errors import ExpressionError
from ttd.expr.libcxx import array_at, sequence_at
from ttd.expr.values import TypedValue
from ttd.expr.views import OwnerView, RecordView, Registry, TextView, View

RUST = Registry()
MOST_LAYERS = 8
_CHARACTER = BaseType("u8", 1, Encoding.UNSIGNED_CHAR)
"""A byte of a string: Rust's own u8 counts as a number."""


def _pointer_in(value: TypedValue, layers: int = MOST_LAYERS) -> TypedValue:
    """The first pointer inside `value`; raises ExpressionError if there is none."""
    if isinstance(value.type.strip(), PointerType):
        return value
    aggregate = value.aggregate()
    for member in aggregate.members if aggregate is not None and layers else ():
        try:
            return _pointer_in(value.member_at(member), layers - 1)
        except ExpressionError:
            continue
    raise ExpressionError("no pointer where one is expected")


def _element(value: TypedValue) -> Type:
    aggregate = value.aggregate()
    template = aggregate.contents.template if aggregate is not None else ()
    if not template:
        raise ExpressionError("a type without known parameters")
    return template[0][1]


@RUST.printer(r"alloc::string::String")
def _string(value: TypedValue) -> View:
    vector = value.member("vec")
    return TextView(array_at(_pointer_in(vector), vector.member("len").as_int(), _CHARACTER))


@RUST.printer(r"alloc::vec::Vec")
def _vector(value: TypedValue) -> View:
    return sequence_at(
        _pointer_in(value.member("buf")), value.member("len").as_int(), _element(value), brackets="[]"
    )


@RUST.printer(r"&(mut )?str|alloc::(boxed::Box|rc::Rc|sync::Arc)")
def _text(value: TypedValue) -> View | None:
    aggregate = value.aggregate()
    if aggregate is None or not aggregate.find("length") or not aggregate.tag.endswith(("str", "<str>")):
        return None
    return TextView(array_at(value.member("data_ptr"), value.member("length").as_int(), _CHARACTER))


@RUST.printer(r"&(mut )?\[.*|alloc::(boxed::Box|rc::Rc|sync::Arc)")
def _slice(value: TypedValue) -> View | None:
    aggregate = value.aggregate()
    if aggregate is None or not aggregate.find("length"):
        return None
    data = value.member("data_ptr")
    target = data.type.strip()
    if not isinstance(target, PointerType):
        return None
    return sequence_at(data, value.member("length").as_int(), target.target, brackets="[]")


@RUST.printer(r"alloc::(rc::Rc|sync::Arc)")
def _counted(value: TypedValue) -> View | None:
    """A pointer to counters with the value behind them."""
    box = _pointer_in(value)
    content = box.dereference().member("value" if "::rc::" in value.type.name else "data")
    if content.address is None:
        return None
    pointer = PointerType(content.type, box.size)
    return OwnerView(
        TypedValue.of_bytes(pointer, content.address.to_bytes(box.size, "little"), value.context)
    )


@RUST.printer(r"core::cell::(Cell|RefCell|UnsafeCell)")
def _cell(value: TypedValue) -> View:
    aggregate = value.aggregate()
    name = aggregate.tag.partition("<")[0].rpartition("::")[2] if aggregate is not None else ""
    inner = value.member("value")
    while (inside := inner.aggregate()) is not None and inside.tag.startswith("core::cell::UnsafeCell<"):
        inner = inner.member("value")
    return RecordView(name, (("", inner),))


# --- the language ---


def plain_view(value: TypedValue, aggregate: AggregateType) -> View | None:
    """A struct, tuple or enum of Rust's; None for what is no Rust."""
    if aggregate.language is not Language.RUST:
        return None
    if aggregate.contents.variants:
        chosen = _chosen(value, aggregate)
        inside = chosen.aggregate()
        if inside is None:
            return None
        return _record(chosen, inside, _variant_name(inside.tag))
    name = "" if aggregate.tag.startswith("(") else aggregate.tag.partition("<")[0].rpartition("::")[2]
    return _record(value, aggregate, name)


def _variant_name(tag: str) -> str:
    """``Some`` of ``core::option::Option<a::B>::Some``."""
    return tag.rpartition("::")[2]


def _record(value: TypedValue, aggregate: AggregateType, name: str) -> View:
    members = [member for member in aggregate.members if member.type.size]
    if all(member.name.removeprefix("__").isdigit() for member in members):
        members.sort(key=lambda member: int(member.name.removeprefix("__")))
        members = [replace(member, name="") for member in members]
    fields = tuple((member.name, value.member_at(member)) for member in members)
    return RecordView(name or ("" if fields else "()"), fields)


def _chosen(value: TypedValue, aggregate: AggregateType) -> TypedValue:
    """The variant that a Rust enum is now; raises ExpressionError if it is none."""
    contents = aggregate.contents
    data = value.member_at(contents.discriminant).data if contents.discriminant is not None else b""
    number, mask = int.from_bytes(data, "little"), (1 << 8 * len(data)) - 1
    otherwise = None
    for variant in contents.variants:
        if any(first & mask <= number <= last & mask for first, last in variant.values):
            return value.member_at(variant.member)
        if not variant.values:
            otherwise = variant
    if otherwise is None:
        raise ExpressionError(f"{number} is no form of {aggregate}: it is not initialised")
    return value.member_at(otherwise.member)
