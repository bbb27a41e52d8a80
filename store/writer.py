"""The writing side of a trace.

The guest's thread only puts things into a queue; a thread of the writer's own hashes, compresses, encodes
and commits, at least every `INTERVAL` seconds while there is something. Events do not wait behind a big
snapshot: its pages are stored in portions, each in a transaction of its own, and events that came
meanwhile go between. An error over there surfaces in the next call here.

May import base modules and the store's. SQLAlchemy comes in with the first writer, not with this module.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ttd.errors import InternalError, TtdError, UsageError
from ttd.events import HostCall
from ttd.state import SNAPSHOT_PAGE, MemoryImage, Snapshot
from ttd.store.codec import MAX_BLOB, checksum, content_hash, pack
from ttd.store.manifest import FORMAT_VERSION, Manifest
from ttd.store.records import encode_ending, encode_events, encode_snapshot
from ttd.types import Ending, Position

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from ttd.store.database import Database
    from ttd.store.pages import ContentWriter

INTERVAL = 0.1
"""Seconds after which what is in the queue is written, however little it is."""

CHUNK_EVENTS = 1024
"""Most events in one chunk."""

CHUNK_BYTES = 256 << 10
"""A chunk is closed when the bytes written to guest memory by its events exceed this."""

PORTION = 512
"""Pages of a snapshot that are stored in one transaction."""

MAX_BACKLOG = 64 << 20
"""Bytes that may wait in the queue (roughly counted); then the guest waits for the writer."""

MAX_SNAPSHOTS = 4
"""Snapshots that may wait in the queue; then the guest waits for the writer."""

_EVENT_WEIGHT = 512
_NUDGE = 256 << 10


class _Barrier(threading.Event):
    """An item of the queue that is set when everything before it is committed."""


class TraceWriter:
    """Writes one recording. All methods but `append` may wait for the writer's thread.

    Everything raises TtdError when writing failed (disk full, file deleted, …) and UsageError where said.
    """

    def __init__(self, path: Path, database: Database, trace: int) -> None:
        """Use `create` instead."""
        self.path = path
        self.trace = trace
        """Number of the recording in its database."""
        self._queue: deque[HostCall | Snapshot | Position | Ending | _Barrier] = deque()
        self._wake = threading.Event()
        self._room = threading.Event()
        self._snapshots_put = 0
        self._put = 0
        self._fresh = 0
        self._closing = False
        self._error: BaseException | None = None
        self._done = False
        self._worker = _Worker(self, database, trace)
        self._thread = threading.Thread(target=self._run, name="ttd-trace-writer", daemon=True)
        self._thread.start()

    @classmethod
    def create(
        cls,
        path: Path,
        manifest: Manifest,
        module: bytes,
        sources: Mapping[str, bytes] | None = None,
        *,
        shared: bool = False,
    ) -> TraceWriter:
        """Begin a recording in a new file `path`, which appears at once with all that is known now in it.

        An empty file there is replaced. With `shared` the recording is added to those that a database at
        `path` has already. Raises UsageError when there is something else, or it cannot be written.
        """
        from ttd.store.database import create_tables, newborn, open_for_writing

        files = [("module", "", module), *(("source", *item) for item in (sources or {}).items())]
        with _telling(path):
            if shared and path.exists() and path.stat().st_size:
                trace = _add(path, manifest, files)
            else:
                with newborn(path) as temporary:
                    database = open_for_writing(temporary)
                    try:
                        create_tables(database)
                    finally:
                        database.close()
                    trace = _add(temporary, manifest, files)
            return cls(path, open_for_writing(path), trace)

    # --- the guest's side ----------------------------------------------------------------------------

    def append(self, event: HostCall) -> None:
        """Log a host call. Takes about a microsecond; waits only when `MAX_BACKLOG` is exceeded."""
        if self._done or self._error is not None:
            self._refuse()
        self._queue.append(event)
        weight = _EVENT_WEIGHT
        for write in event.writes:
            weight += len(write.data)
        self._put += weight
        self._fresh += weight
        if self._fresh > _NUDGE:
            self._nudge()

    def snapshot(self, snapshot: Snapshot) -> None:
        """Store a snapshot. Snapshots come in the order of their positions; pages shared with the one
        before (the same objects) cost next to nothing."""
        if self._done or self._error is not None:
            self._refuse()
        self._queue.append(snapshot)
        self._snapshots_put += 1
        self._wake.set()
        self._wait_for_room()

    def progress(self, position: Position) -> None:
        """Note that the run has come to `position`, for the case that it is cut off."""
        if self._done or self._error is not None:
            self._refuse()
        self._queue.append(position)

    def flush(self) -> None:
        """Wait until everything so far is committed."""
        barrier = _Barrier()
        self._queue.append(barrier)
        self._wake.set()
        while not barrier.wait(0.05):
            if not self._thread.is_alive():
                break
        if self._error is not None:
            self._refuse()

    def finish(self, ending: Ending) -> None:
        """Note how the run ended, commit everything, and close."""
        if self._done or self._error is not None:
            self._refuse()
        self._queue.append(ending)
        self._done = True
        self.close()
        if self._error is not None:
            self._refuse()

    def close(self) -> None:
        """Commit what is there and close the file. Without `finish` the trace counts as cut off."""
        self._done = True
        self._closing = True
        self._wake.set()
        self._thread.join()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def backlog(self) -> int:
        """How many snapshots are waiting to be written: with some of them, better take no other."""
        return self._snapshots_put - self._worker.snapshots_done

    @property
    def output_size(self) -> int:
        """Bytes of the file now."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _nudge(self) -> None:
        self._fresh = 0
        self._wake.set()
        if self._put - self._worker.taken > MAX_BACKLOG:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        while self._thread.is_alive() and (
            self._put - self._worker.taken > MAX_BACKLOG or self.backlog > MAX_SNAPSHOTS
        ):
            self._room.clear()
            self._room.wait(0.05)

    def _refuse(self) -> None:
        if self._error is not None:
            raise _told(self.path, self._error)
        raise InternalError("a trace was written to after its end")

    # --- the writer's side ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                closing = self._closing
                if not closing:
                    self._wake.wait(INTERVAL)
                    self._wake.clear()
                while self._worker.cycle(self._queue):
                    self._room.set()
                self._room.set()
                if closing:
                    break
        except BaseException as error:
            self._error = error
        finally:
            self._close_database()

    def _close_database(self) -> None:
        try:
            self._worker.close()
        except BaseException as error:
            self._error = self._error or error
        self._room.set()


