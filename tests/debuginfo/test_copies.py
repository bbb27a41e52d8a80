"""Functions that several units compile: the linker takes one copy, and all of their DWARF refers to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.framebases import frame_bases
from ttd.wasm.model import Function


@pytest.fixture(scope="module", params=[(), ("-O1",)], ids=str)
def debug(guest: Guests, request: pytest.FixtureRequest) -> DebugInfo:
    return DebugInfo(load(guest("twins", *request.param)))


@pytest.fixture(scope="module")
def line(guest: Guests) -> int:
    header = guest.files("twins")[0].with_name("twins.h")
    return next(n for n, text in enumerate(header.read_text().splitlines(), 1) if "@shared" in text)


def shared(debug: DebugInfo) -> Function:
    (index,) = debug.find_functions("shared")
    return debug.module.functions[index]


def test_the_copy_in_the_program_is_the_one_that_is_read(debug: DebugInfo, line: int) -> None:
    function = shared(debug)
    assert Path(debug.unit_name(function.code.start)).name == "first.c"
    lines = {
        location.line
        for pc in function.code.rests
        if (location := debug.location(pc)) is not None and location.path.endswith("twins.h")
    }
    assert line in lines and line - 1 not in lines  # the PAD of the other copy


def test_a_line_has_the_code_of_that_copy_only(debug: DebugInfo, line: int) -> None:
    actual, pcs = debug.pcs_for_line("twins.h", line)
    location = debug.location(pcs[0])
    assert (actual, len(pcs)) == (line, 1)
    assert location is not None and location.line == line
    assert debug.pcs_for_line("twins.h", line - 1) == (line, pcs)  # where only the other has code


def test_it_has_the_frame_base_of_either(debug: DebugInfo) -> None:
    scope = debug.scopes(shared(debug).code.start)[-1]
    assert scope.frame_base is not None
    ((_, (kind, local, *_)), *_) = scope.frame_base.ranges[0].operations
    assert isinstance(local, int)
    assert kind != 0 or frame_bases(debug.module)[shared(debug).index] >> local & 1
