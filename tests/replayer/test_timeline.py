"""The timeline: seeking from snapshots, searching segments backward, the neighbourhood of a position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.replayer.model import Digests, Run
from tests.replayer.rewriting import rewrite
from ttd.engine.protocol import CodeProbe, FrameProbe, Goal, Hit, WatchProbe
from ttd.errors import DamagedTrace
from ttd.replayer.session import ENGINES, Session
from ttd.replayer.timeline import Search, Timeline
from ttd.state import Snapshot
from ttd.store.trace import SnapshotInfo, Trace
from ttd.types import Position

Recorded = Callable[[str], Path]
Runs = Callable[[str], Run]


@pytest.fixture(scope="module")
def dense(engine: str, recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of loops with a snapshot every thirty ticks."""
    source = recorded("loops")
    with Trace.open(source) as trace:
        session = Session(trace, ENGINES[engine])
        taken = []
        for tick in range(30, 208, 30):
            session.run(Goal(until=Position(tick, 3)))
            taken.append(Snapshot.capture(session.state, taken[-1] if taken else None))
        session.close()
    path = tmp_path_factory.mktemp("dense") / "loops.trace"
    return rewrite(source, path, snapshots=lambda kept: [*taken, *kept])


@pytest.fixture
def timeline(dense: Path) -> Iterator[Timeline]:
    with Trace.open(dense) as trace:
        session = Session(trace)
        yield Timeline(session)
        session.close()


