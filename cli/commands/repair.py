"""`ttd repair`: save what can be read of a damaged recording.

May import click; `ttd.store` late.
"""

from __future__ import annotations

from pathlib import Path

import click

from ttd.cli.files import json_option, trace_argument
from ttd.cli.group import Command
from ttd.cli.output import plain, write_json
from ttd.errors import UsageError


@click.command(cls=Command)
@trace_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="The new file; else NAME-repaired.trace beside the old one.",
)  # fmt: skip
@json_option
def command(trace: Path | None, output: Path | None, as_json: bool) -> None:
    """Save what is intact of a damaged recording (the latest without TRACE) into a new file.

    The recording itself stays as it is. What is lost is said; the new file opens and replays up to
    the first loss in the log.

    \b
    Examples:
      ttd repair traces/hello-1.trace
      ttd repair -o saved.trace traces/hello-1.trace
    """
    from ttd.store.directory import latest
    from ttd.store.repair import repair

    source = trace or latest()
    target = output or source.with_name(f"{source.stem}-repaired{source.suffix}")
    if target.exists():
        raise UsageError(f"{target} exists already; name another file with -o")
    saved = repair(source, target)
    if as_json:
        write_json(
            {
                "path": str(target),
                "events": saved.events,
                "snapshots": saved.snapshots,
                "end": str(saved.end),
                "losses": list(saved.losses),
            }
        )
        return
    for loss in saved.losses:
        click.echo(f"lost: {plain(loss)}")
    if not saved.losses:
        click.echo("nothing is damaged")
    click.echo(f"saved {saved.events} events and {saved.snapshots} snapshots, up to {saved.end}, in {target}")
