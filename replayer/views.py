"""What the debugger shows: plain values that any front end prints (REPL, JSON, later DAP and a Python API).

All of them are immutable and hold no engine state, so they may be kept after the debugger moved on.
Imports base modules only.
"""

from __future__ import annotations

import enum
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from ttd.events import HostCall
from ttd.types import Ending, Location, Position, Value


class StopKind(enum.Enum):
    """Why a motion stopped. Where several reasons hold at one position, the first of this order is given."""

    BREAKPOINT = "breakpoint"
    """At least one code breakpoint hit: see `StopReport.breakpoints`."""
    WATCHPOINT = "watchpoint"
    """The instruction here writes to a watched place: see `StopReport.changes`."""
    CATCHPOINT = "catchpoint"
    """Standing at a host call or trap that is caught."""
    SCOPE = "scope"
    """The frame to which a watchpoint belongs begins or has just ended here: see `message`."""
    FINISHED = "finished"
    """The frame was left: `StopReport.returned` says with what, where that is known."""
    MOVED = "moved"
    """The motion came to where it was meant to come (step, next, stepi, until, advance, goto)."""
    BEGIN = "begin"
    """The begin of the recording: no way further back."""
    ENDED = "ended"
    """The end of the run: `StopReport.ending` says how it ended."""
    END_OF_TRACE = "end of trace"
    """The recording was interrupted or cut off here: what came next is not known."""
    INTERRUPTED = "interrupted"
    """`Debugger.interrupt` was called. A search backward is given up where it began."""


@dataclass(frozen=True, slots=True)
class Where:
    """A place in time and in the program. Of the innermost frame unless said otherwise."""

    position: Position
    percent: float
    """How much of the run is behind us, 0 to 100."""
    event: int
    """Number of the next host call: how many are behind us."""
    function: str | None
    """Name of the function; None once the run has returned."""
    function_index: int | None
    location: Location | None
    """Source line, where debug information knows it."""
    pc: int | None
    """Byte offset in the module file of the next instruction; None once the run has returned."""
    level: int = 0
    """Number of the frame that is described, 0 = innermost."""
    hidden: int = 0
    """How many inlined functions begin here, of which one stands at the call: `step` enters them without any
    instruction."""
    mid_line: bool = False
    """True if pc is in the middle of its source line (gdb then prints the address too)."""


@dataclass(frozen=True, slots=True)
class WatchChange:
    """What the instruction at the stop writes to a watched place."""

    number: int
    expression: str
    old: str
    """The value before the instruction, formatted by its type."""
    new: str
    """The value after it."""


@dataclass(frozen=True, slots=True)
class StopReport:
    """The outcome of a motion."""

    reason: StopKind
    where: Where
    message: str = ""
    """What to tell the user about the reason, in gdb's words; may have several lines; "" for a plain step."""
    breakpoints: tuple[int, ...] = ()
    """Numbers of all breakpoints, watchpoints and catchpoints that hit here."""
    changes: tuple[WatchChange, ...] = ()
    call: HostCall | None = None
    """The host call whose call instruction comes next, if standing at one."""
    ending: Ending | None = None
    """How the run ended, when standing at its end."""
    returned: str | None = None
    """The value returned by the frame that `finish` left, formatted; None if void or not known."""


class BreakpointKind(enum.Enum):
    """What a numbered breakpoint stops at."""

    CODE = "breakpoint"
    WATCH = "watchpoint"
    CATCH = "catchpoint"


