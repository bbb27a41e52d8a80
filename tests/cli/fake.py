"""A debugger made up for tests of the prompt: a line of seven positions, and notes of what it was asked.

What it says is fixed, so that a test can tell exactly what the prompt must print; it is no model of
replaying.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from ttd.cli.repl.session import Session
from ttd.errors import ExpressionError, UsageError
from ttd.expr import Limits, TypedValue
from ttd.replayer.debugger import Debugger, Target, ToBegin, ToEnd, ToPosition
from ttd.replayer.sources import SourcePaths
from ttd.replayer.views import (
    Breakpoint,
    BreakpointKind,
    DisassemblyLine,
    FrameView,
    Place,
    Progress,
    SourceLine,
    SourceView,
    StopKind,
    StopReport,
    VariableView,
    WatchChange,
    Where,
)
from ttd.store.manifest import Manifest, RecordedLimits
from ttd.types import Ending, EndKind, Location, Position

SOURCE = ("/* queue */", "int push(int n) {", "    int m = n + 1;", "    return m;", "}", "int main() {", "}")
LAST = 6


@dataclass
class FakeDebugger:
    """Position k is ``1:k``, on line k + 1 of queue.c; up to ``1:4`` in push, called by main."""

    at: int = 0
    level: int = 0
    calls: list[str] = field(default_factory=list)
    breakpoints: list[Breakpoint] = field(default_factory=list)
    progress: Callable[[Progress], None] | None = None
    on_continue: Callable[[FakeDebugger], None] | None = None
    interrupted: bool = False
    function: str = "push"
    source_text: Sequence[str] = SOURCE
    has_lines: bool = True
    limits: Limits = field(default_factory=Limits)
    is_core_dump: bool = False

    def __post_init__(self) -> None:
        self.begin, self.end = Position(1, 0), Position(1, LAST)
        self.ending = Ending(EndKind.EXIT, self.end, 3)
        manifest = Manifest("queue.wasm", (), RecordedLimits(1, 1, 1), 1, "0.1.0", "interpreter")
        self.trace = SimpleNamespace(manifest=manifest, event_count=4, damage=())
        self.debug = SimpleNamespace(
            has_dwarf=True,
            display_path=lambda path: Path(path).name,
            function_names=lambda: ["main", "malloc", "push"],
            files=lambda: ["/src/queue.c"],
        )
        self.module = SimpleNamespace(functions=())
        self.sources = SimpleNamespace(paths=SourcePaths(), reread=lambda: None, take_notes=list)

    # --- places ---

    @property
    def position(self) -> Position:
        return Position(1, self.at)

    @property
    def event(self) -> int:
        return self.at // 2

    @property
    def frame_count(self) -> int:
        return 0 if self.at == LAST else 2 if self.at < 5 else 1

    @property
    def selected(self) -> int:
        return self.level

    def where(self, level: int | None = None) -> Where:
        percent = 100 * self.at / LAST
        if self.frame_count == 0:
            return Where(self.position, percent, self.event, None, None, None, None)
        frame = self.frames()[self.level if level is None else level]
        return Where(
            self.position, percent, self.event, frame.function, 7, frame.location, frame.pc, frame.level
        )  # fmt: skip

    def frames(self, limit: int | None = None, first: int = 0) -> list[FrameView]:
        push = FrameView(
            0, 7, self.function, 0x100 + self.at, self._location(self.at + 1),
            (VariableView("n", "int", "5"),), Position(1, 0),
        )  # fmt: skip
        main = FrameView(1, 8, "main", 0x200, self._location(6), (), Position(0, 0))
        frames = [push, main] if self.frame_count == 2 else [replace(main, level=0)][: self.frame_count]
        return frames[first:][:limit]

    def _location(self, line: int) -> Location | None:
        return Location("/src/queue.c", line) if self.has_lines else None

    # --- motions ---

    def _go(self, to: int, reason: StopKind = StopKind.MOVED, message: str = "") -> StopReport:
        self.at, self.level = min(max(to, 0), LAST), 0
        if to > LAST:
            reason, message = StopKind.ENDED, "The program exited with code 3."
        elif to < 0:
            reason, message = StopKind.BEGIN, "The beginning of the recording."
        return StopReport(reason, self.where(), message)

    def _motion(self, name: str, count: int, reverse: bool) -> StopReport:
        self.calls.append(f"{'reverse-' if reverse else ''}{name} {count}")
        return self._go(self.at + (-count if reverse else count))

    def step(self, count: int = 1, reverse: bool = False) -> StopReport:
        return self._motion("step", count, reverse)

    def stepi(self, count: int = 1, reverse: bool = False) -> StopReport:
        return self._motion("stepi", count, reverse)

    def next(self, count: int = 1, reverse: bool = False) -> StopReport:
        return self._motion("next", count, reverse)

    def advance(self, spec: str, reverse: bool = False) -> StopReport:
        return self._motion(f"advance {spec}", 1, reverse)

    def finish(self, reverse: bool = False) -> StopReport:
        return self._motion("finish", 1, reverse)

    def continue_(self, count: int = 1, reverse: bool = False) -> StopReport:
        if self.on_continue is not None:
            self.on_continue(self)
        if self.interrupted:
            return StopReport(StopKind.INTERRUPTED, self.where(), "Interrupted.")
        change = WatchChange(2, "q->n", "1", "2")
        return replace(
            self._go(4, StopKind.WATCHPOINT, "\nWatchpoint 2: q->n\n\nOld value = 1\nNew value = 2"),
            breakpoints=(2,),
            changes=(change,),
        )

    def goto(self, target: Target) -> StopReport:
        match target:
            case ToBegin():
                return self._go(0)
            case ToEnd():
                return self._go(LAST, StopKind.ENDED, "The program exited with code 3.")
            case ToPosition(position) if position.tick == 1 and position.step <= LAST:
                return self._go(position.step)
        raise UsageError(f"{target} is outside the recording, which goes from 1:0 to 1:6")

    def interrupt(self) -> None:
        self.interrupted = True

    # --- frames, data, source ---

    def select_frame(self, level: int) -> FrameView:
        if not 0 <= level < self.frame_count:
            raise UsageError(f"there is no frame {level}")
        self.level = level
        return self.frames()[level]

    def up(self, count: int = 1) -> FrameView:
        return self.select_frame(self.level + count)

    def locals(self) -> list[VariableView]:
        return [VariableView("m", "int", "6")] if self.level == 0 else []

    def arguments(self) -> list[VariableView]:
        return list(self.frames()[self.level].arguments)

    def variable_names(self) -> list[str]:
        return ["m", "n", "queue"]

    def evaluate(self, expression: str) -> TypedValue:
        raise ExpressionError(f"no symbol {expression!r} here")

    def print_(self, expression: str, fmt: str | None = None) -> str:
        if expression == "n":
            return "0x5" if fmt == "x" else "5"
        raise ExpressionError(f"no symbol {expression!r} here")

    def remember(self, expression: str, fmt: str | None = None) -> tuple[int, str]:
        return 1, self.print_(expression, fmt)

    def source_lines(self, path: str, first: int, last: int) -> SourceView | None:
        if not self.source_text:
            return None
        lines = enumerate(self.source_text, 1)
        return SourceView(
            path, tuple(SourceLine(n, text, n == self.at + 1) for n, text in lines if first <= n <= last)
        )

    def disassemble(self, function: str | int | None = None) -> list[DisassemblyLine]:
        return [DisassemblyLine(0x100 + n, f"local.get {n}", n == self.at) for n in range(LAST)]

    # --- breakpoints ---

    def break_(
        self, spec: str | None = None, temporary: bool = False, condition: str | None = None, ignore: int = 0
    ) -> Breakpoint:
        self.calls.append(f"break {spec} {temporary} {condition}")
        place = Place(7, 0x102, "push", self._location(3))
        new = Breakpoint(
            len(self.breakpoints) + 1, BreakpointKind.CODE, spec or "here",
            temporary=temporary, condition=condition, places=(place,),
        )  # fmt: skip
        self.breakpoints.append(new)
        return new

    def watch(self, expression: str, any_write: bool = False, condition: str | None = None) -> Breakpoint:
        self.calls.append(f"watch {expression} {any_write} {condition}")
        return Breakpoint(2, BreakpointKind.WATCH, expression, any_write=any_write)

    def catch(self, what: str, names: Sequence[str] = (), condition: str | None = None) -> Breakpoint:
        self.calls.append(f"catch {what} {list(names)} {condition}")
        return Breakpoint(3, BreakpointKind.CATCH, " ".join((what, *names)))

    def delete(self, number: int | None = None) -> None:
        self.calls.append(f"delete {number}")


def session_on(debugger: FakeDebugger, colour: bool = False) -> tuple[Session, io.StringIO]:
    """A session on a made-up debugger, and what it writes."""
    stream = io.StringIO()
    return Session(cast("Debugger", debugger), stream, colour), stream
