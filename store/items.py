"""What goes through the queue between the guest's thread and the writer's.

May import base modules only.
"""

from __future__ import annotations

import threading
from typing import TypeAlias

from ttd.calllog import CallLog
from ttd.events import HostCall
from ttd.state import Snapshot
from ttd.types import Ending, Position

EVENT_WEIGHT = 512
"""What an event counts for beside the bytes in it: about what it takes in memory."""


class Barrier(threading.Event):
    """An item that is set when everything before it is committed."""


Item: TypeAlias = HostCall | CallLog | Snapshot | Position | Ending | Barrier
"""What a queue holds; a position is a note of progress."""


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
