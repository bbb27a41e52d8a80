"""The writing side of a trace.

The guest's thread only puts things into a queue; a thread of the writer's own hashes, compresses, encodes
and commits, at least every `INTERVAL` seconds while there is something (see `worker`). An error over there
surfaces in the next call here.

May import base modules and the store's. SQLAlchemy comes in with the first writer, not with this module.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ttd.calllog import CallLog
from ttd.errors import InternalError, TtdError, UsageError
from ttd.events import HostCall
from ttd.state import Snapshot
from ttd.store.codec import MAX_BLOB, checksum, content_hash, encode_text, pack
from ttd.store.items import Barrier, Item, weight
from ttd.store.manifest import FORMAT_VERSION, Manifest
from ttd.types import Ending, Position

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ttd.store.database import Database
    from ttd.store.pages import ContentWriter

INTERVAL = 0.1
"""Seconds after which what is in the queue is written, however little it is."""

MAX_BACKLOG = 64 << 20
"""Bytes that may wait in the queue (roughly counted); then the guest waits for the writer."""

MAX_SNAPSHOTS = 4
"""Snapshots that may wait in the queue; then the guest waits for the writer."""

_NUDGE = 256 << 10


class TraceWriter:
    """Writes one recording. All methods but `append` and `append_calls` may wait for the writer's thread.

    Everything raises TtdError when writing failed (disk full, file deleted, …) and UsageError where said.
    """

    def __init__(self, path: Path, database: Database, trace: int) -> None:
        """Use `create` instead."""
        from ttd.store.worker import Worker

        self.path = path
        self.trace = trace
        """Number of the recording in its database."""
        self._queue: deque[Item] = deque()
        self._wake = threading.Event()
        self._room = threading.Event()
        self._snapshots_put = 0
        self._put = 0
        self._fresh = 0
        self._closing = False
        self._error: BaseException | None = None
        self._done = False
        self._worker = Worker(database, trace)
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
        from ttd.store.database import check_header, create_tables, newborn, open_for_writing

        files = [("module", "", module), *(("source", *item) for item in (sources or {}).items())]
        with _telling(path):
            if shared and path.exists() and path.stat().st_size:
                check_header(path)
                trace = _add(path, manifest, files)
            else:
                with newborn(path) as temporary:
                    create_tables(temporary)
                    trace = _add(temporary, manifest, files)
            return cls(path, open_for_writing(path), trace)

    # --- the guest's side ----------------------------------------------------------------------------

    def append_calls(self, calls: CallLog) -> None:
        """Log host calls in raw form. Takes a microsecond for all; waits as `append` does."""
        self._append(calls)

    def append(self, event: HostCall) -> None:
        """Log a host call. Takes about a microsecond; waits only when `MAX_BACKLOG` is exceeded."""
        self._append(event)

    def _append(self, event: HostCall | CallLog) -> None:
        if self._done or self._error is not None:
            self._refuse()
        self._queue.append(event)
        size = weight(event)
        self._put += size
        self._fresh += size
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
        barrier = Barrier()
        self._queue.append(barrier)
        self._wake.set()
        while not barrier.wait(0.05):
            if not self._thread.is_alive():
                break
        if self._error is not None:
            self._refuse()

    def finish(self, ending: Ending, hurry: bool = False) -> None:
        """Note how the run ended, commit everything, and close; in a hurry without waiting snapshots."""
        if self._done or self._error is not None:
            self._refuse()
        self._worker.hurry = hurry
        self._queue.append(ending)
        self._done = True
        self.close()
        if self._error is not None:
            self._refuse()
        if not self.path.exists():
            raise TtdError(f"the trace {self.path} was deleted while it was written")

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
    def storing_seconds(self) -> float:
        """Seconds of processor time that storing snapshots has taken so far."""
        return self._worker.storing_seconds

    @property
    def queued(self) -> int:
        """About how many bytes of events wait in the queue."""
        return self._put - self._worker.taken

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
        if self.queued > MAX_BACKLOG:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        while self._thread.is_alive() and (self.queued > MAX_BACKLOG or self.backlog > MAX_SNAPSHOTS):
            self._room.clear()
            self._room.wait(0.05)

    def _refuse(self) -> None:
        if self._error is not None:
            kept = "; what was recorded before that opens" if self.path.exists() else ""
            raise _told(self.path, self._error, kept)
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
        row = {"trace": number, "kind": kind, "name": encode_text(name), "content": content, "checksum": key}
        connection.execute(file.insert(), [row])


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Errors of the database and the file system become errors that a user understands."""
    try:
        yield
    except TtdError:
        raise
    except Exception as error:
        raise _told(path, error) from error


def _told(path: Path, error: BaseException, advice: str = "") -> TtdError:
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, TtdError):
        return error
    if isinstance(error, DBAPIError):
        return TtdError(f"cannot write the trace {path}: {error.orig}{advice}")
    if isinstance(error, OSError):
        return TtdError(f"cannot write the trace {path}: {error.strerror or error}{advice}")
    return InternalError(f"the trace writer failed: {error!r}")
