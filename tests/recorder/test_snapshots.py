"""The policy that says when to take snapshots, on a clock that does what the test says."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ttd.recorder.snapshots import FREE, GROWTH, SHARE, SPACING, STORING_BESIDE, WAITING, SnapshotPolicy
from ttd.state import Snapshot, State
from ttd.types import Position


@dataclass
class FakeClock:
    time: float = 0.0

    def __call__(self) -> float:
        return self.time


@dataclass
class FakeSink:
    """Takes `copying` seconds of the guest's thread for each snapshot, and `storing` of another; the first
    snapshot takes `first` bytes, each other one `growth`."""

    clock: FakeClock
    copying: float
    storing: float = 0.0
    backlog: int = 0
    first: int = 0
    growth: int = 0
    storing_seconds: float = 0.0
    storing_bytes: int = 0
    snapshots: list[Snapshot] = field(default_factory=list)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.clock.time += self.copying
        self.backlog += 1
        self.snapshots.append(snapshot)

    def drain(self) -> None:
        self.storing_seconds += self.storing * self.backlog
        if self.backlog:
            self.storing_bytes = self.first + self.growth * (len(self.snapshots) - 1)
        self.backlog = 0


class FakeMemory:
    """A memory of `pages` pages that nobody can look into."""

    def __init__(self, pages: int) -> None:
        self.pages = pages

    def view(self) -> memoryview:
        return memoryview(bytearray())

    def grow(self, delta: int) -> int:
        return -1


def state(tick: int, pages: int = 0) -> State:
    return State(Position(tick), [], [], [], [FakeMemory(pages)])


def run(
    seconds: float,
    copying: float,
    storing: float = 0.0,
    slice_: float = 0.05,
    processors: int = 1,
    first: int = 0,
    growth: int = 0,
) -> tuple[FakeSink, SnapshotPolicy]:
    """A run of `seconds` in slices; what the policy made of it."""
    clock = FakeClock()
    sink = FakeSink(clock, copying, storing, first=first, growth=growth)
    policy = SnapshotPolicy(sink, clock, processors)
    tick = 0
    while clock.time < seconds:
        clock.time += slice_
        tick += 1
        sink.drain()
        policy.offer(lambda: state(tick))  # noqa: B023
    sink.drain()
    policy.finish(state(tick + 1))
    return sink, policy


def test_cheap_snapshots_come_as_often_as_useful() -> None:
    sink, policy = run(10.0, 0.0001)
    assert 10 / SPACING * 0.7 <= policy.taken <= 10 / SPACING + 1
    assert policy.taken == len(sink.snapshots)


def test_the_cost_stays_within_the_share_whatever_a_snapshot_costs() -> None:
    generator = random.Random(3)
    for _ in range(30):
        copying, storing = generator.uniform(0.001, 0.5), generator.uniform(0, 0.5)
        sink, policy = run(60.0, copying, storing)
        real = len(sink.snapshots) * (copying + storing)
        # The first one is taken without a measurement; every later one has been paid for beforehand.
        assert real <= max(SHARE * sink.clock.time, copying + storing) + 1e-9
        assert policy.taken >= min(2, SHARE * 60 / (copying + storing)) - 1


def test_storing_counts_even_where_copying_is_cheap() -> None:
    _, policy = run(60.0, 0.001, 0.5)
    assert 4 <= policy.taken <= 60 * SHARE / 0.5 + 1
    assert policy.cost <= 60 * SHARE + 0.51


def test_storing_counts_for_less_where_another_processor_does_it() -> None:
    _, alone = run(60.0, 0.001, 0.5)
    _, beside = run(60.0, 0.001, 0.5, processors=2)
    assert alone.taken < beside.taken <= 60 * SHARE / (0.5 * STORING_BESIDE) + 1


def test_the_trace_grows_by_so_much_in_a_second() -> None:
    for growth in (1_000, 300_000, 3_000_000):
        sink, policy = run(30.0, 0.0001, first=20_000_000, growth=growth)
        taken = sink.storing_bytes - sink.first
        assert taken <= GROWTH * sink.clock.time + growth
        assert policy.taken >= min(30 / SPACING * 0.7, GROWTH * 30 / growth - 1)


def test_a_short_run_has_a_snapshot_of_its_end() -> None:
    sink, _ = run(0.04, 0.001)
    assert [snapshot.position for snapshot in sink.snapshots] == [Position(2)]


def test_a_short_run_of_a_huge_program_has_none() -> None:
    clock = FakeClock()
    sink = FakeSink(clock, 1.0)
    policy = SnapshotPolicy(sink, clock)
    clock.time = FREE
    policy.finish(state(5, pages=65536))
    assert sink.snapshots == []


def test_no_snapshot_is_taken_while_too_many_wait_to_be_stored() -> None:
    clock = FakeClock()
    sink = FakeSink(clock, 0.0)
    policy = SnapshotPolicy(sink, clock)
    for number in range(WAITING + 1):
        clock.time += 10
        assert policy.offer(lambda: state(number))  # noqa: B023
    clock.time += 10
    assert not policy.offer(lambda: state(100))
    sink.drain()
    assert policy.offer(lambda: state(101))


def test_those_that_wait_are_paid_for_in_advance() -> None:
    clock = FakeClock()
    sink = FakeSink(clock, 0.0, storing=2.0)
    policy = SnapshotPolicy(sink, clock, processors=1)
    clock.time = 5.5 / SHARE
    assert policy.offer(lambda: state(1))
    sink.drain()
    clock.time += 1
    assert policy.offer(lambda: state(2))
    clock.time += 1
    assert not policy.offer(lambda: state(3))  # 2 s are spent, 2 s will be: there is not enough for a third


def test_the_end_is_not_taken_twice() -> None:
    clock = FakeClock()
    sink = FakeSink(clock, 0.0)
    policy = SnapshotPolicy(sink, clock)
    clock.time = 10
    assert policy.offer(lambda: state(1))
    sink.drain()
    policy.finish(state(1))
    assert len(sink.snapshots) == 1


def test_unchanged_pages_are_shared_with_the_snapshot_before() -> None:
    """What makes the store's work small: it tells pages apart by identity."""
    from ttd.engine.memory import LinearMemory
    from ttd.wasm.model import MemoryType

    memory = LinearMemory(MemoryType(1, 1, False), 1)
    memory.view()[0], memory.view()[50_000] = 1, 1
    clock = FakeClock()
    sink = FakeSink(clock, 0.0)
    policy = SnapshotPolicy(sink, clock)
    for tick in (1, 2):
        clock.time += 10
        memory.view()[0] += 1
        assert policy.offer(lambda: State(Position(tick), [], [], [], [memory]))  # noqa: B023
        sink.drain()
    first, second = (snapshot.memories[0].pages for snapshot in sink.snapshots)
    assert second[50_000 // 4096] is first[50_000 // 4096]
    assert second[0] is not first[0]
