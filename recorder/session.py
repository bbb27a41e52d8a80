"""Making a recording: from options to a finished trace.

`record` checks all that can be checked before anything runs, then runs the guest in slices on a thread of
its own, while the calling thread waits for its end or for a signal. Between slices snapshots are taken
and the progress is noted; a signal is obeyed there too. If the guest is blocked in a host call
when a signal comes, the recording ends at that call, and the call is left to itself.

Imports base modules, `ttd.engine`, `ttd.interpreter`, `ttd.instrument`, `ttd.debuginfo`, `ttd.expr`,
`ttd.wasm`, the store and the recorder's own.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ttd.engine.protocol import MOST, TICK_RULE, Engine, Goal, Host, Limits, Program
from ttd.engine.slices import Stopwatch, running_time, slice_end
from ttd.errors import InvalidModule, TtdError, UsageError, check, unreachable
from ttd.recorder.host import Abandoned, RecordingHost
from ttd.recorder.hostapi import load_host_file
from ttd.recorder.interruption import Inbox
from ttd.recorder.options import Entry, RecordOptions, WasiOptions, plan_invocations
from ttd.recorder.snapshots import SnapshotPolicy
from ttd.recorder.sources import changed_sources, collect_sources, source_files
from ttd.state import State
from ttd.store.directory import reserve, set_latest
from ttd.store.manifest import Manifest, Preopen, RecordedInvocation, RecordedLimits
from ttd.store.writer import TraceWriter
from ttd.types import Ending, EndKind, Position, StopReason
from ttd.version import VERSION

if TYPE_CHECKING:
    from ttd.coredump.format import CoreDump
    from ttd.debuginfo.separate import Joined

TRAP_EXIT_CODE = 134
"""Exit code after a trap: that of a process that ``abort`` has ended."""

SLICE = {"interpreter": 0.05, "compiled": 0.14}
"""Seconds of processor time that a slice is to take, by engine; it may be half as much again
(`engine.slices`). A signal is obeyed at its end, and a snapshot can be taken there.
Between the slices of compiled code its frames become Python objects, which should not happen too often."""

FIRST_SLICE = {"interpreter": 500, "compiled": 1 << 20}
"""Ticks of the first slice, by engine: a few milliseconds, unless the program is uncommonly slow."""

_SWITCH = 0.0005
"""Seconds after which a thread that runs Python gives way to one that waits for that. The guest's thread,
when its code is compiled, needs Python only between slices, but then dozens of times in a row, and each time
may have to wait for the writer's as long as that."""

_GRACE = 0.22
"""Seconds that a guest has to come out of a host call, or to the end of a slice, after a signal."""

_LAST_GRACE = 0.05
"""Seconds that it has to end its thread after that."""

_PUMP = 0.1
"""Seconds after which calls that wait in a buffer behind one that takes long are logged."""

_STACK = 64 << 20
"""Bytes of stack for the guest's thread: some systems give threads too little for Wasmtime and Python."""


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What came of a recording."""

    path: Path
    ending: Ending
    events: int
    snapshots: int
    seconds: float
    """How long the guest ran."""
    snapshot_seconds: float
    """How much of that snapshots have cost."""
    size: int
    """Bytes of the trace."""
    core_dump: CoreDump | None = field(default=None, repr=False)
    """After a trap, if the options ask for it."""
    backtrace: str = ""
    """After a trap: the call stack with source lines, one frame to a line."""
    signal: int = 0
    """The number of the signal that ended the recording; 0 for none."""
    notes: tuple[str, ...] = ()
    """What the user should know about debug information and sources, a sentence each."""
    blocked: bool = False
    """The guest's thread is still inside a host call that does not come back. A command line should
    leave by ``os._exit``, after flushing: the interpreter's own way out may wait for it."""

    @property
    def exit_code(self) -> int:
        """What a command line should exit with: the guest's own code, 134 after a trap, 128 + signal."""
        if self.signal:
            return 128 + self.signal
        if self.ending.kind is EndKind.TRAP:
            return TRAP_EXIT_CODE
        return self.ending.code & 0xFF


class ProgressLine(Protocol):
    """Tells people how far a program has come, on the terminal that it may be talking to."""

    @property
    def is_shown(self) -> bool:
        """Whether it stands on the terminal now."""
        ...

    def update(self, percent: float | None, tick: int | None = None) -> None:
        """Show it if it is time for that."""
        ...

    def clear(self) -> None:
        """Make room for what the program has to say."""
        ...


