"""Constants and result patterns of the test scripts, as bit patterns (`ttd.types.Value`).

Floats are rounded here from exact fractions, never through a Python float of another width: a test of
rounding must not be rounded twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from tests.spec.sexpr import Form, Node
from ttd.types import ExceptionValue, Value

# width of a float -> (bits of its significand without the hidden one, bits of its exponent)
_FLOAT_SHAPE = {32: (23, 8), 64: (52, 11)}
_LANES = {
    "i8x16": (8, 16),
    "i16x8": (16, 8),
    "i32x4": (32, 4),
    "i64x2": (64, 2),
    "f32x4": (32, 4),
    "f64x2": (64, 2),
}
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<inf>inf)|nan(?P<payload>:0x[0-9a-fA-F_]+)?"
    r"|0x(?P<hex>[0-9a-fA-F_]+)(?:\.(?P<hexfrac>[0-9a-fA-F_]*))?(?:[pP](?P<pow>[+-]?[0-9_]+))?"
    r"|(?P<dec>[0-9_]+)(?:\.(?P<decfrac>[0-9_]*))?(?:[eE](?P<exp>[+-]?[0-9_]+))?)"
)


class Unknown(Exception):
    """A constant or pattern of a kind that ttd has no values for; the message names it."""


def int_bits(text: str, width: int) -> int:
    """The unsigned `width`-bit pattern of an integer literal. ValueError when it is none or out of range."""
    number = int(text.replace("_", ""), 0 if "x" in text else 10)
    if not -(1 << (width - 1)) <= number < 1 << width:
        raise ValueError(f"{text} does not fit {width} bits")
    return number & ((1 << width) - 1)


@lru_cache(maxsize=65536)
def float_bits(text: str, width: int) -> int:
    """The bit pattern of a float literal, rounded to nearest, ties to even (core 6.3.2)."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"not a float: {text!r}")
    mantissa, exponent = _FLOAT_SHAPE[width]
    sign = (match["sign"] == "-") << (width - 1)
    infinity = ((1 << exponent) - 1) << mantissa
    if match["inf"]:
        return sign | infinity
    if "nan" in text:
        payload = match["payload"]
        return sign | infinity | (int(payload[1:].replace("_", ""), 16) if payload else 1 << (mantissa - 1))
    return sign | _round(_exact(match), mantissa, exponent)


def _exact(match: re.Match[str]) -> Fraction:
    """The number, without its sign, that a matched literal stands for."""
    digits = {name: (text or "").replace("_", "") for name, text in match.groupdict().items()}
    if match["hex"] is not None:
        whole = Fraction(int(digits["hex"] + digits["hexfrac"], 16))
        return whole * Fraction(2) ** (int(digits["pow"] or 0) - 4 * len(digits["hexfrac"]))
    whole = Fraction(int(digits["dec"] + digits["decfrac"]))
    return whole * Fraction(10) ** (int(digits["exp"] or 0) - len(digits["decfrac"]))


def _round(number: Fraction, mantissa: int, exponent: int) -> int:
    """The bits of the float nearest to `number` >= 0; infinity where it overflows."""
    if number == 0:
        return 0
    bias = (1 << (exponent - 1)) - 1
    power = number.numerator.bit_length() - number.denominator.bit_length()
    if Fraction(2) ** power > number:
        power -= 1
    power = max(power, 1 - bias)  # below that: subnormal, at a fixed scale
    # round() is to even. If it goes up to the next power of two, the bits come out right all the same.
    units = round(number * Fraction(2) ** (mantissa - power))
    bits = units + ((power + bias - 1) << mantissa)
    return min(bits, ((1 << exponent) - 1) << mantissa)


def vector_bits(shape: str, lanes: list[int]) -> int:
    """The 128 bits of a vector from the bit patterns of its lanes, lane 0 lowest."""
    width, count = _LANES[shape]
    if len(lanes) != count:
        raise ValueError(f"{shape} has {count} lanes, not {len(lanes)}")
    return sum(bits << (index * width) for index, bits in enumerate(lanes))


