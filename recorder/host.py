"""The host of a recording: performs the real calls and logs them.

Each function import is bound before anything runs, to a host function in Python or to WASI; what is
missing is reported then. While a call is under way `pending` says where, so that somebody on another
thread can end the recording even if the call never comes back (see `abandon`).

Imports base modules, `ttd.engine.protocol`, `ttd.wasm.model` and the recorder's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from ttd.calllog import CallLog
from ttd.engine.bulk import NativeCalls, RunningCalls
from ttd.engine.protocol import HostExit, HostTrap
from ttd.errors import LinkError, check, unreachable
from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.recorder.calls import Callee, Performed
from ttd.recorder.hostapi import Declaration, HostFunction, References
from ttd.recorder.options import WasiOptions
from ttd.recorder.terminals import Terminals
from ttd.recorder.wasihost import WasiHost
from ttd.state import Memory
from ttd.types import UNKNOWN_STEP, Position, Value
from ttd.wasi import FUNCTIONS, LEGACY_MODULE, MODULE
from ttd.wasm.model import ExternKind, FuncType, Import, Module


class Abandoned(BaseException):
    """The recording was ended while this call was under way; nobody waits for its results any more.

    Not an Exception: nothing between the host and the thread's first function may handle it.
    """


class RecordingHost:
    """A `ttd.engine.protocol.Host` that does what is asked and gives `log` an event for each call.

    Calls of WASI it lets the compiled engine make by itself (`ttd.engine.bulk.NativeRecording`).
    """

    def __init__(
        self,
        module: Module,
        wasi: WasiOptions,
        functions: Mapping[tuple[str, str], Declaration],
        log: Callable[[HostCall], None] | None = None,
    ) -> None:
        """LinkError if an import has no provider, or one of another type."""
        self._wasi = WasiHost(wasi, _served(module, functions), _wasi_memory(module))
        self._callees = _bind(module, functions, self._wasi)
        self._wasi_functions = {
            index: item.name
            for index, item in enumerate(item for item in module.imports if item.kind is ExternKind.FUNCTION)
            if _is_wasi(item, functions)
        }
        self._early: list[HostCall] = []
        self._log = log or self._early.append
        self._log_calls: Callable[[CallLog], None] | None = None
        self._running: RunningCalls | None = None
        self._terminals = Terminals(self._wasi_functions, _wasi_memory(module))
        self._gate = threading.Lock()
        self._abandoned = False
        self.events = 0
        """How many calls have been logged."""
        self.pending: Position | None = None
        """The position of the call that is under way, if one is."""
        self._last: Position | None = None

    def prepare(self, memories: Sequence[Memory]) -> None:
        """Set up the surroundings that calls will need. UsageError where that fails."""
        self._wasi.prepare(memories)

    def attach(
        self, log: Callable[[HostCall], None], log_calls: Callable[[CallLog], None] | None = None
    ) -> None:
        """From now on give events to `log`, those that there have been too. Calls that come in raw form go to
        `log_calls`; without it they become events first."""
        for event in self._early:
            log(event)
        self._log, self._log_calls = log, log_calls

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        """Perform import number `function` and log it; see `ttd.engine.protocol.Host.call`."""
        self._terminals.before_call(function, arguments, memories)
        self.pending = position
        performed = self._callees[function](arguments, memories)
        with self._gate:
            if self._abandoned:
                raise Abandoned
            self._log(_event(self.events, position, function, arguments, performed))
            self.events += 1
            self.pending, self._last = None, position
        if performed.outcome is Outcome.EXITED:
            raise HostExit(performed.code)
        if performed.outcome is Outcome.TRAPPED:
            raise HostTrap(performed.message)
        return performed.results

    @property
    def terminals(self) -> Terminals:
        """What the program says on terminals."""
        return self._terminals

    # --- calls without Python (`ttd.engine.bulk.NativeRecording`) ---------------------------------------

    def native_calls(self, memories: Sequence[Memory]) -> NativeCalls | None:
        """The functions of Wasmtime's WASI that the guest imports."""
        self.prepare(memories)
        memory = self._wasi.memory_index
        if memory is None:
            return None
        found = {index: (name, self._wasi.native(name)) for index, name in self._wasi_functions.items()}
        return NativeCalls(memory, {i: (name, native) for i, (name, native) in found.items() if native})

    def attend(self, calls: RunningCalls) -> None:
        """From now on `calls` tells of a native call that is under way."""
        self._running = calls
        self._terminals.attend(calls)

    def record_calls(self, calls: CallLog) -> None:
        """Log calls that were made without Python."""
        with self._gate:
            if self._abandoned:
                raise Abandoned
            if self._log_calls is not None:
                self._log_calls(calls)
            else:
                for event in calls.events(self.events):
                    self._log(event)
            self.events += calls.count
            self._last = Position(calls.last_tick, UNKNOWN_STEP)

    def record_trap(
        self,
        function: int,
        arguments: tuple[Value, ...],
        reads: tuple[MemoryWrite, ...],
        position: Position,
        error: Exception,
        memories: Sequence[Memory],
    ) -> str:
        """Log a call that was made without Python and trapped; the message."""
        numbers = [value for value in arguments if isinstance(value, int)]
        name, memory = self._wasi_functions[function], memories[self._wasi.memory_index or 0]
        performed = self._wasi.trapped(name, numbers, reads, memory, str(error))
        with self._gate:
            self._log(_event(self.events, position, function, arguments, performed))
            self.events += 1
        return performed.message

    def pump(self) -> None:
        """If a native call takes long, log those before it, lest they wait with it. For another thread."""
        if self._running is not None and not self._abandoned:
            self._running.drain()

    def seek(self, event: int) -> None:
        """A recording never goes back; see `ttd.engine.protocol.Host.seek`."""
        check(event == self.events, "a recording was asked to go to another time")

    def abandon(self) -> Position | None:
        """Log nothing any more from now on; how far the log goes. For another thread.

        That is the position of the call under way, or else of the last one; None if there was none.
        """
        self.pump()
        native = self._running.pending() if self._running is not None else None
        with self._gate:
            self._abandoned = True
            return native or self.pending or self._last

    def check_wanted(self) -> None:
        """Raise Abandoned if the recording was given up."""
        if self._abandoned:
            raise Abandoned


