"""What the debugger needs of a recording: of a trace, or of a core dump, which is a recording of one moment.

May import base and the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ttd.calllog import CallLog
from ttd.events import HostCall
from ttd.state import Snapshot
from ttd.store.manifest import Manifest
from ttd.types import Ending, Position

if TYPE_CHECKING:
    from ttd.store.trace import SnapshotInfo


class Recording(Protocol):
    """Read-only; `ttd.store.trace.Trace` is one, and says what each of these is."""

    path: Path

    @property
    def manifest(self) -> Manifest: ...

    @property
    def module(self) -> bytes: ...

    @property
    def debug_info(self) -> bytes | None: ...

    @property
    def sources(self) -> Mapping[str, bytes]: ...

    @property
    def ending(self) -> Ending: ...

    @property
    def damage(self) -> Sequence[str]: ...

    @property
    def event_count(self) -> int: ...

    def event(self, number: int) -> HostCall: ...

    def events(self, start: int = 0, stop: int | None = None) -> Iterator[HostCall]: ...

    def event_at_or_after(self, position: Position) -> int: ...

    def call_log(self, number: int, size: int) -> tuple[CallLog, int] | None: ...

    @property
    def snapshots(self) -> Sequence[SnapshotInfo]: ...

    def load_snapshot(self, info: SnapshotInfo) -> Snapshot: ...
