"""Stops are at the same positions in both directions: those that single steps find."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.replayer.model import Run, all_stops, spot, writes
from ttd.debuginfo.info import DebugInfo
from ttd.engine.protocol import Hit
from ttd.errors import UsageError
from ttd.replayer import session as session_module
from ttd.replayer import snapshots as snapshots_module
from ttd.replayer import stepping as stepping_module
from ttd.replayer.debugger import Debugger, ToEnd, ToPosition
from ttd.replayer.lines import Lines
from ttd.replayer.timeline import Plan, Timeline
from ttd.store.trace import Trace
from ttd.types import Position

Runs = Callable[[str], Run]
Debug = Callable[[str], Debugger]

GUESTS = ["calls", "loops", "trap", "library"]
MODULES = ["wat:tail", "wat:throw", "wat:cascade", "wat:trap"]


@pytest.fixture(params=["usual seams", "many seams"], autouse=True)
def seams(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs again with slices of one tick, and a snapshot, so a segment, every seven ticks; and
    reverse steps look one tick back at first."""
    if request.param == "many seams":

        def between(timeline: Timeline) -> None:
            if timeline.position.tick % 7 == 0:
                timeline._capture()

        monkeypatch.setattr(session_module, "FIRST_SLICE", 1)
        monkeypatch.setattr(stepping_module, "APPROACH", 1)
        monkeypatch.setattr(session_module.Session, "_tune", lambda *_: None)
        monkeypatch.setattr(snapshots_module, "GROWTH", 1.0)
        monkeypatch.setattr(Timeline, "between", between)


def forward(debugger: Debugger) -> list[Position]:
    debugger.goto(ToEnd())  # Until it has been there, a debugger need not know at which step that is.
    debugger.goto(ToPosition(debugger.begin))
    return all_stops(lambda: debugger.continue_().where.position, debugger.end)


def backward(debugger: Debugger) -> list[Position]:
    debugger.goto(ToEnd())
    found = all_stops(lambda: debugger.continue_(reverse=True).where.position, debugger.begin)
    return found[::-1]


@pytest.mark.parametrize(
    ("guest_name", "spec"),
    [
        ("calls", "factorial"),
        ("calls", "leaf"),
        ("calls", "is_odd"),
        ("loops", "cell"),
        ("loops", "loops.c:28"),
    ],
)
def test_code_breakpoints_stop_where_single_steps_pass_them(
    debug: Debug, runs: Runs, guest_name: str, spec: str
) -> None:
    debugger, run = debug(guest_name), runs(guest_name)
    (place,) = debugger.break_(spec).places
    expected = run.at(place.function, place.pc)
    assert expected
    assert forward(debugger) == expected
    assert backward(debugger) == expected


