"""The policy that says when to take snapshots, on a clock that does what the test says."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from ttd.recorder.snapshots import (
    FIRST_STORING,
    FREE,
    GROWTH,
    SAMPLE,
    SHARE,
    SPACING,
    STORING_BESIDE,
    WAITING,
    SnapshotPolicy,
)
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, Snapshot, State
from ttd.types import Position


@dataclass
class FakeClock:
    time: float = 0.0

    def __call__(self) -> float:
        return self.time


@dataclass
class FakeSink:
    """Takes `copying` seconds of the guest's thread for each snapshot, and `storing` of another, for which
    the guest waits as far as there are more pages than `room`. Pages take `page` bytes each, and those of the
    first snapshot `first` more in all; `weigh` is wrong by the factor `wrong`."""

    clock: FakeClock
    copying: float
    storing: float = 0.0
    backlog: int = 0
    first: int = 0
    page: int = 0
    wrong: float = 1.0
    room: int = 1 << 30
    stalling: float = 0.0
    """Seconds that the guest waits for room for a page, where `storing` does not tell it."""
    storing_seconds: float = 0.0
    storing_bytes: int = 0
    weighed: int = 0
    pages: int = 0
    given: int = 0
    present: int = 0
    snapshots: list[Snapshot] = field(default_factory=list)

    def change(self, memory: int, pages: Mapping[int, bytes]) -> None:
        before = max(0, self.given - self.room)
        self.pages += len(pages)
        self.given += len(pages)
        self.clock.time += (max(0, self.given - self.room) - before) * self.stalling

    def complete(self, snapshot: Snapshot) -> None:
        waiting = max(0, self.given - self.room) / max(self.given, 1)
        self.clock.time += self.copying + waiting * self.storing
        self.present = self.present or self.given
        self.given = 0
        self.backlog += 1
        self.snapshots.append(snapshot)

    def weigh(self, pages: Sequence[bytes]) -> int:
        self.weighed += 1
        return int(self.wrong * self.page * len(pages))

    def drain(self) -> None:
        self.storing_seconds += self.storing * self.backlog
        if self.backlog:
            self.storing_bytes = self.first + self.page * self.pages
        self.backlog = 0


class FakeMemory:
    """A memory of `pages` pages that nobody can look into."""

    def __init__(self, pages: int) -> None:
        self.pages = pages

    def view(self) -> memoryview:
        return memoryview(bytearray())

    def grow(self, delta: int) -> int:
        return -1


@dataclass
class ChangingMemory:
    """A memory of which each look finds the next `changing` pages changed."""

    changing: int
    size: int = 64
    at: int = 0

    def __post_init__(self) -> None:
        self.data = bytearray(self.size * WASM_PAGE)

    @property
    def pages(self) -> int:
        return self.size

    def view(self) -> memoryview:
        return memoryview(self.data)

    def change(self) -> None:
        for _ in range(self.changing):
            self.at = (self.at + SNAPSHOT_PAGE) % len(self.data)
            self.data[self.at : self.at + 4] = random.randbytes(4)

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
) -> tuple[FakeSink, SnapshotPolicy]:
    """A run of `seconds` in slices; what the policy made of it."""
    clock = FakeClock()
    sink = FakeSink(clock, copying, storing)
    return sink, go(seconds, sink, slice_=slice_, processors=processors)


def go(
    seconds: float,
    sink: FakeSink,
    memory: ChangingMemory | None = None,
    slice_: float = 0.05,
    processors: int = 1,
) -> SnapshotPolicy:
    """A run of `seconds` in slices, in each of which `memory` changes; its policy."""
    clock = sink.clock
    policy = SnapshotPolicy(sink, clock, processors)
    tick = 0

    def now() -> State:
        return State(Position(tick), [], [], [], [memory or FakeMemory(0)])

    while clock.time < seconds:
        clock.time += slice_
        tick += 1
        if memory is not None:
            memory.change()
        sink.drain()
        policy.offer(now)
    sink.drain()
    tick += 1
    policy.finish(now())
    sink.drain()
    return policy


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


@pytest.mark.parametrize("wrong", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("changing", [1, 40, 300])
@pytest.mark.parametrize("page", [100, 1_000, 4_000])
def test_the_trace_grows_by_so_much_in_a_second(page: int, changing: int, wrong: float) -> None:
    sink = FakeSink(FakeClock(), 0.0001, first=20_000_000, page=page, wrong=wrong)
    policy = go(30.0, sink, ChangingMemory(changing))
    taken = sink.storing_bytes - sink.first
    first = page * sink.present
    last = page * 64 * WASM_PAGE // SNAPSHOT_PAGE  # all of it
    assert taken - first <= GROWTH * sink.clock.time + max(0, 1 / wrong - 1) * last
    # What can be had is used: the memory as a whole takes as much as `last`, and is soon all changed.
    each = min(last, page * changing * SPACING / 0.05)
    assert policy.taken >= min(30 / SPACING * 0.6, GROWTH * 30 / max(last, each) / max(wrong, 1) * 0.5)


def test_what_costs_too_much_is_not_looked_at_again_and_again() -> None:
    sink = FakeSink(FakeClock(), 0.0001, page=100_000)
    policy = go(60.0, sink, ChangingMemory(1000))
    assert policy.taken <= 3
    assert sink.weighed <= 4 * policy.taken + 10


def test_a_program_that_stops_changing_much_gets_snapshots_again() -> None:
    sink = FakeSink(FakeClock(), 0.0001, page=4000)
    memory = ChangingMemory(1024)
    policy = SnapshotPolicy(sink, sink.clock, 1)
    for number in range(400):
        sink.clock.time += 0.1
        memory.changing = 1024 if number < 100 else 1
        memory.change()
        sink.drain()
        policy.offer(lambda: State(Position(number), [], [], [], [memory]))  # noqa: B023
        if number == 99:
            before = policy.taken
    assert before < 10
    assert policy.taken > before + 200


def test_the_guest_waits_for_room_only_as_long_as_it_can_afford() -> None:
    for room in (0, 500, 10_000):
        sink = FakeSink(FakeClock(), 0.0001, storing=0.2, page=1, room=room)
        policy = go(20.0, sink, ChangingMemory(1000), processors=64)
        if room == 10_000:
            assert policy.taken > 12
        elif room == 0:
            # A snapshot of 1000 pages takes 0.2 s to store, which the guest would wait for.
            assert 2 <= policy.taken <= 8


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


def test_the_first_snapshot_of_a_large_memory_waits_until_it_can_be_paid() -> None:
    """Its pages are more than the sink has room for, so the guest waits while they are stored."""
    memory = ChangingMemory(changing=4000, size=256)
    memory.change()
    memory.changing = 0
    sink = FakeSink(FakeClock(), 0.001, room=100, stalling=FIRST_STORING)
    stall = FIRST_STORING * (4000 - 100)
    policy = go(stall / SHARE - 0.5, sink, memory)
    assert policy.taken == 0
    sink = FakeSink(FakeClock(), 0.001, room=100, stalling=FIRST_STORING)
    policy = go(stall / SHARE + 3, sink, memory)
    assert policy.taken >= 2, "the wait is that of the first one alone"
    assert policy.cost <= SHARE * sink.clock.time + 0.01


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


def test_only_pages_that_changed_are_given_to_the_sink() -> None:
    from ttd.engine.memory import LinearMemory
    from ttd.wasm.model import MemoryType

    memory = LinearMemory(MemoryType(1, 1, False), 1)
    memory.view()[0], memory.view()[50_000] = 1, 1
    clock = FakeClock()
    given: list[dict[int, bytes]] = []

    class Sink(FakeSink):
        def change(self, memory: int, pages: Mapping[int, bytes]) -> None:
            given.append(dict(pages))

    sink = Sink(clock, 0.0)
    policy = SnapshotPolicy(sink, clock)
    for tick in (1, 2):
        clock.time += 10
        memory.view()[0] += 1
        assert policy.offer(lambda: State(Position(tick), [], [], [], [memory]))  # noqa: B023
        sink.drain()
    assert [sorted(pages) for pages in given] == [[0, 50_000 // SNAPSHOT_PAGE], [0]]
    assert given[1][0][:2] == b"\3\0"
    assert [snapshot.memories[0].size for snapshot in sink.snapshots] == [WASM_PAGE, WASM_PAGE]


def test_a_sample_is_weighed_and_not_everything() -> None:
    weighed: list[int] = []

    class Sink(FakeSink):
        def weigh(self, pages: Sequence[bytes]) -> int:
            weighed.append(len(pages))
            return super().weigh(pages)

    go(5.0, Sink(FakeClock(), 0.0001, page=10), ChangingMemory(400))
    assert weighed and max(weighed) == SAMPLE
