"""The debugger: one façade that every front end calls.

A front end opens a `Trace`, makes a `Debugger` of it and calls its methods; it needs nothing else of
this package but the values in `ttd.replayer.views`. Everything that can go wrong is a `TtdError`.
Not thread-safe, but for `interrupt`.

May import base, wasm, engine, interpreter, debuginfo, expr, store and this package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.separate import debug_info_of
from ttd.engine.protocol import CodeProbe, FrameProbe, Probe
from ttd.errors import ExpressionError, TtdError, UsageError
from ttd.events import HostCall
from ttd.expr import Limits, TypedValue
from ttd.replayer.arming import Armer
from ttd.replayer.breakpoints import Table
from ttd.replayer.coredump import core_dump
from ttd.replayer.heap import HeapInspector
from ttd.replayer.inspect import Inspector
from ttd.replayer.lines import Lines
from ttd.replayer.listing import Listings
from ttd.replayer.memory import MemoryInspector
from ttd.replayer.motions import Hunt, Landing
from ttd.replayer.origin import MOST_HOPS
from ttd.replayer.provenance import Provenance
from ttd.replayer.recording import Recording
from ttd.replayer.reports import Reporter
from ttd.replayer.resolve import Here, Resolver
from ttd.replayer.returned import Leaving, returned_value
from ttd.replayer.session import EngineFactory, Interrupted, Session
from ttd.replayer.sources import Sources
from ttd.replayer.stepping import Stepper
from ttd.replayer.symbols import Symbols
from ttd.replayer.targets import (
    Target,
    ToBegin,
    ToEnd,
    ToEvent,
    ToPercent,
    ToPosition,
    parse_target,
    time_of,
)
from ttd.replayer.timeline import Timeline
from ttd.replayer.views import (
    Breakpoint,
    Change,
    DisassemblyLine,
    FrameView,
    Hop,
    Place,
    Progress,
    SourceView,
    StopKind,
    StopReport,
    Trail,
    VariableView,
    WasmValue,
    Where,
)
from ttd.types import Ending, Location, Position
from ttd.wasm.model import Module
from ttd.wasm.names import Names

__all__ = [
    "Debugger",
    "EngineFactory",
    "Target",
    "ToBegin",
    "ToEnd",
    "ToEvent",
    "ToPercent",
    "ToPosition",
    "parse_target",
]


class Debugger:
    """A replay of one trace, standing somewhere in it. A context manager; `close` frees the engine.

    Motions return a `StopReport`. Motions forward at the end and backward at the begin do not move and
    say so (ENDED, END_OF_TRACE, BEGIN). All motions but `goto` stop at the user's breakpoints too.
    After every motion frame 0 is selected.
    """

    def __init__(
        self,
        trace: Recording,
        engine: EngineFactory | None = None,
        progress: Callable[[Progress], None] | None = None,
        debug_info: Path | None = None,
    ) -> None:
        """Load the program of `trace` and stand at its begin. `engine` None: the compiled one.

        `debug_info` is a file with debug information to use instead of what the trace has, for a program
        that was recorded stripped. Raises UsageError if it does not belong to the program.

        `progress` is called some ten times a second during long motions, on the caller's thread.
        The trace stays the caller's: closing the debugger does not close it.
        """
        self.trace: Recording = trace
        self.progress: Callable[[Progress], None] | None = progress
        self._session = Session(trace, engine)
        self.module: Module = self._session.module
        self.debug: DebugInfo = debug_info_of(self.module, debug_info)
        self.names: Names = self.debug.names
        self._timeline = Timeline(self._session)
        self._timeline.on_progress = self._on_progress
        self._table = Table()
        self._lines = Lines(self.module, self.debug)
        blind = Hunt(self._session, self._timeline, Table(), self.debug)
        self._stepper = Stepper(self._session, self._timeline, self._lines, blind)
        self._resolver = Resolver(self.module, self.debug, self._lines)
        self._inspector = Inspector(self._session, self.debug, self.names)
        self.heap: HeapInspector = HeapInspector(self._session, self._timeline, self.debug)
        self.memory: MemoryInspector = MemoryInspector(self._session, self.debug, self._inspector)
        self.sources: Sources = Sources(trace, self.debug)
        self._listings = Listings(self.sources, self.module, self.debug, self.names)
        self.symbols: Symbols = Symbols(
            self.debug, self._inspector, self.memory, lambda spec: self._resolve(spec)[0]
        )
        self._reporter = Reporter(self._session, self.debug, self._table, self._inspector)
        self._provenance = Provenance(self._session, self._timeline, self.debug, self._inspector)
        self._armer = Armer(self._session, self.debug, self._table, self._inspector, self.memory)
        self._stopped_at: tuple[int, ...] = ()

    def __enter__(self) -> Debugger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine. Idempotent."""
        self._session.close()

    # --- what there is -------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """Where the machine stands."""
        return self._session.position

    @property
    def begin(self) -> Position:
        """The first position of the run."""
        return self._session.begin

    @property
    def end(self) -> Position:
        """The last position of the run, as far as it was recorded."""
        return self._session.end

    @property
    def ending(self) -> Ending:
        """How the recorded run ended."""
        return self._session.ending

    @property
    def event(self) -> int:
        """Number of the next host call: how many are behind us."""
        return self._session.state.next_event

    def percent(self, position: Position | None = None) -> float:
        """How much of the run lies before `position` (None: here), 0 to 100, by ticks."""
        return self._reporter.percent(self.position if position is None else position)

    def where(self, level: int | None = None) -> Where:
        """The place of frame `level` (None: the selected one). Raises UsageError if there is none such."""
        level = self.selected if level is None else level
        if level or self._inspector.stack:
            self._inspector.frame(level)
        return self._reporter.where(level)

    @property
    def is_core_dump(self) -> bool:
        """Whether this is a single moment (`ttd.replayer.postmortem`), in which all motions raise
        UsageError."""
        return bool(self._session.why_immovable)

    def core_dump(self) -> bytes:
        """A WebAssembly core dump of this moment (docs/core-dumps.md), as the contents of a file."""
        return core_dump(self._session)

    def call_here(self) -> HostCall | None:
        """The host call whose call instruction comes next, if standing at one."""
        return self._hunt().call_here()

    # --- motions -------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop the motion under way soon. The only method that other threads and signal handlers may call."""
        self._session.interrupt()

    def goto(self, target: Target) -> StopReport:
        """Go to a place in time; breakpoints are not heeded.

        A step that its tick does not have leads to the next position there is, and the message says so.
        Raises UsageError for a target outside the recording.
        """
        self._session.require_motion()
        if isinstance(target, ToEvent):
            self._check_event(target.number)
            return self._motion(lambda hunt: self._go_to_event(target.number), is_jump=True)
        position = time_of(target, self.begin, self.end)
        if not self.begin <= position <= self.end:
            raise UsageError(
                f"{position} is outside of the recording, which goes from {self.begin} to {self.end}"
            )
        report = self._motion(lambda hunt: self._go(position, hunt), is_jump=True)
        there = position == self.position or (not position.is_exact and self.position == self.end)
        if report.reason is StopKind.INTERRUPTED or there:
            return report
        return replace(report, message=f"There is no {position}: tick {position.tick} has fewer steps.")

    def stepi(self, count: int = 1, reverse: bool = False) -> StopReport:
        """Go `count` rests on (or back): one instruction each, or a tick. Exact inverses of each other."""
        count = _counted(count)
        if reverse:
            return self._motion(lambda hunt: self._stepper.reverse_stepi(hunt, count), reverse=True)
        return self._motion(lambda hunt: self._stepper.stepi(hunt, count))

    def nexti(self, count: int = 1, reverse: bool = False) -> StopReport:
        """As `stepi`, but stepping over calls. (An inlined function is not called.)"""
        run = self._stepper.reverse_nexti if reverse else self._stepper.nexti
        return self._repeat(lambda hunt, hidden: run(hunt), count, reverse)

    def step(self, count: int = 1, reverse: bool = False) -> StopReport:
        """Go to the next start of a source line in any function with line information.

        Also stops in the caller, in the middle of its line, when the function returns. Reverse: the last
        such place before here. Functions without line information are stepped over. An inlined function is
        entered from its call and left as others are; entering it takes no time.
        """
        if reverse:
            return self._repeat(self._stepper.reverse_step, count, reverse=True)
        return self._repeat(self._stepper.step, count)

    def next(self, count: int = 1, reverse: bool = False) -> StopReport:
        """As `step`, but stepping over calls.

        Reverse stays in the frame too, and goes to the line of the call in the caller from the first line.
        """
        if reverse:
            return self._repeat(self._stepper.reverse_next, count, reverse=True)
        return self._repeat(self._stepper.next, count)

    def finish(self, reverse: bool = False) -> StopReport:
        """Run until the selected frame has returned; report what it returned.

        Reverse: back to the call instruction of the selected frame, in its caller; to its call, if it is
        inlined. An inlined frame is left at the first line outside of it, and nobody knows what it returned.
        Raises UsageError in the outermost frame (forward: as gdb).
        """
        frame, hidden = self._inspector.frame(), self._inspector.hidden
        if self._inspector.stack.is_outermost(self.selected):
            raise UsageError("`finish` is not meaningful in the outermost frame")
        if reverse:
            return self._motion(lambda hunt: self._stepper.reverse_finish(hunt, frame, hidden), reverse=True)
        leaving = Leaving.of(self._session, frame.number)
        report = self._motion(lambda hunt: self._stepper.finish(hunt, frame), StopKind.FINISHED)
        if frame.is_inlined or self._is_alive(frame.code.entry) or report.reason is StopKind.INTERRUPTED:
            return report
        try:
            value = returned_value(leaving, self._session, self._timeline, self.debug)
        except Interrupted:
            value = None
            self._timeline.seek(report.where.position)
        return replace(report, returned=value)

    def until(self, spec: str | None = None, reverse: bool = False) -> StopReport:
        """Without `spec`: `next`, but never to an earlier place of the function (so out of loops).

        With it: until that place is reached in the selected frame (or anywhere, if it lies in another
        function), or the selected frame is left. Reverse: the same toward the past.
        """
        if spec is not None:
            return self._to_place(spec, reverse, anywhere=False)
        return self._repeat(self._stepper.reverse_until if reverse else self._stepper.until, 1, reverse)

    def advance(self, spec: str, reverse: bool = False) -> StopReport:
        """Until the place is reached in any frame, or the selected frame is left."""
        return self._to_place(spec, reverse, anywhere=True)

    def continue_(self, count: int = 1, reverse: bool = False) -> StopReport:
        """Go on to the next stop. A `count` above 1 ignores the breakpoint here count-1 times, as gdb."""
        note = self._ignore_here(count)
        if reverse:
            report = self._motion(lambda hunt: hunt.backward(), reverse=True)
        else:
            report = self._motion(lambda hunt: hunt.forward())
        return replace(report, message=f"{note}\n\n{report.message}".strip()) if note else report

    # --- where values come from ----------------------------------------------------------------------

    def history(self, expression: str, fmt: str | None = None, every_write: bool = False) -> Trail[Change]:
        """The changes before here of the place that `expression` names now, newest first, found as asked for.

        With `every_write`, writes of what was there already count too. Raises ExpressionError for what has no
        place (see `replayer.places`).
        """
        return self._provenance.history(expression, fmt, every_write)

    def last_write(self, expression: str, fmt: str | None = None, every_write: bool = False) -> StopReport:
        """Go back to the newest change of `history`; if there is none, stay and say since when it is so.

        Breakpoints are not heeded. Raises ExpressionError.
        """
        search = self._provenance.last_write(expression, fmt, every_write)
        report = self._motion(search.run, reverse=True, is_jump=True)
        return replace(report, message=search.message or report.message)

    def origin(self, expression: str, fmt: str | None = None, most: int = MOST_HOPS) -> Trail[Hop]:
        """The way of the value of `expression` from the write that stored it back to where it was computed or
        entered from the host: at most `most` hops, found as asked for. Raises ExpressionError.
        """
        return self._provenance.origin(expression, fmt, most)

    # --- breakpoints ---------------------------------------------------------------------------------

    @property
    def breakpoints(self) -> Sequence[Breakpoint]:
        """All breakpoints, watchpoints and catchpoints by number."""
        return self._table.views()

    def break_(
        self,
        spec: str | None = None,
        temporary: bool = False,
        condition: str | None = None,
        ignore: int = 0,
    ) -> Breakpoint:
        """Set a breakpoint at ``function``, ``file:line``, ``line``, ``*address`` or (None) here.

        Raises UsageError if there is no such place, ExpressionError if the condition does not parse, or names
        what is not at any of the places, as far as there is debug information.
        """
        places, note = self._resolve(spec)
        what = spec.strip() if spec and spec.strip() else f"*{places[0].pc:#x}"
        return self._armer.code(what, places, note, condition, temporary, ignore)

    def watch(self, expression: str, any_write: bool = False, condition: str | None = None) -> Breakpoint:
        """Watch the place in memory that `expression` names now; stops stand before the writing instruction.

        Also ``*address`` and ``address, length`` (watch raw bytes). With `any_write`, writes that leave
        the bytes as they are stop too. A variable of the selected frame is watched while that frame lives.
        Raises ExpressionError if it does not name a place in memory.
        """
        return self._armer.watch(expression, any_write, condition)

    def catch(self, what: str, names: Sequence[str] = (), condition: str | None = None) -> Breakpoint:
        """Stop at host calls (`what` "call" or "syscall"; only those called `names`, if any) or at "trap".

        Names are those of imports, with or without their module (``fd_write``). Raises UsageError.
        """
        return self._armer.catch(what, names, condition)

    def delete(self, number: int | None = None) -> None:
        """Delete a breakpoint, or all of them. Raises UsageError if there is no such breakpoint."""
        self._table.delete(number)

    def enable(self, number: int | None = None) -> None:
        """Enable a breakpoint, or all. Raises UsageError."""
        self._table.enable(number, True)

    def disable(self, number: int | None = None) -> None:
        """Disable a breakpoint, or all. Raises UsageError."""
        self._table.enable(number, False)

    def ignore(self, number: int, count: int) -> Breakpoint:
        """Ignore the next `count` hits of a breakpoint, in either direction. Raises UsageError."""
        return self._table.ignore(number, count)

    def condition(self, number: int, condition: str | None) -> Breakpoint:
        """Set or (None) remove the condition of a breakpoint. Raises UsageError, ExpressionError."""
        return self._armer.condition(number, condition)

    # --- frames and data -----------------------------------------------------------------------------

    def frames(self, limit: int | None = None, first: int = 0) -> list[FrameView]:
        """The call stack, innermost first; at most `limit` frames from `first` on.

        Empty once the run has returned. Costs for the frames that are asked for.
        """
        return self._inspector.frames(limit, first)

    @property
    def frame_count(self) -> int:
        """How deep the call stack is, inlined functions counted."""
        return len(self._inspector.stack)

    @property
    def selected(self) -> int:
        """Level of the selected frame, 0 = innermost."""
        return self._inspector.selected

    def select_frame(self, level: int) -> FrameView:
        """Select a frame for looking at data and for `finish`. Raises UsageError if there is none such."""
        return self._inspector.select(level)

    def up(self, count: int = 1) -> FrameView:
        """Select the caller, at most the outermost frame. Raises UsageError at that frame."""
        return self._inspector.up(count)

    def down(self, count: int = 1) -> FrameView:
        """Select the callee. Raises UsageError at the innermost frame."""
        return self._inspector.down(count)

    def locals(self) -> list[VariableView]:
        """Local variables in scope in the selected frame, innermost scope first, without its parameters."""
        return self._inspector.locals()

    def arguments(self) -> list[VariableView]:
        """Parameters of the selected frame."""
        return self._inspector.arguments()

    def variable_names(self) -> list[str]:
        """Names in scope in the selected frame, globals included: for completion."""
        return self._inspector.variable_names()

    @property
    def specials(self) -> dict[str, int]:
        """Numbers that expressions know as ``$name``; a front end may add some (``$_``: the last found)."""
        return self._inspector.specials

    @property
    def limits(self) -> Limits:
        """How much of a value is shown; may be set."""
        return self._inspector.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._inspector.limits = limits

    def evaluate(self, expression: str) -> TypedValue:
        """Evaluate in the selected frame. Raises ExpressionError."""
        return self._inspector.evaluate(expression)

    def code_address(self, expression: str) -> int:
        """The byte offset in the module of a function that `expression` names, or of a number.

        Raises ExpressionError.
        """
        return self._inspector.code_address(expression)

    def print_(self, expression: str, fmt: str | None = None) -> str:
        """The value of an expression as gdb prints it; `fmt` one of gdb's letters (x d u o t c a f s)."""
        return self._inspector.print(expression, fmt)

    def remember(self, expression: str, fmt: str | None = None) -> tuple[int, str]:
        """As `print_`, and keep the value, as ``$1`` and so on. Returns its number, and its text."""
        return self._inspector.remember(expression, fmt)

    def source(self, around: int = 10, spec: str | None = None) -> SourceView | None:
        """About `around` lines of source about the selected frame's line, or about `spec`.

        None where there is no line information or the file is neither in the trace nor on disk.
        """
        location = self._location(spec) if spec is not None else self._focus()
        if location is None:
            return None
        return self._listings.around(location, around, self._current_line())

    def source_lines(self, path: str, first: int, last: int) -> SourceView | None:
        """Lines `first` to `last` of a source file, cut at its end; None if the file is not to be had."""
        return self._listings.lines(self._listings.find_file(path), first, last, self._current_line())

    def disassemble(self, function: str | int | None = None) -> list[DisassemblyLine]:
        """The instructions of a function (None: of the selected frame). Raises UsageError."""
        if function is None:
            frame = self._inspector.frame().code
            return self._listings.disassembly(frame.function, frame.pc)
        index = function if isinstance(function, int) else self._function(function)
        if not 0 <= index < len(self.module.functions):
            raise UsageError(f"no function {index}: the module has {len(self.module.functions)}")
        here = self.where().pc
        return self._listings.disassembly(index, here)

    def wasm_locals(self) -> list[WasmValue]:
        """The WebAssembly locals of the selected frame, parameters first."""
        return self._inspector.wasm_locals()

    def wasm_operands(self) -> list[WasmValue]:
        """The operand stack of the selected frame, outermost first; `type` is "" (not tracked)."""
        return self._inspector.wasm_operands()

    def wasm_globals(self) -> list[WasmValue]:
        """The WebAssembly globals."""
        return self._inspector.wasm_globals()

    def read_memory(self, address: int, length: int, memory: int = 0) -> bytes:
        """Bytes of linear memory. Raises UsageError if they do not all lie inside it."""
        return self.memory.read(address, length, memory)

    # --- how it is done ------------------------------------------------------------------------------

    def _hunt(self) -> Hunt:
        return Hunt(self._session, self._timeline, self._table, self.debug)

    def _motion(
        self,
        run: Callable[[Hunt], Landing],
        aim: StopKind = StopKind.MOVED,
        reverse: bool = False,
        is_jump: bool = False,
    ) -> StopReport:
        """Do one motion and report it.

        Interrupted or failed on the way back it ends where it began, on the way forward not before that;
        a jump just ends where it is.
        """
        self._session.require_motion()
        self._session.clear_interrupt()
        origin, hunt = self.position, self._hunt()
        hidden, self._stopped_at = self._inspector.hidden, ()
        self._inspector.arrived()
        try:
            landing = run(hunt)
        except Interrupted:
            if reverse or (self.position < origin and not is_jump):
                self._timeline.seek(origin)
            self._inspector.arrived(hidden if self.position == origin else 0)
            return self._reporter.interrupted(hunt)
        except TtdError:
            if reverse:
                self._timeline.seek(origin)
            self._inspector.arrived(hidden if self.position == origin else 0)
            raise
        self._inspector.arrived(landing.hidden or 0)
        report = self._reporter.report(landing, hunt, aim, reverse)
        self._stopped_at = report.breakpoints
        return report

    def _repeat(self, run: Callable[[Hunt, int], Landing], count: int, reverse: bool = False) -> StopReport:
        """The same motion several times, until something stops it. Each is told what is hidden then."""
        count, hidden = _counted(count), self._inspector.hidden

        def run_all(hunt: Hunt) -> Landing:
            landing = run(hunt, hidden)
            for _ in range(count - 1):
                if landing.triggers or self.position == (self.begin if reverse else self.end):
                    break
                self._session.obey_interrupt()
                landing = run(hunt, landing.hidden or 0)
            return landing

        return self._motion(run_all, reverse=reverse)

    def _go(self, position: Position, hunt: Hunt) -> Landing:
        self._timeline.seek(position)
        return Landing(self.position, reached=True, at_end=self.position >= self.end)

    def _go_to_event(self, number: int) -> Landing:
        self._timeline.seek_event(number)
        return Landing(self.position, reached=True, at_end=self.position >= self.end)

    def _check_event(self, number: int) -> None:
        """Raise UsageError for an event that there is not."""
        count = self.trace.event_count
        if number >= count:
            raise UsageError(f"no event {number}: the recording has {count}, counted from 0")

    def _to_place(self, spec: str, reverse: bool, anywhere: bool) -> StopReport:
        """Run to a place, or until the selected frame is left."""
        frame, hidden = self._inspector.frame(), self._inspector.hidden
        code, probes = frame.code, dict[Probe, int]()
        for place in self._resolve(spec)[0]:
            if anywhere or place.function != code.function:
                probes[CodeProbe(place.function, place.pc)] = place.hidden
            else:
                probes[FrameProbe(code.entry, frozenset({place.pc}))] = place.hidden
        if reverse:
            return self._motion(
                lambda hunt: self._stepper.reverse_advance(hunt, probes, frame, hidden), reverse=True
            )
        return self._motion(lambda hunt: self._stepper.advance(hunt, probes, frame))

    def _ignore_here(self, count: int) -> str:
        """Ignore the breakpoint that the last motion stopped at for a while; a note if there is none."""
        if _counted(count) == 1:
            return ""
        if not self._stopped_at:
            return "Not stopped at any breakpoint; argument ignored."
        number = self._stopped_at[0]
        if all(view.number != number for view in self._table.views()):
            return ""
        self._table.ignore(number, count - 1)
        return f"Will ignore next {count - 1} crossings of breakpoint {number}.  Continuing."

    def _resolve(self, spec: str | None) -> tuple[list[Place], str]:
        """The places of `spec` and a note; ``*expression`` may be any that means code. Raises UsageError."""
        text = (spec or "").strip()
        if text.startswith("*"):
            try:
                text = f"*{self._inspector.code_address(text[1:]):#x}"
            except ExpressionError as error:
                raise UsageError(f"not an address: {text[1:].strip()!r} ({error})") from None
        return self._resolver.resolve(text, self._here())

    def _here(self) -> Here:
        """What a breakpoint's place is relative to: the selected frame."""
        location, stack, level = self._focus(), self._inspector.stack, self.selected
        depth = stack[level].depth if stack.has(level) else 0
        return Here(self.where().pc, location.path if location is not None else None, depth)

    def _focus(self) -> Location | None:
        """The source line that interests the user: that of the selected frame, but at the begin that of main.

        For at the begin it is the C library's start-up code that is about to run.
        """
        where = self.where()
        if self.position == self.begin and where.level == 0 and not self.is_core_dump:
            called = self._session.program.invocations[-1].function
            for function in [*self.debug.find_functions("main"), called]:
                pc = self.debug.breakpoint_pc(function)
                location = self.debug.location(pc) if pc is not None else None
                if location is not None:
                    return location
        return where.location

    def _function(self, name: str) -> int:
        """The index of the first function called `name`, or at an address. Raises UsageError."""
        if re.match(r"\s*(\*|0[xX]|\d)", name):
            name = f"*{name.strip().removeprefix('*')}"
            return self._resolve(name)[0][0].function
        found = self.debug.find_functions(name.strip())
        if not found:
            raise UsageError(f"function {name.strip()!r} is not defined; `info functions` lists them")
        return found[0]

    def _current_line(self) -> Location | None:
        return self.where().location

    def _location(self, spec: str) -> Location | None:
        """The source line that `spec` names; a line need not have code. Raises UsageError."""
        if match := re.fullmatch(r"\s*(?:(.+):)?(\d{1,9})\s*", spec):
            path = match[1] or self._here().path
            if path is None:
                raise UsageError(f"no source file here: write file:{match[2]}")
            return Location(self._listings.find_file(path), int(match[2]))
        places, _ = self._resolve(spec)
        return places[0].location

    def _is_alive(self, entry: Position) -> bool:
        return any(frame.entry == entry for frame in self._session.state.frames)

    def _on_progress(self, position: Position, backward: bool) -> None:
        if self.progress is not None:
            self.progress(Progress(position, self.percent(position), backward))


def _counted(count: int) -> int:
    """How often a motion is to be done. Raises UsageError for less than once."""
    if count < 1:
        raise UsageError(f"cannot do that {count} times; the count must be at least 1")
    return count
