"""A module in one page: its sections, what tools wrote into it about themselves, its debug information.

May import base, `ttd.wasm` and `ttd.debuginfo`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.separate import build_id
from ttd.errors import InvalidModule
from ttd.wasm.expression import read_count
from ttd.wasm.leb128 import read_u32
from ttd.wasm.model import CustomSection, Module
from ttd.wasm.names import printable

_NAMES = {
    1: "type", 2: "import", 3: "function", 4: "table", 5: "memory", 6: "global", 7: "export", 8: "start",
    9: "element", 10: "code", 11: "data", 12: "data count", 13: "tag",
}  # fmt: skip
_WITHOUT_ITEMS = (0, 8, 12)
"""Sections that are no vectors: custom ones, start, and the count of data segments."""


class SectionSummary(NamedTuple):
    """A section: for a custom one its name and id 0."""

    id: int
    name: str
    offset: int
    """Of its contents, in bytes from the start of the file."""
    size: int
    """Of its contents, in bytes; of a custom section, its name included."""
    items: int | None
    """How many things it lists; None for a section that is no list."""


class Producer(NamedTuple):
    """A tool or language that took part in making the module (tool conventions, ProducersSection.md)."""

    role: str
    """``language``, ``processed-by`` or ``sdk``."""
    name: str
    version: str


class DebugSummary(NamedTuple):
    """What there is of DWARF."""

    size: int
    """Of all ``.debug_*`` sections, in bytes."""
    versions: list[int]
    units: int
    units_with_code: int
    languages: list[str]
    compilers: list[str]


def sections(module: Module) -> list[SectionSummary]:
    """All sections, in the order of the file."""
    return [
        SectionSummary(
            section.id,
            _text(module.data, section.offset)[0] if section.id == 0 else _NAMES.get(section.id, "unknown"),
            section.offset,
            section.size,
            None if section.id in _WITHOUT_ITEMS else read_u32(module.data, section.offset)[0],
        )
        for section in module.sections
    ]


def producers(module: Module) -> list[Producer]:
    """The contents of the ``producers`` section, as far as they can be read."""
    found: list[Producer] = []
    with suppress(InvalidModule, IndexError):
        found.extend(_producers(_contents(module.custom("producers"))))
    return found


def target_features(module: Module) -> list[str]:
    """What the ``target_features`` section says: ``+simd128`` (used), ``-atomics`` (must not be there)."""
    found: list[str] = []
    with suppress(InvalidModule, IndexError):
        found.extend(_target_features(_contents(module.custom("target_features"))))
    return found


def debug_summary(debug: DebugInfo) -> DebugSummary | None:
    """What there is of DWARF; None without any. Looks at the top entries of compile units only."""
    if not debug.has_dwarf:
        return None
    units = debug.compile_units()
    return DebugSummary(
        sum(len(section.data) for section in debug.module.customs if section.name.startswith(".debug_")),
        sorted({unit.version for unit in units}),
        len(units),
        sum(unit.has_code for unit in units),
        sorted({unit.language for unit in units} - {""}),
        sorted({printable(unit.producer) for unit in units} - {""}),
    )


def notes(module: Module) -> list[tuple[str, str]]:
    """(section, text) of the small sections that lead to what is kept elsewhere.

    ``build_id`` as hexadecimal digits, ``external_debug_info`` and ``sourceMappingURL`` as they are.
    """
    found: list[tuple[str, str]] = []
    identity = build_id(module)
    for section in module.customs:
        with suppress(InvalidModule, IndexError):
            if section.name == "build_id" and identity is not None:
                found.append((section.name, identity.hex()))
            elif section.name in ("external_debug_info", "sourceMappingURL"):
                found.append((section.name, _text(section.data, 0)[0]))
    return found


def _contents(section: CustomSection | None) -> bytes:
    return section.data if section is not None else b"\0"


def _producers(data: bytes) -> Iterator[Producer]:
    count, position = read_count(data, 0, len(data))
    for _ in range(count):
        role, position = _text(data, position)
        tools, position = read_count(data, position, len(data))
        for _ in range(tools):
            name, position = _text(data, position)
            version, position = _text(data, position)
            yield Producer(role, name, version)


def _target_features(data: bytes) -> Iterator[str]:
    count, position = read_count(data, 0, len(data))
    for _ in range(count):
        prefix = data[position : position + 1].decode("latin-1")
        name, position = _text(data, position + 1)
        yield printable(prefix) + name


def _text(data: bytes, position: int) -> tuple[str, int]:
    size, position = read_count(data, position, len(data))
    return printable(data[position : position + size].decode("utf-8", "replace")), position + size
