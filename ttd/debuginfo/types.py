"""The types of the source language, as values: what DWARF type entries are turned into.

Types are immutable. Aggregates refer to their members lazily, because C types are recursive; everything
else is a finite tree, and the reader sees to it that damaged information cannot make it anything else.
A type's identity is its object: the reader makes one object for each debugging entry.

May import base and this package's names.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from ttd.debuginfo.readable import readable_name


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


class Language(enum.Enum):
    """What a type is declared in, as far as that decides how it is written (DWARF 5, 7.12: DW_LANG)."""

    C = "C"
    CPP = "C++"
    RUST = "Rust"


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
    """A pointer, or a C++ reference (`symbol` is ``*``, ``&`` or ``&&``).

    Rust's have a `label` of their own: ``&mut Node``, ``*const u8``, ``alloc::boxed::Box<Node>``.
    """

    target: Type
    byte_size: int = 4
    symbol: str = "*"
    label: str = ""

    @property
    def size(self) -> int | None:
        return self.byte_size

    @property
    def is_reference(self) -> bool:
        return self.symbol != "*"

    def declare(self, declarator: str) -> str:
        if self.label:
            return _join(readable_name(self.label), declarator)
        inner = self.symbol + declarator
        if isinstance(self.target, ArrayType | FunctionType):
            inner = f"({inner})"
        return self.target.declare(inner)


@dataclass(frozen=True, eq=False)
class MemberPointerType(Type):
    """C++'s pointer to a member of `owner`: for data an offset, -1 being null; for a function a pair of
    function pointer (or 1 + its place in the vtable) and adjustment of `this` (Itanium C++ ABI, 2.3)."""

    owner: Type
    target: Type
    pointer_size: int = 4

    @property
    def is_function(self) -> bool:
        return isinstance(self.target.strip(), FunctionType)

    @property
    def size(self) -> int | None:
        return 2 * self.pointer_size if self.is_function else self.pointer_size

    def declare(self, declarator: str) -> str:
        inner = f"{self.owner.name}::*{declarator}"
        target = self.target.strip()
        if not isinstance(target, FunctionType):
            return self.target.declare(inner)
        written = FunctionType(target.result, (target.parameters or ())[1:], target.variadic)  # not `this`
        return written.declare(f"({inner})")


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
    virtual_offset: int | None = None
    """For a virtual base: how far before what the object's vtable pointer points at its offset stands."""
    constant: int | None = None
    """The value of a static member that is nowhere in memory."""

    @property
    def is_hidden(self) -> bool:
        """Whether the compiler made it up: a vtable, or a pointer to one."""
        return self.name.startswith(("_vptr$", "_vtable$"))


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a Rust enum. `values` are the discriminants that mean it, first and last of each range;
    empty for the form that any other discriminant means."""

    member: Member
    values: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What an aggregate holds."""

    members: tuple[Member, ...] = ()
    statics: tuple[Member, ...] = ()
    """C++'s static members: globals, really; their offsets mean nothing."""
    template: tuple[tuple[str, Type], ...] = ()
    """The types that it was made with, by the names of its template's (Rust: generic's) parameters."""
    discriminant: Member | None = None
    variants: tuple[Variant, ...] = ()
    """The forms of a Rust enum; `discriminant` tells which one it is, and is None where there is only one."""


@dataclass(frozen=True, eq=False)
class AggregateType(Type):
    """A struct, union or class. Incomplete (declared only) when `byte_size` is None."""

    kind: AggregateKind
    tag: str
    byte_size: int | None
    resolve: Callable[[], Contents] = field(repr=False)
    language: Language = Language.C

    @property
    def size(self) -> int | None:
        return self.byte_size

    @cached_property
    def contents(self) -> Contents:
        return self.resolve()

    @property
    def members(self) -> tuple[Member, ...]:
        return self.contents.members

    @property
    def label(self) -> str:
        """Its name as its source writes it: C's with the keyword, others' without."""
        if self.language is Language.C or not self.tag:
            return f"{self.kind.value} {self.tag or '{...}'}"
        return readable_name(self.tag)

    def static(self, name: str) -> tuple[AggregateType, Member] | None:
        """The static member `name` and the class that has it: this one, or a base; None if none does."""
        return self._static(name, 0)

    def _static(self, name: str, depth: int) -> tuple[AggregateType, Member] | None:
        for member in self.contents.statics:
            if member.name == name:
                return self, member
        bases = (member.type.strip() for member in self.members if member.is_base and depth < 32)
        found = (base._static(name, depth + 1) for base in bases if isinstance(base, AggregateType))
        return next((pair for pair in found if pair is not None), None)

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
        return _join(self.label, declarator)


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
    language: Language = Language.C
    underlying: str = ""
    """Of C++'s ``enum class``: the type that it is made of."""

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
        if self.language is Language.C or not self.tag:
            return _join(f"enum {self.tag or '{...}'}", declarator)
        return _join(readable_name(self.tag), declarator)


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
        return _join(readable_name(self.label), declarator)


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
