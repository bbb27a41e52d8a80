"""Pretty printers: what a value of a library's type means to a reader, apart from how that is written.

A printer is a function from a value to a view, entered in a table by the name of the type. `format` writes
views; `evaluate` indexes and follows them, so that ``v[2]`` and ``*owner`` work where no function can be
called. A view reads memory when it is made and when its elements are asked for; either may raise
ExpressionError, and then that is what the value shows as.

May import base, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ttd.errors import ExpressionError
from ttd.expr.values import TypedValue


@dataclass(frozen=True, slots=True)
class TextView:
    """A string: `characters` is an array of its characters."""

    characters: TypedValue


@dataclass(frozen=True, slots=True)
class SequenceView:
    """Elements in a row."""

    count: int
    elements: Callable[[], Iterator[TypedValue]]
    brackets: str = "{}"
    array: TypedValue | None = None
    """The elements as an array, where they lie side by side in memory."""

    def at(self, index: int) -> TypedValue:
        """Element number `index`, counted from 0; raises ExpressionError if there is none."""
        if not 0 <= index < self.count:
            raise ExpressionError(f"index {index} is out of bounds: there are {self.count} elements")
        for number, element in enumerate(self.elements()):
            if number == index:
                return element
        raise ExpressionError(f"element {index} cannot be reached")


@dataclass(frozen=True, slots=True)
class MappingView:
    """Pairs of key and value."""

    count: int
    pairs: Callable[[], Iterator[tuple[TypedValue, TypedValue]]]


@dataclass(frozen=True, slots=True)
class OwnerView:
    """A smart pointer: shows as the address with what it owns."""

    pointer: TypedValue


@dataclass(frozen=True, slots=True)
class RecordView:
    """A name before fields: ``std::optional(5)``, ``None``, ``Point {x: 1, y: 2}``.

    Without labels the fields stand in parentheses; without fields the name stands alone.
    """

    name: str
    fields: tuple[tuple[str, TypedValue], ...] = ()


View: TypeAlias = "TextView | SequenceView | MappingView | OwnerView | RecordView"
Printer: TypeAlias = "Callable[[TypedValue], View | None]"


class Registry:
    """Printers by the name of the type, without its template parameters."""

    def __init__(self) -> None:
        self._rows: list[tuple[re.Pattern[str], Printer]] = []

    def printer(self, pattern: str) -> Callable[[Printer], Printer]:
        """Enter the decorated function for types whose name, up to its first ``<``, is all of `pattern`."""

        def enter(printer: Printer) -> Printer:
            self._rows.append((re.compile(pattern), printer))
            return printer

        return enter

    def view(self, value: TypedValue, tag: str) -> View | None:
        """What the first printer for types called `tag` that has something to say makes of `value`."""
        head = tag.partition("<")[0]
        for pattern, printer in self._rows:
            if pattern.fullmatch(head) and (view := printer(value)) is not None:
                return view
        return None
