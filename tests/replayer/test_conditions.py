"""Conditions of breakpoints: they choose what the evaluator chooses at every hit, wherever they are asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.replayer.model import Run, all_stops
from ttd.errors import ExpressionError
from ttd.expr import Context, Expression, TypedValue, evaluate
from ttd.replayer import conditions
from ttd.replayer.debugger import Debugger, ToEnd, ToPosition
from ttd.types import Position

Runs = Callable[[str], Run]
Debug = Callable[[str], Debugger]

CONDITIONS = [
    ("loops", "cell", "row == 3 && column % 2 == 1"),
    ("loops", "cell", "column"),
    ("loops", "cell", "row * 10.5 > 31 || !column"),
    ("loops", "cell", "(row << 3 | column) / (column - 2) > 6"),  # an error wherever column is 2
    ("loops", "loops.c:26", "grid[row][column] & 1 && &grid[row][column] < &grid[2][3]"),
    ("loops", "loops.c:26", "*(&grid[0][0] + row * 5 + column) == total % 7 || $local0 == 0"),
    ("loops", "loops.c:26", "*(int *)(row > 4 ? -1u : 1024) == 77"),  # an error in the last row
    ("loops", "loops.c:26", "line > 20 && $tick % 2"),  # half for compiled code
    ("loops", "loops.c:26", "$tick && line > 20"),  # nothing for it
    ("calls", "factorial", "n == 3 || (char)n == 5"),
    ("calls", "is_odd", "n > 4"),
    ("calls", "leaf", "(a ? b : a) == 4"),
]


def forward(debugger: Debugger) -> list[Position]:
    debugger.goto(ToEnd())
    debugger.goto(ToPosition(debugger.begin))
    return all_stops(lambda: debugger.continue_().where.position, debugger.end)


def backward(debugger: Debugger) -> list[Position]:
    debugger.goto(ToEnd())
    found = all_stops(lambda: debugger.continue_(reverse=True).where.position, debugger.begin)
    return found[::-1]


def true_at(debugger: Debugger, positions: list[Position], condition: str) -> list[Position]:
    """Those of the positions at which the condition is true, or an error."""
    return [position for position in positions if is_true_at(debugger, position, condition)]


def is_true_at(debugger: Debugger, position: Position, condition: str) -> bool:
    debugger.goto(ToPosition(position))
    try:
        return debugger.evaluate(condition).is_true()
    except ExpressionError:
        return True


@pytest.mark.parametrize(("guest_name", "spec", "condition"), CONDITIONS)
def test_conditions_choose_what_the_evaluator_chooses(
    debug: Debug, runs: Runs, guest_name: str, spec: str, condition: str
) -> None:
    debugger, run = debug(guest_name), runs(guest_name)
    (place,) = debugger.break_(spec, condition=condition).places
    debugger.disable()
    expected = true_at(debugger, run.at(place.function, place.pc), condition)
    assert 0 < len(expected) < len(run.at(place.function, place.pc))
    debugger.enable()
    assert forward(debugger) == expected
    assert backward(debugger) == expected


def test_several_conditions_at_one_place_stop_where_one_is_true(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("loops"), runs("loops")
    (place,) = debugger.break_("cell", condition="row == 3").places
    debugger.break_("cell", condition="column == 2 && row > 1")
    debugger.break_("cell", condition="0")
    debugger.disable()
    expected = true_at(debugger, run.at(place.function, place.pc), "row == 3 || column == 2 && row > 1")
    debugger.enable()
    assert forward(debugger) == backward(debugger) == expected
    debugger.break_("cell")
    assert forward(debugger) == backward(debugger) == run.at(place.function, place.pc)


def test_only_hits_where_the_condition_is_true_are_ignored(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("loops"), runs("loops")
    breakpoint_ = debugger.break_("cell", condition="column == 2", ignore=2)
    (place,) = breakpoint_.places
    expected = run.at(place.function, place.pc)[2::5]
    assert forward(debugger) == expected[2:]
    debugger.ignore(breakpoint_.number, 2)
    assert backward(debugger) == expected[:-2]


def test_frames_that_are_on_the_stack_already_are_asked_too(debug: Debug, runs: Runs) -> None:
    debugger, run = debug("loops"), runs("loops")
    (place,) = debugger.break_("loops.c:26", condition="row == 4 && column == 1", temporary=True).places
    passes = run.at(place.function, place.pc)
    for start in (passes[0], passes[7], run.after(passes[20])):
        debugger.goto(ToPosition(start))
        if not debugger.breakpoints:
            debugger.break_("loops.c:26", condition="row == 4 && column == 1", temporary=True)
        assert debugger.continue_().where.position == passes[21]


def test_compiled_code_asks_by_itself(debug: Debug, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine != "compiled":
        pytest.skip("the interpreter evaluates every condition")
    asked: list[Position] = []

    def counting(expression: Expression, context: Context) -> TypedValue:
        asked.append(debugger.position)
        return evaluate(expression, context)

    monkeypatch.setattr(conditions, "evaluate", counting)
    debugger = debug("loops")
    debugger.break_("cell", condition="row == 4 && grid[row - 1][2] == 32 && column > 3")
    (stop,) = forward(debugger)
    assert backward(debugger) == [stop]
    assert set(asked) == {stop}
