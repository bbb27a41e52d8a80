"""`x`: raw memory in gdb's manner.

May import `ttd.debuginfo.types` (late) and the session's parts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
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

UNIT_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
FORMATS = "xduotacfsi"
MOST_UNITS = 100_000
"""How many units one `x` shows at most."""
LONGEST_STRING = 200
"""Characters of a string that ``x/s`` shows on one line."""
_ENCODINGS = {1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}


def examine(session: Session, call: Call) -> None:
    """Show raw memory at an address.

    The format is a count, a letter and a unit size: x d u o t a c f, s for strings, i
    for instructions; b (1 byte), h (2), w (4), g (8). What is left out is as it was
    last. A negative count shows what lies before the address. 'x' alone goes on where
    it left off. $_ is then the last address shown, $__ what is there.
    """
    layout = Layout.parse(call.modifier, session.examined.layout if session.examined else None)
    if call.arguments:
        if layout.format == "i":
            address = session.debugger.code_address(call.arguments)
        else:
            address = address_of(session.debugger.evaluate(call.arguments))
    elif session.examined is not None:
        address = session.examined.next_address
    else:
        raise UsageError("'x' takes an address, as in 'x/8xw &queue'")
    show = _EXAMINERS.get(layout.format, _examine_units)
    session.examined = Examined(layout, show(session, layout, address))


@dataclass(frozen=True, slots=True)
class Layout:
    """How `x` shows memory: ``4xw``. A negative count means so many units before the address."""

    count: int
    format: str
    unit: str

    @classmethod
    def parse(cls, text: str, last: Layout | None) -> Layout:
        """Read count, format and unit in gdb's way: what is missing is as it was last; raises UsageError."""
        match = re.fullmatch(rf"(-?\d{{0,7}})((?:[{FORMATS}]|[bhwg])*)", text)
        letters = match[2] if match else "??"
        formats = [letter for letter in letters if letter in FORMATS]
        units = [letter for letter in letters if letter in UNIT_SIZES]
        if match is None or match[1] == "-" or len(formats) > 1 or len(units) > 1:
            raise UsageError(
                f"'x/{text}' has no such format; it is a count, one of {FORMATS} and one of bhwg"
            )
        count = int(match[1] or 1)
        if not 1 <= abs(count) <= MOST_UNITS:
            raise UsageError(f"'x' shows 1 to {MOST_UNITS} units, not {count}")
        format_ = formats[0] if formats else (last.format if last else "x")
        return cls(count, format_, units[0] if units else _usual_unit(format_, last))

    @property
    def size(self) -> int:
        """Bytes in a unit."""
        return UNIT_SIZES[self.unit]

    @property
    def per_line(self) -> int:
        """Units on a line, as gdb has them."""
        if self.format == "t":
            return max(1, 8 // self.size)
        if self.format == "a":
            return 2
        return {1: 8, 2: 8, 4: 4, 8: 2}[self.size]


def _usual_unit(format_: str, last: Layout | None) -> str:
    """The unit of a format for which none is given: gdb's choice."""
    before = last.unit if last else "w"
    if format_ == "f":
        return before if before in "wg" else "g"
    return {"c": "b", "s": "b", "a": "w"}.get(format_, before)


@dataclass(frozen=True, slots=True)
class Examined:
    """What `x` showed last, and where it goes on."""

    layout: Layout
    next_address: int


def _examine_units(session: Session, layout: Layout, address: int) -> int:
    start = address + min(layout.count, 0) * layout.size
    if start < 0:
        raise UsageError(f"cannot access memory before address 0: {address:#x} has {address} bytes before it")
    wanted = abs(layout.count) * layout.size
    there = max(0, min(wanted, session.debugger.memory.size() - start)) // layout.size * layout.size
    data = session.debugger.read_memory(start, there if there else wanted)
    units = [data[i : i + layout.size] for i in range(0, len(data), layout.size)]
    for first in range(0, len(units), layout.per_line):
        line = units[first : first + layout.per_line]
        shown = "\t".join(_unit_text(session, unit, layout.format) for unit in line)
        session.console.write(f"{_label(session, start + first * layout.size)}\t{shown}")
    session.debugger.specials.update(_=start + there - layout.size, __=int.from_bytes(units[-1], "little"))
    if there < wanted:
        session.debugger.read_memory(start + there, layout.size)
    return start if layout.count < 0 else start + wanted


def _label(session: Session, address: int) -> str:
    """``0x1000a10 <numbers+4>:``, with the symbol where there is one."""
    debugger = session.debugger
    pc = debugger.where().pc if debugger.frame_count else None
    symbol = debugger.debug.symbol_at(address, pc)
    name = f" <{plain(symbol)}>" if symbol is not None else ""
    return f"{session.console.paint(f'{address:#x}', Style.ADDRESS)}{name}:"


def _unit_text(session: Session, data: bytes, format_: str) -> str:
    if format_ != "a":
        return format_unit(data, format_)
    address, debugger = int.from_bytes(data, "little"), session.debugger
    pc = debugger.where().pc if debugger.frame_count else None
    symbol = debugger.debug.symbol_at(address, pc)
    return f"{address:#x} <{plain(symbol)}>" if symbol is not None else f"{address:#x}"


def _examine_strings(session: Session, layout: Layout, address: int) -> int:
    if layout.unit == "g":
        raise UsageError("'x/s' shows strings of bytes, or with h and w of wider characters; not with g")
    starts = _strings_before(session, layout, address) if layout.count < 0 else None
    next_address = starts[0] if starts else address
    for index in range(abs(layout.count)):
        if starts is not None:
            if index == len(starts):
                break
            address = starts[index]
        text, size, complete = _string_at(session, address, layout.size)
        session.console.write(f'{_label(session, address)}\t"{text}"{"" if complete else "..."}')
        session.debugger.specials["_"] = address
        address += size
    return next_address if starts is not None else address


def _strings_before(session: Session, layout: Layout, address: int) -> list[int]:
    """Where the strings begin that end before `address`, at most as many as asked for."""
    size, starts = layout.size, list[int]()
    begin = max(0, address - MOST_UNITS * size)
    data = session.debugger.read_memory(begin, address - begin)
    at, zero = len(data) // size * size, bytes(size)
    units = [data[len(data) - at + i : len(data) - at + i + size] for i in range(0, at, size)]
    end = len(units) - 1  # the terminator of the string before `address`
    while end >= 0 and len(starts) < -layout.count:
        first = end
        while first > 0 and units[first - 1] != zero and end - first < LONGEST_STRING:
            first -= 1
        starts.insert(0, address - (len(units) - first) * size)
        end = first - 1
    if not starts:
        raise UsageError(f"cannot access memory before address 0: there is no string before {address:#x}")
    return starts


def _string_at(session: Session, address: int, size: int) -> tuple[str, int, bool]:
    """The string at an address, escaped; how many bytes it takes; and whether that is all of it."""
    left = session.debugger.memory.size() - address
    data = session.debugger.read_memory(address, max(size, min(left, LONGEST_STRING * size) // size * size))
    units = [data[i : i + size] for i in range(0, len(data), size)]
    ends = [index for index, unit in enumerate(units) if not any(unit)]
    text = b"".join(units[: ends[0]] if ends else units)
    decoded = text.decode(_ENCODINGS[size], "backslashreplace" if size == 1 else "replace")
    return plain(decoded).replace('"', '\\"'), len(text) + (size if ends else 0), bool(ends)


def _examine_instructions(session: Session, layout: Layout, address: int) -> int:
    function = session.debugger.module.function_at(address)
    if function is None:
        raise UsageError(
            f"no code at byte offset {address:#x} of the module; 'info functions' lists functions"
        )
    lines = session.debugger.disassemble(function.index)
    if layout.count < 0:
        shown = [line for line in lines if line.pc < address][layout.count :]
        following = shown[0].pc if shown else address
    else:
        behind = [line for line in lines if line.pc >= address]
        shown, after = behind[: layout.count], behind[layout.count :]
        following = after[0].pc if after else function.code.end
    for line in shown:
        session.console.write(instruction_text(session.console, line))
    return following


_EXAMINERS: dict[str, Callable[[Session, Layout, int], int]] = {
    "s": _examine_strings,
    "i": _examine_instructions,
}


def format_unit(data: bytes, format_: str) -> str:
    """A unit of little-endian memory in one of the formats x d u o t c f; f of less than 4 bytes is as d."""
    unsigned, bits = int.from_bytes(data, "little"), 8 * len(data)
    if format_ == "f" and len(data) >= 4:
        return repr(struct.unpack("<f" if len(data) == 4 else "<d", data)[0])
    if format_ == "c":
        signed = int.from_bytes(data, "little", signed=True)
        return f"{signed} {_character(unsigned)}"
    if format_ in "df":
        return str(int.from_bytes(data, "little", signed=True))
    return {
        "x": f"0x{unsigned:0{bits // 4}x}",
        "u": str(unsigned),
        "o": f"0{unsigned:o}",
        "t": f"{unsigned:0{bits}b}",
    }[format_]


def address_of(value: TypedValue) -> int:
    """The address that an expression means: a number's value, an array's or structure's place."""
    from ttd.debuginfo.types import AggregateType, ArrayType, FunctionType

    if isinstance(value.type.strip(), ArrayType | AggregateType | FunctionType) and value.address is not None:
        return value.address
    return value.as_int()


def _character(value: int) -> str:
    return f"'{chr(value)}'" if 32 <= value < 127 else f"'\\{value:03o}'"


ROWS = (
    Command(
        "x", (), Group.DATA, Complete.EXPRESSION, examine, "[ADDRESS]",
        ("x/8xb 1024", "x/-4xw 1024", "x/s 16777216", "x/2i $pc"), Repeat.CONTINUED, modifier=True,
    ),
)  # fmt: skip
