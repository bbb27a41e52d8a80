"""Showing where in a command line an error is.

May import `ttd.errors`.
"""

from __future__ import annotations

from ttd.errors import ExpressionError, TtdError


def column_of(line: str, error: TtdError) -> int | None:
    """Where in the line the mistake is that `error` tells about, counted from 0; None where unknown."""
    if not isinstance(error, ExpressionError) or error.column is None or error.text is None:
        return None
    start = line.rfind(error.text)
    return start + error.column if start >= 0 else None


def with_column(line: str, error: TtdError) -> str:
    """The message with the column, counted from 1 as editors do."""
    column = column_of(line, error)
    return str(error) if column is None else f"{error} (column {column + 1})"


def caret(line: str, error: TtdError, indent: int, width: int) -> str | None:
    """A line with a caret below the mistake in `line`, which stands `indent` characters further right.

    None where it is not known, or the terminal has broken the line before it.
    """
    column = column_of(line, error)
    if column is None or indent + column >= width:
        return None
    return " " * (indent + column) + "^"
