"""What a command of the prompt is, and how a typed word finds its command.

Names, abbreviations and their precedence are gdb's: an exact name or alias wins, then a unique prefix of
a name. May import `ttd.errors`; nothing else of ttd at run time.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ttd.cli.group import did_you_mean
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session


class Group(enum.Enum):
    """Under which heading `help` lists a command."""

    FORWARD = "Going forward"
    BACKWARD = "Going backward"
    PLACES = "Going to a place"
    STOPS = "Breakpoints, watchpoints, catchpoints"
    STACK = "The stack"
    DATA = "Data"
    CODE = "Source and code"
    STATUS = "The recording and the session"


class Complete(enum.Enum):
    """What the arguments of a command are completed with."""

    NOTHING = "nothing"
    EXPRESSION = "names of variables in scope"
    LOCATION = "functions and source files"
    FUNCTION = "functions"
    BREAKPOINT = "numbers of breakpoints"
    TARGET = "places in the run"
    TOPIC = "the command's own words"
    COMMAND = "commands"
    FILE = "files"


class Repeat(enum.Enum):
    """What an empty line does after the command."""

    NOTHING = "nothing"
    SAME = "the same again"
    CONTINUED = "the command again without its arguments: it goes on where it was"


@dataclass(frozen=True, slots=True)
class Call:
    """A command line taken apart: ``x/4xw &queue`` is word ``x``, modifier ``4xw``, arguments ``&queue``."""

    word: str
    modifier: str
    arguments: str

    def count(self) -> int:
        """The arguments as a repeat count, 1 when there are none; raises UsageError."""
        return number(self.arguments, self.word) if self.arguments else 1

    def no_arguments(self) -> None:
        """Raise UsageError if there are any."""
        if self.arguments:
            raise UsageError(f"'{self.word}' takes no arguments; see 'help {self.word}'")


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the command table. `run`'s docstring is the help: one line, and what follows it."""

    name: str
    aliases: tuple[str, ...]
    group: Group
    complete: Complete
    run: Callable[[Session, Call], None]
    usage: str = ""
    """The arguments, as ``[COUNT]``."""
    examples: tuple[str, ...] = ()
    """Lines that can be typed as they stand in a recording of tests/guests/calls.c."""
    repeat: Repeat = Repeat.NOTHING
    topics: tuple[str, ...] = ()
    """The words that `Complete.TOPIC` offers."""
    modifier: bool = False
    """Whether ``/FORMAT`` may follow the name."""

    @property
    def summary(self) -> str:
        """The first line of the help."""
        return self.help_text.split("\n", 1)[0]

    @property
    def help_text(self) -> str:
        """The help, without usage and examples."""
        return "\n".join(line.strip() for line in (self.run.__doc__ or "").strip().splitlines())


def parse(line: str, commands: Sequence[Command]) -> tuple[Command, Call]:
    """Find the command of a line and take the line apart; raises UsageError."""
    match = re.fullmatch(r"\s*([A-Za-z][\w.-]*|\?)\s*(.*?)\s*", line, re.DOTALL)
    if match is None:
        raise UsageError(f"not a command: {line.strip()!r}; 'help' lists the commands")
    command, modifier, arguments = resolve(match[1], commands), "", match[2]
    if command.modifier and arguments.startswith("/"):
        modifier, _, arguments = arguments[1:].partition(" ")
    return command, Call(command.name, modifier, arguments.strip())


def resolve(word: str, commands: Sequence[Command]) -> Command:
    """The command that `word` means: its name, an alias, or a unique prefix of either; raises UsageError."""
    exact = [command for command in commands if word == command.name or word in command.aliases]
    if exact:
        return exact[0]
    found = [command for command in commands if any(name.startswith(word) for name in _names(command))]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"ambiguous command '{word}': {', '.join(command.name for command in found)}")
    known = [name for command in commands for name in _names(command)]
    raise UsageError(f"no command '{word}'{did_you_mean(word, known)}; 'help' lists the commands")


def choose(word: str, choices: Iterable[str], what: str) -> str:
    """The one of `choices` that `word` is, or is the unique prefix of; raises UsageError naming them."""
    known = list(choices)
    found = [choice for choice in known if choice == word] or [c for c in known if c.startswith(word)]
    if len(found) == 1:
        return found[0]
    problem = f"ambiguous {what} '{word}'" if found else f"no {what} '{word}'"
    raise UsageError(f"{problem}: it is one of {', '.join(found or known)}")


def number(text: str, word: str) -> int:
    """`text` as a count for command `word`: decimal or 0x…, at least 1; raises UsageError."""
    match = re.fullmatch(r"0[xX][0-9a-fA-F]{1,15}|\d{1,18}", text.strip())
    value = int(match[0], 0 if match[0][:2].lower() == "0x" else 10) if match else 0
    if value < 1:
        raise UsageError(f"'{word}' takes a count of at least 1, not {text!r}")
    return value


def numbers(text: str, word: str) -> list[int]:
    """A list such as ``1 3-5`` as numbers; raises UsageError. A range spans at most 10,000 numbers."""
    result: list[int] = []
    for part in text.replace(",", " ").split():
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < first + 10_000:
            raise UsageError(f"'{word}' takes numbers such as '2' or '1 3-5', not {part!r}")
        result += range(first, last + 1)
    return result


def _names(command: Command) -> tuple[str, ...]:
    return (command.name, *command.aliases)
