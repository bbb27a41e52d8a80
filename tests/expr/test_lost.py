"""Objects of which a part is known, and a part optimised out."""

from __future__ import annotations

import pytest

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.errors import ExpressionError
from ttd.expr import StateContext, TypedValue, format_value
from ttd.state import State
from ttd.types import START


@pytest.fixture(scope="module")
def pair(guest: Guests) -> TypedValue:
    """A ``struct pair`` without its first member."""
    debug = DebugInfo(load(guest("inlines", "-O2")))
    type_ = debug.find_type("struct pair")
    assert type_ is not None
    context = StateContext(State(START, [], [], [], []), debug)
    return TypedValue(type_, context, immediate=bytes(4) + b"\x05\0\0\0", lost=((0, 4),))


def test_what_is_known_is_shown(pair: TypedValue) -> None:
    assert format_value(pair) == "{x = <optimized out>, y = 5}"
    assert pair.member("y").as_int() == 5


def test_what_is_lost_is_no_value(pair: TypedValue) -> None:
    for value in (pair, pair.member("x")):
        with pytest.raises(ExpressionError, match="optimized out"):
            _ = value.data


def test_a_lost_byte_is_enough_to_lose_a_number(pair: TypedValue) -> None:
    context = pair.context
    value = TypedValue(pair.type, context, immediate=bytes(8), lost=((3, 4), (6, 7)))
    assert format_value(value) == "{x = <optimized out>, y = <optimized out>}"
