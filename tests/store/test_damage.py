"""Whatever happened to a file, reading it gives an error of ours or a report of damage, and right data."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store import samples
from ttd.errors import DamagedTrace, TraceVersionError, TtdError, UsageError
from ttd.store import worker
from ttd.store.codec import checksum, pack
from ttd.store.manifest import FORMAT_VERSION
from ttd.store.repair import repair
from ttd.store.trace import Trace
from ttd.store.verify import check_integrity
from ttd.types import START, Ending, EndKind

CHUNK = 128
MADE = samples.recording(events=5 * CHUNK, snapshots=6, pages=96)
DIGESTS = samples.digests(MADE.snapshots)
FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""Each example writes its file anew, so one directory does for all."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "whole.trace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "CHUNK_EVENTS", CHUNK)
        samples.write(path, MADE)
    return path


@pytest.fixture
def path(tmp_path: Path, whole: Path) -> Path:
    made = tmp_path / "damaged.trace"
    shutil.copyfile(whole, made)
    return made


def read_all(path: Path) -> bool:
    """Read all of a trace, damaged or not; what it gives must be right. Whether it claims to be intact."""
    try:
        trace = Trace.open(path)
    except TtdError as error:
        assert "\n" not in str(error)
        return False
    with trace:
        told = len(trace.damage)
        assert trace.manifest == samples.manifest()
        told += not gives(lambda: trace.module, samples.MODULE)
        for name in given_names(trace):
            told += not gives(lambda name=name: trace.sources[name], samples.SOURCES[name])  # type: ignore[misc]
        for number in range(trace.event_count):
            told += not gives(lambda number=number: trace.event(number), MADE.events[number])  # type: ignore[misc]
        positions = [snapshot.position for snapshot in MADE.snapshots]
        for info in trace.snapshots:
            digest = DIGESTS[positions.index(info.position)]
            told += not gives(lambda info=info: trace.load_snapshot(info).digest(), digest)  # type: ignore[misc]
        lost = trace.event_count < len(MADE.events)
        cut_off = trace.ending.kind is EndKind.CUT_OFF
        assert cut_off or trace.ending == MADE.ending
        assert not lost or cut_off
        assert told or not cut_off or trace.event_count < len(MADE.events)
        integrity = check_integrity(trace)
        assert integrity.intact == (told == 0), integrity
        return told == 0


def gives(read: Callable[[], object], expected: object) -> bool:
    """Whether `read` gives what it should. It may fail with DamagedTrace, and with nothing else."""
    try:
        found = read()
    except DamagedTrace as error:
        assert "\n" not in str(error)
        return False
    assert found == expected
    return True


def given_names(trace: Trace) -> list[str]:
    try:
        return trace.source_names()
    except DamagedTrace:
        return []


def test_an_undamaged_trace_is_intact(path: Path) -> None:
    assert read_all(path)


PLACES = st.integers(0, 1 << 20) | st.integers(0, 12 * 4096)
"""Places in a file, taken modulo its size; many of them in its first pages, which have the structure."""


@settings(FILES, max_examples=60)
@given(flips=st.lists(st.tuples(PLACES, st.integers(1, 255)), min_size=1, max_size=6))
def test_flipped_bytes_are_never_taken_for_data(
    path: Path, whole: Path, flips: list[tuple[int, int]]
) -> None:
    damaged = bytearray(whole.read_bytes())
    for at, bits in flips:
        damaged[at % len(damaged)] ^= bits
    path.write_bytes(damaged)
    read_all(path)
    assert path.read_bytes() == damaged
    assert list(path.parent.iterdir()) == [path]


@settings(FILES, max_examples=30)
@given(size=PLACES)
def test_a_cut_off_file_gives_what_is_left(path: Path, whole: Path, size: int) -> None:
    data = whole.read_bytes()
    path.write_bytes(data[: size % len(data)])
    assert not read_all(path)


@settings(FILES, max_examples=30)
@given(at=PLACES, junk=st.sampled_from([b"\0", b"\xff", b"junk"]), length=st.integers(1, 3000))
def test_overwritten_stretches_are_never_taken_for_data(
    path: Path, whole: Path, at: int, junk: bytes, length: int
) -> None:
    data = whole.read_bytes()
    at %= len(data)
    path.write_bytes((data[:at] + junk * length + data[at + len(junk) * length :])[: len(data)])
    read_all(path)


def test_most_of_a_file_cut_in_the_middle_is_saved(path: Path, whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with Trace.open(path) as trace:
        assert f"{len(data) * 2 // 3} of {len(data)} bytes" in trace.damage[0]
        assert trace.event_count > 100
        assert trace.ending.kind is EndKind.CUT_OFF
        assert trace.snapshots
    saved = repair(path, tmp_path / "saved.trace")
    assert saved.losses
    with Trace.open(tmp_path / "saved.trace") as trace:
        assert trace.damage == ()
        assert check_integrity(trace).intact
        assert list(trace.events()) == MADE.events[: saved.events]
        assert trace.ending == Ending(EndKind.CUT_OFF, saved.end)
        assert len(trace.snapshots) == saved.snapshots


def test_repairing_an_intact_trace_loses_nothing(path: Path, tmp_path: Path) -> None:
    assert repair(path, tmp_path / "saved.trace").losses == ()
    assert read_all(tmp_path / "saved.trace")
    with pytest.raises(UsageError, match="exists already"):
        repair(path, tmp_path / "saved.trace")


# --- single rows -------------------------------------------------------------------------------------


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_damaged_chunk_ends_the_log_before_it(path: Path) -> None:
    execute(
        path,
        f"UPDATE events SET data = substr(data, 1, 50) || x'00' || substr(data, 52) WHERE first = {CHUNK}",
    )
    with Trace.open(path) as trace:
        assert list(trace.events()) == MADE.events[:CHUNK]
        assert trace.ending == Ending(EndKind.CUT_OFF, MADE.events[CHUNK - 1].position)
        assert any(
            f"of {len(MADE.events)} events only the first {CHUNK} are there" in text for text in trace.damage
        )
        assert all(info.next_event <= CHUNK for info in trace.snapshots) and trace.snapshots
    assert not read_all(path)


def test_a_missing_chunk_ends_the_log_before_it(path: Path) -> None:
    execute(path, f"DELETE FROM events WHERE first = {CHUNK}")
    with Trace.open(path) as trace:
        assert trace.event_count == CHUNK
        assert f"the log of events has a gap: events from {CHUNK} on are lost" in trace.damage


def test_chunks_that_changed_places_are_noticed(path: Path) -> None:
    execute(
        path,
        f"UPDATE events SET data = (SELECT data FROM events WHERE first = {CHUNK}),"
        f" checksum = (SELECT checksum FROM events WHERE first = {CHUNK}) WHERE first = 0",
    )
    with Trace.open(path) as trace:
        assert trace.event_count == 0
        assert trace.ending == Ending(EndKind.CUT_OFF, START)


def test_a_damaged_page_spoils_the_snapshots_that_have_it_and_no_others(path: Path) -> None:
    with Trace.open(path) as trace:
        maps = [trace.stored_snapshot(info).page_maps[0] for info in trace.snapshots]
    (number, *_) = set(maps[3]) - set(maps[2])
    execute(path, f"UPDATE content SET data = (SELECT data FROM content WHERE id = 2) WHERE id = {number}")
    with Trace.open(path) as trace:
        good = [
            gives(lambda i=i: trace.load_snapshot(i).digest(), d)
            for i, d in zip(trace.snapshots, DIGESTS, strict=True)
        ]
        assert good == [number not in page_map for page_map in maps]
        assert trace.damage == () and not check_integrity(trace).intact


def test_a_damaged_module_is_told_and_the_log_can_be_read(path: Path) -> None:
    execute(path, "DELETE FROM file WHERE kind = 'module'")
    with Trace.open(path) as trace:
        with pytest.raises(DamagedTrace, match="the module cannot be read: it is missing"):
            _ = trace.module
        assert trace.event_count == len(MADE.events)


def test_a_damaged_source_file_is_told_and_the_others_can_be_read(path: Path) -> None:
    execute(path, "UPDATE file SET checksum = zeroblob(16) WHERE name = CAST('lib/queue.c' AS BLOB)")
    with Trace.open(path) as trace:
        with pytest.raises(DamagedTrace, match=r"the source file lib/queue\.c cannot be read"):
            _ = trace.sources["lib/queue.c"]
        assert trace.sources["/src/main.c"] == samples.SOURCES["/src/main.c"]
        with pytest.raises(KeyError):
            _ = trace.sources["other.c"]


def test_a_source_file_that_is_listed_only_is_damage(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the index of the table is damaged, by which a file is looked for."""
    listed = Trace.source_names
    monkeypatch.setattr(Trace, "source_names", lambda trace: [*listed(trace), "gone.c"])
    with Trace.open(path) as trace:
        assert check_integrity(trace).problems == ("the source file gone.c is listed, but not to be found",)
    monkeypatch.undo()
    with monkeypatch.context() as patch:
        patch.setattr(Trace, "source_names", lambda trace: ["gone.c", *listed(trace)])
        assert any("gone.c" in loss for loss in repair(path, tmp_path / "repaired.trace").losses)


