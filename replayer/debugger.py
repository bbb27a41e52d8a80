"""The debugger: one façade that every front end calls.

A front end opens a `Trace`, makes a `Debugger` of it and calls its methods; it needs nothing else of
this package but the values in `ttd.replayer.views`. Everything that can go wrong is a `TtdError`.
Not thread-safe, but for `interrupt`.

May import base, wasm, engine, interpreter, debuginfo, expr, store and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from ttd.engine.protocol import Engine, Host, Program
from ttd.events import HostCall
from ttd.replayer.views import (
    Breakpoint,
    DisassemblyLine,
    FrameView,
    Progress,
    SourceView,
    StopReport,
    VariableView,
    WasmValue,
    Where,
)
from ttd.types import Ending, Position

if TYPE_CHECKING:
    from ttd.debuginfo import DebugInfo
    from ttd.expr import TypedValue
    from ttd.store.trace import Trace
    from ttd.wasm.model import Module
    from ttd.wasm.names import Names

EngineFactory: TypeAlias = "Callable[[Program, Host], Engine]"


@dataclass(frozen=True, slots=True)
class ToPosition:
    """A position of the run."""

    position: Position


@dataclass(frozen=True, slots=True)
class ToEvent:
    """The call instruction of host call `number`."""

    number: int


@dataclass(frozen=True, slots=True)
class ToPercent:
    """A share of the run, 0 to 100, by ticks."""

    percent: float


@dataclass(frozen=True, slots=True)
class ToBegin:
    """The first position of the run."""


@dataclass(frozen=True, slots=True)
class ToEnd:
    """The last position of the run."""


Target: TypeAlias = "ToPosition | ToEvent | ToPercent | ToBegin | ToEnd"


def parse_target(text: str) -> Target:
    """The target written as ``1200:7``, ``1200``, ``event 5``, ``37%``, ``begin`` (``start``) or ``end``.

    Raises UsageError for anything else.
    """
    raise NotImplementedError


class Debugger:
    """A replay of one trace, standing somewhere in it. A context manager; `close` frees the engine.

    Motions return a `StopReport`. Motions forward at the end and backward at the begin do not move and
    say so (ENDED, END_OF_TRACE, BEGIN). All motions but `goto` stop at the user's breakpoints too.
    After every motion frame 0 is selected.
    """

    def __init__(
        self,
        trace: Trace,
        engine: EngineFactory | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """Load the program of `trace` and stand at its begin. `engine` None: the interpreter.

        `progress` is called some ten times a second during long motions, on the caller's thread.
        The trace stays the caller's: closing the debugger does not close it.
        """
        raise NotImplementedError

    def __enter__(self) -> Debugger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine. Idempotent."""
        raise NotImplementedError

    # --- what there is -------------------------------------------------------------------------------

    trace: Trace
    module: Module
    debug: DebugInfo
    names: Names
    progress: Callable[[Progress], None] | None

    @property
    def position(self) -> Position:
        """Where the machine stands."""
        raise NotImplementedError

    @property
    def begin(self) -> Position:
        """The first position of the run."""
        raise NotImplementedError

    @property
    def end(self) -> Position:
        """The last position of the run, as far as it was recorded."""
        raise NotImplementedError

    @property
    def ending(self) -> Ending:
        """How the recorded run ended."""
        raise NotImplementedError

    @property
    def event(self) -> int:
        """Number of the next host call: how many are behind us."""
        raise NotImplementedError

    def percent(self, position: Position | None = None) -> float:
        """How much of the run lies before `position` (None: here), 0 to 100, by ticks."""
        raise NotImplementedError

    def where(self, level: int | None = None) -> Where:
        """The place of frame `level` (None: the selected frame). Raises UsageError if there is no such frame."""
        raise NotImplementedError

    def call_here(self) -> HostCall | None:
        """The host call whose call instruction comes next, if standing at one."""
        raise NotImplementedError

    # --- motions -------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop the motion under way soon. The only method that other threads and signal handlers may call."""
        raise NotImplementedError

    def goto(self, target: Target) -> StopReport:
        """Go to a place in time; breakpoints are not heeded.

        A step that its tick does not have leads to the next position there is, and the message says so.
        Raises UsageError for a target outside the recording.
        """
        raise NotImplementedError

    def stepi(self, count: int = 1, reverse: bool = False) -> StopReport:
        """Go `count` rests on (or back): one instruction each, or a tick. Exact inverses of each other."""
        raise NotImplementedError

    def step(self, count: int = 1, reverse: bool = False) -> StopReport:
        """Go to the next start of a source line in any function with line information.

        Also stops in the caller, in the middle of its line, when the function returns. Reverse: the last
        such place before here. Functions without line information are stepped over.
        """
        raise NotImplementedError

    def next(self, count: int = 1, reverse: bool = False) -> StopReport:
        """As `step`, but stepping over calls.

        Reverse stays in the frame too, and goes to the line of the call in the caller from the first line.
        """
        raise NotImplementedError

    def finish(self, reverse: bool = False) -> StopReport:
        """Run until the selected frame has returned; report what it returned.

        Reverse: back to the call instruction of the selected frame, in its caller.
        Raises UsageError in the outermost frame (forward: as gdb).
        """
        raise NotImplementedError

    def until(self, spec: str | None = None, reverse: bool = False) -> StopReport:
        """Without `spec`: `next`, but never to an earlier place of the function (so out of loops).

        With it: until that place is reached in the selected frame (or anywhere, if it lies in another
        function), or the selected frame is left. Reverse: the same toward the past.
        """
        raise NotImplementedError

    def advance(self, spec: str, reverse: bool = False) -> StopReport:
        """Until the place is reached in any frame, or the selected frame is left."""
        raise NotImplementedError

    def continue_(self, count: int = 1, reverse: bool = False) -> StopReport:
        """Go on to the next stop. A `count` above 1 ignores the breakpoint here count-1 times, as gdb."""
        raise NotImplementedError

    # --- breakpoints ---------------------------------------------------------------------------------

    @property
    def breakpoints(self) -> Sequence[Breakpoint]:
        """All breakpoints, watchpoints and catchpoints by number."""
        raise NotImplementedError

    def break_(
        self,
        spec: str | None = None,
        temporary: bool = False,
        condition: str | None = None,
        ignore: int = 0,
    ) -> Breakpoint:
        """Set a breakpoint at ``function``, ``file:line``, ``line``, ``*address`` or (None) here.

        Raises UsageError if there is no such place, ExpressionError if the condition does not parse.
        """
        raise NotImplementedError

    def watch(self, expression: str, any_write: bool = False, condition: str | None = None) -> Breakpoint:
        """Watch the place in memory that `expression` names now; stops stand before the writing instruction.

        Also ``*address`` and ``address, length`` (watch raw bytes). With `any_write`, writes that leave
        the bytes as they are stop too. A variable of the selected frame is watched while that frame lives.
        Raises ExpressionError if it does not name a place in memory.
        """
        raise NotImplementedError

    def catch(self, what: str, names: Sequence[str] = (), condition: str | None = None) -> Breakpoint:
        """Stop at host calls (`what` "call" or "syscall"; only those called `names`, if any) or at "trap".

        Names are those of imports, with or without their module (``fd_write``). Raises UsageError.
        """
        raise NotImplementedError

    def delete(self, number: int | None = None) -> None:
        """Delete a breakpoint, or all of them. Raises UsageError if there is no such breakpoint."""
        raise NotImplementedError

    def enable(self, number: int | None = None) -> None:
        """Enable a breakpoint, or all. Raises UsageError."""
        raise NotImplementedError

    def disable(self, number: int | None = None) -> None:
        """Disable a breakpoint, or all. Raises UsageError."""
        raise NotImplementedError

    def ignore(self, number: int, count: int) -> Breakpoint:
        """Ignore the next `count` hits of a breakpoint, in either direction. Raises UsageError."""
        raise NotImplementedError

    def condition(self, number: int, condition: str | None) -> Breakpoint:
        """Set or (None) remove the condition of a breakpoint. Raises UsageError, ExpressionError."""
        raise NotImplementedError

    # --- frames and data -----------------------------------------------------------------------------

    def frames(self, limit: int | None = None) -> list[FrameView]:
        """The call stack, innermost first; at most `limit` frames. Empty once the run has returned."""
        raise NotImplementedError

    @property
    def frame_count(self) -> int:
        """How deep the call stack is."""
        raise NotImplementedError

    @property
    def selected(self) -> int:
        """Level of the selected frame, 0 = innermost."""
        raise NotImplementedError

    def select_frame(self, level: int) -> FrameView:
        """Select a frame for looking at data and for `finish`. Raises UsageError if there is no such frame."""
        raise NotImplementedError

    def up(self, count: int = 1) -> FrameView:
        """Select the caller. Raises UsageError at the outermost frame; stops there if `count` is too large."""
        raise NotImplementedError

    def down(self, count: int = 1) -> FrameView:
        """Select the callee. Raises UsageError at the innermost frame."""
        raise NotImplementedError

    def locals(self) -> list[VariableView]:
        """Local variables in scope in the selected frame, innermost scope first, without its parameters."""
        raise NotImplementedError

    def arguments(self) -> list[VariableView]:
        """Parameters of the selected frame."""
        raise NotImplementedError

    def variable_names(self) -> list[str]:
        """Names in scope in the selected frame, globals included: for completion."""
        raise NotImplementedError

    def evaluate(self, expression: str) -> TypedValue:
        """Evaluate in the selected frame. Raises ExpressionError."""
        raise NotImplementedError

    def print_(self, expression: str, fmt: str | None = None) -> str:
        """The value of an expression as gdb prints it; `fmt` one of gdb's letters (x d u o t c a f s)."""
        raise NotImplementedError

    def type_of(self, expression: str) -> str:
        """The type of an expression, spelled in C (ptype, whatis)."""
        raise NotImplementedError

    def source(self, around: int = 10, spec: str | None = None) -> SourceView | None:
        """About `around` lines of source about the selected frame's line, or about `spec`.

        None where there is no line information or the file is neither in the trace nor on disk.
        """
        raise NotImplementedError

    def source_lines(self, path: str, first: int, last: int) -> SourceView | None:
        """Lines `first` to `last` of a source file, cut at its end; None if the file is not to be had."""
        raise NotImplementedError

    def disassemble(self, function: str | int | None = None) -> list[DisassemblyLine]:
        """The instructions of a function (None: of the selected frame). Raises UsageError."""
        raise NotImplementedError

    def wasm_locals(self) -> list[WasmValue]:
        """The WebAssembly locals of the selected frame, parameters first."""
        raise NotImplementedError

    def wasm_operands(self) -> list[WasmValue]:
        """The operand stack of the selected frame, outermost first; `type` is "" (not tracked)."""
        raise NotImplementedError

    def wasm_globals(self) -> list[WasmValue]:
        """The WebAssembly globals."""
        raise NotImplementedError

    def read_memory(self, address: int, length: int, memory: int = 0) -> bytes:
        """Bytes of linear memory. Raises UsageError if they do not all lie inside it."""
        raise NotImplementedError
