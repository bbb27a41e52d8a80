"""Backtraces with names, arguments and lines.

May import base, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, takewhile

from ttd.debuginfo import DebugInfo, Variable
from ttd.debuginfo.stack import LiveFrame, SourceStack
from ttd.expr.format import Limits, format_value
from ttd.expr.values import StateContext, TypedValue
from ttd.state import State

ARGUMENT_LIMITS = Limits(elements=40, depth=2)
"""Arguments are kept short."""


@dataclass(frozen=True, slots=True)
class FrameDescription:
    """One frame of a backtrace."""

    level: int
    """0 = innermost. A function inlined into another is a frame of its own."""
    frame: LiveFrame
    arguments: tuple[tuple[Variable, str], ...]
    """Each parameter with its formatted value; empty without debug information."""
    place: str | None
    """Where it stands, for people: ``queue.c:41``; None where no line is known."""

    note: str = ""
    """What came between it and its caller: see `tail_call_note`."""

    def __str__(self) -> str:
        """``push (q=0x1234, n=5) at queue.c:41``; without a line ``0x000001f3 in push ()``, a byte offset."""
        arguments = ", ".join(f"{parameter.name}={value}" for parameter, value in self.arguments)
        call = f"{self.frame.name} ({arguments})"
        return f"{self.frame.code.pc:#010x} in {call}" if self.place is None else f"{call} at {self.place}"


def describe_frame(state: State, debug: DebugInfo, stack: SourceStack, level: int) -> FrameDescription:
    """Frame `level` of the stack of a stopped program, which must have it."""
    frame = stack[level]
    place = None
    if frame.location is not None:
        place = f"{debug.display_path(frame.location.path)}:{frame.location.line}"
    context = StateContext(state, debug, level, stack=stack)
    arguments = tuple(
        (parameter, _argument(TypedValue.of_variable(parameter, context)))
        for parameter in (frame.scope.parameters if frame.scope is not None else ())
    )
    return FrameDescription(level, frame, arguments, place, tail_call_note(frame, debug))


def tail_call_note(frame: LiveFrame, debug: DebugInfo) -> str:
    """``(tail call from middle, tail call from first)`` for a frame whose callers are gone; "" for others."""
    if frame.tail_call is None:
        return ""
    gone = [debug.function_name(function) for function in reversed(frame.tail_call.gone)]
    return f"({', '.join(f'tail call from {name}' for name in gone) or 'tail call'})"


def _argument(value: TypedValue) -> str:
    """Pointers without their type, structs as ``...``, as in gdb's backtraces."""
    text = format_value(value, limits=ARGUMENT_LIMITS)
    if text.startswith("{"):
        return "..."
    prefix = f"({value.type}) "
    return text.removeprefix(prefix)


def backtrace(state: State, debug: DebugInfo, limit: int | None = None) -> list[FrameDescription]:
    """The frames of a stopped program, innermost first, at most `limit` of them."""
    stack = SourceStack(state.frames, debug)
    levels = takewhile(stack.has, count() if limit is None else range(limit))
    return [describe_frame(state, debug, stack, level) for level in levels]


def format_backtrace(state: State, debug: DebugInfo, limit: int = 50) -> str:
    """A backtrace as text, one line for each frame: ``#0  push (q=0x1234, n=5) at queue.c:41``.

    Of more than `limit` frames the outermost half and the innermost half are shown. Empty without frames.
    """
    stack = SourceStack(state.frames, debug)
    depth = len(stack)
    inner = range(depth) if depth <= limit else range(limit - limit // 2)
    outer = range(0) if depth <= limit else range(depth - limit // 2, depth)
    lines = [_line(describe_frame(state, debug, stack, level)) for level in inner]
    if outer:
        lines.append(f"... {depth - limit} more frames ...")
    return "\n".join(lines + [_line(describe_frame(state, debug, stack, level)) for level in outer])


def _line(frame: FrameDescription) -> str:
    return f"#{frame.level:<2} {frame}{frame.note and ' '}{frame.note}"
