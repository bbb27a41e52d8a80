"""Branch hints: which branches of instrumented code are hardly ever taken.

They are the finished "branch hinting" proposal: a custom section in front of the code, which engines may
ignore. Wasmtime moves what is unlikely out of the way of what is likely. That matters where the
unlikely is tiny, as a NaN that has to be mended is: a taken branch over it costs more than the test.

May import `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ttd.wasm.leb128 import write_unsigned
from ttd.wasm.model import CustomSection, Module, Section

Hints: TypeAlias = "Sequence[tuple[int, bool]]"
"""Offsets of `if` instructions, ascending, and whether they are likely to be entered."""

_ELEMENTS = 9
"""Id of the last section that can stand in front of the code and is not about it."""


def shifted(hints: Hints, distance: int) -> Hints:
    """The hints for code that has so many bytes in front."""
    return [(offset + distance, likely) for offset, likely in hints]


def with_hints(module: Module, hints: Mapping[int, Hints]) -> Module:
    """The module with hints, by function; offsets count from the declarations of the function's locals."""
    functions = [function for function in sorted(hints) if hints[function]]
    contents = bytearray(write_unsigned(len(functions)))
    for function in functions:
        contents += write_unsigned(function) + write_unsigned(len(hints[function]))
        for offset, likely in hints[function]:
            contents += write_unsigned(offset) + bytes((1, likely))
    custom = CustomSection("metadata.code.branch_hint", 0, bytes(contents))
    return replace(module, customs=(custom,), sections=(Section(_ELEMENTS, 0, 0), Section(0, 0, 0)))