class _Worker:
    """What the writer's thread does: takes items out of the queue and puts rows into tables."""

    def __init__(self, writer: TraceWriter, database: Database, trace: int) -> None:
        from ttd.store.pages import ContentWriter

        self.taken = 0
        self.snapshots_done = 0
        self._database = database
        self._trace = trace
        self._contents = ContentWriter()
        self._maps = _PageMaps()
        self._events: list[HostCall] = []
        self._next_event = 0
        self._snapshots: deque[Snapshot] = deque()
        self._number = 0
        self._storing: Iterator[None] | None = None
        self._progress: Position | None = None
        self._ending: Ending | None = None
        self._barriers: list[_Barrier] = []

    def close(self) -> None:
        self._database.close()
        for barrier in self._barriers:
            barrier.set()

    def cycle(self, queue: deque[HostCall | Snapshot | Position | Ending | _Barrier]) -> bool:
        """Take what is in the queue and write some of what is to be written; whether there is more to do."""
        self._take(queue)
        if self._events or self._progress is not None:
            with self._database.engine.begin() as connection:
                self._write_events(connection)
                self._write_progress(connection)
        if self._store_portion() or queue:
            return True
        if self._ending is not None:
            with self._database.engine.begin() as connection:
                self._write_ending(connection, self._ending)
            self._ending = None
        while self._barriers:
            self._barriers.pop().set()
        return False

    def _take(self, queue: deque[HostCall | Snapshot | Position | Ending | _Barrier]) -> None:
        """Sort what is in the queue, up to a barrier or as much as makes a good transaction."""
        weight = 0
        while queue and weight < 16 * CHUNK_BYTES and not self._barriers:
            item = queue.popleft()
            if isinstance(item, HostCall):
                self._events.append(item)
                weight += _EVENT_WEIGHT + sum(len(write.data) for write in item.writes)
            elif isinstance(item, Snapshot):
                self._snapshots.append(item)
            elif isinstance(item, Position):
                self._progress = item
            elif isinstance(item, Ending):
                self._ending = item
            else:
                self._barriers.append(item)
        self.taken += weight

    # --- events --------------------------------------------------------------------------------------

    def _write_events(self, connection: Connection) -> None:
        from ttd.store.schema import events

        for chunk in _chunks(self._events):
            first, last = chunk[0], chunk[-1]
            if first.number != self._next_event or last.number != first.number + len(chunk) - 1:
                raise InternalError(f"event {first.number} was logged where {self._next_event} was due")
            where = (first.position.tick, first.position.step, last.position.tick, last.position.step)
            names = ("tick", "step", "last_tick", "last_step")
            self._insert(
                connection,
                events,
                {"first": first.number, "count": len(chunk)} | dict(zip(names, where, strict=True)),
                encode_events(chunk),
            )
            self._next_event += len(chunk)
        self._events = []

    def _write_progress(self, connection: Connection) -> None:
        from ttd.store.schema import progress

        if self._progress is None:
            return
        position, self._progress = self._progress, None
        connection.execute(progress.delete().where(progress.c.trace == self._trace))
        self._insert(connection, progress, {"tick": position.tick, "step": position.step})

    def _write_ending(self, connection: Connection, value: Ending) -> None:
        from ttd.store.schema import ending

        self._insert(connection, ending, {"events": self._next_event}, encode_ending(value))

    # --- snapshots -----------------------------------------------------------------------------------

    def _store_portion(self) -> bool:
        """Store the next portion of the first waiting snapshot; whether anything is left to store."""
        if self._storing is None and self._snapshots:
            self._storing = self._store(self._snapshots.popleft())
        if self._storing is not None and next(self._storing, self) is self:
            self._storing = None
            self.snapshots_done += 1
        return self._storing is not None or bool(self._snapshots)

    def _store(self, snapshot: Snapshot) -> Iterator[None]:
        """Store `snapshot`, yielding between transactions."""
        from ttd.store.schema import snapshot as table

        maps, fresh = self._maps.plan(snapshot.memories)
        for start in range(0, len(fresh), PORTION):
            portion = fresh[start : start + PORTION]
            with self._database.engine.begin() as connection:
                numbers = self._contents.put(connection, [page for _, _, page in portion])
            for (memory, page_number, _), number in zip(portion, numbers, strict=True):
                maps[memory][page_number] = number
            yield
        self._maps.remember(snapshot.memories, maps)
        keys = {
            "number": self._number,
            "tick": snapshot.position.tick,
            "step": snapshot.position.step,
            "next_event": snapshot.next_event,
            "size": sum(image.size for image in snapshot.memories),
        }
        with self._database.engine.begin() as connection:
            self._insert(connection, table, keys, encode_snapshot(snapshot, maps))
        self._number += 1

    def _insert(
        self, connection: Connection, table: Table, keys: Mapping[str, int], data: bytes | None = None
    ) -> None:
        insert_row(connection, table, {"trace": self._trace} | dict(keys), data)


