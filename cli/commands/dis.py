"""`ttd dis`: the instructions of a module, with byte offsets.

May import click; `ttd.wasm` late.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.files import module_argument, naming, open_module
from ttd.cli.group import Command
from ttd.cli.output import plain
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.wasm.model import Function, Module
    from ttd.wasm.names import Names


@click.command(cls=Command)
@module_argument
@click.argument("function", required=False)
@click.option("-l", "--list", "only_list", is_flag=True, help="List the functions, without their code.")
def command(module: Path, function: str | None, only_list: bool) -> None:
    """Disassemble a module, or one FUNCTION of it, given by name or number.

    MODULE is a .wasm file, or a recording, which holds its program. The number before each
    instruction is its byte offset in the file: what 'break *0x1234' takes.

    \b
    Examples:
      ttd dis prog.wasm --list
      ttd dis prog.wasm main
      ttd dis prog.wasm 3
    """
    from ttd.wasm.names import Names

    decoded = open_module(module)
    names = Names(decoded)
    chosen = decoded.functions if function is None else _find(decoded, names, function)
    for index, each in enumerate(chosen):
        if only_list or each.body is None:
            click.echo(_headline(decoded, each, names))
        else:
            click.echo("\n" * bool(index), nl=False)
            with naming(module):
                _write(decoded, each, names)


def _write(module: Module, function: Function, names: Names) -> None:
    from ttd.wasm.disasm import disassemble

    click.echo(_headline(module, function, names))
    for line in disassemble(module, function, names):
        click.echo(f"  {plain(str(line))}")


def _headline(module: Module, function: Function, names: Names) -> str:
    from ttd.wasm.disasm import signature

    text = plain(signature(module, function, names))
    return text if function.imported is None else f"{text}  (imported)"


def _indices(module: Module, names: Names, text: str) -> list[int]:
    """By the module's own names, else by those of its debug information: `main` often has another name."""
    from ttd.debuginfo import DebugInfo

    return names.functions_named(text) or DebugInfo(module).find_functions(text)


def _find(module: Module, names: Names, text: str) -> tuple[Function, ...]:
    """The functions that go by a name or number; raises UsageError."""
    if text.isdecimal():
        if int(text) >= len(module.functions):
            raise UsageError(f"the module has no function {text}; its functions are numbered from 0 to "
                             f"{len(module.functions) - 1}")  # fmt: skip
        return (module.functions[int(text)],)
    found = tuple(module.functions[index] for index in _indices(module, names, text))
    if not found:
        known = [names.function(f.index) for f in module.functions]
        close = difflib.get_close_matches(text, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UsageError(f"the module has no function {text!r}{hint}; 'ttd dis --list' lists them")
    return found
