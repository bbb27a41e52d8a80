"""A bench like `rig`, on which calls go through native gates instead of Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import wasmtime

from tests.recorder.rig import Rig
from ttd.calllog import CallLog
from ttd.engine.bulk import NativeCalls, RunningCalls
from ttd.engine.gates import RecordingGates
from ttd.engine.memory import LinearMemory
from ttd.errors import check
from ttd.events import MemoryWrite
from ttd.instrument.gates import can_record
from ttd.recorder.calls import Performed
from ttd.recorder.wasihost import WasiHost
from ttd.state import Memory
from ttd.types import Position, Value
from ttd.wasi import FUNCTIONS

NAMES = list(FUNCTIONS)
LIMIT = 1 << 40
_TYPES = {"i32": wasmtime.ValType.i32, "i64": wasmtime.ValType.i64}


class GateHost:
    """All 46 functions, through gates where there are some; in place of `WasiHost`.

    It is a recording host (`ttd.engine.bulk.NativeRecording`) too, the one that the gates report to.
    """

    def __init__(self, host: WasiHost, memory: LinearMemory) -> None:
        self._host = host
        self._memory = memory
        self.logs: list[CallLog] = []
        self.native = self.python = 0
        """How many calls went which way."""
        self.tick = 1000
        self._performed = Performed()
        host.prepare([memory])
        callbacks = {index: self._callback(index) for index in range(len(NAMES))}
        native = self.native_calls([memory])
        engine = memory.store.engine
        self.gates = RecordingGates(
            self, native, memory.store, [memory], callbacks, lambda text: wasmtime.Module(engine, text)
        )
        self.gates.set_limit(self.tick, LIMIT)
        self.gates.begin(0)

    def _callback(self, index: int) -> wasmtime.Func:
        function = FUNCTIONS[NAMES[index]]
        params = [_TYPES[core]() for core in (*function.params, "i64")]
        results = [_TYPES[core]() for core in function.results]
        type_ = wasmtime.FuncType(params, results)
        return wasmtime.Func(self._memory.store, type_, lambda *values: self._slow(index, values))

    def _slow(self, index: int, values: Sequence[int]) -> int | None:
        self.gates.before(0, values[-1])
        self.python += 1
        self._performed = self._host.call(NAMES[index], _unsigned(NAMES[index], values), [self._memory])
        return int(str(self._performed.results[0])) if self._performed.results else 0

    def call(self, name: str, arguments: Sequence[int], memories: Sequence[Memory]) -> Performed:
        """Perform a call, as `WasiHost.call`."""
        index = NAMES.index(name)
        if not can_record(name):
            return self._host.call(name, arguments, memories)
        python = self.python
        self.tick += 3
        try:
            self.gates.functions[index](self._memory.store, *_signed(name, arguments), self.tick - LIMIT)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            check(self.gates.trapped(error) is not None, "a gate has trapped by itself")
            return self._performed
        self.gates.end(0)
        if self.python > python:
            check(not self.logs, "a call was logged twice")
            return self._performed
        self.native += 1
        (event,) = self.logs.pop().events(0)
        check((event.function, event.arguments) == (index, tuple(arguments)), f"logged {event}")
        check(event.position.tick == self.tick, f"logged at {event.position}")
        return Performed(event.results, event.writes, event.reads)

    # --- NativeRecording -------------------------------------------------------------------------------

    def native_calls(self, memories: Sequence[Memory]) -> NativeCalls:
        found = {index: (name, self._host.native(name)) for index, name in enumerate(NAMES)}
        return NativeCalls(0, {index: (name, f) for index, (name, f) in found.items() if f is not None})

    def attend(self, calls: RunningCalls) -> None:
        self.running = calls

    def record_calls(self, calls: CallLog) -> None:
        self.logs.append(calls)

    def record_trap(
        self,
        function: int,
        arguments: tuple[Value, ...],
        reads: tuple[MemoryWrite, ...],
        position: Position,
        error: Exception,
        memories: Sequence[Memory],
    ) -> str:
        check(position.tick == self.tick, f"trapped at {position}")
        numbers = [value for value in arguments if isinstance(value, int)]
        self._performed = self._host.trapped(NAMES[function], numbers, reads, memories[0], str(error))
        return self._performed.message


def _unsigned(name: str, values: Sequence[int]) -> list[int]:
    cores = FUNCTIONS[name].params
    return [v % (1 << (64 if core == "i64" else 32)) for v, core in zip(values, cores, strict=False)]


def _signed(name: str, values: Sequence[int]) -> list[int]:
    bits = [64 if core == "i64" else 32 for core in FUNCTIONS[name].params]
    return [v - (1 << b) if v >> (b - 1) else v for v, b in zip(values, bits, strict=True)]


class GateRig(Rig):
    """A `Rig` on gates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gate_host = GateHost(self.host, self.memory)
        self.host = self.gate_host  # type: ignore[assignment]


def gate_rig(folder: Path, **options: object) -> GateRig:
    """A rig whose guest has `folder` as its directory ``box``."""
    return GateRig.over(folder, **options)  # type: ignore[return-value]
