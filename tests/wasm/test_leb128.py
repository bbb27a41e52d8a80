"""LEB128 integers: what is written is read back, and nothing but the specification's encodings is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd.errors import InvalidModule
from ttd.wasm.leb128 import read_signed, read_u32, read_u64, read_unsigned, write_signed, write_unsigned


@given(st.integers(0, 2**64 - 1))
def test_unsigned_numbers_come_back(value: int) -> None:
    data = write_unsigned(value)
    assert read_u64(data + b"\x55", 0) == (value, len(data))
    if value < 2**32:
        assert read_u32(b"\x80" + data, 1) == (value, len(data) + 1)


@given(st.sampled_from((32, 33, 64)), st.data())
def test_signed_numbers_come_back(bits: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    written = write_signed(value)
    assert read_signed(written, 0, bits) == (value, len(written))


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "00"), (63, "3f"), (64, "c000"), (-1, "7f"), (-64, "40"), (-65, "bf7f"), (-(2**31), "8080808078")],
)
def test_signed_numbers_take_their_shortest_form(value: int, written: str) -> None:
    assert write_signed(value).hex() == written


def test_padded_numbers_are_read() -> None:
    assert read_u32(bytes.fromhex("8380808000"), 0) == (3, 5)
    assert read_signed(bytes.fromhex("feffffff7f"), 0, 32) == (-2, 5)


@pytest.mark.parametrize("encoding", ["808080808000", "ffffffffff00"])
def test_unsigned_too_long_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidModule, match="too long"):
        read_u32(bytes.fromhex(encoding), 0)


@pytest.mark.parametrize("encoding", ["8080808010", "ffffffff1f"])
def test_unsigned_with_unused_bits_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidModule, match="too large") as caught:
        read_u32(b"\0" + bytes.fromhex(encoding), 1)
    assert caught.value.offset == 1


@pytest.mark.parametrize("encoding", ["ffffffff0f", "8080808070", "808080807f"[:8] + "08"])
def test_signed_out_of_range_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidModule, match="too large"):
        read_signed(bytes.fromhex(encoding), 0, 32)


@given(st.binary(max_size=12), st.sampled_from((32, 64)))
def test_any_bytes_give_a_number_in_range_or_an_error(data: bytes, bits: int) -> None:
    try:
        value, position = read_unsigned(data, 0, bits)
        signed, _ = read_signed(data, 0, bits)
    except (InvalidModule, IndexError):
        return
    assert 0 <= value < 2**bits
    assert -(2 ** (bits - 1)) <= signed < 2 ** (bits - 1)
    assert position <= len(data)


def test_negative_numbers_are_not_unsigned() -> None:
    with pytest.raises(ValueError, match="-1"):
        write_unsigned(-1)
