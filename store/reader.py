"""The reading side of a trace.

Opening is cheap: the manifest is read, nothing else. The first question about the log reads and checks every
chunk of events and every snapshot row, so that from then on `event_count`, `ending` and `damage` are final: a
damaged trace is one that ends early. Pages are checked as they are loaded.

May import base modules and the store's. SQLAlchemy comes in with the first trace, not with this module.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ttd.calllog import CallLog, Calls, encode_calls
from ttd.errors import DamagedTrace, UsageError
from ttd.events import HostCall
from ttd.state import Snapshot
from ttd.store.codec import checksum, decode_text, encode_text, unpack
from ttd.store.manifest import FORMAT_VERSION, Manifest
from ttd.store.records import StoredSnapshot, decode_ending, decode_events, decode_snapshot
from ttd.types import START, Ending, EndKind, Position

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select, Table

    from ttd.store.database import Database

_CACHED_CHUNKS = 32

_MANIFEST, _MODULE = _INDISPENSABLE = "the manifest", "the module"
"""The parts without which nothing can be replayed, as messages call them."""


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """What is known of a snapshot without loading it. `size` is in bytes of linear memory."""

    number: int
    position: Position
    next_event: int
    size: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of the log: its events' numbers and the positions of the first and the last of them."""

    first: int
    count: int
    position: Position
    last_position: Position
    data: bytes | None = field(default=None, repr=False)
    """The packed events, kept only where they might not be found a second time."""


@dataclass(slots=True)
class _Log:
    """The log as it was found: what of it is there without a gap, and what is wrong with the rest."""

    chunks: list[Chunk] = field(default_factory=list)
    snapshots: list[SnapshotInfo] = field(default_factory=list)
    ending: Ending = field(default_factory=lambda: Ending(EndKind.CUT_OFF, START))
    damage: list[str] = field(default_factory=list)

    @property
    def event_count(self) -> int:
        return self.chunks[-1].first + self.chunks[-1].count if self.chunks else 0


