"""The façade: what a front end is told, and how mistakes are answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.replayer.model import Run
from tests.replayer.rewriting import rewrite
from tests.support import Guests
from ttd.errors import Divergence, ExpressionError, UsageError
from ttd.interpreter import Interpreter
from ttd.replayer import session as session_module
from ttd.replayer.debugger import (
    Debugger,
    ToBegin,
    ToEnd,
    ToEvent,
    ToPercent,
    ToPosition,
    parse_target,
)
from ttd.replayer.inspect import Inspector
from ttd.replayer.views import BreakpointKind, Progress, StopKind
from ttd.state import State
from ttd.store.trace import Trace
from ttd.types import Ending, EndKind, Position
from ttd.wasm.typing import land

Debug = Callable[[str], Debugger]


class StackReads:
    """Counts how often the interpreter is asked for all its frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        read = Interpreter.state.fget
        assert read is not None

        def counted(interpreter: Interpreter) -> State:
            self.count += 1
            state: State = read(interpreter)
            return state

        monkeypatch.setattr(Interpreter, "state", property(counted))


Recorded = Callable[[str], Path]
Runs = Callable[[str], Run]


def at(debugger: Debugger, spec: str) -> Debugger:
    """`debugger`, at the first arrival at a place."""
    debugger.break_(spec, temporary=True)
    assert debugger.continue_().reason is StopKind.BREAKPOINT
    return debugger


# --- places in time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("1200:7", ToPosition(Position(1200, 7))),
        (" 1200 ", ToPosition(Position(1200, 0))),
        ("event 5", ToEvent(5)),
        ("Event #5", ToEvent(5)),
        ("37%", ToPercent(37.0)),
        ("37.5 %", ToPercent(37.5)),
        ("begin", ToBegin()),
        ("start", ToBegin()),
        ("END", ToEnd()),
    ],
)
def test_targets_are_read(text: str, target: object) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "x", "-1", "1:2:3", "101%", "event", "event x", "1e9", "9" * 30])
def test_what_is_no_target_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


