"""Running with probes at compiled speed: scout ahead, go back, and let the interpreter find the hits.

A scouting run (`scout`) notes the ticks between which there may be hits, and runs past them or stops
somewhere behind them. Then the machine goes back to a snapshot, from there to each noted tick, and lets the
interpreter look from it to the next tick. So all that is said about hits is the interpreter's word.

In order (to stop at the first hit, or when the caller wants to be asked about each): scout until a number
of ticks are noted, first one and then more and more, and look at them in order.

Last first (only the last hit is wanted): scout as far as the goal, look at the last tick that was noted, and
if there is nothing at the ones before it, more and more of them at a time.

Going back costs what lies between the snapshot and here. So the machine takes a snapshot before it scouts,
as soon as going back would cost several times as much as that does.

May import base, `ttd.engine.protocol`, `ttd.interpreter` and `scout`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from ttd.engine.protocol import FrameProbe, FunctionProbe, Goal, Hit, Stop
from ttd.engine.scout import NEVER_FULL, Sighting
from ttd.errors import check, unreachable
from ttd.instrument import abi
from ttd.interpreter import Interpreter
from ttd.state import Snapshot
from ttd.types import Position, StopReason
from ttd.wasm.model import Module

_FAR = 1 << 61
_GROWTH = 4
"""How many times as many ticks are noted, each time when there were only ticks without hits."""
_WINDOW_GROWTH = 16
_PATIENCE = 0.05
"""Seconds that the interpreter looks before all the places of a `FunctionProbe` are asked for."""


class Machine(Protocol):
    """What a search needs of the compiled engine."""

    @property
    def exact(self) -> Interpreter:
        """The interpreter, which holds the state."""
        ...

    @property
    def module(self) -> Module:
        """The module that is run."""
        ...

    @property
    def near(self) -> int:
        """How many ticks are better left to the interpreter."""
        ...

    @property
    def last_tick(self) -> int:
        """Behind this tick there is only the interpreter."""
        ...

    def can_scout(self) -> bool:
        """Whether compiled code can take over here."""
        ...

    def scout(self, goal: Goal, limit: int, most: int) -> Sighting:
        """Run to tick `limit` with the probes of `goal`, noting at most `most` ticks (`scout.Scout`)."""
        ...

    def base(self) -> Snapshot:
        """A snapshot of the present or, if that would cost too much, of the past."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Make the state equal to `snapshot`."""
        ...

    def run(self, goal: Goal) -> Stop:
        """Run without probes."""
        ...


