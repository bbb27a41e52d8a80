"""Content-addressed bytes: memory pages, modules and source files, each stored once.

A row of `content` has a number, which is what everything else refers to, and the hash of its bytes,
which is what finds it again. Numbers, not hashes, because the page map of a snapshot is then a list of small
numbers that mostly count up and compress to almost nothing; 16 bytes of hash for each page would not.

May import base modules and the store's; owns SQLAlchemy with `schema`, so it is imported late.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, islice

from sqlalchemy import Connection, Dialect, func, insert, select

from ttd.errors import DamagedTrace, check
from ttd.state import SNAPSHOT_PAGE
from ttd.store.codec import MAX_BLOB, compress_many, content_hash, decompress
from ttd.store.schema import content

ROWS = 256
"""Most rows that one INSERT statement writes."""

_LOOKUP = 500
_KNOWN = 1 << 20
CACHED = (128 << 20) // SNAPSHOT_PAGE
"""How many pages a reader keeps."""


class ContentWriter:
    """Stores bytes that are not stored yet. Belongs to one writer and its transactions."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def put(self, connection: Connection, datas: Sequence[bytes]) -> list[int]:
        """Store `datas`; their numbers. The transaction must be one that excludes other writers."""
        hashes = [content_hash(data) for data in datas]
        if len(self._numbers) > _KNOWN:
            self._numbers.clear()
        unknown = {key: data for key, data in zip(hashes, datas, strict=True) if key not in self._numbers}
        if unknown:
            self._find(connection, unknown)
            self._insert(connection, {k: data for k, data in unknown.items() if k not in self._numbers})
        return [self._numbers[key] for key in hashes]

    def _find(self, connection: Connection, wanted: Iterable[bytes]) -> None:
        waiting = iter(wanted)
        while some := list(islice(waiting, _LOOKUP)):
            rows = connection.execute(select(content.c.hash, content.c.id).where(content.c.hash.in_(some)))
            self._numbers.update({bytes(row[0]): row[1] for row in rows})

    def _insert(self, connection: Connection, fresh: dict[bytes, bytes]) -> None:
        if not fresh:
            return
        first = (connection.execute(select(func.max(content.c.id))).scalar() or 0) + 1
        numbers = range(first, first + len(fresh))
        packed = compress_many(list(fresh.values()))
        _insert_rows(connection, list(zip(numbers, fresh, packed, strict=True)))
        self._numbers.update(zip(fresh, numbers, strict=True))


def _insert_rows(connection: Connection, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
    """Insert rows of `content`, many with each statement.

    The driver gives up the interpreter lock for every statement, and winning it back from a busy main thread
    takes 5 ms; with one statement for each page a big snapshot was seen to take ten seconds.
    """
    done = 0
    while done < len(rows):
        size = min(1 << (len(rows) - done).bit_length() - 1, ROWS)
        some = rows[done : done + size]
        connection.exec_driver_sql(_insert_statement(connection.dialect, size), tuple(chain(*some)))
        done += size


@cache
def _insert_statement(dialect: Dialect, size: int) -> str:
    """An INSERT of `size` rows with positional parameters."""
    compiled = insert(content).values([{"id": 0, "hash": b"", "data": b""}] * size).compile(dialect=dialect)
    check(compiled.positional, "the database driver takes no positional parameters")
    return str(compiled)


class ContentReader:
    """Reads stored bytes and checks them against their hashes. Keeps recent memory pages."""

    def __init__(self, cached: int = CACHED) -> None:
        self._cached = cached
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    def blob(self, connection: Connection, number: int) -> tuple[bytes, bytes]:
        """Content number `number` and its hash; raises DamagedTrace."""
        row = connection.execute(select(content.c.hash, content.c.data).where(content.c.id == number)).first()
        if row is None:
            raise DamagedTrace(f"content {number} is missing")
        return _checked(number, row[0], row[1], MAX_BLOB), bytes(row[0])

    def pages(self, connection: Connection, numbers: Iterable[int]) -> dict[int, bytes]:
        """Memory pages by number. The same number gives the same object while it is in the cache."""
        wanted = set(numbers)
        found = {number: self._pages[number] for number in wanted if number in self._pages}
        waiting = iter(sorted(wanted - found.keys()))
        while some := list(islice(waiting, _LOOKUP)):
            query = select(content.c.id, content.c.hash, content.c.data).where(content.c.id.in_(some))
            for number, key, data in connection.execute(query):
                found[number] = _page(number, key, data)
        if len(found) < len(wanted):
            raise DamagedTrace(f"memory page {min(wanted - found.keys())} is missing")
        self._remember(found)
        return found

    def _remember(self, pages: dict[int, bytes]) -> None:
        self._pages.update(pages)
        while len(self._pages) > self._cached:
            self._pages.popitem(last=False)


def _page(number: int, key: bytes, data: bytes) -> bytes:
    page = _checked(number, key, data, SNAPSHOT_PAGE)
    if len(page) != SNAPSHOT_PAGE:
        raise DamagedTrace(f"memory page {number} has {len(page)} bytes")
    return page


def _checked(number: int, key: object, data: object, limit: int) -> bytes:
    if not isinstance(key, bytes) or not isinstance(data, bytes):
        raise DamagedTrace(f"content {number} is damaged")
    plain = decompress(data, limit)
    if content_hash(plain) != key:
        raise DamagedTrace(f"content {number} is damaged: its checksum differs")
    return plain
