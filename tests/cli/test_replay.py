"""`ttd replay` over real recordings: whole sessions as golden files, and anything at all typed at it."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.cli import golden
from tests.cli.conftest import Ran
from tests.support import Guests
from ttd.cli.repl.completion import candidates
from ttd.cli.repl.session import Session
from ttd.cli.repl.table import TABLE
from ttd.errors import TtdError
from ttd.replayer.debugger import Debugger
from ttd.store.trace import Trace

Ttd = Callable[..., Ran]
Recorded = Callable[[str], Path]

LIBRARY = re.compile(r"/\S*/ziglang/lib/libc/")
"""Where the C library's own sources lie differs from machine to machine."""


def replay(ttd: Ttd, trace: Path, *commands: str) -> Ran:
    """``ttd replay TRACE -e COMMAND…``"""
    return ttd("replay", str(trace), *(part for command in commands for part in ("-e", command)))


def session_text(ttd: Ttd, trace: Path, *commands: str) -> str:
    """What a session that must not fail prints, without what differs from machine to machine."""
    ran = replay(ttd, trace, *commands)
    assert (ran.code, ran.err) == (0, "")
    return LIBRARY.sub("<LIBC>/", ran.out)


def test_walk_through_calls_and_back(ttd: Ttd, recorded: Recorded, guest: Guests) -> None:
    text = session_text(
        ttd, recorded("calls"),
        "break factorial if n == 3", "continue", "bt 4", "bt -1", "info args", "up", "info locals", "down",
        "finish", "watch smaller", "reverse-continue", "reverse-continue", "delete", "tbreak leaf",
        "reverse-continue", "reverse-finish", "step", "reverse-step", "next", "reverse-next",
        "until", "advance is_odd", "info breakpoints", "frame 1", "list", "list -", "list 1,3",
        f"list calls.c:{guest.line('calls', 'leaf')},{guest.line('calls', 'leaf') + 1}", "info line",
    )  # fmt: skip
    golden.check("walk.txt", text)


def test_walk_by_instruction_and_event(ttd: Ttd, recorded: Recorded) -> None:
    text = session_text(
        ttd, recorded("calls"),
        "break multiply", "continue", "stepi 3", "reverse-stepi 2", "nexti", "reverse-nexti",
        "info registers", "x/3i $pc", "x", "p/x a", "p $pc", "whatis b", "x/2dw &a", "x/2xb &b",
        "disassemble multiply", "display/x a", "stepi", "info display", "undisplay 1",
        "set disassemble-next-line on", "next", "events", "events fd_write", "info event",
        "catch call fd_write", "continue", "when", "goto event 0", "goto begin", "reverse-step", "goto end",
        "step", "info program", "info functions ^is_", "show",
    )  # fmt: skip
    golden.check("instructions.txt", text)


def test_looking_around_in_memory(ttd: Ttd, recorded: Recorded, guest: Guests) -> None:
    text = session_text(
        ttd, recorded("heap"),
        f"break heap.c:{guest.line('heap', 'fill')}", "continue", "stack 2", "memory map",
        "memory symbols ^nu|^gr", "memory &local[3]", "memory &numbers[2]", "memory 16777300",
        'find "needle"', "x/s $_", "x", "x/-2s $_",
        "find/w/1 &numbers[0], +24, 33, 44", "find/h &numbers[0], &numbers[5], 66",
        "find 'q', 'q', 'q'",
        "find &local[0], +4, 'a'", "p $numfound", "x/3dw numbers", "x", "x/-2uw numbers + 3", "x/2xh numbers",
        "x/2tb numbers", "x/3c greeting", "x/2a &list", "x/4ob numbers", "x/2fg numbers", "x/fh numbers",
        "p/x $__", "x/-2i $pc", "x/2i", "x/2sh greeting",
    )  # fmt: skip
    golden.check("memory.txt", text)


def test_looking_at_the_heap(ttd: Ttd, recorded: Recorded, guest: Guests) -> None:
    text = session_text(
        ttd, recorded("heap"),
        f"break heap.c:{guest.line('heap', 'print')}", "continue", "heap", "heap newest 1", "heap biggest 2",
        "heap leaks", "heap list", "heap stale", "heap grown + 7", "heap 5", "memory stale", "when",
    )  # fmt: skip
    golden.check("heap.txt", text)


def test_from_a_trap_back_to_its_cause(ttd: Ttd, recorded: Recorded, guest: Guests) -> None:
    text = session_text(
        ttd, recorded("trap"),
        "goto end", "bt", "p *item", "p item->divisor", "watch item->divisor", "reverse-continue", "bt",
    )  # fmt: skip
    golden.check("trap.txt", text)
    assert f"trap.c:{guest.line('trap', 'cause')}\n" in text


