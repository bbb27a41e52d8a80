"""The parts of a trace as plain values and back: events, states, endings.

Every decoder checks the shape of what it reads; whatever the bytes, it returns or raises DamagedTrace.

May import base modules and the store's codec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ttd.calllog import CallLog, Calls
from ttd.errors import DamagedTrace
from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, Frame, MemoryImage, Snapshot
from ttd.store.codec import is_value, pack, pack_log, unpack
from ttd.types import Ending, EndKind, Position, Trap, TrapKind, Value

OUTLINE = 16 << 10
"""From this many bytes on, what a host call wrote or read is stored as content, not in the chunk."""

_OUTCOMES = tuple(Outcome)
_WORD = 1 << 64
_NOTHING: Mapping[bytes, int] = {}


# --- events ------------------------------------------------------------------------------------------


def large_parts(events: Sequence[HostCall]) -> list[bytes]:
    """What of these events has to be stored as content before they can be encoded."""
    return [w.data for event in events for w in (*event.writes, *event.reads) if len(w.data) >= OUTLINE]


def encode_events(events: Sequence[HostCall], contents: Mapping[bytes, int] = _NOTHING) -> bytes:
    """A chunk of events. Each is a list, shortened from behind where the rest would be empty:

    ``[ticks since the event before, step, function, arguments, results, writes, reads, outcome, code,
    message]``; writes and reads are flat lists of memory, address and bytes in turn; large bytes are replaced
    by the number in `contents`, which has all `large_parts`.
    """
    rows: list[tuple[object, ...]] = []
    tick = events[0].position.tick
    for event in events:
        rows.append(_event_row(event, tick, contents))
        tick = event.position.tick
    return pack(rows)


def encode_calls(calls: CallLog) -> bytes:
    """A chunk of calls in raw form, as compiled code logs them: bytes instead of a list."""
    return pack_log(calls.data)


def _event_row(event: HostCall, tick: int, contents: Mapping[bytes, int]) -> tuple[object, ...]:
    position = event.position
    head = (position.tick - tick, position.step, event.function, event.arguments, event.results)
    if event.outcome is not Outcome.RETURNED or event.code or event.message:
        outcome = (_OUTCOMES.index(event.outcome), event.code, event.message)
        return (*head, _flat(event.writes, contents), _flat(event.reads, contents), *outcome)
    if event.reads:
        return (*head, _flat(event.writes, contents), _flat(event.reads, contents))
    return (*head, _flat(event.writes, contents))


def _flat(writes: Sequence[MemoryWrite], contents: Mapping[bytes, int]) -> list[int | bytes]:
    flat: list[int | bytes] = []
    for write in writes:
        small = len(write.data) < OUTLINE
        flat += (write.memory, write.address, write.data if small else contents[write.data])
    return flat


def decode_events(
    data: bytes, first: int, count: int, ticks: tuple[int, int], load: Callable[[int], bytes]
) -> Sequence[HostCall]:
    """The `count` events of a chunk that begins with number `first`; `ticks` are of the first and the last.

    `load` gives content by number. Events in raw form are decoded when they are asked for.
    """
    tick = ticks[0]
    rows = unpack(data)
    if isinstance(rows, bytes):
        return Calls(CallLog(*ticks, count, rows), first)
    if not isinstance(rows, tuple) or len(rows) != count:
        raise DamagedTrace(f"the chunk of events from {first} on does not have {count} events")
    events: list[HostCall] = []
    for number, row in enumerate(rows, first):
        event = _event(row, number, tick, load)
        tick = event.position.tick
        events.append(event)
    return events


def _event(row: object, number: int, tick: int, load: Callable[[int], bytes]) -> HostCall:
    if not isinstance(row, tuple) or len(row) not in (6, 7, 10):
        raise DamagedTrace(f"event {number} is malformed")
    ticks, step, function, arguments, results, writes = row[:6]
    _numbers((ticks, step, function))
    position = Position(tick + ticks, step)
    head = (number, position, function, _values(arguments), _values(results), _memory(writes, number, load))
    if len(row) == 6:
        return HostCall(*head)
    return HostCall(*head, *_outcome(row[7:], number), _memory(row[6], number, load))


def _memory(flat: object, number: int, load: Callable[[int], bytes]) -> tuple[MemoryWrite, ...]:
    if flat == ():
        return ()
    if not isinstance(flat, tuple) or len(flat) % 3:
        raise DamagedTrace(f"the memory of event {number} is malformed")
    _numbers(flat[0::3])
    _numbers(flat[1::3])
    datas = [load(data) if type(data) is int else data for data in flat[2::3]]
    if not all(type(data) is bytes for data in datas):
        raise DamagedTrace(f"the memory of event {number} is malformed")
    return tuple(map(MemoryWrite, flat[0::3], flat[1::3], datas))


def _outcome(rest: tuple[object, ...], number: int) -> tuple[Outcome, int, str]:
    match rest:
        case ():
            return Outcome.RETURNED, 0, ""
        case (int(outcome), int(code), str(message)) if 0 <= outcome < len(_OUTCOMES):
            return _OUTCOMES[outcome], code, message
    raise DamagedTrace(f"the outcome of event {number} is malformed")


# --- snapshots ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot without its pages.

    `page_maps` has, for each memory, a content number for each page; 0 stands for a page of zeros.
    """

    position: Position
    next_event: int
    frames: tuple[Frame, ...]
    globals: tuple[Value, ...]
    tables: tuple[tuple[Value, ...], ...]
    dropped_data: frozenset[int]
    dropped_elements: frozenset[int]
    invocation: int
    page_maps: tuple[tuple[int, ...], ...]

    def with_pages(self, pages: Mapping[int, bytes]) -> Snapshot:
        """The snapshot itself; `pages` has every content number of the page maps but 0."""
        return Snapshot(
            position=self.position,
            frames=self.frames,
            globals=self.globals,
            tables=self.tables,
            memories=tuple(
                MemoryImage(len(ids) * SNAPSHOT_PAGE, {n: pages[i] for n, i in enumerate(ids) if i})
                for ids in self.page_maps
            ),
            dropped_data=self.dropped_data,
            dropped_elements=self.dropped_elements,
            next_event=self.next_event,
            invocation=self.invocation,
        )


