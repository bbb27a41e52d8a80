"""Commands that look at data: expressions, types, raw memory, WebAssembly's own registers.

May import `ttd.debuginfo.types` (late), `ttd.replayer.views` (types only) and the session's parts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ttd.cli.output import plain
from ttd.cli.repl.command import Call, Command, Complete, Group, Repeat
from ttd.cli.repl.console import Style
from ttd.cli.repl.render import instruction_text
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.expr import TypedValue
    from ttd.replayer.views import WasmValue

UNIT_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
FORMATS = "xduotacfsi"
MOST_UNITS = 100_000
"""How many units one `x` shows at most."""
LONGEST_STRING = 200
"""Bytes of a string that ``x/s`` shows."""


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


def whatis(session: Session, call: Call) -> None:
    """Print the type of an expression, or a type."""
    if not call.arguments:
        raise UsageError(f"'{call.word}' takes an expression or a type")
    session.console.write(f"type = {_lines(session.debugger.type_of(call.arguments))}")


def examine(session: Session, call: Call) -> None:
    """Show raw memory at an address.

    The format is a count, a letter and a unit size: x d u o t a c f, s for strings, i
    for instructions; b (1 byte), h (2), w (4), g (8). 'x' alone goes on behind what it
    showed last.
    """
    layout = Layout.parse(call.modifier, session.examined.layout if session.examined else None)
    if call.arguments:
        if layout.format == "i":
            address = session.debugger.code_address(call.arguments)
        else:
            address = _address(session.debugger.evaluate(call.arguments))
    elif session.examined is not None:
        address = session.examined.next_address
    else:
        raise UsageError("'x' takes an address, as in 'x/8xw &queue'")
    end = _EXAMINERS.get(layout.format, _examine_units)(session, layout, address)
    session.examined = Examined(layout, end)


@dataclass(frozen=True, slots=True)
class Layout:
    """How `x` shows memory: ``4xw``."""

    count: int
    format: str
    unit: str

    @classmethod
    def parse(cls, text: str, last: Layout | None) -> Layout:
        """Read count, format and unit in gdb's way: what is missing is as it was last; raises UsageError."""
        match = re.fullmatch(rf"(\d{{0,7}})((?:[{FORMATS}]|[bhwg])*)", text)
        letters = match[2] if match else "??"
        formats = [letter for letter in letters if letter in FORMATS]
        units = [letter for letter in letters if letter in UNIT_SIZES]
        if match is None or len(formats) > 1 or len(units) > 1:
            raise UsageError(
                f"'x/{text}' has no such format; it is a count, one of {FORMATS} and one of bhwg"
            )
        count = int(match[1] or 1)
        if not 1 <= count <= MOST_UNITS:
            raise UsageError(f"'x' shows 1 to {MOST_UNITS} units, not {count}")
        format_ = formats[0] if formats else (last.format if last else "x")
        default = {"c": "b", "a": "w"}.get(format_) or (last.unit if last else "w")
        return cls(count, format_, units[0] if units else default)

    @property
    def size(self) -> int:
        """Bytes in a unit; floats have at least 4."""
        size = UNIT_SIZES[self.unit]
        return max(size, 4) if self.format == "f" else size

    @property
    def per_line(self) -> int:
        """Units on a line, as gdb has them."""
        if self.format == "t":
            return max(1, 8 // self.size)
        return {1: 8, 2: 8, 4: 4, 8: 2}[self.size]


@dataclass(frozen=True, slots=True)
class Examined:
    """What `x` showed last, and the address behind it."""

    layout: Layout
    next_address: int


def _examine_units(session: Session, layout: Layout, address: int) -> int:
    data = session.debugger.read_memory(address, layout.count * layout.size)
    units = [data[i : i + layout.size] for i in range(0, len(data), layout.size)]
    for first in range(0, len(units), layout.per_line):
        shown = "\t".join(format_unit(unit, layout.format) for unit in units[first : first + layout.per_line])
        label = session.console.paint(f"{address + first * layout.size:#x}", Style.ADDRESS)
        session.console.write(f"{label}:\t{shown}")
    return address + len(data)


def _examine_strings(session: Session, layout: Layout, address: int) -> int:
    for _ in range(layout.count):
        text, size, complete = _string_at(session, address)
        label = session.console.paint(f"{address:#x}", Style.ADDRESS)
        session.console.write(f'{label}:\t"{_quoted(text)}"{"" if complete else "..."}')
        address += size
    return address


def _examine_instructions(session: Session, layout: Layout, address: int) -> int:
    function = session.debugger.module.function_at(address)
    if function is None:
        raise UsageError(
            f"no code at byte offset {address:#x} of the module; 'info functions' lists functions"
        )
    lines = [line for line in session.debugger.disassemble(function.index) if line.pc >= address]
    for line in lines[: layout.count]:
        session.console.write(instruction_text(session.console, line))
    after = lines[layout.count :]
    return after[0].pc if after else address


_EXAMINERS: dict[str, Callable[[Session, Layout, int], int]] = {
    "s": _examine_strings,
    "i": _examine_instructions,
}


def format_unit(data: bytes, format_: str) -> str:
    """A unit of little-endian memory in one of the formats x d u o t a c f."""
    unsigned, bits = int.from_bytes(data, "little"), 8 * len(data)
    if format_ == "f":
        return repr(struct.unpack("<f" if len(data) == 4 else "<d", data)[0])
    if format_ == "c":
        signed = int.from_bytes(data, "little", signed=True)
        return f"{signed} {_character(unsigned)}"
    if format_ == "d":
        return str(int.from_bytes(data, "little", signed=True))
    return {
        "x": f"0x{unsigned:0{bits // 4}x}",
        "u": str(unsigned),
        "o": f"0{unsigned:o}",
        "t": f"{unsigned:0{bits}b}",
        "a": f"{unsigned:#x}",
    }[format_]


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


def _address(value: TypedValue) -> int:
    """The address that an expression means to `x`: a number's value, an array's or structure's place."""
    from ttd.debuginfo.types import AggregateType, ArrayType, FunctionType

    if isinstance(value.type.strip(), ArrayType | AggregateType | FunctionType) and value.address is not None:
        return value.address
    return value.as_int()


def _string_at(session: Session, address: int) -> tuple[bytes, int, bool]:
    """The string at an address: its bytes, how many bytes it takes, and whether that is all of it."""
    text = bytearray()
    while len(text) < LONGEST_STRING:
        byte = session.debugger.read_memory(address + len(text), 1)
        if byte == b"\0":
            return bytes(text), len(text) + 1, True
        text += byte
    return bytes(text), len(text), False


def _quoted(text: bytes) -> str:
    return plain(text.decode("utf-8", "backslashreplace")).replace('"', '\\"')


def _character(value: int) -> str:
    return f"'{chr(value)}'" if 32 <= value < 127 else f"'\\{value:03o}'"


def _lines(text: str) -> str:
    return "\n".join(plain(line) for line in text.split("\n"))


D = Group.DATA
EXPR = Complete.EXPRESSION

ROWS = (
    Command(
        "print", ("p", "inspect"), D, EXPR, print_, "EXPRESSION", ("print n", "p/x n", "p $pc"),
        modifier=True,
    ),
    Command(
        "x", (), D, EXPR, examine, "[ADDRESS]", ("x/8xb 1024", "x/2i $pc"), Repeat.CONTINUED,
        modifier=True,
    ),
    Command("whatis", ("ptype",), D, EXPR, whatis, "EXPRESSION | TYPE", ("whatis n",)),
)  # fmt: skip
