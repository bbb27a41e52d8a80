"""Recordings to test the store with: made up, but with everything in them that a trace can hold."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, ZERO_PAGE, Frame, MemoryImage, Snapshot
from ttd.store.manifest import Manifest, Preopen, RecordedInvocation, RecordedLimits, StdinKind
from ttd.store.trace import TraceWriter
from ttd.types import Ending, EndKind, ExceptionValue, Position

MODULE = b"\0asm\1\0\0\0" + bytes(range(256)) * 40
SOURCES = {"/src/main.c": b"int main(void) { return 0; }\n", "lib/queue.c": b"", "dir/\udcff.c": b"?"}


def manifest() -> Manifest:
    """A manifest with something in every field."""
    return Manifest(
        program="build/flaky.wasm",
        invocations=(RecordedInvocation(7, (1, 1 << 127, None), "_start"), RecordedInvocation(9)),
        limits=RecordedLimits(20_000, 65_536, 10_000_000),
        tick_rule=1,
        ttd_version="0.1.0",
        engine="interpreter",
        argv=("flaky", "--seed", "\udcff"),
        env=(("HOME", "/"), ("LANG", "C")),
        preopens=(Preopen("/tmp/x", "/data"),),
        stdin=StdinKind.FILE,
        stdin_path="in.txt",
        settings={"host": "host.py"},
        created=datetime(2026, 3, 4, 5, 6, 7, 890, UTC),
    )


@dataclass
class Recording:
    """What a trace should give back."""

    events: list[HostCall] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    ending: Ending = field(default_factory=lambda: Ending(EndKind.EXIT, Position(0), 3))


def recording(seed: int = 0, events: int = 3000, snapshots: int = 4, pages: int = 64) -> Recording:
    """A recording: events with snapshots evenly between them, over a memory of which pages change."""
    rng = random.Random(seed)
    made = Recording()
    memory = {n: rng.randbytes(SNAPSHOT_PAGE) for n in range(0, pages, 2)}
    tick = 0
    for number in range(events):
        tick += rng.randrange(3)
        made.events.append(event(number, Position(tick, number), rng))
        if snapshots and number % max(events // snapshots, 1) == 0:
            memory = memory | {rng.randrange(pages): rng.randbytes(SNAPSHOT_PAGE) for _ in range(3)}
            made.snapshots.append(snapshot(Position(tick, number + 1), number + 1, memory, pages))
    made.ending = Ending(EndKind.EXIT, Position(tick + 5, 1), 3, None, (7, 1 << 100, None))
    return made


def event(number: int, position: Position, rng: random.Random) -> HostCall:
    """A host call; now and then one that writes much, fails, or has unusual values."""
    writes = (MemoryWrite(0, 1024, rng.randbytes(8)), MemoryWrite(1, 1 << 33, b""))
    if number % 500 == 499:
        writes = (MemoryWrite(0, 0, rng.randbytes(50_000)),)
    if number % 7 == 6:
        return HostCall(number, position, 2, (1 << 127, None), (), (), Outcome.TRAPPED, 0, "no \udcff")
    reads = (MemoryWrite(0, 64, b"path/to"),) if number % 3 == 0 else ()
    return HostCall(number, position, number % 5, (number, (1 << 64) - 1), (0,), writes, reads=reads)


def snapshot(position: Position, next_event: int, memory: dict[int, bytes], pages: int) -> Snapshot:
    """A snapshot with an exception that several frames share, and one inside another."""
    inner = ExceptionValue(0, (1, None))
    shared = ExceptionValue(3, (inner, 1 << 90))
    size = -(-pages * SNAPSHOT_PAGE // WASM_PAGE) * WASM_PAGE
    return Snapshot(
        position=position,
        frames=(
            Frame(7, 300, [1, shared, None], [], Position(0, 0)),
            Frame(8, 410, [inner], [shared, (1 << 128) - 1], position),
        ),
        globals=(65536, shared),
        tables=((1, None, 3), ()),
        memories=(MemoryImage(size, {n: p for n, p in memory.items() if p != ZERO_PAGE}), MemoryImage(0, {})),
        dropped_data=frozenset({1, 5}),
        dropped_elements=frozenset(),
        next_event=next_event,
        invocation=1,
    )


def write(path: Path, made: Recording, *, finish: bool = True, shared: bool = False) -> None:
    """Write `made` as a trace; without `finish` as if the recorder had died after its last commit."""
    writer = TraceWriter.create(path, manifest(), MODULE, SOURCES, shared=shared)
    waiting = list(made.snapshots)
    for item in made.events:
        writer.append(item)
        if waiting and waiting[0].next_event == item.number + 1:
            writer.snapshot(waiting.pop(0))
    if finish:
        writer.finish(made.ending)
    else:
        writer.close()


def digests(snapshots: Sequence[Snapshot]) -> list[bytes]:
    """Digests, by which snapshots are compared: exceptions are equal only by identity."""
    return [item.digest() for item in snapshots]


def writer_threads() -> list[threading.Thread]:
    """The threads of writers that are still running."""
    return [thread for thread in threading.enumerate() if thread.name == "ttd-trace-writer"]
