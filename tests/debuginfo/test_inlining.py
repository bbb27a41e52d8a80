"""Inlined calls: the functions of the source that an instruction came from."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.inlining import SourceFrame

LEVELS = ("-O0", "-O2")
VERSIONS = ("-gdwarf-4", "-gdwarf-5")


def debug_of(guest: Guests, name: str, *flags: str) -> DebugInfo:
    return DebugInfo(load(guest(name, *flags)))


def division(debug: DebugInfo) -> int:
    """The pc of the division in `report` of the guest inlined.c."""
    (report,) = debug.find_functions("report")
    (pc,) = [
        i.offset for i in debug.module.functions[report].code.instructions if i.op.mnemonic == "i32.div_s"
    ]
    return pc


@pytest.mark.parametrize("dwarf", VERSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_inlined_calls_are_frames_of_their_own(guest: Guests, level: str, dwarf: str) -> None:
    debug = debug_of(guest, "inlined", level, dwarf)
    frames = debug.source_frames(division(debug))
    assert [(frame.name, frame.is_inlined) for frame in frames] == [
        ("ratio", True), ("average", True), ("report", False),
    ]  # fmt: skip
    places = [(Path(frame.location.path).name, frame.location.line) for frame in frames if frame.location]
    assert places == [("inlined.c", guest.line("inlined", m)) for m in ("ratio", "average", "report")]
    assert len({frame.entry for frame in frames}) == 3


def test_code_of_one_function_only_is_one_frame(guest: Guests) -> None:
    debug = debug_of(guest, "inlined")
    (main,) = debug.find_functions("main")
    pc = debug.breakpoint_pc(main)
    assert pc is not None
    (frame,) = debug.source_frames(pc)
    assert (frame.name, frame.is_inlined, frame.location) == ("main", False, debug.location(pc))


def test_without_dwarf_the_frame_has_no_line(guest: Guests) -> None:
    debug = debug_of(guest, "inlined", "-O0", "-g0")
    (report,) = debug.find_functions("report")
    start = debug.module.functions[report].code.start
    assert debug.source_frames(start) == [SourceFrame("report", None, False, 0)]


def test_outside_of_the_code_there_is_no_frame(guest: Guests) -> None:
    debug = debug_of(guest, "inlined")
    assert debug.source_frames(0) == []
    assert debug.source_frames(1 << 40) == []


@pytest.mark.parametrize("dwarf", VERSIONS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["inlined", "inlines", "hello"])
def test_frames_are_those_of_llvm_symbolizer(guest: Guests, name: str, level: str, dwarf: str) -> None:
    """At 300 instructions anywhere in the program, its C library included."""
    tool = shutil.which("llvm-symbolizer")
    if tool is None:
        pytest.skip("llvm-symbolizer is not installed (Debian: llvm)")
    path = guest(name, level, dwarf)
    debug = DebugInfo(load(path))
    pcs = [pc for function in debug.module.functions if function.body for pc in function.body.rests]
    pcs = random.Random(4).sample(pcs, 300)
    depths = set()
    for pc, expected in zip(pcs, symbolizer_frames(tool, path, debug, pcs), strict=True):
        frames = debug.source_frames(pc)
        depths.add(len(expected))
        if expected and expected[0][2] == 0:  # ttd shows the line before it where it belongs there
            assert frames[0].location is None or frames[0].location.line > 0
            frames, expected = frames[1:], expected[1:]
        assert [described(frame) for frame in frames] == expected, hex(pc)
    assert max(depths) > 1 or level == "-O0", "there was nothing inlined to compare"


Described = tuple[str, str, int, int]


def described(frame: SourceFrame) -> Described:
    place = frame.location
    name = frame.name.rpartition("::")[2]
    return (name, place.path, place.line, place.column) if place is not None else (name, "", 0, 0)


def symbolizer_frames(tool: str, path: Path, debug: DebugInfo, pcs: list[int]) -> list[list[Described]]:
    addresses = "\n".join(hex(pc - debug.module.code_offset) for pc in pcs)
    options = ("--functions=short", "--no-demangle", "--output-style=JSON")
    done = subprocess.run(
        [tool, f"--obj={path}", *options], input=addresses, capture_output=True, text=True, check=True
    )
    return [
        [(s["FunctionName"], s["FileName"], s["Line"], s["Column"]) for s in json.loads(line)["Symbol"]]
        for line in done.stdout.splitlines()
    ]


@pytest.mark.parametrize("flags", [("-O1", "-gdwarf-4"), ("-O2", "-gdwarf-5")])
def test_an_inlined_subroutine_has_all_its_variables(guest: Guests, flags: tuple[str, ...]) -> None:
    """Also those of which only the abstract instance is left, in their order."""
    debug = DebugInfo(load(guest("inlines", *flags)))
    (index,) = debug.find_functions("work")
    found = {}
    for pc in debug.module.functions[index].code.rests:
        for scope, frame in zip(debug.scopes(pc), debug.source_frames(pc), strict=True):
            visible = scope.visible(pc)
            found[frame.name] = [variable.name for variable in visible], frame.is_inlined
    assert found["square"] == (["n", "result"], True)
    assert found["norm"][0][0] == "p" and sorted(found["norm"][0][1:]) == ["first", "second"]
    assert found["work"][1] is False
