"""`ttd events`: the host calls of a recording, in the manner of strace.

May import click; `ttd.store` and `ttd.wasm` late.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.describe import event_json, event_line, warn_of_damaged_trace
from ttd.cli.files import json_option, open_trace, trace_argument
from ttd.cli.group import Command
from ttd.cli.output import plain, write_json_list
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.events import HostCall
    from ttd.store.trace import Trace
    from ttd.wasm.model import Module


@click.command(cls=Command)
@trace_argument
@click.option("--from", "first", type=click.IntRange(min=0), default=0, metavar="N", help="First event.")
@click.option("--to", "last", type=click.IntRange(min=0), metavar="N", help="Last event.")
@click.option("--only", metavar="NAME,…", help="Only calls of these functions.")
@json_option
def command(trace: Path | None, first: int, last: int | None, only: str | None, as_json: bool) -> None:
    """List the host calls of a recording (the latest without TRACE).

    Each line has the number of the event, its position and the call with its decoded arguments.
    'goto event N' at the prompt goes there. Compiled code knows the tick of a call only: 120:?.
    The line behind the last one says how the run ended.

    \b
    Examples:
      ttd events
      ttd events --only fd_write,proc_exit
      ttd events --from 2 --to 5 --json
    """
    from ttd.wasm.decode import decode

    with open_trace(trace) as opened:
        if first and first >= opened.event_count:
            raise UsageError(f"there is no event {first}; the recording has {opened.event_count}, from 0 on")
        module = decode(opened.module)
        warn_of_damaged_trace(opened)
        chosen = _chosen(opened, module, first, last, only)
        if as_json:
            write_json_list(event_json(module, event) for event in chosen)
            return
        width = len(str(opened.event_count))
        for event in chosen:
            click.echo(f"{event.number:{width}}  {event.position!s:>10}  {event_line(module, event)}")
        if last is None:
            click.echo(f"{'':{width + 14}}+++ {plain(opened.ending.describe())} +++")


def _chosen(
    trace: Trace, module: Module, first: int, last: int | None, only: str | None
) -> Iterator[HostCall]:
    events = trace.events(first, None if last is None else last + 1)
    if only is None:
        return events
    names = {name.strip() for name in only.split(",")}
    imports = {f.index: f.imported.name for f in module.functions if f.imported is not None}
    if unknown := names - set(imports.values()):
        raise UsageError(f"the program imports no function {min(unknown)!r}")
    return (event for event in events if imports.get(event.function) in names)