def constant(form: Node) -> Value:
    """The value of a constant such as ``(i32.const 7)``. Raises `Unknown` for GC values."""
    name, *arguments = _atoms(form)
    if name in ("i32.const", "i64.const"):
        return int_bits(arguments[0], int(name[1:3]))
    if name in ("f32.const", "f64.const"):
        return float_bits(arguments[0], int(name[1:3]))
    if name == "v128.const":
        return vector_bits(arguments[0], [_lane(arguments[0], text) for text in arguments[1:]])
    if name == "ref.null":
        return None
    if name == "ref.extern":
        return int(arguments[0], 0)
    raise Unknown(f"constants of the form ({name} …)")


def _atoms(form: Node) -> list[str]:
    if not isinstance(form, Form) or not all(isinstance(node, str) for node in form):
        raise Unknown(f"constants like {form!r}")
    return [node for node in form if isinstance(node, str)]


def _lane(shape: str, text: str) -> int:
    width = _LANES[shape][0]
    return float_bits(text, width) if shape[0] == "f" else int_bits(text, width)


@dataclass(frozen=True)
class Pattern:
    """What a result must be: `matches` decides, `text` says so to people."""

    text: str
    matches: Callable[[Value], bool]


def pattern(form: Node) -> Pattern:
    """The pattern of a result: a constant, a class of NaNs, any reference of a kind, or `either` of some."""
    if isinstance(form, Form) and form.head == "either":
        choices = [pattern(item) for item in form[1:]]
        return Pattern(show(form), lambda value: any(choice.matches(value) for choice in choices))
    name, *arguments = _atoms(form)
    if name in ("ref.func", "ref.extern") and not arguments:
        return Pattern(show(form), lambda value: isinstance(value, int))
    if name == "ref.exn" and not arguments:
        return Pattern(show(form), lambda value: isinstance(value, ExceptionValue))
    if name in ("f32.const", "f64.const"):
        lanes = [_lane_check(arguments[0], int(name[1:3]), is_float=True)]
        return Pattern(show(form), _all_lanes(int(name[1:3]), lanes))
    if name == "v128.const":
        width, count = _LANES[arguments[0]]
        if len(arguments) != count + 1:
            raise ValueError(f"wrong number of lanes in {show(form)}")
        lanes = [_lane_check(text, width, arguments[0][0] == "f") for text in arguments[1:]]
        return Pattern(show(form), _all_lanes(width, lanes))
    expected = constant(form)
    return Pattern(show(form), lambda value: type(value) is type(expected) and value == expected)


def _lane_check(text: str, width: int, is_float: bool) -> Callable[[int], bool]:
    """Whether the bits of one lane are what `text` asks for."""
    if text not in ("nan:canonical", "nan:arithmetic"):
        expected = float_bits(text, width) if is_float else int_bits(text, width)
        return lambda bits: bits == expected
    mantissa, exponent = _FLOAT_SHAPE[width]
    # The exponent and the quiet bit; a canonical NaN has nothing else but a sign (core 4.3.3).
    quiet = ((1 << (exponent + 1)) - 1) << (mantissa - 1)
    if text == "nan:canonical":
        return lambda bits: bits & ~(1 << (width - 1)) == quiet
    return lambda bits: bits & quiet == quiet


def _all_lanes(width: int, lanes: list[Callable[[int], bool]]) -> Callable[[Value], bool]:
    mask = (1 << width) - 1

    def matches(value: Value) -> bool:
        if not isinstance(value, int) or value >> (width * len(lanes)):
            return False
        return all(check((value >> (index * width)) & mask) for index, check in enumerate(lanes))

    return matches


def show(node: Node) -> str:
    """A form as text, for messages."""
    if isinstance(node, Form):
        return "(" + " ".join(show(item) for item in node) + ")"
    return repr(node)[1:] if isinstance(node, bytes) else node
