"""Commands about the names of the source: types of expressions, and lists of what is declared.

May import `ttd.replayer.symbols` (late) and the session's parts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ttd.cli.output import plain
from ttd.cli.repl.command import Call, Command, Complete, Group
from ttd.cli.repl.console import Style
from ttd.cli.repl.render import display_path
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.replayer.symbols import Accepts, Declaration

MOST_LISTED = 500
"""How many functions, variables, types or files a list shows before it asks to be narrowed."""


def whatis(session: Session, call: Call) -> None:
    """Name the type of an expression, or what a typedef means.

    Types are given by their names; 'ptype' writes them out. Of a typedef's name one
    level is resolved.
    """
    if not call.arguments:
        raise UsageError("'whatis' takes an expression or a type, such as 'whatis queue->size'")
    session.console.write(f"type = {plain(session.debugger.symbols.whatis(call.arguments))}")


def ptype(session: Session, call: Call) -> None:
    """Print the definition of a type, or of that of a value.

    Typedefs are resolved, structs, unions, classes and enums written out with all
    members. ptype/o adds the offset and the size of each member, and the holes
    between them.
    """
    if not call.arguments:
        raise UsageError("'ptype' takes an expression or a type, such as 'ptype struct node'")
    if call.modifier not in ("", "o"):
        raise UsageError(f"'ptype' has no format /{call.modifier}; there is /o, which shows offsets")
    text = session.debugger.symbols.ptype(call.arguments, offsets=call.modifier == "o")
    first, *rest = text.split("\n")
    start = "" if first.startswith("/*") else "type = "
    session.console.write("\n".join(plain(line) for line in (start + first, *rest)))


# --- info --------------------------------------------------------------------------------------------


def info_functions(session: Session, regex: str) -> None:
    """The program's functions; with a regular expression only those it matches."""
    accepts = pattern(regex)
    _list(session, session.debugger.symbols.functions(accepts, MOST_LISTED), regex, "function")


def info_variables(session: Session, regex: str) -> None:
    """Global and static variables; with a regular expression only those it matches."""
    accepts = pattern(regex)
    _list(session, session.debugger.symbols.variables(accepts, MOST_LISTED), regex, "variable")


def info_types(session: Session, regex: str) -> None:
    """The types of the program; with a regular expression only those it matches."""
    accepts = pattern(regex)
    _list(session, session.debugger.symbols.types(accepts, MOST_LISTED), regex, "type")


def info_scope(session: Session, place: str) -> None:
    """The variables that are visible at a function or line, and where they are."""
    if not place:
        raise UsageError("'info scope' takes a place, such as 'info scope main' or 'info scope 12'")
    found = session.debugger.symbols.scope(place)
    for name, where in found:
        session.console.write(f"{plain(name)} is {plain(where)}.")
    if not found:
        session.console.write(f"No local variables at {plain(place)}.")


def info_line(session: Session, place: str) -> None:
    """The code of a line, function or *address; alone, of the selected frame."""
    if not place:
        _line_here(session)
        return
    for view in session.debugger.symbols.lines(place):
        (start, end), path = view.symbols, display_path(session, view.location)
        session.console.write(
            f"Line {view.location.line} of {path} starts at byte offset {view.start:#x} <{plain(start)}> "
            f"and ends at {view.end:#x} <{plain(end)}>."
        )


def _line_here(session: Session) -> None:
    where = session.debugger.where()
    if where.pc is None:
        raise UsageError("no line: the program has returned")
    function = session.console.paint(plain(where.function or "?"), Style.FUNCTION)
    if where.location is None:
        session.console.write(f"No line information for byte offset {where.pc:#x} in {function}.")
        return
    place = f"line {where.location.line} of {display_path(session, where.location)}"
    start = "in the middle of" if where.mid_line else "at the start of"
    session.console.write(f"Byte offset {where.pc:#x} in {function} is {start} {place}.")


def info_symbol(session: Session, expression: str) -> None:
    """The variable or function that lies at an address."""
    if not expression:
        raise UsageError("'info symbol' takes an address, such as 'info symbol 0x1f40'")
    found = list(session.debugger.symbols.at(expression))
    for text in found:
        session.console.write(plain(text))
    if not found:
        session.console.write(f"No symbol matches {plain(expression)}.")


def info_address(session: Session, name: str) -> None:
    """Where a variable or function is."""
    if not name:
        raise UsageError("'info address' takes a name, such as 'info address main'")
    session.console.write(f"{plain(name)} is {plain(session.debugger.symbols.address(name))}.")


def pattern(regex: str) -> Accepts:
    """Whether a name has the regular expression in it; raises UsageError for what is none."""
    try:
        expression = re.compile(regex)
    except re.error as error:
        raise UsageError(f"not a regular expression: {regex!r} ({error})") from error
    return lambda name: expression.search(name) is not None


def _list(session: Session, listed: tuple[list[Declaration], int], regex: str, what: str) -> None:
    """Declarations by file, as gdb lists them."""
    from ttd.replayer.symbols import by_file

    found, count = listed
    if not found:
        session.console.write(f"No {what}s" + (f" match {plain(regex)}." if regex else "."))
    for group in by_file(found).values():
        location = group[0].location
        heading = f"File {display_path(session, location)}:" if location else _WITHOUT_FILE[what]
        session.console.write(session.console.paint(heading, Style.STRONG))
        for each in group:
            start = "" if each.location is None else f"{each.location.line}:"
            address = "" if each.address is None else f"{each.address:#010x}  "
            end = ";" if each.location is not None else ""
            session.console.write(f"{start:8}{address}{plain(each.text)}{end}")
    if count > len(found):
        session.console.write(f"({count - len(found)} more; give a regular expression)")


_WITHOUT_FILE = {
    "function": "Without debug information:",
    "variable": "Declared in no file:",
    "type": "Declared in no file:",
}

D, EXPR = Group.DATA, Complete.EXPRESSION

ROWS = (
    Command("whatis", (), D, EXPR, whatis, "EXPRESSION | TYPE", ("whatis n", "whatis unsigned")),
    Command(
        "ptype", ("pt",), D, EXPR, ptype, "EXPRESSION | TYPE", ("ptype n", "ptype/o n"), modifier=True
    ),
)  # fmt: skip
