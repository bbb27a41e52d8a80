"""Commands that show source text and instructions.

May import `ttd.replayer.views` (types only) and the session's parts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ttd.cli.output import plain
from ttd.cli.repl.command import Call, Command, Complete, Group, Repeat
from ttd.cli.repl.console import Style
from ttd.cli.repl.render import highlighted, instruction_text
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.replayer.views import SourceView


def list_(session: Session, call: Call) -> None:
    """Show source text.

    First around the current line, then what follows. 'list -' shows what comes before.
    A place (function, LINE, FILE:LINE) shows the lines around it; FIRST,LAST or
    FILE:FIRST,LAST just those lines. 'set listsize' says how many lines there are.
    """
    arguments = call.arguments
    if not arguments or arguments == "-":
        view = _onward(session, backward=arguments == "-")
    elif match := re.fullmatch(r"(?:(.+):)?(\d{1,9})\s*,\s*(\d{1,9})?", arguments):
        first = int(match[2])
        last = int(match[3]) if match[3] else first + session.settings.listsize - 1
        view = _range(session, _path(session, match[1]), first, last)
    else:
        view = session.debugger.source(session.settings.listsize, arguments)
    if view is None or not view.lines:
        raise UsageError(_nothing_to_list(session))
    _print(session, view)


def disassemble(session: Session, call: Call) -> None:
    """Show the instructions of a function.

    With their byte offsets in the module; => marks the next one.
    """
    lines = session.debugger.disassemble(call.arguments or None)
    for line in lines:
        session.console.write(instruction_text(session.console, line))
    if not lines:
        raise UsageError(f"{call.arguments or 'this function'} has no code: it is imported")


def _onward(session: Session, backward: bool) -> SourceView | None:
    listing, size = session.listing, session.settings.listsize
    if not listing.path:
        view = session.debugger.source(size)
        if view is None or not backward:
            return view
        listing.path, listing.first = view.path, view.lines[0].number
    if not backward:
        view = session.debugger.source_lines(listing.path, listing.last + 1, listing.last + size)
        if view is not None and not view.lines:
            raise UsageError(f"line {listing.last} is the last of the file")
        return view
    if listing.first <= 1:
        raise UsageError("this is the beginning of the file")
    return session.debugger.source_lines(listing.path, max(1, listing.first - size), listing.first - 1)


def _path(session: Session, name: str | None) -> str:
    """The file that is meant: that called `name`, else that listed last, else that of the selected frame."""
    if name is not None:
        view = session.debugger.source(1, f"{name}:1")
        return view.path if view is not None else ""
    location = session.debugger.where().location
    return session.listing.path or (location.path if location is not None else "")


def _range(session: Session, path: str, first: int, last: int) -> SourceView | None:
    if not 0 < first <= last:
        raise UsageError(f"'list' takes FIRST,LAST with FIRST up to LAST, not {first},{last}")
    view = session.debugger.source_lines(path, first, last) if path else None
    if view is not None and not view.lines:
        raise UsageError(f"the file has no line {first}")
    return view


def _print(session: Session, view: SourceView) -> None:
    texts = highlighted(session, view.path, view.lines)
    for line, text in zip(view.lines, texts, strict=True):
        marker = "=>" if line.is_current else "  "
        number = session.console.paint(f"{line.number:5}", Style.STRONG if line.is_current else Style.DIM)
        session.console.write(f"{marker}{number}  {text}".rstrip())
    session.listing.path = view.path
    session.listing.first, session.listing.last = view.lines[0].number, view.lines[-1].number


def _nothing_to_list(session: Session) -> str:
    if session.debugger.where().function is None:
        return "no source here: the program has returned; 'reverse-step' goes back into it"
    location = session.debugger.where().location
    if location is None:
        return "no source here: this function has no line information; 'disassemble' shows its code"
    path = session.listing.path or location.path
    return f"{plain(path)} is neither in the recording nor on disk; 'disassemble' shows the code"


ROWS = (
    Command(
        "list", ("l",), Group.CODE, Complete.LOCATION, list_, "[LOCATION | [FILE:]FIRST,LAST | -]",
        ("list", "list -", "list main", "list 10,20"), Repeat.CONTINUED,
    ),
    Command(
        "disassemble", (), Group.CODE, Complete.FUNCTION, disassemble, "[FUNCTION]",
        ("disassemble", "disassemble factorial"),
    ),
)  # fmt: skip
