"""What the writer's thread does: hash, compress, encode, and put rows into tables.

A big snapshot is stored in portions, each in a transaction of its own, and events that came meanwhile go
between: they are small, and are what a killed recording must not lose.

May import base modules and the store's; imports SQLAlchemy, so it is imported late.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, Table

from ttd.calllog import CallLog
from ttd.errors import InternalError
from ttd.events import HostCall
from ttd.state import SNAPSHOT_PAGE, ZERO_PAGE, Snapshot
from ttd.store.codec import checksum, content_hash, encode_text
from ttd.store.database import Database
from ttd.store.grouping import groups
from ttd.store.items import Barrier, Item, Pages, Sources, Tally, weight
from ttd.store.pages import ContentWriter
from ttd.store.records import encode_calls, encode_ending, encode_events, encode_snapshot, large_parts
from ttd.store.schema import ending as ending_table
from ttd.store.schema import events as event_table
from ttd.store.schema import file as file_table
from ttd.store.schema import progress as progress_table
from ttd.store.schema import snapshot as snapshot_table
from ttd.types import UNKNOWN_STEP, Ending, Position

CHUNK_EVENTS = 1024
"""Most events in one chunk."""

CHUNK_BYTES = 1 << 20
"""A chunk is closed when the weight of its events reaches this."""

TRANSACTION = 8 << 20
"""About how many bytes of events are taken out of the queue for one transaction."""


class Worker:
    """Takes items out of a queue and puts rows into tables. Used on one thread only."""

    def __init__(self, database: Database, trace: int, tally: Tally | None = None) -> None:
        self._database = database
        self._tally = tally or Tally()
        self._trace = trace
        self._contents = ContentWriter()
        self._maps: list[list[int]] = []
        self._events: list[HostCall | CallLog] = []
        self._next_event = 0
        self._sources: list[Sources] = []
        self._snapshots: deque[Pages | Snapshot] = deque()
        self._number = 0
        self._stored_bytes = 0
        self._progress: Position | None = None
        self._ending: Ending | None = None
        self._barriers: list[Barrier] = []

    def close(self) -> None:
        self._database.close()
        for barrier in self._barriers:
            barrier.set()

    def cycle(self, queue: deque[Item]) -> bool:
        """Take what is in the queue and write some of what is to be written; whether there is more to do.

        What comes meanwhile does not count: it waits until it is worth a transaction, or its time has come.
        """
        took_all = self._take(queue)
        if self._events or self._progress is not None:
            with self._database.engine.begin() as connection:
                self._write_events(connection)
                self._write_progress(connection)
        if self._sources:
            self._write_sources()
        if self._store_portion():
            return True
        if self._ending is not None:
            with self._database.engine.begin() as connection:
                self._write_ending(connection, self._ending)
            self._ending = None
        while self._barriers:
            self._barriers.pop().set()
        return not took_all

    def _take(self, queue: deque[Item]) -> bool:
        """Sort what is in the queue, up to a barrier or as much as makes a good transaction; whether that
        was all."""
        size = 0
        while queue and size < TRANSACTION and not self._barriers:
            item = queue.popleft()
            if isinstance(item, (HostCall, CallLog)):
                self._events.append(item)
                size += weight(item)
            elif isinstance(item, (Pages, Snapshot)):
                self._snapshots.append(item)
            elif isinstance(item, Position):
                self._progress = item
            elif isinstance(item, Ending):
                self._ending = item
            elif isinstance(item, Sources):
                self._sources.append(item)
            else:
                self._barriers.append(item)
        self._tally.taken += size
        return size < TRANSACTION and not self._barriers

    # --- events --------------------------------------------------------------------------------------

    def _write_events(self, connection: Connection) -> None:
        for group in groups(self._events, self._next_event):
            if isinstance(group, CallLog):
                begin, end = Position(group.tick, UNKNOWN_STEP), Position(group.last_tick, UNKNOWN_STEP)
                self._write_chunk(connection, group.count, begin, end, encode_calls(group))
                continue
            for chunk in _chunks(group):
                first, last = chunk[0], chunk[-1]
                if first.number != self._next_event or last.number != first.number + len(chunk) - 1:
                    raise InternalError(f"event {first.number} was logged where {self._next_event} was due")
                large = large_parts(chunk)
                contents = dict(zip(large, self._contents.put(connection, large), strict=True))
                data = encode_events(chunk, contents)
                self._write_chunk(connection, len(chunk), first.position, last.position, data)
        self._events = []

    def _write_chunk(
        self, connection: Connection, count: int, begin: Position, end: Position, data: bytes
    ) -> None:
        keys = {"first": self._next_event, "count": count, "tick": begin.tick, "step": begin.step}
        keys |= {"last_tick": end.tick, "last_step": end.step}
        self._insert(connection, event_table, keys, data)
        self._next_event += count

    def _write_progress(self, connection: Connection) -> None:
        if self._progress is None:
            return
        position, self._progress = self._progress, None
        connection.execute(progress_table.delete().where(progress_table.c.trace == self._trace))
        self._insert(connection, progress_table, {"tick": position.tick, "step": position.step})

    def _write_ending(self, connection: Connection, ending: Ending) -> None:
        self._insert(connection, ending_table, {"events": self._next_event}, encode_ending(ending))

    def _write_sources(self) -> None:
        files = [("source", *file) for sources in self._sources for file in sources.files.items()]
        with self._database.engine.begin() as connection:
            insert_files(connection, self._contents, self._trace, files)
        self._sources = []

    # --- snapshots -----------------------------------------------------------------------------------

    def _store_portion(self) -> bool:
        """Store the next portion of the first waiting snapshot, or the rest of it; whether anything is left
        to store."""
        if self._tally.hurry:
            self._snapshots.clear()
        if self._snapshots:
            began, size = time.thread_time(), self._database.size()
            item = self._snapshots.popleft()
            if isinstance(item, Pages):
                self._store_pages(item)
            else:
                self._store_snapshot(item)
            self._stored_bytes += max(self._database.size() - size, 0)
            self._tally.storing_seconds += time.thread_time() - began
            if isinstance(item, Pages):
                self._tally.pages_done += len(item.pages)
            else:
                self._tally.storing_bytes = self._stored_bytes
                self._tally.snapshots_done += 1
        return bool(self._snapshots)

    def _store_pages(self, item: Pages) -> None:
        self._maps.extend([] for _ in range(len(self._maps), item.memory + 1))
        numbers = self._maps[item.memory]
        numbers.extend([0] * (max(item.pages, default=0) + 1 - len(numbers)))
        used = {at: page for at, page in item.pages.items() if page != ZERO_PAGE}
        for at in item.pages.keys() - used.keys():
            numbers[at] = 0
        with self._database.engine.begin() as connection:
            stored = self._contents.put(connection, list(used.values()))
        for at, number in zip(used, stored, strict=True):
            numbers[at] = number

    def _store_snapshot(self, snapshot: Snapshot) -> None:
        """Store a snapshot, of whose memories the pages have been stored already."""
        sizes = [image.size // SNAPSHOT_PAGE for image in snapshot.memories]
        self._maps.extend([] for _ in range(len(self._maps), len(sizes)))
        del self._maps[len(sizes) :]
        for numbers, size in zip(self._maps, sizes, strict=True):
            del numbers[size:]
            numbers.extend([0] * (size - len(numbers)))
        keys = {
            "number": self._number,
            "tick": snapshot.position.tick,
            "step": snapshot.position.step,
            "next_event": snapshot.next_event,
            "size": sum(image.size for image in snapshot.memories),
        }
        with self._database.engine.begin() as connection:
            data = encode_snapshot(snapshot, self._maps)
            self._insert(connection, snapshot_table, keys, data)
        self._number += 1

    def _insert(
        self, connection: Connection, table: Table, keys: Mapping[str, int], data: bytes | None = None
    ) -> None:
        insert_row(connection, table, {"trace": self._trace} | dict(keys), data)


def insert_files(
    connection: Connection, contents: ContentWriter, trace: int, files: Sequence[tuple[str, str, bytes]]
) -> None:
    """Add files, (kind, name, data) each, to a recording."""
    stored = contents.put(connection, [data for _, _, data in files])
    for (kind, name, data), content in zip(files, stored, strict=True):
        key = checksum(content_hash(data), file_table.name, trace, kind, name)
        row = {"trace": trace, "kind": kind, "name": encode_text(name), "content": content, "checksum": key}
        connection.execute(file_table.insert(), [row])


def insert_row(
    connection: Connection, table: Table, keys: Mapping[str, int | str], data: bytes | None
) -> None:
    """Add a row to `table`: key columns in the order of the table, data if it has any, and the checksum."""
    row: dict[str, int | str | bytes] = dict(keys)
    if data is not None:
        row["data"] = data
    row["checksum"] = checksum(data or b"", table.name, *keys.values())
    connection.execute(table.insert(), [row])


def _chunks(events: list[HostCall]) -> Iterator[list[HostCall]]:
    chunk: list[HostCall] = []
    size = 0
    for event in events:
        chunk.append(event)
        size += weight(event)
        if len(chunk) >= CHUNK_EVENTS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
