"""A core dump under the debugger: a recording of one moment, and an engine that stands in it.

The debugger needs a recording and an engine. A dump gives both, of the poorest kind: no host calls, no
snapshots, and nothing to run. So all that looks at a state works as ever, and all that moves says why it
cannot.

    with open(path, "rb") as file:
        core = CoreRecording.read(file.read())
    debugger = Debugger(core, core.engine)

May import base, wasm, coredump, engine, the store's manifest and this package.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ttd.calllog import CallLog
from ttd.coredump.capture import foreign_frames, restore, trap_of
from ttd.coredump.format import CoreDump, read
from ttd.engine.protocol import MOST, TICK_RULE, Goal, Host, Program, Stop
from ttd.errors import UsageError
from ttd.events import HostCall
from ttd.state import WASM_PAGE, MemoryImage, Snapshot, State
from ttd.store.manifest import Manifest, RecordedLimits
from ttd.store.trace import SnapshotInfo
from ttd.types import Ending, EndKind, Position
from ttd.version import VERSION
from ttd.wasm.decode import decode

NO_PAST = "a core dump has no past and no future; record the program with 'ttd record' to move in time"

NOWHERE = Path("core dump")
"""The path of a dump that is in no file."""


class CoreRecording:
    """A core dump as a `replayer.recording.Recording`: a run that begins and ends at the same moment."""

    def __init__(self, dump: CoreDump, module: bytes | None = None, path: Path = NOWHERE) -> None:
        """`module` is what the dump is of, needed where the dump itself does not hold it; `path` is for
        messages.

        Raises UsageError without any, InvalidCoreDump where it does not fit, InvalidModule.
        """
        code = module if module is not None else dump.module
        if code is None:
            of = f" ({', '.join(dump.modules)})" if any(dump.modules) else ""
            raise UsageError(f"the core dump does not hold its module{of}; name it with --module MODULE.wasm")
        self.path = path
        self.dump = dump
        self.module: bytes = code
        self.snapshot: Snapshot = restore(dump, decode(code))
        self.trap = trap_of(dump)

    @classmethod
    def read(cls, data: bytes, module: bytes | None = None, path: Path = NOWHERE) -> CoreRecording:
        """The dump in a file. Raises InvalidCoreDump, UnsupportedFeature, and what making one raises."""
        return cls(read(data), module, path)

    def engine(self, program: Program, host: Host) -> CoreEngine:
        """The engine for this recording: a `session.EngineFactory`."""
        return CoreEngine(self.snapshot)

    @property
    def is_ours(self) -> bool:
        """Whether ttd wrote it, so that the position in the run is known."""
        return self.dump.extra is not None

    @property
    def manifest(self) -> Manifest:
        limits = RecordedLimits(MOST.call_depth, MOST.memory_pages, MOST.table_elements)
        return Manifest(self.dump.program or "program", (), limits, TICK_RULE, VERSION, "interpreter")

    @property
    def debug_info(self) -> bytes | None:
        return self.dump.debug_info

    @property
    def sources(self) -> Mapping[str, bytes]:
        return self.dump.sources

    @property
    def ending(self) -> Ending:
        """The moment of the dump; a trap if that made it."""
        kind = EndKind.TRAP if self.trap is not None else EndKind.INTERRUPTED
        return Ending(kind, self.snapshot.position, trap=self.trap)

    @property
    def damage(self) -> Sequence[str]:
        """What of the dump cannot be shown."""
        others = foreign_frames(self.dump)
        return [f"{others} frames belong to other instances, and are left out"] if others else []

    @property
    def event_count(self) -> int:
        return 0

    def event(self, number: int) -> HostCall:
        raise UsageError(f"there is no event {number}: a core dump has no host calls")

    def events(self, start: int = 0, stop: int | None = None) -> Iterator[HostCall]:
        return iter(())

    def event_at_or_after(self, position: Position) -> int:
        return 0

    def call_log(self, number: int, size: int) -> tuple[CallLog, int] | None:
        return None

    @property
    def snapshots(self) -> Sequence[SnapshotInfo]:
        return ()

    def load_snapshot(self, info: SnapshotInfo) -> Snapshot:
        raise UsageError(NO_PAST)


class CoreEngine:
    """An engine (`engine.protocol.Engine`) that is in one state, and stays there."""

    why_not = NO_PAST
    """See `session.Immovable`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.state = State(
            position=snapshot.position,
            frames=[frame.copy() for frame in snapshot.frames],
            globals=list(snapshot.globals),
            tables=[list(table) for table in snapshot.tables],
            memories=[_CoreMemory(image) for image in snapshot.memories],
            dropped_data=set(snapshot.dropped_data),
            dropped_elements=set(snapshot.dropped_elements),
            next_event=snapshot.next_event,
            invocation=snapshot.invocation,
        )

    def restore(self, snapshot: Snapshot) -> None:
        self._refuse()

    def run(self, goal: Goal) -> Stop:
        self._refuse()

    def step(self) -> Stop:
        self._refuse()

    def close(self) -> None:
        """Nothing to free."""

    def _refuse(self) -> NoReturn:
        raise UsageError(self.why_not)


class _CoreMemory:
    """A linear memory (`ttd.state.Memory`). What was zero in the program takes no room here either."""

    def __init__(self, image: MemoryImage) -> None:
        self._bytes: mmap.mmap | bytearray = mmap.mmap(-1, image.size) if image.size else bytearray()
        image.restore(self)

    def view(self) -> memoryview:
        return memoryview(self._bytes)

    @property
    def pages(self) -> int:
        return len(self._bytes) // WASM_PAGE

    def grow(self, delta: int) -> int:
        return -1
