"""`ttd verify`: is the recording whole, and does a replay of it do the same again?

May import click; `ttd.store` and `ttd.replayer` late.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.exitcodes import FAILURE, SUCCESS
from ttd.cli.files import engine_option, json_option, open_trace, replaying_engine, trace_argument
from ttd.cli.group import Command
from ttd.cli.output import Json, Progress, plain, write_json

if TYPE_CHECKING:
    from ttd.replayer.session import EngineFactory
    from ttd.replayer.verify import VerifyReport
    from ttd.store.trace import Trace
    from ttd.types import Position


@click.command(cls=Command)
@trace_argument
@engine_option
@json_option
def command(trace: Path | None, engine: str | None, as_json: bool) -> int:
    """Check a recording (the latest without TRACE): checksums, and a replay from begin to end.

    The replay must make the same host calls, pass through every snapshot and end as the recording
    did. Exit code 0 if so; 1 if not, with the first divergence.

    \b
    Examples:
      ttd verify
      ttd verify traces/hello-1.trace --json
      ttd verify --engine interpreter
    """
    with open_trace(trace) as opened:
        problems = _check_parts(opened)
        report = _replay(opened, replaying_engine(engine))
        problems += [damage for damage in report.damage if damage not in problems]
        good = report.is_good and not problems
        if as_json:
            write_json(_json(opened, report, problems, good))
        else:
            for line in _lines(report, problems, good):
                click.echo(plain(line))
    return SUCCESS if good else FAILURE


def _check_parts(trace: Trace) -> list[str]:
    """Read every part of the trace; what is wrong with which."""
    from ttd.store.verify import check_integrity

    with Progress("checking") as progress:
        found = check_integrity(trace, lambda done, total: progress.update(100 * done / total))
    return list(found.problems)


def _replay(trace: Trace, engine: EngineFactory | None) -> VerifyReport:
    from ttd.replayer.verify import verify

    with Progress("replaying") as progress:

        def tell(now: Position, end: Position) -> None:
            progress.update(100 * now.tick / max(end.tick, 1), now.tick)

        return verify(trace, engine, tell)


def _lines(report: VerifyReport, problems: list[str], good: bool) -> Iterator[str]:
    for problem in problems:
        yield f"damaged: {problem}"
    if report.divergence:
        yield report.divergence
    counted = f"{report.events} events and {report.snapshots} snapshots compared, up to {report.end}"
    if good:
        yield f"good: {counted}; {report.ending.describe()}"
    elif report.divergence:
        yield f"not good: {counted}"
    else:
        yield f"damaged, but what is left replays: {counted}"


def _json(trace: Trace, report: VerifyReport, problems: list[str], good: bool) -> Json:
    return {
        "path": str(trace.path),
        "good": good,
        "events": report.events,
        "snapshots": report.snapshots,
        "end": str(report.end),
        "ending": report.ending.describe(),
        "divergence": report.divergence or None,
        "divergence_position": str(report.divergence_position) if report.divergence_position else None,
        "damage": problems,
    }