def test_goto_reaches_begin_end_events_and_shares(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("calls"), runs("calls")
    report = debugger.goto(ToEnd())
    assert (report.reason, report.where.percent) == (StopKind.ENDED, 100.0)
    assert report.ending == debugger.ending and "exited with code 0" in report.message
    assert report.where.function is None and debugger.frames() == []
    event = replace(debugger.trace.event(1), position=run.events[1])
    report = debugger.goto(ToEvent(1))
    assert report.call == event and debugger.event == 1
    assert report.where.position == event.position
    assert debugger.goto(ToPercent(50)).where.percent == pytest.approx(50, abs=2)
    assert debugger.goto(ToPercent(100)).where.position == debugger.end
    assert debugger.goto(ToBegin()).where.position == debugger.begin == Position(1, 0)


def test_goto_does_not_heed_breakpoints(debug: Debug) -> None:
    debugger = debug("calls")
    debugger.break_("factorial")
    assert debugger.goto(ToEnd()).breakpoints == ()
    assert debugger.breakpoints[0].hits == 0


@pytest.mark.parametrize("target", [ToPosition(Position(0, 0)), ToPosition(Position(10**9)), ToEvent(99)])
def test_goto_outside_of_the_recording_is_a_usage_error(debug: Debug, target: ToPosition | ToEvent) -> None:
    debugger = debug("calls")
    with pytest.raises(UsageError):
        debugger.goto(target)
    assert debugger.position == debugger.begin


def test_a_step_that_there_is_not_leads_to_the_next_position(debug: Debug) -> None:
    debugger = debug("calls")
    report = debugger.goto(ToPosition(Position(3, 10**6)))
    assert report.where.position == Position(4, 0)
    assert "3:1000000" in report.message


# --- ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("motion", ["stepi", "step", "next", "until", "continue_"])
@pytest.mark.parametrize("guest_name", ["calls", "trap"])
def test_motions_at_either_end_stay_and_say_so(debug: Debug, guest_name: str, motion: str) -> None:
    debugger = debug(guest_name)
    report = getattr(debugger, motion)(reverse=True)
    assert (report.reason, report.where.position) == (StopKind.BEGIN, debugger.begin)
    assert "begin" in report.message
    debugger.goto(ToEnd())
    if debugger.frame_count:
        debugger.break_()
    report = getattr(debugger, motion)()
    assert (report.reason, report.where.position) == (StopKind.ENDED, debugger.end)
    assert report.ending == debugger.ending


def test_a_trap_ends_the_run_with_all_frames(debug: Debug, guest: Guests) -> None:
    debugger = debug("trap")
    catch = debugger.catch("trap")
    report = debugger.continue_()
    assert report.reason is StopKind.CATCHPOINT and report.breakpoints == (catch.number,)
    assert report.ending is not None and report.ending.kind is EndKind.TRAP
    assert "integer divide by zero" in report.message
    assert [frame.function for frame in debugger.frames(3)] == ["divide", "process", "main"]
    assert report.where.location is not None
    assert report.where.location.line == guest.line("trap", "trap")
    assert debugger.print_("item->divisor") == "0"
    debugger.watch("item->divisor")
    debugger.continue_(reverse=True)
    cause = debugger.where().location
    assert cause is not None and cause.line == guest.line("trap", "cause")


def test_an_interrupted_recording_ends_where_it_was_interrupted(recorded: Recorded, tmp_path: Path) -> None:
    ending = Ending(EndKind.INTERRUPTED, Position(120, 3))
    path = rewrite(
        recorded("loops"),
        tmp_path / "t",
        lambda events: [e for e in events if e.position <= ending.position],
        lambda snapshots: [],
        ending,
    )
    with Trace.open(path) as trace, Debugger(trace) as debugger:
        report = debugger.continue_()
        assert (report.reason, report.where.position) == (StopKind.END_OF_TRACE, ending.position)
        assert "interrupted" in report.message
        assert debugger.stepi().where.position == ending.position
        assert debugger.stepi(reverse=True).where.position < ending.position
        assert debugger.stepi().reason is StopKind.END_OF_TRACE


# --- motions -----------------------------------------------------------------------------------------


def test_next_stays_in_its_frame_and_returns_to_the_callers_line(debug: Debug, guest: Guests) -> None:
    debugger = at(debug("calls"), "factorial")
    entry = debugger.frames()[0].entry
    lines = []
    while debugger.next().where.function == "factorial":
        assert debugger.frames()[0].entry == entry
        where = debugger.where()
        assert where.location is not None
        lines.append(where.location.line)
    assert guest.line("calls", "multiply") in lines
    where = debugger.where()
    assert where.function == "main" and where.mid_line
    assert where.location is not None and where.location.line == guest.line("calls", "second")


def test_reverse_next_from_the_first_line_leads_to_the_line_of_the_call(debug: Debug, guest: Guests) -> None:
    debugger = at(debug("calls"), "factorial")
    report = debugger.next(reverse=True)
    assert report.where.function == "main" and report.where.location is not None
    assert report.where.location.line == guest.line("calls", "second")
    assert not report.where.mid_line


def test_finish_tells_the_value_in_its_type(debug: Debug) -> None:
    debugger = at(debug("calls"), "leaf")
    report = debugger.finish()
    assert (report.reason, report.returned) == (StopKind.FINISHED, "3")
    debugger.goto(ToBegin())
    at(debugger, "factorial")
    report = debugger.finish()
    assert (report.where.function, report.returned) == ("main", "720")


def test_finish_of_an_outer_frame_passes_the_inner_ones(debug: Debug) -> None:
    debugger = debug("calls")
    debugger.break_("factorial")
    for _ in range(4):
        debugger.continue_()
    debugger.delete()
    debugger.up(2)
    report = debugger.finish()
    assert (report.where.function, report.returned) == ("factorial", "120")
    assert debugger.selected == 0


def test_finish_tells_no_value_where_an_exception_passed(debug: Debug) -> None:
    debugger = debug("wat:throw")
    returned = []
    debugger.watch("16, 4", any_write=True)
    for _ in range(5):
        debugger.continue_()
        debugger.select_frame(1)
        returned.append(debugger.finish().returned)
    assert returned == ["1", None, "5", None, "9"]


def test_finish_in_the_outermost_frame_is_a_usage_error(debug: Debug) -> None:
    debugger = debug("calls")
    for reverse in (False, True):
        with pytest.raises(UsageError, match="outermost"):
            debugger.finish(reverse)


def test_reverse_finish_stands_at_the_call_and_stepi_enters_again(debug: Debug) -> None:
    debugger = at(debug("calls"), "leaf")
    entry = debugger.frames()[0].entry
    report = debugger.finish(reverse=True)
    assert (report.reason, report.where.function) == (StopKind.MOVED, "main")
    line = next(line for line in debugger.disassemble() if line.is_current)
    assert "call" in line.text and "leaf" in line.text
    assert debugger.stepi().where.position == entry


def test_until_leaves_a_loop_and_reverse_until_too(debug: Debug, guest: Guests) -> None:
    debugger = at(debug("loops"), f"loops.c:{guest.line('loops', 'add')}")
    lines = []
    for _ in range(3):
        where = debugger.until().where
        assert where.location is not None and where.function == "sum"
        lines.append(where.location.line)
    add = guest.line("loops", "add")
    assert lines == [add - 1, add + 1, guest.line("loops", "checksum")]
    where = debugger.until(reverse=True).where
    assert where.location is not None and where.location.line == add + 1
    total = debugger.until(str(guest.line("loops", "total"))).where
    assert total.location is not None and total.location.line == guest.line("loops", "total")
    back = debugger.until(str(guest.line("loops", "checksum")), reverse=True).where
    assert back.location is not None and back.location.line == guest.line("loops", "checksum")
    assert back.position < total.position


def test_until_a_place_is_for_the_selected_frame_and_advance_for_any(debug: Debug, guest: Guests) -> None:
    debugger = at(debug("calls"), "factorial")
    entry = debugger.frames()[0].entry
    spec = str(guest.line("calls", "multiply"))
    assert debugger.until(spec).where.function == "factorial"
    assert debugger.frames()[0].entry == entry
    debugger.goto(ToPosition(entry))
    debugger.stepi()
    debugger.advance(spec)
    assert debugger.frames()[0].entry > entry


def test_until_stops_where_the_frame_is_left(debug: Debug, guest: Guests) -> None:
    debugger = at(debug("calls"), "leaf")
    report = debugger.until(str(guest.line("calls", "print")))
    assert report.where.function == "main"
    assert report.where.location is not None
    assert report.where.location.line == guest.line("calls", "first")


def test_counts_repeat_a_motion_until_a_breakpoint(debug: Debug) -> None:
    debugger = at(debug("calls"), "main")
    once = debugger.position
    singles = [debugger.next().where.position for _ in range(3)]
    debugger.goto(ToPosition(once))
    assert debugger.next(3).where.position == singles[-1]
    assert debugger.next(3, reverse=True).where.position == once
    number = debugger.break_("factorial").number
    assert debugger.next(100).breakpoints == (number,)
    assert debugger.stepi(500).breakpoints == (number,)
    with pytest.raises(UsageError):
        debugger.step(0)


def test_continue_with_a_count_ignores_the_breakpoint_here(debug: Debug) -> None:
    debugger = debug("loops")
    debugger.break_("cell", condition="row == 2")
    debugger.continue_()
    report = debugger.continue_(3)
    assert debugger.print_("column") == "3"
    assert "ignore next 2" in report.message
    assert debugger.continue_(3, reverse=True).reason is StopKind.BREAKPOINT
    assert debugger.print_("column") == "0"
    debugger.goto(ToBegin())
    assert "argument ignored" in debugger.continue_(2).message


# --- breakpoints -------------------------------------------------------------------------------------


def test_a_temporary_breakpoint_stops_once(debug: Debug) -> None:
    debugger = debug("calls")
    debugger.break_("factorial", temporary=True)
    assert "Temporary breakpoint 1" in debugger.continue_().message
    assert debugger.breakpoints == []
    assert debugger.continue_().reason is StopKind.ENDED


def test_disabled_breakpoints_do_not_stop(debug: Debug) -> None:
    debugger = debug("calls")
    number = debugger.break_("factorial").number
    debugger.disable(number)
    assert debugger.continue_().reason is StopKind.ENDED
    debugger.enable()
    assert debugger.continue_(reverse=True).breakpoints == (number,)


def test_a_condition_that_cannot_be_told_stops_and_says_why(debug: Debug) -> None:
    debugger = debug("calls")
    debugger.break_("leaf", condition="*(int *)0xffffffff > 3")
    report = debugger.continue_()
    assert report.reason is StopKind.BREAKPOINT
    assert "Error in testing condition of breakpoint 1" in report.message
    assert "0xffffffff" in report.message


def test_a_condition_on_what_is_not_there_is_refused(debug: Debug) -> None:
    debugger = debug("calls")
    with pytest.raises(ExpressionError, match="no symbol 'nothing_like_it' in the current context"):
        debugger.break_("leaf", condition="nothing_like_it > 3")
    assert not debugger.breakpoints
    number = debugger.break_("factorial", condition="n == 3").number
    with pytest.raises(ExpressionError, match="no symbol 'm'"):
        debugger.condition(number, "n > 3 || (unsigned)m")
    assert debugger.breakpoints[0].condition == "n == 3"


def test_the_condition_of_a_watch_sees_the_new_value(debug: Debug) -> None:
    debugger = debug("loops")
    debugger.watch("checksum", condition="checksum > 100000 && checksum < 1000000")
    report = debugger.continue_()
    assert (report.reason, report.changes[0].new) == (StopKind.WATCHPOINT, "359140")
    assert debugger.continue_().reason is StopKind.ENDED
    assert debugger.continue_(reverse=True).where.position == report.where.position


def test_a_watch_for_any_write_counts_equal_ones_too(debug: Debug) -> None:
    debugger = debug("wat:cascade")
    assert len(changes_of(debugger, any_write=False)) < len(changes_of(debugger, any_write=True))


def changes_of(debugger: Debugger, any_write: bool) -> list[Position]:
    debugger.delete()
    debugger.watch("0x4, 4", any_write=any_write)
    debugger.goto(ToBegin())
    found = []
    while (report := debugger.continue_()).reason is StopKind.WATCHPOINT:
        found.append(report.where.position)
    back = []
    while (report := debugger.continue_(reverse=True)).reason is StopKind.WATCHPOINT:
        back.append(report.where.position)
    assert back[::-1] == found
    return found


def test_a_watch_sees_what_host_calls_write(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("calls"), runs("calls")
    written = next(e for e in debugger.trace.events() if e.writes and any(e.writes[0].data))
    written = replace(written, position=run.events[written.number])
    write = written.writes[0]
    debugger.watch(f"{write.address}, {len(write.data)}", any_write=True)
    debugger.catch("call")
    debugger.goto(ToPosition(written.position))
    debugger.stepi(reverse=True)
    report = debugger.continue_()
    assert report.where.position == written.position
    assert report.breakpoints == (1, 2) and report.call == written


def test_the_end_of_a_watched_frame_is_told_from_either_side(debug: Debug) -> None:
    debugger = at(debug("calls"), "factorial")
    number = debugger.watch("smaller").number
    debugger.finish()
    while debugger.frames()[0].function == "factorial":
        report = debugger.continue_()
    gone = report.where.position
    assert "has been left" in report.message
    assert report.breakpoints == (number,)
    debugger.stepi()
    back = debugger.stepi(reverse=True)
    assert (back.where.position, back.breakpoints) == (gone, report.breakpoints)
    assert back.message == report.message
    assert debugger.stepi(reverse=True).breakpoints == ()


@pytest.mark.parametrize("spec", ["*factorial", "* &factorial"])
def test_a_function_is_an_address_of_code(debug: Debug, spec: str) -> None:
    debugger = debug("calls")
    (function,) = debugger.debug.find_functions("factorial")
    body = debugger.module.functions[function].body
    assert body is not None
    (place,) = debugger.break_(spec).places
    assert (place.function, place.pc) == (function, land(debugger.module.functions[function], body.start))
    assert debugger.code_address("factorial") == debugger.code_address("&factorial") == body.start
    assert debugger.print_("&factorial") == f"{body.start:#x} <factorial>"
    lines = debugger.disassemble("factorial")
    for address in (hex(body.start), f"*{lines[3].pc}", str(lines[-2].pc)):
        assert debugger.disassemble(address) == lines


@pytest.mark.parametrize(
    "spec", ["nowhere", "nofile.c:3", "calls.c:99999", "*0x3", "*zzz", "*99999999", "fd_write"]
)
def test_places_that_there_are_not_are_usage_errors(debug: Debug, spec: str) -> None:
    debugger = debug("calls")
    with pytest.raises(UsageError):
        debugger.break_(spec)
    assert debugger.breakpoints == []


def test_a_line_without_code_slides_to_the_next_and_says_so(debug: Debug, guest: Guests) -> None:
    line = guest.line("calls", "first")
    made = debug("calls").break_(f"calls.c:{line - 2}")
    assert made.places[0].location is not None
    assert made.places[0].location.line > line - 2
    assert f"line {line - 2} has no code" in made.note


@pytest.mark.parametrize(("name", "marker"), [("loops", "cell"), ("library", "scaled")])
def test_at_the_begin_the_file_is_that_of_main_or_of_the_export(
    debug: Debug, guest: Guests, name: str, marker: str
) -> None:
    debugger = debug(name)
    line = guest.line(name, marker)
    (place,) = debugger.break_(str(line)).places
    assert place.location is not None and place.location.line == line
    assert place.location.path.endswith(f"{name}.c")
    view = debugger.source()
    assert view is not None and view.path.endswith(f"{name}.c")
    debugger.continue_()
    after = debugger.source()
    assert after is not None and line in [each.number for each in after.lines if each.is_current]


def test_a_function_that_is_only_inlined_has_a_place_where_it_is(debug: Debug) -> None:
    debugger = debug("library")
    (place,) = debugger.break_("doubled").places
    assert place.function_name == "doubled" != debugger.debug.function_name(place.function)


def test_breaking_without_a_place_means_here(debug: Debug) -> None:
    debugger = at(debug("calls"), "factorial")
    here = debugger.position
    made = debugger.break_()
    debugger.step(reverse=True)
    assert debugger.continue_().where.position == here
    assert made.places[0].pc == debugger.where().pc


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda d: d.watch("1 + 1"), ExpressionError),
        (lambda d: d.watch("no_such_variable"), ExpressionError),
        (lambda d: d.watch("0x0, 0"), UsageError),
        (lambda d: d.watch("0xfffffff0, 8"), UsageError),
        (lambda d: d.watch("0, 99999999"), UsageError),
        (lambda d: d.break_("leaf", condition="1 +"), ExpressionError),
        (lambda d: d.catch("throw"), UsageError),
        (lambda d: d.catch("call", ["fd_wriet"]), UsageError),
        (lambda d: d.catch("trap", ["x"]), UsageError),
        (lambda d: d.delete(7), UsageError),
        (lambda d: d.ignore(7, 1), UsageError),
        (lambda d: d.condition(7, "1"), UsageError),
        (lambda d: d.select_frame(99), UsageError),
        (lambda d: d.down(), UsageError),
        (lambda d: d.read_memory(1 << 40, 1), UsageError),
        (lambda d: d.read_memory(0, 1, memory=3), UsageError),
        (lambda d: d.disassemble("nothing"), UsageError),
        (lambda d: d.disassemble(10**6), UsageError),
        (lambda d: d.evaluate("1 +"), ExpressionError),
        (lambda d: d.print_("1", "q"), ExpressionError),
        (lambda d: d.print_("*(int *)0xfffffff0"), ExpressionError),
        (lambda d: d.print_("*(int (*)[4])0xfffffff0"), ExpressionError),
    ],
)
def test_mistakes_are_told_and_change_nothing(
    debug: Debug, call: Callable[[Debugger], object], error: type[Exception]
) -> None:
    debugger = debug("calls")
    before = debugger.position
    with pytest.raises(error):
        call(debugger)
    assert (debugger.position, debugger.breakpoints) == (before, [])


