"""What the log of a recording holds: host calls, in order.

Imports base modules only.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ttd.types import Position, Value


@dataclass(frozen=True, slots=True)
class MemoryWrite:
    """Bytes of linear memory number `memory`, from `address` on, that a host call wrote (or was given)."""

    memory: int
    address: int
    data: bytes


class Outcome(enum.Enum):
    """How a host call ended."""

    RETURNED = "returned"
    EXITED = "exited"
    """It ended the program (proc_exit); `HostCall.code` says with what."""
    TRAPPED = "trapped"
    """It failed and trapped the program; `HostCall.message` says why."""


@dataclass(frozen=True, slots=True)
class HostCall:
    """One call of an imported function: an event of the log.

    `number` counts from 0. `position` is that of the call instruction. `function` is the index of the
    import in the function index space. `writes` are in the order in which they were made.

    `reads` are bytes that the call was given through memory, as they were before it: paths, the beginning
    of what it wrote to a file. Replay does not need them; a listing of events shows them. They are kept
    apart from `writes` because a watchpoint must not take them for writes.
    """

    number: int
    position: Position
    function: int
    arguments: tuple[Value, ...]
    results: tuple[Value, ...] = ()
    writes: tuple[MemoryWrite, ...] = ()
    outcome: Outcome = Outcome.RETURNED
    code: int = 0
    message: str = ""
    reads: tuple[MemoryWrite, ...] = ()
