"""The frames of a run at every host call, as Wasmtime sees and symbolises them. None of ttd's code runs it.

The module runs unchanged. Its imports answer from a recording, and each call captures a backtrace: by a tiny
module in the same store, whose only function traps; the trap's backtrace has the whole stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import pytest
import wasmtime

from ttd.events import HostCall, Outcome


@dataclass
class Place:
    """A frame of the source: Wasmtime's name of the function, and where it stands, as far as known."""

    name: str
    path: str = ""
    line: int = 0


@dataclass
class WasmFrame:
    """A WebAssembly frame; `places` are the functions of the source that stand there, innermost first."""

    function: int
    pc: int
    places: list[Place] = field(default_factory=list)


class Left(Exception):
    """The program has called proc_exit."""


def backtraces(module: bytes, events: Sequence[HostCall]) -> list[list[WasmFrame]]:
    """The stack at each of `events`, which are those of a whole run of `module`'s ``_start``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WASMTIME_BACKTRACE_DETAILS", "1")
        engine = wasmtime.Engine()
    return _Run(wasmtime.Store(engine), module, events).run()


class _Run:
    def __init__(self, store: wasmtime.Store, module: bytes, events: Sequence[HostCall]) -> None:
        self._store = store
        self._module = wasmtime.Module(store.engine, module)
        self._events = iter(events)
        tiny = wasmtime.Module(store.engine, '(module $tiny (func (export "now") unreachable))')
        self._now = cast(wasmtime.Func, wasmtime.Instance(store, tiny, []).exports(store)["now"])
        self._found: list[list[WasmFrame]] = []

    def run(self) -> list[list[WasmFrame]]:
        imports = [
            wasmtime.Func(
                self._store, cast(wasmtime.FuncType, item.type), self._host(number), access_caller=True
            )
            for number, item in enumerate(self._module.imports)
        ]
        exports = wasmtime.Instance(self._store, self._module, imports).exports(self._store)
        with suppress(Left, wasmtime.Trap):
            cast(wasmtime.Func, exports["_start"])(self._store)
        return self._found

    def _host(self, function: int) -> Callable[..., object]:
        def call(caller: wasmtime.Caller, *arguments: object) -> object:
            event = next(self._events)
            assert event.function == function
            self._found.append(self._backtrace())
            if event.outcome is Outcome.EXITED:
                raise Left
            memory = cast(wasmtime.Memory, caller["memory"])
            for write in event.writes:
                memory.write(caller, write.data, write.address)
            return event.results[0] if event.results else None

        return call

    def _backtrace(self) -> list[WasmFrame]:
        try:
            self._now(self._store)
        except wasmtime.Trap as trap:
            frames = [WasmFrame(frame.func_index, frame.module_offset) for frame in trap.frames]
            for frame, places in zip(frames, _places(trap.message), strict=True):
                frame.places = places
            return frames[1:]
        raise AssertionError("unreachable did not trap")


def _places(message: str) -> Iterator[list[Place]]:
    """The functions of each frame in a message of Wasmtime's, innermost first."""
    places: list[Place] = []
    for line in message.splitlines():
        if (frame := re.match(r" *\d+: +0x[0-9a-f]+ - (.*)", line)) is not None:
            if places:
                yield places
            places = [Place(frame[1].rpartition("!")[2])]
        elif (inlined := re.match(r" +- (.*)", line)) is not None:
            places.append(Place(inlined[1]))
        elif (at := re.match(r" +at (.*?):(\d+)(?::\d+)?$", line)) is not None:
            places[-1].path, places[-1].line = at[1], int(at[2])
    yield places