def test_breakpoints_can_be_changed(debug: Debug) -> None:
    debugger = debug("loops")
    number = debugger.break_("cell").number
    assert debugger.condition(number, "if row == 5").condition == "if row == 5"
    assert debugger.continue_().where.function == "cell"
    assert debugger.print_("row") == "5"
    debugger.condition(number, None)
    debugger.ignore(number, 2)
    debugger.continue_()
    assert debugger.print_("column") == "3"
    (view,) = debugger.breakpoints
    assert (view.kind, view.hits, view.ignore) == (BreakpointKind.CODE, 4, 0)


# --- interrupts and failures -------------------------------------------------------------------------


@pytest.fixture
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "FIRST_SLICE", 1)
    monkeypatch.setattr(session_module.Session, "_tune", lambda *_: None)


@pytest.mark.usefixtures("short_slices")
def test_an_interrupt_stops_on_the_way_forward_and_gives_a_search_back_up(debug: Debug) -> None:
    debugger = debug("loops")
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 30:
            debugger.interrupt()

    debugger.progress = interrupt
    report = debugger.continue_()
    assert report.reason is StopKind.INTERRUPTED
    assert debugger.begin < debugger.position < debugger.end
    assert not any(progress.backward for progress in seen)
    assert [p.percent for p in seen] == sorted(p.percent for p in seen)

    debugger.progress = None
    debugger.goto(ToEnd())
    debugger.break_("main", condition="0")
    seen.clear()
    debugger.progress = interrupt
    report = debugger.continue_(reverse=True)
    assert (report.reason, debugger.position) == (StopKind.INTERRUPTED, debugger.end)
    assert any(progress.backward for progress in seen)
    assert debugger.continue_(reverse=True).reason is StopKind.BEGIN


