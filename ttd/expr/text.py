"""Strings of the program compared with a text.

C cannot compare strings without a call, and a debugger of recordings cannot call. So ``==`` and ``!=`` with a
string literal compare the characters, as they do in C++ and Rust.

May import `ttd.debuginfo.types` and this package.
"""

from __future__ import annotations

from ttd.debuginfo.types import ArrayType, BaseType, PointerType, Type
from ttd.errors import ExpressionError
from ttd.expr.printers import view_of
from ttd.expr.values import TypedValue
from ttd.expr.views import TextView


def equals_text(value: TypedValue, text: bytes) -> bool:
    """Whether a string is `text`, which is UTF-8: an array or a pointer of characters, or a library's string.

    Those of C end with their first zero. Raises ExpressionError for what is no string, or cannot be read.
    """
    view = view_of(value)
    if isinstance(view, TextView):
        element = target_of_text(view.characters.type)
        return element is not None and view.characters.data == encoded(text, element.size or 1)
    element = target_of_text(value.type)
    if element is None:
        raise ExpressionError(f"a value of type {value.type} is no string")
    wanted = encoded(text, element.size or 1)
    end = bytes(element.size or 1)
    if isinstance(value.type.strip(), PointerType):
        return _starts_with(value, wanted + end)
    data = value.data
    return data == wanted or data.startswith(wanted + end)


def _starts_with(pointer: TypedValue, wanted: bytes) -> bool:
    address, context = pointer.as_int(), pointer.context
    context.read_memory(address, 1)
    try:
        return context.read_memory(address, len(wanted)) == wanted
    except ExpressionError:  # memory ends before such a string would
        return False


def target_of_text(type_: Type) -> BaseType | None:
    """The characters of a string in C's manner; None for the type of anything else."""
    stripped = type_.strip()
    target = stripped.target if isinstance(stripped, PointerType) else None
    if isinstance(stripped, ArrayType):
        target = stripped.element
    element = target.strip() if target is not None else None
    if not isinstance(element, BaseType) or element.size not in (1, 2, 4):
        return None
    is_wide = element.size != 1 and (element.is_character or "wchar_t" in str(target))
    return element if is_wide or (element.size == 1 and element.is_integer) else None


def encoded(text: bytes, size: int) -> bytes:
    """Text as characters of so many bytes."""
    if size == 1:
        return text
    return text.decode(errors="surrogateescape").encode(
        "utf-16-le" if size == 2 else "utf-32-le", "surrogatepass"
    )
