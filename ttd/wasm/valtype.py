"""The value types of WebAssembly.

A module of its own because both the instruction table (`opcodes`) and the module model (`model`) need
it, and the model needs the table. Everybody else takes `ValType` from `ttd.wasm.model`.

Imports nothing of ttd.
"""

from __future__ import annotations

import enum


class ValType(enum.IntEnum):
    """Value types, by their binary code (core 5.3.4)."""

    I32 = 0x7F
    I64 = 0x7E
    F32 = 0x7D
    F64 = 0x7C
    V128 = 0x7B
    FUNCREF = 0x70
    EXTERNREF = 0x6F
    EXNREF = 0x69

    __hash__ = int.__hash__  # that of enumerations is written in Python, and types are looked up often

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def is_reference(self) -> bool:
        """Whether values are references, which live outside of linear memory and have a null."""
        return self in _REFERENCES

    @property
    def size(self) -> int:
        """Bytes that a value takes in linear memory; 0 for references, which cannot lie there."""
        return _SIZES.get(self, 0)


_REFERENCES = frozenset((ValType.FUNCREF, ValType.EXTERNREF, ValType.EXNREF))
_SIZES = {ValType.I32: 4, ValType.F32: 4, ValType.I64: 8, ValType.F64: 8, ValType.V128: 16}
