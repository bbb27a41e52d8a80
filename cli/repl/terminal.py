"""The prompt in a terminal: history, completion, the bottom bar, Ctrl-C.

May import prompt_toolkit (the only place that does, with `completer`), and the session.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style

from ttd.cli.exitcodes import SUCCESS
from ttd.cli.output import plain
from ttd.cli.repl.banner import banner
from ttd.cli.repl.bar import bar
from ttd.cli.repl.completion import candidates
from ttd.cli.repl.pointing import caret
from ttd.cli.repl.script import PROMPT
from ttd.cli.repl.session import Session
from ttd.errors import TtdError

STYLE = Style.from_dict(
    {
        "prompt": "bold",
        "bottom-toolbar": "noreverse bg:#303030 #b0b0b0",
        "bar.position": "#ffffff bold",
        "bar.gauge": "#87afd7",
        "bar.rest": "#5f5f5f",
        "bar.function": "#d7af5f",
    }
)


class Terminal:
    """A session at a terminal. `source` and `sink` replace the terminal in tests."""

    def __init__(
        self,
        session: Session,
        source: Input | None = None,
        sink: Output | None = None,
        history: History | None = None,
    ) -> None:
        self._session = session
        self._prompt: PromptSession[str] = PromptSession(
            message=[("class:prompt", PROMPT)],
            history=history or open_history(),
            completer=CommandCompleter(session),
            complete_while_typing=False,
            enable_history_search=True,
            bottom_toolbar=self._toolbar,
            style=STYLE,
            include_default_pygments_style=False,
            input=source,
            output=sink,
        )

    def run(self) -> int:
        """Read and run commands until the user leaves; the exit code."""
        for line in banner(self._session):
            self._session.console.write(line)
        while not self._session.finished:
            self._session.console.flush()
            try:
                line = self._prompt.prompt()
            except KeyboardInterrupt:
                continue
            except EOFError:
                break
            self._execute(line)
        return SUCCESS

    def _execute(self, line: str) -> None:
        try:
            with interruptible(self._session), self._session.showing_progress():
                self._session.execute(line)
        except TtdError as error:
            mark = caret(line, error, len(PROMPT), self._prompt.output.get_size().columns)
            self._session.console.write(plain(str(error)) if mark is None else f"{mark}\n{plain(str(error))}")

    def _toolbar(self) -> StyleAndTextTuples:
        return [(f"class:bar.{name}" if name else "", text) for name, text in bar(self._session)]


class CommandCompleter(Completer):
    """`completion.candidates` in prompt_toolkit's terms."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        with contextlib.suppress(TtdError):
            for candidate in candidates(self._session, document.text_before_cursor):
                yield Completion(
                    candidate.text, start_position=-candidate.replaces, display_meta=candidate.note
                )


@contextlib.contextmanager
def interruptible(session: Session) -> Iterator[None]:
    """While inside, Ctrl-C asks the debugger to stop where it is; a third one leaves ttd.

    (An engine that is torn out of its work has no state to go on with: a command cannot just be given up.)
    Only the main thread may set signal handlers; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = 0

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise KeyboardInterrupt
        if asked == 2:
            os.write(2, b"\nstill working; Ctrl-C once more leaves ttd\n")
        session.interrupt()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def open_history() -> History:
    """The history kept between sessions; one for this session only, where no file can be written."""
    path = history_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.close(descriptor)
    except OSError:
        return InMemoryHistory()
    return ForgivingHistory(str(path))


def history_path() -> Path:
    """``$TTD_HISTORY``, or ``ttd/history`` in the user's state directory (XDG base directories)."""
    named = os.environ.get("TTD_HISTORY")
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "ttd" / "history"


class ForgivingHistory(FileHistory):
    """A history file that may become unwritable under a session without ending it."""

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):
            super().store_string(string)
