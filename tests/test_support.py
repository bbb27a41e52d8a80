"""The tools that tests share: guests are built once and right, markers name one line each, ./dev answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT, Guests, marker_lines


@pytest.fixture
def guests(tmp_path: Path) -> Guests:
    """Guests with two C files in a folder, and an empty cache but for the compiler's own."""
    folder = tmp_path / "sources" / "pair"
    folder.mkdir(parents=True)
    (folder / "one.c").write_text("int f(void);\nint main(void) { return f(); } // @start of it\n")
    (folder / "two.c").write_text("int f(void) {\n    return 3; /* @answer, @other-one */\n}\n")
    return Guests(tmp_path / "sources", tmp_path / "cache")


def test_markers_name_lines(guests: Guests) -> None:
    assert guests.line("pair", "start") == 2
    file, line = guests.place("pair", "other-one")
    assert (file.name, line) == ("two.c", 2)


def test_a_marker_that_is_missing_or_twice_there_is_an_error(guests: Guests, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="@nowhere"):
        guests.line("pair", "nowhere")
    source = tmp_path / "twice.c"
    source.write_text("int a; // @x\nint b; // @x\n")
    with pytest.raises(ValueError, match="line 1 and on line 2"):
        marker_lines(source)


def test_only_comments_hold_markers(tmp_path: Path) -> None:
    source = tmp_path / "mail.c"
    source.write_text('char *a = "x @nothing"; // a@b.c @here\n')
    assert marker_lines(source) == {"here": 1}


def test_a_guest_that_does_not_exist_is_named(guests: Guests) -> None:
    with pytest.raises(FileNotFoundError, match="'unknown'"):
        guests("unknown")


def test_guests_are_built_once_for_each_set_of_flags(guest: Guests) -> None:
    plain = guest("hello")
    assert plain.read_bytes()[:8] == b"\0asm\1\0\0\0"
    before = plain.stat().st_mtime_ns
    assert guest("hello") == plain
    assert plain.stat().st_mtime_ns == before
    assert guest("hello", "-O2") != plain


def test_a_guest_that_does_not_compile_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text("int main(void) { return undeclared; }\n")
    with pytest.raises(RuntimeError, match="undeclared"):
        Guests(tmp_path, ROOT / ".cache")("bad")


@pytest.mark.parametrize(("arguments", "code"), [(["help"], 0), ([], 0), (["nonsense"], 2)])
def test_dev_explains_itself(arguments: list[str], code: int) -> None:
    done = subprocess.run([ROOT / "dev", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    assert "usage: ./dev" in done.stdout + done.stderr
