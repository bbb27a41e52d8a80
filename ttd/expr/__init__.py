"""Expressions over a stopped program: C's, without side effects. See docs/expressions.md.

::

    context = StateContext(state, debug, level=0)
    value = evaluate(parse("a->b[2].c"), context)
    print(format_value(value))

Backtraces are here too, since they show the values of arguments. May import base, `ttd.wasm` and
`ttd.debuginfo`.
"""

from ttd.expr.backtrace import FrameDescription, backtrace, describe_frame, format_backtrace
from ttd.expr.compile import compile_any
from ttd.expr.expression import (
    Expression,
    Watchable,
    check_names,
    evaluate,
    lvalue_range,
    parse,
    parse_type,
    special_named,
    variable_named,
    what_is,
)
from ttd.expr.format import FORMATS, Limits, check_format, format_bytes, format_value
from ttd.expr.history import ValueHistory
from ttd.expr.layout import describe_layout
from ttd.expr.values import Context, StateContext, TypedValue
from ttd.expr.written import describe_type

__all__ = [
    "FORMATS",
    "Context",
    "Expression",
    "FrameDescription",
    "Limits",
    "StateContext",
    "TypedValue",
    "ValueHistory",
    "Watchable",
    "backtrace",
    "check_format",
    "check_names",
    "compile_any",
    "describe_frame",
    "describe_layout",
    "describe_type",
    "evaluate",
    "format_backtrace",
    "format_bytes",
    "format_value",
    "lvalue_range",
    "parse",
    "parse_type",
    "special_named",
    "variable_named",
    "what_is",
]
