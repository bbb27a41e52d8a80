"""Where traces lie and what they are called."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.store import samples
from ttd.errors import UsageError
from ttd.store.directory import latest, list_traces, reserve, set_latest, trace_directory
from ttd.store.trace import Trace, TraceWriter


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TTD_TRACE_DIR", str(tmp_path / "traces"))
    return tmp_path / "traces"


def record(program: str) -> Path:
    path = reserve(program)
    TraceWriter.create(path, samples.manifest(), samples.MODULE).close()
    return path


def test_traces_lie_where_the_environment_says_or_under_the_working_directory(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trace_directory() == place
    monkeypatch.delenv("TTD_TRACE_DIR")
    assert trace_directory() == Path("traces")


def test_names_count_up_by_program(place: Path) -> None:
    assert [reserve(name).name for name in ("flaky", "flaky", "hello", "flaky")] == [
        "flaky-1.trace",
        "flaky-2.trace",
        "hello-1.trace",
        "flaky-3.trace",
    ]
    (place / "flaky-1.trace").unlink()
    assert reserve("flaky").name == "flaky-4.trace"


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("a b/c", "a_b_c-1.trace"),
        ("..", "program-1.trace"),
        ("", "program-1.trace"),
        ("größe", "größe-1.trace"),
    ],
)
def test_names_are_safe(place: Path, program: str, name: str) -> None:
    path = reserve(program)
    assert (path.parent, path.name) == (place, name)


def test_no_name_is_given_twice(place: Path) -> None:
    names: list[Path] = []
    threads = [
        threading.Thread(target=lambda: names.extend(reserve("x") for _ in range(20))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 80


def test_the_latest_trace_is_the_one_pointed_to(place: Path) -> None:
    first, second = record("a"), record("b")
    set_latest(first)
    assert latest() == first
    set_latest(second)
    assert latest() == second
    with Trace.open() as trace:
        assert trace.path == second
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_without_a_pointer_the_newest_is_the_latest(place: Path) -> None:
    first, second = record("a"), record("b")
    os.utime(first, (2e9, 2e9))
    os.utime(second, (1e9, 1e9))
    assert latest() == first
    (place / "latest").write_text("gone.trace\n")
    assert latest() == first
    (place / "latest").write_bytes(b"\xff\0")
    assert latest() == first


def test_the_pointer_does_not_lead_out_of_the_directory(place: Path, tmp_path: Path) -> None:
    mine = record("a")
    (tmp_path / "secret").write_text("x")
    (place / "latest").write_text("../secret\n")
    assert latest() == mine


def test_without_any_trace_the_user_is_told_how_to_make_one(place: Path) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match="make one with `ttd record`"):
            latest()
        place.mkdir(exist_ok=True)


def test_listing_is_oldest_first_and_leaves_out_what_never_began(place: Path) -> None:
    assert list_traces() == []
    first, second = record("a"), record("b")
    reserve("c")
    (place / "notes.txt").write_text("x")
    os.utime(first, (2e9, 2e9))
    assert list_traces() == [second, first]


def test_a_place_that_cannot_be_written_is_the_users_mistake(place: Path) -> None:
    place.write_text("a file")
    with pytest.raises(UsageError, match="cannot write a trace"):
        reserve("x")
    with pytest.raises(UsageError, match="cannot write"):
        set_latest(place / "x.trace")


def test_a_directory_that_cannot_be_read_is_not_called_empty(tmp_path: Path) -> None:
    (tmp_path / "traces").write_text("a file")
    with pytest.raises(UsageError, match="cannot look for traces"):
        list_traces(tmp_path / "traces")
    assert list_traces(tmp_path / "missing") == []
