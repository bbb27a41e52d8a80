"""`ttd ls`: which recordings there are.

May import click; `ttd.store` late.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.files import json_option
from ttd.cli.group import Command
from ttd.cli.output import Json, moment, plain, size, write_json, write_table
from ttd.errors import TtdError, UsageError

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A trace file, and what it says about itself; `problem` instead where it cannot be opened."""

    path: Path
    size: int
    latest: bool
    program: str = ""
    created: datetime | None = None
    ending: str = ""
    events: int = 0
    damaged: bool = False
    problem: str = ""


@click.command(cls=Command)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@json_option
def command(folder: Path | None, as_json: bool) -> None:
    """List recordings, oldest first.

    They are looked for in FOLDER, else where TTD_TRACE_DIR says, else in traces/ under the working
    directory. * marks the latest one, which the other commands mean when no trace is named.

    \b
    Examples:
      ttd ls
      ttd ls --json
    """
    from ttd.store.directory import list_traces, trace_directory

    if folder is not None and not folder.is_dir():
        known = f"{folder} is no folder; 'ttd info {folder}' tells about a file"
        raise UsageError(known if folder.exists() else f"no such folder: {folder}")
    place = folder or trace_directory()
    rows = [_row(path, path == _latest(place)) for path in list_traces(place)]
    if as_json:
        write_json([_json(row) for row in rows])
    elif rows:
        write_table(("", "NAME", "RECORDED", "SIZE", "EVENTS", "ENDED"), map(_cells, rows), "SIZE EVENTS")
    else:
        click.echo(f"No recordings in {place}; make one with 'ttd record PROGRAM.wasm'.")


def _latest(place: Path) -> Path | None:
    from ttd.store.directory import latest

    try:
        return latest(place)
    except UsageError:
        return None


def _row(path: Path, is_latest: bool) -> Row:
    from ttd.store.trace import Trace

    length = path.stat().st_size
    try:
        with Trace.open(path) as trace:
            return Row(
                path, length, is_latest, trace.manifest.program, trace.manifest.created,
                trace.ending.describe(), trace.event_count, bool(trace.damage),
            )  # fmt: skip
    except TtdError as error:
        return Row(path, length, is_latest, problem=str(error))


def _cells(row: Row) -> tuple[str, ...]:
    mark, name, length = "*" if row.latest else "", plain(row.path.name), size(row.size)
    if row.created is None:
        return (mark, name, "", length, "", f"cannot be opened: {plain(row.problem)}")
    ending = plain(row.ending) + (" (damaged)" if row.damaged else "")
    return (mark, name, moment(row.created), length, str(row.events), ending)


def _json(row: Row) -> Json:
    return {
        "path": str(row.path),
        "size": row.size,
        "latest": row.latest,
        "program": row.program or None,
        "created": row.created.isoformat() if row.created else None,
        "ending": row.ending or None,
        "events": row.events,
        "damaged": row.damaged,
        "problem": row.problem or None,
    }
