"""What hosts may offer besides `protocol.Host`, so that the compiled engine makes calls without Python.

An engine asks for these abilities by isinstance; a host without them is called for everything.

May import base and, for types only, wasmtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ttd.calllog import CallLog
from ttd.events import MemoryWrite
from ttd.state import Memory
from ttd.types import Position, Value

if TYPE_CHECKING:
    import wasmtime


@dataclass(frozen=True, slots=True)
class NativeCalls:
    """Functions of WASI that instrumented code may call by itself."""

    memory: int
    """Number of the guest's memory that WASI works on."""
    functions: Mapping[int, tuple[str, wasmtime.Func]]
    """By function index: its name in WASI, and the function, in the store of the guest's memories. It looks
    for an export ``memory`` in the instance that calls it."""


class RunningCalls(Protocol):
    """The calls that instrumented code makes by itself. Another thread may look at them."""

    def pending(self) -> Position | None:
        """Where the call that is under way was made; None if none is."""
        ...

    def drain(self) -> None:
        """Give the host those calls which it does not have yet, if one is under way (so that the engine's
        thread stands still): when it may take long."""
        ...

    def set_terminals(self, terminals: int) -> None:
        """Which of the descriptors 0 to 2 are terminals, as bits."""
        ...

    def set_aside(self, wanted: bool) -> None:
        """Whether the calls by which the program talks to a terminal are left to Python. On the engine's
        thread."""
        ...

    tail: int
    """The last byte that the program has written to a terminal. Known on the engine's thread."""


@runtime_checkable
class NativeRecording(Protocol):
    """A recording host some of whose functions need no Python."""

    def native_calls(self, memories: Sequence[Memory]) -> NativeCalls | None:
        """What instrumented code may call, if anything. Asked before the first call."""
        ...

    def attend(self, calls: RunningCalls) -> None:
        """From now on `calls` tells what is under way."""
        ...

    def record_calls(self, calls: CallLog) -> None:
        """These calls were made since the last ones that the host knows of."""
        ...

    def record_trap(
        self,
        function: int,
        arguments: tuple[Value, ...],
        reads: tuple[MemoryWrite, ...],
        position: Position,
        error: Exception,
        memories: Sequence[Memory],
    ) -> str:
        """A native call has trapped with `error` of Wasmtime; the message for the trap."""
        ...


@runtime_checkable
class BulkAnswers(Protocol):
    """A replaying host that can tell the answers to many calls beforehand."""

    def answers(self, event: int, size: int) -> tuple[CallLog, int] | None:
        """Calls from the log, and how many of them are before event number `event`. About `size` bytes are
        wanted; there may be more, up to `ttd.calllog.ROOM`. None if that event has no raw form.

        What is wrong with the log is not reported here but by `Host.call`.
        """
        ...
