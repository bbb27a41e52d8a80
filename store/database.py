"""Opening trace databases: for writing, and for reading without leaving a trace of the reading.

**Why a rollback journal, and not WAL.** A trace should be one file that opens wherever it is copied. In
WAL mode what is committed may lie in a second file for a long time, a reader must create a third one, and
on read-only media that fails. With a rollback journal (mode DELETE) the second file exists during a commit
only, a few milliseconds a few times a second, and a reader in mode ``ro`` writes nothing at all. A recorder
killed inside that window leaves a hot journal; SQLite will not roll back for a read-only reader, so
`open_for_reading` copies file and journal to a temporary place and rolls back there. The original stays as it
is. Commits are synchronous (FULL): they happen on the writer's own thread, so nobody waits for the disk.

**Cut-off files.** SQLite refuses a file that is shorter than its header says, unless ``writable_schema`` is
on; that is how the salvaging reader opens one (in mode ``ro``, so nothing becomes writable by it).

Owns SQLAlchemy together with `schema`; may import base modules and the store's.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from ttd.errors import DamagedTrace, TraceVersionError, TtdError, UsageError
from ttd.store.manifest import APPLICATION_ID, FORMAT_VERSION
from ttd.store.newborn import journal
from ttd.store.schema import metadata

HEADER_SIZE = 100
"""Bytes of the header of an SQLite file."""

DRIVER_ERRORS = (sqlite3.Error, UnicodeError)
"""What the driver raises for a damaged file. UnicodeError comes from error messages that quote it."""

LOST = "nothing of it can be replayed; copy it again, or record the run anew"
"""What is left to do with a trace that cannot be opened, or whose module is gone."""

_MAGIC = b"SQLite format 3\0"
_LOCK_TIMEOUT = 30.0


@dataclass(slots=True)
class Database:
    """An open database.

    `salvaging` means that its structure is known to be damaged, `notes` say how. `on_close` removes a
    temporary copy.
    """

    engine: Engine
    path: Path | None = None
    """Its file, if it was opened for writing."""
    salvaging: bool = False
    notes: tuple[str, ...] = ()
    on_close: Callable[[], object] | None = None

    def size(self) -> int:
        """Bytes of its file now; 0 if it is gone."""
        try:
            return self.path.stat().st_size if self.path is not None else 0
        except OSError:
            return 0

    def close(self) -> None:
        """Close the connection and remove a temporary copy."""
        self.engine.dispose()
        if self.on_close is not None:
            self.on_close()
            self.on_close = None


# --- writing -----------------------------------------------------------------------------------------


def open_for_writing(path: Path) -> Database:
    """Open the existing file `path` (it may be empty) for writing; its transactions begin immediately."""

    def connect() -> sqlite3.Connection:
        connection = _connect(path, "mode=rw")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    engine = _engine(connect)
    event.listen(engine, "begin", _begin_immediate)
    with engine.connect():
        pass  # now, so that a file that goes away is not opened anew later
    return Database(engine, path)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def create_tables(path: Path) -> None:
    """Create the tables in the empty file `path`, and mark it as a trace of this version."""
    database = open_for_writing(path)
    try:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version = {FORMAT_VERSION}")
            metadata.create_all(connection)
    finally:
        database.close()


# --- reading -----------------------------------------------------------------------------------------


def open_for_reading(path: Path) -> Database:
    """Open the trace file `path` without changing it, its directory or its times.

    Raises UsageError (no such file), DamagedTrace (not a trace, or beyond reading) and TraceVersionError.
    """
    check_header(path)
    if _claims_wal(path):
        return _salvaging(path, "the file's header is not as ttd writes it (journal mode)")
    database = Database(_engine(lambda: _connect_read_only(path)))
    try:
        _probe(database)
    except DRIVER_ERRORS as error:
        database.close()
        return _second_try(path, error)
    return database


def check_header(path: Path) -> tuple[int, int]:
    """Make sure that `path` is a trace of a readable version; its size, and its size by its header.

    While somebody is writing to the file the two may differ.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(HEADER_SIZE)
            size = os.fstat(stream.fileno()).st_size
    except FileNotFoundError as error:
        raise UsageError(f"no trace at {path}; `ttd ls` lists the recordings there are") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if size == 0:
        raise DamagedTrace(
            f"{path} is empty: its recording was stopped before anything was written; record the run anew"
        )
    if not header.startswith(_MAGIC[: len(header)]) or (
        len(header) == HEADER_SIZE and int.from_bytes(header[68:72], "big") != APPLICATION_ID
    ):
        if header.startswith(b"\0asm"):
            raise DamagedTrace(f"{path} is a module, not a trace; `ttd record {path}` makes one of it")
        raise DamagedTrace(f"{path} is not a trace; make one with `ttd record`")
    if len(header) < HEADER_SIZE:
        raise DamagedTrace(f"{path} is cut off after {size} bytes: {LOST}")
    version = int.from_bytes(header[60:64], "big")
    if version > FORMAT_VERSION:
        raise newer_version(path, version)
    page_size = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    return size, pages * (65536 if page_size == 1 else page_size)


