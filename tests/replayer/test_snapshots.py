"""The pool of in-memory snapshots: few, dense near the focus, never without the begin."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ttd.replayer.snapshots import GROWTH, STEPS_PER_TICK, SnapshotPool
from ttd.state import SNAPSHOT_PAGE, MemoryImage, Snapshot
from ttd.types import Position


def snapshot(position: Position, pages: int = 0) -> Snapshot:
    image = MemoryImage(pages * SNAPSHOT_PAGE, {n: bytes([n % 256]) * SNAPSHOT_PAGE for n in range(pages)})
    return Snapshot(position, (), (), (), (image,), frozenset(), frozenset(), 0, 0)


BEGIN = Position(1, 0)
positions = st.builds(Position, st.integers(1, 10**9), st.integers(0, 300))


@given(st.lists(positions, max_size=60), positions, positions)
def test_it_finds_the_latest_snapshot_before_a_position(
    added: list[Position], focus: Position, asked: Position
) -> None:
    pool = SnapshotPool(snapshot(BEGIN))
    for position in added:
        pool.add(snapshot(position), focus)
    kept = pool.positions()
    assert kept == sorted(set(kept))
    assert kept[0] == BEGIN
    assert pool.at_or_before(asked).position == max([p for p in kept if p <= asked], default=BEGIN)
    assert pool.before(asked).position == max([p for p in kept if p < asked], default=BEGIN)


def test_a_long_way_leaves_few_snapshots_dense_near_its_end() -> None:
    pool = SnapshotPool(snapshot(BEGIN))
    for tick in range(2, 20_000):
        pool.add(snapshot(Position(tick, 0)), Position(tick, 0))
    kept = pool.positions()
    assert len(kept) < 60
    distances = [20_000 - position.tick for position in reversed(kept)]
    assert distances[0] == 1
    for near, far in pairwise(distances[:-1]):
        assert far <= near * GROWTH**4 + 2, distances


def test_a_snapshot_at_the_focus_is_always_kept() -> None:
    pool = SnapshotPool(snapshot(BEGIN))
    for step in range(50):
        focus = Position(1000, step)
        pool.add(snapshot(focus), focus)
        assert focus in pool.positions()
    assert STEPS_PER_TICK > 50


def test_the_bytes_of_all_snapshots_are_bounded() -> None:
    pool = SnapshotPool(snapshot(BEGIN, 3), budget=40 * SNAPSHOT_PAGE)
    for tick in range(2, 400, 7):
        pool.add(snapshot(Position(tick * tick, 0), 10), Position(tick * tick, 0))
        assert pool.bytes_held <= 40 * SNAPSHOT_PAGE
    assert len(pool) >= 2


def test_shared_pages_count_once() -> None:
    first = snapshot(BEGIN, 8)
    pool = SnapshotPool(first)
    shared = Snapshot(Position(9, 0), (), (), (), first.memories, frozenset(), frozenset(), 0, 0)
    pool.add(shared, Position(9, 0))
    assert len(pool) == 2
    assert pool.bytes_held == 8 * SNAPSHOT_PAGE
