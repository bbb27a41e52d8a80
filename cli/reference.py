"""docs/commands.md, generated from the commands themselves: ``python -m ttd.cli.reference --write``.

A test holds the page up to date. May import click and the command tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ttd.cli.exitcodes import DOCUMENTED
from ttd.cli.group import COMMANDS, load_command
from ttd.cli.main import ttd
from ttd.cli.repl.command import Command, Group, Repeat
from ttd.cli.repl.session_commands import synopsis
from ttd.cli.repl.table import TABLE

PAGE = Path("docs") / "commands.md"
WIDTH = 100


def render() -> str:
    """The whole page."""
    return "\n".join([*_command_line(), *_exit_codes(), *_prompt()]) + "\n"


def _command_line() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "Generated from the code by `python -m ttd.cli.reference --write`; do not edit."
    yield ""
    yield "## The command line"
    yield ""
    yield from _block(_help("ttd", ttd, None))
    with click.Context(ttd, info_name="ttd", max_content_width=WIDTH, terminal_width=WIDTH) as parent:
        for name in COMMANDS:
            yield f"### ttd {name}"
            yield ""
            yield from _block(_help(name, load_command(name), parent))


def _help(name: str, command: click.Command, parent: click.Context | None) -> str:
    with click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH) as context:
        return command.get_help(context)


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes"
    yield ""
    yield "`ttd record` exits with the exit code of the recorded program. Otherwise:"
    yield ""
    yield "| Code | Meaning |"
    yield "|---|---|"
    for code, meaning in DOCUMENTED.items():
        yield f"| {code} | {meaning} |"
    yield ""


def _prompt() -> Iterator[str]:
    yield "## The prompt"
    yield ""
    yield "The commands of `ttd replay`. Names may be shortened as far as they stay unique."
    yield ""
    for group in Group:
        yield f"### {group.value}"
        yield ""
        for command in TABLE:
            if command.group is group:
                yield from _entry(command)


def _entry(command: Command) -> Iterator[str]:
    yield f"#### {command.name}"
    yield ""
    lines = [synopsis(command), "", *command.help_text.split("\n")]
    if command.repeat is Repeat.SAME:
        lines.append("An empty line repeats it.")
    if command.examples:
        lines += ["", "Examples:", *(f"  {example}" for example in command.examples)]
    yield from _block("\n".join(lines))


def _block(text: str) -> Iterator[str]:
    yield "```text"
    yield text.rstrip()
    yield "```"
    yield ""


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(render())
    else:
        sys.stdout.write(render())