def test_commands_and_scripts_run_in_the_order_of_the_command_line(
    ttd: Ttd, recorded: Recorded, tmp_path: Path
) -> None:
    (tmp_path / "one").write_text("when\n")
    (tmp_path / "two").write_text("goto end\n")
    ran = ttd(
        "replay", str(recorded("calls")), "-e", "goto 50%", "-x", "one", "-e", "goto begin", "-x", "two"
    )
    assert re.findall(r"\(ttd\) (.*)", ran.out) == ["goto 50%", "when", "goto begin", "goto end"]


def test_commands_come_from_standard_input_where_there_is_no_terminal(ttd: Ttd, recorded: Recorded) -> None:
    ran = ttd("replay", str(recorded("calls")), input="# a comment\n\ngoto end\nquit\nwhen\n")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "(ttd) goto end\n[The program exited with code 0.]\n(ttd) quit\n"


def test_at_starts_there(ttd: Ttd, recorded: Recorded) -> None:
    trace = str(recorded("calls"))
    assert "event 1 of 3" in ttd("replay", trace, "--at", "event 1", "-e", "when").out
    assert "100.0 %" in ttd("replay", trace, "--at", "end", "-e", "when").out
    assert (ttd("replay", trace, "--at", "never").code, ttd("replay", trace, "--at", "9999:0").code) == (2, 2)


def test_interactive_needs_a_terminal(ttd: Ttd, recorded: Recorded) -> None:
    assert "needs a terminal" in ttd("replay", str(recorded("calls")), "-i").error


@pytest.mark.parametrize(
    "command, message",
    [
        ("frobnicate", "no command 'frobnicate'"),
        ("goto 99999", "99999"),
        ("goto event 99", "no event 99"),
        ("goto 3:?", "'goto event N'"),
        ("goto 101%", "past the end"),
        ("print 1 +", "expression"),
        ("print nosuch", "no symbol 'nosuch'"),
        ("break nosuch", "'nosuch' is not defined"),
        ("break calls.c:9999", "no code"),
        ("break nosuch.c:1", "no source file"),
        ("break *1", "no code"),
        ("break main if (", "expression"),
        ("watch 1 + 1", "memory"),
        ("catch call nosuch", "imports no 'nosuch'"),
        ("x/4xw 4000000000", "memory"),
        ("print *(int *)4000000000", "cannot access memory at address 0xee6b2800"),
        ("x/i 0", "no code"),
        ("x/-4xb 3", "before address 0"),
        ("x/sg 1024", "not with g"),
        ("find", "takes START"),
        ("find 1, +2", "takes START"),
        ("find/q 1", "no such format"),
        ("find 1, +0, 2", "at least 1"),
        ('find ""', "empty pattern"),
        ('find "open', "not a string"),
        ("memory symbols (", "not a regular expression"),
        ("heap newest 0", "count of at least 1"),
        ("memory 4000000000", "ends at"),
        ("list nosuch", "not defined"),
        ("disassemble nosuch", "not defined"),
        ("frame 99", "no frame 99"),
        ("up", "can't go up"),
        ("finish", "outermost"),
        ("source nosuch", "cannot read"),
    ],
)
def test_failing_command_ends_the_script_with_one_line_and_exit_1(
    command: str, message: str, ttd: Ttd, recorded: Recorded
) -> None:
    ran = replay(ttd, recorded("calls"), command, "when")
    assert ran.code == 1
    assert ran.out == f"(ttd) {command}\n"
    assert message in ran.error


@pytest.fixture(scope="module")
def debugger(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debugger]:
    folder = tmp_path_factory.mktemp("typed")  # some commands write files
    with Trace.open(recorded("calls")) as trace, Debugger(trace) as debugger, contextlib.chdir(folder):
        yield debugger


WORDS = st.sampled_from(
    [
        name
        for command in TABLE
        for name in (command.name, *command.aliases)
        if command.name not in ("source", "quit")
    ]
)
PIECES = st.sampled_from(
    [
        "1", "2", "-1", "0", "99", "n", "main", "factorial", "calls.c:12", "*0x3737", "&second", "$pc", "if",
        "n > 2", "full", "end", "begin", "50%", "event 1", "/x", "/3i", "/2xw", "locals", "b",
        "call fd_write", "trap", "(", "->", "listsize", "on", "-w", ",", "'", '"', "\0", "\x1b[2J", "é",
    ]
)  # fmt: skip
LINES = st.builds(lambda word, rest: " ".join((word, *rest)), WORDS, st.lists(PIECES, max_size=3))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(lines=["directory \0 /x"])
@given(lines=st.lists(LINES | st.text(max_size=12), min_size=1, max_size=4))
def test_whatever_is_typed_is_done_or_refused_in_one_line(lines: list[str], debugger: Debugger) -> None:
    session = Session(debugger, io.StringIO(), colour=False)
    for line in lines:
        candidates(session, line)
        try:
            session.execute(line)
        except TtdError as error:
            assert "\n" not in str(error) and "internal error" not in str(error)
    debugger.delete()
    text = session.console.stream
    assert isinstance(text, io.StringIO) and "\x1b" not in text.getvalue()
