"""The prompt in a real terminal: tmux plays the terminal, and the test reads its screen."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import Guests

TMUX = shutil.which("tmux")
PATIENCE = 30.0
"""Seconds until what is waited for counts as missing."""

RECORDED = 3.0
"""Seconds of an endless program that are recorded: long enough to be interrupted in."""

pytestmark = pytest.mark.skipif(TMUX is None, reason="needs tmux, which is not installed")


class Screen:
    """A terminal of 100 by 40 that runs one program."""

    def __init__(self, socket: Path, command: str, folder: Path) -> None:
        self._tmux = [str(TMUX), "-S", str(socket), "-f", "/dev/null"]
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        subprocess.run(
            [*self._tmux, "new-session", "-d", "-x", "100", "-y", "40", "-c", str(folder), command],
            env=environment, check=True, timeout=PATIENCE,
        )  # fmt: skip

    def type(self, *keys: str) -> None:
        """Press keys, by tmux's names; other words are typed as they are."""
        subprocess.run([*self._tmux, "send-keys", *keys], check=True, timeout=PATIENCE)

    def text(self, attributes: bool = False) -> str:
        """What is on the screen."""
        command = [*self._tmux, "capture-pane", "-p", *(["-e"] if attributes else [])]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def until(self, condition: Callable[[str], bool], what: str) -> str:
        """The screen as soon as `condition` holds of it."""
        deadline = time.monotonic() + PATIENCE
        while not condition(screen := self.text()):
            assert time.monotonic() < deadline, f"waiting for {what}, the screen stays:\n{screen}"
            time.sleep(0.05)
        return screen

    def until_shown(self, text: str) -> str:
        return self.until(lambda screen: text in screen, repr(text))

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True, timeout=PATIENCE)


@pytest.fixture
def run_on_screen(tmp_path: Path) -> Iterator[Callable[..., Screen]]:
    """Runs ``ttd ARGUMENTS``, as a shell reads them; the shell tells the exit code."""
    screens: list[Screen] = []

    def run(*arguments: str) -> Screen:
        history = f"TTD_HISTORY={tmp_path}/history"
        ttd = shlex.join(["env", history, sys.executable, "-m", "ttd.cli.main"])
        command = f"{ttd} {' '.join(arguments)}; echo left with $?; exec sleep 1000"
        screens.append(Screen(tmp_path / "tmux", command, tmp_path))
        return screens[0]

    yield run
    for screen in screens:
        screen.close()


@pytest.fixture
def open_screen(run_on_screen: Callable[..., Screen]) -> Callable[[Path], Screen]:
    """Opens a prompt on a recording."""
    return lambda trace: run_on_screen("replay", shlex.quote(str(trace)))


@pytest.fixture
def screen(recorded: Callable[[str], Path], open_screen: Callable[[Path], Screen]) -> Screen:
    """A prompt on a recording of the guest "calls"."""
    return open_screen(recorded("calls"))


def bar_of(screen: str) -> str:
    """The last line on the screen that is not empty: the bottom bar."""
    return [line for line in screen.splitlines() if line.strip()][-1]


def test_session_in_a_real_terminal(screen: Screen, guest: Guests) -> None:
    banner = screen.until_shown("(ttd)")
    assert "Recording of calls.wasm: exit code 0" in banner
    screen.until(lambda shown: "0.0 %" in bar_of(shown), "the bar at the beginning")

    screen.type("brea", "Tab")
    screen.until_shown("(ttd) break")
    screen.type(" facto", "Tab")
    screen.until_shown("(ttd) break factorial")
    screen.type("Enter")
    screen.until_shown("Breakpoint 1 at 0x")
    screen.type("c", "Enter")
    screen.until_shown("Breakpoint 1, factorial (n=6)")
    shown = screen.until(lambda shown: "factorial  calls.c:" in bar_of(shown), "the bar in factorial")
    assert "%" in bar_of(shown) and "event 0/" in bar_of(shown)

    screen.type("next", "Enter")
    line = guest.line("calls", "recurse")
    screen.until_shown(f"{line}\t".expandtabs() + "    int smaller")
    screen.type("reverse-s", "Tab", "Tab")
    screen.until_shown("reverse-stepi")
    screen.type("C-c", "rs", "Enter")
    screen.until(lambda shown: bar_of(shown).endswith(f"calls.c:{line - 2}"), "the line before")

    screen.type("q", "Enter")
    screen.until_shown("left with 0")


