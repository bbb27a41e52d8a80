"""The writing side of a trace.

The guest's thread only puts things into a queue; a thread of the writer's own hashes, compresses, encodes
and commits, at least every `INTERVAL` seconds while there is something (see `worker`). An error over there
surfaces in the next call here.

May import base modules and the store's. SQLAlchemy comes in on the writer's thread, while the guest runs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ttd.calllog import CallLog
from ttd.errors import InternalError, TtdError, UsageError
from ttd.events import HostCall
from ttd.state import SNAPSHOT_PAGE, MemoryImage, Snapshot
from ttd.store.codec import MAX_BLOB, checksum, compress_many, pack, stored_size
from ttd.store.items import Barrier, Item, Pages, Sources, Tally, parts, weight
from ttd.store.manifest import FORMAT_VERSION, Manifest
from ttd.store.newborn import Newborn
from ttd.types import Ending, Position

if TYPE_CHECKING:
    from ttd.store.database import Database
    from ttd.store.worker import Worker

INTERVAL = 0.1
"""Seconds after which what is in the queue is written, however little it is."""

MAX_BACKLOG = 48 << 20
"""Bytes that may wait in the queue (roughly counted); then the guest waits for the writer."""

MAX_SNAPSHOTS = 4
"""Snapshots that may wait in the queue; then the guest waits for the writer."""

MAX_PAGES = (24 << 20) // SNAPSHOT_PAGE
"""Pages of snapshots that may wait in the queue; then the guest waits for the writer."""

_NUDGE = 256 << 10
_PLENTY = 8 << 20
"""Bytes for which the writer's thread is woken before its time. Fewer are not worth a commit, which waits for
the disk, and with it for what the guest has written there."""


class TraceWriter:
    """Writes one recording. All methods but `append` and `append_calls` may wait for the writer's thread.

    Everything raises TtdError when writing failed (disk full, file deleted, …) and UsageError where said.
    """

    def __init__(self, path: Path, begin: Callable[[], tuple[Database, int]]) -> None:
        """Use `create` instead. `begin` gives the database, and the number of the recording in it."""
        self.path = path
        self._begin = begin
        self._queue: deque[Item] = deque()
        self._tally = Tally()
        self._wake = threading.Event()
        self._room = threading.Event()
        self._before: tuple[MemoryImage, ...] = ()
        self._pages_put = 0
        self._snapshots_put = 0
        self._put = 0
        self._fresh = 0
        self._closing = False
        self._error: BaseException | None = None
        self._done = False
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
        debug_info: bytes = b"",
        shared: bool = False,
    ) -> TraceWriter:
        """Begin a recording in a new file `path`, which appears, with all that is known now in it, as soon as
        the writer's thread has made it: SQLAlchemy alone takes 0.15 s to import, and nobody waits for it.

        `debug_info` is a module with the debug information that `module` has not in itself, if any.
        An empty file there is replaced. With `shared` the recording is added to those that a database at
        `path` has already. Raises UsageError when there is something else, or it cannot be written.
        """
        files = [("module", "", module), *(("source", *item) for item in (sources or {}).items())]
        files += [("debug", "", debug_info)] if debug_info else []
        _check_sizes(files)
        with _telling(path):
            if shared and path.exists() and path.stat().st_size:
                from ttd.store.database import check_header

                check_header(path)
                return cls(path, lambda: _add_to(path, manifest, files))
            newborn = Newborn(path)
        return cls(path, lambda: _make(newborn, manifest, files))

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
        """Store a whole snapshot. Snapshots come in the order of their positions; pages shared with the one
        before (the same objects) cost next to nothing.

        Not to be mixed with `change` and `complete`, which do not need whole ones.
        """
        for part in parts(snapshot, self._before):
            if isinstance(part, Pages):
                self.change(part.memory, part.pages)
            else:
                self.complete(part)
        self._before = snapshot.memories

    def change(self, memory: int, pages: Mapping[int, bytes]) -> None:
        """Pages of a memory, by number, that the next snapshot has otherwise than the one before, or than
        zero if it is the first. `PORTION` of them at most; waits while more than `MAX_PAGES` wait."""
        if self._done or self._error is not None:
            self._refuse()
        self._queue.append(Pages(memory, pages))
        self._pages_put += len(pages)
        self._wake.set()
        self._wait_for_room()

    def complete(self, snapshot: Snapshot) -> None:
        """Store a snapshot: all of it but its pages, which have been given to `change`."""
        if self._done or self._error is not None:
            self._refuse()
        self._queue.append(snapshot)
        self._snapshots_put += 1
        self._wake.set()
        self._wait_for_room()

    def add_sources(self, files: Mapping[str, bytes]) -> None:
        """Store source files, by name, that the recording does not have yet."""
        if self._done or self._error is not None:
            self._refuse()
        _check_sizes([("source", *item) for item in files.items()])
        self._queue.append(Sources(files))
        self._wake.set()

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
        self._tally.hurry = hurry
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
        return self._snapshots_put - self._tally.snapshots_done

    @property
    def room(self) -> int:
        """How many pages `change` takes without waiting."""
        return max(MAX_PAGES - self._waiting_pages, 0)

    @property
    def _waiting_pages(self) -> int:
        return self._pages_put - self._tally.pages_done

    @property
    def storing_seconds(self) -> float:
        """Seconds of processor time that storing snapshots has taken so far."""
        return self._tally.storing_seconds

    @property
    def storing_bytes(self) -> int:
        """Bytes by which snapshots have made the trace grow so far."""
        return self._tally.storing_bytes

    def weigh(self, pages: Sequence[bytes]) -> int:
        """About how many bytes pages would take in the trace if they are not in it yet."""
        return sum(map(stored_size, compress_many(pages)))

    @property
    def queued(self) -> int:
        """About how many bytes of events wait in the queue."""
        return self._put - self._tally.taken

    @property
    def output_size(self) -> int:
        """Bytes of the file now."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _nudge(self) -> None:
        self._fresh = 0
        if self.queued > _PLENTY:
            self._wake.set()
        if self.queued > MAX_BACKLOG:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        while self._thread.is_alive() and self._is_full():
            self._room.clear()
            self._wake.set()
            self._room.wait(0.05)

    def _is_full(self) -> bool:
        too_many = self.backlog > MAX_SNAPSHOTS or self._waiting_pages > MAX_PAGES
        return self.queued > MAX_BACKLOG or too_many

    def _refuse(self) -> None:
        if self._error is not None:
            kept = "; what was recorded before that opens" if self.output_size else ""
            raise _told(self.path, self._error, kept)
        raise InternalError("a trace was written to after its end")

    # --- the writer's side ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            from ttd.store.worker import Worker

            with closing(Worker(*self._begin(), self._tally)) as worker:
                self._serve(worker)
        except BaseException as error:
            self._error = error
        self._room.set()

    def _serve(self, worker: Worker) -> None:
        """Do what is in the queue, until the writer closes."""
        while True:
            is_last = self._closing
            if not is_last:
                self._wake.wait(INTERVAL)
                self._wake.clear()
            while worker.cycle(self._queue):
                self._room.set()
            self._room.set()
            if is_last:
                return


