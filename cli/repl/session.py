"""A session at the prompt: the debugger, what the user set, and how a line is carried out.

May import `ttd.replayer` (types only), the command table and `ttd.errors`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from ttd.cli.output import Progress, plain
from ttd.cli.repl.command import Command, Repeat, parse
from ttd.cli.repl.console import Console
from ttd.cli.repl.render import show_stop
from ttd.cli.repl.settings import Settings
from ttd.cli.repl.table import TABLE

if TYPE_CHECKING:
    from ttd.cli.repl.examine import Examined
    from ttd.replayer.debugger import Debugger
    from ttd.replayer.views import Progress as MotionProgress
    from ttd.replayer.views import StopReport
    from ttd.types import Position


@dataclass(frozen=True, slots=True)
class Display:
    """An expression shown at every stop."""

    number: int
    expression: str
    format: str


@dataclass(slots=True)
class Listing:
    """Which lines `list` showed last: where ``list`` and ``list -`` go on. Empty path: none yet."""

    path: str = ""
    first: int = 0
    last: int = 0


@dataclass(slots=True)
class Session:
    """Everything that a command of the prompt works on."""

    debugger: Debugger
    stream: TextIO
    colour: bool | None = None
    settings: Settings = field(default_factory=Settings)
    listing: Listing = field(default_factory=Listing)
    displays: list[Display] = field(default_factory=list)
    finished: bool = False
    """Whether the user asked to leave."""
    nesting: int = 0
    """How many `source` commands are under way."""
    shown_frame: tuple[int, Position, int] | None = None
    """Function, entry and scope of the frame that was printed last: only a new one is printed again."""
    examined: Examined | None = None
    """What `x` showed last."""
    console: Console = field(init=False)
    table: Sequence[Command] = TABLE
    _repeated: str = ""
    _progress: Progress = field(default_factory=lambda: Progress("searching"))

    def __post_init__(self) -> None:
        self.console = Console(self.stream, self.colour)

    def execute(self, line: str) -> None:
        """Carry out a command line; an empty one repeats the last motion. Raises TtdError."""
        text = line.strip() or self._repeated
        if not text or text.startswith("#"):
            return
        self._repeated = ""
        command, call = parse(text, self.table)
        self._repeated = _what_repeats(command, call.modifier, text)
        try:
            command.run(self, call)
        finally:
            for note in self.debugger.sources.take_notes():
                self.console.write(f"warning: {plain(note)}")

    def stopped(self, report: StopReport, with_instruction: bool = False) -> None:
        """Tell the user about a stop; every motion ends with it."""
        self._progress.clear()
        self.listing = Listing()
        show_stop(self, report, with_instruction)

    def tell(self, line: str) -> None:
        """Write a line now, while a search goes on."""
        self._progress.clear()
        self.console.write(line)
        self.console.flush()

    def obey_settings(self) -> None:
        """Let the debugger show as much of values as the settings say."""
        from ttd.expr import Limits

        settings = self.settings
        self.debugger.limits = Limits(settings.print_elements, settings.print_depth, settings.print_repeats)

    def start_at(self, text: str) -> None:
        """Go where the option ``--at`` says; raises UsageError."""
        from ttd.replayer.debugger import parse_target

        with self.showing_progress():
            self.debugger.goto(parse_target(text))

    def interrupt(self) -> None:
        """Stop the motion under way; may be called by a signal handler."""
        self.debugger.interrupt()

    def _show(self, progress: MotionProgress) -> None:
        self._progress.update(progress.percent, progress.position.tick)

    @contextlib.contextmanager
    def showing_progress(self) -> Iterator[None]:
        """While inside, long motions show on stderr how far they are, if it is a terminal."""
        self._progress = Progress("searching")
        self.debugger.progress = self._show
        try:
            yield
        finally:
            self.debugger.progress = None
            self._progress.clear()


def _what_repeats(command: Command, modifier: str, text: str) -> str:
    if command.repeat is Repeat.SAME:
        return text
    if command.repeat is Repeat.CONTINUED:
        return command.name + (f"/{modifier}" if modifier else "")
    return ""
