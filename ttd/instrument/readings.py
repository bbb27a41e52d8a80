"""Readings of floating-point values: what instructions do to the NaN rule, one by one (`nan` has the whole).

May import `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from ttd.wasm.leb128 import write_unsigned
from ttd.wasm.model import ValType
from ttd.wasm.opcodes import OPCODES, Opcode

AS_IS, CANON, NEGATED, CANON32, NEGATED32, CANON64, NEGATED64 = (1 << bit for bit in range(7))
ALL = (1 << 7) - 1
_IN_32 = AS_IS | CANON32 | NEGATED32
_IN_64 = AS_IS | CANON64 | NEGATED64
SCALAR = AS_IS | CANON | NEGATED

_NAN32, _NAN64, _SIGN32, _SIGN64 = 0x7FC00000, 0x7FF8000000000000, 1 << 31, 1 << 63
FLOATS = frozenset((ValType.F32, ValType.F64, ValType.V128))


# --- mending ----------------------------------------------------------------------------------------------


class Mending(NamedTuple):
    """How a value is made right."""

    type: ValType
    reading: int

    def code(self, local: int) -> bytes:
        """(value) -> (right value), where the same value is in `local`, too."""
        twice = 2 * (b"\x20" + write_unsigned(local))
        if self.type is ValType.F32:
            bits = _NAN32 | _SIGN32 * (self.reading == NEGATED)
            return b"\x43" + bits.to_bytes(4, "little") + twice + b"\x5b\x1b"
        if self.type is ValType.F64:
            bits = _NAN64 | _SIGN64 * (self.reading == NEGATED)
            return b"\x44" + bits.to_bytes(8, "little") + twice + b"\x61\x1b"
        return b"\xfd\x0c" + self._lanes() + twice + b"\xfd" + self._equal() + b"\xfd\x52"

    def _equal(self) -> bytes:
        return b"\x41" if self.reading in (CANON32, NEGATED32) else b"\x47"

    def _lanes(self) -> bytes:
        if self.reading in (CANON32, NEGATED32):
            return 4 * (_NAN32 | _SIGN32 * (self.reading == NEGATED32)).to_bytes(4, "little")
        return 2 * (_NAN64 | _SIGN64 * (self.reading == NEGATED64)).to_bytes(8, "little")


# --- what instructions do with readings -------------------------------------------------------------------

Transform: TypeAlias = "bytes | None"
"""Readings of a result by readings of an operand (a table of 128), None where they are the same."""


def _transform(moves: Mapping[int, int]) -> bytes:
    """Where reading `a` of an operand gives reading `moves[a]` of the result; AS_IS stays."""
    moves = {AS_IS: AS_IS, **moves}
    return bytes(sum({to for of, to in moves.items() if readings & of}) for readings in range(ALL + 1))


_NEGATE = _transform(
    {
        CANON: NEGATED,
        NEGATED: CANON,
        CANON32: NEGATED32,
        NEGATED32: CANON32,
        CANON64: NEGATED64,
        NEGATED64: CANON64,
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
    }
)
_SPLAT32 = _transform({CANON: CANON32, NEGATED: NEGATED32})
_SPLAT64 = _transform({CANON: CANON64, NEGATED: NEGATED64})
_LANE32 = _transform({CANON32: CANON, NEGATED32: NEGATED})
_LANE64 = _transform({CANON64: CANON, NEGATED64: NEGATED})
_KEEP32 = _transform({CANON32: CANON32, NEGATED32: NEGATED32})
_KEEP64 = _transform({CANON64: CANON64, NEGATED64: NEGATED64})


class Rule(NamedTuple):
    """What an instruction means for readings. One without a rule sees bits, and makes some: AS_IS."""

    accepts: int = AS_IS
    """Readings of which one must hold of each operand."""
    results: int = AS_IS
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
        return _vector_rule(name, _IN_32, CANON32, (_KEEP32, _SPLAT32, _LANE32), _IN_64)
    if shape == "f64x2":
        return _vector_rule(name, _IN_64, CANON64, (_KEEP64, _SPLAT64, _LANE64), _IN_32)
    if "trunc" in name:  # to integers, which no NaN survives
        return Rule(accepts=_IN_32 if "f32x4" in name else _IN_64 if "f64x2" in name else SCALAR)
    return None


def _scalar_rule(name: str) -> Rule | None:
    if name in _ARITHMETIC:
        return Rule(SCALAR, CANON)
    if name in _COMPARISONS:
        return Rule(SCALAR)
    if name.startswith("convert"):
        return Rule(results=SCALAR)
    carries = {"neg": (_NEGATE,), "abs": (_ABSOLUTE,)}.get(name)
    return Rule(carries=carries) if carries else None


def _vector_rule(
    name: str, accepts: int, canon: int, transforms: tuple[bytes, bytes, bytes], other_shape: int
) -> Rule | None:
    keep, splat, lane = transforms
    if name.startswith(("demote", "promote")):
        return Rule(other_shape, canon)
    if name in _ARITHMETIC:
        return Rule(accepts, canon)
    if name in _COMPARISONS:
        return Rule(accepts)
    if name.startswith("convert"):
        return Rule(results=accepts)
    narrowed = {"neg": _NEGATE, "abs": _ABSOLUTE}.get(name)
    if narrowed is not None:
        return Rule(carries=(bytes(narrowed[kept] for kept in keep),))
    carries = {
        "pmin": (keep, keep),
        "pmax": (keep, keep),
        "splat": (splat,),
        "extract_lane": (lane,),
        "replace_lane": (keep, splat),
    }.get(name)
    return Rule(carries=carries) if carries else None


RULES = {op: rule for op in OPCODES if (rule := _rule(op)) is not None}
PRODUCERS = frozenset(op for op, rule in RULES.items() if rule.results & AS_IS == 0)


def constant_readings(bits: int, width: int, canon: int) -> int:
    """Readings of a constant of lanes with `width` bits."""
    nan, sign = (_NAN32, _SIGN32) if width == 32 else (_NAN64, _SIGN64)
    infinity = nan & nan << 1
    readings = AS_IS | canon | canon << 1
    while bits:
        lane = bits & ((1 << width) - 1)
        if lane & ~sign > infinity:
            readings &= AS_IS | (canon if lane == nan else canon << 1 if lane == nan | sign else 0)
        bits >>= width
    return readings