def test_colours_show_in_a_real_terminal(screen: Screen) -> None:
    screen.until_shown("(ttd)")
    screen.type("list main", "Enter")
    screen.until_shown("int main(void)")
    assert "\x1b[" in screen.text(attributes=True)


def test_control_c_and_control_d_in_a_real_terminal(screen: Screen) -> None:
    screen.until_shown("(ttd)")
    screen.type("garbage", "C-c")
    screen.type("when", "Enter")
    screen.until_shown("% of the run, event 0 of")
    screen.type("C-d")
    screen.until_shown("left with 0")


@pytest.fixture
def long(program: Callable[[str], str], tmp_path: Path) -> Path:
    """A recording that takes a while to replay."""
    command = [sys.executable, "-m", "ttd.cli.main", "record", "-q", "-o", "long.trace", program("endless")]
    recording = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    time.sleep(RECORDED)  # the length of the recording
    recording.send_signal(signal.SIGINT)
    assert recording.wait(PATIENCE) == 130
    return tmp_path / "long.trace"


def test_control_c_interrupts_a_long_motion_in_a_real_terminal(
    long: Path, open_screen: Callable[[Path], Screen]
) -> None:
    screen = open_screen(long)
    screen.until_shown("(ttd)")
    screen.type("continue", "Enter")
    screen.until_shown("searching ")
    screen.type("C-c")
    screen.until_shown("Interrupted.")
    shown = screen.until(lambda shown: "%" in bar_of(shown), "the bar after the interrupt")
    assert "100.0 %" not in bar_of(shown)
    assert "searching" not in shown
    screen.type("q", "Enter")
    screen.until_shown("left with 0")


def test_control_c_gives_a_search_backward_up_where_it_began(
    long: Path, open_screen: Callable[[Path], Screen]
) -> None:
    screen = open_screen(long)
    screen.until_shown("(ttd)")
    screen.type("goto end", "Enter")
    screen.until(lambda shown: "100.0 %" in bar_of(shown), "the end")
    screen.type("watch 0x100, 4", "Enter", "reverse-continue", "Enter")
    screen.until_shown("searching ")
    screen.type("C-c")
    screen.until_shown("Interrupted.")
    screen.until(lambda shown: "100.0 %" in bar_of(shown), "the end again")
    screen.type("q", "Enter")
    screen.until_shown("left with 0")


def test_verification_shows_how_far_it_is_and_obeys_control_c(
    long: Path, run_on_screen: Callable[..., Screen]
) -> None:
    screen = run_on_screen("verify", str(long))
    shown = screen.until_shown("replaying ")
    assert re.search(r"replaying +\d+\.\d %  tick [\d,]+", shown), shown
    screen.type("C-c")
    assert "replaying" not in screen.until_shown("left with 130")


def test_a_recording_shows_how_far_it_is(
    program: Callable[[str], str], run_on_screen: Callable[..., Screen]
) -> None:
    screen = run_on_screen("record", program("endless"))
    screen.until(lambda shown: re.search(r"recording  tick [\d,]+", shown) is not None, "the progress")
    screen.type("C-c")
    assert "recording  tick" not in screen.until_shown("left with 130")


@pytest.mark.parametrize("engine", ["compiled", "interpreter"])
def test_how_far_it_is_stays_out_of_the_lines_of_the_program(
    engine: str, program: Callable[[str], str], run_on_screen: Callable[..., Screen]
) -> None:
    screen = run_on_screen("record", "--engine", engine, program("talks"), "3")
    for number in range(2):
        screen.until_shown(f"sentence {number} begins")
        while f"sentence {number} begins and ends" not in (shown := screen.text()):
            assert "recording  tick" not in shown
        shown = screen.until(lambda shown: "recording  tick" in shown, "the progress")
        lines = shown.split("\n")
        ended = lines.index(f"sentence {number} begins and ends")
        assert lines[ended + 1].startswith("recording  tick")
    lines = screen.until_shown("left with 0").split("\n")
    begin = lines.index("line 59")
    assert lines[begin + 1 : begin + 3] == ["sentence 0 begins and ends", "sentence 1 begins and ends"]
    assert lines[begin + 3].startswith("ttd: recorded ")
