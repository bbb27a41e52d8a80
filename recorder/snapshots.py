"""When to take a snapshot while recording: as often as can be had for less than a twentieth of the time,
and for so many bytes of the trace in a second.

A snapshot costs the guest's thread the time to find and copy the pages that changed, and the machine the work
of the thread that hashes and stores them. Both are measured, and the next one waits until the run has lasted
long enough to have paid for all so far and for the next. Where there is a second processor, storing slows the
guest only now and then, when both want the lock of the Python process; it counts for a part then.

What it adds to the trace is paid for in the same way, out of an income of bytes for each second. How much
that will be is known only when it is compressed; a sample of the pages that changed tells it well enough,
before any is copied. What cannot be paid is not taken. As looking costs time as well, the next look waits
until there is as much as that would have taken, or twice as much as there was: a program that has once
changed much need not do so again. The first snapshot is a present: it holds what the program has to begin
with, and no going back from the end would be quick without it.

The pages that wait to be stored are all that is kept in memory. The sink has room for so many; where there
are more the guest waits, if it has the time for that.

Imports base modules, `ttd.store.items` and the recorder's `changes`.
"""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ttd.recorder.changes import Changes, Survey
from ttd.state import SNAPSHOT_PAGE, MemoryImage, Snapshot, State
from ttd.store.items import PORTION
from ttd.types import Position

SHARE = 0.05
"""The part of the run time that snapshots may cost."""

FREE = 0.02
"""Seconds that snapshots may cost however short the run is: nobody notices them, and `ttd verify` then has
the end of a short run to compare."""

STORING_BESIDE = 0.3
"""The part for which the work of storing counts where another processor does it: it wants Python's lock, and
its share of what the processors have in common. With half of this, a program that is bound by memory ran a
tenth slower."""

SPACING = 0.1
"""Seconds between snapshots at least: a replay runs through so little in no time."""

WAITING = 2
"""Snapshots that may wait to be stored when another is taken. The other thread does not always come round to
it between two of them."""

GROWTH = 1.6e6
"""Bytes by which snapshots may make the trace grow in a second."""

MOST = 5500
"""Bytes that a page takes in the trace at most."""

SAMPLE = 64
"""Pages whose compressed size is taken for that of all."""

FIRST_COST = 30e-6
"""Seconds that the first snapshot is taken to cost for each page of 64 KiB: nothing has been measured yet."""

FIRST_STORING = 45e-6
"""Seconds that storing is taken to need for each page of a snapshot, as long as nothing has been stored."""


class SnapshotSink(Protocol):
    """Where snapshots go; `ttd.store.trace.TraceWriter` is one."""

    def change(self, memory: int, pages: Mapping[int, bytes]) -> None:
        """Take pages of a memory that the next snapshot has otherwise than the one before, to store them on
        another thread; waits while it has no room for more."""
        ...

    def complete(self, snapshot: Snapshot) -> None:
        """Store a snapshot, on another thread. The pages of its memories are those given to `change`."""
        ...

    def weigh(self, pages: Sequence[bytes]) -> int:
        """How many bytes pages would take in the trace."""
        ...

    @property
    def room(self) -> int:
        """How many pages `change` takes without waiting."""
        ...

    @property
    def backlog(self) -> int:
        """How many snapshots are still to be stored."""
        ...

    @property
    def storing_seconds(self) -> float:
        """Seconds of processor time that storing snapshots has taken so far."""
        ...

    @property
    def storing_bytes(self) -> int:
        """Bytes that snapshots take in the trace so far."""
        ...


