"""`ttd addr2line`: the source lines of addresses in a module.

May import click; `ttd.debuginfo` late.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.describe import frame_json, warn_of_damage
from ttd.cli.files import debug_info_option, json_option, module_argument, open_module
from ttd.cli.group import Command
from ttd.cli.output import Json, plain, write_json_list
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.debuginfo.inlining import SourceFrame


@click.command(cls=Command)
@module_argument
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option(
    "--code-relative",
    is_flag=True,
    help="Count from the beginning of the code section, as DWARF and llvm-symbolizer do.",
)
@debug_info_option
@json_option
def command(
    module: Path, addresses: tuple[str, ...], code_relative: bool, debug_info: Path | None, as_json: bool
) -> None:
    """Tell functions and source lines of addresses in a module, those of inlined functions too.

    MODULE is a .wasm file, or a recording, which holds its program. An ADDRESS is a byte offset in the
    file, in hexadecimal with or without 0x: what backtraces of Wasmtime and browsers show, and 'ttd dis'.
    Without any, they are read from standard input.

    \b
    Examples:
      ttd addr2line prog.wasm 0x2f5
      ttd addr2line prog.wasm 2f5 31a --json
      ttd addr2line prog.wasm --code-relative 0x1d
    """
    from ttd.debuginfo import DebugInfo

    numbers: Iterable[int] = [_number(text) for text in addresses] if addresses else map(_number, _words())
    debug = DebugInfo(open_module(module, debug_info))
    found = (
        (number, debug.source_frames(debug.pc_of(number) if code_relative else number)) for number in numbers
    )
    if as_json:
        write_json_list(_json(number, frames) for number, frames in found)
    else:
        for number, frames in found:
            _write(number, frames)
    warn_of_damage(debug)


def _words() -> Iterator[str]:
    for line in sys.stdin.buffer:
        yield from line.decode("utf-8", "replace").split()


def _number(text: str) -> int:
    if re.fullmatch(r"(0[xX])?[0-9a-fA-F]{1,16}", text) is None:
        raise UsageError(f"{text!r} is no address; write it in hexadecimal, as in 0x2f5")
    return int(text, 16)


def _write(number: int, frames: Sequence[SourceFrame]) -> None:
    if not frames:
        click.echo(f"{number:#08x}: not in the code of a function")
    for level, frame in enumerate(frames):
        head = " (inlined by)" if level else f"{number:#08x}:"
        place = frame.location.exact if frame.location is not None else "??:0"
        click.echo(plain(f"{head} {frame.name} at {place}"))


def _json(number: int, frames: Sequence[SourceFrame]) -> Json:
    return {"address": number, "frames": [frame_json(frame) for frame in frames]}