def test_an_interrupt_between_motions_is_forgotten(debug: Debug) -> None:
    debugger = debug("calls")
    debugger.interrupt()
    assert debugger.continue_().reason is StopKind.ENDED


def test_a_divergence_leaves_the_debugger_usable(recorded: Recorded, runs: Runs, tmp_path: Path) -> None:
    path = rewrite(
        recorded("calls"),
        tmp_path / "t",
        lambda events: [*events[:2], replace(events[2], arguments=(9, 9))],
        lambda snapshots: [],
    )
    with Trace.open(path) as trace, Debugger(trace) as debugger:
        with pytest.raises(Divergence):
            debugger.continue_()
        assert debugger.position == runs("calls").events[2]
        debugger.break_("leaf")
        assert debugger.continue_(reverse=True).where.function == "leaf"


# --- looking -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("motion", ["step", "next"])
def test_the_last_line_of_a_called_export_is_a_step_before_the_end(
    debug: Debug, guest: Guests, motion: str
) -> None:
    debugger = debug("library")
    debugger.goto(ToEnd())
    report = getattr(debugger, motion)(reverse=True)
    assert report.where.function == "scale"
    assert report.where.location is not None
    assert report.where.location.line == guest.line("library", "scaled")


def test_a_line_that_a_loop_comes_back_to_is_one_stop(debug: Debug, guest: Guests) -> None:
    debugger = at(debug("library"), "scale")
    head, body = guest.line("library", "list"), guest.line("library", "body")
    lines = []
    while debugger.frame_count and (where := debugger.next().where).location is not None:
        lines.append(where.location.line)
    assert lines == [head - 1, head, *[body, body + 1, head] * 3, guest.line("library", "scaled")]


