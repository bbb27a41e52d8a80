"""Which pretty printer is for what.

May import `ttd.debuginfo` and this package.
"""

from __future__ import annotations

from ttd.debuginfo.types import Language, PointerType
from ttd.errors import ExpressionError
from ttd.expr.libcxx import LIBCXX
from ttd.expr.rust import RUST, plain_view
from ttd.expr.values import TypedValue
from ttd.expr.views import OwnerView, SequenceView, View

_FOLLOWED = ("alloc::boxed::Box<", "&")
"""Rust's pointers that always point at something."""


def view_of(value: TypedValue) -> View | None:
    """How a reader wants `value`; None for the plain way.

    ExpressionError where it cannot be read, which may be because it is not made yet.
    """
    if value.unavailable:
        return None
    stripped = value.type.strip()
    if isinstance(stripped, PointerType):
        return OwnerView(value) if stripped.label.startswith(_FOLLOWED) else None
    aggregate = value.aggregate()
    if aggregate is None or aggregate.size is None:
        return None
    if aggregate.language is Language.CPP:
        return LIBCXX.view(value, aggregate.tag)
    if aggregate.language is Language.RUST:
        return RUST.view(value, aggregate.tag) or plain_view(value, aggregate)
    return None


def element_of(value: TypedValue, index: TypedValue) -> TypedValue | None:
    """Element `index` of a container; None for what is none; ExpressionError where there is no element."""
    view = view_of(value) if value.aggregate() is not None else None
    return view.at(index.as_int()) if isinstance(view, SequenceView) else None


def pointer_of(value: TypedValue) -> TypedValue | None:
    """The pointer in a smart pointer; None for what is none. ExpressionError where that is not available."""
    if value.aggregate() is None:
        return None
    if value.unavailable:
        raise ExpressionError(f"the value is not available: {value.unavailable}")
    try:
        view = view_of(value)
    except ExpressionError:
        return None
    return view.pointer if isinstance(view, OwnerView) else None
