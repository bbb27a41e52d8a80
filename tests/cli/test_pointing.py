"""Errors in expressions point at the column."""

from __future__ import annotations

import pytest

from ttd.cli.repl.pointing import caret, column_of, with_column
from ttd.errors import ExpressionError, UsageError
from ttd.expr import parse


def failed(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("line", "expression", "column"),
    [
        ("print a +", "a +", 9),
        ("p/x  n = 3", "n = 3", 7),
        ("break 12 if i == (2", "i == (2", 19),
        ("display ++n", "++n", 8),
        ("print f(1)", "f(1)", 7),
    ],
)
def test_the_column_is_that_of_the_line(line: str, expression: str, column: int) -> None:
    error = failed(expression)
    assert column_of(line, error) == column
    assert with_column(line, error) == f"{error} (column {column + 1})"
    assert caret(line, error, 6, 80) == " " * (6 + column) + "^"


def test_without_a_known_column_the_message_stands_alone() -> None:
    error = UsageError("no breakpoint number 7")
    assert column_of("delete 7", error) is None
    assert with_column("delete 7", error) == "no breakpoint number 7"
    assert caret("delete 7", error, 6, 80) is None
    assert column_of("", failed("a +")) is None


def test_a_line_that_the_terminal_breaks_gets_no_caret() -> None:
    line = "print " + "a + " * 30
    assert caret(line, failed(line.removeprefix("print ").strip()), 6, 80) is None