class Trace:
    """A recording, opened for reading. Its file is never changed. Safe to use from several threads."""

    def __init__(self, path: Path, database: Database, number: int, manifest: Manifest) -> None:
        """Use `open` instead."""
        from ttd.store.pages import ContentReader

        self.path = path
        self.number = number
        """Number of the recording in its database."""
        self.manifest = manifest
        self._database = database
        self._lock = threading.RLock()
        self._contents = ContentReader()
        self._decoded: OrderedDict[int, Sequence[HostCall]] = OrderedDict()

    @classmethod
    def open(cls, path: Path | None = None, number: int | None = None) -> Trace:
        """Open the trace at `path` (None: the latest); of several recordings in it the last, or `number`.

        Raises UsageError (nothing there), DamagedTrace (not a trace, or not even a manifest to be read)
        and TraceVersionError.
        """
        from ttd.store.database import open_for_reading
        from ttd.store.directory import latest

        found = latest() if path is None else path
        database = open_for_reading(found)
        try:
            with _reading(found, _MANIFEST):
                number, manifest = _read_manifest(database, found, number)
            return cls(found, database, number, manifest)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- files ---------------------------------------------------------------------------------------

    @cached_property
    def module(self) -> bytes:
        """The module that was run; raises DamagedTrace."""
        return self.file("module", "")

    @cached_property
    def debug_info(self) -> bytes | None:
        """A module with the debug information that was kept apart from `module`; None where none was.

        Raises DamagedTrace.
        """
        try:
            return self.file("debug", "")
        except KeyError:
            return None

    @cached_property
    def sources(self) -> Mapping[str, bytes]:
        """The source files, by their paths in the debug information, each read when asked for.

        Looking one up raises KeyError if it is not there and DamagedTrace if it is damaged.
        """
        return _Sources(self)

    def file(self, kind: str, name: str) -> bytes:
        """A file of the recording; raises KeyError and DamagedTrace."""
        from sqlalchemy import select

        from ttd.store.schema import file

        others = {"module": _MODULE, "debug": "the debug information"}
        what = others.get(kind) or f"the source file {name}"
        query = select(file.c.content, file.c.checksum).where(
            file.c.trace == self.number, file.c.kind == kind, file.c.name == encode_text(name)
        )
        with self._connection(what) as connection:
            row = connection.execute(query).first()
            if row is None and kind != "module":
                raise KeyError(name)
            if row is None:
                raise DamagedTrace("it is missing")
            data, key = self._contents.blob(connection, row[0])
            if row[1] != checksum(key, file.name, self.number, kind, name):
                raise DamagedTrace("its row's checksum differs")
        return data

    def listed_source(self, name: str) -> bytes:
        """A source file that `source_names` tells of; DamagedTrace also where that leads to nothing."""
        try:
            return self.file("source", name)
        except KeyError:
            raise DamagedTrace(f"the source file {name} is listed, but not to be found") from None

    def source_names(self) -> list[str]:
        """Names of all source files."""
        from sqlalchemy import select

        from ttd.store.schema import file

        query = select(file.c.name).where(file.c.trace == self.number, file.c.kind == "source")
        with self._connection("the list of source files") as connection:
            return sorted(decode_text(_bytes(row[0])) for row in connection.execute(query))

    # --- the log -------------------------------------------------------------------------------------

    @property
    def ending(self) -> Ending:
        """How the run ended. CUT_OFF, with the last position known to have been reached, when the
        recorder was killed or the end of the log is damaged."""
        return self._log.ending

    @property
    def damage(self) -> Sequence[str]:
        """What is wrong with the file and its log, a phrase for each thing; empty if nothing is.

        Module, sources and pages are checked as they are read: `ttd.store.verify` reads them all.
        """
        return (*self._database.notes, *self._log.damage, *self._debug_info_damage)

    @cached_property
    def _debug_info_damage(self) -> tuple[str, ...]:
        try:
            self.file("debug", "")
        except KeyError:
            return ()
        except DamagedTrace as error:
            return (str(error),)
        return ()

    @property
    def event_count(self) -> int:
        """How many events can be read."""
        return self._log.event_count

    @property
    def chunks(self) -> Sequence[Chunk]:
        """The chunks in which the events lie, in order and without gaps."""
        return self._log.chunks

    def event(self, number: int) -> HostCall:
        """Event `number`; raises UsageError if there is none, DamagedTrace if it cannot be read."""
        if not 0 <= number < self.event_count:
            raise UsageError(f"there is no event {number}; the trace has {self.event_count} of them")
        index = bisect_right(self._log.chunks, number, key=attrgetter("first")) - 1
        return self._chunk(index)[number - self._log.chunks[index].first]

    def events(self, start: int = 0, stop: int | None = None) -> Iterator[HostCall]:
        """Events `start` to `stop` (exclusive; None: to the last)."""
        end = self.event_count if stop is None else min(stop, self.event_count)
        number = max(start, 0)
        while number < end:
            index = bisect_right(self._log.chunks, number, key=attrgetter("first")) - 1
            first = self._log.chunks[index].first
            yield from self._chunk(index)[number - first : end - first]
            number = first + self._log.chunks[index].count

    def call_log(self, number: int, size: int) -> tuple[CallLog, int] | None:
        """Calls in raw form, of which all but the first n are events from `number` on, and that n.

        About `size` bytes, or more where the trace has them in raw form already. None if event `number` has
        no raw form. Raises as `event` does.
        """
        if not 0 <= number < self.event_count:
            raise UsageError(f"there is no event {number}; the trace has {self.event_count} of them")
        index = bisect_right(self._log.chunks, number, key=attrgetter("first")) - 1
        chunk, events = self._log.chunks[index], self._chunk(index)
        if isinstance(events, Calls):
            return events.log, number - chunk.first
        calls = encode_calls(events[number - chunk.first :], size)
        return None if calls is None else (calls, 0)

    def event_at_or_after(self, position: Position) -> int:
        """Number of the first event at `position` or later; `event_count` if there is none."""
        index = bisect_right(self._log.chunks, position, key=lambda chunk: chunk.last_position)
        while index > 0 and self._log.chunks[index - 1].last_position >= position:
            index -= 1
        if index == len(self._log.chunks):
            return self.event_count
        chunk = self._log.chunks[index]
        events = self._chunk(index)
        if isinstance(events, Calls):  # all of whose steps are unknown, and so the last of their ticks
            return chunk.first + events.at_or_after(position.tick)
        found = (event.number for event in events if event.position >= position)
        return next(found, chunk.first + chunk.count)

    def _chunk(self, index: int) -> Sequence[HostCall]:
        with self._lock:
            if index in self._decoded:
                self._decoded.move_to_end(index)
                return self._decoded[index]
            chunk = self._log.chunks[index]
            last = chunk.first + chunk.count - 1
            with _reading(self.path, f"events {chunk.first} to {last}"):
                events = self._decode(chunk)
            self._decoded[index] = events
            while len(self._decoded) > _CACHED_CHUNKS:
                self._decoded.popitem(last=False)
            return events

    def _decode(self, chunk: Chunk) -> Sequence[HostCall]:
        data = chunk.data if chunk.data is not None else _bytes(self._row("events", first=chunk.first).data)
        ticks = chunk.position.tick, chunk.last_position.tick
        events = decode_events(data, chunk.first, chunk.count, ticks, self._content)
        if isinstance(events, Calls):  # which look at their positions themselves, when that is needed
            return events
        if (events[0].position, events[-1].position) != (chunk.position, chunk.last_position):
            raise DamagedTrace("their positions are not those of the chunk")
        return events

    def _content(self, number: int) -> bytes:
        with self._database.engine.connect() as connection:
            return self._contents.blob(connection, number)[0]

    # --- snapshots -----------------------------------------------------------------------------------

    @property
    def snapshots(self) -> Sequence[SnapshotInfo]:
        """The snapshots, in the order of their positions."""
        return self._log.snapshots

    def load_snapshot(self, info: SnapshotInfo) -> Snapshot:
        """Load a snapshot; raises DamagedTrace, whereupon an earlier one may still be good."""
        what = f"the snapshot at {info.position}"
        stored = self.stored_snapshot(info)
        numbers = {number for page_map in stored.page_maps for number in page_map if number}
        with self._connection(what) as connection:
            return stored.with_pages(self._contents.pages(connection, numbers))

    def stored_snapshot(self, info: SnapshotInfo) -> StoredSnapshot:
        """A snapshot without its pages; raises DamagedTrace."""
        with self._lock, _reading(self.path, f"the snapshot at {info.position}"):
            row = self._row("snapshot", number=info.number)
            return decode_snapshot(_bytes(row.data), info.position, info.next_event)

    # --- reading rows --------------------------------------------------------------------------------

    @contextmanager
    def _connection(self, what: str) -> Iterator[Connection]:
        with self._lock, _reading(self.path, what), self._database.engine.connect() as connection:
            yield connection

    def _row(self, name: str, **keys: int) -> Row[tuple[object, ...]]:
        """The one row of a table with these keys, its checksum checked again."""
        from ttd.store.schema import metadata

        table = metadata.tables[name]
        query = _of(table, self.number, plain=not self._database.salvaging)
        for key, value in keys.items():
            query = query.where(table.c[key] == value)
        with self._database.engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None or not _intact(table, row):
            raise DamagedTrace("its row is gone or damaged")
        return row

    @cached_property
    def _log(self) -> _Log:
        with self._lock:
            return _LogReader(self.path, self._database, self.number).read()


