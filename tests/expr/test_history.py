"""The values that were printed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.debuginfo.program import Stopped
from tests.support import Guests
from ttd.errors import ExpressionError
from ttd.expr import StateContext, ValueHistory, evaluate, format_value


@pytest.fixture
def inner(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "expressions", "inner")
    yield stopped
    stopped.engine.close()


def with_history(stopped: Stopped, *printed: str) -> StateContext:
    history = ValueHistory()
    context = StateContext(stopped.state, stopped.debug, 0, history=history)
    for number, text in enumerate(printed, 1):
        assert history.add(evaluate(text, context)) == number
    return context


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("$1", "13"),
        ("$2", "{1, 1, 2, 3, 5, 8}"),
        ("$", "{value = 1, next = "),
        ("$3.value + $1", "14"),
        ("$.value", "1"),
        ("$$", "{1, 1, 2, 3, 5, 8}"),
        ("$$2", "13"),
        ("$$0 .value", "1"),
        ("$2[4] * 2", "10"),
        ("$.next->value", "2"),
        ("$4", "{int (int, int)} <add>"),
    ],
)
def test_values_are_recalled_by_number_and_from_the_end(inner: Stopped, text: str, shown: str) -> None:
    printed = ("local", "table", "first", "add")
    context = with_history(inner, *printed[: 4 if text == "$4" else 3])
    assert format_value(evaluate(text, context)).startswith(shown)


def test_a_kept_value_stays_what_it_was(inner: Stopped) -> None:
    context = with_history(inner, "table", "all.packed.mid")
    address = evaluate("&table", context).as_int()
    inner.state.memories[0].view()[address] = 99
    assert evaluate("table[0]", context).as_int() == 99
    assert evaluate("$1[0]", context).as_int() == 1
    assert evaluate("$2", context).as_int() == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$2", "there is no value 2: they are numbered from 1 to 1"),
        ("$0", r"\$local0"),
        ("$$5", "there is no value -4"),
        ("&$1", "has no address"),
        ("1 + $7", "there is no value 7"),
        ("$nosuch", r"there is no \$nosuch here"),
    ],
)
def test_what_there_is_not_is_said_with_its_column(inner: Stopped, text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        evaluate(text, with_history(inner, "local"))
    assert caught.value.column == max(text.find("$"), 0) or text.startswith("&")


def test_nothing_is_there_before_the_first_print(inner: Stopped) -> None:
    with pytest.raises(ExpressionError, match="no values yet"):
        evaluate("$", inner.context())


def test_what_is_too_large_is_not_kept(inner: Stopped) -> None:
    context = with_history(inner, "*(char *)0@2000000")
    assert format_value(evaluate("$1", context)) == "<not kept: it has more than 1048576 bytes>"


def test_all_locals_are_one_value(inner: Stopped) -> None:
    context = with_history(inner, "$locals")
    shown = format_value(evaluate("$locals", context))
    assert shown.startswith("{local = 13, count = 4, other = -29, pointer = 0x")
    assert "variable = {0, 1, 4, 9}, " in shown and "shadow = 77" in shown and "shadow = 1" not in shown
    assert evaluate("$locals.pointer[1]", context).as_int() == 3
    assert evaluate("$locals", context).type.name == "locals"
    with pytest.raises(ExpressionError, match="the frame has no variable global") as caught:
        evaluate("1 + $locals.global", context)
    assert (caught.value.column, caught.value.text) == (11, "1 + $locals.global")
    address = evaluate("&other", context).as_int()
    inner.state.memories[0].view()[address] = 0
    assert evaluate("$1.other", context).as_int() == -29
    assert evaluate("$locals.other", context).as_int() != -29


def test_where_no_source_is_known_the_locals_are_webassemblys(inner: Stopped) -> None:
    state = inner.state
    outermost = StateContext(state, inner.debug, len(state.frames) - 1)
    outermost._scope = None
    frame = state.frames[0]
    frame.locals[:] = [None] * len(frame.locals) if frame.locals else []
    texts = [format_value(evaluate(f"$local{i}", outermost)) for i in range(len(frame.locals))]
    assert set(texts) <= {"<optimized out>"}
    named = ", ".join(f"$local{i} = {text}" for i, text in enumerate(texts))
    assert format_value(evaluate("$locals", outermost)) == f"{{{named}}}"