def record(options: RecordOptions, progress: ProgressLine | None = None) -> RecordResult:
    """Make the recording that `options` ask for.

    `progress` is kept up to date while the program runs, on its thread, and cleared before it says something.

    Raises UsageError, InvalidModule, UnsupportedFeature or LinkError before anything has run and before there
    is a trace; TtdError when the trace cannot be written, which then ends where it ends. A guest that
    traps, exits or is interrupted is a result.
    """
    with _Setup(options) as setup:
        return _Recording(setup, progress).run()


class _Setup:
    """Everything up to the first instruction. A context: the engine is closed at its end."""

    def __init__(self, options: RecordOptions) -> None:
        from ttd.engine.validate import load_module

        self.options = options
        self.data = _read_program(options.program)
        try:
            self.module = load_module(self.data)
        except InvalidModule as error:
            raise error.of_file(str(options.program)) from error
        self.debug = self._find_debug_info()
        self.module = self.debug.module
        self.entries = plan_invocations(self.module, options.invoke)
        self.wasi = _surroundings(options)
        functions = load_host_file(options.host_file) if options.host_file is not None else {}
        self.host = RecordingHost(self.module, self.wasi, functions)
        self.limits = options.limits
        if options.engine == "compiled":  # there, the native stack is what runs out
            self.limits = replace(options.limits, call_depth=MOST.call_depth)
        too_much = self.limits.exceeded(MOST)
        if too_much is not None:
            raise UsageError(f"the limits allow {too_much}; lower them")
        calls = tuple(entry.invocation for entry in self.entries)
        self.program = Program(self.module, calls, self.limits)
        self.engine = _make_engine(options.engine, self.program, self.host)
        self.host.prepare(self.engine.state.memories)
        self.abandoned = False
        """The engine is in use by a thread that does not come back, and cannot be closed."""

    def _find_debug_info(self) -> Joined:
        from ttd.debuginfo.separate import find_debug_info

        return find_debug_info(self.module, self.options.program, self.options.debug_info)

    def __enter__(self) -> _Setup:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.abandoned:
            self.engine.close()

    def writer(self) -> TraceWriter:
        """A new trace with all that is known beforehand."""
        manifest = _manifest(self.options, self.limits, self.wasi, self.entries)
        path = self.options.output or reserve(manifest.name)
        try:
            writer = TraceWriter.create(path, manifest, self.data, debug_info=self.debug_info())
        except BaseException:
            if self.options.output is None:
                path.unlink(missing_ok=True)
            raise
        if self.options.output is None:
            set_latest(path)
        if self.options.engine != "compiled":  # it would hold up the writer's thread, being Python too
            writer.flush()
        return writer

    def debug_info(self) -> bytes:
        """What the trace needs besides the program to be debugged."""
        if self.debug.file is None:
            return b""
        from ttd.debuginfo.separate import debug_sections

        return debug_sections(self.module)

    def sources(self) -> tuple[dict[str, bytes], str]:
        """The source files that are to be kept in the trace, and what the user should know about them.

        Takes long if the debug information is new.
        """
        if not self.options.embed_sources:
            return {}, ""
        files = [file for file in (self.options.program, self.debug.file) if file is not None]
        folders = [*dict.fromkeys(file.absolute().parent for file in files), Path.cwd()]
        named = source_files(self.module)
        sources = collect_sources(named, folders)
        return sources, _changed(changed_sources(named, sources))