def test_frames_have_arguments_and_lines(debug: Debug, guest: Guests) -> None:
    debugger = debug("calls")
    debugger.break_("factorial")
    for _ in range(3):
        debugger.continue_()
    frames = debugger.frames()
    assert [frame.function for frame in frames[:4]] == ["factorial"] * 3 + ["main"]
    assert [frame.arguments[0].value for frame in frames[:3]] == ["4", "5", "6"]
    assert len({frame.entry for frame in frames}) == len(frames) == debugger.frame_count
    assert frames[1].location is not None
    assert frames[1].location.line == guest.line("calls", "recurse")
    assert frames[0].selected and not frames[1].selected
    assert debugger.frames(limit=2) == frames[:2]


def test_looking_at_a_deep_stack_costs_for_the_frames_asked_for(
    debug: Debug, monkeypatch: pytest.MonkeyPatch
) -> None:
    debugger = debug("wat:deep")
    debugger.goto(ToEnd())
    depth = debugger.frame_count
    assert depth > 5_000
    built: list[int] = []
    make = Inspector.view
    monkeypatch.setattr(Inspector, "view", lambda self, level: built.append(level) or make(self, level))
    stack = StackReads(monkeypatch)
    monkeypatch.setattr("ttd.replayer.session.SLICE_SECONDS", 1e6)  # each slice reads the stack once
    assert debugger.print_("1") == "1"
    assert [frame.level for frame in debugger.frames(2)] == [0, 1]
    assert [frame.level for frame in debugger.frames(2, first=depth - 2)] == [depth - 2, depth - 1]
    assert [frame.function for frame in debugger.frames(9, first=depth - 1)] == ["main"]
    assert debugger.up(3).level == 3
    assert built == [0, 1, depth - 2, depth - 1, depth - 1, 3]
    assert stack.count <= 1
    debugger.stepi(reverse=True)
    assert debugger.frame_count == depth
    assert stack.count <= 12


