"""`ttd core`: a core dump of a moment of a recording.

May import click; `ttd.replayer` late.
"""

from __future__ import annotations

from pathlib import Path

import click

from ttd.cli.files import engine_option, open_trace, replaying_engine, trace_argument, write_core_dump
from ttd.cli.group import Command
from ttd.cli.output import Progress, plain, size


@click.command(cls=Command)
@trace_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the core dump there, not to TRACE.coredump.",
)  # fmt: skip
@click.option(
    "--at", metavar="POSITION", default="end", help="The moment: 1200:7, 'event 5', 37%.  [default: end]"
)
@engine_option
def command(trace: Path | None, output: Path | None, at: str, engine: str | None) -> None:
    """Write a WebAssembly core dump of a recording (the latest without TRACE).

    It holds memory, globals, tables and the call stack of one moment: of the end, which after a trap
    is the place that trapped. Tools for core dumps read it; 'ttd replay' does, too. The program and
    its sources are in it, as far as the recording has them.

    \b
    Examples:
      ttd core
      ttd core traces/hello-1.trace --at 37% -o hello.coredump
    """
    from ttd.replayer.debugger import Debugger, parse_target

    with (
        open_trace(trace) as opened,
        Progress("searching") as progress,
        Debugger(
            opened, replaying_engine(engine), lambda p: progress.update(p.percent, p.position.tick)
        ) as debugger,
    ):
        debugger.goto(parse_target(at))
        data, position = debugger.core_dump(), debugger.position
        path = output or Path(f"{opened.path.stem}.coredump")
    write_core_dump(path, data)
    click.echo(f"Wrote {plain(str(path))}, {size(len(data))}: the moment {position}.")
