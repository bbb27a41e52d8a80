"""The types of the source language, as values: what DWARF type entries are turned into.

Types are immutable. Aggregates refer to their members lazily, because C types are recursive; everything
else is a finite tree, and the reader sees to it that damaged information cannot make it anything else.
A type's identity is its object: the reader makes one object for each debugging entry.

May import base only.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property


class Encoding(enum.Enum):
    """How the bytes of a base type are to be read (DWARF 5, 7.8: DW_ATE)."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    SIGNED_CHAR = "signed char"
    UNSIGNED_CHAR = "unsigned char"
    UTF = "UTF"
    BOOLEAN = "boolean"
    FLOAT = "float"
    COMPLEX = "complex float"
    UNKNOWN = "unknown"


class AggregateKind(enum.Enum):
    """What introduces an aggregate in its source."""

    STRUCT = "struct"
    UNION = "union"
    CLASS = "class"


@dataclass(frozen=True, eq=False)
class Type:
    """A type of the source language. `size` is in bytes, None where unknown or incomplete."""

    @property
    def size(self) -> int | None:
        return None

    @property
    def name(self) -> str:
        """The type as C writes it without a variable: ``char *[3]``."""
        return self.declare("")

    def declare(self, declarator: str) -> str:
        """The C declaration of `declarator` with this type: ``declare("x")`` of an array is ``int x[3]``."""
        raise NotImplementedError

    def strip(self) -> Type:
        """This type without typedefs and qualifiers at its top."""
        return self

    def __str__(self) -> str:
        return self.name


def _join(words: str, declarator: str) -> str:
    return f"{words} {declarator}" if declarator else words


@dataclass(frozen=True, eq=False)
class VoidType(Type):
    """`void`: the target of ``void *``, the result of a function that returns nothing."""

    def declare(self, declarator: str) -> str:
        return _join("void", declarator)


VOID = VoidType()


@dataclass(frozen=True, eq=False)
class UnknownType(Type):
    """A type whose debugging entry is damaged or of a kind that ttd does not know; `reason` says which."""

    reason: str

    def declare(self, declarator: str) -> str:
        return _join(f"<{self.reason}>", declarator)


@dataclass(frozen=True, eq=False)
class BaseType(Type):
    """A number, character or truth value."""

    label: str
    byte_size: int
    encoding: Encoding

    @property
    def size(self) -> int | None:
        return self.byte_size

    @property
    def is_signed(self) -> bool:
        return self.encoding in (Encoding.SIGNED, Encoding.SIGNED_CHAR, Encoding.FLOAT)

    @property
    def is_float(self) -> bool:
        return self.encoding is Encoding.FLOAT

    @property
    def is_integer(self) -> bool:
        """Whether arithmetic on it is integer arithmetic; characters and truth values count, as in C."""
        return self.encoding not in (Encoding.FLOAT, Encoding.COMPLEX, Encoding.UNKNOWN)

    @property
    def is_character(self) -> bool:
        return self.encoding in (Encoding.SIGNED_CHAR, Encoding.UNSIGNED_CHAR, Encoding.UTF)

    def declare(self, declarator: str) -> str:
        return _join(self.label, declarator)


