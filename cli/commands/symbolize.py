"""`ttd symbolize`: backtraces of other engines, with source lines.

May import click; `ttd.debuginfo` and `ttd.static` late.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import click

from ttd.cli.describe import warn_of_damage
from ttd.cli.files import debug_info_option, module_argument, open_module
from ttd.cli.group import Command


@click.command(cls=Command)
@module_argument
@click.argument("text", required=False, type=click.File("rb"), default="-", metavar="[FILE]")
@debug_info_option
def command(module: Path, text: IO[bytes], debug_info: Path | None) -> None:
    """Rewrite the backtraces in a text with the functions and source lines of a module.

    The text is FILE, or standard input: what Wasmtime, Node or a browser (Chrome, Edge, Firefox, Safari)
    wrote when the program failed, in whatever surroundings. Frames of MODULE (a .wasm file, or a
    recording) are rewritten, with inlined functions as frames of their own. Everything else passes
    through unchanged.

    The module may be another build than the one that failed if only its custom sections differ: keep the
    one with debug information, and ship a stripped copy. --debug-info names it where MODULE is stripped.

    \b
    Examples:
      ttd symbolize prog.wasm crash.txt     # elsewhere: wasmtime prog.wasm 2>&1 | ttd symbolize prog.wasm
    """
    from ttd.debuginfo import DebugInfo
    from ttd.static.symbolize import Symbolizer

    debug = DebugInfo(open_module(module, debug_info))
    symbolizer = Symbolizer(debug)
    for line in symbolizer.lines(_decoded(text)):
        sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    warn_of_damage(debug)


def _decoded(lines: Iterable[bytes]) -> Iterable[str]:
    """Lines as text that can be turned back into exactly the bytes that they were."""
    return (line.decode("utf-8", "surrogateescape") for line in lines)
