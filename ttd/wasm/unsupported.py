"""What ttd does not support, by name: opcodes, types and flags of other proposals, and what to do about them.

The decoder refuses them with `UnsupportedFeature`, so that the user learns the name of the feature rather
than that some byte is unknown.

Imports base only.
"""

from __future__ import annotations

import enum
from typing import NoReturn

from ttd.errors import InvalidModule, UnsupportedFeature


class Feature(enum.Enum):
    """A feature that ttd does not support, and how to rebuild a program without it."""

    THREADS = "threads", "rebuild it without -pthread, -matomics and --shared-memory"
    GC = "garbage-collected types (GC)", "rebuild it for linear memory, with a compiler target without WasmGC"
    LEGACY_EXCEPTIONS = (
        "legacy exception handling",
        "rebuild it with -mllvm -wasm-use-legacy-eh=false, or convert it with wasm-opt --translate-to-exnref",
    )
    FUNCTION_REFERENCES = (
        "typed function references",
        "rebuild it with plain funcref tables and call_indirect",
    )
    COMPONENTS = (
        "the component model",
        "rebuild it as a core module for WASI preview 1, for instance with target wasm32-wasip1",
    )
    STACK_SWITCHING = "stack switching", "rebuild it without continuations"
    CUSTOM_PAGE_SIZES = "custom page sizes", "rebuild it with pages of 64 KiB"
    WIDE_ARITHMETIC = "wide arithmetic", "rebuild it with -mno-wide-arithmetic"
    MEMORY_CONTROL = "memory control", "rebuild it without memory.discard"
    HALF_PRECISION = "half-precision floats", "rebuild it with -mno-fp16"
    STRING_REFERENCES = "string references", "rebuild it with strings in linear memory"

    @property
    def title(self) -> str:
        return self.value[0]

    @property
    def advice(self) -> str:
        return self.value[1]


def refuse(feature: Feature, offset: int) -> NoReturn:
    """Raise `UnsupportedFeature` for something found at byte `offset`."""
    raise UnsupportedFeature(feature.title, feature.advice, offset)


_OPCODES: dict[int, Feature] = {
    **dict.fromkeys((0x06, 0x07, 0x09, 0x18, 0x19), Feature.LEGACY_EXCEPTIONS),
    **dict.fromkeys((0x14, 0x15, 0xD4, 0xD5, 0xD6), Feature.FUNCTION_REFERENCES),
    0xD3: Feature.GC,  # ref.eq
    **dict.fromkeys(range(0xE0, 0xE7), Feature.STACK_SWITCHING),
    0xFC0012: Feature.MEMORY_CONTROL,
    **dict.fromkeys(range(0xFC0013, 0xFC0017), Feature.WIDE_ARITHMETIC),
    **dict.fromkeys((0xFC0030, 0xFC0031), Feature.HALF_PRECISION),
    **dict.fromkeys(range(0xFD0120, 0xFD0150), Feature.HALF_PRECISION),
    **dict.fromkeys(range(0xFB0000, 0xFB0020), Feature.GC),
    **dict.fromkeys(range(0xFB0080, 0xFB00C0), Feature.STRING_REFERENCES),
    **dict.fromkeys(range(0xFE0000, 0xFE0080), Feature.THREADS),
}

_TYPES: dict[int, Feature] = {
    0x63: Feature.FUNCTION_REFERENCES,  # (ref null ht)
    0x64: Feature.FUNCTION_REFERENCES,  # (ref ht)
    0x65: Feature.THREADS,  # shared
    **dict.fromkeys((0x67, 0x66, 0x61, 0x62), Feature.STRING_REFERENCES),
    **dict.fromkeys((0x68, 0x75, 0x5D), Feature.STACK_SWITCHING),
    # any eq i31 struct array, none noextern nofunc noexn, packed i8 i16, and the forms of a type definition.
    **dict.fromkeys((0x6E, 0x6D, 0x6C, 0x6B, 0x6A, 0x71, 0x72, 0x73, 0x74, 0x78, 0x77), Feature.GC),
    **dict.fromkeys((0x5F, 0x5E, 0x50, 0x4F, 0x4E, 0x4D, 0x4C), Feature.GC),
}


def refuse_opcode(code: int, offset: int) -> NoReturn:
    """Raise for an opcode that is not in the table: by the name of its feature, or as invalid."""
    if code in _OPCODES:
        refuse(_OPCODES[code], offset)
    name = f"{code:#04x}" if code < 0x100 else f"{code >> 16:#04x} {code & 0xFFFF:#04x}"
    raise InvalidModule(f"illegal opcode {name}", offset)


def refuse_type(code: int, offset: int) -> NoReturn:
    """Raise for a type that is not a `ValType`: by the name of its feature, or as invalid."""
    if code in _TYPES:
        refuse(_TYPES[code], offset)
    raise InvalidModule(f"malformed type {code:#04x}", offset)
