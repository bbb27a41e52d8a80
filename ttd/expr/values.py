"""Values of the source language, and the context that they are read from.

May import base, `ttd.wasm` and `ttd.debuginfo`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Protocol

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.locations import Immediate, InMemory, Unavailable
from ttd.debuginfo.scopes import FunctionScope, Variable
from ttd.debuginfo.stack import SourceStack
from ttd.debuginfo.types import (
    AggregateType,
    ArrayType,
    BaseType,
    EnumType,
    FunctionType,
    Member,
    PointerType,
    Type,
)
from ttd.errors import ExpressionError
from ttd.expr.arithmetic import read_number, wrap
from ttd.expr.history import ValueHistory
from ttd.state import Frame, State
from ttd.types import Value


class Context(Protocol):
    """Where an expression is evaluated: a `debuginfo.locations.Machine` with debug information."""

    @property
    def debug(self) -> DebugInfo:
        """What is known about the source."""
        ...

    @property
    def frame(self) -> Frame | None:
        """The WebAssembly frame with the selected frame's code; None where the program has none."""
        ...

    @property
    def scope(self) -> FunctionScope | None:
        """The function of the selected frame, maybe an inlined one; None where nothing is known about it."""
        ...

    @property
    def globals(self) -> Sequence[Value]:
        """The WebAssembly globals."""
        ...

    @property
    def function_table(self) -> Sequence[Value]:
        """The table that function pointers index; empty where there is none."""
        ...

    def read_memory(self, address: int, length: int, memory: int = 0) -> bytes:
        """Bytes [address, address + length); ExpressionError where not all of it is inside the memory."""
        ...

    def special(self, name: str) -> int | None:
        """The number that ``$name`` stands for (tick, step, event …); None if there is none."""
        ...

    @property
    def history(self) -> ValueHistory:
        """The values that were printed."""
        ...


class StateContext:
    """A `Context` on a live `State`. Valid until the engine runs again.

    `level` 0 is the innermost frame of the source, unless a `stack` says otherwise; one that there is not
    leaves the context without frame. `specials` adds to, and overrides, ``$tick $step $event``; `history` is
    what ``$1`` is looked up in.
    """

    def __init__(
        self,
        state: State,
        debug: DebugInfo,
        level: int = 0,
        specials: dict[str, int] | None = None,
        history: ValueHistory | None = None,
        stack: SourceStack | None = None,
    ) -> None:
        self._state = state
        self._debug = debug
        stack = SourceStack(state.frames, debug) if stack is None else stack
        selected = stack[level] if stack.has(level) else None
        self._frame = selected.code if selected is not None else None
        self._scope = selected.scope if selected is not None else None
        self._specials = {
            "tick": state.position.tick,
            "step": state.position.step,
            "event": state.next_event,
            **(specials or {}),
        }
        self._history = history if history is not None else ValueHistory()
        self._laid: tuple[int, int, bytes] | None = None

    def with_bytes(self, data: bytes, address: int, memory: int = 0) -> StateContext:
        """This context, but with `data` at `address`: for a value that lay there at another time."""
        other = copy(self)
        other._laid = memory, address, data
        return other

    @property
    def debug(self) -> DebugInfo:
        return self._debug

    @property
    def frame(self) -> Frame | None:
        return self._frame

    @property
    def scope(self) -> FunctionScope | None:
        return self._scope

    @property
    def globals(self) -> Sequence[Value]:
        return self._state.globals

    @property
    def function_table(self) -> Sequence[Value]:
        return self._state.tables[0] if self._state.tables else ()

    def read_memory(self, address: int, length: int, memory: int = 0) -> bytes:
        if self._laid is None or self._laid[0] != memory:
            return self._read(address, length, memory)
        _, start, data = self._laid
        if start <= address and address + length <= start + len(data):
            return data[address - start : address - start + length]
        return _overlaid(self._read(address, length, memory), address, data, start)

    def _read(self, address: int, length: int, memory: int) -> bytes:
        memories = self._state.memories
        if memory >= len(memories):
            raise ExpressionError(f"the program has no memory {memory}")
        view = memories[memory].view()
        if not 0 <= address <= address + length <= len(view):
            raise ExpressionError(f"cannot access memory at address {address:#x}")
        return bytes(view[address : address + length])

    def special(self, name: str) -> int | None:
        return self._specials.get(name)

    @property
    def history(self) -> ValueHistory:
        return self._history


