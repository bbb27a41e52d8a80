"""Source files: recorded with a checksum, found elsewhere by rules, and pointed out where they differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran
from tests.support import GUESTS, Guests

Ttd = Callable[..., Ran]

AWAY = "/" + "a" * (len(str(GUESTS)) - 1)
"""A folder that is not there, as long as that of the guests."""


@pytest.fixture
def built(guest: Guests, ttd: Ttd, tmp_path: Path) -> bytes:
    """The guest `structs`, with checksums; `ttd` runs in `tmp_path`."""
    return guest("structs", "-O1", "-gdwarf-5").read_bytes()


def record(ttd: Ttd, tmp_path: Path, module: bytes, *options: str) -> Ran:
    (tmp_path / "prog.wasm").write_bytes(module)
    return ttd("record", "-q", "-o", "run.trace", *options, "prog.wasm")


def replay(ttd: Ttd, *commands: str) -> str:
    ran = ttd("replay", "run.trace", *(part for command in commands for part in ("-e", command)))
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def line(guest: Guests) -> str:
    return guest.source("structs").read_text().splitlines()[4]


def test_a_source_that_was_changed_since_is_pointed_out_when_recording(
    ttd: Ttd, built: bytes, guest: Guests, tmp_path: Path
) -> None:
    assert record(ttd, tmp_path, built).err == ""
    checksum = hashlib.md5(guest.source("structs").read_bytes()).digest()
    assert checksum in built
    (tmp_path / "run.trace").unlink()
    ran = record(ttd, tmp_path, built.replace(checksum, b"another checksum"))
    assert ran.error == (
        f"{guest.source('structs')} is not the file that the program was built from: "
        "build anew, or lines will be off"
    )
    text = replay(ttd, "list structs.c:5,5", "list structs.c:6,6")
    assert text.count("structs.c is not the file that the program was built from: lines may be off") == 1


def test_the_right_file_beside_the_program_is_preferred(
    ttd: Ttd, built: bytes, guest: Guests, tmp_path: Path
) -> None:
    source = guest.source("structs").read_bytes() + b"// as it was\n"
    (tmp_path / "structs.c").write_bytes(source)
    old = hashlib.md5(guest.source("structs").read_bytes()).digest()
    assert record(ttd, tmp_path, built.replace(old, hashlib.md5(source).digest())).err == ""
    last = source.count(b"\n")
    assert "// as it was" in replay(ttd, f"list structs.c:{last},{last}")


def test_a_file_on_disk_that_differs_is_pointed_out_once_and_the_recorded_one_shown(
    ttd: Ttd, built: bytes, guest: Guests, tmp_path: Path
) -> None:
    record(ttd, tmp_path, built)
    (tmp_path / "structs.c").write_text("something else\n")
    text = replay(ttd, f"set substitute-path {GUESTS} {tmp_path}", "list structs.c:5,5", "list structs.c:5,5")
    assert text.count(f"5  {line(guest)}".rstrip()) == 2
    assert text.count("structs.c on disk differs from the recorded one, which is shown") == 1


@pytest.fixture
def moved(ttd: Ttd, built: bytes, tmp_path: Path) -> None:
    """A recording without sources of the guest, built in a folder that is not there."""
    module = built.replace(str(GUESTS).encode(), AWAY.encode())
    assert record(ttd, tmp_path, module, "--no-sources").err == ""


@pytest.mark.usefixtures("moved")
def test_sources_are_found_under_another_path(ttd: Ttd, guest: Guests) -> None:
    rule = f"set substitute-path {AWAY} '{GUESTS}'"
    text = replay(ttd, rule, "list structs.c:5,5", "show substitute-path")
    assert f"5  {line(guest)}".rstrip() in text
    assert f"  {AWAY!r} -> {str(GUESTS)!r}\n" in text
    without = ttd(
        "replay", "run.trace", "-e", rule, "-e", "unset substitute-path", "-e", "list structs.c:5,5"
    )
    assert "is neither in the recording nor on disk" in without.error


@pytest.mark.usefixtures("moved")
def test_rules_are_for_whole_components(ttd: Ttd) -> None:
    ran = ttd(
        "replay", "run.trace", "-e", f"set substitute-path {AWAY[:-1]} {GUESTS}", "-e", "list structs.c:5,5"
    )
    assert "is neither in the recording nor on disk" in ran.error


@pytest.mark.usefixtures("moved")
def test_sources_are_found_in_other_folders(ttd: Ttd, guest: Guests) -> None:
    assert f"5  {line(guest)}".rstrip() in replay(ttd, f"directory {GUESTS}", "list structs.c:5,5")
    ran = ttd(
        "replay", "run.trace", "-e", f"directory {GUESTS}", "-e", "directory", "-e", "list structs.c:5,5"
    )
    assert "is neither in the recording nor on disk" in ran.error


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("set substitute-path /only", "'set substitute-path' takes two paths"),
        ("set substitute-path 'a b", "no closing quotation"),
        ("set substitute-path '' b", "the path that is to be substituted is empty"),
        ("unset listsize", "'unset' takes 'substitute-path'"),
        ("unset substitute-path /none", "no substitution rule for '/none'"),
    ],
)
def test_what_is_no_rule_is_refused(ttd: Ttd, command: str, error: str) -> None:
    ran = ttd("replay", "run.trace", "-e", command)
    assert ran.code != 0
    assert error in ran.error
