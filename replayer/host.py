"""The other side of the imports during a replay: answers come from the log, nothing real is touched.

Arguments and positions are compared with the log, and the first difference is a `Divergence`. The log
is untrusted: what it says is written to memory only after its bounds were checked.

May import base, wasm, engine and store.
"""

from __future__ import annotations

from collections.abc import Sequence

from ttd.calllog import CallLog
from ttd.engine.protocol import EndOfLog, HostExit, HostTrap
from ttd.errors import DamagedTrace, Divergence, TtdError
from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.replayer.recording import Recording
from ttd.state import Memory
from ttd.types import EndKind, Position, Value
from ttd.wasm.model import Module
from ttd.wasm.values import are_of_types


def import_name(module: Module, function: int) -> str:
    """The name of import number `function` without its module, such as ``fd_write``."""
    if function < len(module.functions):
        imported = module.functions[function].imported
        if imported is not None:
            return imported.name
    return f"func[{function}]"


class ReplayHost:
    """Answers host calls from `trace`. Implements `ttd.engine.protocol.Host`, and `BulkAnswers` besides."""

    def __init__(self, trace: Recording, module: Module) -> None:
        self._trace = trace
        self._module = module
        self._next = 0
        self._writes: tuple[MemoryWrite, ...] = ()

    @property
    def answered(self) -> int:
        """How many events lie behind; more than in the engine's state once a call has ended the run."""
        return self._next

    @property
    def last_writes(self) -> tuple[MemoryWrite, ...]:
        """What the call answered last wrote (`ttd.engine.protocol.WriteReporting`)."""
        return self._writes

    def seek(self, event: int) -> None:
        """The next call is event number `event`."""
        self._next = event

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        """Answer a call as the log has it. Raises as `Host.call` says."""
        event = self._expected(function, arguments, position)
        same = (event.function, event.arguments) == (function, arguments)
        if not (same and event.position.agrees(position)):
            raise Divergence(
                position,
                f"{self._describe(event.function, event.arguments)} at {event.position}",
                f"{self._describe(function, arguments)} at {position}",
            )
        for write in event.writes:
            self._write(write, event, memories)
        self._next += 1
        self._writes = event.writes
        if event.outcome is Outcome.EXITED:
            raise HostExit(event.code)
        if event.outcome is Outcome.TRAPPED:
            raise HostTrap(event.message)
        self._check_results(event)
        return event.results

    def answers(self, event: int, size: int) -> tuple[CallLog, int] | None:
        """The answers from event number `event` on; see `ttd.engine.bulk.BulkAnswers`."""
        try:
            return self._trace.call_log(event, size) if event < self._trace.event_count else None
        except TtdError:  # `call` tells what is wrong, when the event is due.
            return None

    def _expected(self, function: int, arguments: tuple[Value, ...], position: Position) -> HostCall:
        """The next event of the log; EndOfLog if the log was cut off, a divergence if it was not."""
        if self._next < self._trace.event_count:
            return self._trace.event(self._next)
        if self._trace.ending.kind in (EndKind.INTERRUPTED, EndKind.CUT_OFF):
            raise EndOfLog
        raise Divergence(position, "no further host call", self._describe(function, arguments))

    def _write(self, write: MemoryWrite, event: HostCall, memories: Sequence[Memory]) -> None:
        end = write.address + len(write.data)
        if write.memory >= len(memories) or write.address < 0:
            raise DamagedTrace(f"event {event.number} of the trace writes to a memory that does not exist")
        view = memories[write.memory].view()
        if end > len(view):
            raise DamagedTrace(f"event {event.number} of the trace writes outside of memory (to {end:#x})")
        view[write.address : end] = write.data

    def _check_results(self, event: HostCall) -> None:
        types = self._module.functions[event.function].type.results
        if len(event.results) != len(types):
            raise DamagedTrace(
                f"event {event.number} of the trace has {len(event.results)} results, not {len(types)}"
            )
        if not are_of_types(self._module, event.results, types):
            raise DamagedTrace(f"event {event.number} of the trace has a result of the wrong type")

    def _describe(self, function: int, arguments: tuple[Value, ...]) -> str:
        listed = ", ".join(str(argument) for argument in arguments)
        return f"{import_name(self._module, function)}({listed})"
