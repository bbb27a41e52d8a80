"""Backtraces with names, arguments and lines.

May import base, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttd.debuginfo import DebugInfo
from ttd.expr.format import Limits, format_value
from ttd.expr.values import StateContext, TypedValue
from ttd.state import State
from ttd.types import Location

ARGUMENT_LIMITS = Limits(elements=40, depth=2)
"""Arguments are kept short."""


@dataclass(frozen=True, slots=True)
class FrameDescription:
    """One frame of a backtrace. `number` 0 is the innermost."""

    number: int
    function: int
    name: str
    pc: int
    arguments: tuple[tuple[str, str], ...]
    """(name, formatted value) of each parameter; empty without debug information."""
    location: Location | None
    place: str
    """Where it stands, for people: ``queue.c:41``, or ``0x1f3`` (a byte offset) where no line is known."""

    def __str__(self) -> str:
        """``push (q=0x1234, n=5) at queue.c:41``"""
        arguments = ", ".join(f"{name}={value}" for name, value in self.arguments)
        return f"{self.name} ({arguments}) at {self.place}"


def describe_frame(state: State, debug: DebugInfo, number: int) -> FrameDescription:
    """Frame `number` of a stopped program; `number` must be that of a frame."""
    frame = state.frames[-1 - number]
    location = debug.location(frame.pc)
    if location is not None:
        place = f"{debug.display_path(location.path)}:{location.line}"
    else:
        place = f"{frame.pc:#x}"
    context = StateContext(state, debug, number)
    arguments = tuple(
        (parameter.name, _argument(TypedValue.of_variable(parameter, context)))
        for parameter in debug.parameters(frame.function)
    )
    name = debug.function_name(frame.function)
    return FrameDescription(number, frame.function, name, frame.pc, arguments, location, place)


def _argument(value: TypedValue) -> str:
    """Pointers without their type, structs as ``...``, as in gdb's backtraces."""
    text = format_value(value, limits=ARGUMENT_LIMITS)
    if text.startswith("{"):
        return "..."
    prefix = f"({value.type}) "
    return text.removeprefix(prefix)


def backtrace(state: State, debug: DebugInfo, limit: int | None = None) -> list[FrameDescription]:
    """The frames of a stopped program, innermost first, at most `limit` of them."""
    count = len(state.frames) if limit is None else min(limit, len(state.frames))
    return [describe_frame(state, debug, number) for number in range(count)]


def format_backtrace(state: State, debug: DebugInfo, limit: int = 50) -> str:
    """A backtrace as text, one line for each frame: ``#0  push (q=0x1234, n=5) at queue.c:41``.

    Of more than `limit` frames the outermost half and the innermost half are shown. Empty without frames.
    """
    count = len(state.frames)
    inner = range(count) if count <= limit else range(limit - limit // 2)
    outer = range(0) if count <= limit else range(count - limit // 2, count)
    lines = [_line(describe_frame(state, debug, number)) for number in inner]
    if outer:
        lines.append(f"... {count - limit} more frames ...")
    return "\n".join(lines + [_line(describe_frame(state, debug, number)) for number in outer])


def _line(frame: FrameDescription) -> str:
    return f"#{frame.number:<2} {frame}"
