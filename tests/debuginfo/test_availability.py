"""Optimised code: what is shown for a variable is a value that it has, or `<optimized out>`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from tests.debuginfo.program import Silence, load
from tests.support import Guests
from ttd.debuginfo import DebugInfo, Variable
from ttd.debuginfo.types import BaseType
from ttd.engine.protocol import HostExit, Invocation, Program
from ttd.errors import ExpressionError
from ttd.expr import StateContext, TypedValue
from ttd.interpreter import Interpreter
from ttd.state import Memory
from ttd.types import Position, StopReason, Value


class Leaving(Silence):
    """A host for which proc_exit ends the program."""

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        if len(arguments) == 1:
            raise HostExit(0)
        return super().call(function, arguments, position, memories)


Values = dict[tuple[str, str], set[int | float]]
"""By function and variable."""

MOST_TICKS = 5_000


def shown(guest: Guests, name: str, *flags: str) -> tuple[Values, int]:
    """The numbers that the variables of a guest's own functions show, at every step of the run; how many."""
    module = load(guest(name, *flags))
    debug = DebugInfo(module)
    start = module.exports_by_name["_start"].index
    engine = Interpreter(Program(module, (Invocation(start),)), Leaving())
    found: Values = defaultdict(set)
    count = 0
    try:
        while engine.step().reason is not StopReason.ENDED and engine.state.position.tick < MOST_TICKS:
            frame = engine.state.frames[-1]
            for function, variable in variables(debug, f"{name}.c", frame.pc):
                try:
                    number = TypedValue.of_variable(variable, StateContext(engine.state, debug)).number()
                except ExpressionError:
                    continue
                found[function, variable.name].add(number)
                count += 1
    finally:
        engine.close()
    return found, count


def variables(debug: DebugInfo, file: str, pc: int) -> Iterator[tuple[str, Variable]]:
    """The numbers among the variables at `pc`, with the function of the source that each belongs to."""
    for scope in debug.scopes(pc):
        if scope.location is not None and scope.location.path.endswith(file):
            for variable in scope.visible(pc):
                if isinstance(variable.type.strip(), BaseType):
                    yield scope.name, variable


@pytest.mark.parametrize("flags", [("-O1",), ("-O2",), ("-O2", "-gdwarf-5"), ("-Os",)], ids=" ".join)
@pytest.mark.parametrize("name", ["registers", "inlines"])
def test_no_variable_shows_what_it_never_is(guest: Guests, name: str, flags: tuple[str, ...]) -> None:
    """Against a build that is not optimised, in which each variable has its own place in memory."""
    plain, _ = plainly(guest, name)
    optimised, count = shown(guest, name, *flags)
    wrong = {key: values - plain[key] for key, values in optimised.items() if values - plain[key]}
    assert not wrong
    assert count > 100


@cache
def plainly(guest: Guests, name: str) -> tuple[Values, int]:
    return shown(guest, name, "-O0")
