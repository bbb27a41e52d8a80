"""Files that appear whole, and what is left of those that did not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ttd.store.database import create_tables
from ttd.store.newborn import Newborn


def aged(path: Path, make: Callable[[Path], object], hours: float) -> Path:
    make(path)
    then = time.time() - 3600 * hours
    os.utime(path, (then, then))
    return path


def started(path: Path) -> None:
    """A trace whose recorder was killed."""
    path.touch()
    create_tables(path)


def build(path: Path) -> None:
    with Newborn(path) as temporary:
        temporary.write_text("whole")


@pytest.mark.parametrize("make", [Path.touch, started])
def test_what_killed_processes_have_left_is_swept(make: Callable[[Path], object], tmp_path: Path) -> None:
    aged(tmp_path / ".a.trace.0_abcde9.new", make, hours=2)
    aged(tmp_path / ".a.trace.0_abcde9.new-journal", Path.touch, hours=2)
    build(tmp_path / "b.trace")
    assert [path.name for path in tmp_path.iterdir()] == ["b.trace"]


def test_what_somebody_may_be_building_is_not_swept(tmp_path: Path) -> None:
    young = aged(tmp_path / ".a.trace.0_abcde9.new", started, hours=0.5)
    build(tmp_path / "b.trace")
    assert young.exists()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        (".a.trace.0_abcde9.new", lambda path: path.write_bytes(b"somebody else's" * 10)),
        (".a.trace.new", started),
        ("a.trace.0_abcde9.new", started),
        (".a.trace.0_abcde9.newer", started),
        (".a.trace.0_abcde9.new", Path.mkdir),
        (".a.trace.0_abcde9.new", lambda path: path.symlink_to("nowhere")),
    ],
)
def test_what_is_not_ours_is_not_swept(name: str, make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / name)
    with_age = tmp_path / name
    then = time.time() - 7200
    os.utime(with_age, (then, then), follow_symlinks=False)
    build(tmp_path / "b.trace")
    assert os.path.lexists(with_age)
