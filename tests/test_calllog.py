"""The raw form of host calls: there and back, and whatever the bytes."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd.calllog import ROOM, CallLog, Calls, Joined, encode_calls
from ttd.errors import DamagedTrace
from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.types import UNKNOWN_STEP, Position

WORDS = st.integers(0, (1 << 64) - 1)


@st.composite
def calls(draw: st.DrawFn) -> list[HostCall]:
    """Events that have a raw form."""
    tick = draw(st.integers(0, 1 << 60))
    events: list[HostCall] = []
    for number in range(draw(st.integers(1, 6))):
        memory = draw(st.integers(0, 255))
        piece = st.builds(
            MemoryWrite, st.just(memory), st.integers(0, (1 << 32) - 1), st.binary(min_size=1, max_size=40)
        )
        pieces = st.lists(piece, max_size=4).map(tuple)
        reads, writes = draw(pieces), draw(pieces)
        if not (reads or writes):
            memory = 0
        values = st.lists(WORDS, max_size=15).map(tuple)
        function = draw(st.integers(0, 65535))
        position = Position(tick, UNKNOWN_STEP)
        event = HostCall(number, position, function, draw(values), draw(values), writes, reads=reads)
        events.append(event)
        tick += draw(st.integers(0, (1 << 32) - 1))
    return events


def encoded(events: list[HostCall], room: int = 1 << 20) -> CallLog:
    log = encode_calls(events, room)
    assert log is not None
    return log


def raw_log(data: bytes, count: int) -> CallLog:
    """A log of whatever bytes, whose ticks are right if they are sizes of records at all."""
    tick = at = 0
    while len(data) - at >= 8:
        size, ticks = struct.unpack_from("<II", data, at)
        tick, at = tick + ticks * (at > 0), at + max(size, 8)
    return CallLog(0, tick, count, data)


@given(calls())
def test_what_is_encoded_is_decoded(events: list[HostCall]) -> None:
    log = encoded(events)
    assert log.events(0) == events
    assert (log.tick, log.last_tick) == (events[0].position.tick, events[-1].position.tick)


@given(calls(), st.integers(0, 1 << 61))
def test_single_calls_are_found_by_index_and_tick(events: list[HostCall], tick: int) -> None:
    log = encoded(events)
    found = Calls(log, 0)
    assert [found[index] for index in range(len(found))] == events
    assert found[1:] == events[1:]
    later = [event.number for event in events if event.position.tick >= tick]
    assert found.at_or_after(tick) == min(later, default=len(events))


@given(calls(), st.data())
def test_damaged_bytes_are_reported_or_decoded(events: list[HostCall], data: st.DataObject) -> None:
    damaged = bytearray(encoded(events).data)
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for raw in (bytes(damaged), bytes(damaged[:cut])):
        try:
            found = list(Calls(raw_log(raw, len(events)), 0))
        except DamagedTrace:
            continue
        assert len(found) == len(events)


@given(st.binary(max_size=200))
def test_any_bytes_are_reported_or_decoded(raw: bytes) -> None:
    with contextlib.suppress(DamagedTrace):
        assert len(list(Calls(raw_log(raw, 1), 0))) == 1


def event(**changes: object) -> HostCall:
    fields = {"number": 0, "position": Position(5), "function": 1, "arguments": (1,), "results": (0,)}
    return HostCall(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "unfit",
    [
        event(arguments=(None,)),
        event(arguments=(1 << 64,)),
        event(arguments=(0,) * 16),
        event(results=(0,) * 16),
        event(function=1 << 16),
        event(outcome=Outcome.EXITED),
        event(writes=(MemoryWrite(0, 8, b"x"), MemoryWrite(1, 8, b"x"))),
        event(writes=(MemoryWrite(0, 1 << 32, b"x"),)),
        event(writes=(MemoryWrite(0, 0, b""),)),
        event(reads=(MemoryWrite(0, 0, bytes(1 << 16)),)),
        event(position=Position(1 << 40)),
    ],
)
def test_what_has_no_raw_form_ends_it(unfit: HostCall) -> None:
    fit = event()
    log = encode_calls([fit, unfit, fit], 1 << 20)
    assert log is not None and log.count == 1


def test_no_more_is_encoded_than_there_is_room_for() -> None:
    size = len(encoded([event()]).data)
    log = encode_calls([event()] * 5, 3 * size + 1)
    assert log is not None and log.count == 3
    assert encode_calls([event()], size - 1) is None


def test_a_record_of_no_size_does_not_go_on_for_ever() -> None:
    with pytest.raises(DamagedTrace, match="event 7 is malformed"):
        list(Calls(raw_log(struct.pack("<II", 0, 0) * 4, 1), 7))


@given(calls(), st.data())
def test_joined_logs_are_the_log_of_all(events: list[HostCall], data: st.DataObject) -> None:
    joined, start = Joined(), 0
    while start < len(events):
        stop = data.draw(st.integers(start + 1, len(events)))
        assert joined.add(encoded(events[start:stop]))
        start = stop
    log = joined.take()
    assert log is not None and log.events(0) == events
    assert joined.take() is None and joined.room == ROOM


def test_logs_too_far_apart_or_too_large_are_not_joined() -> None:
    joined = Joined()
    assert joined.add(encoded([event()]))
    assert not joined.add(encoded([event(position=Position(6 + (1 << 32)))]))
    assert not joined.add(CallLog(5, 5, 1, bytes(ROOM)))
    log = joined.take()
    assert log is not None and log.count == 1
