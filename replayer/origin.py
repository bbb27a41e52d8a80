"""Where a value came from: its way back through copies to where it was computed, or entered from the host.

The value is followed as bytes, from storage to storage (`dataflow`). Wherever a step back shows the bytes
again, they are compared with those that are followed: so a hop is never a guess, and a way that cannot be
told, or does not agree, ends there and says so. Steps from register to register within a source line are
taken silently.

May import base, wasm, debuginfo, expr and this package.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TypeAlias

from ttd.debuginfo import DebugInfo
from ttd.expr import StateContext
from ttd.replayer.dataflow import Flow, Link
from ttd.replayer.gather import Gatherer
from ttd.replayer.inspect import wasm_text
from ttd.replayer.past import Past
from ttd.replayer.places import InMemory, Place, Storage
from ttd.replayer.session import Session
from ttd.replayer.timeline import Timeline
from ttd.replayer.views import Hop, HopKind
from ttd.types import Position
from ttd.wasm.model import ValType

MOST_HOPS = 100
"""Hops that are told unless more are asked for."""

MOST_SILENT = 10_000
"""Steps between two hops."""

_SILENT = frozenset({HopKind.ASSIGNED, HopKind.CHOSEN})
"""What is told only where it is on another line than the hop before."""


_Line: TypeAlias = "tuple[str | None, tuple[str, int] | None]"


@dataclass(frozen=True, slots=True)
class _Followed:
    """What is followed: where it lies before a position, its bytes, and how to show them."""

    storage: Storage
    before: Position
    data: bytes
    form: ValType | None
    """The type of a number; None for the value as the user named it, or bytes of it."""


class Origins:
    """Follows values in the past of a session. Everything may raise `session.Interrupted`."""

    def __init__(self, session: Session, timeline: Timeline, past: Past, debug: DebugInfo) -> None:
        self._session = session
        self._timeline = timeline
        self._past = past
        self._debug = debug
        self._flow = Flow(session, timeline, past, debug)
        self._gatherer = Gatherer(self._flow, past)

    def hops(self, place: Place, most: int) -> Generator[Hop, None, str]:
        """At most `most` hops of the present value of `place`; returns why there are no more.

        The machine stands where it stood whenever a hop is handed out.
        """
        followed: _Followed | None = _Followed(place.storage, self._session.position, self._now(place), None)
        line: _Line | None = None
        told = 0
        while followed is not None and told < most:
            with self._past.staying():
                hop, followed = self._next(place, followed, line)
            line = _line_of(hop)
            told += 1
            yield hop
        if followed is None:
            return ""
        return f"The way goes on; ask for more than {told} to see it."

    def _now(self, place: Place) -> bytes:
        storage, state = place.storage, self._session.state
        if isinstance(storage, InMemory):
            view = state.memories[storage.memory].view()
            return bytes(view[storage.address : storage.address + storage.length])
        return place.shape.data[: storage.length] if place.shape is not None else b""

    # --- steps ---------------------------------------------------------------------------------------

    def _next(self, place: Place, followed: _Followed, line: _Line | None) -> tuple[Hop, _Followed | None]:
        """The next hop to be told, and what is followed behind it: None at the end."""
        for _ in range(MOST_SILENT):
            link = self._back(followed)
            following = self._follow(followed, link)
            if link.source is not None and following is None:
                link = replace(link, kind=HopKind.LOST, text="the bytes that were put there are others")
            if link.kind is not None:
                hop = self._hop(place, followed, link)
                if link.kind not in _SILENT or _line_of(hop) != line:
                    return hop, following
            if following is None:
                break
            followed = following
            self._session.obey_interrupt()
        lost = Link(HopKind.LOST, "it goes on from register to register here", link.moment)
        return self._hop(place, followed, lost), None

    def _back(self, followed: _Followed) -> Link:
        storage, before = followed.storage, followed.before
        link = self._flow.back(storage, before)
        is_partial = link.part is not None and link.part[1] < len(followed.data)
        if isinstance(storage, InMemory) and is_partial and link.kind is HopKind.WRITTEN:
            return self._gatherer.gathered(storage, before, link)
        return link

    def _follow(self, followed: _Followed, link: Link) -> _Followed | None:
        """What is followed behind a step; None at the end, or if the bytes there turn out to be others."""
        before = link.before or (link.moment.position if link.moment is not None else None)
        if link.source is None or before is None:
            return None
        offset, length = link.part or (0, len(followed.data))
        data = followed.data[offset : offset + length]
        form = followed.form if len(data) == len(followed.data) else None
        seen = None
        if link.moment is not None and link.before is None:
            seen = self._flow.bytes_at(link.moment, link.source)
        if link.form is not None and seen is not None:
            return _Followed(link.source, before, seen, link.form)
        if seen is not None and seen != data:
            return None
        return _Followed(link.source, before, data, form)

    # --- telling -------------------------------------------------------------------------------------

    def _hop(self, place: Place, followed: _Followed, link: Link) -> Hop:
        kind = link.kind or HopKind.LOST
        moment = link.moment
        if moment is None:
            begin = self._session.begin
            self._timeline.seek(begin)
            return Hop(kind, link.text, begin, None, None, None, self._show(place, followed), link.call)
        self._timeline.seek(moment.position)
        frames = self._debug.source_frames(moment.frame.pc)
        name, location = (frames[0].name, frames[0].location) if frames else (None, None)
        value = self._show(place, self._part(followed, link))
        return Hop(kind, link.text, moment.position, name, location, moment.frame.pc, value, link.call)

    def _part(self, followed: _Followed, link: Link) -> _Followed:
        """What a hop is about: the bytes that the writer wrote."""
        if link.part is None or link.kind is HopKind.CONVERTED:
            return followed
        offset, length = link.part
        return replace(followed, data=followed.data[offset : offset + length])

    def _show(self, place: Place, followed: _Followed) -> str:
        """The bytes as a value; the machine stands where they are."""
        data = followed.data
        if followed.form is not None:
            return wasm_text(followed.form, int.from_bytes(data, "little"))
        if len(data) == place.storage.length:
            return place.show(data, StateContext(self._session.top, self._debug))
        if len(data) > 8:
            return data.hex(" ")
        number = int.from_bytes(data, "little")
        return str(number) if number < 10 else f"{number} ({number:#x})"


def _line_of(hop: Hop) -> _Line:
    """The function and the line of a hop; not the column, for a line has many steps."""
    location = hop.location
    return hop.function, (location.path, location.line) if location is not None else None
