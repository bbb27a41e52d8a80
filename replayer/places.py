"""What holds a value: bytes of memory, a local or operand of a frame, a global of the module.

An expression names a place as it is evaluated now, in the selected frame; the place is then the same
throughout the run.

May import base, wasm, debuginfo, expr and this package.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TypeAlias

from ttd.debuginfo import Variable
from ttd.errors import ExpressionError, UsageError
from ttd.expr import (
    StateContext,
    TypedValue,
    check_format,
    evaluate,
    format_value,
    lvalue_range,
    parse,
    special_named,
    variable_named,
)
from ttd.replayer.breakpoints import parse_range
from ttd.state import Frame
from ttd.types import Position
from ttd.wasm.model import Module
from ttd.wasm.typing import type_function


@dataclass(frozen=True, slots=True)
class InMemory:
    """`length` bytes of a memory."""

    memory: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class InRegister:
    """Bytes [offset, offset + length) of a register of the frame entered at `entry` (see `registers`)."""

    entry: Position
    function: int
    register: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class InGlobal:
    """Bytes [offset, offset + length) of a WebAssembly global."""

    index: int
    offset: int
    length: int


Storage: TypeAlias = "InMemory | InRegister | InGlobal"


@dataclass(frozen=True, slots=True)
class Place:
    """What an expression named, and how to show what is there. `text` is the expression."""

    text: str
    storage: Storage
    shape: TypedValue | None
    """The value as it was; its type is what other values are shown with. None for raw bytes."""
    format: str
    life: Position | None
    """Entry of the frame whose own storage it is: before that it was something else's. None: always there."""
    variable: Variable | None
    """The variable, if it lives in a register."""

    def show(self, data: bytes, context: StateContext) -> str:
        """Bytes that were there at some time as text, as print shows the value. `context` is that time's."""
        if self.shape is None:
            return data.hex(" ")
        if isinstance(self.storage, InMemory) and self.shape.address is not None:
            laid = context.with_bytes(data, self.storage.address, self.storage.memory)
            return format_value(replace(self.shape, context=laid), self.format)
        data = data.ljust(self.shape.size, b"\0")  # an operand may be narrower than its expression's type
        return format_value(replace(self.shape, context=context, immediate=data), self.format)

    def bits(self, data: bytes) -> bytes:
        """Those of the bytes that are the value: a bit field shares its own with its neighbours."""
        if self.shape is None or self.shape.bit_size is None:
            return data
        return replace(self.shape, address=None, immediate=data).data


def place_of(text: str, context: StateContext, fmt: str | None = None) -> Place:
    """The place that an expression names, or a range of raw memory (``1024, 16``).

    Raises ExpressionError for what does not parse, or has no place of its own; UsageError for such a range.
    """
    check_format(fmt or "")
    raw = parse_range(text)
    if raw is not None:
        address, length = raw
        if not length:
            raise UsageError("a range of memory has at least one byte, as in '1024, 16'")
        context.read_memory(address, length)
        return Place(text, InMemory(0, address, length), None, "", None, None)
    expression = parse(text)
    value, frame = evaluate(expression, context), context.frame
    if value.address is not None:
        found = lvalue_range(expression, context)
        life = frame.entry if found.frame_local and frame is not None else None
        storage = InMemory(found.memory, found.address, found.length)
        return Place(text, storage, value, fmt or "", life, None)
    variable = variable_named(expression, context)
    special = special_named(expression, context)
    kind: tuple[int, int] | None = None
    if variable is not None:
        kind = variable.wasm_place(frame.pc if frame is not None else 0)
    elif special is not None:
        kind = _wasm_register(special, context.debug.module, frame)
    if kind is None:
        raise ExpressionError(_no_place(text, value, variable))
    life = frame.entry if kind[0] != 1 and frame is not None else None
    return Place(text, _storage(kind, value, frame), value, fmt or "", life, variable)


def _storage(kind: tuple[int, int], value: TypedValue, frame: Frame | None) -> Storage:
    number, index = kind
    length = len(value.data)  # so that a value which is not known raises
    if number == 1 or frame is None:
        return InGlobal(index, 0, length)
    register = index
    if number == 2:
        register = len(frame.locals) + index
        length = min(length, _operand_size(value.context.debug.module, frame, index))
    return InRegister(frame.entry, frame.function, register, 0, length)


def _operand_size(module: Module, frame: Frame, index: int) -> int:
    """Bytes of an operand: an expression does not know its type, and takes it for the widest."""
    typing = type_function(module, module.functions[frame.function])
    at = bisect_left(typing.instructions, frame.pc, key=attrgetter("offset"))
    return typing.operands(at)[index].size


def _wasm_register(name: str, module: Module, frame: Frame | None) -> tuple[int, int] | None:
    """Kind and index as DWARF has them, of ``$local3``, ``$global0`` or ``$operand1``."""
    match = re.fullmatch(r"(local|global|operand)(\d+)", name)
    if match is None or (match[1] != "global" and frame is None):
        return None
    return {"local": 0, "global": 1, "operand": 2}[match[1]], int(match[2])


def _no_place(text: str, value: TypedValue, variable: Variable | None) -> str:
    if value.unavailable:
        return f"{text} is not available here: {value.unavailable}"
    if variable is not None:
        return f"{text} has no place of its own here: it is a constant, or part of something else"
    return f"{text} is computed, and has no place of its own; name a variable, a member or an element"
