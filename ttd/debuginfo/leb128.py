"""LEB128 numbers as DWARF has them (DWARF 5, 7.6): of any width and padding, other than in WebAssembly.

Imports nothing: readers that must start quickly use it.
"""

from __future__ import annotations


def unsigned(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number, and where it ends; a signed one has the same end. IndexError where the
    data ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
