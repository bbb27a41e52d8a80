"""What goes through the queue between the guest's thread and the writer's.

May import base modules only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

from ttd.calllog import CallLog
from ttd.events import HostCall
from ttd.state import ZERO_PAGE, MemoryImage, Snapshot
from ttd.types import Ending, Position

PORTION = 512
"""Pages of a snapshot that are stored in one transaction."""

EVENT_WEIGHT = 512
"""What an event counts for beside the bytes in it: about what it takes in memory."""


class Barrier(threading.Event):
    """An item that is set when everything before it is committed."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Source files, by name."""

    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages of a memory, by number, that are not as in the snapshot before. They belong to the one that comes
    next."""

    memory: int
    pages: Mapping[int, bytes]


Item: TypeAlias = HostCall | CallLog | Pages | Snapshot | Position | Ending | Barrier | Sources
"""What a queue holds. A position is a note of progress; the pages of a snapshot have come before it."""


@dataclass(slots=True)
class Tally:
    """What the two threads tell each other beside the queue."""

    taken: int = 0
    """Bytes taken out of the queue, as `weight` counts them."""
    pages_done: int = 0
    """Pages of snapshots that are stored."""
    snapshots_done: int = 0
    storing_seconds: float = 0.0
    """Seconds of processor time that storing snapshots has taken."""
    storing_bytes: int = 0
    """Bytes by which they have made the trace grow."""
    hurry: bool = False
    """Store no more snapshots, not even the one that has been begun."""


def weight(event: HostCall | CallLog) -> int:
    """Roughly how many bytes `event` takes."""
    size = EVENT_WEIGHT
    if isinstance(event, CallLog):
        return size + len(event.data)
    for write in event.writes:
        size += len(write.data)
    for read in event.reads:
        size += len(read.data)
    return size


def parts(snapshot: Snapshot, before: Sequence[MemoryImage] = ()) -> Iterator[Pages | Snapshot]:
    """A whole snapshot as it goes through the queue, if the one before had the memories `before`: pages that
    are not the same objects in both, and the rest of it."""
    for index, image in enumerate(snapshot.memories):
        old = before[index].pages if index < len(before) else {}
        fresh = dict.fromkeys(old.keys() - image.pages.keys(), ZERO_PAGE)
        fresh |= {at: page for at, page in image.pages.items() if old.get(at) is not page}
        rest = iter(sorted(fresh))
        while some := list(islice(rest, PORTION)):
            yield Pages(index, {at: fresh[at] for at in some})
    sizes = tuple(MemoryImage(image.size, {}) for image in snapshot.memories)
    yield replace(snapshot, memories=sizes)
