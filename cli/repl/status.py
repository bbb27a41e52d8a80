"""Commands about the recording: where we are in it, its events, its functions; and the `info` command.

May import `ttd.wasi` and `ttd.replayer.postmortem` (late), the parts of a session, and of types
`ttd.replayer.views`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ttd.cli.describe import event_line
from ttd.cli.output import place, plain
from ttd.cli.repl.banner import banner
from ttd.cli.repl.command import Call, Command, Complete, Group, choose
from ttd.cli.repl.data import info_registers
from ttd.cli.repl.render import display_text
from ttd.cli.repl.stack import info_args, info_frame, info_locals
from ttd.cli.repl.stops import info_breakpoints
from ttd.cli.repl.symbols import (
    MOST_LISTED,
    info_address,
    info_functions,
    info_line,
    info_scope,
    info_symbol,
    info_types,
    info_variables,
    pattern,
)
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session


def when(session: Session, call: Call) -> None:
    """Tell the position, percentage and event we are at."""
    call.no_arguments()
    from ttd.replayer.postmortem import CoreRecording

    where, trace = session.debugger.where(), session.debugger.trace
    if isinstance(trace, CoreRecording):
        known = f"position {where.position}, the only one: this is a core dump"
        unknown = "the position is not known: this is a core dump that ttd did not write"
        session.console.write(known if trace.is_ours else unknown)
        return
    total = trace.event_count
    session.console.write(
        f"position {where.position}, {where.percent:.1f} % of the run, event {where.event} of {total}"
    )


def events(session: Session, call: Call) -> None:
    """List host calls.

    Those around here, from a number on, or those of a name. => marks the call that
    comes next. 'goto event N' goes to one, 'catch call NAME' stops at them.
    """
    trace, size = session.debugger.trace, session.settings.listsize
    if session.debugger.is_core_dump:
        raise UsageError("a core dump has no host calls; record the program with 'ttd record' to see them")
    if re.fullmatch(r"\d{1,18}", call.arguments):
        first = int(call.arguments)
    elif call.arguments:
        _events_called(session, call.arguments)
        return
    else:
        first = max(0, min(session.debugger.event - size // 2, trace.event_count - size))
    if first >= trace.event_count:
        raise UsageError(f"the recording has {trace.event_count} events, numbered from 0")
    for event in trace.events(first, min(first + size, trace.event_count)):
        _print_event(session, event.number, event_line(session.debugger.module, event))


def info(session: Session, call: Call) -> None:
    """Tell about something; alone it lists about what.

    As in 'info locals' and 'info breakpoints'.
    """
    word, _, rest = call.arguments.partition(" ")
    if not word:
        for name, topic in TOPICS.items():
            session.console.write(f"info {name:12} {(topic.__doc__ or '').strip().splitlines()[0]}")
        return
    name = ALIASES.get(word) or choose(word, TOPICS, "thing to tell about")
    if rest.strip() and name not in FILTERED:
        raise UsageError(f"'info {name}' takes no argument; it tells about the selected frame or about all")
    TOPICS[name](session, rest.strip())


def info_display(session: Session, _arguments: str) -> None:
    """The expressions shown at every stop."""
    for shown in session.displays:
        session.console.write(display_text(session, shown))
    if not session.displays:
        session.console.write("No displays; 'display EXPRESSION' makes one.")


def info_event(session: Session, _arguments: str) -> None:
    """The host call that comes next."""
    trace, number = session.debugger.trace, session.debugger.event
    if number >= trace.event_count:
        session.console.write("No more host calls in this recording.")
        return
    event = trace.event(number)
    session.console.write(f"{number}: {event_line(session.debugger.module, event)}")
    call = session.debugger.call_here()
    if call is not None:
        session.console.write(f"  at {call.position} (here)")
    else:
        session.console.write(f"  at {place(event.position)} ('goto event {number}' goes there)")


def info_files(session: Session, regex: str) -> None:
    """The source files that the debug information names."""
    accepts = pattern(regex)
    debug = session.debugger.debug
    names = sorted({debug.display_path(path) for path in debug.files()})
    _list_names(session, [name for name in names if accepts(name)], "source files")


def info_program(session: Session, _arguments: str) -> None:
    """The recorded program, how it was called and how it ended."""
    debugger = session.debugger
    manifest = debugger.trace.manifest
    write = session.console.write
    if debugger.is_core_dump:
        write("\n".join(banner(session)))
        return
    write(f"Program {plain(manifest.program)}, recorded with the {plain(manifest.engine)} engine.")
    if len(manifest.argv) > 1:
        write(f"Arguments: {plain(' '.join(manifest.argv[1:]))}")
    write(f"It ended with {plain(debugger.ending.describe())} at {place(debugger.end)}.")
    span = f"from {debugger.begin} to {place(debugger.end)}"
    write(f"The recording has {debugger.trace.event_count} host calls, {span}.")
    for damage in debugger.trace.damage:
        write(f"Damaged: {plain(damage)}")
    when(session, Call("when", "", ""))


TOPICS: dict[str, Callable[[Session, str], None]] = {
    "address": info_address,
    "args": info_args,
    "breakpoints": info_breakpoints,
    "display": info_display,
    "event": info_event,
    "files": info_files,
    "frame": info_frame,
    "functions": info_functions,
    "line": info_line,
    "locals": info_locals,
    "program": info_program,
    "registers": info_registers,
    "scope": info_scope,
    "symbol": info_symbol,
    "types": info_types,
    "variables": info_variables,
}
"""What `info` tells about."""

FILTERED = {"address", "files", "functions", "line", "scope", "symbol", "types", "variables"}
"""Topics that take an argument: a pattern, a place, a name."""

ALIASES = {
    "b": "breakpoints", "f": "frame", "s": "frame", "watchpoints": "breakpoints", "source": "files",
    "sources": "files", "wasm-locals": "registers", "r": "registers", "all-registers": "registers",
}  # fmt: skip
"""Other names of topics: gdb's abbreviations."""


