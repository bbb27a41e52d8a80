"""What the prompt says when it starts.

May import the session and base.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ttd.cli.output import plain
from ttd.cli.repl.console import Style

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session


def banner(session: Session) -> Iterator[str]:
    """Program, how it ended, number of events, and how to go to the end."""
    debugger = session.debugger
    if debugger.is_core_dump:
        yield from _core_banner(session)
        return
    trace = debugger.trace
    name = session.console.paint(plain(trace.manifest.program), Style.STRONG)
    count = trace.event_count
    events = f"{count} host call{'' if count == 1 else 's'}"
    yield f"Recording of {name}: {plain(debugger.ending.describe())}, {events}."
    for damage in trace.damage:
        yield f"Damaged: {plain(damage)}"
    yield from _missing(session)
    where = debugger.where()
    place = "its beginning" if where.position == debugger.begin else f"{where.position}"
    yield f"At {place}; 'goto end' goes to the end, 'help' lists the commands."


def _core_banner(session: Session) -> Iterator[str]:
    debugger = session.debugger
    name = session.console.paint(plain(debugger.trace.manifest.program), Style.STRONG)
    trap = debugger.ending.trap
    yield f"Core dump of {name}" + (f": {plain(str(trap))}." if trap is not None else ".")
    for damage in debugger.trace.damage:
        yield f"Note: {plain(damage)}."
    yield from _missing(session)
    yield "It is a single moment: 'bt', 'print', 'x', 'stack' look at it, 'help' lists the commands."


def _missing(session: Session) -> Iterator[str]:
    if not session.debugger.debug.has_dwarf:
        yield (
            "The program has no debug information: build it with -g to see source lines and variables, "
            "or name the file that has it with --debug-info."
        )
