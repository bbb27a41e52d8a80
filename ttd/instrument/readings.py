"""Readings of floating-point values: what instructions do to the NaN rule, one by one (`nan` has the whole).

May import `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from ttd.wasm.leb128 import write_signed, write_unsigned
from ttd.wasm.model import ValType
from ttd.wasm.opcodes import OPCODES, Opcode

AS_IS, CANON, NEGATED, CANON32, NEGATED32, CANON64, NEGATED64, LOOSE32, LOOSE64 = (
    1 << bit for bit in range(9)
)
ALL = (1 << 9) - 1
MENDABLE = ALL & ~(LOOSE32 | LOOSE64)
"""Readings that tell the right value."""
RIGHT = AS_IS | LOOSE32 | LOOSE64
"""What holds of every value that is right."""

_NAN32, _NAN64, _SIGN32, _SIGN64 = 0x7FC00000, 0x7FF8000000000000, 1 << 31, 1 << 63
FLOATS = frozenset((ValType.F32, ValType.F64, ValType.V128))


# --- mending ----------------------------------------------------------------------------------------------


class Mending(NamedTuple):
    """How a value is made right."""

    type: ValType
    reading: int

    def test(self, local: int) -> bytes:
        """() -> (i32): whether what is in `local` is right as it is, because it is no NaN. Scalars only."""
        twice = 2 * (b"\x20" + write_unsigned(local))
        if self.type is ValType.F32:
            return twice + b"\x60"  # ge: a single test of the processor's flags, unlike eq
        return twice + b"\x66"

    def test_stored(self) -> bytes:
        """(i32) -> (i32): whether it is the last four bytes of a NaN that arithmetic makes. Scalars only.

        Those are quiet, so all of them show in the upper half of an f64; and infinities differ from them.
        """
        infinity = 0xFF000000 if self.type is ValType.F32 else 0xFFE00000  # shifted, without its sign
        return b"\x41\x01\x74\x41" + write_signed(infinity - (1 << 32)) + b"\x4b"

    def nan(self) -> bytes:
        """() -> (the NaN that stands for every NaN; for vectors one in each lane)."""
        if self.type is ValType.F32:
            bits = _NAN32 | _SIGN32 * (self.reading == NEGATED)
            return b"\x43" + bits.to_bytes(4, "little")
        if self.type is ValType.F64:
            bits = _NAN64 | _SIGN64 * (self.reading == NEGATED)
            return b"\x44" + bits.to_bytes(8, "little")
        return b"\xfd\x0c" + self._lanes()

    def code(self, local: int) -> bytes:
        """() -> (right value) of the value in `local`, without a branch."""
        value = b"\x20" + write_unsigned(local)
        both = value + self.nan() + 2 * value
        if self.type is ValType.V128:
            return both + (b"\xfd\x41" if self._is_32 else b"\xfd\x47") + b"\xfd\x52"
        return both + (b"\x5b" if self.type is ValType.F32 else b"\x61") + b"\x1b"

    @property
    def _is_32(self) -> bool:
        return self.reading in (CANON32, NEGATED32)

    def _lanes(self) -> bytes:
        if self._is_32:
            return 4 * (_NAN32 | _SIGN32 * (self.reading == NEGATED32)).to_bytes(4, "little")
        return 2 * (_NAN64 | _SIGN64 * (self.reading == NEGATED64)).to_bytes(8, "little")


# --- what instructions do with readings -------------------------------------------------------------------

_Table: TypeAlias = "tuple[int, ...]"
Transform: TypeAlias = "_Table | None"
"""Readings of a result by readings of an operand (a table), None where they are the same."""


def _then(first: _Table, second: _Table) -> _Table:
    return tuple(second[readings] for readings in first)


def _transform(moves: Mapping[int, int]) -> _Table:
    """Where reading `a` of an operand gives reading `moves[a]` of the result; what is right stays so."""
    table = []
    for readings in range(ALL + 1):
        result = RIGHT if readings & AS_IS else 0
        for of, to in moves.items():
            result |= to if readings & of else 0
        table.append(result)
    return tuple(table)


_STAY_LOOSE = {LOOSE32: LOOSE32, LOOSE64: LOOSE64}
_NEGATE = _transform(
    {
        CANON: NEGATED,
        NEGATED: CANON,
        CANON32: NEGATED32,
        NEGATED32: CANON32,
        CANON64: NEGATED64,
        NEGATED64: CANON64,
        **_STAY_LOOSE,
    }
)
_ABSOLUTE = _transform(
    {
        CANON: CANON,
        NEGATED: CANON,
        CANON32: CANON32,
        NEGATED32: CANON32,
        CANON64: CANON64,
        NEGATED64: CANON64,
        **_STAY_LOOSE,
    }
)
_SPLAT32 = tuple(readings | LOOSE32 for readings in _transform({CANON: CANON32, NEGATED: NEGATED32}))
_SPLAT64 = tuple(readings | LOOSE64 for readings in _transform({CANON: CANON64, NEGATED: NEGATED64}))
_LANE32 = _transform({CANON32: CANON, NEGATED32: NEGATED})
_LANE64 = _transform({CANON64: CANON, NEGATED64: NEGATED})
_KEEP32 = _transform({CANON32: CANON32, NEGATED32: NEGATED32, LOOSE32: LOOSE32})
_KEEP64 = _transform({CANON64: CANON64, NEGATED64: NEGATED64, LOOSE64: LOOSE64})


class Rule(NamedTuple):
    """What an instruction means for readings. One without a rule sees bits, and makes some: RIGHT."""

    accepts: int = 0
    """The reading that must hold of each operand that is a vector. Any scalar will do."""
    results: int = RIGHT
    """Readings of its result; unless `carries`."""
    carries: tuple[Transform, ...] = ()
    """The result is made of its operands' bits: how their readings become its own."""