def _events_called(session: Session, name: str) -> None:
    """All events of one host function, up to a bound."""
    from itertools import islice

    module = session.debugger.module
    numbers = {f.index for f in module.functions if f.imported is not None and f.imported.name == name}
    if not numbers:
        raise UsageError(f"the program imports no function {name!r}; 'events' lists the calls around here")
    found = (event for event in session.debugger.trace.events() if event.function in numbers)
    shown = 0
    for event in islice(found, MOST_LISTED):
        _print_event(session, event.number, event_line(module, event))
        shown += 1
    if shown == 0:
        session.console.write(f"{name} was never called.")
    elif shown == MOST_LISTED:
        session.console.write(f"(the first {MOST_LISTED}; 'events NUMBER' lists from a number on)")


def _print_event(session: Session, number: int, text: str) -> None:
    marker = "=>" if number == session.debugger.event else "  "
    session.console.write(f"{marker}{number:6}  {text}")


def _list_names(session: Session, names: list[str], what: str) -> None:
    for name in names[:MOST_LISTED]:
        session.console.write(f"  {plain(name)}")
    if len(names) > MOST_LISTED:
        session.console.write(f"  ({len(names) - MOST_LISTED} more; give a regular expression)")
    if not names:
        session.console.write(f"No {what}.")


ROWS = (
    Command("when", (), Group.PLACES, Complete.NOTHING, when, "", ("when",)),
    Command(
        "events", ("e",), Group.STATUS, Complete.NOTHING, events, "[NUMBER | NAME]",
        ("events", "events 0", "events fd_write"),
    ),
    Command(
        "info", ("i", "inf"), Group.STATUS, Complete.TOPIC, info, "[TOPIC]",
        ("info", "info program", "info locals", "i b"), topics=tuple(TOPICS),
    ),
)  # fmt: skip
