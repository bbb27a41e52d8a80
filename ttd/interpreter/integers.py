"""Integer instructions, and those that only move bits: their meaning as Python expressions.

One line of a table is one instruction, over its operands A and B, which are unsigned bit patterns
(`ttd.types.Value`). Of each expression a factory of operations is compiled when it is first used; the
template is the operation, see `code`. The text that is compiled is all in this file.

May import base and `code`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import cast

from ttd.interpreter.code import Op, Trapped
from ttd.types import TrapKind

M32, M64 = (1 << 32) - 1, (1 << 64) - 1
S32, S64 = 1 << 31, 1 << 63


def _signed_quotient(a: int, b: int, sign: int) -> int:
    """a / b, truncated, of two's complement numbers with sign bit `sign` (core 4.3.2, idiv_s)."""
    x, y = (a ^ sign) - sign, (b ^ sign) - sign
    quotient = abs(x) // abs(y)
    if (x < 0) != (y < 0):
        quotient = -quotient
    if quotient == sign:
        raise Trapped(TrapKind.INTEGER_OVERFLOW)
    return quotient & (sign * 2 - 1)


def _signed_remainder(a: int, b: int, sign: int) -> int:
    """The remainder that belongs to `_signed_quotient`: with the sign of the dividend (irem_s)."""
    x, y = (a ^ sign) - sign, (b ^ sign) - sign
    remainder = abs(x) % abs(y)
    return (-remainder if x < 0 else remainder) & (sign * 2 - 1)


# {M}, {S}, {W} stand for mask, sign bit and width. Division by zero raises Python's own ZeroDivisionError.
# Comparing signed numbers is comparing unsigned ones with the sign bit flipped.
_BINARY = """
add    (A + B) & {M}
sub    (A - B) & {M}
mul    (A * B) & {M}
div_s  signed_quotient(A, B, {S})
div_u  A // B
rem_s  signed_remainder(A, B, {S})
rem_u  A % B
and    A & B
or     A | B
xor    A ^ B
shl    (A << (B % {W})) & {M}
shr_s  (((A ^ {S}) - {S}) >> (B % {W})) & {M}
shr_u  A >> (B % {W})
rotl   (A << (B % {W}) | A >> ({W} - B % {W})) & {M}
rotr   (A >> (B % {W}) | A << ({W} - B % {W})) & {M}
eq     1 if A == B else 0
ne     1 if A != B else 0
lt_s   1 if A ^ {S} < B ^ {S} else 0
lt_u   1 if A < B else 0
gt_s   1 if A ^ {S} > B ^ {S} else 0
gt_u   1 if A > B else 0
le_s   1 if A ^ {S} <= B ^ {S} else 0
le_u   1 if A <= B else 0
ge_s   1 if A ^ {S} >= B ^ {S} else 0
ge_u   1 if A >= B else 0
"""

_UNARY = """
eqz       0 if A else 1
clz       {W} - A.bit_length()
ctz       (A & -A).bit_length() - 1 if A else {W}
popcnt    A.bit_count()
extend8_s  ((A & 0xFF ^ 0x80) - 0x80) & {M}
extend16_s ((A & 0xFFFF ^ 0x8000) - 0x8000) & {M}
"""

_OTHERS = """
i64.extend32_s      ((A & 0xFFFFFFFF ^ 0x80000000) - 0x80000000) & 0xFFFFFFFFFFFFFFFF
i64.extend_i32_s    ((A ^ 0x80000000) - 0x80000000) & 0xFFFFFFFFFFFFFFFF
i64.extend_i32_u    A
i32.wrap_i64        A & 0xFFFFFFFF
i32.reinterpret_f32 A
i64.reinterpret_f64 A
f32.reinterpret_i32 A
f64.reinterpret_i64 A
ref.is_null         1 if A is None else 0
i8x16.extract_lane_u  A >> (8 * LANE) & 0xFF
i8x16.extract_lane_s  ((A >> (8 * LANE) & 0xFF ^ 0x80) - 0x80) & 0xFFFFFFFF
i16x8.extract_lane_u  A >> (16 * LANE) & 0xFFFF
i16x8.extract_lane_s  ((A >> (16 * LANE) & 0xFFFF ^ 0x8000) - 0x8000) & 0xFFFFFFFF
i32x4.extract_lane    A >> (32 * LANE) & 0xFFFFFFFF
f32x4.extract_lane    A >> (32 * LANE) & 0xFFFFFFFF
i64x2.extract_lane    A >> (64 * LANE) & 0xFFFFFFFFFFFFFFFF
f64x2.extract_lane    A >> (64 * LANE) & 0xFFFFFFFFFFFFFFFF
i8x16.replace_lane    A & ~(0xFF << 8 * LANE) | (B & 0xFF) << 8 * LANE
i16x8.replace_lane    A & ~(0xFFFF << 16 * LANE) | (B & 0xFFFF) << 16 * LANE
i32x4.replace_lane    A & ~(0xFFFFFFFF << 32 * LANE) | B << 32 * LANE
f32x4.replace_lane    A & ~(0xFFFFFFFF << 32 * LANE) | B << 32 * LANE
i64x2.replace_lane    A & ~(0xFFFFFFFFFFFFFFFF << 64 * LANE) | B << 64 * LANE
f64x2.replace_lane    A & ~(0xFFFFFFFFFFFFFFFF << 64 * LANE) | B << 64 * LANE
"""

_TEMPLATE = """
def make(a, b, then, LANE=0):
    def op(r):
        r[a] = {expression}
        return then
    return op
"""


def _expressions() -> dict[str, str]:
    def rows(table: str) -> list[tuple[str, str]]:
        return [(line.split()[0], line.split(maxsplit=1)[1]) for line in table.strip().splitlines()]

    table = dict(rows(_OTHERS))
    for name, expression in rows(_BINARY) + rows(_UNARY):
        table["i32." + name] = expression.format(M=hex(M32), S=hex(S32), W=32)
        table["i64." + name] = expression.format(M=hex(M64), S=hex(S64), W=64)
    return table


EXPRESSIONS = _expressions()
"""By mnemonic. What is here is done in Python; what is not, and takes and gives numbers, in `numerics`."""


@cache
def _factory(mnemonic: str) -> Callable[..., Op]:
    expression = re.sub(r"\b([AB])\b", lambda match: f"r[{match[1].lower()}]", EXPRESSIONS[mnemonic])
    names: dict[str, object] = {
        "signed_quotient": _signed_quotient,
        "signed_remainder": _signed_remainder,
    }
    exec(compile(_TEMPLATE.format(expression=expression), f"<{mnemonic}>", "exec"), names)
    return cast(Callable[..., Op], names["make"])


def make(mnemonic: str, a: int, b: int, then: int, lane: int = 0) -> Op:
    """The operation of an instruction of `EXPRESSIONS`: operands in registers `a` and `b`, result in `a`."""
    return _factory(mnemonic)(a, b, then, lane)
