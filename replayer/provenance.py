"""Where values come from, as the façade offers it: expressions in, trails out.

May import base, debuginfo, expr and this package.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from ttd.debuginfo import DebugInfo
from ttd.replayer.history import Histories, LastWrite
from ttd.replayer.inspect import Inspector
from ttd.replayer.origin import Origins
from ttd.replayer.past import Past
from ttd.replayer.places import Place, place_of
from ttd.replayer.session import Interrupted, Session
from ttd.replayer.timeline import Timeline
from ttd.replayer.views import Change, Hop, Trail

T = TypeVar("T")


class Provenance:
    """Answers about the past of the values in the selected frame.

    Raises ExpressionError for what has no place, UsageError for a core dump.
    """

    def __init__(self, session: Session, timeline: Timeline, debug: DebugInfo, inspector: Inspector) -> None:
        self._session = session
        self._timeline = timeline
        self._inspector = inspector
        past = Past(session, timeline)
        self._histories = Histories(session, timeline, past, debug)
        self._origins = Origins(session, timeline, past, debug)

    def history(self, expression: str, fmt: str | None, every_write: bool) -> Trail[Change]:
        """The changes of a value, newest first."""
        place = self._place(expression, fmt)
        return self._trail(self._histories.changes(place, every_write))

    def last_write(self, expression: str, fmt: str | None, every_write: bool) -> LastWrite:
        """The motion to the newest of them."""
        place = self._place(expression, fmt)
        return LastWrite(self._histories, self._timeline, place, every_write)

    def origin(self, expression: str, fmt: str | None, most: int) -> Trail[Hop]:
        """At most `most` hops of the way of the value."""
        place = self._place(expression, fmt)
        return self._trail(self._origins.hops(place, most))

    def _place(self, expression: str, fmt: str | None) -> Place:
        self._session.require_motion()
        return place_of(expression, self._inspector.context, fmt)

    def _trail(self, found: Generator[T, None, str]) -> Trail[T]:
        self._session.clear_interrupt()
        return Trail(_until_interrupted(found))


def _until_interrupted(found: Generator[T, None, str]) -> Generator[T, None, str | None]:
    """`found`, ended with None where the user asks to stop."""
    try:
        return (yield from found)
    except Interrupted:
        return None
