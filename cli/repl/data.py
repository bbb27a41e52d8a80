"""Commands that look at data: expressions, types, WebAssembly's own registers.

May import `ttd.replayer.views` (types only) and the session's parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ttd.cli.output import plain
from ttd.cli.repl.command import Call, Command, Complete, Group
from ttd.cli.repl.console import Style
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.replayer.views import WasmValue


def print_(session: Session, call: Call) -> None:
    """Print the value of an expression.

    Expressions are C's, without assignments and calls. FORMAT is one letter: x
    hexadecimal, d decimal, u unsigned, o octal, t binary, a address, c character, f
    float, s string, r raw (without pretty printers). The value is kept: $1 is what
    the first print showed, $ the last, $$ the one before.
    """
    if not call.arguments:
        raise UsageError("'print' takes an expression, such as 'print queue->size'")
    number, value = session.debugger.remember(call.arguments, call.modifier or None)
    session.console.write(f"${number} = {plain(value)}")


def info_registers(session: Session, _arguments: str) -> None:
    """The WebAssembly locals, operands and globals of the selected frame."""
    debugger = session.debugger
    for heading, values in (
        ("locals", debugger.wasm_locals()),
        ("operands", debugger.wasm_operands()),
        ("globals", debugger.wasm_globals()),
    ):
        session.console.write(session.console.paint(f"{heading}:", Style.STRONG))
        for line in _wasm_lines(values):
            session.console.write(f"  {line}")


def _wasm_lines(values: Sequence[WasmValue]) -> Iterator[str]:
    if not values:
        yield "none"
    for value in values:
        name = f" {plain(value.name)}" if value.name else ""
        hexadecimal = f"{value.value:#x}" if isinstance(value.value, int) else ""
        if hexadecimal == value.text:
            hexadecimal = ""
        yield f"{f'{value.index}{name}':20} {value.type:8} {plain(value.text):24} {hexadecimal}".rstrip()


D = Group.DATA
EXPR = Complete.EXPRESSION

ROWS = (
    Command(
        "print", ("p", "inspect"), D, EXPR, print_, "EXPRESSION", ("print n", "p/x n", "p $pc"),
        modifier=True,
    ),
)  # fmt: skip
