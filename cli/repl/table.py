"""The command table of the prompt: every command there is, in the order in which `help` lists them.

May import the command modules of this package; it is what the session, `help`, completion and
docs/commands.md read.
"""

from __future__ import annotations

from ttd.cli.repl import (
    code,
    data,
    examine,
    heap,
    memory,
    motions,
    provenance,
    session_commands,
    source_paths,
    stack,
    status,
    stops,
    symbols,
)
from ttd.cli.repl.command import Command

TABLE: tuple[Command, ...] = (
    *motions.ROWS,
    *stops.ROWS,
    *stack.ROWS,
    *data.ROWS,
    *symbols.ROWS,
    *examine.ROWS,
    *memory.ROWS,
    *heap.ROWS,
    *provenance.ROWS,
    *code.ROWS,
    *source_paths.ROWS,
    *status.ROWS,
    *session_commands.ROWS,
)
