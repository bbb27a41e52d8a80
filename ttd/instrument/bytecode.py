"""Instructions as bytes, as far as injected code needs them.

May import `ttd.wasm`.
"""

from __future__ import annotations

from functools import lru_cache

from ttd.wasm.leb128 import write_signed, write_unsigned
from ttd.wasm.model import ValType

LOAD = {
    ValType.I32: b"\x28",
    ValType.I64: b"\x29",
    ValType.F32: b"\x2a",
    ValType.F64: b"\x2b",
    ValType.V128: b"\xfd\x00",
}
STORE = {
    ValType.I32: b"\x36",
    ValType.I64: b"\x37",
    ValType.F32: b"\x38",
    ValType.F64: b"\x39",
    ValType.V128: b"\xfd\x0b",
}
_ZEROS = {
    ValType.I32: b"\x41\x00",
    ValType.I64: b"\x42\x00",
    ValType.F32: b"\x43" + bytes(4),
    ValType.F64: b"\x44" + bytes(8),
}
ELSE_BYTE, END_BYTE, RETURN_BYTE = b"\x05", b"\x0b", b"\x0f"


@lru_cache(1 << 12)
def local_get(index: int) -> bytes:
    return b"\x20" + write_unsigned(index)


def local_set(index: int) -> bytes:
    return b"\x21" + write_unsigned(index)


def local_tee(index: int) -> bytes:
    return b"\x22" + write_unsigned(index)


def global_get(index: int) -> bytes:
    return b"\x23" + write_unsigned(index)


def global_set(index: int) -> bytes:
    return b"\x24" + write_unsigned(index)


def i32_const(value: int) -> bytes:
    return b"\x41" + write_signed(value)


def branch(depth: int) -> bytes:
    return b"\x0c" + write_unsigned(depth)


def call(function: int) -> bytes:
    return b"\x10" + write_unsigned(function)


def i64_const(value: int) -> bytes:
    return b"\x42" + write_signed(value)


def zero(type_: ValType) -> bytes:
    """Code that pushes a value of a type: any, but it is zero or null."""
    if type_.is_reference:
        return b"\xd0" + bytes([type_])
    if type_ is ValType.V128:
        return b"\xfd\x0c" + bytes(16)
    return _ZEROS[type_]


@lru_cache(1 << 14)
def shadow_memarg(memory: int, offset: int = 0) -> bytes:
    """The immediate of an access to `memory` that promises no alignment (core 5.4.6: bit 6 tells of an
    index)."""
    return (b"\x40" + write_unsigned(memory) if memory else b"\x00") + write_unsigned(offset)
