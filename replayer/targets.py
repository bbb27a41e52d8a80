"""Places in time as the user writes them, for `goto`.

Imports base modules only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from ttd.errors import UsageError
from ttd.types import Position


@dataclass(frozen=True, slots=True)
class ToPosition:
    """A position of the run."""

    position: Position


@dataclass(frozen=True, slots=True)
class ToEvent:
    """The call instruction of host call `number`."""

    number: int


@dataclass(frozen=True, slots=True)
class ToPercent:
    """A share of the run, 0 to 100, by ticks."""

    percent: float


@dataclass(frozen=True, slots=True)
class ToBegin:
    """The first position of the run."""


@dataclass(frozen=True, slots=True)
class ToEnd:
    """The last position of the run."""


Target: TypeAlias = "ToPosition | ToEvent | ToPercent | ToBegin | ToEnd"


def parse_target(text: str) -> Target:
    """The target written as ``1200:7``, ``1200``, ``event 5``, ``37%``, ``begin`` (``start``) or ``end``.

    Raises UsageError for anything else.
    """
    word = text.strip().lower()
    if word in ("begin", "start"):
        return ToBegin()
    if word == "end":
        return ToEnd()
    if match := re.fullmatch(r"event\s+#?(\d{1,18})", word):
        return ToEvent(int(match[1]))
    if match := re.fullmatch(r"(\d{1,3}(?:\.\d{1,15})?)\s*%", word):
        if float(match[1]) > 100:
            raise UsageError(f"{text.strip()} is past the end of the recording; 100% is its end")
        return ToPercent(float(match[1]))
    if match := re.fullmatch(r"(\d{1,18}):\?", word):  # as host calls are listed
        raise UsageError(
            f"{word} leaves the step open; 'goto {match[1]}' goes to the tick, 'goto event N' to a host call"
        )
    try:
        return ToPosition(Position.parse(word))
    except ValueError:
        raise UsageError(
            f"not a place in time: {text.strip()!r} (expected tick:step, tick, event N, N%, begin or end)"
        ) from None


def time_of(target: ToPosition | ToPercent | ToBegin | ToEnd, begin: Position, end: Position) -> Position:
    """The position of a target in a recording that goes from `begin` to `end`."""
    if isinstance(target, ToPosition):
        return target.position
    if isinstance(target, ToBegin):
        return begin
    if isinstance(target, ToEnd) or target.percent >= 100:
        return end
    share = target.percent / 100
    if end.tick > begin.tick:
        return max(begin, Position(begin.tick + int((end.tick - begin.tick) * share), 0))
    return Position(begin.tick, begin.step + int((end.step - begin.step) * share))