def encode_snapshot(snapshot: Snapshot, page_maps: Sequence[Sequence[int]]) -> bytes:
    """``[frames, globals, tables, dropped data, dropped elements, invocation, page maps]``.

    A frame is ``[function, pc, entry tick, entry step, locals, operands]``. A page map is the difference of
    each content number to the one before.
    """
    frames = [(f.function, f.pc, f.entry.tick, f.entry.step, f.locals, f.operands) for f in snapshot.frames]
    return pack(
        (
            frames,
            snapshot.globals,
            snapshot.tables,
            sorted(snapshot.dropped_data),
            sorted(snapshot.dropped_elements),
            snapshot.invocation,
            [[after - before for before, after in pairwise((0, *ids))] for ids in page_maps],
        )
    )


def decode_snapshot(data: bytes, position: Position, next_event: int) -> StoredSnapshot:
    """What `encode_snapshot` encoded; position and next event are columns of the row."""
    match unpack(data):
        case (
            tuple(frames),
            tuple(globals_),
            tuple(tables),
            tuple(dropped_data),
            tuple(dropped_elements),
            int(invocation),
            tuple(maps),
        ) if invocation >= 0:
            return StoredSnapshot(
                position=position,
                next_event=next_event,
                frames=tuple(_frame(frame) for frame in frames),
                globals=_values(globals_),
                tables=tuple(_values(table) for table in tables),
                dropped_data=frozenset(_numbers(dropped_data)),
                dropped_elements=frozenset(_numbers(dropped_elements)),
                invocation=invocation,
                page_maps=tuple(_page_map(differences) for differences in maps),
            )
    raise DamagedTrace(f"the snapshot at {position} is malformed")


def _frame(plain: object) -> Frame:
    match plain:
        case (int(function), int(pc), int(tick), int(step), tuple(locals_), tuple(operands)):
            if min(function, pc, tick, step) >= 0:
                return Frame(
                    function, pc, list(_values(locals_)), list(_values(operands)), Position(tick, step)
                )
    raise DamagedTrace("a frame of a snapshot is malformed")


def _page_map(plain: object) -> tuple[int, ...]:
    differences = plain if isinstance(plain, tuple) else ()
    size = len(differences) * SNAPSHOT_PAGE
    if isinstance(plain, tuple) and size % WASM_PAGE == 0 and all(type(d) is int for d in differences):
        ids = tuple(accumulate(differences))
        if min(ids, default=0) >= 0:
            return ids
    raise DamagedTrace("the page map of a snapshot is malformed")


def _values(plain: object) -> tuple[Value, ...]:
    if not isinstance(plain, tuple):
        raise DamagedTrace("a list of values is malformed")
    for item in plain:  # most are numbers of 64 bits, and those need no more than this comparison
        if (type(item) is not int or not 0 <= item < _WORD) and not is_value(item):
            raise DamagedTrace("a list of values is malformed")
    return plain


def _numbers(plain: tuple[object, ...]) -> tuple[int, ...]:
    for item in plain:
        if type(item) is not int or item < 0:
            raise DamagedTrace("a list of numbers is malformed")
    return plain  # type: ignore[return-value]  # just checked, item by item


# --- endings -----------------------------------------------------------------------------------------


def encode_ending(ending: Ending) -> bytes:
    """``[kind, tick, step, code, trap kind, trap detail, results]``; trap kind is nil without a trap."""
    trap = ending.trap
    return pack(
        (
            ending.kind.value,
            ending.position.tick,
            ending.position.step,
            ending.code,
            trap.kind.value if trap is not None else None,
            trap.detail if trap is not None else "",
            ending.results,
        )
    )


def decode_ending(data: bytes) -> Ending:
    """What `encode_ending` encoded."""
    match unpack(data):
        case (str(kind), int(tick), int(step), int(code), str() | None as trap, str(detail), tuple(results)):
            if min(tick, step) >= 0:
                try:
                    return Ending(
                        EndKind(kind),
                        Position(tick, step),
                        code,
                        Trap(TrapKind(trap), detail) if trap is not None else None,
                        _values(results),
                    )
                except ValueError as error:
                    raise DamagedTrace(f"the ending is malformed: {error}") from error
    raise DamagedTrace("the ending is malformed")
