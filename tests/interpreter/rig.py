"""What the interpreter's tests share: machines from text, a host that answers by rule, lists of all rests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import wasmtime

from ttd.engine.protocol import EndOfLog, Invocation, Limits, Program
from ttd.events import MemoryWrite
from ttd.interpreter import Interpreter
from ttd.state import Frame, Memory, Snapshot
from ttd.types import Position, StopReason, Value
from ttd.wasm.decode import decode
from ttd.wasm.model import Module

Answer = Callable[[tuple[Value, ...], Sequence[Memory]], tuple[Value, ...]]


@dataclass
class RuleHost:
    """Answers the imports by functions of their arguments, so that every replay of a call is the same.

    It writes through `write`, which is reported as the protocol asks. Calls from `log_end` on are not known.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    log_end: int = 1 << 60
    calls: list[tuple[int, str, tuple[Value, ...], Position]] = field(default_factory=list)
    next_event: int = 0
    last_writes: list[MemoryWrite] = field(default_factory=list)
    module: Module | None = None

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        assert self.module is not None
        imported = self.module.functions[function].imported
        assert imported is not None
        if self.next_event >= self.log_end:
            raise EndOfLog
        self.last_writes = []
        self.calls.append((self.next_event, imported.name, arguments, position))
        results = self.answers[imported.name](arguments, memories)
        self.next_event += 1
        return results

    def seek(self, event: int) -> None:
        self.next_event = event

    def write(self, memories: Sequence[Memory], address: int, data: bytes) -> None:
        memories[0].view()[address : address + len(data)] = data
        self.last_writes.append(MemoryWrite(0, address, data))


def module_of(text: str) -> Module:
    return decode(bytes(wasmtime.wat2wasm(text)))


def machine(
    text: str | Module,
    *arguments: int,
    export: str = "main",
    host: RuleHost | None = None,
    limits: Limits | None = None,
) -> Interpreter:
    """A machine that is about to run an export of a module."""
    module = module_of(text) if isinstance(text, str) else text
    host = host or RuleHost()
    host.module = module
    invocation = Invocation(module.exports_by_name[export].index, arguments)
    return Interpreter(Program(module, (invocation,), limits or Limits()), host)


@dataclass(frozen=True)
class Rest:
    """The machine at one rest: a snapshot, and its hash."""

    snapshot: Snapshot
    digest: bytes

    @property
    def position(self) -> Position:
        return self.snapshot.position

    @property
    def innermost(self) -> Frame:
        return self.snapshot.frames[-1]

    @property
    def entries(self) -> frozenset[Position]:
        return frozenset(frame.entry for frame in self.snapshot.frames)


def rest_of(engine: Interpreter, previous: Rest | None = None) -> Rest:
    snapshot = Snapshot.capture(engine.state, previous.snapshot if previous else None)
    return Rest(snapshot, snapshot.digest())


def all_rests(engine: Interpreter, most: int = 20_000) -> list[Rest]:
    """The machine at every rest from here to the end, by single steps; the end itself comes last."""
    rests = [rest_of(engine)]
    while len(rests) < most:
        stop = engine.step()
        rests.append(rest_of(engine, rests[-1]))
        if stop.reason is not StopReason.LIMIT:
            return rests
    raise AssertionError("the program does not end")
