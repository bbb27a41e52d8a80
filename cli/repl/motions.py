"""Commands that move through time, forward and backward.

May import `ttd.replayer.debugger` (late) and the session's parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ttd.cli.repl.command import Call, Command, Complete, Group, Repeat
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session


def step(session: Session, call: Call) -> None:
    """Go to the next source line, into called functions.

    COUNT times. Functions without line information are stepped over.
    """
    session.stopped(session.debugger.step(call.count()))


def next_(session: Session, call: Call) -> None:
    """Go to the next source line, over calls.

    COUNT times. A breakpoint inside a call stops there.
    """
    session.stopped(session.debugger.next(call.count()))


def stepi(session: Session, call: Call) -> None:
    """Go one WebAssembly instruction forward.

    Or COUNT of them. The beginning of a loop or function is a place of its own (a
    tick), and counts as one too.
    """
    session.stopped(session.debugger.stepi(call.count()), with_instruction=True)


def nexti(session: Session, call: Call) -> None:
    """Go one instruction forward, over calls."""
    session.stopped(session.debugger.nexti(call.count()), with_instruction=True)


def finish(session: Session, call: Call) -> None:
    """Run until the selected frame returns, and print what."""
    call.no_arguments()
    session.stopped(session.debugger.finish())


def until(session: Session, call: Call) -> None:
    """Run to a later line of this function, or to LOCATION.

    Without LOCATION as 'next', but never back to an earlier line: it leaves loops. It
    stops in any case where the selected frame returns.
    """
    session.stopped(session.debugger.until(call.arguments or None))


def advance(session: Session, call: Call) -> None:
    """Run to LOCATION, in whatever frame it is reached.

    It stops in any case where the selected frame returns.
    """
    session.stopped(session.debugger.advance(_location(call)))


def continue_(session: Session, call: Call) -> None:
    """Run to the next stop, or to the end.

    Stops are breakpoints, watchpoints and catchpoints. With COUNT the breakpoint here
    is ignored COUNT-1 times.
    """
    session.stopped(session.debugger.continue_(call.count()))


def reverse_step(session: Session, call: Call) -> None:
    """Go back to the line before, into called functions."""
    session.stopped(session.debugger.step(call.count(), reverse=True))


def reverse_next(session: Session, call: Call) -> None:
    """Go back to the line before, over calls."""
    session.stopped(session.debugger.next(call.count(), reverse=True))


def reverse_stepi(session: Session, call: Call) -> None:
    """Go one WebAssembly instruction back, or COUNT."""
    session.stopped(session.debugger.stepi(call.count(), reverse=True), with_instruction=True)


def reverse_nexti(session: Session, call: Call) -> None:
    """Go one instruction back, over calls."""
    session.stopped(session.debugger.nexti(call.count(), reverse=True), with_instruction=True)


def reverse_finish(session: Session, call: Call) -> None:
    """Go back to where the selected frame was called."""
    call.no_arguments()
    session.stopped(session.debugger.finish(reverse=True))


def reverse_until(session: Session, call: Call) -> None:
    """Go back to an earlier line, or to LOCATION."""
    session.stopped(session.debugger.until(call.arguments or None, reverse=True))


def reverse_advance(session: Session, call: Call) -> None:
    """Go back to LOCATION, in whatever frame it is reached."""
    session.stopped(session.debugger.advance(_location(call), reverse=True))


def reverse_continue(session: Session, call: Call) -> None:
    """Go back to the last stop before here, or the beginning.

    Stops are breakpoints, watchpoints and catchpoints.
    """
    session.stopped(session.debugger.continue_(call.count(), reverse=True))


def goto(session: Session, call: Call) -> None:
    """Go to any place in the run.

    A place is a position (as 'when' shows it), an event, a percentage, the beginning or
    the end. Breakpoints on the way do not stop it.
    """
    from ttd.replayer.debugger import parse_target

    if not call.arguments:
        raise UsageError("'goto' takes a place: 1200:7, event 5, 37%, begin or end")
    session.stopped(session.debugger.goto(parse_target(call.arguments)))


def run(session: Session, call: Call) -> None:
    """Nothing: 'goto begin' goes to the start of a recording.

    What happens in it has happened. 'continue' goes on from here, 'reverse-continue'
    goes back.
    """
    raise UsageError(
        "a recording can't be run again; 'goto begin' goes to its start, 'continue' goes on from here"
    )


def _location(call: Call) -> str:
    if not call.arguments:
        raise UsageError(f"'{call.word}' takes a place, such as main or queue.c:41")
    return call.arguments


F, B, P = Group.FORWARD, Group.BACKWARD, Group.PLACES
NO, WHERE = Complete.NOTHING, Complete.LOCATION
SAME = Repeat.SAME

ROWS = (
    Command("step", ("s",), F, NO, step, "[COUNT]", ("step", "s 3"), SAME),
    Command("next", ("n",), F, NO, next_, "[COUNT]", ("next", "n 2"), SAME),
    Command("stepi", ("si",), F, NO, stepi, "[COUNT]", ("stepi", "si 10"), SAME),
    Command("nexti", ("ni",), F, NO, nexti, "[COUNT]", ("nexti",), SAME),
    Command("finish", ("fin",), F, NO, finish, "", ("finish",), SAME),
    Command("until", ("u",), F, WHERE, until, "[LOCATION]", ("until", "until main"), SAME),
    Command("advance", (), F, WHERE, advance, "LOCATION", ("advance factorial",), SAME),
    Command("continue", ("c", "fg"), F, NO, continue_, "[COUNT]", ("continue",), SAME),
    Command("reverse-step", ("rs",), B, NO, reverse_step, "[COUNT]", ("reverse-step", "rs 3"), SAME),
    Command("reverse-next", ("rn",), B, NO, reverse_next, "[COUNT]", ("reverse-next",), SAME),
    Command("reverse-stepi", ("rsi",), B, NO, reverse_stepi, "[COUNT]", ("rsi", "rsi 10"), SAME),
    Command("reverse-nexti", ("rni",), B, NO, reverse_nexti, "[COUNT]", ("rni",), SAME),
    Command("reverse-finish", ("rf",), B, NO, reverse_finish, "", ("reverse-finish",), SAME),
    Command("reverse-until", ("ru",), B, WHERE, reverse_until, "[LOCATION]", ("reverse-until",), SAME),
    Command("reverse-advance", (), B, WHERE, reverse_advance, "LOCATION", ("reverse-advance main",), SAME),
    Command("reverse-continue", ("rc",), B, NO, reverse_continue, "[COUNT]", ("reverse-continue",), SAME),
    Command(
        "goto", ("g",), P, Complete.TARGET, goto, "POSITION | event N | PERCENT% | begin | end",
        ("goto end", "goto 37%", "goto event 0", "goto begin"),
    ),
    Command("run", ("r", "start"), P, NO, run),
)  # fmt: skip
