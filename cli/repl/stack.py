"""Commands about the call stack.

May import `ttd.replayer.views` (types only) and the session's parts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ttd.cli.output import plain
from ttd.cli.repl.command import Call, Command, Complete, Group
from ttd.cli.repl.console import Style
from ttd.cli.repl.render import frame_text, show_frame
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.replayer.views import FrameView, VariableView

PAGE = 100
"""How many frames `backtrace` shows unless told: a runaway recursion has thousands."""


def backtrace(session: Session, call: Call) -> None:
    """Print the call stack, innermost frame first.

    A function inlined into its caller is a frame of its own, as if it were called. The
    frame of a function that made a tail call is gone; the function called so says that.
    With COUNT only so many frames, with -COUNT only the outermost ones; with 'full'
    their locals too. Without COUNT at most the innermost 100.
    """
    count, full = _what_frames(call)
    total = session.debugger.frame_count
    if total == 0:
        session.console.write("No stack: the program has returned.")
        return
    for frame in session.debugger.frames(abs(count), first=max(total + count, 0) if count < 0 else 0):
        _print_frame(session, frame, full)
    if 0 < count < total:
        left = total - count
        session.console.write(f"({left} more frame{'s' if left > 1 else ''}; 'bt {total}' shows all)")


def frame(session: Session, call: Call) -> None:
    """Show the selected frame, or select one by its number.

    'print', 'info locals', 'finish' and 'list' work on the selected frame. 0 is the
    innermost.
    """
    if not call.arguments:
        show_frame(session, _selected(session))
        return
    match = re.fullmatch(r"\d{1,9}", call.arguments)
    if match is None:
        raise UsageError(f"'frame' takes the number of a frame, not {call.arguments!r}; 'bt' lists them")
    _select(session, session.debugger.select_frame(int(match[0])))


def up(session: Session, call: Call) -> None:
    """Select the caller's frame, or one COUNT calls out."""
    _select(session, session.debugger.up(call.count()))


def down(session: Session, call: Call) -> None:
    """Select the callee's frame, or one COUNT calls in."""
    _select(session, session.debugger.down(call.count()))


def info_locals(session: Session, _arguments: str) -> None:
    """The local variables of the selected frame."""
    show_variables(session, session.debugger.locals(), "No locals.")


def info_args(session: Session, _arguments: str) -> None:
    """The arguments of the selected frame."""
    show_variables(session, session.debugger.arguments(), "No arguments.")


def info_frame(session: Session, _arguments: str) -> None:
    """The selected frame in full: where it is, and when it was entered."""
    selected = _selected(session)
    show_frame(session, selected)
    console = session.console
    console.write(f"  function {selected.function_index}, next instruction at byte offset {selected.pc:#x}")
    if selected.is_inlined:
        console.write(f"  inlined into frame #{selected.level + 1}")
        return
    if not session.debugger.is_core_dump:
        console.write(f"  entered at {selected.entry} ('goto {selected.entry}' goes there)")
    if selected.note:
        console.write(f"  entered by a tail call: {plain(selected.note)}")
    elif selected.level + 1 < session.debugger.frame_count:
        console.write(f"  called by frame #{selected.level + 1}")
    else:
        console.write("  called from outside: it is the outermost frame")


def show_variables(session: Session, variables: list[VariableView], none: str, indent: str = "") -> None:
    """Print variables as ``name = value``."""
    for variable in variables:
        name = session.console.paint(plain(variable.name), Style.VARIABLE)
        session.console.write(f"{indent}{name} = {plain(variable.value)}")
    if not variables:
        session.console.write(f"{indent}{none}")


def _what_frames(call: Call) -> tuple[int, bool]:
    """How many frames (negative: outermost ones), and whether with locals."""
    count, full = PAGE, False
    for word in call.arguments.split():
        if word in ("full", "-full"):
            full = True
        elif re.fullmatch(r"-?\d{1,9}", word) and int(word):
            count = int(word)
        else:
            raise UsageError(f"'backtrace' takes a count of frames and 'full', not {word!r}")
    return count, full


def _print_frame(session: Session, shown: FrameView, full: bool) -> None:
    note = shown.note and f" {plain(shown.note)}"
    session.console.write(f"{f'#{shown.level}':3} {frame_text(session, shown)}{note}")
    if not full:
        return
    before = session.debugger.selected
    session.debugger.select_frame(shown.level)
    try:
        show_variables(session, session.debugger.locals(), "No locals.", indent="        ")
    finally:
        session.debugger.select_frame(before)


def _selected(session: Session) -> FrameView:
    if session.debugger.frame_count == 0:
        raise UsageError("no frame: the program has returned; 'reverse-stepi' goes back into it")
    return session.debugger.select_frame(session.debugger.selected)


def _select(session: Session, selected: FrameView) -> None:
    from ttd.cli.repl.session import Listing

    session.listing = Listing()
    show_frame(session, selected)


K = Group.STACK

ROWS = (
    Command(
        "backtrace", ("bt", "where"), K, Complete.NOTHING, backtrace, "[COUNT | -COUNT] [full]",
        ("bt", "bt 3", "bt -1", "bt full"),
    ),
    Command("frame", ("f",), K, Complete.NOTHING, frame, "[NUMBER]", ("frame", "frame 0")),
    Command("up", (), K, Complete.NOTHING, up, "[COUNT]", ("up",)),
    Command("down", (), K, Complete.NOTHING, down, "[COUNT]", ("down",)),
)  # fmt: skip
