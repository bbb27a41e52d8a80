"""Commands about breakpoints, watchpoints and catchpoints.

May import `ttd.replayer.views` (late) and the session's parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ttd.cli.output import plain
from ttd.cli.repl.command import Call, Command, Complete, Group, choose, number, numbers
from ttd.cli.repl.render import address_text
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.replayer.views import Breakpoint, Place

CAUGHT = ("call", "trap")
"""What `catch` stops at."""


def break_(session: Session, call: Call) -> None:
    """Set a breakpoint at LOCATION, or here.

    LOCATION is a function, FILE:LINE, LINE (of this file), or *ADDRESS (a byte offset
    in the module). With a condition it stops only where the expression is true.
    """
    _break(session, call, temporary=False)


def tbreak(session: Session, call: Call) -> None:
    """Set a breakpoint that stops once."""
    _break(session, call, temporary=True)


def watch(session: Session, call: Call) -> None:
    """Stop where a variable or memory changes.

    It stops before the instruction that writes, and shows the value before and after,
    in both directions of time. With -w writes of the same value stop too. EXPRESSION
    may also be *ADDRESS or ADDRESS, LENGTH. A local variable is watched as long as its
    frame lives. CONDITION is about the values that the write makes, as in gdb, though
    the stop is before it: 'watch n if n > 9' stops where n is about to exceed 9.
    """
    text, condition = split_condition(call.arguments)
    options, text = _options(text)
    if unknown := options - {"-w", "-l", "-location"}:
        raise UsageError(f"'watch' has no option {unknown.pop()!r}; it has -w (every write)")
    if not text:
        raise UsageError("'watch' takes an expression, such as 'watch queue->size'")
    _announce(session, session.debugger.watch(text, "-w" in options, condition))


def catch(session: Session, call: Call) -> None:
    """Stop at host calls, or at the trap that ends the run.

    Without names, at all host calls.
    """
    text, condition = split_condition(call.arguments)
    words = text.replace(",", " ").split()
    if not words:
        raise UsageError(
            "'catch' takes 'call' and names of host functions, or 'trap', as in 'catch call fd_write'"
        )
    what = "call" if words[0] == "syscall" else choose(words[0], CAUGHT, "thing to catch")
    _announce(session, session.debugger.catch(what, words[1:], condition))


def delete(session: Session, call: Call) -> None:
    """Delete breakpoints by number, or all of them.

    'delete display' deletes displays.
    """
    _, _, rest = call.arguments.partition(" ")
    if call.arguments.split(" ")[0] == "display":
        _undisplay(session, numbers(rest, "delete display"))
        return
    _each(session, call, session.debugger.delete)


def enable(session: Session, call: Call) -> None:
    """Enable breakpoints by number, or all of them."""
    _each(session, call, session.debugger.enable)


def disable(session: Session, call: Call) -> None:
    """Disable breakpoints by number, or all of them.

    They keep their number and their condition.
    """
    _each(session, call, session.debugger.disable)


def ignore(session: Session, call: Call) -> None:
    """Ignore the next COUNT hits of a breakpoint.

    In either direction; 0 ignores none.
    """
    words = call.arguments.split()
    if len(words) != 2:
        raise UsageError("'ignore' takes the number of a breakpoint and a count, as in 'ignore 1 10'")
    count = 0 if words[1] == "0" else number(words[1], "ignore")
    which = number(words[0], "ignore")
    session.debugger.ignore(which, count)
    hits = "the next hit" if count == 1 else f"the next {count} hits"
    session.console.write(
        f"Will ignore {hits} of breakpoint {which}." if count else f"Breakpoint {which} stops again."
    )


def condition(session: Session, call: Call) -> None:
    """Let a breakpoint stop only where something is true.

    Without an expression, always again.
    """
    which, _, expression = call.arguments.partition(" ")
    if not which:
        raise UsageError("'condition' takes the number of a breakpoint, as in 'condition 1 n > 3'")
    session.debugger.condition(number(which, "condition"), expression.strip() or None)
    if not expression.strip():
        session.console.write(f"Breakpoint {which} now stops always.")


def display(session: Session, call: Call) -> None:
    """Show the value of an expression at every stop.

    Without one, show all there are.
    """
    from ttd.cli.repl.render import display_text
    from ttd.cli.repl.session import Display

    if call.arguments:
        session.debugger.print_(call.arguments, call.modifier or None)
        last = session.displays[-1].number if session.displays else 0
        session.displays.append(Display(last + 1, call.arguments, call.modifier))
    for shown in session.displays[-1:] if call.arguments else session.displays:
        session.console.write(display_text(session, shown))


def undisplay(session: Session, call: Call) -> None:
    """Stop displaying expressions by number, or all of them."""
    _undisplay(session, numbers(call.arguments, "undisplay"))


def info_breakpoints(session: Session, _arguments: str) -> None:
    """All breakpoints, watchpoints and catchpoints."""
    breakpoints = session.debugger.breakpoints
    if not breakpoints:
        session.console.write("No breakpoints, watchpoints or catchpoints.")
        return
    session.console.write(f"{'Num':8}{'Type':15}{'Disp':5}{'Enb':4}What")
    for breakpoint_ in breakpoints:
        for line in _table_lines(session, breakpoint_):
            session.console.write(line)


def split_condition(text: str) -> tuple[str, str | None]:
    """``queue.c:41 if n > 3`` as place and condition; raises UsageError if the condition is empty."""
    match = re.fullmatch(r"(.*?)(?:^|\s+)if\b\s*(.*)", text, re.DOTALL)
    if match is None:
        return text, None
    if not match[2]:
        raise UsageError("'if' needs a condition behind it")
    return match[1].strip(), match[2]


def _options(text: str) -> tuple[set[str], str]:
    """Leading words that start with a dash and a letter, and the rest."""
    options: set[str] = set()
    while match := re.match(r"(-[a-zA-Z]\w*)(?:\s+|$)", text):
        options.add(match[1])
        text = text[match.end() :]
    return options, text


def _break(session: Session, call: Call, temporary: bool) -> None:
    spec, condition_ = split_condition(call.arguments)
    _announce(session, session.debugger.break_(spec or None, temporary, condition_))


def _announce(session: Session, new: Breakpoint) -> None:
    from ttd.replayer.views import BreakpointKind

    if new.note:
        session.console.write(plain(new.note))
    kind = new.kind.value.capitalize()
    if new.kind is not BreakpointKind.CODE:
        session.console.write(f"{kind} {new.number}: {plain(new.what)}")
        return
    kind = f"Temporary {new.kind.value}" if new.temporary else kind
    if len(new.places) == 1:
        session.console.write(f"{kind} {new.number} at {_place(session, new.places[0])}")
    else:
        session.console.write(f"{kind} {new.number} at {plain(new.what)} ({len(new.places)} locations)")


def _place(session: Session, place: Place) -> str:
    address = address_text(session.console, place.pc)
    if place.location is None:
        return f"{address} in {plain(place.function_name)}"
    path = plain(session.debugger.debug.display_path(place.location.path))
    return f"{address}: file {path}, line {place.location.line}."


def _each(session: Session, call: Call, act: Callable[[int | None], None]) -> None:
    """Apply `act` to the numbers given (behind an optional word "breakpoints"), or to all."""
    arguments = re.sub(r"^br[eakpoints]*\b", "", call.arguments).strip()
    if not arguments:
        act(None)
    for which in numbers(arguments, call.word):
        act(which)


def _undisplay(session: Session, which: list[int]) -> None:
    known = {shown.number for shown in session.displays}
    for missing in set(which) - known:
        raise UsageError(f"no display number {missing}; 'display' lists them")
    session.displays = [shown for shown in session.displays if which and shown.number not in which]


def _table_lines(session: Session, item: Breakpoint) -> list[str]:
    from ttd.replayer.views import BreakpointKind

    disposition, enabled = ("del" if item.temporary else "keep"), ("y" if item.enabled else "n")
    kind = "every write" if item.any_write else item.kind.value
    what = plain(item.what)
    if item.kind is BreakpointKind.CODE and len(item.places) == 1:
        what = _where_text(session, item.places[0])
    lines = [f"{item.number:<8}{kind:15}{disposition:5}{enabled:4}{what}"]
    if item.condition:
        lines.append(f"        stop only if {plain(item.condition)}")
    if item.scope_function:
        lines.append(
            f"        while that call of {plain(item.scope_function)} lives, entered at {item.scope}"
        )
    if item.hits:
        lines.append(f"        hit {item.hits} time{'s' if item.hits > 1 else ''}")
    if item.ignore:
        lines.append(f"        ignore next {item.ignore} hits")
    if len(item.places) > 1:
        for index, place in enumerate(item.places, 1):
            lines.append(f"{f'{item.number}.{index}':27}{'y':4} {_where_text(session, place)}")
    return lines


def _where_text(session: Session, place: Place) -> str:
    text = f"{address_text(session.console, place.pc)} in {plain(place.function_name)}"
    if place.location is None:
        return text
    return (
        f"{text} at {plain(session.debugger.debug.display_path(place.location.path))}:{place.location.line}"
    )


S = Group.STOPS
NUMBERS = Complete.BREAKPOINT

ROWS = (
    Command(
        "break", ("b", "br", "brk"), S, Complete.LOCATION, break_, "[LOCATION] [if CONDITION]",
        ("break main", "b calls.c:12 if n == 3"),
    ),
    Command(
        "tbreak", ("tb",), S, Complete.LOCATION, tbreak, "[LOCATION] [if CONDITION]", ("tbreak factorial",),
    ),
    Command(
        "watch", (), S, Complete.EXPRESSION, watch, "[-w] EXPRESSION [if CONDITION]",
        ("watch smaller", "watch -w smaller", "watch 1024, 16"),
    ),
    Command(
        "catch", (), S, Complete.TOPIC, catch, "call [NAME…] | trap", ("catch call fd_write", "catch trap"),
        topics=CAUGHT,
    ),
    Command("delete", ("d",), S, NUMBERS, delete, "[NUMBER…]", ("delete 1", "delete 1-2", "delete")),
    Command("enable", ("en",), S, NUMBERS, enable, "[NUMBER…]", ("enable 1",)),
    Command("disable", ("dis", "disa"), S, NUMBERS, disable, "[NUMBER…]", ("disable 1",)),
    Command("ignore", (), S, NUMBERS, ignore, "NUMBER COUNT", ("ignore 1 10",)),
    Command(
        "condition", (), S, NUMBERS, condition, "NUMBER [EXPRESSION]",
        ("condition 1 n > 3", "condition 1"),
    ),
    Command(
        "display", (), Group.DATA, Complete.EXPRESSION, display, "[EXPRESSION]", ("display n", "display/x n"),
        modifier=True,
    ),
    Command("undisplay", (), Group.DATA, Complete.NOTHING, undisplay, "[NUMBER…]", ("undisplay 1",)),
)  # fmt: skip