def _overlaid(below: bytes, address: int, data: bytes, start: int) -> bytes:
    """The bytes `below`, which begin at `address`, with `data` that begins at `start` laid over them."""
    result = bytearray(below)
    first, last = max(address, start), min(address + len(below), start + len(data))
    if first < last:
        result[first - address : last - address] = data[first - start : last - start]
    return bytes(result)


@dataclass(frozen=True)
class TypedValue:
    """A value of the source language; reads memory when asked, so use it before the program runs on.

    It is either in memory (`address` is not None), or its bytes are known (`immediate`), or neither: then
    `unavailable` says why. A function is itself: `function` is its index.
    """

    type: Type
    context: Context = field(repr=False)
    address: int | None = None
    memory: int = 0
    immediate: bytes | None = None
    unavailable: str = ""
    bit_size: int | None = None
    bit_offset: int = 0
    function: int | None = None
    lost: tuple[tuple[int, int], ...] = ()
    """The [start, end) of bytes of `immediate` that are not known."""
    in_frame: bool = False
    """Whether it lies in the selected frame's own storage, and so dies with it."""

    @classmethod
    def of_variable(cls, variable: Variable, context: Context) -> TypedValue:
        """The value of a variable in the context's frame."""
        place = variable.locate(context)
        in_frame = not variable.is_global
        type_ = _counted(variable.type, context)
        if isinstance(place, InMemory):
            value = cls(type_, context, place.address, place.memory, in_frame=in_frame)
        elif isinstance(place, Immediate):
            value = cls(type_, context, immediate=place.data, lost=place.lost, in_frame=in_frame)
        elif isinstance(place, Unavailable):
            value = cls(type_, context, unavailable=place.reason, in_frame=in_frame)
        return value.referenced()

    @classmethod
    def of_bytes(cls, type_: Type, data: bytes, context: Context) -> TypedValue:
        """A value of which the bytes are known and nothing else."""
        return cls(type_, context, immediate=data)

    @property
    def size(self) -> int:
        """Bytes that it takes; raises ExpressionError for a type without size."""
        size = self.type.size
        if size is None:
            size = self.context.debug.complete_type(self.type.strip()).size
        if size is None:
            raise ExpressionError(f"{self.type} is an incomplete type")
        return size

    @property
    def data(self) -> bytes:
        """Its bytes; raises ExpressionError where they cannot be read."""
        if self.unavailable:
            raise ExpressionError(f"the value is not available: {self.unavailable}")
        if self.bit_size is not None:
            return self._bit_field()
        size = self.size
        if self.address is not None:
            return self.context.read_memory(self.address, size, self.memory)
        if self.immediate is None or len(self.immediate) < size or self._is_lost(0, size):
            is_lost = self.in_frame or self.lost
            why = "is not available: partly optimized out" if is_lost else "is only partly known"
            raise ExpressionError(f"the value {why}")
        return self.immediate[:size]

    def _bit_field(self) -> bytes:
        width, size = self.bit_size or 0, min(self.size, 16)
        length = (self.bit_offset + width + 7) // 8
        whole = replace(self, type=_Bytes(length), bit_size=None)
        number = int.from_bytes(whole.data, "little") >> self.bit_offset & ((1 << width) - 1)
        stripped = self.type.strip()
        signed = stripped.is_signed if isinstance(stripped, BaseType | EnumType) else False
        if signed and width and number >> (width - 1):
            number -= 1 << width
        return (number & (1 << 8 * size) - 1).to_bytes(size, "little")

    def number(self) -> int | float:
        """As a number: pointers, enumerators, arrays (their address) and functions (their table index) too.

        Raises ExpressionError for what is none.
        """
        stripped = self.type.strip()
        if isinstance(stripped, BaseType):
            return read_number(stripped, self.data)
        if isinstance(stripped, EnumType):
            return wrap(int.from_bytes(self.data, "little"), stripped.byte_size, stripped.is_signed)
        if isinstance(stripped, PointerType):
            return int.from_bytes(self.data, "little")
        if isinstance(stripped, ArrayType) and self.address is not None:
            return self.address
        if isinstance(stripped, FunctionType):
            return self.table_index()
        raise ExpressionError(f"a value of type {self.type} is no number")

    def as_int(self) -> int:
        """As an integer; raises ExpressionError for what is no number, or no whole one."""
        number = self.number()
        if isinstance(number, float):
            raise ExpressionError(f"expected an integer, not a value of type {self.type}")
        return number

    def require_memory(self) -> None:
        """Raise ExpressionError if it begins where there is no memory, so that nothing of it can be shown."""
        if self.address is not None and self.type.size:
            self.context.read_memory(self.address, 1, self.memory)

    def is_true(self) -> bool:
        """C's truth: not zero. Raises ExpressionError for a struct or union."""
        return self.number() != 0

    def table_index(self) -> int:
        """The function pointer that points at this function; raises ExpressionError if none can."""
        if self.function is not None:
            for index, entry in enumerate(self.context.function_table):
                if entry == self.function and entry is not None:
                    return index
        raise ExpressionError("the function has no address: it is in no table")

    def referenced(self) -> TypedValue:
        """What a C++ reference refers to; any other value itself."""
        stripped = self.type.strip()
        if not isinstance(stripped, PointerType) or not stripped.is_reference or self.unavailable:
            return self
        try:
            address = int.from_bytes(self.data, "little")
        except ExpressionError as error:
            return replace(self, type=stripped.target, address=None, immediate=None, unavailable=str(error))
        return TypedValue(stripped.target, self.context, address, self.memory)

    def part(self, type_: Type, offset: int) -> TypedValue:
        """The part of `type_` that lies `offset` bytes behind the start of this value."""
        if self.address is not None:
            address = (self.address + offset) & ((1 << 8 * self.context.debug.address_size) - 1)
            return replace(self, type=type_, address=address, bit_size=None, bit_offset=0)
        data = self.immediate[offset:] if self.immediate is not None and offset >= 0 else self.immediate
        is_lost = (data == b"" and self.in_frame) or self._is_lost(
            offset, type_.size or 0, wholly=_has_parts(type_)
        )
        reason = "optimized out" if is_lost and type_.size else self.unavailable
        lost = tuple((start - offset, end - offset) for start, end in self.lost)
        return replace(
            self, type=type_, immediate=data, lost=lost, unavailable=reason, bit_size=None, bit_offset=0
        )

    def _is_lost(self, offset: int, size: int, wholly: bool = False) -> bool:
        """Whether some (`wholly`: all) of `size` bytes from `offset` on are not known."""
        overlaps = (min(end, offset + size) - max(start, offset) for start, end in self.lost)
        lost = sum(max(overlap, 0) for overlap in overlaps)
        return lost >= size > 0 if wholly else lost > 0

    def member_at(self, member: Member) -> TypedValue:
        """A member of this aggregate. One in a virtual base may turn out to be unavailable."""
        if member.virtual_offset is not None:
            return self._virtual_base(member, member.virtual_offset)
        part = self.part(member.type, member.offset)
        return replace(part, bit_size=member.bit_size, bit_offset=member.bit_offset)

    def _virtual_base(self, member: Member, distance: int) -> TypedValue:
        """The base whose offset stands `distance` bytes before what the vtable pointer points at."""
        width = self.context.debug.address_size
        try:
            if self.address is None:
                raise ExpressionError("a virtual base of what is not in memory")
            vtable = int.from_bytes(self.context.read_memory(self.address, width, self.memory), "little")
            data = self.context.read_memory(vtable - distance, width, self.memory)
        except ExpressionError as error:
            return replace(
                self, type=member.type, address=None, immediate=None, unavailable=f"error: {error}"
            )
        return self.part(member.type, int.from_bytes(data, "little", signed=True))

    def aggregate(self) -> AggregateType | None:
        """Its type if that is a struct, union or class, as completely as it is known; None for any other."""
        type_ = self.context.debug.complete_type(self.type.strip())
        return type_ if isinstance(type_, AggregateType) else None

    def member(self, name: str) -> TypedValue:
        """The member called `name`; raises ExpressionError where there is none."""
        if isinstance(self.type, LocalsType):
            return _field(self.type, name)
        aggregate = self.aggregate()
        if aggregate is None:
            raise ExpressionError(f"a value of type {self.type} has no members")
        path = aggregate.find(name)
        if path is None:
            return self._static_member(aggregate, name)
        value = self
        for step in path:
            value = value.member_at(step)
        return value

    def _static_member(self, aggregate: AggregateType, name: str) -> TypedValue:
        """A C++ static member, which is a global; raises ExpressionError if there is none."""
        found = aggregate.static(name)
        if found is None:
            raise ExpressionError(_no_member(aggregate, name))
        return static_member(*found, self.context)

    def dereference(self) -> TypedValue:
        """What a pointer points at (an array: its first element); ExpressionError for anything else."""
        stripped = self.type.strip()
        if isinstance(stripped, ArrayType):
            return self.part(stripped.element, 0)
        if isinstance(stripped, FunctionType):
            return self
        if not isinstance(stripped, PointerType):
            raise ExpressionError(f"a value of type {self.type} is no pointer")
        target = stripped.target.strip()
        if isinstance(target, FunctionType):
            return self._pointed_function(stripped.target)
        return TypedValue(stripped.target, self.context, self.as_int())

    def _pointed_function(self, type_: Type) -> TypedValue:
        index, table = self.as_int(), self.context.function_table
        function = table[index] if index < len(table) else None
        if not isinstance(function, int):
            raise ExpressionError(f"no function at table index {index:#x}")
        return TypedValue(type_, self.context, function=function)