@dataclass(frozen=True, slots=True)
class Place:
    """One machine location of a breakpoint. `pc` is a byte offset in the module file."""

    function: int
    """The function with the code."""
    pc: int
    function_name: str
    """The function of the source: another one, where it is inlined."""
    location: Location | None
    hidden: int = 0
    """How many functions that are inlined at `pc` are not entered yet where it stops."""


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A breakpoint, watchpoint or catchpoint as it is now (a later change makes a new value)."""

    number: int
    kind: BreakpointKind
    what: str
    """What the user gave: ``queue.c:41``, ``q->n``, ``call fd_write``."""
    enabled: bool = True
    temporary: bool = False
    condition: str | None = None
    ignore: int = 0
    """How many hits are still to be ignored."""
    hits: int = 0
    """How often it stopped a motion or was ignored, in either direction."""
    places: tuple[Place, ...] = ()
    """Where it is set (CODE)."""
    memory: int = 0
    address: int = 0
    length: int = 0
    """The watched bytes (WATCH)."""
    any_write: bool = False
    """WATCH: also stop at writes that do not change the bytes."""
    scope: Position | None = None
    """WATCH: entry of the frame that the watched variable lives in; None for static and heap places."""
    scope_function: str | None = None
    calls: frozenset[int] = field(default_factory=frozenset)
    """CATCH: the function indices of the imports that are caught (`catch call`)."""
    traps: bool = False
    """CATCH: the trap that ends the run is caught (`catch trap`)."""
    note: str = ""
    """Something to tell the user about how it was set, such as a line that was moved; often empty."""


@dataclass(frozen=True, slots=True)
class VariableView:
    """A variable with its value as text. `type` is spelled in C."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class FrameView:
    """A frame of the call stack, level 0 = innermost."""

    level: int
    function_index: int
    function: str
    pc: int
    location: Location | None
    arguments: tuple[VariableView, ...]
    """Empty for functions without debug information."""
    entry: Position
    selected: bool = False
    is_inlined: bool = False
    """Whether the function was put into that of the next frame. Both then have one WebAssembly frame, and so
    function index, pc and entry in common."""
    scope: int = 0
    """What tells frames apart that have these in common; 0 without debug information."""
    note: str = ""
    """``(tail call from middle)``: that the frame of its caller is gone, and whose that was, if known."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a source listing; `number` counts from 1."""

    number: int
    text: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class SourceView:
    """A piece of a source file. `path` is as the debug information spells it."""

    path: str
    lines: tuple[SourceLine, ...]


@dataclass(frozen=True, slots=True)
class DisassemblyLine:
    """One instruction of a listing. `text` is indented by block depth."""

    pc: int
    text: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class WasmValue:
    """A WebAssembly local, operand or global: `name` is "" where the module gives none."""

    index: int
    name: str
    type: str
    value: Value
    text: str
    """The value for people: floats as floats, integers in decimal."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a long motion is. `backward` says that it searches toward the past (positions then go down)."""

    position: Position
    percent: float
    backward: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a value: what the instruction at `position` made of it."""

    position: Position
    function: str
    """The function of the source; of code that is inlined there, the inlined one."""
    location: Location | None
    pc: int
    old: str | None
    """The value before; None where the place did not hold this value yet, as before a call's argument."""
    new: str
    call: HostCall | None = None
    """The host call that wrote it."""
    is_argument: bool = False
    """Whether the instruction is the call that passed it, the change being a parameter's first value."""


class HopKind(enum.Enum):
    """What happened to a value at a hop. The first ones lead on; where a value ends is one of the others."""

    WRITTEN = "written to memory"
    COPIED = "copied from memory to memory"
    ASSIGNED = "put into a WebAssembly local or global"
    CHOSEN = "chosen by a condition"
    CONVERTED = "converted"
    PASSED = "passed to a function"
    RETURNED = "returned by a function"
    COMPUTED = "computed"
    CONSTANT = "a constant of the code"
    INITIAL = "there since the beginning"
    HOST = "entered from the host"
    INVOKED = "an argument of the run"
    LOST = "not followed"

    @property
    def is_end(self) -> bool:
        """Whether a value leads no further back from here."""
        return self not in _LEADING


_LEADING = frozenset({
    HopKind.WRITTEN, HopKind.COPIED, HopKind.ASSIGNED, HopKind.CHOSEN, HopKind.CONVERTED, HopKind.PASSED,
    HopKind.RETURNED,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hop:
    """A station of a value on its way, seen from its end. `text` says what happened there, for people."""

    kind: HopKind
    text: str
    position: Position
    function: str | None
    location: Location | None
    pc: int | None
    value: str
    """The value, or the part of it that is followed, as it was there."""
    call: HostCall | None = None
    """For HOST: the call."""


T = TypeVar("T")


class Trail(Iterator[T]):
    """What a search of the past finds, one after the other, newest first.

    Whenever one has been handed out, the debugger stands where it stood before. When there are no more,
    `ending` says what lies before the last one.
    """

    def __init__(self, found: Generator[T, None, str | None]) -> None:
        """`found` returns the ending; None if the user asked to stop."""
        self._found = found
        self.ending = ""
        self.interrupted = False
        """Whether `Debugger.interrupt` ended it."""

    def __next__(self) -> T:
        try:
            return next(self._found)
        except StopIteration as stop:
            ending: str | None = stop.value if not self.ending else self.ending
            self.interrupted = self.interrupted or ending is None
            self.ending = "Interrupted." if ending is None else ending
            raise StopIteration from None
