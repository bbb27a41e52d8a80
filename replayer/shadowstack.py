"""The stack in linear memory, frame by frame: which bytes belong to which call, and what lies in them.

The machine's own frames (`ttd.state.Frame`) are no part of linear memory. Variables that need an address are:
compilers keep a second stack for them. Nothing links its frames, so their bounds are worked out from inside
to outside: the stack pointer now, and by the code of each function how much it took (`ttd.static.prologues`).

May import base, wasm, debuginfo, static, expr and this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.locations import InMemory
from ttd.debuginfo.stack import SourceStack
from ttd.errors import ExpressionError
from ttd.expr import StateContext, TypedValue, format_value
from ttd.state import Frame, State
from ttd.static.layout import MemoryLayout
from ttd.static.prologues import StackUse, stack_use
from ttd.types import Location
from ttd.wasm.model import Module


@dataclass(frozen=True, slots=True)
class StackSlot:
    """A piece of a stack frame: a variable, or bytes that no visible variable lies in (`name` is "")."""

    address: int
    size: int
    name: str = ""
    type: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class StackFrame:
    """The part of the stack that belongs to one call; `level` is that of the frame in `bt`.

    `low` and `high` are equal where it takes nothing; None where they are not known.
    """

    level: int
    function: str
    location: Location | None
    low: int | None
    high: int | None
    slots: tuple[StackSlot, ...]
    """By address, without overlaps and gaps."""

    @property
    def size(self) -> int | None:
        """In bytes."""
        return self.high - self.low if self.low is not None and self.high is not None else None


def stack_frames(
    state: State, debug: DebugInfo, layout: MemoryLayout, stack: SourceStack
) -> Iterator[StackFrame]:
    """The frames of a stopped program, innermost first, each worked out when it is asked for.

    Those of inlined functions are part of the frame that has their code. None without a stack pointer.
    """
    pointer = layout.stack_pointer
    if pointer is None:
        return
    value = state.globals[pointer]
    bounds = _Bounds(debug.module, pointer, value if isinstance(value, int) else None)
    for number, group in groupby(enumerate(stack), key=lambda item: item[1].number):
        levels = list(group)
        level, live = levels[-1]
        low, high = bounds.next(live.code, is_innermost=number == 0)
        variables = (slot for each, _ in levels for slot in _variables(state, debug, stack, each))
        slots = tuple(_slots(variables, low, high))
        yield StackFrame(level, live.name, live.location, low, high, slots)


class _Bounds:
    """Works out the bounds of one frame after the other; keeps the stack pointer with which each was
    entered."""

    def __init__(self, module: Module, pointer: int, value: int | None) -> None:
        self._module = module
        self._pointer = pointer
        self._at = value
        self._uses: dict[int, StackUse | None] = {}

    def next(self, frame: Frame, is_innermost: bool) -> tuple[int | None, int | None]:
        """Lowest address of a frame, and the one behind it. Call with each frame, innermost first."""
        low = self._at
        use = self._use(frame.function)
        if use is None:
            return low, low
        if use.taken_from is None:
            return self._leaf(use, low) if is_innermost else (low, low)
        base = _local(frame, use.base_local)
        high = self._high(frame, use, base)
        if is_innermost and high is not None and low is not None and low >= high:
            return low, low
        self._at = high
        return (base if low is None else low), high

    def _use(self, function: int) -> StackUse | None:
        if function not in self._uses:
            self._uses[function] = stack_use(self._module.functions[function].code, self._pointer)
        return self._uses[function]

    def _leaf(self, use: StackUse, high: int | None) -> tuple[int | None, int | None]:
        """A function that calls nothing uses the bytes below the stack pointer without moving it."""
        return (None if high is None or use.size is None else high - use.size), high

    def _high(self, frame: Frame, use: StackUse, base: int | None) -> int | None:
        if not use.is_taken(frame.pc):
            return self._at
        if use.size is None:
            return _local(frame, use.entry_local)
        start = base if base is not None else self._at
        return start + use.size if start is not None else None


def _local(frame: Frame, index: int | None) -> int | None:
    value = frame.locals[index] if index is not None else None
    return value if isinstance(value, int) else None


def _slots(variables: Iterable[StackSlot], low: int | None, high: int | None) -> Iterator[StackSlot]:
    """What lies in [low, high)."""
    if low is None or high is None:
        return
    at = low
    for slot in sorted(variables, key=lambda slot: (slot.address, -slot.size)):
        if not at <= slot.address < slot.address + slot.size <= high:
            continue
        if slot.address > at:
            yield StackSlot(at, slot.address - at)
        yield slot
        at = slot.address + slot.size
    if at < high:
        yield StackSlot(at, high - at)


def _variables(state: State, debug: DebugInfo, stack: SourceStack, level: int) -> Iterator[StackSlot]:
    """The visible variables of a frame of the source that lie in memory."""
    frame = stack[level]
    context = StateContext(state, debug, level, stack=stack)
    for variable in frame.scope.visible(frame.code.pc) if frame.scope is not None else ():
        place = variable.locate(context)
        if variable.is_global or not isinstance(place, InMemory) or place.memory:
            continue
        try:
            value = TypedValue.of_variable(variable, context)
            size, text = variable.type.size or value.size, format_value(value)
        except ExpressionError as error:
            size, text = variable.type.size or 1, f"<error: {error}>"
        yield StackSlot(place.address, size, variable.name, variable.type.name, text)