def test_the_selected_frame_is_the_one_looked_at(debug: Debug) -> None:
    debugger = debug("calls")
    debugger.break_("factorial")
    for _ in range(3):
        debugger.continue_()
    assert debugger.print_("n") == "4"
    assert debugger.up().level == 1
    assert debugger.print_("n") == "5"
    assert debugger.up(100).level == debugger.frame_count - 1
    assert debugger.down(debugger.frame_count - 2).level == 1
    assert debugger.where().level == 1 and debugger.where(0).level == 0
    debugger.stepi()
    assert debugger.selected == 0


def test_variables_memory_and_types(debug: Debug, guest: Guests) -> None:
    debugger = at(debug("structs"), f"structs.c:{guest.line('structs', 'ready')}")
    values = {variable.name: variable for variable in debugger.locals()}
    assert values["small"].value == "-3" and values["small"].type == "short"
    assert values["where"].value == "{x = 3, y = -4}"
    assert debugger.print_("a->corner[2].y") == "-2"
    assert debugger.print_("numbers[1]", "x") == "0x2"
    assert "struct point" in debugger.symbols.ptype("where")
    assert debugger.evaluate("*middle").as_int() == 3
    assert {"a", "b", "head", "banner"} <= set(debugger.variable_names())
    address = debugger.evaluate("&banner[0]").as_int()
    assert debugger.read_memory(address, 11) == b"time travel"


