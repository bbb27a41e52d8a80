"""Where source files are on this machine: `directory`, and the setting `substitute-path`, as in gdb.

May import the command helpers and `ttd.errors`.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ttd.cli.output import plain
from ttd.cli.repl.command import Call, Command, Complete, Group
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session

SUBSTITUTE = "substitute-path"


def set_substitution(session: Session, arguments: str) -> None:
    """``set substitute-path FROM TO``; raises UsageError."""
    words = words_of(arguments)
    if len(words) != 2:
        raise UsageError(f"'set {SUBSTITUTE}' takes two paths, as in 'set {SUBSTITUTE} /build /home/me/src'")
    session.debugger.sources.paths.substitute(*words)
    session.debugger.sources.reread()


def show_substitutions(session: Session) -> None:
    """``show substitute-path``."""
    session.console.write("Source path substitution rules:")
    for begin, other in session.debugger.sources.paths.rules.items():
        session.console.write(f"  {plain(begin)!r} -> {plain(other)!r}")


def unset(session: Session, call: Call) -> None:
    """Drop a rule of 'set substitute-path', or all of them."""
    name, _, rest = call.arguments.partition(" ")
    if not name or not SUBSTITUTE.startswith(name):
        raise UsageError(f"'unset' takes {SUBSTITUTE!r}, and perhaps the path that a rule is for")
    paths = session.debugger.sources.paths
    for begin in words_of(rest) or list(paths.rules):
        paths.forget(begin)
    session.debugger.sources.reread()


def directory(session: Session, call: Call) -> None:
    """Look for source files in other folders, too.

    They are looked for by as much of the end of their paths as is there. Without a folder:
    forget those that were given.
    """
    sources = session.debugger.sources
    folders = words_of(call.arguments)
    sources.paths.folders[:] = [*dict.fromkeys((*folders, *sources.paths.folders))] if folders else []
    sources.reread()


def words_of(text: str) -> list[str]:
    """Paths as they are typed: blanks separate them, unless they are quoted. Raises UsageError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text}: {str(error).lower()}") from error


ROWS = (
    Command(
        "directory", (), Group.CODE, Complete.FILE, directory, "[FOLDER]...",
        ("directory src ../lib", "directory"),
    ),
    Command(
        "unset", (), Group.STATUS, Complete.TOPIC, unset, "substitute-path [FROM]",
        ("unset substitute-path",), topics=(SUBSTITUTE,),
    ),
)  # fmt: skip