def _claims_wal(path: Path) -> bool:
    """Whether the file says that it is in WAL mode: to read that in the plain way creates files beside it."""
    with path.open("rb") as stream:
        return stream.read(20)[18:20] != b"\1\1"


def newer_version(place: object, version: int) -> TraceVersionError:
    """The error for a trace whose format is of a later version than this program knows."""
    return TraceVersionError(
        f"{place} has trace format {version}, this ttd reads up to {FORMAT_VERSION}; use a newer ttd"
    )


def cause(error: BaseException) -> str:
    """What the driver says was wrong, in one line of bearable length; it may quote a damaged file."""
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    return text if len(text) <= 120 else text[:117] + "..."


def _engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    return create_engine("sqlite://", creator=connect, poolclass=StaticPool)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    place = quote(os.fsencode(path.absolute()))
    return sqlite3.connect(
        f"file:{place}?{mode}", uri=True, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
    )


def _connect_read_only(path: Path, mode: str = "mode=ro", salvage: bool = False) -> sqlite3.Connection:
    connection = _connect(path, mode)
    connection.text_factory = _lenient_text
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    if salvage:
        connection.execute("PRAGMA writable_schema = ON")
    return connection


def _lenient_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _probe(database: Database) -> None:
    """Read the schema; raises the driver's error, and DamagedTrace for tables that are not ours."""
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise DamagedTrace("a trace file was opened by an unknown driver")
        _check_schema(driver)


def _check_schema(driver: sqlite3.Connection) -> None:
    """A view or a generated column under one of our names would run the file's own code: refuse it."""
    kinds = dict(driver.execute("SELECT name, type FROM sqlite_master").fetchall())
    for table in metadata.tables.values():
        if table.name not in kinds:
            raise DamagedTrace(
                f"the trace has no table {table.name}: it was not written by ttd, or is damaged"
            )
        columns = driver.execute(f"PRAGMA table_xinfo({table.name})").fetchall()
        plain = {row[1] for row in columns if row[6] == 0}
        if kinds[table.name] != "table" or not plain >= set(table.columns.keys()):
            raise DamagedTrace(f"the trace's table {table.name} is not as ttd makes it")


def _second_try(path: Path, error: Exception) -> Database:
    """What to do when the plain way failed: by the journal left behind, the lock, or the damage."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) and journal(path).exists():
        return _recovered_copy(path)
    if code & 0xFF == sqlite3.SQLITE_BUSY:
        raise TtdError(f"{path} is locked by another program; try again later") from error
    if code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return _without_locks(path, error)
    size, expected = check_header(path)
    if size < expected:
        return _salvaging(path, f"the file is cut off: {size} of {expected} bytes are there")
    return _salvaging(path, f"the file's structure is damaged ({cause(error)})")


def _without_locks(path: Path, error: Exception) -> Database:
    """Some read-only and network file systems have no locks: read it as a file that nobody writes."""
    database = Database(_engine(lambda: _connect_read_only(path, "mode=ro&immutable=1")))
    try:
        _probe(database)
    except DRIVER_ERRORS:
        database.close()
        raise DamagedTrace(f"cannot read {path}: {cause(error)}") from error
    return database


def _salvaging(path: Path, note: str) -> Database:
    engine = _engine(lambda: _connect_read_only(path, "mode=ro&immutable=1", salvage=True))
    database = Database(engine, salvaging=True, notes=(note,))
    try:
        _probe(database)
    except (*DRIVER_ERRORS, DamagedTrace) as error:
        database.close()
        raise DamagedTrace(f"{path}: {note}: {LOST}") from error
    return database


def _recovered_copy(path: Path) -> Database:
    """Finish what a killed recorder left in the middle of a commit, on a copy."""
    directory = tempfile.TemporaryDirectory(prefix="ttd-")
    copy = Path(directory.name) / path.name
    try:
        shutil.copyfile(path, copy)
        shutil.copyfile(journal(path), journal(copy))
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        database = open_for_reading(copy)
    except (OSError, *DRIVER_ERRORS) as error:
        directory.cleanup()
        raise DamagedTrace(f"cannot recover {path} from its journal: {cause(error)}") from error
    except TtdError:
        directory.cleanup()
        raise
    database.on_close = directory.cleanup
    return database
