"""What the log of a recording holds: host calls, in order (DESIGN, section 8).

Imports base modules only.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ttd.types import Position, Value


@dataclass(frozen=True, slots=True)
class MemoryWrite:
    """Bytes that a host call wrote into linear memory number `memory`, from `address` on."""

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