def test_a_trace_without_its_manifest_does_not_open(path: Path) -> None:
    execute(path, "UPDATE trace SET manifest = x'00'")
    with pytest.raises(DamagedTrace, match="the manifest cannot be read: its checksum differs"):
        Trace.open(path)


def test_a_damaged_ending_leaves_the_end_unknown(path: Path) -> None:
    execute(path, "UPDATE ending SET events = 3")
    with Trace.open(path) as trace:
        assert trace.ending == Ending(EndKind.CUT_OFF, MADE.events[-1].position)
        assert trace.damage == ("the ending is damaged: its checksum differs",)


# --- not a trace, or not ours ------------------------------------------------------------------------


@pytest.mark.parametrize("contents", [b"hello", b"\0" * 5000, b"SQLite format 3\0", b"\0asm\1\0\0\0"])
def test_other_files_are_not_traces(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(contents)
    with pytest.raises(DamagedTrace, match=r"not a trace|is cut off"):
        Trace.open(path)


def test_an_empty_file_is_a_recording_that_never_began(tmp_path: Path) -> None:
    (tmp_path / "x.trace").touch()
    with pytest.raises(DamagedTrace, match="is empty"):
        Trace.open(tmp_path / "x.trace")


def test_other_databases_are_not_traces(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    execute(path, "CREATE TABLE trace (id INTEGER)")
    with pytest.raises(DamagedTrace, match="is not a trace"):
        Trace.open(path)


def test_a_missing_file_and_a_directory_are_the_users_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no trace at"):
        Trace.open(tmp_path / "missing.trace")
    with pytest.raises(UsageError, match="cannot read"):
        Trace.open(tmp_path)


def test_a_later_version_is_refused(path: Path) -> None:
    execute(path, f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    with pytest.raises(TraceVersionError, match=f"has trace format {FORMAT_VERSION + 1}"):
        Trace.open(path)


def test_a_later_version_in_a_shared_database_is_refused(path: Path) -> None:
    later = FORMAT_VERSION + 1
    packed = pack(samples.manifest().to_plain())
    key = checksum(packed, "trace", 2, later)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO trace VALUES (2, ?, ?, ?)", (later, packed, key))
        connection.commit()
    with pytest.raises(TraceVersionError):
        Trace.open(path)
    Trace.open(path, 1).close()


def test_code_in_the_file_is_not_run(path: Path) -> None:
    execute(
        path,
        "ALTER TABLE events RENAME TO hidden",
        "CREATE VIEW events AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n",
    )
    with pytest.raises(DamagedTrace, match="the trace's table events is not as ttd makes it"):
        Trace.open(path)


def test_rows_with_valid_checksums_and_nonsense_in_them_are_noticed(path: Path) -> None:
    junk = pack([1, 2, "three"])
    keys = (1, 0, 3, 0, 0, 5, 5)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM events")
        row = (*keys, junk, checksum(junk, "events", *keys))
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        row = (1, 99, 0, 0, 0, 0, junk, checksum(junk, "snapshot", 1, 99, 0, 0, 0, 0))
        connection.execute("INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        connection.commit()
    with Trace.open(path) as trace:
        with pytest.raises(DamagedTrace, match="events 0 to 2 cannot be read"):
            trace.event(0)
        with pytest.raises(DamagedTrace, match="the snapshot at 0:0"):
            trace.load_snapshot(trace.snapshots[0])


# --- reading changes nothing -------------------------------------------------------------------------


def test_reading_leaves_the_file_and_its_directory_as_they_are(path: Path) -> None:
    shutil.copystat(Path(__file__), path)
    times = (path.stat().st_mtime_ns, path.parent.stat().st_mtime_ns)
    whole = path.read_bytes()
    assert read_all(path)
    assert path.read_bytes() == whole
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert (path.stat().st_mtime_ns, path.parent.stat().st_mtime_ns) == times


def test_a_file_in_another_journal_mode_is_read_without_making_files(path: Path) -> None:
    execute(path, "PRAGMA journal_mode = WAL")
    with Trace.open(path) as trace:
        assert "journal mode" in trace.damage[0]
        assert list(trace.events()) == MADE.events
        assert trace.ending == MADE.ending
        assert list(path.parent.iterdir()) == [path]


def test_junk_in_place_of_a_journal_does_no_harm(path: Path) -> None:
    journal = path.with_name(path.name + "-journal")
    for junk in (b"", b"junk" * 1000, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\xff" * 5000):
        journal.write_bytes(junk)
        assert read_all(path)
        assert journal.read_bytes() == junk
