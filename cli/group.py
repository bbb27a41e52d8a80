"""The `ttd` command group: commands by name, imported when they are needed.

May import click; imports the command modules late.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from typing import Any

import click

COMMANDS = (
    "record", "replay", "ls", "info", "events", "verify", "core", "dis", "symbols", "addr2line", "symbolize",
    "repair", "cache",
)  # fmt: skip
"""Every command, in the order in which `ttd --help` lists them."""


EXAMPLES = "\n\b\nExamples:"
"""How the examples begin in a docstring; ``\\b`` keeps click from wrapping them."""


class Command(click.Command):
    """A command whose docstring is its help: text, and examples, which are shown behind the options."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        text, mark, examples = inspect.cleandoc(self.help or "").partition(EXAMPLES)
        self.help, self.epilog = text, (mark + examples).strip("\n") or None

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence, whole, without what is in brackets."""
        sentence = " ".join((self.help or "").split("\n\n")[0].split())
        return re.sub(r" \([^)]*\)|[.:].*", "", sentence)


class CommandGroup(Command, click.Group):
    """A group whose commands are the modules of `ttd.cli.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return load_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name is met with the nearest known one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(f"no command {name!r}{did_you_mean(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


def load_command(name: str) -> click.Command:
    """The click command of module `ttd.cli.commands.NAME`."""
    command = importlib.import_module(f"ttd.cli.commands.{name}").command
    if not isinstance(command, click.Command):
        raise TypeError(f"ttd.cli.commands.{name}.command is no click command")
    return command


def did_you_mean(word: str, choices: tuple[str, ...] | list[str]) -> str:
    """`` (did you mean 'replay'?)`` if one of `choices` resembles `word`, else the empty string."""
    close = difflib.get_close_matches(word.lower(), choices, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
