"""The tree that an expression is parsed into. Names stand for themselves: what they mean, the context says.

Every node has `column`, where in the text it stands, for messages. Imports nothing of ttd.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class TypeName:
    """A type as written: ``const struct node *[3]`` has the base ``struct node`` and two derivations.

    `base` is the canonical spelling of a basic type, a tag with its keyword, or a typedef's name.
    `derivations` apply from the inside out: ``*`` for pointer to, an int for array of so many.
    """

    base: str
    derivations: tuple[str | int, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Number:
    """A constant; `type` is the canonical name of its C type."""

    value: int | float
    type: str
    column: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal, as one side of ``==`` or ``!=``."""

    value: bytes
    column: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, enumeration constant or function."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Special:
    """``$name``: a number that the debugger knows; ``$1``, ``$``, ``$$``: a value that was printed."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Unary:
    """``- + ~ ! * &`` before an operand."""

    operator: str
    operand: Node
    column: int


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between two operands; ``@`` too: so many elements from the left one on, as in gdb."""

    operator: str
    left: Node
    right: Node
    column: int


@dataclass(frozen=True, slots=True)
class Conditional:
    """``condition ? yes : no``"""

    condition: Node
    yes: Node
    no: Node
    column: int


@dataclass(frozen=True, slots=True)
class MemberAccess:
    """``object.name`` and ``object->name``"""

    object: Node
    name: str
    arrow: bool
    column: int


@dataclass(frozen=True, slots=True)
class Index:
    """``object[index]``"""

    object: Node
    index: Node
    column: int


@dataclass(frozen=True, slots=True)
class Cast:
    """``(type)operand``"""

    type: TypeName
    operand: Node
    column: int


@dataclass(frozen=True, slots=True)
class SizeOf:
    """``sizeof(type)`` and ``sizeof operand``, which is not evaluated but for its type."""

    operand: Node | TypeName
    column: int


Node: TypeAlias = (
    Number | Text | Name | Special | Unary | Binary | Conditional | MemberAccess | Index | Cast | SizeOf
)
