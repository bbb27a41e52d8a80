"""Where a long run is interrupted, so that others get a look in.

Imports nothing of ttd.
"""

from __future__ import annotations


def slice_end(tick: int, ticks: int) -> int:
    """The tick at which a slice ends that begins at `tick` and is to have about `ticks` ticks, at least 1.

    It has between a quarter and one and a half of them, and ends at a round number: so a run that is made
    again is frozen at the same places, and for these there is compiled code already.
    """
    span = 1 << (ticks.bit_length() - 1)
    end = (tick // span + 1) * span
    return end if 2 * (end - tick) > span else end + span