class _PageMaps:
    """Tells which pages of a snapshot are not in the one before, by identity of the page objects."""

    def __init__(self) -> None:
        self._before: list[tuple[dict[int, bytes], list[int]]] = []

    def plan(self, memories: Sequence[MemoryImage]) -> tuple[list[list[int]], list[tuple[int, int, bytes]]]:
        """Page maps with what is known, and what is not: memory, page number, page."""
        maps: list[list[int]] = []
        fresh: list[tuple[int, int, bytes]] = []
        for index, image in enumerate(memories):
            pages, numbers = self._before[index] if index < len(self._before) else ({}, [])
            new = [0] * (image.size // SNAPSHOT_PAGE)
            for at, page in image.pages.items():
                if pages.get(at) is page:
                    new[at] = numbers[at]
                else:
                    fresh.append((index, at, page))
            maps.append(new)
        return maps, fresh

    def remember(self, memories: Sequence[MemoryImage], maps: Sequence[list[int]]) -> None:
        self._before = [(image.pages, numbers) for image, numbers in zip(memories, maps, strict=True)]


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
        size += sum(len(write.data) for write in event.writes)
        if len(chunk) >= CHUNK_EVENTS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _add(path: Path, manifest: Manifest, files: Sequence[tuple[str, str, bytes]]) -> int:
    """Add a recording with its files to the database at `path`; its number."""
    from sqlalchemy import func, select

    from ttd.store.database import open_for_writing
    from ttd.store.pages import ContentWriter
    from ttd.store.schema import trace

    for _, name, data in files:
        if len(data) > MAX_BLOB:
            raise UsageError(f"{name or 'the module'} is too large for a trace ({len(data)} bytes)")
    database = open_for_writing(path)
    try:
        with database.engine.begin() as connection:
            number = (connection.execute(select(func.max(trace.c.id))).scalar() or 0) + 1
            packed = pack(manifest.to_plain())
            row = {"id": number, "format": FORMAT_VERSION, "manifest": packed}
            row["checksum"] = checksum(packed, trace.name, number, FORMAT_VERSION)
            connection.execute(trace.insert(), [row])
            _add_files(connection, ContentWriter(), number, files)
    finally:
        database.close()
    return number


def _add_files(
    connection: Connection, contents: ContentWriter, number: int, files: Sequence[tuple[str, str, bytes]]
) -> None:
    from ttd.store.schema import file

    stored = contents.put(connection, [data for _, _, data in files])
    for (kind, name, data), content in zip(files, stored, strict=True):
        key = checksum(content_hash(data), file.name, number, kind, name)
        row = {"trace": number, "kind": kind, "name": name, "content": content, "checksum": key}
        connection.execute(file.insert(), [row])


class _telling:
    """Context: errors of the database and the file system become errors that a user understands."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and isinstance(error, Exception) and not isinstance(error, TtdError):
            raise _told(self._path, error) from error


def _told(path: Path, error: BaseException) -> TtdError:
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, TtdError):
        return error
    if isinstance(error, DBAPIError):
        return TtdError(f"cannot write the trace {path}: {error.orig}")
    if isinstance(error, OSError):
        return TtdError(f"cannot write the trace {path}: {error.strerror or error}")
    return InternalError(f"the trace writer failed: {error!r}")
