"""A copy that was made piece by piece, as one: memcpy byte by byte, a structure member by member.

Each piece is followed back, through registers only, to the memory that it was read from. The copy is told as
one if the pieces lie there as they lie here, and if nothing was written there between the first read and the
last: then the whole is at the last read what was copied.

May import base and this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ttd.replayer.dataflow import Flow, Link
from ttd.replayer.past import Past
from ttd.replayer.places import InMemory, Storage
from ttd.replayer.views import HopKind
from ttd.types import Position

MOST_PIECES = 64
"""Pieces of a copy that are looked at."""

MOST_STEPS = 64
"""Steps between registers from the read of a piece to its write."""

_MOVES = frozenset({None, HopKind.ASSIGNED, HopKind.CHOSEN, HopKind.CONVERTED})
"""What happens to a piece between its read and its write; one that is cut short is none any more."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of what was written, and where and when it was read."""

    place: InMemory
    source: InMemory
    read: Position


class Gatherer:
    """Puts copies together. Everything may raise `session.Interrupted`."""

    def __init__(self, flow: Flow, past: Past) -> None:
        self._flow = flow
        self._past = past

    def gathered(self, place: InMemory, before: Position, newest: Link) -> Link:
        """The step back from the whole of `place`, of which `newest` is that from a part; `newest` itself if
        there is none."""
        pieces: list[_Piece] = []
        for piece in self._pieces(place, before):
            if piece is None or len(pieces) >= MOST_PIECES or (pieces and not _fits(piece, pieces[0])):
                return newest
            pieces.append(piece)
        first, source = pieces[0], pieces[0].source
        start = source.address + place.address - first.place.address
        whole = InMemory(source.memory, start, place.length)
        reads = [piece.read for piece in pieces]
        last_write = self._past.last_write(whole.memory, whole.address, whole.length, max(reads))
        if last_write is not None and last_write.position >= min(reads):
            return newest
        text = f"copied in {len(pieces)} pieces to {self._flow.named(place, newest.moment)}"
        return Link(HopKind.COPIED, text, newest.moment, whole, max(reads))

    def _pieces(self, place: InMemory, before: Position) -> Iterator[_Piece | None]:
        """The pieces that `place` was written in, one after the other; None for one that was not copied."""
        left = [place]
        while left:
            range_ = left.pop()
            link = self._flow.back(range_, before)
            if link.kind is not HopKind.WRITTEN or link.source is None or link.moment is None:
                yield None
                return
            offset, length = link.part or (0, range_.length)
            part = replace(range_, address=range_.address + offset, length=length)
            yield self._read(part, link.source, link.moment.position)
            left += [each for each in _around(range_, part) if each.length]

    def _read(self, place: InMemory, source: Storage, before: Position) -> _Piece | None:
        """Where the piece that lay in the register `source` was read."""
        for _ in range(MOST_STEPS):
            link = self._flow.back(source, before)
            shortened = link.part is not None and link.part != (0, place.length)
            if link.kind not in _MOVES or link.source is None or link.moment is None or shortened:
                return None
            if link.form is not None:
                return None
            source, before = link.source, link.moment.position
            if isinstance(source, InMemory):
                return _Piece(place, source, before) if source.length == place.length else None
        return None


def _around(whole: InMemory, part: InMemory) -> tuple[InMemory, InMemory]:
    """What is left of `whole` before and behind `part`."""
    end, part_end = whole.address + whole.length, part.address + part.length
    before = replace(whole, length=part.address - whole.address)
    return before, replace(whole, address=part_end, length=end - part_end)


def _fits(piece: _Piece, other: _Piece) -> bool:
    """Whether two pieces lay to each other where they were read as they do where they were written."""
    shifts = [each.source.address - each.place.address for each in (piece, other)]
    return shifts[0] == shifts[1] and piece.source.memory == other.source.memory
