"""What the prompt says when it starts.

May import the session and base.
"""

from __future__ import annotations

from collections.abc import Iterator

from ttd.cli.output import plain
from ttd.cli.repl.console import Style
from ttd.cli.repl.session import Session


def banner(session: Session) -> Iterator[str]:
    """Program, how it ended, number of events, and how to go to the end."""
    debugger = session.debugger
    trace = debugger.trace
    name = session.console.paint(plain(trace.manifest.program), Style.STRONG)
    count = trace.event_count
    events = f"{count} host call{'' if count == 1 else 's'}"
    yield f"Recording of {name}: {plain(debugger.ending.describe())}, {events}."
    for damage in trace.damage:
        yield f"Damaged: {plain(damage)}"
    if not debugger.debug.has_dwarf:
        yield (
            "The program has no debug information: build it with -g to see source lines and variables, "
            "or name the file that has it with --debug-info."
        )
    where = debugger.where()
    place = "its beginning" if where.position == debugger.begin else f"{where.position}"
    yield f"At {place}; 'goto end' goes to the end, 'help' lists the commands."
