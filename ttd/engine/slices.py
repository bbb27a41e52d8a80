"""Where a long run is interrupted, so that others get a look in.

Imports nothing of ttd.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable


@runtime_checkable
class HandingOver(Protocol):
    """What an engine may offer besides: how long it was not the program that ran."""

    @property
    def handover_seconds(self) -> float:
        """Seconds so far in which frames were carried between compiled code and Python."""
        ...


class Stopwatch:
    """Times one slice of a run."""

    def __init__(self, engine: object, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` tells the seconds that count."""
        self._engine = engine
        self._clock = clock
        self._began, self._begun, self._handover = time.perf_counter(), clock(), self._handed_over()

    def _handed_over(self) -> float:
        return self._engine.handover_seconds if isinstance(self._engine, HandingOver) else 0.0

    def read(self) -> tuple[float, float]:
        """Seconds that the program has run, and seconds that handing it over has taken."""
        seconds, gone = self._clock() - self._begun, time.perf_counter() - self._began
        share = min((self._handed_over() - self._handover) / gone, 1.0) if gone > 0 else 0.0
        return seconds * (1 - share), seconds * share


def running_time(wanted: float, handover: float) -> float:
    """How long the program itself is to run in a slice that is to take `wanted` seconds, when handing it over
    takes `handover` seconds.

    Never less than twice that: a stack of thousands of frames can take longer than a slice may, and a program
    which is stopped the more often the longer it takes to stop hardly gets on.
    """
    return max(wanted - handover, 2 * handover)


def slice_end(tick: int, ticks: int) -> int:
    """The tick at which a slice ends that begins at `tick` and is to have about `ticks` ticks, at least 1.

    It has between a quarter and one and a half of them, and ends at a round number: so a run that is made
    again is frozen at the same places, and for these there is compiled code already.
    """
    span = 1 << (ticks.bit_length() - 1)
    end = (tick // span + 1) * span
    return end if 2 * (end - tick) > span else end + span
