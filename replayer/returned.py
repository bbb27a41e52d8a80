"""What a frame returned, seen from its caller just after.

May import base, wasm, debuginfo, expr and this package.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.types import FunctionType, Type
from ttd.errors import ExpressionError
from ttd.expr import StateContext, format_bytes
from ttd.replayer.inspect import wasm_text
from ttd.replayer.session import Session
from ttd.replayer.timeline import Timeline
from ttd.types import Position, Value
from ttd.wasm.model import ValType


@dataclass(frozen=True, slots=True)
class Leaving:
    """What has to be known of a frame before it is left: its function, and its callers' operand stacks."""

    function: int
    heights: dict[Position, int]

    @classmethod
    def of(cls, session: Session, level: int) -> Leaving:
        """Of frame `level`, which there must be."""
        frames = session.state.frames
        callers = frames[: len(frames) - 1 - level]
        heights = {frame.entry: len(frame.operands) for frame in callers}
        return cls(frames[-1 - level].function, heights)


def returned_value(leaving: Leaving, session: Session, timeline: Timeline, debug: DebugInfo) -> str | None:
    """The value that was returned, as text; None if there is none, or the frame did not return.

    The machine stands at the first rest after the frame is gone, and stands there afterwards. Results are
    then on top of the caller's operands, wherever the call stands: whatever completes a call before the
    next rest only passes them on.
    """
    types = session.module.functions[leaving.function].type.results
    frames = session.state.frames
    if not types or not frames or _was_thrown_out(session, timeline):
        return None
    top = session.state.frames[-1]
    height = leaving.heights.get(top.entry)
    if height is None or len(top.operands) < height + len(types):
        return None
    values = top.operands[-len(types) :]
    if len(types) > 1:
        listed = ", ".join(wasm_text(type_, value) for type_, value in zip(types, values, strict=True))
        return f"({listed})"
    return _formatted(types[0], values[0], leaving.function, session, debug)


def _was_thrown_out(session: Session, timeline: Timeline) -> bool:
    """Whether an exception led here: the instruction before this place threw."""
    if not session.module.tags:
        return False
    here = session.position
    timeline.seek(timeline.back(1))
    frames = session.state.frames
    thrown = bool(frames) and _mnemonic(session, frames[-1].function, frames[-1].pc) in ("throw", "throw_ref")
    timeline.seek(here)
    return thrown


def _mnemonic(session: Session, function: int, pc: int) -> str:
    body = session.module.functions[function].body
    found = (i.op.mnemonic for i in body.instructions if i.offset == pc) if body is not None else iter(())
    return next(found, "")


def _formatted(type_: ValType, value: Value, function: int, session: Session, debug: DebugInfo) -> str:
    declared = _declared(debug.function_type(function))
    if declared is not None and declared.size is not None and type_.size and isinstance(value, int):
        data = value.to_bytes(type_.size, "little")
        if declared.size <= len(data):
            try:
                context = StateContext(session.state, debug)
                return format_bytes(declared, data[: declared.size], context)
            except ExpressionError:
                pass
    return wasm_text(type_, value)


def _declared(type_: Type | None) -> Type | None:
    stripped = type_.strip() if type_ is not None else None
    return stripped.result if isinstance(stripped, FunctionType) else None
