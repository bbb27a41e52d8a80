"""The log of host calls in raw form: what the gates of the compiled engine write and read without Python.

A recording gate appends such records to a buffer; they go into the trace as they are, and a replaying gate
reads them as they are. Nobody makes `HostCall`s of them until somebody wants to see one.

    record (little-endian, not aligned)
        offset 0    u32  size of the record
        offset 4    u32  ticks since the record before it; of no meaning in the first of a log
        offset 8    u16  function
        offset 10   u16  offset of the results in the record
        offset 12   u8   number of arguments | number of results << 4
        offset 13   u8   number of the memory of all its reads and writes
        offset 14   u8   number of reads
        offset 15   u8   number of writes
        offset 16   arguments, 8 bytes each; then the reads; then the results, 8 bytes each; then the writes
    a read or a write
        offset 0    u32  address
        offset 4    u32  number of bytes, at least 1
        offset 8    the bytes

What does not fit this form (references, vectors, more than one memory, calls that did not return) is logged
as `HostCall` only. Positions are known to the tick.

Imports base modules only.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import overload

from ttd.errors import DamagedTrace
from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.types import UNKNOWN_STEP, Position

HEAD = struct.Struct("<IIHHBBBB")
HEADER = HEAD.size
"""Bytes before the first argument."""
SIZE, TICKS, FUNCTION = 0, 4, 8
"""Offsets in the header that gates read and write by themselves; 8 bytes from FUNCTION on are the shape."""
WORD = 8
PIECE = struct.Struct("<II")

ROOM = (1 << 20) - 64
"""Most bytes of a log: what the buffer of the gates holds."""

MAX_VALUES = 15
MAX_PIECES = 255
_MAX_TICKS = (1 << 32) - 1
_MAX_U16 = (1 << 16) - 1
_WORD_LIMIT = 1 << 64


@dataclass(frozen=True, slots=True)
class CallLog:
    """`count` calls in raw form, in order; at least one."""

    tick: int
    """The tick of the first."""
    last_tick: int
    """The tick of the last."""
    count: int
    data: bytes

    def events(self, first: int) -> list[HostCall]:
        """The calls as events, of which the first has number `first`; DamagedTrace if they are not well
        formed."""
        return list(Calls(self, first))


class Joined:
    """Logs joined to one."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = []
        self._tick = self._last_tick = 0
        self.count = 0
        """How many calls there are."""
        self.room = ROOM
        """How many bytes can still be added."""

    def add(self, log: CallLog) -> bool:
        """Add a log behind the others; False, and nothing is done, if it does not fit."""
        ticks = log.tick - self._last_tick if self.count else 0
        if len(log.data) > self.room or not 0 <= ticks <= _MAX_TICKS:
            return False
        if not self.count:
            self._parts, self._tick = [log.data], log.tick
        else:
            first_ticks = ticks.to_bytes(4, "little")
            self._parts += (log.data[:TICKS], first_ticks, memoryview(log.data)[TICKS + len(first_ticks) :])
        self._last_tick = log.last_tick
        self.count += log.count
        self.room -= len(log.data)
        return True

    def take(self) -> CallLog | None:
        """All that was added since the last time, as one; None if nothing was."""
        if not self.count:
            return None
        first = self._parts[0]
        data = first if len(self._parts) == 1 and isinstance(first, bytes) else b"".join(self._parts)
        log = CallLog(self._tick, self._last_tick, self.count, data)
        self._parts, self.count, self.room = [], 0, ROOM
        return log


def shape(
    function: int, results_at: int, counts: tuple[int, int], memory: int, reads: int, writes: int
) -> int:
    """The 8 bytes from offset FUNCTION on as a number; `counts` are those of arguments and results."""
    low = function | results_at << 16 | (counts[0] | counts[1] << 4) << 32
    return low | memory << 40 | reads << 48 | writes << 56


# --- reading -----------------------------------------------------------------------------------------


class Calls(Sequence[HostCall]):
    """The calls of a log, numbered from `first` on, decoded when they are asked for.

    The first one that is asked for raises DamagedTrace if numbers and sizes do not fit; so does each that is
    malformed.
    """

    def __init__(self, log: CallLog, first: int) -> None:
        self.log = log
        self._first = first
        self._asked = False

    @cached_property
    def _places(self) -> tuple[array[int], array[int]]:
        """Where records begin, and the end of the last; and their ticks."""
        log, first = self.log, self._first
        starts, ticks = _scan(log.data, first)
        if len(starts) != log.count:
            raise DamagedTrace(f"the calls from event {first} on are {len(starts)}, not {log.count}")
        all_ticks = array("Q", accumulate(ticks[1:], initial=log.tick))
        if all_ticks[-1] != log.last_tick:
            raise DamagedTrace(f"the calls from event {first} on end at tick {all_ticks[-1]}")
        return array("Q", [*starts, len(log.data)]), all_ticks

    def __len__(self) -> int:
        return self.log.count

    @overload
    def __getitem__(self, index: int) -> HostCall: ...

    @overload
    def __getitem__(self, index: slice) -> list[HostCall]: ...

    def __getitem__(self, index: int | slice) -> HostCall | list[HostCall]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        if not self._asked:  # Often that is all: a slice of a replay begins here.
            self._asked = True
            return self._walk_to(at)
        starts, ticks = self._places
        record = self.log.data[starts[at] : starts[at + 1]]
        return decode_call(record, self._first + at, ticks[at])

    def _walk_to(self, index: int) -> HostCall:
        """One call, without finding the places of all."""
        data, tick, at = self.log.data, self.log.tick, 0
        try:
            size, ticks = PIECE.unpack_from(data, at)
            for _ in range(index):
                at += size
                size, ticks = PIECE.unpack_from(data, at)
                tick += ticks
        except struct.error:
            raise DamagedTrace(f"event {self._first + index} is malformed: it is not there") from None
        return decode_call(data[at : at + size], self._first + index, tick)

    def __iter__(self) -> Iterator[HostCall]:
        return map(self.__getitem__, range(len(self)))

    def at_or_after(self, tick: int) -> int:
        """Index of the first call at tick number `tick` or later; the number of calls if there is none."""
        return bisect_right(self._places[1], tick - 1)