@dataclass(frozen=True, eq=False)
class LocalsType(Type):
    """What ``$locals`` is: the variables of a frame by name, wherever each of them is."""

    fields: tuple[tuple[str, TypedValue], ...]

    def declare(self, declarator: str) -> str:
        return f"locals {declarator}".rstrip()


def _has_parts(type_: Type) -> bool:
    """Whether parts of a value can be told where others are lost."""
    return isinstance(type_.strip(), AggregateType | ArrayType)


@dataclass(frozen=True, eq=False)
class _Bytes(Type):
    """So many bytes: what a bit field lies in."""

    length: int

    @property
    def size(self) -> int | None:
        return self.length

    def declare(self, declarator: str) -> str:
        return f"{self.length} bytes"


def variable_of_static(
    owner: AggregateType, member: Member, debug: DebugInfo, pc: int | None
) -> Variable | None:
    """The global that a static member of a class is; None if the program has none."""
    return debug.find_global(f"{owner.tag}::{member.name}", pc)


def static_member(owner: AggregateType, member: Member, context: Context) -> TypedValue:
    """A static member of a C++ class; ExpressionError if the program has none: linkers drop unused ones."""
    pc = context.frame.pc if context.frame is not None else None
    variable = variable_of_static(owner, member, context.debug, pc)
    if variable is not None:
        return TypedValue.of_variable(variable, context)
    if member.constant is None or not member.type.size:
        raise ExpressionError(f"the static member {member.name} of {owner} is nowhere in the program")
    data = (member.constant & (1 << 8 * member.type.size) - 1).to_bytes(member.type.size, "little")
    return TypedValue.of_bytes(member.type, data, context)


def _counted(type_: Type, context: Context) -> Type:
    """An array of variable length with the length that it has now."""
    if not isinstance(type_, ArrayType) or context.scope is None:
        return type_
    element = _counted(type_.element, context)
    if type_.count_entry is None:
        return type_ if element is type_.element else ArrayType(element, type_.count)
    for variable in context.scope.all:
        if variable.entry == type_.count_entry:
            return ArrayType(element, _count(TypedValue.of_variable(variable, context)))
    return type_


def _count(value: TypedValue) -> int | None:
    try:
        return max(0, value.as_int())
    except ExpressionError:
        return None


def _field(type_: LocalsType, name: str) -> TypedValue:
    for label, value in type_.fields:
        if label == name:
            return value
    raise ExpressionError(f"the frame has no variable {name}")


def _no_member(aggregate: AggregateType, name: str) -> str:
    names = [member.name for member in aggregate.members if member.name]
    if aggregate.size is None:
        return f"{aggregate} is an incomplete type: its members are not known"
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"{aggregate} has no member {name}" + (f"; it has {shown}" if names else "")
