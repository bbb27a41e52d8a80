"""In-memory snapshots around the place where the user works, thinned with distance.

Close to the focus they are dense, far away sparse: each kept one lies about half as far again from the
focus as the one before it. So a short way back costs little, a long way back at most a share of its own
length, and the number kept grows with the logarithm of the run. Unchanged pages are shared between
neighbours; the bytes of all distinct pages together are bounded as well.

May import base modules only.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from operator import attrgetter

from ttd.state import SNAPSHOT_PAGE, Snapshot
from ttd.types import Position

MEMORY_BUDGET = 512 << 20
"""Bytes that the distinct pages of all snapshots may take together."""

GROWTH = 1.5
"""How much farther from the focus than its neighbour a snapshot has to be to be worth keeping."""

STEEPEST = 1e6
"""With this growth only the nearest snapshots are left; a budget that they break cannot be kept."""

STEPS_PER_TICK = 1 << 12
"""What a tick weighs against a step when distances are compared; only thinning depends on it."""

_position = attrgetter("position")


class SnapshotPool:
    """Snapshots by position. The first one added is the begin of the run and is never dropped."""

    def __init__(self, begin: Snapshot, budget: int = MEMORY_BUDGET) -> None:
        self._snapshots = [begin]
        self._budget = budget
        self._uses: Counter[int] = Counter()
        self._count(begin, 1)

    def __len__(self) -> int:
        return len(self._snapshots)

    @property
    def bytes_held(self) -> int:
        """Bytes of all distinct pages together."""
        return len(self._uses) * SNAPSHOT_PAGE

    def positions(self) -> list[Position]:
        """Positions of all snapshots, in order."""
        return [snapshot.position for snapshot in self._snapshots]

    def at_or_before(self, position: Position) -> Snapshot:
        """The latest snapshot at or before `position`; the begin of the run if there is none."""
        index = bisect_right(self._snapshots, position, key=_position)
        return self._snapshots[max(index - 1, 0)]

    def before(self, position: Position) -> Snapshot:
        """The latest snapshot strictly before `position`; the begin of the run if there is none."""
        index = bisect_left(self._snapshots, position, key=_position)
        return self._snapshots[max(index - 1, 0)]

    def add(self, snapshot: Snapshot, focus: Position) -> None:
        """Keep `snapshot`, if there is none at its position yet, and thin out with respect to `focus`."""
        if self.at_or_before(snapshot.position).position == snapshot.position:
            return
        insort(self._snapshots, snapshot, key=_position)
        self._count(snapshot, 1)
        self._thin(focus)

    def _thin(self, focus: Position) -> None:
        self._keep(_spread(self._snapshots, focus, GROWTH))
        growth = GROWTH
        while self.bytes_held > self._budget and growth < STEEPEST:
            growth *= 4
            self._keep(_spread(self._snapshots, focus, growth))

    def _keep(self, kept: list[Snapshot]) -> None:
        chosen = {id(snapshot) for snapshot in kept}
        for snapshot in self._snapshots:
            if id(snapshot) not in chosen:
                self._count(snapshot, -1)
        self._snapshots = kept

    def _count(self, snapshot: Snapshot, change: int) -> None:
        for image in snapshot.memories:
            for page in image.pages.values():
                self._uses[id(page)] += change
                if not self._uses[id(page)]:
                    del self._uses[id(page)]


def _spread(snapshots: list[Snapshot], focus: Position, growth: float) -> list[Snapshot]:
    """Those of `snapshots` whose distances from `focus` grow by `growth` each; always the first one."""
    middle = bisect_right(snapshots, focus, key=_position)
    past = _side(list(reversed(snapshots[:middle])), focus, growth)
    future = _side(snapshots[middle:], focus, growth)
    kept = [*reversed(past), *future]
    return kept if kept[0] is snapshots[0] else [snapshots[0], *kept]


def _side(outward: list[Snapshot], focus: Position, growth: float) -> list[Snapshot]:
    kept: list[Snapshot] = []
    reach = -1.0
    for snapshot in outward:
        distance = abs(_weight(snapshot.position) - _weight(focus))
        if distance >= reach * growth:
            kept.append(snapshot)
            reach = max(distance, 1.0)
    return kept


def _weight(position: Position) -> float:
    return float(position.tick * STEPS_PER_TICK + position.step)
