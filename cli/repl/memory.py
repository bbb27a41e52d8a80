"""Commands about linear memory as a whole: searching it, its map, the stack in it.

May import `ttd.static`, `ttd.replayer.shadowstack` (types only) and the session's parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ttd.cli.output import plain, size
from ttd.cli.repl.command import Call, Command, Complete, Group
from ttd.cli.repl.console import Style
from ttd.cli.repl.examine import UNIT_SIZES, address_of
from ttd.cli.repl.render import display_path
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.replayer.memory import AddressView
    from ttd.replayer.shadowstack import StackFrame, StackSlot
    from ttd.static.layout import Region
    from ttd.static.symbols import Symbol

MOST_FOUND = 1000
"""How many places `find` shows unless told."""
MOST_LISTED = 500
"""How many variables `memory symbols` lists."""
PAGE = 100
"""How many frames `stack` shows unless told."""

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}


# --- find --------------------------------------------------------------------------------------------


def find(session: Session, call: Call) -> None:
    """Search memory for a sequence of values.

    From START on, over LENGTH bytes or to the byte at END; 'find VALUE' searches all
    of memory. A value is an expression, of which the bytes are searched for, or a
    "string" without its closing zero. FORMAT is a size for values that are numbers (b,
    h, w, g for 1, 2, 4, 8 bytes) and how many places to find at most: find/w/1. $_ is
    then the last address found, $numfound how many there are.
    """
    unit, most = _find_options(call.modifier)
    parts = _split(call.arguments)
    if len(parts) == 2 or not parts[0]:
        raise UsageError(
            "'find' takes START, +LENGTH, VALUE as in 'find &buffer, +64, \"text\"', or a VALUE alone"
        )
    start, end = (0, None) if len(parts) == 1 else _range(session, parts[0], parts[1])
    pattern = b"".join(_bytes_of(session, text, unit) for text in parts[2:] or parts)
    found = list(islice(session.debugger.memory.find(pattern, start, end), (most or MOST_FOUND) + 1))
    more, found = len(found) > (most or MOST_FOUND), found[: most or MOST_FOUND]
    for address in found:
        symbol = session.debugger.memory.layout.object_at(address)
        session.console.write(
            _address(session, address) + (f" <{_offset(symbol, address)}>" if symbol else "")
        )
    session.debugger.specials["numfound"] = len(found)
    if found:
        session.debugger.specials["_"] = found[-1]
    session.console.write(_found_text(len(found)))
    if more and most is None:
        session.console.write(f"(there are more than {MOST_FOUND}; 'find/{10 * MOST_FOUND}' shows more)")


def _found_text(count: int) -> str:
    return "Pattern not found." if not count else f"{count} pattern{'s' if count > 1 else ''} found."


def _find_options(modifier: str) -> tuple[str, int | None]:
    """Size letter ("" for none) and number of places to find, of ``w/5``; raises UsageError."""
    match = re.fullmatch(r"/?([bhwg]?)/?(\d{1,9})?/?([bhwg]?)", modifier)
    if match is None or (match[1] and match[3]) or match[2] == "0":
        raise UsageError(
            f"'find/{modifier}' has no such format; it is one of bhwg, and a count, as in find/w/5"
        )
    return match[1] or match[3], int(match[2]) if match[2] else None


def _split(text: str) -> list[str]:
    """The arguments between commas that stand in no brackets and no quotes."""
    parts, depth, quote, at = [""], 0, "", 0
    while at < len(text):
        character = text[at]
        if quote and character == "\\":
            parts[-1] += text[at : at + 2]
            at += 2
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        depth += 0 if quote else (character in "([{") - (character in ")]}")
        if character == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
        at += 1
    return [part.strip() for part in parts]


def _range(session: Session, first: str, second: str) -> tuple[int, int]:
    """Start and end (behind the last byte) of a search."""
    start = address_of(session.debugger.evaluate(first))
    if second.startswith("+"):
        length = session.debugger.evaluate(second[1:]).as_int()
        if length < 1:
            raise UsageError(f"cannot search {length} bytes; the length must be at least 1")
        return start, start + length
    return start, address_of(session.debugger.evaluate(second)) + 1


def _bytes_of(session: Session, text: str, unit: str) -> bytes:
    """The bytes that a value stands for."""
    if text.startswith('"'):
        return _string(text)
    value = session.debugger.evaluate(text)
    if not unit:
        return value.data
    length = UNIT_SIZES[unit]
    return (value.as_int() & (1 << 8 * length) - 1).to_bytes(length, "little")


def _string(text: str) -> bytes:
    """The bytes of a string literal; raises UsageError."""
    if not re.fullmatch(r'"(?:[^"\\]|\\.)*"', text, re.DOTALL):
        raise UsageError(f"not a string: {text}")

    def escape(match: re.Match[str]) -> str:
        word = match[1]
        if word[0] == "x" and len(word) > 1:
            return chr(int(word[1:], 16))
        return chr(int(word, 8) & 0xFF) if word[0] in "01234567" else _ESCAPES.get(word, word)

    data, at, result = text[1:-1], 0, b""
    for match in re.finditer(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", data, re.DOTALL):
        result += data[at : match.start()].encode() + escape(match).encode("latin-1", "replace")
        at = match.end()
    return result + data[at:].encode()


# --- memory ------------------------------------------------------------------------------------------


def memory(session: Session, call: Call) -> None:
    """Show memory's layout, or what an address belongs to.

    'memory map' lists the stack, static data and the heap; a ~ marks a bound of which
    the linker told nothing, and which may lie a little higher. 'memory symbols' lists
    the variables with a fixed address, those that a regular expression matches.
    'memory ADDRESS' takes any expression.
    """
    word, _, rest = call.arguments.partition(" ")
    if word in ("", "map"):
        _show_map(session)
    elif word == "symbols":
        _show_symbols(session, rest.strip())
    else:
        _show_address(session, address_of(session.debugger.evaluate(call.arguments)))


def _show_map(session: Session) -> None:
    session.console.write(
        session.console.paint(f"{'start':>11} {'end':>10} {'size':>10}  what", Style.STRONG)
    )
    for region in session.debugger.memory.map():
        mark = " " if region.is_exact else "~"
        console = session.console
        start, end = (console.paint(f"{at:#010x}", Style.ADDRESS) for at in (region.start, region.end))
        console.write(
            f"{mark}{start} {end} {size(region.size):>10}  {_region_text(session, region)}".rstrip()
        )


def _region_text(session: Session, region: Region) -> str:
    from ttd.static.layout import RegionKind

    text = f"{region.kind.value:6} {plain(region.name)}".rstrip()
    if region.kind is RegionKind.STACK:
        pointer = session.debugger.memory.stack_pointer()
        if pointer is not None and region.start <= pointer <= region.end:
            text += f"  {region.end - pointer} bytes in use, from {pointer:#x} on"
    count = sum(region.start <= symbol.address < region.end for symbol in session.debugger.memory.symbols())
    return f"{text}  {count} variable{'s' if count > 1 else ''}" if count else text


def _show_symbols(session: Session, pattern: str) -> None:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"not a regular expression: {pattern!r} ({error})") from error
    symbols = [s for s in session.debugger.memory.symbols() if expression.search(s.name)]
    for symbol in symbols[:MOST_LISTED]:
        session.console.write(f"{_address(session, symbol.address)} {symbol.size:8}  {plain(symbol.name)}")
    if len(symbols) > MOST_LISTED:
        session.console.write(f"({len(symbols) - MOST_LISTED} more; give a regular expression)")
    if not symbols:
        session.console.write("No variables with a fixed address.")


def _show_address(session: Session, address: int) -> None:
    view = session.debugger.memory.about(address)
    for line in _address_lines(view):
        session.console.write(f"{_address(session, address)} {line}")


def _address_lines(view: AddressView) -> Iterator[str]:
    """What is known about an address, the nearest first."""
    if view.symbol is not None:
        yield f"is {_offset(view.symbol, view.address)}, a variable of {view.symbol.size} bytes"
    if view.frame is not None and view.slot is not None:
        inside = f"{plain(view.slot.name)}{_plus(view.address - view.slot.address)}" if view.slot.name else ""
        where = f"the stack of frame #{view.frame.level}, {plain(view.frame.function)}"
        yield (
            f"is {inside}, a variable of type {plain(view.slot.type)} on {where}"
            if inside
            else f"is on {where}"
        )
    if view.region is None:
        yield "is in no region that is known"
        return
    from ttd.static.layout import RegionKind

    name = f" ({plain(view.region.name)})" if view.region.name else ""
    yield f"is in the {view.region.kind.value}{name} from {view.region.start:#x} to {view.region.end:#x}"
    if view.region.kind is RegionKind.HEAP:
        yield f"may be allocated: see 'heap {view.address:#x}'"


def _offset(symbol: Symbol, address: int) -> str:
    return plain(symbol.name) + _plus(address - symbol.address)


def _plus(distance: int) -> str:
    return f"+{distance}" if distance else ""


def _address(session: Session, address: int) -> str:
    return session.console.paint(f"{address:#x}", Style.ADDRESS)


# --- stack -------------------------------------------------------------------------------------------


def stack(session: Session, call: Call) -> None:
    """Show the stack in linear memory, by frame.

    For each call the bytes that belong to it, and its variables there. The values that
    WebAssembly keeps itself, outside of linear memory, are shown by 'info registers'.
    With COUNT only so many frames, innermost first.
    """
    most = call.count() if call.arguments else PAGE
    frames = session.debugger.memory.stack(most + 1)
    if not frames:
        has_none = session.debugger.memory.stack_pointer() is None
        raise UsageError(
            f"no stack: the program {'keeps none in linear memory' if has_none else 'has returned'}"
        )
    for frame in frames[:most]:
        _show_frame(session, frame)
    if len(frames) > most:
        session.console.write(f"(there are more; 'stack {most * 10}' shows more of them)")


def _show_frame(session: Session, frame: StackFrame) -> None:
    name = session.console.paint(plain(frame.function), Style.FUNCTION)
    place = ""
    if frame.location is not None:
        place = f" at {display_path(session, frame.location)}:{frame.location.line}"
    session.console.write(f"{f'#{frame.level}':3} {name}{place}: {_extent(frame)}")
    for slot in frame.slots:
        session.console.write(
            f"    {_address(session, slot.address)} {slot.size:6}  {_slot_text(session, slot)}"
        )


def _extent(frame: StackFrame) -> str:
    if frame.low is None or frame.high is None:
        return "its bounds are not known"
    if frame.low == frame.high:
        return "takes none"
    return f"{frame.high - frame.low} bytes from {frame.low:#x} to {frame.high:#x}"


def _slot_text(session: Session, slot: StackSlot) -> str:
    if not slot.name:
        return session.console.paint("(no variable)", Style.DIM)
    name = session.console.paint(plain(slot.name), Style.VARIABLE)
    return f"{plain(slot.type)} {name} = {plain(slot.value)}"


ROWS = (
    Command(
        "find", (), Group.DATA, Complete.EXPRESSION, find, "[START, +LENGTH, | START, END,] VALUE ...",
        ('find "%d"', "find/b/2 16777216, +4096, 0x25, 0x64"), modifier=True,
    ),
    Command(
        "memory", ("mem",), Group.DATA, Complete.TOPIC, memory, "[map | symbols [REGEX] | ADDRESS]",
        ("memory map", "memory symbols std", "memory 16777220"), topics=("map", "symbols"),
    ),
    Command("stack", (), Group.STACK, Complete.NOTHING, stack, "[COUNT]", ("stack", "stack 2")),
)  # fmt: skip
