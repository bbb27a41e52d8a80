"""Constants and patterns of the test scripts mean what the specification says."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spec.sexpr import Form, Node, read
from tests.spec.values import Unknown, constant, float_bits, int_bits, pattern


def form(text: str) -> Node:
    (only,) = read(text.encode())
    return only


def bits_of(number: float, width: int) -> int:
    code, other = ("<f", "<I") if width == 32 else ("<d", "<Q")
    result: int = struct.unpack(other, struct.pack(code, number))[0]
    return result


@given(st.floats(allow_nan=False))
def test_doubles_round_trip_in_decimal_and_hexadecimal(number: float) -> None:
    assert float_bits(repr(number).replace("inf", "inf"), 64) == bits_of(number, 64)
    if math.isfinite(number):
        assert float_bits(number.hex(), 64) == bits_of(number, 64)


@given(st.floats(allow_nan=False, width=32))
def test_singles_round_trip(number: float) -> None:
    assert float_bits(number.hex() if math.isfinite(number) else repr(number), 32) == bits_of(number, 32)


@pytest.mark.parametrize(
    ("text", "width", "bits"),
    [
        ("0x1.000001p0", 32, 0x3F800000),  # a tie goes to even, downward
        ("0x1.000003p0", 32, 0x3F800002),  # and upward
        ("0x1.00000100000000001p0", 32, 0x3F800001),  # a double would lose the last digit and round down
        ("0x1p-149", 32, 1),
        ("0x1p-150", 32, 0),
        ("0x1.8p-150", 32, 1),
        ("0x1.ffffffp127", 32, 0x7F800000),
        ("1_000.5e-1_0", 64, bits_of(1000.5e-10, 64)),
        ("-0", 32, 0x80000000),
        ("nan", 32, 0x7FC00000),
        ("-nan:0x200000", 32, 0xFFA00000),
        ("-inf", 64, 0xFFF0 << 48),
    ],
)
def test_floats_are_rounded_once(text: str, width: int, bits: int) -> None:
    assert float_bits(text, width) == bits


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(i32.const -1)", 0xFFFFFFFF),
        ("(i32.const 0xffff_ffff)", 0xFFFFFFFF),
        ("(i64.const -0x8000000000000000)", 1 << 63),
        ("(i32.const 010)", 10),
        ("(v128.const i32x4 1 2 3 -1)", 0xFFFFFFFF_00000003_00000002_00000001),
        ("(ref.null func)", None),
        ("(ref.extern 7)", 7),
    ],
)
def test_constants(text: str, value: int | None) -> None:
    assert constant(form(text)) == value


def test_integers_that_do_not_fit_are_refused() -> None:
    for text in ("4294967296", "-2147483649"):
        with pytest.raises(ValueError, match="does not fit"):
            int_bits(text, 32)


def test_unknown_constants_are_named() -> None:
    with pytest.raises(Unknown, match=r"ref\.host"):
        constant(form("(ref.host 1)"))


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("(i32.const 5)", [5], [4, None]),
        ("(f32.const nan:canonical)", [0x7FC00000, 0xFFC00000], [0x7FC00001, 0x7F800000, 0x7FA00000]),
        ("(f32.const nan:arithmetic)", [0x7FC00000, 0xFFC00001], [0x7F800001, 0x7F800000, 0]),
        ("(f32.const nan:0x200000)", [0x7FA00000], [0x7FC00000]),
        ("(f64.const nan:canonical)", [0x7FF8 << 48], [0x7FF0 << 48, (0x7FF8 << 48) + 1]),
        ("(v128.const f64x2 1 nan:arithmetic)", [(0x7FF9 << 112) + (0x3FF0 << 48)], [0x3FF0 << 48]),
        ("(v128.const i8x16 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 255)", [255 << 120], [255, None]),
        ("(either (i32.const 1) (i32.const 2))", [1, 2], [3]),
        ("(ref.func)", [0, 3], [None]),
        ("(ref.null)", [None], [0]),
        ("(i32.const 0)", [0], [None]),
    ],
)
def test_patterns(text: str, good: list[int | None], bad: list[int | None]) -> None:
    matches = pattern(form(text)).matches
    assert [value for value in good if not matches(value)] == []
    assert [value for value in bad if matches(value)] == []


def test_a_scalar_must_not_have_bits_beyond_its_width() -> None:
    assert not pattern(form("(i32.const 1)")).matches((1 << 32) + 1)
    assert not pattern(form("(f32.const 0)")).matches(1 << 32)


def test_read_gives_forms() -> None:
    assert isinstance(form("(a)"), Form)
