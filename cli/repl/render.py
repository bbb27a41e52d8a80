"""What the prompt prints about a stop, a frame, a line, in gdb's layout.

May import `ttd.replayer.views` (types only), base, and the session's parts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ttd.cli.describe import event_line
from ttd.cli.output import plain
from ttd.cli.repl.console import Console, Style
from ttd.cli.repl.highlight import highlight
from ttd.errors import TtdError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Display, Session
    from ttd.replayer.views import DisassemblyLine, FrameView, SourceLine, StopReport, Where
    from ttd.types import Location

LAST_LINE = 1 << 31
"""A line number behind every file's end."""


def show_stop(session: Session, report: StopReport, with_instruction: bool = False) -> None:
    """Print why and where a motion stopped: reason, frame if it is another one, source line, displays."""
    message = _paragraphs(report.message)
    frames = session.debugger.frames(limit=1)
    identity = (frames[0].function_index, frames[0].entry, frames[0].scope) if frames else None
    with_frame = bool(message) or identity != session.shown_frame or report.where.location is None
    if frames and with_frame:
        frame = frame_text(session, frames[0], report.where.mid_line)
        message = _introduce(report, message) + frame
    if message:
        session.console.write(message)
    session.shown_frame = identity
    if frames:
        show_line(session, report.where, not with_frame, with_instruction)
    _show_outcome(session, report)
    for display in session.displays:
        session.console.write(display_text(session, display))


def _introduce(report: StopReport, message: str) -> str:
    """What comes before the frame: ``Breakpoint 1, `` stands on its line, longer messages above it."""
    from ttd.replayer.views import StopKind

    said = re.sub(r"^(Error in testing condition .*\n)+", "", message)
    short = report.reason in (StopKind.BREAKPOINT, StopKind.CATCHPOINT) and "\n" not in said
    return f"{message}{', ' if short else chr(10)}" if message else ""


def _show_outcome(session: Session, report: StopReport) -> None:
    """What `finish` returned; what the caught host call is."""
    from ttd.replayer.views import StopKind

    if report.returned is not None:
        session.console.write(f"Value returned = {plain(report.returned)}")
    if report.reason is StopKind.CATCHPOINT and report.call is not None:
        text = event_line(session.debugger.module, report.call)
        session.console.write(f"event {report.call.number}: {text}")


def show_frame(session: Session, frame: FrameView) -> None:
    """Print a frame with its number, and its source line."""
    where = session.debugger.where(frame.level)
    text = frame_text(session, frame, where.mid_line and frame.level == 0)
    session.console.write(f"{f'#{frame.level}':3} {text}")
    show_line(session, where, with_address=False)


def show_line(
    session: Session, where: Where, with_address: bool = True, with_instruction: bool = False
) -> None:
    """Print the source line of a place, with the address if it is in the middle of the line.

    The instruction comes too where it is asked for, and where there is no source.
    """
    if where.location is not None:
        address = f"{address_text(session.console, where.pc)}\t" if where.mid_line and with_address else ""
        number, text = where.location.line, source_text(session, where.location)
        if text is None:
            session.console.write(f"{address}{number}\tin {display_path(session, where.location)}")
        else:
            session.console.write(f"{address}{number}\t{text}")
    if with_instruction or where.location is None or session.settings.disassemble_next_line:
        current = current_instruction(session)
        if current is not None:
            alone = replace(current, text=current.text.strip())
            session.console.write(instruction_text(session.console, alone))


def frame_text(session: Session, frame: FrameView, mid_line: bool = False) -> str:
    """``push (q=0x1234, n=5) at queue.c:41``; the address comes first where the line does not tell it all."""
    paint = session.console.paint
    arguments = ", ".join(
        f"{paint(plain(argument.name), Style.VARIABLE)}={plain(argument.value)}"
        for argument in frame.arguments
    )
    text = f"{paint(plain(frame.function), Style.FUNCTION)} ({arguments})"
    if frame.location is None or mid_line:
        text = f"{address_text(session.console, frame.pc)} in {text}"
    if frame.location is None:
        return text
    return f"{text} at {paint(display_path(session, frame.location), Style.FILE)}:{frame.location.line}"


def display_path(session: Session, location: Location) -> str:
    """The path of a location as people know the file."""
    return plain(session.debugger.debug.display_path(location.path))


def address_text(console: Console, pc: int | None) -> str:
    """A code address: a byte offset in the module file."""
    return console.paint(f"{pc or 0:#010x}", Style.ADDRESS)


def source_text(session: Session, location: Location) -> str | None:
    """The text of one source line, highlighted; None where the source is not to be had."""
    view = session.debugger.source_lines(location.path, location.line, location.line)
    if view is None or not view.lines:
        return None
    return highlighted(session, view.path, view.lines)[0]


def highlighted(session: Session, path: str, lines: tuple[SourceLine, ...]) -> list[str]:
    """The texts of some lines of a file, with colours where they are wanted."""
    texts = [plain(line.text) for line in lines]
    if not (session.console.colour and session.settings.highlight):
        return texts
    whole = session.debugger.source_lines(path, 1, LAST_LINE)
    if whole is None:
        return texts
    coloured = highlight(path, "\n".join(plain(line.text) for line in whole.lines))
    return [coloured[line.number - 1] for line in lines]


def current_instruction(session: Session) -> DisassemblyLine | None:
    """The instruction that comes next in the selected frame."""
    return next((line for line in session.debugger.disassemble() if line.is_current), None)


def instruction_text(console: Console, line: DisassemblyLine) -> str:
    """A line of a disassembly; ``=>`` marks the next instruction."""
    marker = "=>" if line.is_current else "  "
    return f"{marker} {address_text(console, line.pc)}:\t{plain(line.text)}"


def display_text(session: Session, display: Display) -> str:
    """``1: q->n = 5``, or why it cannot be told here."""
    try:
        value = session.debugger.print_(display.expression, display.format or None)
    except TtdError as error:
        value = f"<{error}>"
    shown = f"/{display.format} {display.expression}" if display.format else display.expression
    return f"{display.number}: {shown} = {plain(value)}"


def _paragraphs(text: str) -> str:
    """A text of several lines with each made safe for the terminal."""
    return "\n".join(plain(line) for line in text.split("\n"))
