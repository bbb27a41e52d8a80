"""Instructions on tables and references. A table is a list of `Value`s; function references are indices.

May import base and `code`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from ttd.interpreter.code import Op, Registers, Trapped
from ttd.types import TrapKind, Value

TableElements: TypeAlias = "list[Value]"


def _check(end: int, size: int) -> None:
    if end > size:
        raise Trapped(TrapKind.TABLE_OUT_OF_BOUNDS)


def get(table: TableElements, a: int, then: int) -> Op:
    def op(r: Registers) -> int:
        _check(r[a] + 1, len(table))
        r[a] = cast(int, table[r[a]])
        return then

    return op


def set_(table: TableElements, a: int, then: int) -> Op:
    def op(r: Registers) -> int:
        _check(r[a] + 1, len(table))
        table[r[a]] = r[a + 1]
        return then

    return op


def size(table: TableElements, a: int, then: int) -> Op:
    def op(r: Registers) -> int:
        r[a] = len(table)
        return then

    return op


def grow(table: TableElements, limit: int, minus_one: int, a: int, then: int) -> Op:
    """Operands: the initial value and how many; the result is the old size or `minus_one`."""

    def op(r: Registers) -> int:
        value, count = r[a], r[a + 1]
        before = len(table)
        if before + count > limit:
            r[a] = minus_one
        else:
            table.extend([value] * count)
            r[a] = before
        return then

    return op


def fill(table: TableElements, a: int, then: int) -> Op:
    def op(r: Registers) -> int:
        index, value, count = r[a : a + 3]
        _check(index + count, len(table))
        table[index : index + count] = [value] * count
        return then

    return op


def copy(destination: TableElements, source: TableElements, a: int, then: int) -> Op:
    def op(r: Registers) -> int:
        to, from_, count = r[a : a + 3]
        _check(to + count, len(destination))
        _check(from_ + count, len(source))
        destination[to : to + count] = source[from_ : from_ + count]
        return then

    return op


def init(table: TableElements, segment: Callable[[], list[Value]], a: int, then: int) -> Op:
    """`segment` gives what is left of the element segment: nothing once it was dropped."""

    def op(r: Registers) -> int:
        to, from_, count = r[a : a + 3]
        items = segment()
        _check(to + count, len(table))
        _check(from_ + count, len(items))
        table[to : to + count] = items[from_ : from_ + count]
        return then

    return op
