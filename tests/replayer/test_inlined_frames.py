"""Optimised code: functions that were inlined are frames of their own, with their own variables and lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import Guests, marker_lines
from ttd.errors import ExpressionError, UsageError
from ttd.replayer.debugger import Debugger, ToEnd
from ttd.replayer.views import FrameView, StopKind, StopReport

Debug = Callable[[str], Debugger]

LEVELS = ("-O1", "-O2 -gdwarf-5")


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


# --- stepping ----------------------------------------------------------------------------------------------

Shown = tuple[str, str, int]
"""Function, marker of the line, how many frames are hidden."""


def shown(guest: Guests, name: str, report: StopReport) -> Shown:
    lines = {number: marker for marker, number in marker_lines(guest.source(name)).items()}
    place = report.where.location
    return report.where.function or "", lines.get(place.line if place else 0, ""), report.where.hidden


ROUND = [
    ("work", "norm", 2), ("norm", "first", 1), ("square", "square", 0), ("leaf", "leaf", 0),
    ("leaf", "leaf-end", 0), ("square", "square", 0), ("norm", "sum", 0), ("norm", "second", 1),
    ("square", "square", 0), ("leaf", "leaf", 0), ("leaf", "leaf-end", 0), ("square", "square", 0),
    ("work", "norm", 0), ("work", "print", 0),
]  # fmt: skip
"""The stops of one round of the loop in `work`. The compiler put the sum between the calls of `square`."""


def at_the_loop(debug: Debug, flags: str) -> Debugger:
    debugger = debug(f"inlines {flags}")
    debugger.break_("work")
    debugger.continue_()
    debugger.delete()
    return debugger


@pytest.mark.parametrize("flags", LEVELS)
def test_step_enters_an_inlined_function_from_its_call(debug: Debug, guest: Guests, flags: str) -> None:
    debugger = at_the_loop(debug, flags)
    there = [shown(guest, "inlines", debugger.step()) for _ in ROUND]
    assert there == ROUND
    back = [shown(guest, "inlines", debugger.step(reverse=True)) for _ in ROUND[1:]]
    assert back == ROUND[-2::-1]


@pytest.mark.parametrize("flags", LEVELS)
def test_next_steps_over_an_inlined_function(debug: Debug, guest: Guests, flags: str) -> None:
    debugger = at_the_loop(debug, flags)
    assert shown(guest, "inlines", debugger.next()) == ("work", "norm", 2)
    assert shown(guest, "inlines", debugger.next()) == ("work", "print", 0)
    assert shown(guest, "inlines", debugger.next(reverse=True)) == ("work", "norm", 2)
    debugger.step()
    stops = [shown(guest, "inlines", debugger.next()) for _ in range(3)]
    assert stops == [("norm", "sum", 0), ("norm", "second", 1), ("work", "norm", 0)]
    stops = [shown(guest, "inlines", debugger.next(reverse=True)) for _ in range(2)]
    assert stops == [("work", "norm", 2), ("work", "loop", 0)]


def test_next_from_the_first_line_goes_back_to_the_call(debug: Debug, guest: Guests) -> None:
    debugger = at_the_loop(debug, "-O2")
    debugger.step(3)
    position = debugger.position
    stops = [shown(guest, "inlines", debugger.next(reverse=True)) for _ in range(2)]
    assert stops == [("norm", "first", 1), ("work", "norm", 2)]
    assert debugger.position == position, "an inlined call takes no time"


@pytest.mark.parametrize("flags", LEVELS)
def test_finish_leaves_an_inlined_frame(debug: Debug, guest: Guests, flags: str) -> None:
    debugger = at_the_loop(debug, flags)
    debugger.step(4)
    assert shown(guest, "inlines", debugger.finish()) == ("square", "square", 0)
    report = debugger.finish()
    assert shown(guest, "inlines", report) == ("norm", "sum", 0)
    assert report.reason is StopKind.FINISHED and report.returned is None
    assert shown(guest, "inlines", debugger.finish()) == ("work", "norm", 0)
    assert shown(guest, "inlines", debugger.finish())[0] == "main"


@pytest.mark.parametrize("level, expected", [(1, ("norm", "first", 1)), (2, ("work", "norm", 2))])
def test_reverse_finish_leads_to_the_inlined_call(
    debug: Debug, guest: Guests, level: int, expected: Shown
) -> None:
    debugger = at_the_loop(debug, "-O2")
    debugger.step(5)
    debugger.select_frame(level)
    assert shown(guest, "inlines", debugger.finish(reverse=True)) == expected


def test_finish_of_an_outer_inlined_frame_leaves_all_inside(debug: Debug, guest: Guests) -> None:
    debugger = at_the_loop(debug, "-O2")
    debugger.step(4)
    debugger.select_frame(2)
    assert debugger.frames()[2].function == "norm"
    assert shown(guest, "inlines", debugger.finish()) == ("work", "norm", 0)


def test_until_and_advance_know_inlined_frames(debug: Debug, guest: Guests) -> None:
    debugger = at_the_loop(debug, "-O2")
    debugger.step(3)
    assert shown(guest, "inlines", debugger.until()) == ("norm", "sum", 0)
    assert shown(guest, "inlines", debugger.advance("square")) == ("square", "square", 0)
    debugger.select_frame(1)
    line = guest.line("inlines", "norm")
    assert shown(guest, "inlines", debugger.advance(f"{line}")) == ("work", "norm", 0), "norm is left"
    assert shown(guest, "inlines", debugger.advance(f"{line}")) == ("work", "norm", 2)
    assert shown(guest, "inlines", debugger.until(reverse=True)) == ("work", "loop", 0)


# --- breakpoints -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", LEVELS)
@pytest.mark.parametrize("spec", ["square", "inlines.c:{square}"])
def test_a_breakpoint_is_wherever_its_place_was_inlined(
    debug: Debug, guest: Guests, spec: str, flags: str
) -> None:
    debugger = debug(f"inlines {flags}")
    places = debugger.break_(spec.format(square=guest.line("inlines", "square"))).places
    assert [place.function_name for place in places] == ["square", "square"]
    callers = []
    for _ in range(4):
        assert shown(guest, "inlines", debugger.continue_()) == ("square", "square", 0)
        callers.append(line(debugger.frames()[1]))
    first, second = (guest.line("inlines", marker) for marker in ("first", "second"))
    assert callers == [first, second] * 2
    for caller in (first, second, first):
        debugger.continue_(reverse=True)
        assert line(debugger.frames()[1]) == caller


def test_a_breakpoint_at_an_inlined_call_stops_outside(debug: Debug, guest: Guests) -> None:
    debugger = debug("inlines -O2")
    (place,) = debugger.break_(f"inlines.c:{guest.line('inlines', 'norm')}").places
    assert (place.function_name, place.hidden) == ("work", 2)
    assert shown(guest, "inlines", debugger.continue_()) == ("work", "norm", 2)
    debugger.break_("square")
    assert debugger.continue_().breakpoints == (2,), "the second call"
    assert set(debugger.continue_().breakpoints) == {1, 2}
    assert debugger.where().function == "square"


def test_conditions_are_asked_in_the_inlined_function(debug: Debug, guest: Guests) -> None:
    debugger = debug("inlined -O0")
    debugger.break_("average", condition="count == 0 && sum == 0 && items[1] == 1")
    report = debugger.continue_()
    assert report.reason is StopKind.BREAKPOINT and "Error" not in report.message
    assert report.where.function == "average"
    with pytest.raises(ExpressionError):
        debugger.break_("ratio", condition="items != 0")
    debugger.delete()
    debugger.break_("ratio", temporary=True, condition="sum >= 0")
    assert debugger.continue_().where.function == "ratio"
    assert debugger.breakpoints == []


def test_a_function_that_is_not_there_is_still_refused(debug: Debug) -> None:
    with pytest.raises(UsageError, match="not defined"):
        debug("inlines -O2").break_("squared")


def test_the_rounds_of_an_inlined_loop_are_no_calls(debug: Debug, guest: Guests) -> None:
    debugger = debug("inlinedloop -O2")
    debugger.break_("main")
    debugger.continue_()
    stops = [shown(guest, "inlinedloop", debugger.step()) for _ in range(10)]
    assert {(function, hidden) for function, _, hidden in stops[:9]} == {("drain", 0)}
    assert stops[9][:2] == ("main", "keep")
    debugger.step(4, reverse=True)
    assert shown(guest, "inlinedloop", debugger.finish(reverse=True)) == ("main", "drain", 1)
    assert shown(guest, "inlinedloop", debugger.next()) == ("main", "keep", 0)