class _LogReader:
    """Reads and checks everything that happened: chunks, snapshots, ending."""

    def __init__(self, path: Path, database: Database, number: int) -> None:
        self._path = path
        self._database = database
        self._number = number
        self._log = _Log()
        self._reached = START
        self._shared = number > 1 and not database.salvaging

    def read(self) -> _Log:
        from ttd.store.schema import ending, progress

        self._read_chunks()
        self._read_snapshots()
        ends = self._rows(ending, "the ending")
        complete = False
        for row in ends:
            with self._noting("the ending"):
                value = decode_ending(_bytes(row.data))
                complete = self._log.event_count == row.events
                self._log.ending = value
        if not complete:
            lost = [row.events for row in ends]
            self._cut_off(max(lost, default=None), self._rows(progress, "the note of progress"))
        return self._log

    def _cut_off(self, expected: int | None, progress: Sequence[Row[tuple[object, ...]]]) -> None:
        """The run's end is unknown: it surely came to its last event, snapshot, or noted progress."""
        if expected is not None:
            self._log.damage.append(f"of {expected} events only the first {self._log.event_count} are there")
        for row in progress if not self._log.damage else ():
            self._reached = max(self._reached, Position(row.tick, row.step))
        self._log.ending = Ending(EndKind.CUT_OFF, self._reached)

    def _read_chunks(self) -> None:
        from ttd.store.schema import events

        found: dict[int, Chunk] = {}
        for row in self._rows(events, "a chunk of events"):
            keep = _bytes(row.data) if self._database.salvaging else None
            begin, end = Position(row.tick, row.step), Position(row.last_tick, row.last_step)
            found[row.first] = Chunk(row.first, int(row._mapping["count"]), begin, end, keep)
        due = 0
        while due in found and found[due].count > 0 and found[due].last_position >= self._reached:
            chunk = found.pop(due)
            self._log.chunks.append(chunk)
            self._reached = chunk.last_position
            due += chunk.count
        if found:
            self._log.damage.append(f"the log of events has a gap: events from {due} on are lost")

    def _read_snapshots(self) -> None:
        from ttd.store.schema import snapshot

        usable: list[SnapshotInfo] = []
        for row in self._rows(snapshot, "a snapshot"):
            if row.next_event <= self._log.event_count:
                info = SnapshotInfo(row.number, Position(row.tick, row.step), row.next_event, row.size)
                usable.append(info)
        self._log.snapshots = sorted(usable, key=attrgetter("position"))
        if usable:
            self._reached = max(self._reached, self._log.snapshots[-1].position)

    def _rows(self, table: Table, what: str) -> list[Row[tuple[object, ...]]]:
        """All intact rows of the recording; what is not intact goes into the damage."""
        rows: list[Row[tuple[object, ...]]] = []
        with self._noting(what), self._database.engine.connect() as connection:
            for row in connection.execute(_of(table, self._number, plain=self._shared)):
                if _intact(table, row):
                    rows.append(row)
                else:
                    self._log.damage.append(f"{what} is damaged: its checksum differs")
        return rows

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        try:
            with _reading(self._path, what):
                yield
        except DamagedTrace as error:
            self._log.damage.append(str(error))


