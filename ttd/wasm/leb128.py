"""LEB128, the variable-length integers of the binary format (core 5.2.2).

Readers take bytes and a position and give the value and the position behind it. They accept exactly
what the specification does: at most ceil(n / 7) bytes, unused bits of the last one zero or sign. They raise
IndexError at the end of the data (the decoder turns that into `InvalidModule`) and `InvalidModule` for
an encoding that is too long or too large.

Imports base only.
"""

from __future__ import annotations

from ttd.errors import InvalidModule


def read_unsigned(data: bytes, position: int, bits: int) -> tuple[int, int]:
    """An unsigned integer of at most `bits` bits."""
    start = position
    value = 0
    for shift in range(0, bits, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> bits:
                raise InvalidModule("integer too large", start)
            return value, position
    raise InvalidModule("integer representation too long", start)


def read_u32(data: bytes, position: int) -> tuple[int, int]:
    """An unsigned 32-bit integer: a size, a count, an index."""
    byte = data[position]
    if byte < 0x80:  # nearly all of them
        return byte, position + 1
    return read_unsigned(data, position, 32)


def read_u64(data: bytes, position: int) -> tuple[int, int]:
    """An unsigned 64-bit integer: an offset or limit of a 64-bit memory or table."""
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    return read_unsigned(data, position, 64)


def read_signed(data: bytes, position: int, bits: int) -> tuple[int, int]:
    """A signed integer of at most `bits` bits (sN)."""
    start = position
    value = 0
    for shift in range(0, bits, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte & 0x40:
                value -= 1 << (shift + 7)
            if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
                raise InvalidModule("integer too large", start)
            return value, position
    raise InvalidModule("integer representation too long", start)


def write_unsigned(value: int) -> bytes:
    """The shortest encoding of a non-negative integer."""
    if value < 0x80:
        if value < 0:
            raise ValueError(f"not an unsigned integer: {value}")
        return _SHORT[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_signed(value: int) -> bytes:
    """The shortest encoding of a signed integer."""
    if -0x40 <= value < 0x40:
        return _SHORT[value & 0x7F]
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


_SHORT = tuple(bytes([value]) for value in range(0x80))