def _check_sizes(files: Sequence[tuple[str, str, bytes]]) -> None:
    for _, name, data in files:
        if len(data) > MAX_BLOB:
            raise UsageError(f"{name or 'the module'} is too large for a trace ({len(data)} bytes)")


def _make(
    newborn: Newborn, manifest: Manifest, files: Sequence[tuple[str, str, bytes]]
) -> tuple[Database, int]:
    """Make a new database of a recording with its files; the number of the recording."""
    from ttd.store.database import create_tables, open_for_writing

    with newborn as temporary:
        create_tables(temporary)
        number = _add(temporary, manifest, files)
    return open_for_writing(newborn.path), number


def _add_to(path: Path, manifest: Manifest, files: Sequence[tuple[str, str, bytes]]) -> tuple[Database, int]:
    """Add a recording with its files to the database at `path`."""
    from ttd.store.database import open_for_writing

    number = _add(path, manifest, files)
    return open_for_writing(path), number


def _add(path: Path, manifest: Manifest, files: Sequence[tuple[str, str, bytes]]) -> int:
    """Add a recording with its files to the database at `path`; its number."""
    from sqlalchemy import func, select

    from ttd.store.database import open_for_writing
    from ttd.store.pages import ContentWriter
    from ttd.store.schema import trace
    from ttd.store.worker import insert_files

    database = open_for_writing(path)
    try:
        with database.engine.begin() as connection:
            number = (connection.execute(select(func.max(trace.c.id))).scalar() or 0) + 1
            packed = pack(manifest.to_plain())
            row = {"id": number, "format": FORMAT_VERSION, "manifest": packed}
            row["checksum"] = checksum(packed, trace.name, number, FORMAT_VERSION)
            connection.execute(trace.insert(), [row])
            insert_files(connection, ContentWriter(), number, files)
    finally:
        database.close()
    return number


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
