"""The tables of a trace database. The page docs/trace-format.md is generated from this file.

A trace file is an SQLite database with one recording in it; a shared one has many. Every row belongs to a
recording by its `trace`, but for `content`, whose rows are shared.

Rows are only ever added while recording (the one row of `progress` is replaced), so what is committed
never changes again.

Owns SQLAlchemy together with `database` and `pages`, and is imported late: it takes longer to import than all
the rest of ttd.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

# SQLite makes only an INTEGER primary key the row's own id.
_Id = BigInteger().with_variant(Integer, "sqlite")

trace = Table(
    "trace",
    metadata,
    Column("id", _Id, primary_key=True, comment="The recording's number in this database."),
    Column("format", Integer, nullable=False, comment="Version of the format that this recording has."),
    Column("manifest", LargeBinary, nullable=False, comment="Packed map: how the recording was made."),
    Column("checksum", LargeBinary, nullable=False, comment="Over `trace`, id, format; then manifest."),
    comment="One row for each recording.",
)

content = Table(
    "content",
    metadata,
    Column("id", _Id, primary_key=True, comment="What snapshots, files and events refer to it by; from 1."),
    Column("hash", LargeBinary, nullable=False, unique=True, comment="BLAKE2b-128 of the bytes."),
    Column("data", LargeBinary, nullable=False, comment="The bytes as a zstd frame."),
    comment="Content-addressed bytes, each stored once: pages, modules, sources, what host calls wrote.",
)

file = Table(
    "file",
    metadata,
    Column("trace", ForeignKey("trace.id"), primary_key=True),
    Column(
        "kind", Text, primary_key=True, comment="`module` (exactly one), `debug` (at most one) or `source`."
    ),
    Column(
        "name", LargeBinary, primary_key=True, comment="Path of a source in the debug information; UTF-8."
    ),
    Column("content", ForeignKey("content.id"), nullable=False, comment="The bytes of the file."),
    Column("checksum", LargeBinary, nullable=False, comment="Over `file`, trace, kind, name; then the hash."),
    comment="The module, the source files, and a module with the debug information if it was kept apart.",
)

events = Table(
    "events",
    metadata,
    Column("trace", ForeignKey("trace.id"), primary_key=True),
    Column("first", BigInteger, primary_key=True, comment="Number of the first event of the chunk."),
    Column("count", Integer, nullable=False, comment="How many events, at least 1."),
    Column("tick", BigInteger, nullable=False, comment="Position of the first event: its tick,"),
    Column("step", BigInteger, nullable=False, comment="and its step."),
    Column("last_tick", BigInteger, nullable=False, comment="Position of the last event: its tick,"),
    Column("last_step", BigInteger, nullable=False, comment="and its step."),
    Column("data", LargeBinary, nullable=False, comment="Packed list of events, or packed bytes."),
    Column(
        "checksum",
        LargeBinary,
        nullable=False,
        comment="Over `events`, trace, first, count, tick, step, last_tick, last_step; then data.",
    ),
    comment="The log of host calls, in chunks: each begins where the one before ended, the first with 0.",
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("trace", ForeignKey("trace.id"), primary_key=True),
    Column("number", Integer, primary_key=True, comment="From 0, in the order of their positions."),
    Column("tick", BigInteger, nullable=False, comment="Position: its tick,"),
    Column("step", BigInteger, nullable=False, comment="and its step."),
    Column("next_event", BigInteger, nullable=False, comment="How many events lie before it."),
    Column("size", BigInteger, nullable=False, comment="Bytes of linear memory in it."),
    Column("data", LargeBinary, nullable=False, comment="Packed state; memory as numbers of `content`."),
    Column(
        "checksum",
        LargeBinary,
        nullable=False,
        comment="Over `snapshot`, trace, number, tick, step, next_event, size; then data.",
    ),
    comment="Copies of the program's state.",
)

progress = Table(
    "progress",
    metadata,
    Column("trace", ForeignKey("trace.id"), primary_key=True),
    Column(
        "tick", BigInteger, nullable=False, comment="Position that the recording had surely reached: tick,"
    ),
    Column("step", BigInteger, nullable=False, comment="and step."),
    Column("checksum", LargeBinary, nullable=False, comment="Over `progress`, trace, tick, step."),
    comment="How far a recording got; of use only when its `ending` is missing.",
)

ending = Table(
    "ending",
    metadata,
    Column("trace", ForeignKey("trace.id"), primary_key=True),
    Column("events", BigInteger, nullable=False, comment="How many events the whole recording has."),
    Column("data", LargeBinary, nullable=False, comment="Packed list: how the run ended."),
    Column("checksum", LargeBinary, nullable=False, comment="Over `ending`, trace, events; then data."),
    comment="How the run ended. Missing when the recorder was killed.",
)
