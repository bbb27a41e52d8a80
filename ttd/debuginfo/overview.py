"""Compile units as a list: what was compiled, from which language and with what.

Looks at the top entry of each unit only. May import base and pyelftools.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ttd.debuginfo.units import Unit, number_of, text_of

_LANGUAGES = {
    0x01: "C89", 0x02: "C", 0x04: "C++", 0x0C: "C99", 0x13: "D", 0x16: "Go", 0x1A: "C++11", 0x1C: "Rust",
    0x1D: "C11", 0x1E: "Swift", 0x21: "C++14", 0x26: "Kotlin", 0x27: "Zig", 0x2A: "C++17", 0x2B: "C++20",
    0x2C: "C17", 0x8001: "assembler",
}  # fmt: skip
"""DW_LANG (DWARF 5, 7.12, and what was registered since), as far as it is compiled to WebAssembly."""


class CompileUnit(NamedTuple):
    """A compile unit, by its main source file. Texts are "" where the compiler does not tell."""

    name: str
    directory: str
    """Where the compiler ran: what relative names count from."""
    language: str
    producer: str
    """The compiler."""
    version: int
    """Of DWARF."""
    has_code: bool
    """Whether any of its code is in the module."""


def compile_units(units: Iterable[Unit]) -> list[CompileUnit]:
    """The units in their order."""
    return [
        CompileUnit(
            unit.name,
            unit.directory,
            _language(number_of(unit.top, "DW_AT_language")),
            text_of(unit.top, "DW_AT_producer"),
            unit.version,
            bool(unit.ranges),
        )
        for unit in units
    ]


def _language(code: int | None) -> str:
    return "" if code is None else _LANGUAGES.get(code, f"language {code:#x}")