class Search:
    """One run with probes."""

    def __init__(self, machine: Machine, goal: Goal) -> None:
        self._machine = machine
        self._goal = goal
        self._until = goal.until
        self._hits: tuple[Hit, ...] = ()
        self._seen_to = 0
        """From this tick on nothing has been looked at."""
        # A frame that ends behind its last tick without another instruction is gone at that tick already.
        self._early = int(any(isinstance(probe, FrameProbe) and probe.on_exit for probe in goal.probes))

    def run(self, is_warm: bool) -> Stop:
        """Run as the goal says. `is_warm`: the way here was long, so the interpreter need not begin."""
        if not is_warm and self._machine.near:
            stop = self._look_near()
            if stop is not None:
                return stop
        goal = self._goal
        asks_in_order = goal.accept is not None and not goal.unordered
        in_order = not goal.remember or asks_in_order or bool(self._future_entries())
        return self._in_order() if in_order else self._last_first()

    def _look_near(self) -> Stop | None:
        """Let the interpreter begin; the stop if that does it."""
        patience = _PATIENCE if any(isinstance(probe, FunctionProbe) for probe in self._goal.probes) else 0.0
        began = time.perf_counter()
        while True:
            stop = self._look(self._here.tick + self._machine.near)
            if stop is not None or time.perf_counter() - began >= patience:
                return stop

    @property
    def _here(self) -> Position:
        return self._machine.exact.position

    # --- in order --------------------------------------------------------------------------------------

    def _in_order(self) -> Stop:
        most = abi.NOTES_KEPT if self._goal.remember else 1
        while True:
            stop = self._come_to_a_tick()
            if stop is not None:
                return stop
            limit = self._limit()
            if limit <= self._here.tick:
                stop = self._look(limit + 1) if limit in self._future_entries() else self._look(_FAR)
                if stop is not None:
                    return stop
                continue
            base, start = self._machine.base(), self._here
            seen = self._scout(limit, most)
            if seen.at_limit and not seen.ticks:
                continue
            self._machine.restore(base)
            stop = self._look_at(_to_the_end(seen))
            if stop is not None:
                return stop
            if seen.to_limit:
                self._go(limit)
            check(self._here > start, "a search goes round in circles")
            most = min(most * _GROWTH, abi.NOTES_KEPT)

    # --- last first ------------------------------------------------------------------------------------

    def _last_first(self) -> Stop:
        stop = self._come_to_a_tick()
        if stop is not None:
            return stop
        limit = self._limit()
        if limit <= self._here.tick:
            return self._finish()
        base = self._machine.base()
        seen = self._scout(limit, NEVER_FULL)
        start, before, self._hits = self._seen_to, self._hits, ()
        if not seen.at_limit:
            self._machine.restore(base)
            stop = self._look_at([seen.last])
            if stop is None:  # it was not the end: the native stack was used up
                stop = self._last_first()
        else:
            stop = self._finish()
        if stop.hits:
            return stop
        self._hits, self._seen_to = before, start
        return self._search_back(base, seen) if seen.ticks else replace(stop, hits=before)

    def _search_back(self, base: Snapshot, seen: Sighting) -> Stop:
        """Look for the last hit at the ticks that were seen; the stop at the end of the whole way."""
        before = self._hits
        while seen.ticks:
            for window in _windows(seen.ticks):
                self._machine.restore(base)
                if self._hits_at(window):
                    return self._to_the_goal()
            if not seen.overflowed:
                break
            self._machine.restore(base)
            self._go(self._seen_to)
            seen = self._scout(seen.ticks[0], NEVER_FULL)
        self._hits = before
        return self._to_the_goal()

    def _hits_at(self, ticks: Sequence[int]) -> bool:
        """Whether there are hits at these ticks; the last of them are kept."""
        self._hits = ()
        self._look_at(ticks)
        return bool(self._hits)

    def _to_the_goal(self) -> Stop:
        return replace(self._machine.run(Goal(until=self._until)), hits=self._hits)

    # --- the interpreter's part ------------------------------------------------------------------------

    def _look_at(self, ticks: Sequence[int]) -> Stop | None:
        """Look for hits behind each of the ticks; what `_look` gives where that is not None."""
        for first, last in _stretches(ticks):
            if last < self._here.tick:
                continue
            start = max(first - self._early, self._seen_to)
            if start > self._here.tick:
                self._go(start)
            stop = self._look(last + 1)
            if stop is not None:
                return stop
        return None

    def _look(self, tick: int) -> Stop | None:
        """Run with the probes to tick number `tick`; the stop if the run is over before or there."""
        goal, machine = self._goal, self._machine
        target = Position(tick) if self._until is None else min(Position(tick), self._until)
        stop = machine.exact.run(replace(goal, until=target))
        if stop.hits:
            self._note(stop.hits)
        if stop.reason is not StopReason.LIMIT:
            return replace(stop, hits=self._hits)
        if self._until is not None and stop.position >= self._until:
            return replace(stop, hits=self._hits)
        return self._look_at_exits(stop.position)

    def _look_at_exits(self, position: Position) -> Stop | None:
        """Frames may have left for the tick where the interpreter has stopped."""
        goal = self._goal
        exits = tuple(
            hit
            for hit in (Hit(probe, position) for probe in self._machine.exact.exits_here)
            if (goal.after is None or position > goal.after) and (goal.accept is None or goal.accept(hit))
        )
        if not exits:
            return None
        self._note(exits)
        if goal.remember:
            return None
        self._look_just_here(position)
        return Stop(StopReason.PROBE, position, self._hits)

    def _look_just_here(self, position: Position) -> None:
        """Find what else hits here, where the machine is to stay; for that a probe of our own is put here."""
        goal, exact = self._goal, self._machine.exact
        top = exact.state.frames[-1]
        if top.pc not in self._machine.module.functions[top.function].code.rests:
            return  # at a loop that ticks again
        ours = FrameProbe(top.entry, frozenset((top.pc,)))

        def accept(hit: Hit) -> bool:
            return hit.probe is ours or goal.accept is None or goal.accept(hit)

        until = Position(position.tick, position.step + 1)
        stop = exact.run(replace(goal, until=until, probes=(*goal.probes, ours), accept=accept))
        check(stop.position == position, "a probe at the next instruction has not hit")
        also = tuple(hit for hit in stop.hits if hit.probe is not ours)
        if also:
            self._note(also)

    def _note(self, hits: tuple[Hit, ...]) -> None:
        same = self._hits and self._hits[0].position == hits[0].position
        self._hits = (*self._hits, *hits) if same else hits

    def _finish(self) -> Stop:
        return self._look(_FAR) or unreachable("a run that neither ended nor reached its goal")

    # --- ways ------------------------------------------------------------------------------------------

    def _come_to_a_tick(self) -> Stop | None:
        """Let the interpreter look until compiled code can take over; the stop if that ends the run."""
        while self._here.step or not self._machine.can_scout():
            stop = self._look(self._here.tick + 1)
            if stop is not None:
                return stop
        return None

    def _go(self, tick: int) -> None:
        self._machine.run(Goal(until=Position(tick)))

    def _scout(self, limit: int, most: int) -> Sighting:
        self._seen_to = self._here.tick
        return self._machine.scout(self._goal, limit, most)

    def _limit(self) -> int:
        """Where scouting has to end."""
        until = self._until.tick if self._until is not None else _FAR
        return min(until, self._machine.last_tick, *self._future_entries())

    def _future_entries(self) -> list[int]:
        """Ticks at or behind the present one, behind which frames that are to be followed come to life."""
        here = self._here
        return [
            probe.entry.tick
            for probe in self._goal.probes
            if isinstance(probe, FrameProbe) and probe.entry > here
        ]


def _to_the_end(seen: Sighting) -> list[int]:
    """The ticks that were noted, and that behind which the run was lost."""
    return seen.ticks if seen.at_limit or seen.is_full else [*seen.ticks, seen.last]


def _stretches(ticks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each series of consecutive ticks."""
    first = last = -2
    for tick in ticks:
        if tick > last + 1:
            if last >= 0:
                yield first, last
            first = tick
        last = tick
    if last >= 0:
        yield first, last


def _windows(ticks: Sequence[int]) -> Iterator[Sequence[int]]:
    """Parts of `ticks`, the last one first, larger and larger.

    A part never begins in the middle of consecutive ticks, but for its first: a frame's exit at a tick is
    seen by who looks at the tick before.
    """
    high, size = len(ticks), 1
    while high > 0:
        low = max(high - size, 0)
        with_previous = low - 1 if low and ticks[low - 1] == ticks[low] - 1 else low
        yield ticks[with_previous:high]
        high, size = low, size * _WINDOW_GROWTH
