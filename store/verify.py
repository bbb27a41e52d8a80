"""Checks that every part of a trace can be read: all checksums, all shapes. (Whether the recording replays
is another question, which `ttd.replayer` answers.)

May import base modules and the store's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ttd.errors import DamagedTrace
from ttd.store.reader import Trace


@dataclass(frozen=True, slots=True)
class Integrity:
    """What was found: how many parts were read, and what is wrong with the others."""

    parts: int
    problems: tuple[str, ...]

    @property
    def intact(self) -> bool:
        return not self.problems


def check_integrity(trace: Trace, progress: Callable[[int, int], None] | None = None) -> Integrity:
    """Read everything there is in `trace`. `progress` is told how many parts of how many are done."""
    problems = list(trace.damage)
    jobs: list[Callable[[], object]] = [partial(trace.file, "module", "")]
    try:
        jobs += [partial(trace.listed_source, name) for name in trace.source_names()]
    except DamagedTrace as error:
        problems.append(str(error))
    jobs += [partial(trace.event, chunk.first) for chunk in trace.chunks]
    jobs += [partial(trace.load_snapshot, info) for info in trace.snapshots]
    for done, job in enumerate(jobs, 1):
        try:
            job()
        except DamagedTrace as error:
            problems.append(str(error))
        if progress is not None:
            progress(done, len(jobs))
    return Integrity(len(jobs), tuple(problems))
