"""Going to any place of a run, and searching it in both directions.

Every way to a position leads through the nearest snapshot before it: from the trace, or from those that
are kept in memory on the way. Searching backward takes the segments between snapshots from here toward
the begin, runs each *forward* in remember mode and takes the last hit.

A hit at the seam of two segments belongs to the earlier one: segments are open at their begin and closed
at their end. That is what lets the exit of a frame be found: it is seen by whoever sees the frame leave.

May import base, engine and this package.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ttd.engine.protocol import CodeProbe, Goal, Hit, Probe, Stop
from ttd.errors import DamagedTrace, Divergence, check
from ttd.replayer.session import Session, just_after
from ttd.replayer.snapshots import SnapshotPool
from ttd.state import Snapshot, State
from ttd.store.trace import SnapshotInfo
from ttd.types import Position
from ttd.wasm.predicate import Predicate

NEAR = 2_000
"""Ticks that are rather run than skipped by restoring a snapshot."""

APPROACH = 256
"""Ticks before the goal of a long way at which a snapshot is kept, for the steps back that may follow. About
so many are left to the interpreter, where the compiled engine would have to be frozen once more."""

SNAPSHOT_SHARE = 0.1
"""Share of the running time that taking in-memory snapshots may cost."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: as in `Goal`."""

    probes: tuple[Probe, ...] = ()
    accept: Callable[[Hit], bool] | None = None
    sieve: Mapping[CodeProbe, Predicate] = field(default_factory=dict)
    unordered: bool = False


Plan: TypeAlias = "Callable[[State], Search]"
"""Makes the search for a segment. It is asked anew where each segment starts, with the state there, so
that what it looks for may depend on which frames are alive."""

NOTHING = Search()


