"""What a host call comes to, whoever performs it: WASI or a host function in Python.

Imports base modules only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ttd.events import MemoryWrite, Outcome
from ttd.state import Memory
from ttd.types import Value


@dataclass(frozen=True, slots=True)
class Performed:
    """What came of a host call: everything that the log is to hold about it (see `ttd.events.HostCall`)."""

    results: tuple[Value, ...] = ()
    writes: tuple[MemoryWrite, ...] = ()
    reads: tuple[MemoryWrite, ...] = ()
    outcome: Outcome = Outcome.RETURNED
    code: int = 0
    message: str = ""


def trapped(message: str, writes: tuple[MemoryWrite, ...] = ()) -> Performed:
    """A call that failed and traps the guest, saying `message`."""
    return Performed(writes=writes, outcome=Outcome.TRAPPED, message=message)


class Callee(Protocol):
    """Something that performs the calls of one import."""

    def __call__(self, arguments: tuple[Value, ...], memories: Sequence[Memory]) -> Performed:
        """Perform a call. What goes wrong in it is an outcome, not an exception."""
        ...
