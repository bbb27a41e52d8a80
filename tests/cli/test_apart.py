"""Stripped programs, and their debug information in a file of its own, through the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran
from tests.debuginfo.splitting import custom, only_debug, sized, stripped
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.wasm.decode import decode

Ttd = Callable[..., Ran]

PADDING = custom("padding", b"x" * 300)


@pytest.fixture
def whole(guest: Guests, ttd: Ttd, tmp_path: Path) -> bytes:
    """The guest `calls`, of which there is stripped.wasm, in the folder where `ttd` runs."""
    data = guest("calls").read_bytes()
    (tmp_path / "stripped.wasm").write_bytes(stripped(data, PADDING))
    return data


def look(ttd: Ttd, *options: str) -> Ran:
    commands = ("break factorial", "continue", "bt 1", "print n", "list factorial")
    return ttd("replay", "run.trace", *options, *(part for command in commands for part in ("-e", command)))


def check_that_all_is_known(ran: Ran) -> None:
    assert (ran.code, ran.err) == (0, "")
    assert "#0  factorial (n=" in ran.out
    assert "calls.c:" in ran.out
    assert "$1 = " in ran.out
    assert "int factorial(int n)" in ran.out or "factorial(int n) {" in ran.out


@pytest.mark.parametrize("engine", ["compiled", "interpreter"])
def test_a_recording_of_a_stripped_program_is_debugged_with_the_file(
    ttd: Ttd, whole: bytes, tmp_path: Path, engine: str
) -> None:
    assert ttd("record", "--engine", engine, "-o", "run.trace", "stripped.wasm").code == 0
    assert ttd("replay", "run.trace", "-e", "break factorial").code == 1
    (tmp_path / "kept.wasm").write_bytes(only_debug(whole))
    check_that_all_is_known(look(ttd, "--engine", engine, "--debug-info", "kept.wasm"))


def test_a_recording_keeps_what_was_found_beside_the_program(
    ttd: Ttd, whole: bytes, tmp_path: Path, guest: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stripped.debug.wasm").write_bytes(whole)
    assert ttd("record", "-o", "run.trace", "stripped.wasm").code == 0
    (tmp_path / "stripped.debug.wasm").unlink()
    (tmp_path / "stripped.wasm").unlink()
    monkeypatch.setattr("ttd.debuginfo.sourcefile.LARGEST_SOURCE", 0)  # nothing is read from disk
    check_that_all_is_known(look(ttd))
    told = ttd("info", "run.trace").out
    assert "kept apart from the module" in told
    assert ttd("verify", "run.trace").code == 0
    assert ttd("symbols", "run.trace", "--kind", "data").out.count("\n") > 1


def test_a_repaired_recording_keeps_it_too(ttd: Ttd, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "stripped.debug.wasm").write_bytes(whole)
    assert ttd("record", "-o", "damaged.trace", "stripped.wasm").code == 0
    assert ttd("repair", "damaged.trace", "-o", "run.trace").code == 0
    check_that_all_is_known(look(ttd))


def test_a_trap_is_told_with_lines_from_the_file(ttd: Ttd, guest: Guests, tmp_path: Path) -> None:
    data = guest("trap").read_bytes()
    (tmp_path / "stripped.wasm").write_bytes(stripped(data))
    (tmp_path / "else.wasm").write_bytes(data)
    assert "trap.c:" not in ttd("record", "-o", "a.trace", "stripped.wasm").err
    assert "trap.c:" in ttd("record", "-o", "b.trace", "--debug-info", "else.wasm", "stripped.wasm").err


@pytest.mark.parametrize("words", [("record",), ("addr2line",), ("info",), ("symbols",), ("dis",)])
def test_the_file_of_another_program_is_refused(
    ttd: Ttd, whole: bytes, guest: Guests, tmp_path: Path, words: tuple[str, ...]
) -> None:
    shutil.copyfile(guest("hello"), tmp_path / "other.wasm")
    ran = ttd(*words, "--debug-info", "other.wasm", "stripped.wasm")
    assert ran.code == 2
    assert ran.error.startswith("other.wasm is not the debug information of this program: it has ")


def test_a_replay_refuses_it_too(ttd: Ttd, whole: bytes, guest: Guests, tmp_path: Path) -> None:
    shutil.copyfile(guest("hello"), tmp_path / "other.wasm")
    assert ttd("record", "-o", "run.trace", "stripped.wasm").code == 0
    ran = ttd("replay", "run.trace", "--debug-info", "other.wasm", "-e", "bt")
    assert ran.code == 2
    assert "is not the debug information of this program" in ran.error


def test_debug_information_that_is_missing_is_told_and_nothing_else(
    ttd: Ttd, whole: bytes, tmp_path: Path
) -> None:
    link = custom("external_debug_info", sized(b"gone.wasm"))
    (tmp_path / "linked.wasm").write_bytes(stripped(whole, link))
    ran = ttd("record", "-q", "-o", "run.trace", "linked.wasm")
    assert ran.code == 0
    assert ran.error == (
        "the debug information is not here, but kept at 'gone.wasm'; name it with --debug-info FILE"
    )
    assert ttd("info", "linked.wasm").err == ran.err


def test_static_tools_take_the_file(ttd: Ttd, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "kept.wasm").write_bytes(only_debug(whole))
    (tmp_path / "whole.wasm").write_bytes(whole)
    module, bare = decode(whole), decode((tmp_path / "stripped.wasm").read_bytes())
    (function,) = DebugInfo(module).find_functions("factorial")
    offset = module.functions[function].code.start - module.code_offset
    frames = [
        ttd("addr2line", *words, hex(offset + code)).out.partition(" ")[2]
        for words, code in (
            (("whole.wasm",), module.code_offset),
            (("stripped.wasm", "--debug-info", "kept.wasm"), bare.code_offset),
        )
    ]
    assert frames[0] == frames[1]
    assert "factorial at " in frames[0]
    option = ("--debug-info", "kept.wasm")
    assert ";; calls.c:" in ttd("dis", "stripped.wasm", "factorial", *option).out.replace("tests/guests/", "")
    assert ", kept apart" in ttd("info", "stripped.wasm", *option).out
    assert " data " in ttd("symbols", "stripped.wasm", *option).out
    text = f"    0: {offset + bare.code_offset:#x} - stripped.wasm!<wasm function {function}>\n"
    assert "calls.c:" in ttd("symbolize", "stripped.wasm", *option, input=text).out
