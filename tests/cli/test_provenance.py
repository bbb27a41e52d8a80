"""What the prompt tells about where values come from."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import Guests
from ttd.cli.repl.completion import candidates
from ttd.cli.repl.session import Session
from ttd.errors import UsageError
from ttd.replayer.debugger import Debugger
from ttd.store.trace import Trace

Typed = Callable[..., str]


@pytest.fixture(scope="module")
def debugger(recorded: Callable[[str], Path], guest: Guests) -> Iterator[Debugger]:
    """At the last line of factorial, in its second activation that comes to an end."""
    with Trace.open(recorded("calls")) as trace, Debugger(trace) as opened:
        opened.break_(f"calls.c:{guest.line('calls', 'multiply')}", condition="n == 3")
        opened.continue_()
        yield opened


@pytest.fixture
def typed(debugger: Debugger) -> Iterator[Typed]:
    """Types lines at a prompt; what they print. The debugger is put back where it was."""
    here = debugger.position

    def run(*lines: str) -> str:
        out = io.StringIO()
        session = Session(debugger, out)
        for line in lines:
            session.execute(line)
        return out.getvalue()

    yield run
    run(f"goto {here}")


def test_history_is_a_line_for_each_change_and_the_beginning(typed: Typed, guest: Guests) -> None:
    change, ending = typed("history smaller").splitlines()
    position, rest = change.split(maxsplit=1)
    assert rest.endswith(f"→ 2  in factorial at calls.c:{guest.line('calls', 'recurse')}")
    assert ending.startswith("Before that the frame of smaller had not been entered")
    assert typed(f"goto {position}", "p smaller").endswith(f"= {rest.split()[0]}\n")


def test_history_takes_a_count_and_a_format(typed: Typed) -> None:
    assert len(typed("history $global0 3").splitlines()) == 3
    assert len(typed("history -w $global0 5").splitlines()) == 5
    assert "→ 0x2  in factorial" in typed("history/x smaller 1")


def test_last_write_goes_there(typed: Typed, debugger: Debugger, guest: Guests) -> None:
    lines = typed("last-write smaller").splitlines()
    assert lines[0] == "smaller was written here:"
    assert lines[2].startswith("Old value = ")
    assert lines[3] == "New value = 2"
    assert lines[4].endswith(f"calls.c:{guest.line('calls', 'recurse')}")


def test_origin_is_a_paragraph_for_each_hop(typed: Typed, guest: Guests) -> None:
    lines = typed("origin smaller").splitlines()
    numbers = [line.split()[0] for line in lines if line.startswith("#")]
    assert numbers == [f"#{index}" for index in range(len(numbers))]
    assert "computed by i32.mul: 2 * 1" in "".join(lines)
    assert f"in factorial at calls.c:{guest.line('calls', 'multiply')}" in lines[-2]
    assert lines[-1].strip().startswith("return n * smaller;")
    ending = "The way goes on; ask for more than 1 to see it."
    assert typed("origin smaller 1").splitlines()[-1] == ending


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("history", "takes an expression"),
        ("origin", "takes an expression"),
        ("last-write", "takes an expression"),
        ("origin -w n", "takes no -w"),
        ("last-write n 3", "'history n 3' lists writes"),
    ],
)
def test_what_is_typed_wrong_is_told(typed: Typed, line: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        typed(line)


def test_variables_are_offered(debugger: Debugger) -> None:
    session = Session(debugger, io.StringIO())
    for command in ("history", "last-write", "origin", "lw"):
        assert "smaller" in [candidate.text for candidate in candidates(session, f"{command} sm")]
