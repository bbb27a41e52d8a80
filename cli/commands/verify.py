"""`ttd verify`: is the recording whole, and does a replay of it do the same again?

May import click; `ttd.replayer` late.
"""

from __future__ import annotations

from pathlib import Path

import click

from ttd.cli.files import json_option, trace_argument
from ttd.cli.group import Command


@click.command(cls=Command)
@trace_argument
@json_option
def command(trace: Path | None, as_json: bool) -> int:
    """Check a recording (the latest without TRACE): checksums, and a replay from begin to end.

    The replay must make the same host calls, pass through every snapshot and end as the recording
    did. Exit code 0 if so; 1 if not, with the first divergence.

    \b
    Examples:
      ttd verify
      ttd verify traces/hello-1.trace --json
    """
    raise NotImplementedError