@dataclass(frozen=True, eq=False)
class PointerType(Type):
    """A pointer, or a C++ reference (`symbol` is ``*``, ``&`` or ``&&``)."""

    target: Type
    byte_size: int = 4
    symbol: str = "*"

    @property
    def size(self) -> int | None:
        return self.byte_size

    @property
    def is_reference(self) -> bool:
        return self.symbol != "*"

    def declare(self, declarator: str) -> str:
        inner = self.symbol + declarator
        if isinstance(self.target, ArrayType | FunctionType):
            inner = f"({inner})"
        return self.target.declare(inner)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an aggregate.

    `offset` is in bytes from the start of the aggregate. For a bit field `bit_size` is its width and
    `bit_offset` the number of its least significant bit, counted from bit 0 of the byte at `offset`.
    An anonymous struct or union member has the name ``""``: its members belong to the aggregate.
    """

    name: str
    type: Type
    offset: int
    bit_size: int | None = None
    bit_offset: int = 0
    is_base: bool = False
    """Whether it is a base class."""


@dataclass(frozen=True, eq=False)
class AggregateType(Type):
    """A struct, union or class. Incomplete (declared only) when `byte_size` is None."""

    kind: AggregateKind
    tag: str
    byte_size: int | None
    resolve: Callable[[], tuple[Member, ...]] = field(repr=False)

    @property
    def size(self) -> int | None:
        return self.byte_size

    @cached_property
    def members(self) -> tuple[Member, ...]:
        return self.resolve()

    def find(self, name: str) -> list[Member] | None:
        """The members that lead to `name`, through anonymous members and bases; None if nothing does."""
        return self._find(name, 0)

    def _find(self, name: str, depth: int) -> list[Member] | None:
        for member in self.members:
            if member.name == name and not member.is_base:
                return [member]
        for member in self.members:
            inner = member.type.strip()
            if (not member.name or member.is_base) and isinstance(inner, AggregateType) and depth < 32:
                path = inner._find(name, depth + 1)
                if path is not None:
                    return [member, *path]
        return None

    def declare(self, declarator: str) -> str:
        return _join(f"{self.kind.value} {self.tag or '{...}'}", declarator)


@dataclass(frozen=True, eq=False)
class ArrayType(Type):
    """An array of `count` elements; None where the count is unknown (flexible or of variable length).

    For one of variable length, `count_entry` is the offset of the debugging entry of the variable that holds
    the count (`Variable.entry`).
    """

    element: Type
    count: int | None
    count_entry: int | None = None

    @property
    def size(self) -> int | None:
        element = self.element.size
        return None if element is None or self.count is None else element * self.count

    def declare(self, declarator: str) -> str:
        return self.element.declare(f"{declarator}[{'' if self.count is None else self.count}]")


@dataclass(frozen=True, eq=False)
class EnumType(Type):
    """An enumeration. `enumerators` are (name, value) in the order of the source."""

    tag: str
    byte_size: int
    is_signed: bool
    enumerators: tuple[tuple[str, int], ...]

    @property
    def size(self) -> int | None:
        return self.byte_size

    @cached_property
    def names_by_value(self) -> dict[int, str]:
        """The first name of each value."""
        result: dict[int, str] = {}
        for name, value in self.enumerators:
            result.setdefault(value, name)
        return result

    def declare(self, declarator: str) -> str:
        return _join(f"enum {self.tag or '{...}'}", declarator)


@dataclass(frozen=True, eq=False)
class FunctionType(Type):
    """A function's type; `parameters` None is C's unprototyped ``()``."""

    result: Type
    parameters: tuple[Type, ...] | None
    variadic: bool = False

    def declare(self, declarator: str) -> str:
        if self.parameters is None:
            return self.result.declare(f"{declarator}()")
        words = [parameter.name for parameter in self.parameters] + (["..."] if self.variadic else [])
        return self.result.declare(f"{declarator}({', '.join(words) or 'void'})")


@dataclass(frozen=True, eq=False)
class AliasType(Type):
    """A typedef."""

    label: str
    target: Type

    @property
    def size(self) -> int | None:
        return self.target.size

    def strip(self) -> Type:
        return _strip(self)

    def declare(self, declarator: str) -> str:
        return _join(self.label, declarator)


@dataclass(frozen=True, eq=False)
class QualifiedType(Type):
    """`const`, `volatile`, `restrict` or `_Atomic` before a type."""

    qualifier: str
    target: Type

    @property
    def size(self) -> int | None:
        return self.target.size

    def strip(self) -> Type:
        return _strip(self)

    def declare(self, declarator: str) -> str:
        if isinstance(self.target, PointerType):  # it qualifies the pointer: char *const p
            return self.target.declare(_join(self.qualifier, declarator))
        return f"{self.qualifier} {self.target.declare(declarator)}"


def _strip(type_: Type) -> Type:
    while isinstance(type_, AliasType | QualifiedType):
        type_ = type_.target
    return type_
