"""The values that were printed: ``$1``, ``$2`` …, ``$`` the last, ``$$`` the one before.

A value is kept with its bytes, so that it stays what it was when the program has moved on. What it points at
is read where the program stands then.

May import `ttd.errors` and this package's values.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ttd.errors import ExpressionError

if TYPE_CHECKING:
    from ttd.expr.values import Context, TypedValue

MOST_KEPT = 1 << 20
"""Bytes of a value that is kept."""


class ValueHistory:
    """The printed values, numbered from 1."""

    def __init__(self) -> None:
        self._values: list[TypedValue] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: TypedValue) -> int:
        """Keep a value as it is now. Returns its number."""
        self._values.append(_kept(value))
        return len(self._values)

    def recall(self, name: str, context: Context) -> TypedValue | None:
        """What ``$name`` stands for if that is a place in the history, else None.

        Raises ExpressionError for a place that there is not.
        """
        match = re.fullmatch(r"(\$?)(\d{0,9})", name)
        if match is None:
            return None
        number = int(match[2]) if match[2] else None
        if match[1]:
            number = len(self) - (1 if number is None else number)
        elif number is None:
            number = len(self)
        if not self._values:
            raise ExpressionError("there are no values yet; 'print' numbers what it shows")
        if not 1 <= number <= len(self):
            raise ExpressionError(
                f"there is no value {number}: they are numbered from 1 to {len(self)} "
                "(WebAssembly locals are $local0 …)"
            )
        return replace(self._values[number - 1], context=context)


def _kept(value: TypedValue) -> TypedValue:
    from ttd.expr.values import LocalsType

    if isinstance(value.type, LocalsType):
        fields = tuple((name, _kept(each)) for name, each in value.type.fields)
        return replace(value, type=LocalsType(fields))
    if value.function is not None or value.unavailable:
        return value
    try:
        return _with_bytes(value)
    except ExpressionError as error:
        return replace(value, address=None, immediate=None, unavailable=f"not kept: {error}")


def _with_bytes(value: TypedValue) -> TypedValue:
    if value.type.size == 0:
        data = b""
    elif value.size > MOST_KEPT:
        raise ExpressionError(f"it has more than {MOST_KEPT} bytes")
    else:
        data = value.data
    return replace(value, address=None, immediate=data, bit_size=None, bit_offset=0, in_frame=False)