class _Recording:
    """One run of the guest. The guest's thread runs `_guest`, everything else the calling one."""

    def __init__(self, setup: _Setup, progress: ProgressLine | None) -> None:
        self._setup = setup
        self._progress = progress
        self._engine: Engine = setup.engine
        self._host = setup.host
        self._writer = setup.writer()
        self._host.attach(self._writer.append, self._writer.append_calls)
        self._policy = SnapshotPolicy(self._writer)
        self._inbox = Inbox()
        self._stop_wanted = False
        self._reached = self._engine.state.position
        """Where the last slice has ended."""
        self._ending: Ending | None = None
        self._backtrace = ""
        self._core_dump: CoreDump | None = None
        self._error: BaseException | None = None
        self._signal = 0
        self._notes = [setup.debug.note] if setup.debug.note else []

    def run(self) -> RecordResult:
        """Run the guest to its end, or to that of the recording."""
        # What Python has printed comes before what the guest prints, which goes past Python's buffers.
        sys.stdout.flush()
        sys.stderr.flush()
        start = time.perf_counter()
        with self._inbox, self._closing(), _switching(self._setup.options.engine):
            thread = _start(self._guest)
            collecting = threading.Thread(target=self._collect_sources, name="ttd-sources", daemon=True)
            collecting.start()
            ending = self._await(thread)
            seconds = time.perf_counter() - start
            hurry = ending.kind is EndKind.INTERRUPTED
            collecting.join(_LAST_GRACE if hurry else None)
            self._writer.finish(ending, hurry)
        return self._result(ending, seconds, thread.is_alive())

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):  # The first error is the one that counts.
                self._writer.close()
            if self._setup.options.output is None and not self._writer.output_size:
                self._writer.path.unlink(missing_ok=True)  # it was only reserved
            raise

    def _collect_sources(self) -> None:
        """Store the source files, while the guest runs. On a thread of its own."""
        files, note = self._setup.sources()
        if note:
            self._notes.append(note)
        with contextlib.suppress(TtdError):  # it could not be written, or has ended in a hurry
            self._writer.add_sources(files)

    # --- the guest's thread -----------------------------------------------------------------------------

    def _guest(self) -> None:
        try:
            self._ending = self._run_slices()
            self._look_back(self._ending)
        except Abandoned:
            return
        except BaseException as error:
            self._error = error
        self._inbox.done()

    def _run_slices(self) -> Ending:
        name = self._setup.options.engine
        ticks, wanted = FIRST_SLICE[name], SLICE[name]
        while not self._stop_wanted:
            stopwatch = Stopwatch(self._engine, time.thread_time)
            tick = self._reached.tick
            stop = self._engine.run(Goal(until=Position(slice_end(tick, ticks))))
            if stop.reason is StopReason.ENDED:
                self._policy.finish(self._engine.state)
                return stop.ending or unreachable("a run has ended without an ending")
            check(stop.reason is StopReason.LIMIT, f"a recording stopped: {stop.reason.value}")
            self._reached = stop.position
            self._host.check_wanted()
            self._writer.progress(stop.position)
            self._show_progress()
            self._policy.offer(lambda: self._engine.state)
            running, handover = stopwatch.read()
            ticks = _next_slice(stop.position.tick - tick, running, running_time(wanted, handover))
        return Ending(EndKind.INTERRUPTED, self._reached)

    def _show_progress(self) -> None:
        """Where the guest stands still. Not in the middle of one of its lines: terminals remember too little
        to bring that back as it was."""
        terminals = self._host.terminals
        if self._progress is None or not terminals.is_line_ended:
            return
        self._progress.update(None, self._reached.tick)
        if self._progress.is_shown:
            terminals.before_talking(self._progress.clear)

    def _look_back(self, ending: Ending) -> None:
        """Make a backtrace of a trap, and find its exact place, if that is not known yet."""
        if ending.kind is not EndKind.TRAP:
            return
        if ending.position.is_exact:
            self._look_at_trap(self._engine.state)
            return
        from ttd.recorder.aftermath import walk_into_trap
        from ttd.store.trace import Trace

        self._writer.flush()
        name = self._setup.options.engine
        with Trace.open(self._writer.path) as trace:
            self._ending = walk_into_trap(
                trace,
                self._setup.program,
                lambda program, host: _make_engine(name, program, host, replaying=True),
                ending,
                self._look_at_trap,
            )

    def _look_at_trap(self, state: State) -> None:
        """Make a backtrace, and the core dump if one is wanted, where the program trapped."""
        from ttd.debuginfo import DebugInfo
        from ttd.debuginfo.framebases import always_live
        from ttd.expr.backtrace import format_backtrace
        from ttd.instrument.dead import DeadLocals

        module = self._setup.module
        if self._setup.options.engine == "compiled":  # which has not kept them
            DeadLocals(module, always_live(module)).clear(state.frames, to_none=True)
        self._backtrace = format_backtrace(state, DebugInfo(module))
        if self._setup.options.core_dump:
            from ttd.coredump.capture import capture

            trap = self._ending.trap if self._ending is not None else None
            program = str(self._setup.options.program)
            self._core_dump = capture(
                state, module, program, trap, self._setup.sources()[0], self._setup.debug_info() or None
            )

    # --- the calling thread -----------------------------------------------------------------------------

    def _await(self, thread: threading.Thread) -> Ending:
        """How the run ended; the guest's thread has ended too, unless it is blocked."""
        while (number := self._inbox.wait(_GRACE if self._stop_wanted else _PUMP)) != 0:
            if number:
                self._signal = self._signal or number
                self._stop_wanted = True
            elif self._stop_wanted:
                return self._abandon(thread)
            else:
                self._host.pump()
        thread.join()
        if self._error is not None:
            raise self._error
        return self._ending or unreachable("the guest's thread has ended without saying how")

    def _abandon(self, thread: threading.Thread) -> Ending:
        """End the recording though the guest is inside of a host call, or of a slice that takes too long."""
        called = self._host.abandon()
        self._setup.abandoned = True
        thread.join(_LAST_GRACE)
        if self._ending is not None:  # only the exact place of a trap was still looked for
            return self._ending
        return Ending(EndKind.INTERRUPTED, max(self._reached, called or self._reached))

    def _result(self, ending: Ending, seconds: float, blocked: bool) -> RecordResult:
        interrupted = ending.kind is EndKind.INTERRUPTED
        return RecordResult(
            path=self._writer.path,
            ending=ending,
            events=self._host.events,
            snapshots=self._policy.taken,
            seconds=seconds,
            snapshot_seconds=self._policy.cost,
            size=self._writer.output_size,
            core_dump=self._core_dump,
            backtrace=self._backtrace,
            signal=self._signal if interrupted else 0,
            notes=tuple(self._notes),
            blocked=blocked,
        )


