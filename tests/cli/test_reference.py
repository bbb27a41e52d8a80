"""The documentation of the commands: up to date, complete, and with examples that run."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Ran
from tests.support import ROOT
from ttd.cli import reference
from ttd.cli.group import COMMANDS, load_command
from ttd.cli.main import ttd as ttd_group
from ttd.cli.repl.command import Command
from ttd.cli.repl.session import Session
from ttd.cli.repl.status import TOPICS
from ttd.cli.repl.table import TABLE
from ttd.replayer.debugger import Debugger
from ttd.store.trace import Trace

Ttd = Callable[..., Ran]
Program = Callable[[str], str]


def test_page_is_up_to_date() -> None:
    page = (ROOT / reference.PAGE).read_text()
    assert page == reference.render(), "run: python -m ttd.cli.reference --write"


def test_page_has_every_command() -> None:
    page = reference.render()
    for name in COMMANDS:
        assert f"\n### ttd {name}\n" in page
    for command in TABLE:
        assert f"\n#### {command.name}\n" in page


def test_every_info_topic_has_its_line_of_help() -> None:
    for topic in TOPICS.values():
        assert (topic.__doc__ or "").strip().endswith(".")


def examples() -> list[str]:
    """All lines of examples in the help of the commands."""
    commands: list[click.Command] = [ttd_group, *map(load_command, COMMANDS)]
    return [
        line.strip() for command in commands for line in (command.epilog or "").splitlines() if "ttd" in line
    ]


def test_every_command_has_examples() -> None:
    for name in COMMANDS:
        assert re.search(rf"^\s*ttd {name}\b", load_command(name).epilog or "", re.MULTILINE), name


@pytest.fixture
def playground(ttd: Ttd, program: Program, tmp_path: Path) -> Ttd:
    """`ttd` in a folder with what the examples name."""
    for name in ("hello", "files", "numbers"):
        program(name)
    (tmp_path / "prog.wasm").write_bytes((tmp_path / program("calls")).read_bytes())
    (tmp_path / "crash.txt").write_text("    0:    0x2f5 - prog.wasm!leaf\n")
    (tmp_path / "find-the-bug.ttd").write_text("goto end\nreverse-continue\n")
    ttd("record", "hello.wasm")
    return ttd


@pytest.mark.parametrize("example", examples())
def test_example_on_the_command_line_runs(example: str, playground: Ttd) -> None:
    word, *arguments = shlex.split(example, comments=True)
    assert word == "ttd"
    ran = playground(*arguments)
    expected = 3 if "--verbose" in arguments else 0  # hello.wasm says how it was called
    assert ran.code == expected, ran.err


@pytest.mark.parametrize("command", [c for c in TABLE if c.examples], ids=lambda command: command.name)
def test_examples_of_the_prompt_run(
    command: Command, recorded: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    for example in command.examples:
        with Trace.open(recorded("calls")) as trace, Debugger(trace) as debugger:
            session = Session(debugger, io.StringIO())
            for line in (*PREPARATION, example):
                session.execute(line)


PREPARATION = ("break factorial", "break leaf", "continue", "continue", "continue", "display n", "up")
"""What is typed before each example: some breakpoints hit, the caller selected."""


def test_every_command_of_the_prompt_that_takes_something_has_examples() -> None:
    without = [command.name for command in TABLE if not command.examples]
    assert without == ["run", "source", "quit"]
