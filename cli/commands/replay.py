"""`ttd replay`: a recording under the debugger's prompt, or under a script.

May import click; everything else late.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.describe import warn_of_damaged_trace
from ttd.cli.exitcodes import SUCCESS
from ttd.cli.files import debug_info_option, engine_option, open_recording, trace_argument
from ttd.cli.group import Command
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session

ORDER = "ttd.replay.order"
"""Key of `Context.meta`: the -e and -x options in the order in which they were typed."""


class ReplayCommand(Command):
    """Keeps the order in which -e and -x were given among each other; click alone forgets it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[ORDER] = [param.name for param in order if param.name in ("commands", "scripts")]
        return super().parse_args(ctx, args)


@click.command(cls=ReplayCommand)
@trace_argument
@click.option("-e", "commands", multiple=True, metavar="CMD", help="Run a command; may be repeated.")
@click.option(
    "-x", "scripts", multiple=True, metavar="SCRIPT", type=click.Path(path_type=Path),
    help="Run the commands in a file; may be repeated.",
)  # fmt: skip
@click.option("--at", metavar="POSITION", help="Start there: 1200:7, 'event 5', 37%, end.")
@debug_info_option
@click.option(
    "--module", metavar="MODULE.wasm", type=click.Path(path_type=Path),
    help="The program of a core dump that does not hold it.",
)  # fmt: skip
@engine_option
@click.option("-i", "--interactive", is_flag=True, help="Go on at the prompt after -e and -x.")
@click.pass_context
def command(
    ctx: click.Context,
    trace: Path | None,
    commands: tuple[str, ...],
    scripts: tuple[Path, ...],
    at: str | None,
    debug_info: Path | None,
    module: Path | None,
    engine: str | None,
    interactive: bool,
) -> int:
    """Debug a recording (the latest without TRACE), forward and backward; or look at a core dump.

    With a terminal this is a prompt; type 'help' there. With -e or -x, or when standard input is no
    terminal, commands run one after the other, each echoed as '(ttd) CMD'. The first that fails ends
    the run: its error goes to stderr, and the exit code is 1.

    TRACE may be a WebAssembly core dump, in the format of the tool conventions. It has one moment, at
    which all commands work that need no running.

    \b
    Examples:
      ttd replay
      ttd replay --at end
      ttd replay traces/hello-1.trace -e 'break main' -e continue -e bt
      ttd replay -x find-the-bug.ttd
    """
    from ttd.cli.repl.script import commands_of, run_script
    from ttd.cli.repl.session import Session
    from ttd.replayer.debugger import Debugger

    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if interactive and not terminal:
        raise UsageError("--interactive needs a terminal")
    planned = list(_in_order(ctx, commands, scripts))
    with (
        open_recording(trace, module, engine) as (opened, engine_factory),
        Debugger(opened, engine_factory, debug_info=debug_info) as debugger,
    ):
        session = Session(debugger, sys.stdout)
        if at is not None:
            session.start_at(at)
        if planned or not terminal:
            warn_of_damaged_trace(opened)
            code = run_script(session, planned or commands_of(sys.stdin))
            if code != SUCCESS or session.finished or not interactive:
                return code
        return _prompt(session)


def _in_order(ctx: click.Context, commands: tuple[str, ...], scripts: tuple[Path, ...]) -> Iterator[str]:
    """All commands of -e and -x, in the order of the command line."""
    from ttd.cli.repl.script import read_script

    typed, files = iter(commands), iter(scripts)
    for name in ctx.meta[ORDER]:
        if name == "commands":
            yield next(typed)
        else:
            yield from read_script(next(files))


def _prompt(session: Session) -> int:
    from ttd.cli.repl.terminal import Terminal

    return Terminal(session).run()