def test_sources_come_from_the_trace(debug: Debug, guest: Guests) -> None:
    debugger = at(debug("calls"), "leaf")
    view = debugger.source(6)
    assert view is not None and len(view.lines) == 6
    (current,) = [line for line in view.lines if line.is_current]
    assert (current.number, "@leaf" in current.text) == (guest.line("calls", "leaf"), True)
    listed = debugger.source(4, "main")
    assert listed is not None and not any(line.is_current for line in listed.lines)
    lines = debugger.source_lines("calls.c", 1, 10**6)
    assert lines is not None and "@print" in "".join(line.text for line in lines.lines)
    assert debugger.source_lines("no/such/file.c", 1, 5) is None


def test_without_debug_information_instructions_and_values_remain(debug: Debug) -> None:
    debugger = debug("wat:tail")
    where = debugger.where()
    assert where.location is None and where.function is not None
    assert debugger.source() is None
    lines = debugger.disassemble()
    assert [line.pc for line in lines if line.is_current] == [where.pc]
    assert debugger.break_("swap").places[0].location is None
    report = debugger.continue_()
    assert report.where.function == "swap"
    locals_ = debugger.wasm_locals()
    assert [value.type for value in locals_] == ["i32", "i32"]
    assert [value.text for value in locals_] == ["3", "1"]
    debugger.stepi()
    assert [value.value for value in debugger.wasm_operands()] == [8]
    assert debugger.wasm_globals() == []
    debugger.delete()
    # `step` has no lines to go to, and runs to the end as gdb does.
    assert debugger.step().reason is StopKind.ENDED


def test_locals_after_the_end_are_a_usage_error(debug: Debug) -> None:
    debugger = debug("calls")
    debugger.goto(ToEnd())
    for look in (debugger.locals, debugger.arguments, debugger.wasm_locals, debugger.finish):
        with pytest.raises(UsageError, match="returned"):
            look()
    assert debugger.print_("1 + 2") == "3"
    assert debugger.where().pc is None
