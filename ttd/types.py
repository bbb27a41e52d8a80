"""The small value types that every part of ttd shares: time, values, traps and stops.

Imports nothing of ttd.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A moment of a run: `step` instructions have completed since tick number `tick`.

    Positions are totally ordered and written ``tick:step`` (``tick:?`` with `UNKNOWN_STEP`). Both numbers
    start at 0. The machine rests at every tick and before every instruction, and at each of those moments
    has exactly one position.
    """

    tick: int
    step: int = 0

    def __str__(self) -> str:
        return f"{self.tick}:{self.step if self.is_exact else '?'}"

    @property
    def is_exact(self) -> bool:
        """Whether the step is known; see `UNKNOWN_STEP`."""
        return self.step != UNKNOWN_STEP

    def agrees(self, other: Position) -> bool:
        """Whether the two may be the same moment, as far as their steps are known."""
        return self.tick == other.tick and (
            self.step == other.step or not self.is_exact or not other.is_exact
        )

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position written as ``tick:step`` or ``tick``; raises ValueError for anything else."""
        match = re.fullmatch(r"(\d{1,20})(?::(\d{1,20}))?", text.strip())
        if match is None:
            raise ValueError(f"not a position: {text!r} (expected tick:step, such as 1200:7)")
        return cls(int(match[1]), int(match[2] or 0))


START = Position(0, 0)

UNKNOWN_STEP = (1 << 62) - 1
"""The step of a position of which only the tick is known; it lies behind all others of that tick.

The compiled engine knows at which tick a host call was made or a run ended; the exact instruction is found
by going to that tick and letting the interpreter walk on.
"""


@dataclass(frozen=True, slots=True, eq=False)
class ExceptionValue:
    """A thrown WebAssembly exception: what an `exnref` refers to. Compared by identity, as references are."""

    tag: int
    payload: tuple[Value, ...]


Value: TypeAlias = "int | ExceptionValue | None"
"""A WebAssembly value at run time, by type:

i32, i64, f32, f64, v128
    the *unsigned* bit pattern as an int (v128: 128 bits, lane 0 in the least significant bits)
funcref
    the index of the function in the module, None for null
externref
    a number that stands for the host's object, None for null
exnref
    an `ExceptionValue`, None for null

Bits, not Python floats, because a debugger must not lose the payload of a NaN.
"""


class TrapKind(enum.Enum):
    """Why execution trapped. The values are the messages of the WebAssembly core test suite."""

    UNREACHABLE = "unreachable"
    DIVIDE_BY_ZERO = "integer divide by zero"
    INTEGER_OVERFLOW = "integer overflow"
    INVALID_CONVERSION = "invalid conversion to integer"
    MEMORY_OUT_OF_BOUNDS = "out of bounds memory access"
    TABLE_OUT_OF_BOUNDS = "out of bounds table access"
    UNDEFINED_ELEMENT = "undefined element"
    UNINITIALIZED_ELEMENT = "uninitialized element"
    INDIRECT_CALL_TYPE = "indirect call type mismatch"
    NULL_REFERENCE = "null reference"
    STACK_EXHAUSTED = "call stack exhausted"
    UNCAUGHT_EXCEPTION = "uncaught exception"
    HOST = "host function failed"


@dataclass(frozen=True, slots=True)
class Trap:
    """A trap: its kind and, for a failing host function, what the host said."""

    kind: TrapKind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value


class EndKind(enum.Enum):
    """How a run ended."""

    EXIT = "exit"
    """The program returned or called proc_exit; `code` says with what."""
    TRAP = "trap"
    """The program trapped; the end position stands before the trapping instruction."""
    INTERRUPTED = "interrupted"
    """The recording was stopped from outside (Ctrl-C, SIGTERM)."""
    CUT_OFF = "cut off"
    """The recorder died; the log is known up to its last committed event, and no further."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run. For EXIT through proc_exit the position is that of the call to it."""

    kind: EndKind
    position: Position
    code: int = 0
    trap: Trap | None = None
    results: tuple[Value, ...] = ()
    """What the last invocation returned, when it returned."""

    def describe(self) -> str:
        """One phrase for people: ``exit code 3``, ``trap: unreachable``."""
        if self.kind is EndKind.EXIT:
            return f"exit code {self.code}"
        if self.kind is EndKind.TRAP:
            return f"trap: {self.trap}"
        return str(self.kind.value)


class StopReason(enum.Enum):
    """Why an engine, or a replay, stopped."""

    LIMIT = "limit"
    """The goal's position was reached."""
    PROBE = "probe"
    """A probe of the goal hit."""
    ENDED = "ended"
    """The run is over: see `Stop.ending`."""
    END_OF_TRACE = "end of trace"
    """The log of a recording that was cut off ends here; nobody knows what came next."""
    INTERRUPTED = "interrupted"
    """The user asked to stop."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place in source code. `line` and `column` count from 1; 0 means unknown."""

    path: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def exact(self) -> str:
        """As text, with the column where that is known."""
        return f"{self}:{self.column}" if self.column else str(self)
