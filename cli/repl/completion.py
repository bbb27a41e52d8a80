"""What Tab offers: commands, functions, files, variables and members of structures.

May import `ttd.debuginfo.types` (late), the session and base. Knows nothing of the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath

from ttd.cli.output import plain
from ttd.cli.repl.command import Complete, resolve
from ttd.cli.repl.session import Session
from ttd.errors import TtdError

MOST = 1000
"""How many candidates are offered at most."""

TARGETS = ("begin", "end", "event ")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completion: `text` replaces the last `replaces` characters before the cursor."""

    text: str
    replaces: int
    note: str = ""


def candidates(session: Session, line: str) -> list[Candidate]:
    """What may stand at the end of `line`, the text before the cursor."""
    match = re.fullmatch(r"\s*([A-Za-z][\w.-]*)(/\w*)?(\s+)(.*)|\s*(\S*)", line, re.DOTALL)
    if match is None:
        return []
    if match[1] is None:
        return _commands(session, match[5])
    try:
        command = resolve(match[1], session.table)
        kind, words = command.complete, command.topics
        found = (
            _SOURCES[kind](session, match[4])
            if kind in _SOURCES
            else _topics(session, command.name, words, match[4])
        )
        return _first(found)
    except TtdError:
        return []


def _first(found: Iterable[Candidate]) -> list[Candidate]:
    """Without repetitions, and not too many."""
    result: dict[str, Candidate] = {}
    for candidate in found:
        result.setdefault(candidate.text, candidate)
        if len(result) >= MOST:
            break
    return list(result.values())


def _commands(session: Session, word: str) -> list[Candidate]:
    return [
        Candidate(command.name, len(word), command.summary)
        for command in session.table
        if command.name.startswith(word)
    ]


def _matching(words: Iterable[str], prefix: str, note: str = "") -> Iterator[Candidate]:
    return (Candidate(word, len(prefix), note) for word in words if word.startswith(prefix))


def _topics(session: Session, command: str, topics: tuple[str, ...], text: str) -> Iterator[Candidate]:
    if command in ("set", "show"):
        topics = session.settings.names()
    if command == "catch" and " " in text:
        imported = (f.imported.name for f in session.debugger.module.functions if f.imported is not None)
        return _matching(imported, text.rpartition(" ")[2], "host function")
    if command in ("memory", "heap"):
        return chain(_matching(topics, text), _expressions(session, text))
    return _matching(topics, text)


def _command_names(session: Session, text: str) -> Iterator[Candidate]:
    return iter(_commands(session, text))


def _functions(session: Session, text: str) -> Iterator[Candidate]:
    return _matching(session.debugger.debug.function_names(), text, "function")


def _locations(session: Session, text: str) -> Iterator[Candidate]:
    if re.search(r"\bif\s", text):
        yield from _expressions(session, text)
        return
    yield from _functions(session, text)
    files = (PurePath(path).name + ":" for path in session.debugger.debug.files())
    yield from _matching(files, text, "source file")


def _breakpoints(session: Session, text: str) -> Iterator[Candidate]:
    prefix = text.rpartition(" ")[2]
    for item in session.debugger.breakpoints:
        if str(item.number).startswith(prefix):
            yield Candidate(str(item.number), len(prefix), plain(item.what))


def _targets(session: Session, text: str) -> Iterator[Candidate]:
    return _matching(TARGETS, text)


def _expressions(session: Session, text: str) -> Iterator[Candidate]:
    member = re.search(r"([A-Za-z_$][\w$]*(?:(?:->|\.)\w+|\[\w+\])*)(->|\.)(\w*)$", text)
    if member is not None:
        yield from _members(session, member[1], member[3])
        return
    name = re.search(r"[A-Za-z_$][\w$]*$", text)
    prefix = name[0] if name else ""
    yield from _matching(session.debugger.variable_names(), prefix, "variable")
    if prefix:
        yield from _functions(session, prefix)


def _members(session: Session, expression: str, prefix: str) -> Iterator[Candidate]:
    """The members of the structure that `expression` is or points to."""
    from ttd.debuginfo.types import AggregateType, PointerType

    type_ = session.debugger.evaluate(expression).type.strip()
    if isinstance(type_, PointerType):
        type_ = type_.target.strip()
    if isinstance(type_, AggregateType):
        for member in type_.members:
            if member.name.startswith(prefix) and member.name:
                yield Candidate(member.name, len(prefix), plain(member.type.name))


def _files(session: Session, text: str) -> Iterator[Candidate]:
    folder, _, prefix = text.rpartition("/")
    base = Path(folder or ("/" if text.startswith("/") else ".")).expanduser()
    try:
        entries = sorted(base.iterdir())
    except (OSError, ValueError):  # ValueError: no path has a NUL in it
        return
    for entry in entries:
        if entry.name.startswith(prefix):
            yield Candidate(entry.name + ("/" if entry.is_dir() else ""), len(prefix))


_SOURCES = {
    Complete.NOTHING: lambda session, text: iter(()),
    Complete.COMMAND: _command_names,
    Complete.FUNCTION: _functions,
    Complete.LOCATION: _locations,
    Complete.BREAKPOINT: _breakpoints,
    Complete.TARGET: _targets,
    Complete.EXPRESSION: _expressions,
    Complete.FILE: _files,
}
