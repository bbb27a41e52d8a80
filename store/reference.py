"""docs/trace-format.md, generated from the schema and the codec: ``python -m ttd.store.reference --write``.

A test holds the page up to date. May import the store's modules.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Column, Table

from ttd import calllog
from ttd.store import codec, items, manifest, records, worker, writer
from ttd.store.manifest import APPLICATION_ID, Manifest
from ttd.store.schema import metadata
from ttd.types import UNKNOWN_STEP

PAGE = Path("docs") / "trace-format.md"

INTRODUCTION = f"""# The trace format

Generated from `store/` by `python -m ttd.store.reference --write`; do not edit.

A trace is one SQLite 3 file. Its `application_id` is {APPLICATION_ID:#x} (`TTDT`), its `user_version`
the version of the format, now **{manifest.FORMAT_VERSION}**. It needs no other file to be replayed: the
module with its debug information, the source files that were found, arguments, environment, the log of
host calls and the snapshots are all in it.

A reader refuses a later version. The tick rule, by which positions are counted, has a version of its
own, in the manifest.

## How it is written

The guest's thread puts events and snapshots into a queue; another thread encodes and commits them, at
least every {writer.INTERVAL} s. A chunk is closed at {worker.CHUNK_EVENTS} events, or sooner if they
carry much. Large snapshots are stored {items.PORTION} pages at a time, with events between.

The file is born under another name and appears whole, with its module and manifest. From then on rows
are only added (the one row of `progress` is replaced). The journal mode is DELETE and every commit is
synchronous. A recorder that is killed leaves what it committed; killed in the middle of a commit it also
leaves a `-journal` beside the trace, which belongs to it until SQLite has rolled it back. Readers do
that on a copy: they never change a trace, nor create a file beside it.

A trace without a row in `ending` is cut off. It is good up to its last event, snapshot or noted
progress, whichever is latest.

## Encoding

- **Position**: `tick` and `step`, two integers. A step of {UNKNOWN_STEP:#x} (2^62 - 1), written `tick:?`,
  says that only the tick is known; in order such a position lies behind all others of its tick. The compiled
  engine records events and ends so: compiled code counts ticks, not steps. Whoever needs the exact
  place goes to the tick and interprets on from there, as far as the event with that number, or to the
  end of the run. A trap is found so while it is recorded, and its position is exact. So is that of every
  snapshot but one at such an end, which holds no frames.
- **Packed**: MessagePack in one zstd frame that tells its content's size. The MessagePack is a list of
  two: the packed contents (as bytes), and the exceptions that the contents refer to, each as the bytes
  of a packed `[tag, payload]`. A reader accepts at most {codec.MAX_PACKED >> 20} MiB of it.
- **Value**: an unsigned integer with the bits of the value; nil for a null reference. What has more than
  64 bits is extension 1: 16 bytes, little-endian. An exception is extension 2: its index in the list of
  exceptions as 4 bytes, little-endian; an exception refers only to those before it, and two values that
  were one exception have one index.
- **Text**: UTF-8; bytes of names that are not UTF-8 are kept as Python's `surrogateescape` does.
- **Checksum**: BLAKE2b with {codec.HASH_SIZE} bytes, over each of the given keys as text (numbers in
  decimal) with a zero byte behind it, and then the data.
- **Content**: bytes that are stored once however often they recur, and referred to by number. Its hash
  is BLAKE2b with {codec.HASH_SIZE} bytes over the uncompressed bytes. Nothing in it may expand beyond
  {codec.MAX_BLOB >> 30} GiB, and a memory page has exactly 4096 bytes.
"""


def render() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_tables(), *_packed(), *_versions()]) + "\n"


def _tables() -> Iterator[str]:
    yield "## Tables"
    yield ""
    for table in metadata.tables.values():
        yield f"### {table.name}"
        yield ""
        yield str(table.comment)
        yield ""
        yield "| Column | Type | Meaning |"
        yield "|---|---|---|"
        yield from (_column(table, column) for column in table.columns)
        yield ""


def _column(table: Table, column: Column[object]) -> str:
    key = " (key)" if column.primary_key else ""
    (reference,) = [key.target_fullname for key in column.foreign_keys] or [""]
    meaning = column.comment or f"The `{reference}` that this row belongs to."
    return f"| `{column.name}`{key} | {_type(column)} | {meaning} |"


def _type(column: Column[object]) -> str:
    kinds = {"BigInteger": "integer", "Integer": "integer", "LargeBinary": "blob", "Text": "text"}
    target = next((key.column for key in column.foreign_keys), column)
    return kinds[type(target.type).__name__]


def _packed() -> Iterator[str]:
    yield "## Packed data"
    yield ""
    parts: list[tuple[str, Callable[..., object]]] = [
        ("events.data", records.encode_events),
        ("snapshot.data", records.encode_snapshot),
        ("ending.data", records.encode_ending),
    ]
    for name, encode in parts:
        yield f"### {name}"
        yield ""
        yield (inspect.getdoc(encode) or "").replace("``", "`")
        yield ""
        if encode is records.encode_events:
            yield from _raw_calls()
    yield f"Bytes of {records.OUTLINE >> 10} KiB and more that a host call wrote or was given are content."
    yield ""
    yield "### trace.manifest"
    yield ""
    yield "A map with the keys"
    yield ", ".join(f"`{name}`" for name in Manifest.__slots__) + "."
    yield "An invocation is `[function, arguments, export]`, a preopen `[host path, guest path]`; limits are"
    yield "`[call depth, memory pages, table elements]`; `created` is ISO 8601 with a time zone."
    yield ""


def _raw_calls() -> Iterator[str]:
    yield inspect.getdoc(records.encode_calls) or ""
    yield ""
    _, start, layout = inspect.cleandoc(calllog.__doc__ or "").partition("    record (")
    layout, end, rest = layout.partition("What does not fit")
    yield start + layout.rstrip()
    yield ""
    yield end + rest.partition("\n\n")[0]
    yield ""


def _versions() -> Iterator[str]:
    yield "## Versions"
    yield ""
    source = inspect.getsource(manifest)
    _, _, history = source.partition("History:\n\n")
    yield history.partition('"""')[0].strip()


def main() -> int:
    """Write the page, or print it."""
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(render(), encoding="utf-8")
    else:
        print(render(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
