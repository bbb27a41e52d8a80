"""The prompt at a made-up terminal: what is typed, completed, interrupted, remembered."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from tests.cli.fake import FakeDebugger, session_on
from ttd.cli.repl import terminal
from ttd.cli.repl.terminal import Terminal
from ttd.errors import ExpressionError
from ttd.replayer.views import Progress
from ttd.types import Position

CTRL_C, CTRL_D, TAB, UP = "\x03", "\x04", "\t", "\x1b[A"


@pytest.fixture
def keyboard() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe:
        yield pipe


def typing(keyboard: PipeInput, keys: str, debugger: FakeDebugger | None = None) -> str:
    """What the prompt prints, banner left out, while `keys` are typed."""
    session, out = session_on(debugger or FakeDebugger())
    keyboard.send_text(keys)
    history = InMemoryHistory()
    assert Terminal(session, keyboard, DummyOutput(), history).run() == 0
    return out.getvalue().split("lists the commands.\n", 1)[1]


def test_commands_run_as_they_are_typed(keyboard: PipeInput) -> None:
    out = typing(keyboard, "step\rrs\rquit\r")
    assert out == "push (n=5) at queue.c:2\n2\tint push(int n) {\n1\t/* queue */\n"


def test_empty_line_repeats_the_last_motion(keyboard: PipeInput) -> None:
    debugger = FakeDebugger()
    typing(keyboard, "step\r\r\rq\r", debugger)
    assert debugger.position == Position(1, 3)


def test_control_d_leaves(keyboard: PipeInput) -> None:
    assert typing(keyboard, CTRL_D) == ""


def test_control_c_throws_the_line_away(keyboard: PipeInput) -> None:
    debugger = FakeDebugger()
    typing(keyboard, f"step 3{CTRL_C}step\rq\r", debugger)
    assert debugger.calls == ["step 1"]


def test_error_is_told_and_the_session_goes_on(keyboard: PipeInput) -> None:
    out = typing(keyboard, "frobnicate\rp n\rq\r")
    assert out == "no command 'frobnicate'; 'help' lists the commands\n$1 = 5\n"


def test_the_caret_stands_below_the_mistake(keyboard: PipeInput) -> None:
    error = ExpressionError("unexpected '+'", 2)
    error.text = "n +"

    def refuse(expression: str, fmt: str | None = None) -> tuple[int, str]:
        raise error

    debugger = FakeDebugger()
    debugger.remember = refuse  # type: ignore[method-assign]
    out = typing(keyboard, "p n +\rq\r", debugger)
    assert out == f"{' ' * len('(ttd) p n ')}^\nunexpected '+'\n"


def test_tab_completes_commands_and_variables(keyboard: PipeInput) -> None:
    assert typing(keyboard, f"disp{TAB} n\rq\r") == "1: n = 5\n"
    session, _ = session_on(FakeDebugger())
    assert session.displays == []


def test_arrow_up_brings_back_the_line_before(keyboard: PipeInput) -> None:
    debugger = FakeDebugger()
    typing(keyboard, f"step\r{UP}\rq\r", debugger)
    assert debugger.calls == ["step 1", "step 1"]


def test_control_c_interrupts_a_motion_and_keeps_the_session(keyboard: PipeInput) -> None:
    debugger = FakeDebugger(on_continue=lambda _: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    out = typing(keyboard, "continue\rp n\rq\r", debugger)
    assert out == "Interrupted.\npush (n=5) at queue.c:1\n1\t/* queue */\n$1 = 5\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_third_control_c_leaves_a_command_that_does_not_stop(
    keyboard: PipeInput, capfd: pytest.CaptureFixture[str]
) -> None:
    def deaf(debugger: FakeDebugger) -> None:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)

    session, _ = session_on(FakeDebugger(on_continue=deaf))
    keyboard.send_text("continue\r")
    with pytest.raises(KeyboardInterrupt):
        Terminal(session, keyboard, DummyOutput(), InMemoryHistory()).run()
    assert "once more leaves ttd" in capfd.readouterr().err


def test_progress_is_taken_while_a_command_runs(keyboard: PipeInput) -> None:
    seen: list[float] = []

    def report(debugger: FakeDebugger) -> None:
        assert debugger.progress is not None
        debugger.progress(Progress(Position(1, 2), 33.0, backward=True))
        seen.append(33.0)

    typing(keyboard, "c\rq\r", FakeDebugger(on_continue=report))
    assert seen == [33.0]


def test_history_is_kept_between_sessions(
    keyboard: PipeInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTD_HISTORY", str(tmp_path / "deep" / "history"))
    debugger = FakeDebugger()
    for keys in ("step 2\rq\r", f"{UP}{UP}\rq\r"):
        session, _ = session_on(debugger)
        keyboard.send_text(keys)
        Terminal(session, keyboard, DummyOutput()).run()
    assert debugger.calls == ["step 2", "step 2"]
    assert (tmp_path / "deep" / "history").stat().st_mode & 0o777 == 0o600


def test_unwritable_history_does_not_matter(
    keyboard: PipeInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TTD_HISTORY", str(tmp_path / "file" / "history"))
    assert isinstance(terminal.open_history(), InMemoryHistory)


def test_history_lies_in_the_users_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TTD_HISTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert terminal.history_path() == Path("/state/ttd/history")