def test_several_breakpoints_stop_at_the_union_of_their_places(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("calls"), runs("calls")
    numbers = [debugger.break_(spec) for spec in ("factorial", "apply", "leaf", "calls.c:12")]
    expected = sorted({p for b in numbers for place in b.places for p in run.at(place.function, place.pc)})
    assert forward(debugger) == expected
    assert backward(debugger) == expected


@pytest.mark.parametrize(
    ("guest_name", "expression"), [("loops", "checksum"), ("loops", "grid[3][2]"), ("loops", "grid")]
)
def test_watchpoints_stop_before_every_change(
    debug: Debug, recorded: Callable[[str], object], guest_name: str, expression: str
) -> None:
    debugger = debug(guest_name)
    watch = debugger.watch(expression)
    changes = writes(debugger.trace, watch.memory, watch.address, watch.length)
    expected = [position for position, _, _ in changes]
    assert expected
    assert forward(debugger) == expected
    assert backward(debugger) == expected


def test_a_watch_tells_what_is_written(debug: Debug) -> None:
    debugger = debug("loops")
    watch = debugger.watch("checksum")
    for _, old, new in writes(debugger.trace, watch.memory, watch.address, watch.length):
        (change,) = debugger.continue_().changes
        assert change.old == str(int.from_bytes(old, "little", signed=True))
        assert change.new == str(int.from_bytes(new, "little", signed=True))
        assert debugger.print_("checksum") == change.old


@pytest.mark.parametrize(("module", "address"), [("wat:tail", 8), ("wat:throw", 16), ("wat:cascade", 4)])
def test_raw_watches_work_without_debug_information(debug: Debug, module: str, address: int) -> None:
    debugger = debug(module)
    watch = debugger.watch(f"{address}, 4")
    expected = [p for p, _, _ in writes(debugger.trace, 0, watch.address, watch.length)]
    assert len(expected) > 2
    assert forward(debugger) == expected
    assert backward(debugger) == expected


@pytest.mark.parametrize("function", ["leaf", "factorial", "multiply"])
def test_a_watch_on_a_local_lives_with_its_frame(debug: Debug, runs: Runs, function: str) -> None:
    debugger, run = debug("calls"), runs("calls")
    debugger.break_(function, temporary=True)
    debugger.continue_()
    name = debugger.locals()[0].name if debugger.locals() else debugger.arguments()[0].name
    watch = debugger.watch(name)
    entry = watch.scope
    assert entry == debugger.frames()[0].entry
    alive = set(run.alive(entry))
    inside = [p for p, _, _ in writes(debugger.trace, 0, watch.address, watch.length) if p in alive]
    expected = sorted({*inside, entry, run.exit_of(entry)})
    assert forward(debugger) == expected
    assert backward(debugger) == expected


def test_watches_on_two_frames_of_a_recursion_are_told_apart(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("calls"), runs("calls")
    debugger.break_("factorial")
    expected: set[Position] = set()
    for _ in range(3):
        debugger.continue_()
        watch = debugger.watch("smaller")
        entry = watch.scope
        assert entry is not None
        alive = set(run.alive(entry))
        changes = writes(debugger.trace, 0, watch.address, watch.length)
        expected |= {entry, run.exit_of(entry), *(p for p, _, _ in changes if p in alive)}
    debugger.delete(1)
    assert forward(debugger) == sorted(expected)
    assert backward(debugger) == sorted(expected)


def test_a_breakpoint_and_a_watch_on_one_instruction_are_both_told(debug: Debug) -> None:
    debugger = debug("loops")
    watch = debugger.watch("checksum")
    place = debugger.continue_().where
    both = debugger.break_(f"*{place.pc:#x}")
    for stops, reverse in ((5, False), (5, True)):
        for _ in range(stops):
            report = debugger.continue_(reverse=reverse)
            assert set(report.breakpoints) == {watch.number, both.number}
            assert len(report.changes) == 1


def test_catchpoints_stop_at_every_call(debug: Debug, runs: Runs) -> None:
    debugger, expected = debug("calls"), runs("calls").events
    debugger.catch("call")
    assert len(expected) >= 3
    assert forward(debugger) == expected
    assert backward(debugger) == expected


def test_a_catchpoint_with_names_stops_at_their_calls_only(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("loops"), runs("loops")
    catch = debugger.catch("syscall", ["fd_write"])
    expected = [run.events[e.number] for e in debugger.trace.events() if e.function in catch.calls]
    assert 0 < len(expected) < debugger.trace.event_count
    assert forward(debugger) == expected
    assert backward(debugger) == expected


def test_ignored_calls_pass_in_either_direction(debug: Debug, runs: Runs) -> None:
    debugger, expected = debug("calls"), runs("calls").events
    catch = debugger.catch("call")
    debugger.ignore(catch.number, 2)
    assert forward(debugger) == expected[2:]
    debugger.ignore(catch.number, 1)
    assert backward(debugger) == expected[:-1]


def test_conditions_choose_the_same_hits_both_ways(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("loops"), runs("loops")
    (place,) = debugger.break_("cell", condition="row == 3 && column % 2 == 1").places
    every = run.at(place.function, place.pc)
    expected = [every[3 * 5 + 1], every[3 * 5 + 3]]
    assert forward(debugger) == expected
    assert backward(debugger) == expected


@pytest.mark.parametrize("ignored", [1, 4, 29])
def test_ignored_hits_pass_in_either_direction(debug: Debug, runs: Runs, ignored: int) -> None:
    debugger, run = debug("loops"), runs("loops")
    breakpoint_ = debugger.break_("cell", ignore=ignored)
    (place,) = breakpoint_.places
    every = run.at(place.function, place.pc)
    assert forward(debugger) == every[ignored:]
    assert debugger.breakpoints[0].hits == len(every)
    debugger.ignore(breakpoint_.number, ignored)
    assert backward(debugger) == every[: len(every) - ignored]


@pytest.mark.parametrize("guest_name", [*GUESTS, "inlines -O2"])
def test_steps_stop_at_the_same_places_both_ways(debug: Debug, runs: Runs, guest_name: str) -> None:
    debugger, run = debug(guest_name), runs(guest_name)
    expected = run.step_stops(Lines(debugger.module, debugger.debug))
    assert len(expected) > 10
    first, last = expected[0], expected[min(150, len(expected) - 1)]
    expected = expected[: expected.index(last)]
    debugger.goto(ToPosition(first.position))
    assert [first, *all_stops(lambda: spot(debugger.step()), last)] == expected
    assert [*all_stops(lambda: spot(debugger.step(reverse=True)), first), first][::-1] == expected


@pytest.mark.parametrize("name", [*GUESTS, *MODULES])
def test_single_steps_are_each_others_inverse(debug: Debug, runs: Runs, name: str) -> None:
    debugger, run = debug(name), runs(name)
    chosen = run.positions[:: max(1, len(run.positions) // 25)]
    for position in chosen:
        debugger.goto(ToPosition(position))
        assert debugger.stepi().where.position == run.after(position)
        assert debugger.stepi(reverse=True).where.position == position


@pytest.mark.parametrize("name", ["wat:tail", "wat:throw", "wat:cascade"])
def test_finish_leads_to_where_the_frame_is_gone(debug: Debug, runs: Runs, name: str) -> None:
    debugger, run = debug(name), runs(name)
    for rest in run.rests:
        if len(rest.alive) > 1:
            debugger.goto(ToPosition(rest.position))
            assert debugger.finish().where.position == run.exit_of(rest.entry)
            debugger.goto(ToPosition(rest.position))
            before = run.positions[run.positions.index(rest.entry) - 1]
            assert debugger.finish(reverse=True).where.position == before


def test_an_empty_function_is_not_called_an_import(debug: Debug) -> None:
    with pytest.raises(UsageError, match="function 'free' is empty"):
        debug("wat:imitations").break_("free")


def test_traces_are_not_changed_by_looking_at_them(recorded: Callable[[str], object], debug: Debug) -> None:
    path = debug("calls").trace.path
    before = path.read_bytes()
    with Trace.open(path) as trace, Debugger(trace) as debugger:
        debugger.break_("leaf")
        forward(debugger)
        backward(debugger)
    assert path.read_bytes() == before


def test_a_step_takes_a_look_at_the_functions_that_are_at_work_only(
    debug: Debug, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[int] = set()
    has_statements = DebugInfo.has_statements

    def asking(self: DebugInfo, function: int) -> bool:
        asked.add(function)
        return has_statements(self, function)

    monkeypatch.setattr(DebugInfo, "has_statements", asking)
    debugger = debug("calls")
    debugger.goto(ToPosition(Position(debugger.end.tick // 2)))
    debugger.step(reverse=True)
    debugger.step()
    with_code = [function for function in debugger.module.functions if function.body is not None]
    assert 0 < len(asked) < len(with_code) // 2


def test_a_reverse_step_does_not_look_for_the_line_before_a_long_call(
    debug: Debug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping_module, "APPROACH", 4)
    debugger = debug("loops")
    debugger.goto(ToPosition(Position(debugger.end.tick // 2)))
    floors: list[Position] = []
    hits_before = Timeline.hits_before

    def looking(self: Timeline, end: Position, plan: Plan, floor: Position) -> Iterator[tuple[Hit, ...]]:
        floors.append(floor)
        return hits_before(self, end, plan, floor)

    monkeypatch.setattr(Timeline, "hits_before", looking)
    here = debugger.position
    debugger.step(reverse=True)
    assert here.tick > 100
    assert min(floors).tick >= here.tick - 4
