"""Backtraces."""

from __future__ import annotations

from dataclasses import replace

from tests.debuginfo.program import Stopped
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.expr import backtrace, format_backtrace


def test_frames_have_names_arguments_and_lines(guest: Guests) -> None:
    stopped = Stopped(guest, "calls", "product")
    lines = format_backtrace(stopped.state, stopped.debug).splitlines()
    third = guest.line("calls", "third")
    index = stopped.state.frames[-2].locals
    assert lines[0] == f"#0  multiply (a=5, b=6) at calls.c:{stopped.line}"
    assert lines[1].startswith("#1  apply (function=0x") and lines[1].endswith(
        f" <multiply>, a=5, b=6) at calls.c:{guest.line('calls', 'indirect')}"
    )
    assert lines[2] == f"#2  main () at calls.c:{third}"
    assert lines[3].startswith("#3  _start () at ")
    assert index
    stopped.engine.close()


def test_the_middle_of_a_deep_backtrace_is_left_out(guest: Guests) -> None:
    stopped = Stopped(guest, "calls", "base")
    depth = len(stopped.state.frames)
    lines = format_backtrace(stopped.state, stopped.debug, limit=5).splitlines()
    assert [line.split()[0] for line in lines] == ["#0", "#1", "#2", "...", f"#{depth - 2}", f"#{depth - 1}"]
    assert lines[3] == f"... {depth - 5} more frames ..."
    assert lines[0] == f"#0  factorial (n=1) at calls.c:{stopped.line}"
    assert [frame.level for frame in backtrace(stopped.state, stopped.debug, 2)] == [0, 1]
    stopped.engine.close()


def test_structures_and_strings_as_arguments_are_short(guest: Guests) -> None:
    stopped = Stopped(guest, "structs", "push")
    first = backtrace(stopped.state, stopped.debug)[0]
    arguments = {parameter.name: value for parameter, value in first.arguments}
    assert first.frame.name == "push"
    assert arguments["colour"] == "RED"
    assert arguments["weight"] == "2.5"
    assert arguments["name"].endswith(' "alpha"')
    stopped.engine.close()


def test_without_debug_information_frames_have_offsets(guest: Guests) -> None:
    stopped = Stopped(guest, "calls", "product")
    customs = tuple(section for section in stopped.module.customs if not section.name.startswith(".debug"))
    debug = DebugInfo(replace(stopped.module, customs=customs))
    frame = stopped.state.frames[-1]
    lines = format_backtrace(stopped.state, debug).splitlines()
    assert lines[0] == f"#0  {frame.pc:#010x} in multiply ()"
    stopped.engine.close()


def test_no_frames_no_text(guest: Guests) -> None:
    stopped = Stopped(guest, "calls", "product")
    state = replace(stopped.state, frames=[])
    assert format_backtrace(state, stopped.debug) == ""
    stopped.engine.close()