class Timeline:
    """The run of a session as a line on which one can go anywhere."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pool = SnapshotPool(Snapshot.capture(session.state))
        self._recorded = [info for info in session.trace.snapshots if self._usable(info)]
        self._recorded.sort(key=lambda info: info.position)
        self._events: dict[int, Position] = {}  # of host calls whose step the trace does not know
        self._focus = session.begin
        self._captured_at = time.perf_counter()
        self._capture_cost = 0.0
        self._backward = False
        self.on_progress: Callable[[Position, bool], None] | None = None
        """Called between the slices of long runs: where the machine is, whether a search leads backward."""

    @property
    def position(self) -> Position:
        """Where the machine stands."""
        return self._session.position

    def _usable(self, info: SnapshotInfo) -> bool:
        return self._session.begin < info.position < self._session.end

    # --- going there ---------------------------------------------------------------------------------

    def seek(self, target: Position) -> None:
        """Stand at `target`, or at the first rest behind it if there is none; at most at the end.

        May raise `session.Interrupted` somewhere on the way.
        """
        self._focus = target
        self._go(target)

    def _go(self, target: Position) -> None:
        if not self._is_reached_from_here(target):
            self._restore_before(target)
        way = Position(max(target.tick - APPROACH, 0), 0)
        if way.tick - self.position.tick > APPROACH:
            self._run_to(way)
            self._capture()
        self._run_to(target)

    def _is_reached_from_here(self, target: Position) -> bool:
        here = self.position
        if here > target or (self._session.ended is not None and here != target):
            return False
        base = self._base_position(target)
        return base <= here or base.tick - here.tick <= NEAR

    def _run_to(self, target: Position) -> None:
        if target < self._session.end or not self._session.complete:
            self._session.run(Goal(until=target), self.between)
        else:
            self._session.run(Goal(), self.between)

    def _base_position(self, target: Position) -> Position:
        """Position of the latest snapshot at or before `target`."""
        kept = self._pool.at_or_before(target).position
        return max([kept, *(info.position for info in self._recorded if info.position <= target)])

    def _restore_before(self, target: Position) -> None:
        """Stand at the latest snapshot at or before `target`. Damaged ones of the trace are given up."""
        kept = self._pool.at_or_before(target)
        while True:
            best = max(
                (info for info in self._recorded if kept.position < info.position <= target),
                key=lambda info: info.position,
                default=None,
            )
            try:
                self._restore(kept if best is None else self._session.trace.load_snapshot(best))
                return
            except DamagedTrace:
                if best is None:
                    raise
                self._recorded.remove(best)

    def _restore(self, snapshot: Snapshot) -> None:
        self._session.restore(snapshot)
        self._pool.add(snapshot, self._focus)
        self._captured_at = time.perf_counter()

    def between(self) -> None:
        """Between the slices of a run: keep a snapshot, if that does not cost too much."""
        if self.on_progress is not None:
            self.on_progress(self.position, self._backward)
        if self._capture_cost < SNAPSHOT_SHARE * (time.perf_counter() - self._captured_at):
            self._capture()

    def _capture(self) -> None:
        position = self.position
        neighbour = self._pool.at_or_before(position)
        if neighbour.position == position or self._session.ended is not None:
            return
        began = time.perf_counter()
        self._pool.add(Snapshot.capture(self._session.state, neighbour), self._focus)
        self._captured_at = time.perf_counter()
        self._capture_cost = self._captured_at - began

    # --- host calls ----------------------------------------------------------------------------------

    def seek_event(self, number: int) -> None:
        """Stand at the call instruction of host call `number`, which there must be.

        Raises Divergence if the run does not make it where it was recorded. May raise `session.Interrupted`.
        """
        event = self._session.trace.event(number)
        if event.position.is_exact:
            self.seek(event.position)
            return
        tick = Position(event.position.tick)
        if not tick <= self.position < event.position or self._session.state.next_event > number:
            self.seek(max(tick, self._session.begin))
        self._session.slice(Goal(until=event.position, event=number))
        if self._session.state.next_event != number or self.position.tick != tick.tick:
            raise Divergence(self.position, f"host call {number} at {event.position}", "none")
        self._events[number] = self.position

    def event_position(self, number: int) -> Position:
        """The position of host call `number`. The machine then stands where it stood.

        May raise `session.Interrupted`, on the way there.
        """
        recorded = self._session.trace.event(number).position
        if not recorded.is_exact and number not in self._events:
            here = self.position
            self._capture_here()
            self.seek_event(number)
            self.seek(here)
        return self._events.get(number, recorded)

    def events_before(self, position: Position) -> int:
        """How many host calls lie before `position`, which must be one of the run.

        The machine may stand there afterwards. May raise `session.Interrupted`.
        """
        trace = self._session.trace
        tick = Position(position.tick)
        first, last = trace.event_at_or_after(tick), trace.event_at_or_after(Position(position.tick + 1))
        if position == tick or all(event.position.is_exact for event in trace.events(first, last)):
            return trace.event_at_or_after(position)
        if self.position != position:
            self.seek(position)
        return self._session.state.next_event

    # --- searching forward ---------------------------------------------------------------------------

    def forward(self, plan: Plan, until: Position | None = None) -> Stop:
        """Run to the first hit behind here, to `until`, or to the end of the recording.

        The machine then stands at the hit, also where the engine ran on past it. Hits at `until` itself
        are not found, but for exits of frames. May raise `session.Interrupted`.
        """
        start = self.position
        self._focus = start
        search = plan(self._session.state)
        goal = Goal(until, search.probes, start, accept=search.accept, sieve=search.sieve)
        stop = self._session.run(goal, self.between, with_last_exits=True)
        if stop.hits and self.position != stop.hits[0].position:
            self.seek(stop.hits[0].position)
        return stop

    # --- searching backward --------------------------------------------------------------------------

    def hits_before(
        self, end: Position, plan: Plan, floor: Position, cuts: Sequence[Position] = (), keep: int = 1
    ) -> Iterator[tuple[Hit, ...]]:
        """All hits in [floor, end), last first; those at one position together, in engine order.

        Segments end at every position of `cuts` too: a frame whose exit is looked for must be alive when a
        segment begins, or never come to life in it. `keep` is how many positions the caller expects to
        want; it matters for speed alone. Where the machine stands is the caller's affair in between
        and undefined afterwards. May raise `session.Interrupted`.
        """
        floor = max(floor, self._session.begin)
        closed = False
        self._focus = end
        while floor < end:
            self._backward = True
            start = self._segment_start(end, floor, cuts)
            groups = self._hits_in(start, end, closed, start == floor, plan, keep)
            self._backward = False
            yield from reversed(groups)
            if len(groups) >= keep:
                end, closed = groups[0][0].position, False
            elif start == floor:
                return
            else:
                end, closed = start, True

    def _segment_start(self, end: Position, floor: Position, cuts: Sequence[Position]) -> Position:
        known = [info.position for info in self._recorded if info.position < end]
        cut = [position for position in cuts if position < end]
        return max([floor, self._pool.before(end).position, *known, *cut])

    def _hits_in(
        self, start: Position, end: Position, closed: bool, with_start: bool, plan: Plan, keep: int
    ) -> list[tuple[Hit, ...]]:
        """The last `keep` groups of hits of one segment, in order."""
        self._go(start)
        search = plan(self._session.state)
        if not search.probes:
            return []
        groups = _Groups(search, keep)
        goal = Goal(
            until=just_after(end) if closed else end,
            probes=search.probes,
            after=None if with_start else start,
            remember=True,
            accept=search.accept if keep == 1 else groups.accept,
            sieve=search.sieve,
            unordered=search.unordered and keep == 1,
        )
        stop = self._session.run(goal, self.between)
        if keep == 1:
            return [stop.hits] if stop.hits else []
        return groups.found()

    # --- the neighbourhood ---------------------------------------------------------------------------

    def back(self, count: int) -> Position:
        """The position `count` rests before this one, the begin if there are not so many.

        Moves the machine. May raise `session.Interrupted`.
        """
        here = self.position
        if here.step >= count:
            return Position(here.tick, here.step - count)
        count -= here.step
        upper, ticks = Position(here.tick, 0), 1
        while upper > self._session.begin:
            lower = max(self._session.begin, Position(max(upper.tick - ticks, 0), 0))
            rests = self._rests(lower, upper)
            if len(rests) >= count:
                return rests[-count]
            count -= len(rests)
            upper, ticks = lower, min(ticks * 2, 1024)
        return self._session.begin

    def _rests(self, start: Position, end: Position) -> list[Position]:
        """All rests in [start, end), where `end` is one too. Moves the machine there."""
        self.seek(start)
        found = []
        while self.position < end:
            found.append(self.position)
            self._session.step()
        return found

    def on(self, count: int) -> Position:
        """The position `count` rests behind this one, or the end of the recording. Moves the machine there.

        May raise `session.Interrupted`.
        """
        for walked in range(count):
            if self.position >= self._session.end:
                break
            self._session.step()
            if walked % 1024 == 1023:
                self._session.obey_interrupt()
        return self.position

    def writes_here(self, search: Search) -> tuple[Hit, ...]:
        """The hits of watch probes at this very position: of the instruction that comes next.

        The machine stands where it stood afterwards.
        """
        here = self.position
        if not search.probes or here >= self._session.end:
            return ()
        self._capture_here()
        stop = self._session.slice(Goal(just_after(here), search.probes, accept=search.accept))
        if self.position != here:
            self._session.restore(self._pool.at_or_before(here))
        check(self.position == here, "no snapshot was kept where one was taken")
        return stop.hits if stop.hits and stop.hits[0].position == here else ()

    def _capture_here(self) -> None:
        self._focus = self.position
        self._capture()


class _Groups:
    """Collects the last `keep` positions with hits of a segment, through the engine's `accept`."""

    def __init__(self, search: Search, keep: int) -> None:
        self._accept = search.accept
        self._groups: deque[list[Hit]] = deque(maxlen=keep)

    def accept(self, hit: Hit) -> bool:
        if self._accept is not None and not self._accept(hit):
            return False
        if self._groups and self._groups[-1][0].position == hit.position:
            self._groups[-1].append(hit)
        else:
            self._groups.append([hit])
        return True

    def found(self) -> list[tuple[Hit, ...]]:
        return [tuple(group) for group in self._groups]
