"""WASI for a guest that is being recorded: Wasmtime's own, reached through a generated trampoline module.

Wasmtime's WASI functions work on the memory that the *calling instance* exports as ``memory``. The guest is
run by ttd's engines and may be no instance at all, so a module is generated that imports the guest's memory,
exports it under that name, and wraps every WASI function that the guest imports. It lives in the store
in which the memory lives.

Three calls are served here, because Wasmtime's WASI refuses what programs use: ``proc_exit`` (it takes
exit codes below 126 only) and the two clock functions for the clocks of CPU time.

Imports base modules, `ttd.engine.protocol`, wasmtime (late: it is slow to import).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ttd.errors import InternalError, UsageError
from ttd.events import MemoryWrite, Outcome
from ttd.recorder.calls import Callee, Performed, trapped
from ttd.recorder.options import WasiOptions
from ttd.state import Memory
from ttd.store.manifest import StdinKind
from ttd.types import Value
from ttd.wasi import FUNCTIONS, MODULE, SUCCESS, Completion, Effects, Range, StringSizes, inputs

if TYPE_CHECKING:
    import wasmtime

_PROCESS_CPUTIME, _THREAD_CPUTIME = 2, 3
"""Clock ids (witx: clockid)."""


@runtime_checkable
class NativeMemory(Protocol):
    """What is asked of the guest's memory: that it is a Wasmtime memory. `LinearMemory` is."""

    store: wasmtime.Store
    native: wasmtime.Memory


class NativeTrap(Exception):
    """A call into Wasmtime trapped; the message is the innermost cause."""


NativeCall = Callable[[Sequence[int]], int]
"""A WASI function as a Python callable: core arguments to error number. Raises NativeTrap."""


class WasiHost:
    """The WASI functions `names` for one guest, whose memory number `memory_index` is its ``memory``."""

    def __init__(self, options: WasiOptions, names: Sequence[str], memory_index: int | None) -> None:
        self._options = options
        self._names = [name for name in names if name != "proc_exit"]
        self._index = memory_index
        self._strings = StringSizes.of(options.argv, options.env)
        self._memory: Memory | None = None
        self._calls: dict[str, NativeCall] = {}
        self._functions: dict[str, wasmtime.Func] = {}

    def prepare(self, memories: Sequence[Memory]) -> None:
        """Set up what calls of WASI need, if there are any. UsageError where a directory cannot be opened."""
        if self._index is None or not self._names or memories[self._index] is self._memory:
            return
        self._memory = memories[self._index]
        self._calls, self._functions = _trampoline(self._options, self._names, self._memory)

    @property
    def memory_index(self) -> int | None:
        """Number of the memory that WASI works on; None if there is none."""
        return self._index

    def native(self, name: str) -> wasmtime.Func | None:
        """Function `name` of Wasmtime itself, once prepared, if ttd does not serve it alone. It works on
        the memory of the instance that calls it."""
        return self._functions.get(name)

    def callee(self, name: str) -> Callee:
        """Function `name` alone, as the recording host wants it."""

        def perform(arguments: tuple[Value, ...], memories: Sequence[Memory]) -> Performed:
            return self.call(name, [value for value in arguments if isinstance(value, int)], memories)

        return perform

    def call(self, name: str, arguments: Sequence[int], memories: Sequence[Memory]) -> Performed:
        """Perform function `name` on the guest's memory; never raises what the guest has caused."""
        if name == "proc_exit":
            return Performed(outcome=Outcome.EXITED, code=arguments[0])
        if self._index is None:
            return trapped("the module exports no memory called memory, which WASI needs")
        memory = memories[self._index]
        if memory is not self._memory:
            self.prepare(memories)
        if name in _CPU_CLOCKS and arguments[0] in (_PROCESS_CPUTIME, _THREAD_CPUTIME):
            return self._cpu_clock(name, arguments, memory)
        return self._forward(name, arguments, memory)

    def _forward(self, name: str, arguments: Sequence[int], memory: Memory) -> Performed:
        function = FUNCTIONS[name]
        view = memory.view()  # Good for after the call too: WASI never grows a memory.
        effects = Effects(function, arguments, view, self._strings)
        reads = self._copy(inputs(function, arguments, view), view)
        try:
            errno = self._calls[name](arguments)
        except NativeTrap as trap:
            writes = self._copy(effects.written(Completion.TRAP, view), view)
            return Performed((), writes, reads, Outcome.TRAPPED, message=str(trap))
        completion = Completion.SUCCESS if errno == SUCCESS else Completion.ERROR
        return Performed((errno,), self._copy(effects.written(completion, view), view), reads)

    def trapped(
        self, name: str, arguments: Sequence[int], reads: tuple[MemoryWrite, ...], memory: Memory, error: str
    ) -> Performed:
        """What came of a call that was made without Python, and trapped with `error`."""
        view = memory.view()
        written = Effects(FUNCTIONS[name], arguments, view, self._strings).written(Completion.TRAP, view)
        return Performed((), self._copy(written, view), reads, Outcome.TRAPPED, message=_cause(error))

    def _copy(self, ranges: Sequence[Range], view: memoryview) -> tuple[MemoryWrite, ...]:
        index = self._index or 0
        return tuple(
            MemoryWrite(index, address, bytes(view[address : address + length])) for address, length in ranges
        )

    def _cpu_clock(self, name: str, arguments: Sequence[int], memory: Memory) -> Performed:
        address = arguments[-1]
        data = _CPU_CLOCKS[name](arguments[0] == _THREAD_CPUTIME).to_bytes(8, "little")
        view = memory.view()
        if address + len(data) > len(view):
            return trapped(f"pointer out of bounds: {len(data)} bytes at {address:#x}")
        if address % len(data):  # Wasmtime's WASI traps for these, so its clocks and ours agree.
            return trapped(f"pointer not aligned to {len(data)}: {address:#x}")
        view[address : address + len(data)] = data
        return Performed((SUCCESS,), self._copy([Range(address, len(data))], view))


