"""DWARF's stack machine, operation by operation, with WebAssembly's places."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd.debuginfo.locations import (
    _BINARY,
    _SIMPLE,
    _WITH_NUMBER,
    ALWAYS,
    Immediate,
    InMemory,
    LocationProgram,
    LocationRange,
    Operation,
    Place,
    Unavailable,
    locate,
)
from ttd.errors import ExpressionError
from ttd.state import Frame
from ttd.types import Position, Value


class Still:
    """A machine with one frame, two globals and 64 bytes of memory."""

    def __init__(self) -> None:
        self.frame: Frame | None = Frame(0, 100, [0x20, 1 << 63, None], [7, 0x10], Position(1))
        self.globals: Sequence[Value] = [0x30, 5]

    def read_memory(self, address: int, length: int, memory: int = 0) -> bytes:
        if address + length > 64:
            raise ExpressionError("cannot access memory")
        return bytes(range(address, address + length))


def program(*operations: Operation) -> LocationProgram:
    return LocationProgram((LocationRange(*ALWAYS, operations),))


def at(*operations: Operation, base: LocationProgram | None = None) -> Place:
    return locate(program(*operations), base, Still())


LOCAL_BASE = program(("WASM_location", (0, 0)), ("stack_value", ()))


def test_variables_are_offsets_from_the_local_that_holds_the_frame() -> None:
    assert at(("fbreg", (12,)), base=LOCAL_BASE) == InMemory(0x2C)
    assert at(("fbreg", (-4,)), base=LOCAL_BASE) == InMemory(0x1C)
    assert at(("fbreg", (4,)), base=program(("WASM_location", (3, 0)), ("stack_value", ()))) == InMemory(0x34)


def test_a_local_is_a_value_or_an_address() -> None:
    assert at(("WASM_location", (0, 1)), ("stack_value", ())) == Immediate((1 << 63).to_bytes(16, "little"))
    assert at(("WASM_location", (0, 0))) == InMemory(0x20)
    assert at(("WASM_location", (1, 1)), ("stack_value", ())) == Immediate((5).to_bytes(16, "little"))
    assert at(("WASM_location", (2, 1))) == InMemory(0x10)


def test_a_local_that_is_lost_is_optimised_out() -> None:
    assert at(("WASM_location", (0, 2)), ("stack_value", ())) == Unavailable("optimized out")
    assert at(("WASM_location", (0, 99)), ("stack_value", ())) == Unavailable("optimized out")
    assert locate(LocationProgram(()), None, Still()) == Unavailable("optimized out")


def test_a_location_holds_in_its_range_only() -> None:
    part = LocationProgram(
        (LocationRange(50, 100, (("addr", (1,)),)), LocationRange(100, 101, (("addr", (2,)),)))
    )
    assert locate(part, None, Still()) == InMemory(2)


def test_pieces_are_put_together() -> None:
    place = at(
        ("WASM_location", (0, 0)), ("stack_value", ()), ("piece", (4,)), ("addr", (3,)), ("piece", (2,))
    )
    assert place == Immediate(b"\x20\0\0\0\x03\x04")
    assert isinstance(at(("piece", (4,))), Unavailable)


@pytest.mark.parametrize(
    ("operations", "address"),
    [
        ([("lit31", ()), ("const1s", (-1,)), ("plus", ())], 30),
        ([("const4u", (7,)), ("const1u", (9,)), ("minus", ())], 0xFFFFFFFE),
        ([("const1s", (-7,)), ("lit2", ()), ("div", ())], 0xFFFFFFFD),
        ([("lit7", ()), ("lit4", ()), ("mod", ())], 3),
        ([("const1s", (-8,)), ("lit1", ()), ("shra", ())], 0xFFFFFFFC),
        ([("const4u", (0xFFFFFFF8,)), ("lit28", ()), ("shr", ())], 0xF),
        ([("lit1", ()), ("lit2", ()), ("lit3", ()), ("rot", ())], 2),
        ([("lit1", ()), ("lit2", ()), ("swap", ())], 1),
        ([("lit1", ()), ("lit2", ()), ("over", ())], 1),
        ([("lit1", ()), ("lit2", ()), ("drop", ())], 1),
        ([("lit8", ()), ("deref", ())], 0x0B0A0908),
        ([("lit8", ()), ("deref_size", (1,))], 8),
        ([("lit8", ()), ("plus_uconst", (5,))], 13),
        ([("const1s", (-1,)), ("lit1", ()), ("lt", ())], 1),
        ([("lit0", ()), ("bra", (3,)), ("lit9", ()), ("nop", ())], 9),
        ([("skip", (2,)), ("lit9", ()), ("lit5", ())], 5),
    ],
)
def test_operations(operations: list[Operation], address: int) -> None:
    assert at(*operations) == InMemory(address)


def value(*operations: Operation) -> int:
    place = at(*operations, ("stack_value", ()))
    assert isinstance(place, Immediate)
    return int.from_bytes(place.data[:8], "little")


def test_values_have_64_bits() -> None:
    half = 0x4004000000000000
    assert value(("constu", (half,))) == half
    assert at(("constu", (half,)), ("stack_value", ()), ("piece", (8,))) == Immediate(
        half.to_bytes(8, "little")
    )
    # LLVM's way to extend the sign of 32 bits, before DWARF 5.
    extend = "dup", "lit31", "shr", "lit0", "not", "mul", "lit16", "lit16", "plus", "shl", "or"
    steps: list[Operation] = [(name, ()) for name in extend]
    assert value(("const4u", (0xFFFFFFFE,)), *steps) == (1 << 64) - 2


def test_a_piece_is_never_filled_up() -> None:
    assert at(("lit1", ()), ("stack_value", ()), ("piece", (9,))) == Unavailable("optimized out")


def test_of_an_object_in_pieces_some_may_be_lost() -> None:
    lost, kept = ("WASM_location", (0, 2)), ("WASM_location", (0, 0))
    value: Operation = ("stack_value", ())
    four: Operation = ("piece", (4,))
    assert at(lost, value, four, kept, value, four) == Immediate(b"\0\0\0\0\x20\0\0\0", ((0, 4),))
    assert at(kept, value, four, four) == Immediate(b"\x20" + bytes(7), ((4, 8),))
    assert at(lost, value, four, four) == Unavailable("optimized out")
    assert at(("entry_value", (0,)), value, four, kept, value, ("piece", (1,))) == Immediate(
        b"\0\0\0\0\x20", ((0, 4),)
    )


def test_pieces_of_bits_are_put_together() -> None:
    low: list[Operation] = [("const1u", (0b1011,)), ("stack_value", ()), ("bit_piece", (4, 0))]
    high: list[Operation] = [("addr", (6,)), ("bit_piece", (12, 4))]  # of the bytes 6 and 7
    assert at(*low, *high) == Immediate((0x70 << 4 | 0b1011).to_bytes(2, "little"))
    assert at(
        *low, ("bit_piece", (9, 0)), ("lit1", ()), ("stack_value", ()), ("bit_piece", (3, 0))
    ) == Immediate((0b1011 | 1 << 13).to_bytes(2, "little"), ((0, 2),))
    assert isinstance(at(("addr", (0,)), ("bit_piece", (1 << 30, 0))), Unavailable)


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (("entry_value", (0,)), "optimized out"),
        (("GNU_entry_value", ()), "optimized out"),
        (("implicit_pointer", (0x40, 0)), "synthetic pointer"),
    ],
)
def test_what_is_lost_says_so(operation: Operation, reason: str) -> None:
    assert at(operation, ("stack_value", ())) == Unavailable(reason)


@pytest.mark.parametrize(
    ("number", "bits", "signed", "converted"),
    [
        (0xFF, 8, 1, (1 << 64) - 1),
        (0xFF, 8, 0, 0xFF),
        (0x1FF, 8, 0, 0xFF),
        (2, 1, 0, 0),
        (0x80000000, 32, 1, 0xFFFFFFFF80000000),
    ],
)
def test_numbers_are_converted(number: int, bits: int, signed: int, converted: int) -> None:
    assert value(("constu", (number,)), ("convert", (bits, signed))) == converted


@pytest.mark.parametrize(
    "operations",
    [
        [("const4u", (0xFFFFFFFF,)), ("lit1", ()), ("shra", ())],
        [("const4u", (0x80000000,)), ("lit2", ()), ("div", ())],
        [("const4u", (0xFFFFFFFF,)), ("const1s", (-1,)), ("eq", ())],
        [("const1s", (-8,)), ("lit28", ()), ("shr", ())],
        [("const1s", (-8,)), ("lit3", ()), ("mod", ())],
    ],
)
def test_what_depends_on_the_width_of_a_number_is_unavailable(operations: list[Operation]) -> None:
    assert at(*operations, ("stack_value", ())) == Unavailable("optimized out")


@pytest.mark.parametrize(
    "operations",
    [
        [("plus", ())],
        [("lit1", ()), ("lit0", ()), ("div", ())],
        [("skip", (0,))],
        [("skip", (-1,))],
        [("skip", (9,))],
        [("entry_value", (0,))],
        [("addr", (62,)), ("deref", ())],
        [("fbreg", (0,))],
        [("dup", ())],
        [("addr", ())],
    ],
)
def test_what_makes_no_sense_is_unavailable(operations: list[Operation]) -> None:
    assert isinstance(at(*operations), Unavailable)


NAMES = sorted(
    {
        *_BINARY,
        *_SIMPLE,
        *_WITH_NUMBER,
        "skip",
        "bra",
        "WASM_location",
        "implicit_value",
        "convert",
        "bit_piece",
        "entry_value",
        "implicit_pointer",
        "lit3",
        "x",
    }
)
NUMBERS = st.integers(-(1 << 64), 1 << 64) | st.integers(-4, 40)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.tuples(NUMBERS, NUMBERS)), max_size=30))
def test_any_operations_give_a_place(operations: list[Operation]) -> None:
    assert isinstance(at(*operations, base=LOCAL_BASE), InMemory | Immediate | Unavailable)
