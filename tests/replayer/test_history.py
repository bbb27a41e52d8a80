"""The history of a value is what single steps find, newest first; the last write is the newest change."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.replayer.model import writes
from tests.support import Guests
from ttd.errors import ExpressionError, UsageError
from ttd.replayer import history as history_module
from ttd.replayer.debugger import Debugger, ToBegin, ToEnd, ToPosition
from ttd.replayer.hostcalls import instruction_at
from ttd.replayer.session import Session
from ttd.replayer.views import StopKind
from ttd.state import Frame
from ttd.store.trace import Trace
from ttd.types import Position

Debug = Callable[[str], Debugger]
Recorded = Callable[[str], Path]


def stopped_at(debugger: Debugger, guest: Guests, name: str, marker: str) -> Debugger:
    file, line = guest.place(name, marker)
    debugger.break_(f"{file.name}:{line}", temporary=True)
    assert debugger.continue_().reason is StopKind.BREAKPOINT
    return debugger


def told(debugger: Debugger, expression: str, every_write: bool = False) -> list[tuple[Position, str, str]]:
    """The history, oldest first."""
    changes = debugger.history(expression, every_write=every_write)
    return [(c.position, c.old or "", c.new) for c in changes][::-1]


@pytest.mark.parametrize("expression", ["checksum", "grid[3][2]", "*(int *) &grid[3][1]"])
def test_history_lists_every_change_that_single_steps_find(debug: Debug, expression: str) -> None:
    debugger = debug("loops")
    debugger.goto(ToEnd())
    place = debugger.watch(expression)
    expected = [
        (position, *(str(int.from_bytes(data, "little", signed=True)) for data in (old, new)))
        for position, old, new in writes(debugger.trace, 0, place.address, place.length)
    ]
    assert expected
    assert told(debugger, expression) == expected
    middle = expected[len(expected) // 2][0]
    debugger.goto(ToPosition(middle))
    assert told(debugger, expression) == [change for change in expected if change[0] < middle]
    assert debugger.position == middle


def test_a_change_has_its_place_in_the_source(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    (change,) = debugger.history("product")
    assert (change.old, change.new, change.function) == ("0", "21", "store")
    assert change.location is not None and change.location.line == guest.line("origins", "stored")
    assert debugger.module.function_at(change.pc) is not None


def test_history_ends_with_what_was_before_it(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    for expression, ending in (
        ("product", "product was 0 since the beginning: memory is zero until it is written."),
        ("initial.weight", "initial.weight was 70 since the beginning: from data segment 1 (.data)."),
    ):
        trail = debugger.history(expression)
        list(trail)
        assert trail.ending == ending
        assert not trail.interrupted


def test_no_more_is_looked_for_than_is_asked_for(debug: Debug) -> None:
    debugger = debug("loops")
    debugger.goto(ToEnd())
    newest = list(islice(debugger.history("checksum"), 2))
    assert [(c.position, c.old, c.new) for c in newest] == told(debugger, "checksum")[:-3:-1]
    assert debugger.position == debugger.end


def test_what_the_host_writes_counts(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    (change,) = debugger.history("incoming[0]")
    assert change.call is not None
    assert "fd_read" in debugger.module.functions[change.call.function].imported.name  # type: ignore[union-attr]
    assert change.new == "42 '*'"
    report = debugger.last_write("incoming[0]")
    assert report.call is not None and report.call.number == change.call.number
    assert "by host call" in report.message


def test_a_bit_field_has_no_part_in_its_neighbours_changes(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("structs"), guest, "structs", "pushed")
    assert [change[1:] for change in told(debugger, "head->flags")] == [("0", "5")]
    assert [change[1:] for change in told(debugger, "head->kind")] == [("0", "17")]


def test_writes_that_change_nothing_are_listed_when_asked_for(debug: Debug) -> None:
    debugger = debug("wat:moves")
    debugger.goto(ToEnd())
    values = [(int(old[:2], 16), int(new[:2], 16)) for _, old, new in told(debugger, "84, 4", True)]
    assert values == [(0, 0), (0, 0), (0, 2), (2, 2), (2, 0), (0, 0)]
    values = [(int(old[:2], 16), int(new[:2], 16)) for _, old, new in told(debugger, "84, 4")]
    assert values == [(0, 2), (2, 0)]


def test_values_of_another_time_are_shown_as_print_shows_them(debug: Debug) -> None:
    debugger = debug("classes")
    debugger.break_("zoo::Duck::lay")
    debugger.continue_()
    debugger.finish()
    newest = next(debugger.history("duck"))
    assert newest.new == debugger.print_("duck")
    assert "legs = 4" in newest.new  # of a virtual base, which is found through memory
    debugger.goto(ToPosition(newest.position))
    debugger.up()
    assert newest.old == debugger.print_("duck")


def test_the_storage_of_a_frame_has_a_history_as_long_as_the_frame(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("calls"), guest, "calls", "multiply")
    entry = debugger.frames(1)[0].entry
    trail = debugger.history("smaller")
    found = list(trail)
    assert [change.new for change in found] == ["1"]
    assert all(entry <= change.position for change in found)
    assert str(entry) in trail.ending


def test_a_parameter_in_a_register_begins_with_its_call(debug: Debug) -> None:
    debugger = debug("registers -O2")
    debugger.break_("choose")
    debugger.continue_()
    caller = debugger.frames(2)[1]
    (change,) = debugger.history("kind")
    assert (change.old, change.new, change.is_argument) == (None, debugger.print_("kind"), True)
    assert change.pc == caller.pc
    report = debugger.last_write("kind")
    assert (report.where.function, report.where.pc) == ("main", caller.pc)
    assert report.where.position == change.position
    assert "passed as an argument" in report.message


def test_a_variable_in_a_register_changes_where_it_is_set(debug: Debug, guest: Guests) -> None:
    debugger = debug("registers -O2")
    names = set()
    for function in ("mix", "choose"):
        debugger.goto(ToBegin())
        debugger.break_(function)
        debugger.continue_()
        for _ in range(12):
            for variable in (*debugger.arguments(), *debugger.locals()):
                in_memory = debugger.evaluate(variable.name).address is not None
                if in_memory or variable.value.startswith("<"):
                    continue
                try:
                    newest = next(debugger.history(variable.name), None)
                except ExpressionError as error:
                    assert "no place" in str(error)
                    continue
                assert newest is not None
                assert newest.new == variable.value
                names.add(variable.name)
            debugger.next()
        debugger.delete()
    assert {"kind", "first"} <= names


@pytest.mark.parametrize("every_write", [False, True])
def test_last_write_goes_to_the_newest_change(debug: Debug, every_write: bool) -> None:
    debugger = debug("loops")
    debugger.goto(ToEnd())
    while True:
        here = debugger.position
        newest = next(debugger.history("checksum", every_write=every_write), None)
        report = debugger.last_write("checksum", every_write=every_write)
        if newest is None:
            assert report.where.position == here
            assert "since the beginning" in report.message
            break
        assert report.where.position == newest.position
        assert f"Old value = {newest.old}\nNew value = {newest.new}" in report.message
        assert debugger.print_("checksum") == newest.old


def test_an_interrupt_ends_the_list_where_it_is(debug: Debug) -> None:
    debugger = debug("loops")
    debugger.goto(ToEnd())
    here = debugger.position
    trail = debugger.history("checksum")
    debugger.interrupt()
    assert list(trail) == []
    assert trail.interrupted
    assert trail.ending == "Interrupted."
    assert debugger.position == here
    assert next(debugger.history("checksum")).position < here


def test_what_has_no_place_has_no_history(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("calls"), guest, "calls", "multiply")
    for expression, problem in (
        ("n + 1", "computed"),
        ("nonsense", "no symbol"),
        ("$tick", "computed"),
        ("*(int *) 0xfffffff0", "cannot access"),
    ):
        with pytest.raises(ExpressionError, match=problem):
            debugger.history(expression)
    with pytest.raises(UsageError, match="at least one byte"):
        debugger.history("1024, 0")


# --- properties --------------------------------------------------------------------------------------

SPAN = 96
"""Bytes of memory that the oracle looks at."""


class Steps:
    """A run by single steps: the first bytes of memory at every rest, and what is about to be set where."""

    def __init__(self, path: Path) -> None:
        with Trace.open(path) as trace:
            session = Session(trace)
            self.rests: list[tuple[Position, bytes]] = []
            self.sets: list[tuple[Position, Position, int, int]] = []
            self.frames: dict[Position, list[Frame]] = {}
            while session.position < session.end:
                state = session.state
                self.rests.append((session.position, bytes(state.memories[0].view()[:SPAN])))
                self.frames[session.position] = [frame.copy() for frame in state.frames]
                self._note_set(session)
                session.step()
            session.close()

    def _note_set(self, session: Session) -> None:
        frame = session.state.frames[-1]
        instruction = instruction_at(session.module, frame.function, frame.pc)
        if instruction is not None and instruction.op.mnemonic in ("local.set", "local.tee"):
            local, value = instruction.immediates[0], frame.operands[-1]
            assert isinstance(local, int) and isinstance(value, int)
            self.sets.append((session.position, frame.entry, local, value))

    def changes(self, address: int, length: int, before: Position) -> list[tuple[Position, str, str]]:
        found = []
        for (position, old), (_, new) in zip(self.rests, self.rests[1:], strict=False):
            a, b = old[address : address + length], new[address : address + length]
            if a != b and position < before:
                found.append((position, a.hex(" "), b.hex(" ")))
        return found


@pytest.fixture(scope="session")
def steps(recorded: Recorded) -> Callable[[str], Steps]:
    known: dict[str, Steps] = {}

    def make(name: str) -> Steps:
        if name not in known:
            known[name] = Steps(recorded(name))
        return known[name]

    return make


@pytest.fixture
def one(debug: Debug, monkeypatch: pytest.MonkeyPatch) -> Debug:
    """As `debug`, but the same debugger again for a recording; it looks back in strides of few ticks."""
    monkeypatch.setattr(history_module, "NARROWEST", 1)
    monkeypatch.setattr(history_module, "FEW", 2)
    monkeypatch.setattr(history_module, "MANY", 3)
    return cache(debug)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_history_of_memory_is_that_of_single_steps(
    one: Debug, steps: Callable[[str], Steps], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["wat:tail", "wat:throw", "wat:cascade", "wat:moves"]))
    run, debugger = steps(name), one(name)
    position = data.draw(st.sampled_from([position for position, _ in run.rests]))
    address = data.draw(st.integers(0, SPAN - 1))
    length = data.draw(st.integers(1, min(16, SPAN - address)))
    debugger.goto(ToPosition(position))
    expected = run.changes(address, length, position)
    assert told(debugger, f"{address}, {length}") == expected
    assert debugger.position == position
    debugger.last_write(f"{address}, {length}")
    assert debugger.position == (expected[-1][0] if expected else position)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_history_of_a_local_is_that_of_single_steps(
    one: Debug, steps: Callable[[str], Steps], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["wat:cascade", "wat:throw", "wat:moves"]))
    run, debugger = steps(name), one(name)
    places = sorted({(entry, local) for _, entry, local, _ in run.sets})
    entry, local = data.draw(st.sampled_from(places))
    alive = [p for p, frames in run.frames.items() if any(frame.entry == entry for frame in frames)]
    position = data.draw(st.sampled_from(alive))
    debugger.goto(ToPosition(position))
    frames = run.frames[position]
    debugger.select_frame(len(frames) - 1 - [frame.entry for frame in frames].index(entry))
    sets = [(p, v) for p, *whose, v in run.sets if whose == [entry, local] and p < position]
    count = len(debugger.module.functions[debugger.frames()[debugger.selected].function_index].type.params)
    if local < count:
        return  # its first value is the caller's
    values = [0, *(value for _, value in sets)]
    expected = [(p, str(old), str(new)) for (p, new), old in zip(sets, values, strict=False) if old != new]
    try:
        found = told(debugger, f"$local{local}")
    except ExpressionError:
        return  # compiled code has not kept it
    assert found == expected
