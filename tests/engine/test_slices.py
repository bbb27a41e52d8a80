"""Where slices end, and what their time was taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd.engine.slices import Stopwatch, running_time, slice_end


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


def test_a_program_runs_for_longer_than_it_takes_to_hand_it_over() -> None:
    assert running_time(0.12, 0) == 0.12
    assert running_time(0.12, 0.02) == pytest.approx(0.1)
    assert running_time(0.12, 3.0) == 6.0


class Carrier:
    """An engine that does nothing but hand over."""

    handover_seconds = 0.0


def test_the_time_for_handing_over_is_told_apart() -> None:
    seconds = iter((10.0, 12.0, 20.0, 23.0))
    engine = Carrier()
    stopwatch = Stopwatch(engine, lambda: next(seconds))
    engine.handover_seconds += 1e9
    assert stopwatch.read() == (0.0, 2.0)
    assert Stopwatch(object(), lambda: next(seconds)).read() == (3.0, 0.0)