def _cpu_time(thread: bool) -> int:
    return time.thread_time_ns() if thread else time.process_time_ns()


def _cpu_resolution(thread: bool) -> int:
    info = time.get_clock_info("thread_time" if thread else "process_time")
    return max(1, round(info.resolution * 1e9))


_CPU_CLOCKS: dict[str, Callable[[bool], int]] = {
    "clock_time_get": _cpu_time,
    "clock_res_get": _cpu_resolution,
}


# --- the trampoline ----------------------------------------------------------------------------------


def _trampoline(
    options: WasiOptions, names: Sequence[str], memory: Memory
) -> tuple[dict[str, NativeCall], dict[str, wasmtime.Func]]:
    """Instantiate the trampoline for functions `names` beside `memory`; and Wasmtime's own functions."""
    import wasmtime

    if not isinstance(memory, NativeMemory):
        raise InternalError("a guest that uses WASI has a memory that is not Wasmtime's")
    store, native = memory.store, memory.native
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    linker.define(store, "ttd", "memory", native)
    store.set_wasi(_config(options))
    code = trampoline_text(names, native.type(store).is_64)
    instance = linker.instantiate(store, wasmtime.Module(store.engine, code))
    exports = instance.exports(store)
    calls: dict[str, NativeCall] = {}
    functions: dict[str, wasmtime.Func] = {}
    for name in names:
        function, original = exports[name], linker.get(store, MODULE, name)
        if not isinstance(function, wasmtime.Func) or not isinstance(original, wasmtime.Func):
            raise InternalError(f"the trampoline exports no function {name}")
        calls[name] = native_call(store, function, len(FUNCTIONS[name].params))
        functions[name] = original
    return calls, functions


def _config(options: WasiOptions) -> wasmtime.WasiConfig:
    import wasmtime

    config = wasmtime.WasiConfig()
    config.argv = list(options.argv)
    config.env = [list(pair) for pair in options.env]
    config.inherit_stdout()
    config.inherit_stderr()
    try:
        if options.stdin is StdinKind.INHERIT:
            config.inherit_stdin()
        elif options.stdin is StdinKind.FILE and options.stdin_file is not None:
            config.stdin_file = options.stdin_file
        for directory in options.preopens:
            config.preopen_dir(str(directory.host), directory.guest)
    except wasmtime.WasmtimeError as error:
        raise UsageError(f"the program's surroundings cannot be set up: {_cause(str(error))}") from None
    return config


def trampoline_text(names: Sequence[str], memory64: bool) -> str:
    """The text of the trampoline module: it wraps the WASI functions `names`."""
    imports, wrappers = [], []
    for name in names:
        params = "".join(f" {core}" for core in FUNCTIONS[name].params)
        type_ = f"(param{params}) (result i32)"
        imports.append(f'(import "{MODULE}" "{name}" (func ${name} {type_}))')
        gets = " ".join(f"local.get {index}" for index in range(len(FUNCTIONS[name].params)))
        wrappers.append(f'(func (export "{name}") {type_} {gets} call ${name})')
    memory = f'(import "ttd" "memory" (memory {"i64 " if memory64 else ""}0))'
    return "\n".join(["(module", memory, *imports, '(export "memory" (memory 0))', *wrappers, ")"])


def native_call(store: wasmtime.Store, function: wasmtime.Func, params: int) -> NativeCall:
    """`function`, which takes `params` integers and gives one i32, as a callable that costs little.

    ``wasmtime.Func.__call__`` looks up types and converts values anew each time, which takes 35
    microseconds; the same call with a prepared array takes 1.5.
    """
    from ctypes import POINTER, byref, c_uint64, c_void_p, cast

    from wasmtime import Trap, WasmtimeError
    from wasmtime import _ffi as ffi

    # wasmtime_val_raw_t is 16 bytes; integers lie in its first ones, on every machine little-endian.
    cells = (c_uint64 * (2 * max(params, 1)))()
    raw = cast(cells, POINTER(ffi.wasmtime_val_raw_t))
    trap = POINTER(ffi.wasm_trap_t)()
    trap_place, context, native = byref(trap), store._context(), byref(function._func)
    invoke, size = ffi.wasmtime_func_call_unchecked, max(params, 1)

    def call(arguments: Sequence[int]) -> int:
        for index, value in enumerate(arguments):
            cells[2 * index] = value
        error = invoke(context, native, raw, size, trap_place)
        if error:
            raise NativeTrap(_cause(str(WasmtimeError._from_ptr(error))))
        if trap:
            owned = Trap._from_ptr(cast(trap, POINTER(ffi.wasm_trap_t)))
            c_void_p.from_buffer(trap).value = None
            raise NativeTrap(_cause(str(owned)))
        return cells[0] & 0xFFFFFFFF

    return call


def _cause(message: str) -> str:
    """The innermost cause of an error of Wasmtime, which prints the chain of causes one to a line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1].lstrip("0123456789: ") if lines else "unknown error"
