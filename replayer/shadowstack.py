"""The stack in linear memory, frame by frame: which bytes belong to which call, and what lies in them.

The machine's own frames (`ttd.state.Frame`) are no part of linear memory. Variables that need an address are:
compilers keep a second stack for them. Nothing links its frames, so their bounds are worked out from inside
to outside: the stack pointer now, and by the code of each function how much it took (`ttd.static.prologues`).

May import base, wasm, debuginfo, static, expr and this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ttd.debuginfo import DebugInfo, Variable
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


def stack_frames(state: State, debug: DebugInfo, layout: MemoryLayout) -> list[StackFrame]:
    """The frames of a stopped program, innermost first. Empty for a program without a stack pointer."""
    pointer = layout.stack_pointer
    if pointer is None:
        return []
    value = state.globals[pointer]
    bounds = _Bounds(debug.module, pointer, value if isinstance(value, int) else None)
    frames = []
    for level, live in enumerate(SourceStack(state.frames, debug)):
        if live.is_inlined:
            continue  # what it keeps there is part of its caller's frame
        low, high = bounds.next(live.code, is_innermost=live.number == 0)
        slots = tuple(_slots(state, debug, live.code, low, high))
        frames.append(StackFrame(level, live.name, live.location, low, high, slots))
    return frames


class _Bounds:
    """Works out the bounds of one frame after the other; keeps the stack pointer with which each was
    entered."""

    def __init__(self, module: Module, pointer: int, value: int | None) -> None:
        self._module = module
        self._pointer = pointer
        self._at = value

    def next(self, frame: Frame, is_innermost: bool) -> tuple[int | None, int | None]:
        """Lowest address of a frame, and the one behind it. Call with each frame, innermost first."""
        low = self._at
        use = stack_use(self._module.functions[frame.function].code, self._pointer)
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


def _slots(
    state: State, debug: DebugInfo, frame: Frame, low: int | None, high: int | None
) -> Iterator[StackSlot]:
    """What lies in [low, high)."""
    if low is None or high is None:
        return
    at = low
    for slot in sorted(_variables(state, debug, frame), key=lambda slot: (slot.address, -slot.size)):
        if not at <= slot.address < slot.address + slot.size <= high:
            continue
        if slot.address > at:
            yield StackSlot(at, slot.address - at)
        yield slot
        at = slot.address + slot.size
    if at < high:
        yield StackSlot(at, high - at)


def _variables(state: State, debug: DebugInfo, frame: Frame) -> Iterator[StackSlot]:
    """The visible variables of a frame that lie in memory, those of functions inlined into it too."""
    alone = replace(state, frames=[frame])
    for level, scope in enumerate(debug.scopes(frame.pc)):
        yield from _variables_of(scope.visible(frame.pc), StateContext(alone, debug, level))


def _variables_of(variables: list[Variable], context: StateContext) -> Iterator[StackSlot]:
    for variable in variables:
        place = variable.locate(context)
        if variable.is_global or not isinstance(place, InMemory) or place.memory:
            continue
        try:
            value = TypedValue.of_variable(variable, context)
            size, text = variable.type.size or value.size, format_value(value)
        except ExpressionError as error:
            size, text = variable.type.size or 1, f"<error: {error}>"
        yield StackSlot(place.address, size, variable.name, variable.type.name, text)
