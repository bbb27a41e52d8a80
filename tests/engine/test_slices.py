"""Where slices end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttd.engine.slices import slice_end


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 40))
def test_slices_are_of_about_the_wanted_length(tick: int, ticks: int) -> None:
    length = slice_end(tick, ticks) - tick
    assert length >= 1
    assert ticks / 4 <= length <= ticks * 1.5 or (ticks == 1 and length == 1)


@given(st.integers(0, 1 << 30), st.integers(1, 1 << 20), st.integers(0, 1 << 20))
def test_slices_from_about_the_same_tick_end_at_the_same(tick: int, ticks: int, shift: int) -> None:
    first, again = slice_end(tick, ticks), slice_end(tick + shift % (ticks // 8 + 1), ticks)
    assert again - first in (0, 1 << (ticks.bit_length() - 1))
    assert first % (1 << (ticks.bit_length() - 1)) == 0
