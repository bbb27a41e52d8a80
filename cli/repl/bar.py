"""The bottom bar of the terminal: position, percentage of the run, event, function.

May import the session and base. Pure text; `terminal` gives it colours.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from ttd.cli.output import plain
from ttd.cli.repl.session import Session

GAUGE_CELLS = 20


def bar(session: Session) -> list[tuple[str, str]]:
    """The bar as (style name, text) pieces; the names are those of `terminal.STYLE`."""
    where = session.debugger.where()
    done, rest = gauge(where.percent)
    total = session.debugger.trace.event_count
    pieces = [
        ("position", f" {where.position} "),
        ("gauge", done),
        ("rest", rest),
        ("", f" {where.percent:5.1f} %  event {where.event}/{total}  "),
    ]
    if where.function is None:
        return [*pieces, ("function", "(end of the run)")]
    pieces.append(("function", plain(where.function)))
    if where.location is not None:
        name = PurePosixPath(where.location.path.replace("\\", "/")).name
        pieces.append(("", plain(f"  {name}:{where.location.line}")))
    if where.level:
        pieces.append(("", f"  frame #{where.level}"))
    return pieces


def gauge(percent: float) -> tuple[str, str]:
    """A line whose first part is `percent` of it."""
    filled = round(GAUGE_CELLS * min(max(percent, 0.0), 100.0) / 100)
    return "━" * filled, "─" * (GAUGE_CELLS - filled)
