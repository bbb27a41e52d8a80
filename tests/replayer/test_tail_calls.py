"""Backtraces in programs with tail calls: frames that are gone are told of, as far as the code tells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import Guests
from ttd.expr import format_backtrace
from ttd.replayer.debugger import Debugger

Debug = Callable[[str], Debugger]

EXPECTED = [
    ("plain", ""),
    ("chain", "(tail call from middle, tail call from first)"),
    ("round", "(tail call)"),
    ("either", "(tail call)"),
    ("pointer", "(tail call)"),
]
"""By the line of main that is under way in `last`. Going round and round, and two ways, are not certain."""


@pytest.mark.parametrize("flags", ["-O0 -mtail-call", "-O2 -mtail-call -gdwarf-5"])
def test_a_frame_tells_that_it_was_entered_by_a_tail_call(debug: Debug, guest: Guests, flags: str) -> None:
    debugger = debug(f"tailcalls {flags}")
    debugger.break_("last")
    for marker, note in EXPECTED:
        debugger.continue_()
        last, main = debugger.frames(2)
        assert (last.function, main.function) == ("last", "main")
        assert main.location is not None and main.location.line == guest.line("tailcalls", marker)
        assert (last.note, main.note) == (note, ""), marker
    text = format_backtrace(debugger._session.state, debugger.debug).splitlines()[0]
    assert text.endswith(f" at tailcalls.c:{guest.line('tailcalls', 'last')} (tail call)")


def test_frames_without_debug_information_tell_it_too(debug: Debug) -> None:
    debugger = debug("wat:tail")
    seen = {}
    while debugger.position < debugger.end:
        for frame, caller in zip(debugger.frames(), debugger.frames(first=1), strict=False):
            seen[frame.function, caller.function] = frame.note
        debugger.stepi(5)
    assert seen["other", "outer"] == "(tail call from swap)"
    assert seen["swap", "outer"] == seen["outer", "main"] == ""
