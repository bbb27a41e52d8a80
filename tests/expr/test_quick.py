"""Conditions in the quick way have the values that the full evaluation has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.debuginfo.program import Stopped
from tests.support import Guests
from ttd.errors import ExpressionError
from ttd.expr import Condition, evaluate, parse
from ttd.expr.quick import quick_reader

VALUES = (
    "local", "count", "pointer", "node", "global", "huge", "yes", "negative", "port", "minus", "wide_letter",
    "big", "0", "1", "'a'", "2147483648", "4000000000u", "0xffffffffffffffff", "-1", "-129",
)  # fmt: skip
OPERATORS = ("==", "!=", "<", ">", "<=", ">=", "&&", "||", "+", "-", "*", "&", "|", "^")


@pytest.fixture(scope="module")
def inner(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "expressions", "inner")
    yield stopped
    stopped.engine.close()


def expressions() -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(VALUES),
        lambda parts: st.one_of(
            st.tuples(parts, st.sampled_from(OPERATORS), parts).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
            st.tuples(st.sampled_from(("!", "-")), parts).map(lambda p: f"({p[0]} {p[1]})"),
        ),
        max_leaves=6,
    )


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=expressions())
def test_the_quick_way_leads_to_the_same_value(inner: Stopped, text: str) -> None:
    expression, context, state = parse(text), inner.context(), inner.state
    evaluator = expression.evaluator(context)
    frame = state.frames[-1]
    reader = quick_reader(expression.tree(evaluator), evaluator, frame)
    try:
        expected = evaluate(expression, context).number()
    except ExpressionError:
        return
    if reader is not None:
        assert reader(frame, state.memories[0].view()) == expected
    assert Condition(expression, inner.debug).holds(state) == (expected != 0)


@pytest.mark.parametrize(
    "text", ["local == 3 && global > -5", "pointer != 0 || !count", "negative + port * 2 < big", "yes"]
)
def test_what_is_simple_is_quick(inner: Stopped, text: str) -> None:
    expression = parse(text)
    evaluator = expression.evaluator(inner.context())
    assert quick_reader(expression.tree(evaluator), evaluator, inner.state.frames[-1]) is not None


@pytest.mark.parametrize("text", ["local / 2 == 1", "node->value > 0", "third < 0.5", "sizeof local == 4"])
def test_the_rest_is_evaluated_in_full(inner: Stopped, text: str) -> None:
    expression = parse(text)
    expected = evaluate(expression, inner.context()).is_true()
    assert Condition(expression, inner.debug).holds(inner.state) == expected


def test_what_lies_outside_of_memory_is_an_error(inner: Stopped) -> None:
    state = inner.state
    state.frames[-1].locals[:] = [0x70000000] * len(state.frames[-1].locals)
    with pytest.raises(ExpressionError, match="cannot access memory"):
        Condition(parse("local == 3"), inner.debug).holds(state)
    state.frames[-1].locals[:] = [None] * len(state.frames[-1].locals)
    with pytest.raises(ExpressionError, match="not available"):
        Condition(parse("local == 3"), inner.debug).holds(state)