def everywhere(run: Run) -> list[Position]:
    return [*run.positions[:: max(1, len(run.positions) // 40)], run.end]


def test_seeking_leads_to_the_same_state_from_everywhere(
    timeline: Timeline, runs: Runs, recorded: Recorded
) -> None:
    with Trace.open(recorded("loops")) as trace:
        digests = Digests(trace)
        places = everywhere(runs("loops"))
        for position in [*places, *reversed(places), *sorted(places, key=hash)]:
            timeline.seek(position)
            assert timeline.position == position
            assert Snapshot.capture(timeline._session.state).digest() == digests(position)
        digests.close()


def test_seeking_starts_from_the_recorded_snapshots(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Position] = []
    trace = timeline._session.trace
    load = trace.load_snapshot

    def spy(info: SnapshotInfo) -> Snapshot:
        loaded.append(info.position)
        return load(info)

    monkeypatch.setattr(trace, "load_snapshot", spy)
    monkeypatch.setattr("ttd.replayer.timeline.NEAR", 10)
    timeline.seek(Position(100, 1))
    timeline.seek(Position(170, 1))
    timeline.seek(Position(101, 1))
    assert loaded == [Position(90, 3), Position(150, 3)]


def test_a_damaged_snapshot_is_passed_over(timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = timeline._session.trace
    load = trace.load_snapshot

    def damaged(info: SnapshotInfo) -> Snapshot:
        if info.position >= Position(90):
            raise DamagedTrace("it is damaged")
        return load(info)

    monkeypatch.setattr(trace, "load_snapshot", damaged)
    monkeypatch.setattr("ttd.replayer.timeline.NEAR", 10)
    timeline.seek(Position(170, 1))
    assert timeline.position == Position(170, 1)
    assert [info.position for info in timeline._recorded if info.position < Position(170)][-1] < Position(90)


def test_a_snapshot_that_does_not_fit_the_module_is_passed_over(
    recorded: Recorded, tmp_path: Path, timeline: Timeline
) -> None:
    timeline.seek(Position(120, 2))
    good = Snapshot.capture(timeline._session.state)
    odd = Snapshot(Position(90), (), (), (), (), frozenset(), frozenset(), 0, 0)
    path = rewrite(recorded("loops"), tmp_path / "t", snapshots=lambda kept: [odd, *kept])
    with Trace.open(path) as trace:
        session = Session(trace)
        other = Timeline(session)
        other.seek(Position(180, 0))
        other.seek(Position(120, 2))
        assert Snapshot.capture(session.state).digest() == good.digest()
        session.close()


def test_a_position_that_there_is_not_leads_to_the_next_rest(timeline: Timeline) -> None:
    timeline.seek(Position(77, 10_000))
    assert timeline.position == Position(78, 0)


@pytest.mark.parametrize("keep", [1, 2, 5, 1000])
def test_hits_come_last_first_however_many_are_kept(timeline: Timeline, runs: Runs, keep: int) -> None:
    run = runs("loops")
    busiest = max({(rest.function, rest.pc) for rest in run.rests}, key=lambda place: len(run.at(*place)))
    expected = run.at(*busiest)
    assert len(expected) > 30
    search = Search((CodeProbe(*busiest),))
    floor, end = expected[3], expected[-2]
    found = [hits[0].position for hits in timeline.hits_before(end, lambda _: search, floor, (), keep)]
    assert found == expected[3:-2][::-1]
    between = Position(floor.tick, floor.step - 1)
    assert expected[2] < between < floor
    found = [hits[0].position for hits in timeline.hits_before(end, lambda _: search, between, (), keep)]
    assert found == expected[3:-2][::-1]


@pytest.mark.parametrize("keep", [1, 3])
def test_hits_at_one_position_come_together(timeline: Timeline, runs: Runs, keep: int) -> None:
    run = runs("loops")
    rest = run.rests[len(run.rests) // 2]
    probes = (CodeProbe(rest.function, rest.pc), FrameProbe(rest.entry, frozenset({rest.pc})))
    hits = next(
        iter(
            timeline.hits_before(
                run.after(rest.position), lambda _: Search(probes), run.rests[0].position, (), keep
            )
        )
    )
    assert {hit.probe for hit in hits} == set(probes)
    assert {hit.position for hit in hits} == {rest.position}


@settings(max_examples=12)
@given(data=st.data())
def test_the_exit_of_a_frame_is_found_wherever_segments_meet(
    recorded: Recorded, runs: Runs, data: st.DataObject
) -> None:
    run = runs("calls")
    rest = data.draw(st.sampled_from([rest for rest in run.rests if len(rest.alive) > 2]))
    exit_ = run.exit_of(rest.entry)
    with Trace.open(recorded("calls")) as trace:
        session = Session(trace)
        timeline = Timeline(session)
        for position in sorted(data.draw(st.lists(st.sampled_from(run.positions), max_size=8))):
            timeline.seek(position)
            timeline._capture()
        if data.draw(st.booleans()):
            timeline.seek(exit_)
            timeline._capture()
        probe = FrameProbe(rest.entry, frozenset(), on_exit=True)
        found = list(timeline.hits_before(run.end, lambda _: Search((probe,)), session.begin, [rest.entry]))
        assert found == [(Hit(probe, exit_),)]
        session.close()


def test_rests_before_and_behind_are_counted_across_ticks(timeline: Timeline, runs: Runs) -> None:
    places = [*runs("loops").positions, runs("loops").end]
    for index in range(0, len(places), 397):
        for count in (1, 2, 17, 300, 10**6):
            timeline.seek(places[index])
            assert timeline.back(count) == places[max(0, index - count)]
        for count in (1, 40):
            timeline.seek(places[index])
            assert timeline.on(count) == places[min(len(places) - 1, index + count)]


def test_looking_at_the_next_write_moves_nothing(timeline: Timeline, runs: Runs) -> None:
    run = runs("loops")
    session = timeline._session
    size = len(session.state.memories[0].view())
    search = Search((WatchProbe(0, 0, size),))
    written = 0
    for position in run.positions[100:220]:
        timeline.seek(position)
        before = Snapshot.capture(session.state)
        hits = timeline.writes_here(search)
        assert Snapshot.capture(session.state).digest() == before.digest()
        written += len(hits)
        assert all(hit.position == position for hit in hits)
        session.step()
        changed = Snapshot.capture(session.state).memories[0].pages != before.memories[0].pages
        assert bool(hits) == changed
    assert written > 5
