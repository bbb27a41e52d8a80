"""Optimised code: functions that were inlined are frames of their own, with their own variables and lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import Guests
from ttd.errors import UsageError
from ttd.replayer.debugger import Debugger, ToEnd
from ttd.replayer.views import FrameView

Debug = Callable[[str], Debugger]

LEVELS = ("-O1", "-O2", "-O2 -gdwarf-5")


def frames(debugger: Debugger) -> list[tuple[str, int]]:
    """The frames of the guest's own functions: name and line."""
    return [(frame.function, line(frame)) for frame in debugger.frames() if frame.function[0] != "_"]


def line(frame: FrameView) -> int:
    return frame.location.line if frame.location is not None else 0


@pytest.mark.parametrize("flags", LEVELS)
def test_each_inlined_function_is_a_frame_at_its_call(debug: Debug, guest: Guests, flags: str) -> None:
    debugger = debug(f"inlines {flags}")

    debugger.break_("leaf")
    for call in ("first", "second"):
        debugger.continue_()
        chain = [("leaf", "leaf"), ("square", "square"), ("norm", call), ("work", "norm"), ("main", "work")]
        assert frames(debugger) == [(name, guest.line("inlines", marker)) for name, marker in chain]
    views = debugger.frames()
    assert [view.is_inlined for view in views[:5]] == [False, True, True, False, False]
    assert len({view.entry for view in views[1:4]}) == 1
    assert [view.level for view in views] == list(range(debugger.frame_count))


@pytest.mark.parametrize("flags", LEVELS)
def test_each_frame_has_its_own_arguments_and_locals(debug: Debug, flags: str) -> None:
    debugger = debug(f"inlines {flags}")
    debugger.break_("leaf")
    debugger.continue_()
    seen = []
    for level in range(4):
        debugger.select_frame(level)
        arguments = [variable.name for variable in debugger.arguments()]
        seen.append((arguments, sorted(variable.name for variable in debugger.locals())))
    assert seen == [
        (["n"], []), (["n"], ["result"]), (["p"], ["first", "second"]), (["count"], ["i", "q", "sum"]),
    ]  # fmt: skip
    with pytest.raises(UsageError):
        debugger.select_frame(debugger.frame_count)


def test_frames_are_gone_through_one_by_one(debug: Debug) -> None:
    debugger = debug("inlines -O2")
    debugger.break_("leaf")
    debugger.continue_()
    assert [debugger.up().function for _ in range(3)] == ["square", "norm", "work"]
    assert debugger.where().function == "work" and debugger.where().level == 3
    assert [debugger.down().function for _ in range(3)] == ["norm", "square", "leaf"]
    assert debugger.up(99).level == debugger.frame_count - 1
    assert [view.function for view in debugger.frames(2, first=1)] == ["square", "norm"]


@pytest.mark.parametrize("flags", ["-O0", "-O2"])
def test_a_trap_in_an_inlined_function_is_shown_there(debug: Debug, guest: Guests, flags: str) -> None:
    debugger = debug(f"inlined {flags}")
    debugger.goto(ToEnd())
    assert frames(debugger) == [
        (name, guest.line("inlined", name)) for name in ("ratio", "average", "report", "main")
    ]
    assert debugger.where().function == "ratio"
    debugger.select_frame(1)
    assert sorted(variable.name for variable in debugger.locals()) == ["sum"]
    if flags == "-O0":
        assert debugger.print_("sum + count") == "0"


def test_the_same_place_means_another_variable_in_another_frame(debug: Debug) -> None:
    debugger = debug("inlined -O0")
    debugger.goto(ToEnd())
    names = []
    for level in range(3):
        debugger.select_frame(level)
        names.append([name for name in debugger.variable_names() if name in ("sum", "items", "count")])
    assert names == [["count", "sum"], ["count", "items", "sum"], ["count", "items"]]


def test_nexti_leaves_what_is_called_but_not_what_is_inlined(debug: Debug) -> None:
    debugger = debug("inlines -O2")
    debugger.break_("leaf")
    debugger.continue_()
    debugger.delete()
    debugger.finish(reverse=True)
    call = debugger.position
    assert debugger.where().function == "square"
    entry = debugger.frames(1)[0].entry
    debugger.nexti()
    assert debugger.frames(1)[0].entry == entry and debugger.position > call
    debugger.nexti(reverse=True)
    assert debugger.position == call
    debugger.nexti(20)
    assert debugger.frames(1)[0].entry == entry
