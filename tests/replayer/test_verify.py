"""Verification finds what is different, and says where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.replayer.model import Run
from tests.replayer.rewriting import rewrite
from ttd.engine.protocol import Goal
from ttd.events import HostCall
from ttd.replayer.session import Session
from ttd.replayer.verify import verify
from ttd.state import SNAPSHOT_PAGE, MemoryImage, Snapshot
from ttd.store.trace import Trace
from ttd.types import Ending, EndKind, Position

Recorded = Callable[[str], Path]
Runs = Callable[[str], Run]


def snapshot_at(path: Path, position: Position) -> Snapshot:
    with Trace.open(path) as trace:
        session = Session(trace)
        session.run(Goal(until=position))
        snapshot = Snapshot.capture(session.state)
        session.close()
        return snapshot


def test_a_good_recording_verifies_twice_with_the_same_report(recorded: Recorded, runs: Runs) -> None:
    for name in ("calls", "loops", "trap", "wat:trap", "wat:cascade"):
        with Trace.open(recorded(name)) as trace:
            report = verify(trace)
            assert report.is_good, report
            assert (report.events, report.end) == (trace.event_count, runs(name).end)
            assert report.snapshots == len(trace.snapshots)
            assert verify(trace) == report


def test_snapshots_in_the_middle_are_compared(recorded: Recorded, tmp_path: Path) -> None:
    source = recorded("loops")
    middle = [snapshot_at(source, Position(tick, 2)) for tick in (20, 90, 150)]
    path = rewrite(source, tmp_path / "t", snapshots=lambda kept: [*middle, *kept])
    with Trace.open(path) as trace:
        report = verify(trace)
        assert report.is_good
        assert report.snapshots == len(trace.snapshots) >= 3


def test_a_wrong_byte_in_a_snapshot_is_found(recorded: Recorded, tmp_path: Path) -> None:
    source = recorded("loops")
    good = snapshot_at(source, Position(90, 2))
    image = good.memories[0]
    number = max(image.pages)
    page = bytearray(image.pages[number])
    page[17] ^= 0xFF
    wrong = replace(good, memories=(MemoryImage(image.size, {**image.pages, number: bytes(page)}),))
    path = rewrite(source, tmp_path / "t", snapshots=lambda kept: [wrong, *kept])
    with Trace.open(path) as trace:
        report = verify(trace)
    assert not report.is_good
    assert report.divergence_position == Position(90, 2)
    assert f"{number * SNAPSHOT_PAGE + 17:#x}" in report.divergence


def test_a_wrong_global_is_named(recorded: Recorded, tmp_path: Path) -> None:
    source = recorded("loops")
    good = snapshot_at(source, Position(90, 2))
    wrong = replace(good, globals=(4711, *good.globals[1:]))
    path = rewrite(source, tmp_path / "t", snapshots=lambda kept: [wrong, *kept])
    with Trace.open(path) as trace:
        assert "globals (4711" in verify(trace).divergence


def test_a_changed_event_is_the_first_divergence(recorded: Recorded, runs: Runs, tmp_path: Path) -> None:
    def change(events: list[HostCall]) -> list[HostCall]:
        return [events[0], replace(events[1], arguments=(1,)), *events[2:]]

    path = rewrite(recorded("calls"), tmp_path / "t", change)
    with Trace.open(path) as trace:
        report = verify(trace)
        assert not report.is_good
        assert report.divergence_position == runs("calls").events[1]
        assert report.events == 1


def test_events_that_are_left_over_are_a_divergence(recorded: Recorded, tmp_path: Path) -> None:
    def more(events: list[HostCall]) -> list[HostCall]:
        return [*events, replace(events[-1], number=len(events))]

    path = rewrite(recorded("calls"), tmp_path / "t", more)
    with Trace.open(path) as trace:
        assert f"{trace.event_count} host calls" in verify(trace).divergence


def test_a_recording_that_was_broken_off_verifies_up_to_there(recorded: Recorded, tmp_path: Path) -> None:
    ending = Ending(EndKind.INTERRUPTED, Position(120, 3))
    path = rewrite(
        recorded("loops"),
        tmp_path / "t",
        lambda events: [e for e in events if e.position <= ending.position],
        lambda snapshots: [],
        ending,
    )
    with Trace.open(path) as trace:
        report = verify(trace)
    assert report.is_good
    assert report.end == ending.position
