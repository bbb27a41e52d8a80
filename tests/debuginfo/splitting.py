"""Splitting a module into code and debug information, byte for byte, as strip tools do."""

from __future__ import annotations

from ttd.wasm.decode import decode
from ttd.wasm.leb128 import write_unsigned

HEADER = b"\0asm\1\0\0\0"


def section(id_: int, contents: bytes) -> bytes:
    """A section of a module."""
    return bytes([id_]) + write_unsigned(len(contents)) + contents


def custom(name: str, contents: bytes) -> bytes:
    """A custom section."""
    return section(0, sized(name.encode()) + contents)


def sized(data: bytes) -> bytes:
    """`data` behind its size."""
    return write_unsigned(len(data)) + data


def stripped(data: bytes, *before: bytes) -> bytes:
    """A module without its custom sections, and with `before` as first ones: they move its code."""
    kept = (section(s.id, data[s.offset : s.offset + s.size]) for s in decode(data).sections if s.id)
    return HEADER + b"".join((*before, *kept))


def only_debug(data: bytes, *more: bytes) -> bytes:
    """The ``.debug_*`` sections of a module alone, as ``llvm-objcopy --only-keep-debug`` leaves them."""
    kept = (custom(s.name, s.data) for s in decode(data).customs if s.name.startswith(".debug_"))
    return HEADER + b"".join((*kept, *more))
