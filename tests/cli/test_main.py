"""The edge of the command line: what errors look like, exit codes, what is imported when."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ttd.cli import group, main
from ttd.cli.commands import ls
from ttd.errors import DamagedTrace


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ttd 0.")


def test_without_arguments_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    out = capsys.readouterr().out
    for name in group.COMMANDS:
        assert f"\n  {name} " in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["replya"], "ttd: no command 'replya' (did you mean 'replay'?); see 'ttd --help'\n"),
        (["frobnicate"], "ttd: no command 'frobnicate'; see 'ttd --help'\n"),
        (["--frob"], "ttd: no such option '--frob'; see 'ttd --help'\n"),
        (["ls", "--frob"], "ttd: no such option '--frob'; see 'ttd ls --help'\n"),
        (["ls", "--jsn"], "ttd: no such option '--jsn' (did you mean '--json'?); see 'ttd ls --help'\n"),
        (["dis"], "ttd: missing argument 'MODULE'; see 'ttd dis --help'\n"),
        (["info", "a", "b"], "ttd: got unexpected extra argument (b); see 'ttd info --help'\n"),
    ],
)
def test_usage_error_is_one_line_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", message)


def _fail(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def callback(**_options: object) -> None:
        raise error

    monkeypatch.setattr(ls.command, "callback", callback)


@pytest.mark.parametrize(
    "error, code, message",
    [
        (DamagedTrace("x.trace is\ncut off"), 1, "ttd: x.trace is cut off\n"),
        (OSError(28, "No space left on device", "out.trace"), 1, "ttd: out.trace: No space left on device\n"),
        (MemoryError(), 1, "ttd: out of memory\n"),
        (DamagedTrace("evil \x1b[2J"), 1, "ttd: evil \\x1b[2J\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_error_becomes_one_line_and_its_exit_code(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _fail(monkeypatch, error)
    assert main.run(["ls"]) == code
    assert capsys.readouterr().err.lstrip("\n") == message


def test_bug_is_told_as_a_bug_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _fail(monkeypatch, ZeroDivisionError("oh\nno"))
    assert main.run(["ls"]) == 70
    err = capsys.readouterr().err
    assert err.startswith("ttd: internal error: ZeroDivisionError: oh no; this is a bug in ttd")
    assert err.count("\n") == 1


def test_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(monkeypatch, ZeroDivisionError("oh"))
    monkeypatch.setenv(main.TRACEBACK_VARIABLE, "1")
    with pytest.raises(ZeroDivisionError):
        main.run(["ls"])


def test_closed_output_ends_quietly() -> None:
    program = "import sys; sys.stdin.read(); from ttd.cli.main import main; main()"
    ttd = subprocess.Popen(
        [sys.executable, "-c", program, "--help"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert ttd.stdout is not None
    ttd.stdout.close()
    _, err = ttd.communicate()
    assert (ttd.returncode, err) == (141, b"")


def test_terminal_without_unicode_is_no_problem(recorded: Callable[[str], Path]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ttd.cli.main", "replay", recorded("calls"), "-e", "help delete"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "delete, d [NUMBER\\u2026]" in ran.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes files")
@pytest.mark.parametrize(("closed", "arguments", "code"), [(1, "--version", 0), (2, "replya", 2)])
def test_closed_outputs_do_no_harm(closed: int, arguments: str, code: int) -> None:
    command = f'exec "$0" -m ttd.cli.main {arguments} {closed}>&-'
    ran = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", "")


def test_shells_can_complete_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(main.COMPLETION_VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "ttd re")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert main.run([]) == 0
    assert [line.split(",")[1] for line in capsys.readouterr().out.split()] == ["record", "replay", "repair"]


def test_help_imports_nothing_heavy() -> None:
    heavy = ["wasmtime", "sqlalchemy", "prompt_toolkit", "pygments", "elftools", "zstandard", "msgpack"]
    program = (
        "import sys; from ttd.cli.main import run; run(['--help']);"
        f"sys.exit([name for name in {heavy} if name in sys.modules] or 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stderr.strip() == "" and result.returncode == 0
