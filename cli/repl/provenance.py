"""Commands that tell how a value came to be: its changes, its last write, its way through the program.

May import `ttd.expr` and `ttd.replayer` (late), and the session's parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from ttd.cli.describe import event_line
from ttd.cli.output import plain
from ttd.cli.repl.command import Call, Command, Complete, Group
from ttd.cli.repl.console import Style
from ttd.cli.repl.render import display_path, source_text
from ttd.errors import ExpressionError, UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.events import HostCall
    from ttd.replayer.views import Change, Hop, Trail
    from ttd.types import Location

T = TypeVar("T")

POSITION_WIDTH = 12
"""Columns of a position; a longer one takes what it needs."""


def history(session: Session, call: Call) -> None:
    """List the changes of a value before here, newest first.

    Each with its position (for 'goto'), the value before and after it, and the place
    in the source. COUNT of them, or all; Ctrl-C ends the list. It is the place that
    EXPRESSION names here whose past is told: a variable, a member, an element, raw
    memory (1024, 16); of a string or container the object itself, not what it owns.
    With -w, writes that leave the value as it is are listed too. You stay where you
    are. FORMAT is that of 'print'.
    """
    every_write, text, count = _arguments(call)
    trail = session.debugger.history(text, call.modifier or None, every_write)
    for change in _first(trail, count):
        session.tell(_change_line(session, change))
    _tell_ending(session, trail)


def last_write(session: Session, call: Call) -> None:
    """Go back to the write that made a value what it is.

    You then stand before it, as at a watchpoint. For an argument in a register that is
    the call; for what a host call wrote, the host call. If nothing has changed the
    value you stay, and are told since when it is so. With -w, also a write that left it
    as it was. FORMAT is that of 'print'.
    """
    every_write, text, count = _arguments(call)
    if count is not None:
        raise UsageError(f"'last-write' takes no count; 'history {text} {count}' lists writes")
    session.stopped(session.debugger.last_write(text, call.modifier or None, every_write))


def origin(session: Session, call: Call) -> None:
    """Follow a value back to where it was computed or came in.

    From the write that stored it back through copies, calls, returns and conversions,
    each a hop with its position (for 'goto'), the value there, and the source line. It
    ends where the value was computed, is a constant, or entered from the host; or where
    it can't be followed, and says why. COUNT hops at most (100); Ctrl-C ends it. You
    stay where you are. FORMAT is that of 'print'.
    """
    from ttd.replayer.origin import MOST_HOPS

    every_write, text, count = _arguments(call)
    if every_write:
        raise UsageError("'origin' takes no -w: it follows every write")
    trail = session.debugger.origin(text, call.modifier or None, count or MOST_HOPS)
    for number, hop in enumerate(trail):
        for line in _hop_lines(session, number, hop):
            session.tell(line)
    _tell_ending(session, trail)


def _arguments(call: Call) -> tuple[bool, str, int | None]:
    """``-w EXPRESSION COUNT``: whether -w is there, the expression, the count. Raises UsageError."""
    text = call.arguments
    every_write = re.match(r"-w(\s|$)", text) is not None
    text = text[2:].strip() if every_write else text
    if not text:
        raise UsageError(f"'{call.word}' takes an expression, such as '{call.word} queue->size'")
    match = re.fullmatch(r"(.*\S)\s+(\d{1,9})", text, re.DOTALL)
    if match is None or not _is_expression(match[1]) or not int(match[2]):
        return every_write, text, None
    return every_write, match[1], int(match[2])


def _is_expression(text: str) -> bool:
    from ttd.expr import parse

    try:
        parse(text)
    except ExpressionError:
        return bool(re.fullmatch(r"\w+\s*,\s*\w+", text))  # a range of raw memory
    return True


def _first(trail: Trail[T], count: int | None) -> Iterator[T]:
    """At most `count` of a trail; no more is looked for than that."""
    for number, found in enumerate(trail, 1):
        yield found
        if number == count:
            return


def _tell_ending(session: Session, trail: Trail[T]) -> None:
    if trail.ending:
        session.tell(plain(trail.ending))


def _change_line(session: Session, change: Change) -> str:
    old = f"{plain(change.old)} → " if change.old is not None else "→ "
    notes = " (passed as an argument)" if change.is_argument else ""
    if change.call is not None:
        notes = f" (host call {change.call.number})"
    place = _place(session, change.function, change.location)
    return f"{change.position!s:>{POSITION_WIDTH}}  {old}{plain(change.new)}  in {place}{notes}"


def _hop_lines(session: Session, number: int, hop: Hop) -> Iterator[str]:
    yield f"{f'#{number}':3} {hop.position!s:>{POSITION_WIDTH}}  {plain(hop.value)}  {plain(hop.text)}"
    indented = " " * (POSITION_WIDTH + 6)
    if hop.function is not None:
        yield f"{indented}in {_place(session, hop.function, hop.location)}"
    if hop.call is not None:
        yield f"{indented}{_call_text(session, hop.call)}"
    text = source_text(session, hop.location) if hop.location is not None else None
    if text is not None:
        yield f"{indented}    {text.strip()}"


def _place(session: Session, function: str, location: Location | None) -> str:
    painted = session.console.paint(plain(function), Style.FUNCTION)
    if location is None:
        return painted
    path = session.console.paint(display_path(session, location), Style.FILE)
    return f"{painted} at {path}:{location.line}"


def _call_text(session: Session, call: HostCall) -> str:
    return f"event {call.number}: {event_line(session.debugger.module, call)}"


ROWS = (
    Command(
        "last-write", ("lw",), Group.BACKWARD, Complete.EXPRESSION, last_write, "[-w] EXPRESSION",
        ("last-write smaller", "last-write -w n"), modifier=True,
    ),
    Command(
        "history", (), Group.DATA, Complete.EXPRESSION, history, "[-w] EXPRESSION [COUNT]",
        ("history smaller", "history n 5", "history/x 1024, 16"), modifier=True,
    ),
    Command(
        "origin", (), Group.DATA, Complete.EXPRESSION, origin, "EXPRESSION [COUNT]",
        ("origin n", "origin n 3"), modifier=True,
    ),
)  # fmt: skip
