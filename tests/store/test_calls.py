"""Calls in raw form in a trace: among events, large and small, read back by number, tick, and in bulk."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.samples import MODULE, manifest
from ttd.calllog import ROOM, CallLog, Calls, encode_calls
from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.store.grouping import groups
from ttd.store.trace import Trace, TraceWriter
from ttd.types import UNKNOWN_STEP, Ending, EndKind, Position


def event(number: int, rng: random.Random) -> HostCall:
    position = Position(3 * number + rng.randrange(3), UNKNOWN_STEP)
    writes = (MemoryWrite(0, rng.randrange(1 << 16), rng.randbytes(rng.randrange(1, 60))),)
    return HostCall(number, position, rng.randrange(5), (rng.getrandbits(64), 7), (0,), writes)


def parts(rng: random.Random) -> list[HostCall | list[HostCall]]:
    """A recording: events alone, and runs of them that are logged in raw form."""
    made: list[HostCall | list[HostCall]] = []
    number = 0
    for length in (0, 3, 900, 0, 1, 2000, 1200, 0, 0, 5, 700):
        run = [event(number + at, rng) for at in range(length or 1)]
        made.append(run if length else run[0])
        number += len(run)
    return made


def logged(run: list[HostCall]) -> CallLog:
    log = encode_calls(run, 1 << 20)
    assert log is not None and log.count == len(run)
    return log


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[HostCall]]:
    path = tmp_path_factory.mktemp("calls") / "x.trace"
    made = parts(random.Random(1))
    with TraceWriter.create(path, manifest(), MODULE) as writer:
        for part in made:
            if isinstance(part, HostCall):
                writer.append(part)
            else:
                writer.append_calls(logged(part))
        writer.finish(Ending(EndKind.EXIT, Position(100_000)))
    return path, [e for part in made for e in ([part] if isinstance(part, HostCall) else part)]


def test_events_come_back_in_order(recorded: tuple[Path, list[HostCall]]) -> None:
    path, events = recorded
    with Trace.open(path) as trace:
        assert not trace.damage
        assert list(trace.events()) == events
        assert list(trace.events(1000, 1010)) == events[1000:1010]
        assert [trace.event(n) for n in (0, 3, 904, 4800)] == [events[n] for n in (0, 3, 904, 4800)]


def test_large_logs_are_kept_in_raw_form(recorded: tuple[Path, list[HostCall]]) -> None:
    path, _ = recorded
    with Trace.open(path) as trace:
        assert any(isinstance(trace._chunk(index), Calls) for index in range(len(trace.chunks)))


def test_logs_are_joined_with_each_other_and_with_events_that_have_a_raw_form() -> None:
    rng = random.Random(2)
    events = [event(number, rng) for number in range(1000)]
    exact = replace(events[500], position=Position(events[500].position.tick, 7))
    items = [events[0], logged(events[1:250]), events[250], logged(events[251:500])]
    items += [exact, events[501], logged(events[502:510]), exact, logged(events[511:])]
    first, second, third, fourth = groups(items, 0)
    assert first == [events[0]]
    assert isinstance(second, CallLog) and second.events(1) == events[1:500]
    assert third == [exact, *events[501:510], exact]
    assert isinstance(fourth, CallLog) and fourth.events(511) == events[511:]


def test_no_joined_log_is_larger_than_the_buffer_of_the_gates() -> None:
    rng = random.Random(3)
    events = [event(number, rng) for number in range(8000)]
    logs = [logged(events[start : start + 1000]) for start in range(0, 8000, 1000)]
    later = [replace(log, tick=log.tick + 10**6, last_tick=log.last_tick + 10**6) for log in logs]
    items = [*logs, *later]
    found = list(groups(items, 0))
    assert all(isinstance(log, CallLog) and len(log.data) <= ROOM for log in found)
    assert sum(len(log.data) for log in found if isinstance(log, CallLog)) == 2 * sum(map(_size, logs)) > ROOM
    assert len(found) == 2


def _size(log: CallLog) -> int:
    return len(log.data)


def test_events_are_found_by_position(recorded: tuple[Path, list[HostCall]]) -> None:
    path, events = recorded
    with Trace.open(path) as trace:
        for tick in (0, 1, 50, 2711, 2712, 2713, 9000, 14_000, 99_999):
            expected = sum(e.position < Position(tick, 4) for e in events)
            assert trace.event_at_or_after(Position(tick, 4)) == expected


@pytest.mark.parametrize("number", [0, 2, 4, 500, 903, 904, 905, 2904, 2905, 4810])
def test_calls_are_given_in_raw_form_from_any_event_on(
    recorded: tuple[Path, list[HostCall]], number: int
) -> None:
    path, events = recorded
    with Trace.open(path) as trace:
        found = trace.call_log(number, 1 << 16)
    assert found is not None
    log, skipped = found
    assert log.count > skipped
    assert log.events(number - skipped) == events[number - skipped : number - skipped + log.count]


def test_an_event_without_raw_form_has_none(tmp_path: Path) -> None:
    exit_ = HostCall(0, Position(1), 0, (3,), outcome=Outcome.EXITED, code=3)
    with TraceWriter.create(tmp_path / "x.trace", manifest(), MODULE) as writer:
        writer.append(exit_)
        writer.finish(Ending(EndKind.EXIT, Position(1), 3))
    with Trace.open(tmp_path / "x.trace") as trace:
        assert trace.call_log(0, 1 << 16) is None