class _Sources(Mapping[str, bytes]):
    """The source files of a recording, read on demand."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._names = trace.source_names()

    def __getitem__(self, name: str) -> bytes:
        if name not in self._names:
            raise KeyError(name)
        return self._trace.file("source", name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def recordings(path: Path) -> list[int]:
    """Numbers of all the recordings in the database at `path`."""
    from sqlalchemy import select

    from ttd.store.database import open_for_reading
    from ttd.store.schema import trace

    database = open_for_reading(path)
    try:
        with _reading(path, "the list of recordings"), database.engine.connect() as connection:
            return sorted(int(row[0]) for row in connection.execute(select(trace.c.id)))
    finally:
        database.close()


def _read_manifest(database: Database, path: Path, number: int | None) -> tuple[int, Manifest]:
    from sqlalchemy import select

    from ttd.store.database import newer_version
    from ttd.store.schema import trace

    query = select(trace).order_by(trace.c.id.desc()).limit(1)
    if number is not None:
        query = query.where(trace.c.id == number)
    with database.engine.connect() as connection:
        row = connection.execute(query).first()
    if row is None and number is not None:
        raise UsageError(f"there is no recording {number} in {path}")
    if row is None:
        raise DamagedTrace("there is no recording in it")
    if checksum(_bytes(row.manifest), trace.name, row.id, row.format) != row.checksum:
        raise DamagedTrace("its checksum differs")
    if type(row.format) is not int or row.format > FORMAT_VERSION:
        raise newer_version(path, row.format)
    return row.id, Manifest.from_plain(unpack(row.manifest))


def _of(table: Table, number: int, *, plain: bool) -> Select[tuple[object, ...]]:
    """All rows of a recording. Not `plain`: by a scan of the table, because an index is one more thing that
    can be damaged, and in a file with one recording saves nothing."""
    from sqlalchemy import select

    column = table.c.trace
    return select(table).where(column == number if plain else column + 0 == number)


def _intact(table: Table, row: Row[tuple[object, ...]]) -> bool:
    values = row._mapping
    keys = [values[column.name] for column in table.columns if column.name not in ("data", "checksum")]
    data = values.get("data", b"")
    if not all(type(key) is int and key >= 0 for key in keys) or not isinstance(data, bytes):
        return False
    return bool(checksum(data, table.name, *keys) == values["checksum"])


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise DamagedTrace(f"bytes were expected, not {type(value).__name__}")
    return value


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Errors inside become DamagedTrace with the name of the file and the part."""
    from sqlalchemy.exc import SQLAlchemyError

    from ttd.store.database import DRIVER_ERRORS, LOST, cause

    try:
        yield
    except (DamagedTrace, SQLAlchemyError, *DRIVER_ERRORS) as error:
        why = str(error) if isinstance(error, DamagedTrace) else cause(error)
        outlook = f": {LOST}" if what in _INDISPENSABLE else ""
        raise DamagedTrace(f"{path}: {what} cannot be read: {why}{outlook}") from error
