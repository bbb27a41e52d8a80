"""A trace, from both sides: what the recorder writes and the replayer reads.

The version of the format is `ttd.store.manifest.FORMAT_VERSION`; docs/trace-format.md describes it.

May import the store's modules.
"""

from __future__ import annotations

from ttd.store.manifest import (
    FORMAT_VERSION,
    Manifest,
    Preopen,
    RecordedInvocation,
    RecordedLimits,
    StdinKind,
)
from ttd.store.reader import Chunk, SnapshotInfo, Trace, recordings
from ttd.store.writer import TraceWriter

__all__ = [
    "FORMAT_VERSION",
    "Chunk",
    "Manifest",
    "Preopen",
    "RecordedInvocation",
    "RecordedLimits",
    "SnapshotInfo",
    "StdinKind",
    "Trace",
    "TraceWriter",
    "recordings",
]
