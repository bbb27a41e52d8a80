"""Native gates on Wasmtime: binding the imports of an instrumented program, draining and filling the buffer.

`ttd.instrument.gates` tells what the gates do and how the buffer is laid out. Which gates there are depends
on the host (`bulk`): one that records may let WASI be called without Python, one that replays may tell its
answers beforehand.

Clocks: gates know `count`, the tick minus the limit. The limit is the driver's, and changes only while no
gate is under way (`set_limit`).

May import base, `ttd.wasm`, `ttd.instrument`, `ttd.engine` and wasmtime.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import wasmtime

from ttd.calllog import ROOM, SIZE, TICKS, CallLog, decode_call
from ttd.engine.bulk import BulkAnswers, NativeCalls, NativeRecording
from ttd.engine.memory import LinearMemory
from ttd.engine.protocol import Host
from ttd.engine.stores import weakly
from ttd.instrument.gates import (
    ASIDE,
    BUFFER,
    CALLS,
    DRAIN,
    END,
    FILL,
    LAST,
    NEXT,
    RECORDS,
    SKIP,
    SLOW,
    TAIL,
    TERMINALS,
    TTD,
    WASI,
    WATCHED,
    can_record,
    can_replay,
    gate_name,
    recording_gates,
    replaying_gates,
)
from ttd.instrument.program import host_type
from ttd.types import UNKNOWN_STEP, Position
from ttd.wasm.model import ExternKind, Module

_FIRST_FILL = 4 << 10

Compile = Callable[[str], wasmtime.Module]
"""Compiles the text of a module, or knows it compiled."""


class Gates(Protocol):
    """The native gates of an instance, as its driver uses them."""

    functions: Mapping[int, wasmtime.Func]
    """By function index: what to bind imports to, instead of the callback."""

    @property
    def calls(self) -> int:
        """How many calls have been made natively since `begin`."""
        ...

    def set_limit(self, tick: int, limit: int) -> None:
        """The last tick was number `tick`, and `count` from now on is the tick minus `limit`."""
        ...

    def begin(self, event: int) -> None:
        """The program is about to run; its next call is event number `event`."""
        ...

    def before(self, event: int, count: int) -> None:
        """The host is about to be called from Python, for event number `event`."""
        ...

    def after(self, event: int) -> None:
        """The host has answered, and the next call is event number `event`."""
        ...

    def end(self, event: int) -> None:
        """The program has stopped; the next call would be event number `event`."""
        ...

    def watch(self, memory: int, low: int, high: int) -> None:
        """Leave it to Python to write between these addresses of a memory, until told otherwise."""
        ...

    def trapped(self, error: Exception) -> str | None:
        """What the host says, if the program was stopped by a trap of a native call; None if it was not."""
        ...


def make_gates(
    host: Host,
    module: Module,
    store: wasmtime.Store,
    memories: Sequence[LinearMemory],
    callbacks: Mapping[int, wasmtime.Func],
    compile_: Compile | None = None,
) -> Gates:
    """The native gates that `host` makes possible. `callbacks` are what imports are bound to otherwise.

    Without `compile_` the gates are compiled anew.
    """
    compile_ = compile_ or (lambda text: wasmtime.Module(store.engine, text))
    if not callbacks or any(memory.type.is64 for memory in memories):
        return NoGates()
    if isinstance(host, NativeRecording):
        native = host.native_calls(memories)
        if native is not None and any(can_record(name) for name, _ in native.functions.values()):
            return RecordingGates(host, native, store, memories, callbacks, compile_)
    if isinstance(host, BulkAnswers):
        return ReplayingGates(host, host, module, store, memories, callbacks, compile_)
    return NoGates()


class NoGates:
    """Python answers every call."""

    functions: Mapping[int, wasmtime.Func] = {}
    calls = 0

    def set_limit(self, tick: int, limit: int) -> None:
        """Nothing to be done; so with all methods."""

    def begin(self, event: int) -> None: ...

    def before(self, event: int, count: int) -> None: ...

    def after(self, event: int) -> None: ...

    def end(self, event: int) -> None: ...

    def watch(self, memory: int, low: int, high: int) -> None: ...

    def trapped(self, error: Exception) -> str | None:
        return None


class _Field:
    """A number in the head of the buffer, as an attribute of `_Buffer`."""

    def __init__(self, offset: int, type_: type[ctypes.c_uint32 | ctypes.c_int64 | ctypes.c_uint64]) -> None:
        self._offset = offset
        self._type = type_

    def __get__(self, buffer: _Buffer, _: type[_Buffer]) -> int:
        return self._type.from_address(buffer.base + self._offset).value

    def __set__(self, buffer: _Buffer, value: int) -> None:
        self._type.from_address(buffer.base + self._offset).value = value


class _Buffer:
    """The buffer, seen from Python; any thread may look at it."""

    end = _Field(END, ctypes.c_uint32)
    next = _Field(NEXT, ctypes.c_uint32)
    last = _Field(LAST, ctypes.c_int64)
    calls = _Field(CALLS, ctypes.c_uint64)
    aside = _Field(ASIDE, ctypes.c_uint32)
    terminals = _Field(TERMINALS, ctypes.c_uint32)
    tail = _Field(TAIL, ctypes.c_uint32)

    def __init__(self, store: wasmtime.Store, memory: wasmtime.Memory) -> None:
        self._memory = memory  # Keeps what `base` points to alive, with the store.
        self._store = store
        self.base = ctypes.addressof(memory.data_ptr(store).contents)
        self.end = self.next = RECORDS

    def read(self, start: int, end: int) -> bytes:
        return ctypes.string_at(self.base + start, end - start)

    def write(self, start: int, data: bytes) -> None:
        ctypes.memmove(self.base + start, data, len(data))


def _instantiate(
    store: wasmtime.Store,
    module: wasmtime.Module,
    memory: LinearMemory | None,
    callbacks: Mapping[int, wasmtime.Func],
    wasi: Mapping[int, wasmtime.Func],
    helper: wasmtime.Func,
) -> Mapping[str, wasmtime.Func | wasmtime.Memory]:
    """Instantiate a gates module; its exports."""
    externs: list[wasmtime.Func | wasmtime.Memory] = []
    for item in module.imports:
        name = item.name or ""
        if item.module == TTD:
            extern = helper if name in (DRAIN, FILL) else memory.native if memory is not None else None
        else:
            extern = {WASI: wasi, SLOW: callbacks}[item.module][int(name)]
        externs.append(cast("wasmtime.Func | wasmtime.Memory", extern))
    exports = wasmtime.Instance(store, module, externs).exports(store)
    names = [item.name for item in module.exports]
    return {name: cast("wasmtime.Func | wasmtime.Memory", exports[name]) for name in names}


def _gate_functions(
    exports: Mapping[str, wasmtime.Func | wasmtime.Memory], indices: Sequence[int]
) -> dict[int, wasmtime.Func]:
    return {index: cast(wasmtime.Func, exports[gate_name(index)]) for index in indices}


# --- recording ---------------------------------------------------------------------------------------


class RecordingGates:
    """Gates that call WASI and append to the buffer (`Gates`, `bulk.RunningCalls`)."""

    def __init__(
        self,
        host: NativeRecording,
        native: NativeCalls,
        store: wasmtime.Store,
        memories: Sequence[LinearMemory],
        callbacks: Mapping[int, wasmtime.Func],
        compile_: Compile,
    ) -> None:
        self._host = host
        self._memories = memories
        rows = [(index, name) for index, (name, _) in native.functions.items() if can_record(name)]
        wasi = {index: function for index, (_, function) in native.functions.items()}
        drain_type = wasmtime.FuncType([wasmtime.ValType.i64()], [])
        drain = wasmtime.Func(store, drain_type, weakly(self._make_room))
        gates = compile_(recording_gates(rows, native.memory))
        exports = _instantiate(store, gates, memories[native.memory], callbacks, wasi, drain)
        self.functions: Mapping[int, wasmtime.Func] = _gate_functions(exports, [index for index, _ in rows])
        self._buffer = _Buffer(store, cast(wasmtime.Memory, exports[BUFFER]))
        self._buffer.next = 0  # as PENDING
        self._lock = threading.Lock()
        self._limit = 0
        self._taken = RECORDS
        self._taken_calls = 0
        self._last_tick = 0
        self._first_call = 0
        host.attend(self)

    @property
    def calls(self) -> int:
        return self._buffer.calls - self._first_call

    def set_limit(self, tick: int, limit: int) -> None:
        with self._lock:
            self._take()
            self._limit, self._last_tick = limit, tick
            self._buffer.last = tick - limit

    def begin(self, event: int) -> None:
        self._first_call = self._buffer.calls

    def before(self, event: int, count: int) -> None:
        self._make_room(count)

    def after(self, event: int) -> None:
        """Nothing to be done."""

    def end(self, event: int) -> None:
        with self._lock:
            self._take()

    def watch(self, memory: int, low: int, high: int) -> None:
        """Nothing to be done: nobody watches a recording."""

    def _make_room(self, count: int) -> None:
        """Give all records to the host. The next one counts its ticks from `count`, which is now."""
        with self._lock:
            self._take()
            self._last_tick = count + self._limit
            self._buffer.last = count

    def _take(self) -> None:
        """Give all records to the host, and empty the buffer; on the engine's thread.

        After a trap in a native call its record begins at the end: `trapped` has it still to read.
        """
        self._hand_over(self._buffer.end, self._buffer.calls, self._buffer.last)
        if not self._buffer.next:
            self._buffer.end = self._taken = RECORDS

    def _hand_over(self, end: int, calls: int, last: int) -> None:
        if end == self._taken:
            return
        data = self._buffer.read(self._taken, end)
        (ticks,) = struct.unpack_from("<I", data, TICKS)
        first_tick, self._last_tick = self._last_tick + ticks, last + self._limit
        count, self._taken_calls = calls - self._taken_calls, calls
        self._taken = end
        self._host.record_calls(CallLog(first_tick, self._last_tick, count, data))

    def set_terminals(self, terminals: int) -> None:
        self._buffer.terminals = terminals

    def set_aside(self, wanted: bool) -> None:
        self._buffer.aside = int(wanted)

    @property
    def tail(self) -> int:
        return self._buffer.tail

    @tail.setter
    def tail(self, byte: int) -> None:
        self._buffer.tail = byte

    # --- for other threads ----------------------------------------------------------------------------

    def pending(self) -> Position | None:
        """Where the native call that is under way was made."""
        if not self._buffer.next:
            return None
        (ticks,) = struct.unpack(
            "<I", self._buffer.read(self._buffer.end + TICKS, self._buffer.end + TICKS + 4)
        )
        return Position(self._buffer.last + self._limit + ticks, UNKNOWN_STEP)

    def drain(self) -> None:
        """Give the host the calls before the one that is under way, if one is."""
        with self._lock:
            buffer = self._buffer
            found = buffer.end, buffer.calls, buffer.last
            # A gate that has come back and gone on meanwhile has changed the number of calls.
            if buffer.next and found == (buffer.end, buffer.calls, buffer.last):
                self._hand_over(*found)

    # --- traps ----------------------------------------------------------------------------------------

    def trapped(self, error: Exception) -> str | None:
        """Log the call that has trapped, if one has."""
        position = self.pending()
        if position is None:
            return None
        start = self._buffer.end
        self._buffer.next = 0
        self.end(0)
        # The record was begun at the end of the buffer, and is there still, up to where the results would
        # be. As one of a call without results it is well formed.
        head = bytearray(self._buffer.read(start, start + 16))
        size = int.from_bytes(head[10:12], "little")
        head[SIZE : SIZE + 4] = size.to_bytes(4, "little")
        head[12] &= 15
        call = decode_call(bytes(head) + self._buffer.read(start + 16, start + size), 0, 0)
        return self._host.record_trap(
            call.function, call.arguments, call.reads, position, error, self._memories
        )


# --- replaying ---------------------------------------------------------------------------------------


class ReplayingGates:
    """Gates that take answers from the buffer (`Gates`)."""

    def __init__(
        self,
        host: Host,
        answers: BulkAnswers,
        module: Module,
        store: wasmtime.Store,
        memories: Sequence[LinearMemory],
        callbacks: Mapping[int, wasmtime.Func],
        compile_: Compile,
    ) -> None:
        self._host = host
        self._answers = answers
        self._store = store
        types = [(index, host_type(module.functions[index].type)) for index in callbacks]
        rows = [(index, type_) for index, type_ in types if can_replay(type_)]
        self._memory = memory = _written_memory(module)
        gates = compile_(replaying_gates(rows, memory))
        fill = wasmtime.Func(store, wasmtime.FuncType([], []), weakly(self._fill))
        exports = _instantiate(
            store, gates, memories[memory] if memory < len(memories) else None, callbacks, {}, fill
        )
        self.functions: Mapping[int, wasmtime.Func] = _gate_functions(exports, [index for index, _ in rows])
        self._skip = cast(wasmtime.Func, exports[SKIP])
        self._buffer = _Buffer(store, cast(wasmtime.Memory, exports[BUFFER]))
        self._limit = 0
        self._first_call = 0
        self._known = -1, 0
        """The number of an event, and that of native calls before it (as the buffer counts them)."""
        self._size = _FIRST_FILL

    @property
    def calls(self) -> int:
        return self._buffer.calls - self._first_call

    def set_limit(self, tick: int, limit: int) -> None:
        self._buffer.last += self._limit - limit
        self._limit = limit

    @property
    def _event(self) -> int:
        """The number of the next event."""
        event, calls = self._known
        return event + self._buffer.calls - calls

    def begin(self, event: int) -> None:
        if event != self._event:
            self._empty()
        self._first_call = self._buffer.calls
        self._known = event, self._first_call

    def before(self, event: int, count: int) -> None:
        if self._buffer.next != self._buffer.end:  # it was read ahead in vain
            self._size = _FIRST_FILL
        self._empty()
        self._sync(event)

    def after(self, event: int) -> None:
        self._known = event, self._buffer.calls

    def end(self, event: int) -> None:
        self._sync(event)

    def watch(self, memory: int, low: int, high: int) -> None:
        if memory == self._memory:
            self._buffer.write(WATCHED, struct.pack("<QQ", low, high))

    def _sync(self, event: int) -> None:
        """Tell the host which event is next, if calls have been answered that it knows nothing of."""
        if self._known[1] != self._buffer.calls:
            self._host.seek(event)
            self._known = event, self._buffer.calls

    def trapped(self, error: Exception) -> str | None:
        return None

    def _empty(self) -> None:
        self._buffer.end = self._buffer.next = RECORDS

    def _fill(self) -> None:
        """Put the answers from the next event on into the buffer, which is empty."""
        found = self._answers.answers(self._event, self._size)
        self._size = min(2 * self._size, ROOM)
        if found is None or len(found[0].data) > ROOM:
            return
        log, skipped = found
        buffer = self._buffer
        buffer.write(RECORDS, log.data)
        buffer.end = RECORDS + len(log.data)
        (ticks,) = struct.unpack_from("<I", log.data, TICKS)
        buffer.last = log.tick - self._limit - ticks
        if self._skip(self._store, skipped) != log.count:
            self._empty()


def _written_memory(module: Module) -> int:
    export = module.exports_by_name.get("memory")
    return export.index if export is not None and export.kind is ExternKind.MEMORY else 0
