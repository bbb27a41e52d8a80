"""What is written to a trace is what is read from it."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store import samples
from tests.support import ROOT
from ttd.errors import DamagedTrace, InternalError, TtdError, UsageError
from ttd.events import HostCall, MemoryWrite
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, MemoryImage, Snapshot
from ttd.store import database as database_module
from ttd.store import writer as writer_module
from ttd.store.database import open_for_writing
from ttd.store.items import PORTION, Barrier, Item, parts
from ttd.store.trace import Trace, TraceWriter, recordings
from ttd.store.worker import Worker
from ttd.types import START, Ending, EndKind, ExceptionValue, Position, Trap, TrapKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a program?x=1#%41.trace"  # a name that would be misread as a URI


def open_writer(path: Path) -> TraceWriter:
    writer = TraceWriter.create(path, samples.manifest(), samples.MODULE, samples.SOURCES)
    writer.flush()
    return writer


def simple_event(number: int) -> HostCall:
    return HostCall(number, Position(number, 2), 0, (number,), (0,))


def test_a_whole_recording_comes_back_as_it_was(path: Path) -> None:
    made = samples.recording()
    samples.write(path, made)
    with Trace.open(path) as trace:
        assert trace.damage == ()
        assert trace.module == samples.MODULE
        assert dict(trace.sources) == samples.SOURCES
        assert trace.event_count == len(made.events)
        assert list(trace.events()) == made.events
        assert trace.ending == made.ending
        assert [info.position for info in trace.snapshots] == [s.position for s in made.snapshots]
        loaded = [trace.load_snapshot(info) for info in trace.snapshots]
        assert samples.digests(loaded) == samples.digests(made.snapshots)
        assert {info.size for info in trace.snapshots} == {64 * SNAPSHOT_PAGE}


def test_the_manifest_comes_back_as_it_was(path: Path) -> None:
    manifest = samples.manifest()
    TraceWriter.create(path, manifest, b"").close()
    with Trace.open(path) as trace:
        assert trace.manifest == manifest
        assert trace.manifest.name == "flaky"


def test_events_are_found_by_number_and_position(path: Path) -> None:
    made = samples.recording(events=2500, snapshots=0)
    samples.write(path, made)
    with Trace.open(path) as trace:
        assert len(trace.chunks) > 1
        for number in (0, 1, 1023, 1024, 2048, 2499):
            assert trace.event(number) == made.events[number]
        assert list(trace.events(1020, 1030)) == made.events[1020:1030]
        assert list(trace.events(2490)) == made.events[2490:]
        for number in range(0, 2500, 97):
            event = made.events[number]
            assert trace.event_at_or_after(event.position) == number
            assert (
                trace.event_at_or_after(Position(event.position.tick, event.position.step + 1)) == number + 1
            )
        assert trace.event_at_or_after(START) == 0
        assert trace.event_at_or_after(Position(10**9)) == 2500
        for wrong in (-1, 2500):
            with pytest.raises(UsageError, match="there is no event"):
                trace.event(wrong)


def test_an_exception_keeps_its_identity_between_frames(path: Path) -> None:
    made = samples.recording(events=1, snapshots=1)
    samples.write(path, made)
    with Trace.open(path) as trace:
        loaded = trace.load_snapshot(trace.snapshots[0])
    shared = loaded.globals[1]
    assert isinstance(shared, ExceptionValue)
    assert loaded.frames[0].locals[1] is shared
    assert loaded.frames[1].operands[0] is shared
    assert shared.payload[0] is loaded.frames[1].locals[0]


def test_pages_are_one_object_in_every_snapshot_that_has_them(path: Path) -> None:
    samples.write(path, samples.recording())
    with Trace.open(path) as trace:
        first, second = (trace.load_snapshot(info) for info in trace.snapshots[:2])
    before, after = first.memories[0].pages, second.memories[0].pages
    same = [number for number in before if before[number] is after.get(number)]
    assert len(same) >= len(before) - 3


@pytest.mark.parametrize(
    "ending",
    [
        Ending(EndKind.EXIT, Position(5, 6), 255),
        Ending(EndKind.TRAP, Position(1), trap=Trap(TrapKind.HOST, "it \udcff said no")),
        Ending(EndKind.INTERRUPTED, Position(3)),
    ],
)
def test_endings_come_back(path: Path, ending: Ending) -> None:
    open_writer(path).finish(ending)
    with Trace.open(path) as trace:
        assert trace.ending == ending


def test_a_recording_without_an_ending_is_cut_off_where_it_surely_came_to(path: Path) -> None:
    made = samples.recording(events=20, snapshots=2)
    samples.write(path, made, finish=False)
    with Trace.open(path) as trace:
        assert trace.ending == Ending(EndKind.CUT_OFF, made.events[-1].position)
        assert list(trace.events()) == made.events
        assert trace.damage == ()


def test_noted_progress_is_where_a_cut_off_recording_came_to(path: Path) -> None:
    with open_writer(path) as writer:
        writer.append(simple_event(0))
        writer.progress(Position(50))
        writer.progress(Position(70, 1))
    with Trace.open(path) as trace:
        assert trace.ending == Ending(EndKind.CUT_OFF, Position(70, 1))


def test_what_was_flushed_can_be_read_while_the_recording_goes_on(path: Path) -> None:
    with open_writer(path) as writer:
        for number in range(10):
            writer.append(simple_event(number))
        writer.flush()
        with Trace.open(path) as trace:
            assert trace.event_count == 10
        writer.append(simple_event(10))


def test_events_are_committed_without_being_asked_for(path: Path) -> None:
    with open_writer(path) as writer:
        writer.append(simple_event(0))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with Trace.open(path) as trace:
                if trace.event_count:
                    break
            time.sleep(0.02)
        else:
            pytest.fail("the event was not committed")


def test_events_do_not_wait_for_a_big_snapshot(path: Path) -> None:
    big = samples.recording(events=1, snapshots=1, pages=8 * PORTION).snapshots[0]
    open_writer(path).close()
    worker = Worker(open_for_writing(path), 1)
    queue: deque[Item] = deque([simple_event(0), *parts(big)])
    assert worker.cycle(queue), "the snapshot was stored at one go"
    queue.append(simple_event(1))
    assert worker.cycle(queue)
    with Trace.open(path) as trace:
        assert (trace.event_count, len(trace.snapshots)) == (2, 0)
    while worker.cycle(queue):
        pass
    worker.close()
    with Trace.open(path) as trace:
        assert len(trace.snapshots) == 1


def test_a_barrier_waits_for_what_is_before_it_and_for_nothing_else(path: Path) -> None:
    open_writer(path).close()
    worker = Worker(open_for_writing(path), 1)
    barrier = Barrier()
    big = samples.recording(events=1, snapshots=1, pages=4 * PORTION).snapshots[0]
    queue: deque[Item] = deque([simple_event(0), *parts(big), barrier, simple_event(1)])
    while not barrier.is_set():
        assert worker.cycle(queue), "there is an event left"
    with Trace.open(path) as trace:
        assert (trace.event_count, len(trace.snapshots)) == (1, 1)
    assert not worker.cycle(queue)
    worker.close()


def test_several_threads_may_note_things(path: Path) -> None:
    with open_writer(path) as writer:
        noting = threading.Thread(target=lambda: [writer.progress(Position(n)) for n in range(500)])
        noting.start()
        for number in range(5000):
            writer.append(simple_event(number))
        noting.join()
    with Trace.open(path) as trace:
        assert trace.event_count == 5000


def test_several_recordings_in_one_file_share_their_contents(tmp_path: Path) -> None:
    shared, single = tmp_path / "shared.trace", tmp_path / "single.trace"
    first, second = samples.recording(1), samples.recording(2)
    samples.write(single, first)
    for made in (first, second, first):
        samples.write(shared, made, shared=True)
    assert recordings(shared) == [1, 2, 3]
    for number, made in enumerate((first, second, first), 1):
        with Trace.open(shared, number) as trace:
            assert trace.number == number
            assert trace.ending == made.ending
            assert list(trace.events()) == made.events
            loaded = [trace.load_snapshot(info) for info in trace.snapshots]
            assert samples.digests(loaded) == samples.digests(made.snapshots)
            assert trace.module == samples.MODULE
            assert trace.damage == ()
    with Trace.open(shared) as trace:
        assert trace.number == 3
    with pytest.raises(UsageError, match="no recording 4"):
        Trace.open(shared, 4)
    with Trace.open(single) as trace:
        contents = _rows(single, "content")
    assert _rows(shared, "content") < 2 * contents


def test_the_same_page_is_stored_once_however_often_it_recurs(path: Path) -> None:
    made = samples.recording(events=1, snapshots=1)
    page = bytes([1]) * SNAPSHOT_PAGE
    image = MemoryImage(WASM_PAGE, {n: bytes(bytearray(page)) for n in range(16)})
    with open_writer(path) as writer:
        before = _rows(path, "content")
        for _ in range(3):
            writer.snapshot(replace(made.snapshots[0], next_event=0, memories=(image,)))
    assert _rows(path, "content") == before + 1


def test_equal_bytes_that_host_calls_read_are_stored_once(path: Path) -> None:
    data = random.Random(0).randbytes(100_000)
    with open_writer(path) as writer:
        for number in range(50):
            call = replace(simple_event(number), writes=(MemoryWrite(0, 0, bytes(bytearray(data))),))
            writer.append(call)
    assert path.stat().st_size < 400_000
    with Trace.open(path) as trace:
        assert all(event.writes == (MemoryWrite(0, 0, data),) for event in trace.events())


def test_a_memory_of_one_snapshot_may_be_smaller_or_larger_than_before(path: Path) -> None:
    made = samples.recording(events=1, snapshots=1).snapshots[0]
    images = [MemoryImage(n * WASM_PAGE, {n: bytes([n + 1]) * SNAPSHOT_PAGE}) for n in (1, 3, 0)]
    images[2] = MemoryImage(0, {})
    snapshots = [replace(made, position=Position(n), memories=(i,)) for n, i in enumerate(images)]
    with open_writer(path) as writer:
        writer.append(simple_event(0))
        for item in snapshots:
            writer.snapshot(item)
    with Trace.open(path) as trace:
        loaded = [trace.load_snapshot(info) for info in trace.snapshots]
    assert samples.digests(loaded) == samples.digests(snapshots)


def test_a_new_trace_never_takes_the_place_of_a_file(path: Path) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists already"):
        open_writer(path)
    assert path.read_bytes() == b"precious"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_new_trace_never_takes_the_place_of_what_is_no_regular_file(path: Path, kind: str) -> None:
    """Devices, such as /dev/null under root, have no size either."""
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.parent / "nowhere")
    before = path.lstat()
    with pytest.raises(UsageError, match="not a regular file"):
        open_writer(path)
    assert path.lstat() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_new_trace_takes_the_place_of_an_empty_file(path: Path) -> None:
    path.touch()
    open_writer(path).finish(Ending(EndKind.EXIT, START))
    with Trace.open(path) as trace:
        assert trace.ending.kind is EndKind.EXIT
    assert list(path.parent.iterdir()) == [path]


def test_a_new_trace_has_the_permissions_of_any_new_file(path: Path) -> None:
    open_writer(path).close()
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_a_recording_is_not_added_to_something_else(path: Path) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(DamagedTrace, match="not a trace"):
        TraceWriter.create(path, samples.manifest(), b"", shared=True)
    assert path.read_bytes() == b"precious"


def test_a_missing_directory_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write a trace to "):
        open_writer(tmp_path / "missing" / "x.trace")


def test_what_comes_in_the_way_of_a_new_trace_is_told_and_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_in_the_way(temporary: Path) -> None:
        create_tables(temporary)
        path.write_bytes(b"precious")

    create_tables = database_module.create_tables
    monkeypatch.setattr(database_module, "create_tables", get_in_the_way)
    with pytest.raises(UsageError, match="exists already"):
        open_writer(path)
    assert path.read_bytes() == b"precious"
    assert list(path.parent.iterdir()) == [path]


def test_sources_can_be_added_while_a_recording_is_made(path: Path) -> None:
    with open_writer(path) as writer:
        writer.append(simple_event(0))
        writer.add_sources({"late.c": b"int late;\n", "other.c": samples.MODULE})
        writer.append(simple_event(1))
    with Trace.open(path) as trace:
        assert trace.event_count == 2
        assert dict(trace.sources) == {**samples.SOURCES, "late.c": b"int late;\n", "other.c": samples.MODULE}
        assert not trace.damage


def test_a_closed_writer_refuses_more(path: Path) -> None:
    writer = open_writer(path)
    writer.finish(Ending(EndKind.EXIT, START))
    for late in (
        lambda: writer.append(simple_event(0)),
        lambda: writer.progress(START),
        lambda: writer.finish(Ending(EndKind.EXIT, START)),
    ):
        with pytest.raises(InternalError, match="after its end"):
            late()
    writer.close()
    assert not samples.writer_threads()


def test_an_event_out_of_turn_is_our_own_bug(path: Path) -> None:
    writer = open_writer(path)
    writer.append(simple_event(1))
    with pytest.raises(InternalError, match="event 1 was logged where 0 was due"):
        writer.flush()
    with pytest.raises(InternalError):
        writer.append(simple_event(2))
    writer.close()


FULL = """
import resource, signal, sys
from pathlib import Path
from tests.store import samples
from ttd.errors import TtdError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    samples.write(Path(sys.argv[1]), samples.recording(events=100_000))
except TtdError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_what_was_committed_stays(path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL, path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stderr == ""
    assert f"cannot write the trace {path}: " in told.stdout
    with Trace.open(path) as trace:
        assert trace.ending.kind is EndKind.CUT_OFF
        assert trace.damage == ()
        assert list(trace.events()) == samples.recording(events=100_000).events[: trace.event_count]


def test_a_deleted_trace_is_told(path: Path) -> None:
    writer = open_writer(path)
    path.unlink()
    with pytest.raises(TtdError, match=r"was deleted|cannot write"):
        writer.finish(Ending(EndKind.EXIT, START))


def test_the_guest_waits_when_the_writer_cannot_follow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_BACKLOG", 1 << 20)
    most = 0
    with open_writer(path) as writer:
        for number in range(20_000):
            writer.append(simple_event(number))
            most = max(most, writer.queued)
    assert most < 4 << 20
    with Trace.open(path) as trace:
        assert trace.event_count == 20_000


def test_the_size_of_the_output_is_known_while_writing(path: Path) -> None:
    with open_writer(path) as writer:
        assert writer.output_size == path.stat().st_size > 0
        before = writer.output_size
        writer.snapshot(samples.recording(events=1, snapshots=1).snapshots[0])
        writer.flush()
        assert writer.output_size > before
        assert writer.backlog == 0


@pytest.mark.parametrize("sizes", [(20, 300), (300, 1500), (900, 2200), (2000, 4096)])
def test_what_snapshots_take_is_how_much_the_file_grows(sizes: tuple[int, int], path: Path) -> None:
    chance = random.Random(1)
    pages = [chance.randbytes(chance.randint(*sizes)).ljust(SNAPSHOT_PAGE, b"\0") for _ in range(2048)]
    image = MemoryImage(len(pages) * SNAPSHOT_PAGE, dict(enumerate(pages)))
    made = samples.recording(events=1, snapshots=1).snapshots[0]
    with open_writer(path) as writer:
        writer.flush()
        before = writer.output_size
        writer.append(simple_event(0))
        writer.snapshot(replace(made, next_event=1, memories=(image,)))
        writer.flush()
        grown = writer.output_size - before
        assert 0.98 * grown < writer.storing_bytes <= grown
        assert 0.8 * grown < writer.weigh(pages) < 1.25 * grown


def test_the_guest_waits_while_too_many_pages_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_PAGES", 4 * PORTION)
    most = 0
    with open_writer(path) as writer:
        for number in range(40):
            pages = {at: number.to_bytes(2, "little") * (SNAPSHOT_PAGE // 2) for at in range(PORTION)}
            writer.change(0, pages)
            most = max(most, writer._pages_put - writer._tally.pages_done)
            assert 0 <= writer.room <= 4 * PORTION
        writer.complete(
            Snapshot(START, (), (), (), (MemoryImage(8 << 20, {}),), frozenset(), frozenset(), 0, 0)
        )
    assert most <= 5 * PORTION
    with Trace.open(path) as trace:
        (info,) = trace.snapshots
        assert set(trace.load_snapshot(info).memories[0].pages) == set(range(PORTION))


def _rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_in_a_hurry_waiting_snapshots_are_given_up(path: Path) -> None:
    made = samples.recording(snapshots=3, pages=256)
    with open_writer(path) as writer:
        for event in made.events:
            writer.append(event)
        for snapshot in made.snapshots:
            writer.snapshot(snapshot)
        writer.finish(made.ending, hurry=True)
    with Trace.open(path) as trace:
        assert not trace.damage
        assert list(trace.events()) == made.events
        assert trace.ending == made.ending
        assert len(trace.snapshots) < 3
        for info in trace.snapshots:
            trace.load_snapshot(info)
