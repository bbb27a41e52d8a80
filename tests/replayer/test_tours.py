"""Tours through programs in C, C++ and Rust, at every level of optimisation: frames and values at each stop.

What is not optimised shows all that the tables have. What is shows the same or that it is optimised out, and
never anything else; how much it has left at least is a number here, so that nothing gets lost unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.replayer.tours import TOURS, Frame
from tests.support import Guests
from ttd.errors import ExpressionError
from ttd.replayer.debugger import Debugger
from ttd.replayer.views import StopKind

LOST = "<lost>"

SHARES = {
    "tour -O0": 100,
    "tour -O1": 35,
    "tour -O2": 41,
    "tour -O2 -gdwarf-5": 41,
    "voyage -O0": 100,
    "voyage -O1": 53,
    "voyage -O2 -gdwarf-5": 40,
    "journey -O0": 100,
    "journey -O1": 9,
    "journey -O2": 11,
}
"""By build: per cent of the table's values that must be there."""


@pytest.fixture(scope="session")
def engine() -> str:
    """The compiled engine only: what the interpreter has of a frame the compiled engine has at most."""
    return "compiled"


@pytest.mark.parametrize("build", SHARES)
def test_every_stop_shows_what_is(debug: Callable[[str], Debugger], guest: Guests, build: str) -> None:
    name, level, *_ = build.split()
    debugger = debug(build)
    debugger.break_(f"{guest.files(name)[0].name}:{guest.line(name, 'look')}")
    shown = total = 0
    for number, stop in enumerate(TOURS[name]):
        assert debugger.continue_().reason is StopKind.BREAKPOINT
        views = debugger.frames(len(stop), first=1)
        folded = level != "-O0" and stop[1:] and views[1].function != stop[1].function
        expected = [frame for frame in stop if not (folded and frame.folded)]
        views = views[: len(expected)]
        assert [(view.function.removeprefix("sea::(anonymous)::"), view.location and view.location.line)
                for view in views] == [
            (frame.function, guest.line(name, frame.marker)) for frame in expected
        ], number  # fmt: skip
        for view, frame in zip(views, expected, strict=True):
            debugger.select_frame(view.level)
            found = values(debugger, frame)
            wrong = {key: text for key, text in found.items() if text not in (frame.values[key], LOST)}
            assert not wrong, (number, frame.function)
            shown += sum(text != LOST for text in found.values())
            total += len(found)
    assert debugger.continue_().reason is StopKind.ENDED
    assert 100 * shown >= SHARES[build] * total, f"{100 * shown // total} %"


def values(debugger: Debugger, frame: Frame) -> dict[str, str]:
    """What the expressions of `frame` show in the selected one."""
    return {expression: value(debugger, expression) for expression in frame.values}


def value(debugger: Debugger, expression: str) -> str:
    try:
        text = debugger.print_(expression)
    except ExpressionError as error:
        text = str(error)
    lost = "optimized out" in text or "not available" in text
    return LOST if lost or text.startswith("no symbol") else text