class SnapshotPolicy:
    """Takes the snapshots of one recording, which begins now.

    Call `offer` from the guest's thread, every now and then.
    """

    def __init__(
        self,
        sink: SnapshotSink,
        clock: Callable[[], float] = time.perf_counter,
        processors: int | None = None,
    ) -> None:
        """`clock` tells seconds gone by; `processors` is how many the machine has, None to find out."""
        self._sink = sink
        self._clock = clock
        self._beside = STORING_BESIDE if (processors or os.cpu_count() or 1) > 1 else 1.0
        self._start = self._clock()
        self._last = self._start
        self._position: Position | None = None
        self._changes = Changes()
        self._bytes = _Income(sink)
        self._copying = self._storing = 0.0  # seconds that the last one took, as far as known
        self._stored = 0  # how many of those taken are stored, and paid for
        self._seconds = 0.0  # that storing them took
        self._pages = 0  # that were given to the sink
        self._waited = 0.0  # seconds, until the sink had room for them
        self.cost = 0.0
        """Seconds that snapshots have cost so far."""
        self.taken = 0

    def offer(self, state: Callable[[], State]) -> bool:
        """Take a snapshot of `state` if it is time for one; whether it was."""
        self._account()
        now = self._clock()
        if self._sink.backlog > WAITING or now - self._last < SPACING:
            return False
        return self._affordable(now, state, self._beside) and self._take(state(), self._sink.room)

    def finish(self, state: State) -> None:
        """Take a last snapshot, of the end of the run, if it can be afforded.

        It lets a replay go to the end at once, and compare the end of its memory with that of the recording.
        To store it counts in full: nothing runs beside that anymore, and everybody waits for it.
        """
        self._account()
        if self._position != state.position and self._affordable(self._clock(), lambda: state, 1.0):
            self._take(state, 0)

    def _affordable(self, now: float, state: Callable[[], State], storing_counts: float) -> bool:
        """Whether there are the seconds for a snapshot, and bytes enough to look for what has changed."""
        if not self.taken:
            self._copying = FIRST_COST * sum(memory.pages for memory in state().memories)
        storing = storing_counts * self._storing * (self.taken - self._stored + 1)
        return self._payable(now, self._copying + storing) and self._bytes.worth_a_look(now - self._start)

    def _payable(self, now: float, seconds: float) -> bool:
        return self.cost + seconds <= max(SHARE * (now - self._start), FREE)

    def _take(self, state: State, room: int) -> bool:
        """Take a snapshot if it can be paid, with the time for more pages than `room`; whether it could."""
        before = self._clock()
        survey = self._changes.survey(state.memories)
        waiting = max(0, survey.count - room) * self._page_cost
        taken = self._payable(before, waiting) and self._bytes.pay(before - self._start, survey)
        waited = self._waited
        if taken:
            self._hand_over(state, survey)
        self._last = self._clock()
        self.cost += self._last - before
        self._copying = self._last - before - (self._waited - waited)
        if not taken:
            self._copying += waiting
        return taken

    @property
    def _page_cost(self) -> float:
        """Seconds that storing a page takes."""
        return self._seconds / max(self._pages, 1) if self._stored else FIRST_STORING

    def _hand_over(self, state: State, survey: Survey) -> None:
        for memory, pages in survey.portions(PORTION):
            before = self._clock()
            self._sink.change(memory, pages)
            self._waited += self._clock() - before
        sizes = tuple(MemoryImage(len(hashes) * SNAPSHOT_PAGE, {}) for hashes in survey.hashes)
        self._sink.complete(replace(Snapshot.capture(replace(state, memories=[])), memories=sizes))
        self._changes.accept(survey)
        self._position = state.position
        self._pages += survey.count
        self.taken += 1

    def _account(self) -> None:
        """Once snapshots are stored, add what the other thread has worked for them."""
        stored, seconds = self.taken - self._sink.backlog, self._sink.storing_seconds
        if stored == self._stored:
            return
        self._bytes.settle(stored)
        self.cost += self._beside * (seconds - self._seconds)
        self._storing = (seconds - self._seconds) / (stored - self._stored)
        self._stored, self._seconds = stored, seconds


class _Income:
    """The bytes that snapshots may take."""

    def __init__(self, sink: SnapshotSink) -> None:
        self._sink = sink
        self._settled = 0  # how many snapshots are stored
        self._owed: deque[int] = deque()  # what each of the others is taken for
        self._present = 0  # what the first one took
        self._wanted = 0.0  # for a look

    def worth_a_look(self, seconds: float) -> bool:
        """Whether after so many seconds there is enough to look what a snapshot would take."""
        return not (self._settled or self._owed) or self._left(seconds) > self._wanted

    def pay(self, seconds: float, survey: Survey) -> bool:
        """Pay for a snapshot of what has changed if there is enough; whether there was."""
        if not (self._settled or self._owed):
            self._owed.append(0)
            return True
        left = self._left(seconds)
        price = survey.count * MOST
        if price > left:
            price = self._weigh(survey)
        if price > left:
            self._wanted = min(price, 2 * left + GROWTH * SPACING)
            return False
        self._wanted = 0.0
        self._owed.append(price)
        return True

    def settle(self, stored: int) -> None:
        """So many snapshots are stored by now: what they really took counts."""
        is_first = not self._settled
        prices = [self._owed.popleft() for _ in range(stored - self._settled)]
        if is_first:
            self._present = max(self._sink.storing_bytes - sum(prices), 0)
        self._settled = stored

    def _left(self, seconds: float) -> float:
        spent = self._sink.storing_bytes - self._present if self._settled else 0
        return GROWTH * seconds - spent - sum(self._owed)

    def _weigh(self, survey: Survey) -> int:
        count = survey.count
        chosen = random.sample(range(count), min(count, SAMPLE))
        pages = [page for at in chosen for page in survey.copies(*survey.locate(at)).values()]
        return self._sink.weigh(pages) * count // max(len(pages), 1)