_ARITHMETIC = frozenset(
    (
        *("ceil", "floor", "trunc", "nearest", "sqrt", "add", "sub", "mul", "div", "min", "max"),
        *("demote_f64", "promote_f32", "relaxed_madd", "relaxed_nmadd", "relaxed_min", "relaxed_max"),
    )
)
_COMPARISONS = frozenset(("eq", "ne", "lt", "gt", "le", "ge"))


def _rule(op: Opcode) -> Rule | None:
    """The rule for an instruction with a signature of its own."""
    if op.params is None:
        return None
    shape, _, name = op.mnemonic.partition(".")
    if shape in ("f32", "f64"):
        return _scalar_rule(name)
    if shape == "f32x4":
        return _vector_rule(name, LOOSE32, CANON32, (_KEEP32, _SPLAT32, _LANE32), LOOSE64)
    if shape == "f64x2":
        return _vector_rule(name, LOOSE64, CANON64, (_KEEP64, _SPLAT64, _LANE64), LOOSE32)
    if "trunc" in name:  # to integers, which no NaN survives
        return Rule(LOOSE32 if "f32x4" in name else LOOSE64 if "f64x2" in name else 0)
    return None


def _scalar_rule(name: str) -> Rule | None:
    if name in _ARITHMETIC:
        return Rule(results=CANON)
    if name in _COMPARISONS:
        return Rule()
    if name.startswith("convert"):
        return Rule(results=RIGHT | CANON | NEGATED)
    carries = {"neg": (_NEGATE,), "abs": (_ABSOLUTE,)}.get(name)
    return Rule(carries=carries) if carries else None


def _vector_rule(
    name: str, loose: int, canon: int, transforms: tuple[_Table, _Table, _Table], other_shape: int
) -> Rule | None:
    keep, splat, lane = transforms
    if name.startswith(("demote", "promote")):
        return Rule(other_shape, canon | loose)
    if name in _ARITHMETIC:
        return Rule(loose, canon | loose)
    if name in _COMPARISONS:
        return Rule(loose)
    if name.startswith("convert"):
        return Rule(AS_IS, RIGHT | canon | canon << 1)
    carries = {
        "neg": (_then(keep, _NEGATE),),
        "abs": (_then(keep, _ABSOLUTE),),
        "pmin": (keep, keep),
        "pmax": (keep, keep),
        "splat": (splat,),
        "extract_lane": (lane,),
        "replace_lane": (keep, splat),
    }.get(name)
    return Rule(loose, carries=carries) if carries else None


RULES = {op: rule for op in OPCODES if (rule := _rule(op)) is not None}
PRODUCERS = frozenset(op for op, rule in RULES.items() if rule.results & AS_IS == 0)


def constant_readings(bits: int, width: int, canon: int) -> int:
    """Readings of a constant of lanes with `width` bits."""
    nan, sign = (_NAN32, _SIGN32) if width == 32 else (_NAN64, _SIGN64)
    infinity = nan & nan << 1
    readings = RIGHT | canon | canon << 1
    while bits:
        lane = bits & ((1 << width) - 1)
        if lane & ~sign > infinity:
            readings &= RIGHT | (canon if lane == nan else canon << 1 if lane == nan | sign else 0)
        bits >>= width
    return readings
