"""When to take a snapshot while recording: as often as can be had for less than a twentieth of the time,
and for so many bytes of the trace in a second.

A snapshot costs the guest's thread the time to copy the pages that changed, and the machine the work of the
thread that hashes and stores them. Both are measured, and the next one waits until the run has lasted long
enough to have paid for all so far and for the next. Where there is a second processor, storing slows the
guest only now and then, when both want the lock of the Python process; it counts for a part then.

What it adds to the trace is paid for in the same way, out of an income of bytes for each second. The first
one is a present: it holds what the program has to begin with, and no going back from the end would be
quick without it. How many bytes another one will take is not guessed: a program that has once changed
much need not do so again.

Imports base modules only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

from ttd.state import Snapshot, State

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
it between two of them; each keeps what has changed since the one before in memory."""

GROWTH = 1.5e6
"""Bytes by which snapshots may make the trace grow in a second."""

FIRST_COST = 30e-6
"""Seconds that the first snapshot is taken to cost for each page of 64 KiB: nothing has been measured yet."""


class SnapshotSink(Protocol):
    """Where snapshots go; `ttd.store.trace.TraceWriter` is one."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Store a snapshot, on another thread."""
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
        self._previous: Snapshot | None = None
        self._copying = self._storing = 0.0  # seconds that the last one took, as far as known
        self._stored = 0  # how many of those taken are stored, and paid for
        self._seconds = 0.0  # that storing them took
        self._present = 0  # bytes of the first one, and of what was stored with it at once
        self.cost = 0.0
        """Seconds that snapshots have cost so far."""
        self.taken = 0
        self.latest: Snapshot | None = None
        """The last snapshot from which one can go on; that of a lost end is none."""

    def offer(self, state: Callable[[], State]) -> bool:
        """Take a snapshot of `state` if it is time for one; whether it was."""
        self._account()
        now = self._clock()
        if self._sink.backlog > WAITING or now - self._last < SPACING:
            return False
        if not self._affordable(now, state, self._beside):
            return False
        self._take(state())
        return True

    def finish(self, state: State) -> None:
        """Take a last snapshot, of the end of the run, if it can be afforded.

        It lets a replay go to the end at once, and compare the end of its memory with that of the recording.
        To store it counts in full: nothing runs beside that anymore, and everybody waits for it.
        """
        self._account()
        moved = self._previous is None or self._previous.position != state.position
        if moved and self._affordable(self._clock(), lambda: state, 1.0):
            self._take(state)

    def _affordable(self, now: float, state: Callable[[], State], storing_counts: float) -> bool:
        if not self.taken:
            self._copying = FIRST_COST * sum(memory.pages for memory in state().memories)
        gone = now - self._start
        cost = self.cost + self._copying + storing_counts * self._storing * (self.taken - self._stored + 1)
        too_large = self._sink.storing_bytes - self._present > GROWTH * gone
        return cost <= max(SHARE * gone, FREE) and not (self._stored and too_large)

    def _take(self, state: State) -> None:
        before = self._clock()
        snapshot = Snapshot.capture(state, self._previous)
        self._sink.snapshot(snapshot)
        self._last = self._clock()
        self._previous = snapshot
        if snapshot.position.is_exact:
            self.latest = snapshot
        self._copying = self._last - before
        self.cost += self._copying
        self.taken += 1

    def _account(self) -> None:
        """Once snapshots are stored, add what the other thread has worked for them."""
        stored, seconds = self.taken - self._sink.backlog, self._sink.storing_seconds
        if stored == self._stored:
            return
        if not self._stored:
            self._present = self._sink.storing_bytes
        self.cost += self._beside * (seconds - self._seconds)
        self._storing = (seconds - self._seconds) / (stored - self._stored)
        self._stored, self._seconds = stored, seconds