@contextlib.contextmanager
def _switching(engine: str) -> Iterator[None]:
    """Let threads take turns as often as `engine` needs it."""
    before = sys.getswitchinterval()
    if engine == "compiled":
        sys.setswitchinterval(min(before, _SWITCH))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _changed(paths: Sequence[str]) -> str:
    """What to say about source files that were changed after the program was built."""
    if not paths:
        return ""
    if len(paths) == 1:
        return f"{paths[0]} is not the file that the program was built from: build anew, or lines will be off"
    return (
        f"{paths[0]} and {len(paths) - 1} more are not the files that the program was built from: "
        "build anew, or lines will be off"
    )


def _start(target: Callable[[], None]) -> threading.Thread:
    before = threading.stack_size(_STACK)
    try:
        # A daemon: a guest that is blocked for good must not keep the process alive.
        thread = threading.Thread(target=target, name="ttd-guest", daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    return thread


def _next_slice(ticks: int, seconds: float, wanted: float) -> int:
    """How many ticks a slice of `wanted` seconds should have, if one of `ticks` took `seconds`."""
    factor = wanted / seconds if seconds > 0 else 4.0
    return max(1, int(ticks * min(4.0, max(0.1, factor))))


def _read_program(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def _surroundings(options: RecordOptions) -> WasiOptions:
    """The WASI options, checked; the program's name is its first argument unless others are given."""
    options.wasi.check()
    if options.wasi.argv:
        return options.wasi
    return replace(options.wasi, argv=(options.program.name,))


def _make_engine(name: str, program: Program, host: Host, replaying: bool = False) -> Engine:
    if name == "compiled":
        from ttd.debuginfo.framebases import always_live
        from ttd.engine.compiled import CompiledEngine

        return CompiledEngine(program, host, replaying=replaying, always_live=always_live(program.module))
    if name != "interpreter":
        raise UsageError(f"there is no engine {name!r}; use --engine interpreter or compiled")
    from ttd.interpreter import Interpreter

    return Interpreter(program, host)


def _manifest(
    options: RecordOptions, limits: Limits, wasi: WasiOptions, entries: Sequence[Entry]
) -> Manifest:
    return Manifest(
        program=str(options.program),
        invocations=tuple(
            RecordedInvocation(entry.invocation.function, entry.invocation.arguments, entry.name)
            for entry in entries
        ),
        limits=RecordedLimits(limits.call_depth, limits.memory_pages, limits.table_elements),
        tick_rule=TICK_RULE,
        ttd_version=VERSION,
        engine=options.engine,
        argv=wasi.argv,
        env=wasi.env,
        preopens=tuple(Preopen(str(item.host), item.guest) for item in wasi.preopens),
        stdin=wasi.stdin,
        stdin_path=str(wasi.stdin_file) if wasi.stdin_file is not None else "",
        settings={"host": str(options.host_file)} if options.host_file is not None else {},
    )
