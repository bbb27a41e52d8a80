"""Showing a host call on one line, in the manner of strace.

Imports base modules only.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.types import Value
from ttd.wasi.effects import SHOWN_BYTES, SHOWN_ITEMS, SHOWN_PATH
from ttd.wasi.table import (
    CLOCKS,
    DIRENT,
    EVENT,
    EVENTTYPE,
    FUNCTIONS,
    IOVEC,
    MODULE,
    SUBSCRIPTION,
    SUCCESS,
    Buffer,
    Function,
    Gather,
    Parameter,
    Path,
    Result,
    Scalar,
    Scatter,
    Strings,
    Subscriptions,
    errno_name,
    nanoseconds,
    one_of,
    pairs,
    uint,
)


def describe_call(
    call: HostCall,
    module: str,
    name: str,
    params: Sequence[object] = (),
    results: Sequence[object] = (),
) -> str:
    """The call on one line, in the manner of strace: ``fd_write(1, [{"hi\\n", 3}], [3]) = 0``.

    `module` and `name` are those of the import, `params` and `results` its types, such as
    ``ttd.wasm.model.ValType`` (their `str` is used; they matter for functions outside WASI only). What
    is written through an address is shown in brackets, in place of the address.
    """
    function = FUNCTIONS.get(name) if module == MODULE else None
    if function is None or not _fits(function, call.arguments):
        shown = [_plain(value, params, at) for at, value in enumerate(call.arguments)]
        return f"{module}.{name}({', '.join(shown)}){_end(call, results)}"
    texts = [_show(parameter, values, call) for parameter, values in pairs(function, _numbers(call))]
    return f"{name}({', '.join(texts)}){_wasi_end(call)}"


def _fits(function: Function, arguments: Sequence[Value]) -> bool:
    return len(arguments) == len(function.params) and all(isinstance(value, int) for value in arguments)


def _numbers(call: HostCall) -> tuple[int, ...]:
    return tuple(value for value in call.arguments if isinstance(value, int))


def _end(call: HostCall, types: Sequence[object]) -> str:
    if call.outcome is Outcome.EXITED:
        return f" = ? (exit {call.code})"
    if call.outcome is Outcome.TRAPPED:
        return f" = ? (trap: {call.message})"
    if not call.results:
        return ""
    shown = ", ".join(_plain(value, types, at) for at, value in enumerate(call.results))
    return f" = {shown}" if len(call.results) <= 1 else f" = ({shown})"


def _wasi_end(call: HostCall) -> str:
    if call.outcome is not Outcome.RETURNED:
        return _end(call, ())
    errno = call.results[0] if call.results else None
    return f" = {errno} ({errno_name(errno)})" if isinstance(errno, int) and errno else f" = {errno}"


def _plain(value: Value, types: Sequence[object], at: int) -> str:
    """A value of a function that we know only the core types of."""
    kind = str(types[at]) if at < len(types) else ""
    if not isinstance(value, int):
        return "null" if value is None else "exception"
    if kind in _FLOATS:
        size, code = _FLOATS[kind]
        return repr(struct.unpack(code, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))[0])
    bits = {"i32": 32, "i64": 64}.get(kind, 0)
    return str(value - (1 << bits) if bits and value >> bits - 1 else value)


_FLOATS = {"f32": (4, "<f"), "f64": (8, "<d")}


def _show(parameter: Parameter, values: Sequence[int], call: HostCall) -> str:
    match parameter:
        case Scalar(show=show):
            return show(values[0])
        case Path():
            return _quoted(_bytes_at(call.reads, *values), values[1], hex(values[0]))
        case Result(size=size, show=show_bytes):
            data = _bytes_at(_outputs(call), values[0], size)
            return f"[{show_bytes(data)}]" if len(data) == size else hex(values[0])
        case Gather():
            return _show_buffers(call, call.reads, *values)
        case Scatter():
            return _show_buffers(call, _outputs(call), *values)
        case Buffer():
            return f"{_show_buffer(parameter, call, *values)}, {values[1]}"
        case Subscriptions():
            return _show_poll(call, *values)
        case Strings():
            return _show_strings(call, *values)


def _outputs(call: HostCall) -> Sequence[MemoryWrite]:
    """What a call of WASI wrote, if it succeeded; what it wrote else means nothing."""
    return call.writes if call.results == (SUCCESS,) else ()


def _bytes_at(chunks: Sequence[MemoryWrite], address: int, length: int) -> bytes:
    """As many of the bytes from `address` on as the first chunk that has that address holds."""
    for chunk in chunks:
        if chunk.address <= address < chunk.address + len(chunk.data):
            return chunk.data[address - chunk.address :][:length]
    return b""


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def _quoted(data: bytes, length: int, unknown: str) -> str:
    """`data` in quotes, with ``...`` if it is less than `length` bytes; `unknown` if there is none."""
    if not data:
        return unknown if length else '""'
    text = data[:SHOWN_PATH].decode("utf-8", "surrogateescape")
    return f'"{"".join(map(_escape, text))}"' + ("..." if length > len(data) else "")


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code:02x}"


def _show_buffers(call: HostCall, chunks: Sequence[MemoryWrite], address: int, count: int) -> str:
    iovecs = _bytes_at(call.reads, address, min(count, SHOWN_ITEMS) * IOVEC)
    if not iovecs:
        return f"{hex(address)}, {count}" if count else "[]"
    items: list[str] = []
    for at in range(0, len(iovecs) - IOVEC + 1, IOVEC):
        start, length = uint(iovecs, at, 4), uint(iovecs, at + 4, 4)
        held = _bytes_at(chunks, start, length)
        full = length if chunks is call.reads else len(held)
        known = held or call.results == (SUCCESS,)
        items.append(f"{{{_quoted(held[:SHOWN_BYTES], full, '') if known else hex(start)}, {length}}}")
    return f"[{', '.join(items)}{', ...' if count > len(items) else ''}]"


def _show_buffer(parameter: Buffer, call: HostCall, address: int, size: int) -> str:
    if call.results != (SUCCESS,):
        return hex(address)
    data = _bytes_at(call.writes, address, size)
    if parameter.entries:
        return _show_entries(data)
    limit = SHOWN_PATH if parameter.counted else SHOWN_BYTES
    return _quoted(data[:limit], len(data), '""')


def _show_entries(data: bytes) -> str:
    names: list[str] = []
    at = 0
    while at + DIRENT <= len(data) and len(names) < SHOWN_ITEMS:
        length = uint(data, at + 16, 4)
        names.append(_quoted(data[at + DIRENT : at + DIRENT + length], length, "?"))
        at += DIRENT + length
    return f"[{', '.join(names)}{', ...' if at < len(data) else ''}]"


def _show_poll(call: HostCall, address: int, events: int, count: int) -> str:
    wanted = _bytes_at(call.reads, address, min(count, SHOWN_ITEMS) * SUBSCRIPTION)
    shown = [
        _show_subscription(wanted[at : at + SUBSCRIPTION])
        for at in range(0, len(wanted) - SUBSCRIPTION + 1, SUBSCRIPTION)
    ]
    happened = _bytes_at(call.writes, events, count * EVENT) if call.results == (SUCCESS,) else b""
    types = [one_of(EVENTTYPE)(happened[at + 10]) for at in range(0, len(happened) - EVENT + 1, EVENT)]
    more = ["..."] if count > len(shown) else []
    return f"[{', '.join(shown + more)}], [{', '.join(types[:SHOWN_ITEMS])}], {count}"


def _show_subscription(data: bytes) -> str:
    kind = data[8]
    if kind != 0:
        return f"{{{one_of(EVENTTYPE)(kind)}, {uint(data, 16, 4)}}}"
    until = "until " if data[40] & 1 else ""
    return f"{{CLOCK, {one_of(CLOCKS)(uint(data, 16, 4))}, {until}{nanoseconds(uint(data, 24))}}}"


def _show_strings(call: HostCall, pointers: int, characters: int) -> str:
    if call.results != (SUCCESS,):
        return f"{hex(pointers)}, {hex(characters)}"
    size = sum(len(chunk.data) for chunk in call.writes)
    strings = _bytes_at(call.writes, characters, size).split(b"\0")[:-1]
    shown = [_quoted(text[:SHOWN_BYTES], len(text), '""') for text in strings[:SHOWN_ITEMS]]
    return f"[{', '.join(shown)}{', ...' if len(strings) > len(shown) else ''}], {hex(characters)}"
