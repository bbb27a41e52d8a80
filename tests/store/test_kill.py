"""A recorder killed at any moment leaves a trace that opens, with all in it that was committed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store import samples
from tests.support import ROOT
from ttd.store.trace import Trace
from ttd.store.verify import check_integrity
from ttd.types import EndKind

EVENTS = 20_000
RECORDER = f"""
import sys
from pathlib import Path
from tests.store import samples
from ttd.store import writer
writer.INTERVAL = 0.001
made = samples.recording(events={EVENTS}, snapshots=200)
waiting = list(made.snapshots)
print("ready", flush=True)
path = Path(sys.argv[1])
with writer.TraceWriter.create(path, samples.manifest(), samples.MODULE, samples.SOURCES) as trace:
    for event in made.events:
        trace.append(event)
        if waiting and waiting[0].next_event == event.number + 1:
            trace.snapshot(waiting.pop(0))
        if event.number % 100 == 99:
            trace.progress(event.position)
            trace.flush()
            print(event.number + 1, flush=True)
"""


def killed_after(path: Path, promises: int, delay: float) -> int:
    """Record to `path`, and kill the recorder a moment after it said that it had committed so and so much.

    How many events it had said to be committed.
    """
    recorder = subprocess.Popen(
        [sys.executable, "-c", RECORDER, path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert recorder.stdout is not None
    with recorder.stdout:
        assert recorder.stdout.readline() == "ready\n"
        promised = [recorder.stdout.readline() for _ in range(promises)]
        try:
            recorder.wait(delay)
        except subprocess.TimeoutExpired:
            recorder.send_signal(signal.SIGKILL)
        promised += recorder.stdout.readlines()
    recorder.wait()
    return max((int(line) for line in promised if line.endswith("\n")), default=0)


@pytest.mark.parametrize("attempt", range(8))
def test_a_killed_recording_opens_and_has_what_was_committed(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / "killed.trace"
    rng = random.Random()
    promised = killed_after(path, rng.choice([0, 1, 3, 10]), rng.uniform(0, 0.2) ** 2 * 5)
    if not path.exists():
        assert promised == 0, "committed events are gone with their file"
        return
    before = contents(tmp_path)
    made = samples.recording(events=EVENTS, snapshots=200)
    with Trace.open(path) as trace:
        assert trace.damage == ()
        assert trace.event_count >= promised
        assert list(trace.events()) == made.events[: trace.event_count]
        assert trace.ending.kind is EndKind.CUT_OFF
        assert trace.ending.position >= made.events[max(promised - 1, 0)].position or not promised
        loaded = [trace.load_snapshot(info) for info in trace.snapshots]
        assert samples.digests(loaded) == samples.digests(made.snapshots[: len(loaded)])
        assert check_integrity(trace).intact
    assert contents(tmp_path) == before


# Dies in the middle of a commit; the cache is so small that some changes have gone to the file by then.
MIDDLE = """
import os, signal, sys
from pathlib import Path
from tests.store import samples
from ttd.store.database import open_for_writing
from ttd.store.schema import content
from sqlalchemy import update
database = open_for_writing(Path(sys.argv[1]))
with database.engine.begin() as connection:
    connection.exec_driver_sql("PRAGMA cache_size = 1")
    connection.execute(update(content).values(data=content.c.data.concat(content.c.data)))
    connection.exec_driver_sql("UPDATE events SET checksum = zeroblob(16)")
    connection.exec_driver_sql("DELETE FROM snapshot")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_commit_that_was_killed_half_way_is_undone_without_touching_the_file(tmp_path: Path) -> None:
    path = tmp_path / "half.trace"
    made = samples.recording()
    samples.write(path, made)
    whole = path.read_bytes()
    subprocess.run([sys.executable, "-c", MIDDLE, path], cwd=ROOT, check=False)
    journal = path.with_name(path.name + "-journal")
    assert journal.exists() and path.read_bytes() != whole, "the kill left nothing to undo"
    before = contents(tmp_path)
    temporary = set(Path(os.environ.get("TMPDIR", "/tmp")).glob("ttd-*"))
    with Trace.open(path) as trace:
        assert trace.damage == ()
        assert trace.path == path
        assert list(trace.events()) == made.events
        loaded = [trace.load_snapshot(info) for info in trace.snapshots]
        assert samples.digests(loaded) == samples.digests(made.snapshots)
        assert trace.ending == made.ending
        assert check_integrity(trace).intact
    assert contents(tmp_path) == before
    assert set(Path(os.environ.get("TMPDIR", "/tmp")).glob("ttd-*")) <= temporary


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    """All files of a directory with their bytes and times, and the time of the directory."""
    found = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in directory.iterdir()}
    return found | {".": (b"", directory.stat().st_mtime_ns)}
