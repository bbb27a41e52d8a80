"""What goes through the queue between the guest's thread and the writer's.

May import base modules only.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ttd.calllog import CallLog
from ttd.events import HostCall
from ttd.state import Snapshot
from ttd.types import Ending, Position

EVENT_WEIGHT = 512
"""What an event counts for beside the bytes in it: about what it takes in memory."""


class Barrier(threading.Event):
    """An item that is set when everything before it is committed."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Source files, by name."""

    files: Mapping[str, bytes]


Item: TypeAlias = HostCall | CallLog | Snapshot | Position | Ending | Barrier | Sources
"""What a queue holds; a position is a note of progress."""


@dataclass(slots=True)
class Tally:
    """What the two threads tell each other beside the queue."""

    taken: int = 0
    """Bytes taken out of the queue, as `weight` counts them."""
    snapshots_done: int = 0
    storing_seconds: float = 0.0
    """Seconds of processor time that storing snapshots has taken."""
    storing_bytes: int = 0
    """Bytes that they take in the trace, compressed."""
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