def _event(
    number: int, position: Position, function: int, arguments: tuple[Value, ...], done: Performed
) -> HostCall:
    return HostCall(
        number,
        position,
        function,
        arguments,
        done.results,
        done.writes,
        done.outcome,
        done.code,
        done.message,
        done.reads,
    )


# --- binding -----------------------------------------------------------------------------------------


def _served(module: Module, functions: Mapping[tuple[str, str], Declaration]) -> list[str]:
    """The functions of WASI that the module imports and the host file does not replace."""
    return sorted({item.name for item in module.imports if _is_wasi(item, functions)})


def _bind(module: Module, functions: Mapping[tuple[str, str], Declaration], wasi: WasiHost) -> list[Callee]:
    _refuse_missing(module, functions)
    references = References()
    imports = [item for item in module.imports if item.kind is ExternKind.FUNCTION]
    return [_callee(item, functions, wasi, references) for item in imports]


def _callee(
    item: Import,
    functions: Mapping[tuple[str, str], Declaration],
    wasi: WasiHost,
    references: References,
) -> Callee:
    if not isinstance(item.type, FuncType):
        unreachable("a function import has no function type")
    declaration = functions.get((item.module, item.name))
    if declaration is not None:
        return HostFunction(declaration, item.type, references)
    _check_signature(item.name, item.type)
    return wasi.callee(item.name)


def _is_wasi(item: Import, functions: Mapping[tuple[str, str], Declaration]) -> bool:
    known = item.kind is ExternKind.FUNCTION and item.module == MODULE and item.name in FUNCTIONS
    return known and (item.module, item.name) not in functions


def _wasi_memory(module: Module) -> int | None:
    export = module.exports_by_name.get("memory")
    return export.index if export is not None and export.kind is ExternKind.MEMORY else None


def _check_signature(name: str, type_: FuncType) -> None:
    function = FUNCTIONS[name]
    expected = (function.params, function.results)
    if (tuple(map(str, type_.params)), tuple(map(str, type_.results))) != expected:
        raise LinkError(
            f"the module imports {MODULE}.{name} with the wrong type; "
            f"it should be ({', '.join(function.params)}) -> ({', '.join(function.results)})"
        )


def _refuse_missing(module: Module, functions: Mapping[tuple[str, str], Declaration]) -> None:
    legacy = [item for item in module.imports if item.module == LEGACY_MODULE]
    if legacy and (legacy[0].module, legacy[0].name) not in functions:
        raise LinkError(
            f"the module uses {LEGACY_MODULE}, the WASI of 2019; "
            f"rebuild it with a current toolchain, for {MODULE}"
        )
    missing = [
        f"{item.module}.{item.name}"
        if item.kind is ExternKind.FUNCTION
        else f"the global {item.module}.{item.name}"
        for item in module.imports
        if not _is_provided(item, functions)
    ]
    if missing:
        listed = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise LinkError(
            f"the module imports {listed}, which nothing provides; write such functions in Python and give "
            "the file with --host FILE.py"
        )


def _is_provided(item: Import, functions: Mapping[tuple[str, str], Declaration]) -> bool:
    """Memories, tables and tags are made by the engine; nobody could guess the value of a global."""
    if item.kind is ExternKind.FUNCTION:
        return _is_wasi(item, functions) or (item.module, item.name) in functions
    return item.kind is not ExternKind.GLOBAL
