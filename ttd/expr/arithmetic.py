"""C's own types on WebAssembly, and the conversions between them (ISO C 6.3).

`long` and pointers have 32 bits with a 32-bit memory, 64 with a 64-bit one; `char` is signed.

May import base and `ttd.debuginfo.types`.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from ttd.debuginfo.types import VOID, BaseType, Encoding, Type

_SIZES = {
    "char": (1, Encoding.SIGNED_CHAR),
    "signed char": (1, Encoding.SIGNED_CHAR),
    "unsigned char": (1, Encoding.UNSIGNED_CHAR),
    "short": (2, Encoding.SIGNED),
    "unsigned short": (2, Encoding.UNSIGNED),
    "int": (4, Encoding.SIGNED),
    "unsigned int": (4, Encoding.UNSIGNED),
    "long": (0, Encoding.SIGNED),
    "unsigned long": (0, Encoding.UNSIGNED),
    "long long": (8, Encoding.SIGNED),
    "unsigned long long": (8, Encoding.UNSIGNED),
    "float": (4, Encoding.FLOAT),
    "double": (8, Encoding.FLOAT),
    "long double": (16, Encoding.FLOAT),
    "_Bool": (1, Encoding.BOOLEAN),
}

CODE_OFFSET = BaseType("code offset", 8, Encoding.UNSIGNED)
"""The type of ``$pc``: a byte offset in the module file."""

WIDE = BaseType("unsigned __int128", 16, Encoding.UNSIGNED)
"""128 bits: a v128."""


@lru_cache(maxsize=64)
def basic_type(name: str, address_size: int = 4) -> Type | None:
    """The basic type of that canonical name, or None; `address_size` is that of a pointer in bytes."""
    if name == "void":
        return VOID
    entry = _SIZES.get(name)
    return BaseType(name, entry[0] or address_size, entry[1]) if entry is not None else None


def number_type(name: str, address_size: int = 4) -> BaseType:
    """As `basic_type`, for names that are known to be those of a number."""
    size, encoding = _SIZES[name]
    type_ = basic_type(name, address_size)
    return type_ if isinstance(type_, BaseType) else BaseType(name, size or address_size, encoding)


def wrap(value: int, size: int, signed: bool) -> int:
    """`value` reduced to `size` bytes, as C's integer conversions do."""
    bits = 8 * size
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def read_number(type_: BaseType, data: bytes) -> int | float:
    """The number that the bytes of a `type_` stand for."""
    if type_.encoding is Encoding.FLOAT:
        return read_float(data)
    return int.from_bytes(data, "little", signed=type_.is_signed)


def read_float(data: bytes) -> float:
    """A float of 2, 4, 8 or 16 bytes; the widest loses precision."""
    formats = {2: "<e", 4: "<f", 8: "<d"}
    if len(data) in formats:
        return float(struct.unpack(formats[len(data)], data)[0])
    return _read_quad(int.from_bytes(data[:16], "little"))


def _read_quad(bits: int) -> float:
    """IEEE 754 binary128: 1 bit of sign, 15 of exponent, 112 of fraction."""
    sign = -1.0 if bits >> 127 else 1.0
    exponent, fraction = bits >> 112 & 0x7FFF, bits & (1 << 112) - 1
    if exponent == 0x7FFF:
        return float("nan") if fraction else sign * float("inf")
    significand = (fraction | (1 << 112 if exponent else 0)) / (1 << 112)
    try:
        return sign * significand * 2.0 ** (max(exponent, 1) - 16383)
    except OverflowError:
        return sign * float("inf")


def write_number(type_: BaseType, value: int | float) -> bytes:
    """The bytes of `value` converted to `type_`. A float too large for an integer wraps; NaN becomes 0."""
    if type_.encoding is Encoding.BOOLEAN:
        return int(bool(value)).to_bytes(type_.byte_size, "little")
    if type_.encoding is Encoding.FLOAT:
        return _write_float(type_.byte_size, value)
    if isinstance(value, float):
        value = int(value) if value == value and abs(value) != float("inf") else 0
    return (value & (1 << 8 * type_.byte_size) - 1).to_bytes(type_.byte_size, "little")


def _write_float(size: int, value: int | float) -> bytes:
    try:
        number = float(value)
    except OverflowError:
        number = float("inf") if value > 0 else float("-inf")
    if size == 4:
        try:
            return struct.pack("<f", number)
        except OverflowError:
            return struct.pack("<f", float("inf") if number > 0 else float("-inf"))
    if size == 8:
        return struct.pack("<d", number)
    return _write_quad(number).to_bytes(16, "little")


def _write_quad(number: float) -> int:
    bits = int.from_bytes(struct.pack("<d", number), "little")
    sign, exponent, fraction = bits >> 63, bits >> 52 & 0x7FF, bits & (1 << 52) - 1
    if exponent == 0x7FF:
        exponent = 0x7FFF
    elif exponent:
        exponent += 16383 - 1023
    elif fraction:  # a subnormal double is a normal quad
        shift = 53 - fraction.bit_length()
        fraction = fraction << shift & (1 << 52) - 1
        exponent = 16383 - 1022 - shift
    return sign << 127 | exponent << 112 | fraction << 60


def promote(type_: BaseType, address_size: int) -> BaseType:
    """Integer promotion: what is narrower than int becomes int."""
    if type_.is_integer and (type_.byte_size < 4 or type_.is_character or type_.encoding is Encoding.BOOLEAN):
        if type_.byte_size < 4:
            return number_type("int", address_size)
        return number_type("unsigned int" if not type_.is_signed else "int", address_size)
    return type_


def common_type(left: BaseType, right: BaseType, address_size: int) -> BaseType:
    """The usual arithmetic conversions: the type in which an operator works on two numbers."""
    if left.is_float or right.is_float:
        floats = [type_ for type_ in (left, right) if type_.is_float]
        return max(floats, key=lambda type_: type_.byte_size)
    left, right = promote(left, address_size), promote(right, address_size)
    if left.byte_size != right.byte_size:
        return left if left.byte_size > right.byte_size else right
    return left if not left.is_signed else right
