"""`ttd dis`: the instructions of a module, with byte offsets.

May import click; `ttd.wasm`, `ttd.debuginfo` and `ttd.static` late.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.describe import frame_json, warn_of_damage
from ttd.cli.files import debug_info_option, json_option, module_argument, naming, open_module, source_reader
from ttd.cli.group import Command
from ttd.cli.output import Json, plain, write_json_list
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.debuginfo import DebugInfo
    from ttd.static.listing import Heading, Sources
    from ttd.wasm.model import Function, Module
    from ttd.wasm.names import Names


@click.command(cls=Command)
@module_argument
@click.argument("function", required=False)
@click.option("-l", "--list", "only_list", is_flag=True, help="List the functions, without their code.")
@click.option("--no-source", is_flag=True, help="Instructions only, without lines of the source.")
@debug_info_option
@json_option
def command(
    module: Path,
    function: str | None,
    only_list: bool,
    no_source: bool,
    debug_info: Path | None,
    as_json: bool,
) -> None:
    """Disassemble a module, or one FUNCTION of it, given by name or number.

    MODULE is a .wasm file, or a recording, which holds its program. The number before each
    instruction is its byte offset in the file: what 'break *0x1234' takes. Behind ;; stand names and
    branch targets. With debug information, ;; in the first column tells the source line that the
    instructions below it came from, and in brackets the functions inlined there.

    \b
    Examples:
      ttd dis prog.wasm --list
      ttd dis prog.wasm main
      ttd dis prog.wasm 3 --no-source
      ttd dis prog.wasm main --json
    """
    from ttd.debuginfo import DebugInfo
    from ttd.static.listing import Sources

    debug = DebugInfo(open_module(module, debug_info))
    functions = debug.module.functions
    chosen = functions if function is None else _find(debug, function)
    with naming(module), source_reader(module) as reader:
        if as_json:
            write_json_list(_json(debug, each, only_list) for each in chosen)
        elif only_list:
            for each in chosen:
                click.echo(_headline(debug.module, each, debug.names))
        else:
            _write(debug, chosen, None if no_source else Sources(reader))
    warn_of_damage(debug)


def _write(debug: DebugInfo, functions: Sequence[Function], sources: Sources | None) -> None:
    for index, function in enumerate(functions):
        if function.body is None:
            click.echo(_headline(debug.module, function, debug.names))
        else:
            click.echo("\n" * bool(index) + "\n".join(_lines(debug, function, sources)))


def _lines(debug: DebugInfo, function: Function, sources: Sources | None) -> Iterator[str]:
    from ttd.static.listing import listing
    from ttd.wasm.disasm import disassemble

    yield _headline(debug.module, function, debug.names)
    if sources is None:
        for line in disassemble(debug.module, function, debug.names):
            yield f"  {plain(str(line))}"
        return
    for heading, line in listing(debug, function, sources):
        if heading is not None:
            yield plain(_heading(debug, heading))
        yield f"  {plain(str(line))}"


def _heading(debug: DebugInfo, heading: Heading) -> str:
    location = heading.location
    place = f"{debug.display_path(location.path)}:{location.line}" if location is not None else "no line"
    inlined = f" ({', in '.join(heading.inlined)})" if heading.inlined else ""
    return f";; {place}{inlined}  {heading.text}".rstrip()


def _json(debug: DebugInfo, function: Function, only_head: bool) -> Json:
    from ttd.wasm.disasm import disassemble

    lines = disassemble(debug.module, function, debug.names) if function.body and not only_head else []
    return {
        "function": function.index,
        "name": debug.names.function(function.index),
        "text": _headline(debug.module, function, debug.names),
        "instructions": [
            {
                "offset": line.offset,
                "depth": line.depth,
                "text": line.text,
                "comment": line.comment or None,
                "source": [frame_json(frame) for frame in debug.source_frames(line.offset)],
            }
            for line in lines
        ],
    }


def _headline(module: Module, function: Function, names: Names) -> str:
    from ttd.wasm.disasm import signature

    text = plain(signature(module, function, names))
    return text if function.imported is None else f"{text}  (imported)"


def _find(debug: DebugInfo, text: str) -> tuple[Function, ...]:
    """The functions that go by a name or number; raises UsageError.

    By the module's own names, else by those of its debug information: `main` often has another name.
    """
    module, names = debug.module, debug.names
    if text.isdecimal():
        if int(text) >= len(module.functions):
            raise UsageError(f"the module has no function {text}; its functions are numbered from 0 to "
                             f"{len(module.functions) - 1}")  # fmt: skip
        return (module.functions[int(text)],)
    found = tuple(
        module.functions[index] for index in names.functions_named(text) or debug.find_functions(text)
    )
    if not found:
        known = [names.function(f.index) for f in module.functions]
        close = difflib.get_close_matches(text, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UsageError(f"the module has no function {text!r}{hint}; 'ttd dis --list' lists them")
    return found
