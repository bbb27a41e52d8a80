"""Traces that are almost like recorded ones: with other events, snapshots or endings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from ttd.events import HostCall
from ttd.state import Snapshot
from ttd.store.manifest import Manifest
from ttd.store.trace import Trace, TraceWriter
from ttd.types import Ending


def same_events(events: list[HostCall]) -> list[HostCall]:
    return events


def same_snapshots(snapshots: list[Snapshot]) -> list[Snapshot]:
    return snapshots


def rewrite(
    source: Path,
    target: Path,
    events: Callable[[list[HostCall]], Iterable[HostCall]] = same_events,
    snapshots: Callable[[list[Snapshot]], Iterable[Snapshot]] = same_snapshots,
    ending: Ending | None = None,
    is_finished: bool = True,
    manifest: Callable[[Manifest], Manifest] = replace,
) -> Path:
    """Write `source` again as `target`, with what is given in place of what it has."""
    with Trace.open(source) as trace:
        writer = TraceWriter.create(target, manifest(trace.manifest), trace.module)
        for event in events(list(trace.events())):
            writer.append(event)
        for snapshot in snapshots([trace.load_snapshot(info) for info in trace.snapshots]):
            writer.snapshot(snapshot)
        if is_finished:
            writer.finish(ending or trace.ending)
        else:
            if ending is not None:
                writer.progress(ending.position)
            writer.close()
    return target
