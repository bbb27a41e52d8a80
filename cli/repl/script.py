"""Commands without a terminal: from ``-e``, from a script, from standard input.

Each is echoed as ``(ttd) CMD`` before its output, so that a log reads as a session does. The first error
ends the run: what follows it would act on a state that its author did not mean.
May import `ttd.errors` and the session.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from ttd.cli.exitcodes import FAILURE, SUCCESS
from ttd.cli.output import plain
from ttd.cli.repl.pointing import with_column
from ttd.cli.repl.session import Session
from ttd.errors import TtdError, UsageError

PROMPT = "(ttd) "
LARGEST_SCRIPT = 1 << 22
"""Bytes of a script file above which it surely is something else."""


def run_script(session: Session, lines: Iterable[str], errors: TextIO | None = None) -> int:
    """Run `lines` until one fails or leaves the session; the exit code. Its error goes to stderr."""
    for line in lines:
        session.console.write(f"{PROMPT}{plain(line)}".rstrip())
        session.console.flush()
        try:
            with session.showing_progress():
                session.execute(line)
        except TtdError as error:
            session.console.flush()
            print(plain(f"ttd: {line}: {with_column(line, error)}"), file=errors or sys.stderr)
            return FAILURE
        session.console.flush()
        if session.finished:
            break
    return SUCCESS


def commands_of(lines: Iterable[str]) -> Iterator[str]:
    """The commands among the lines of a script: not blank ones, not comments (``#``)."""
    for line in lines:
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped


def read_script(path: Path) -> list[str]:
    """The commands of the script at `path`; raises UsageError if it cannot be read as text."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_SCRIPT + 1)
    except OSError as error:
        raise UsageError(f"cannot read script {path}: {error.strerror}") from error
    if len(data) > LARGEST_SCRIPT:
        raise UsageError(f"script {path} is larger than {LARGEST_SCRIPT >> 20} MiB; is it a script?")
    try:
        return list(commands_of(data.decode().splitlines()))
    except UnicodeDecodeError as error:
        raise UsageError(f"script {path} is not UTF-8 text (byte {error.start})") from error
