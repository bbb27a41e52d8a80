"""Saves what can be read of a damaged trace into a new file.

May import base modules and the store's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ttd.errors import DamagedTrace
from ttd.store.reader import Trace
from ttd.store.writer import TraceWriter
from ttd.types import EndKind, Position


@dataclass(frozen=True, slots=True)
class Repair:
    """What was saved, and what was not."""

    events: int
    snapshots: int
    end: Position
    losses: tuple[str, ...]


def repair(source: Path, target: Path) -> Repair:
    """Copy all that is intact of the trace `source` to the new file `target`; `source` stays as it is.

    Without its manifest or its module a trace cannot be saved: DamagedTrace. UsageError where `target`
    cannot be written.
    """
    with Trace.open(source) as trace:
        losses = list(trace.damage)
        sources = _sources(trace, losses)
        debug_info = _debug_info(trace)
        writer = TraceWriter.create(target, trace.manifest, trace.module, sources, debug_info=debug_info)
        with writer:
            events = _events(trace, writer, losses)
            snapshots = _snapshots(trace, writer, events, losses)
            ending = trace.ending
            if events == trace.event_count and ending.kind is not EndKind.CUT_OFF:
                writer.finish(ending)
            elif events == trace.event_count:
                writer.progress(ending.position)
    with Trace.open(target) as saved:
        return Repair(events, snapshots, saved.ending.position, tuple(losses))


def _debug_info(trace: Trace) -> bytes:
    """What is kept apart from the module; nothing if it is damaged, which `damage` has told."""
    try:
        return trace.debug_info or b""
    except DamagedTrace:
        return b""


def _sources(trace: Trace, losses: list[str]) -> dict[str, bytes]:
    saved: dict[str, bytes] = {}
    try:
        names = trace.source_names()
    except DamagedTrace as error:
        losses.append(str(error))
        return saved
    for name in names:
        try:
            saved[name] = trace.listed_source(name)
        except DamagedTrace as error:
            losses.append(str(error))
    return saved


def _events(trace: Trace, writer: TraceWriter, losses: list[str]) -> int:
    """Copy the events up to the first that cannot be read; how many."""
    count = 0
    try:
        for event in trace.events():
            writer.append(event)
            count += 1
    except DamagedTrace as error:
        losses.append(str(error))
    return count


def _snapshots(trace: Trace, writer: TraceWriter, events: int, losses: list[str]) -> int:
    count = 0
    for info in trace.snapshots:
        try:
            snapshot = trace.load_snapshot(info)
        except DamagedTrace as error:
            losses.append(str(error))
            continue
        if info.next_event <= events:
            writer.snapshot(snapshot)
            count += 1
    return count