def _scan(data: bytes, first: int) -> tuple[list[int], list[int]]:
    """Where records begin, and their ticks."""
    starts: list[int] = []
    all_ticks: list[int] = []
    at, end, unpack = 0, len(data), PIECE.unpack_from
    while at + HEADER <= end:
        size, ticks = unpack(data, at)
        if size < HEADER:
            break
        starts.append(at)
        all_ticks.append(ticks)
        at += size
    if at != end or not starts:
        raise DamagedTrace(f"event {first + len(starts)} is malformed: its size is wrong")
    return starts, all_ticks


def decode_call(record: bytes, number: int, tick: int) -> HostCall:
    """One record as event `number` at `tick`; raises DamagedTrace."""
    try:
        return _decode_call(record, number, tick)
    except struct.error:
        raise DamagedTrace(f"event {number} is malformed: it is cut off") from None


def _decode_call(record: bytes, number: int, tick: int) -> HostCall:
    """As `decode_call`, but raises struct.error where the header or an argument is cut off."""
    _, _, function, results_at, counts, memory, reads, writes = HEAD.unpack_from(record)
    arguments, results = counts & 15, counts >> 4
    read, end = _pieces(record, HEADER + WORD * arguments, reads, memory)
    written, behind = _pieces(record, results_at + WORD * results, writes, memory)
    if end != results_at or behind != len(record):
        raise DamagedTrace(f"event {number} is malformed")
    return HostCall(
        number,
        Position(tick, UNKNOWN_STEP),
        function,
        struct.unpack_from(f"<{arguments}Q", record, HEADER),
        struct.unpack_from(f"<{results}Q", record, results_at),
        written,
        reads=read,
    )


def _pieces(record: bytes, at: int, count: int, memory: int) -> tuple[tuple[MemoryWrite, ...], int]:
    """`count` reads or writes from offset `at` on, and where they end."""
    pieces: list[MemoryWrite] = []
    for _ in range(count):
        address, length = PIECE.unpack_from(record, at)
        at += PIECE.size + length
        if at > len(record):
            raise DamagedTrace("what an event has read or written is cut off")
        pieces.append(MemoryWrite(memory, address, record[at - length : at]))
    return tuple(pieces), at


# --- writing -----------------------------------------------------------------------------------------


def encode_calls(events: Iterable[HostCall], room: int) -> CallLog | None:
    """As many of `events`, from the first on, as fit the form, and `room` bytes; None if not one does."""
    rows: list[bytes] = []
    size = first = last = 0
    for event in events:
        tick = event.position.tick
        row = _encode_call(event, tick - last if rows else 0)
        if row is None or size + len(row) > room:
            break
        first = first if rows else tick
        last = tick
        rows.append(row)
        size += len(row)
    return CallLog(first, last, len(rows), b"".join(rows)) if rows else None


def _encode_call(event: HostCall, ticks: int) -> bytes | None:
    pieces = (*event.reads, *event.writes)
    memory = pieces[0].memory if pieces else 0
    if (
        event.outcome is not Outcome.RETURNED
        or not 0 <= ticks <= _MAX_TICKS
        or event.function > _MAX_U16
        or max(len(event.arguments), len(event.results)) > MAX_VALUES
        or max(len(event.reads), len(event.writes)) > MAX_PIECES
        or memory > 255
        or not all(_fits(piece, memory) for piece in pieces)
        or not all(type(v) is int and v < _WORD_LIMIT for v in (*event.arguments, *event.results))
    ):
        return None
    arguments = struct.pack(f"<{len(event.arguments)}Q", *event.arguments)
    results = struct.pack(f"<{len(event.results)}Q", *event.results)
    reads, writes = _flat(event.reads), _flat(event.writes)
    results_at = HEADER + len(arguments) + len(reads)
    if results_at > _MAX_U16:
        return None
    size = results_at + len(results) + len(writes)
    counts = len(event.arguments) | len(event.results) << 4
    shape_ = (event.function, results_at, counts, memory, len(event.reads), len(event.writes))
    return HEAD.pack(size, ticks, *shape_) + arguments + reads + results + writes


def _fits(piece: MemoryWrite, memory: int) -> bool:
    return piece.memory == memory and 0 < len(piece.data) < 1 << 32 and 0 <= piece.address < 1 << 32


def _flat(pieces: Sequence[MemoryWrite]) -> bytes:
    return b"".join(PIECE.pack(piece.address, len(piece.data)) + piece.data for piece in pieces)
