"""Looking around at random positions: nothing fails, and what is measured is told."""

from __future__ import annotations

import random
from pathlib import Path

from tests.benchmarks.looking import COMMANDS, Looks, look, positions_of, rows
from tests.support import Guests
from ttd.recorder.options import RecordOptions, WasiOptions
from ttd.recorder.session import record
from ttd.replayer.debugger import Debugger
from ttd.store.trace import Trace


def test_looking_around_at_random_positions_is_measured(guest: Guests, tmp_path: Path) -> None:
    output = tmp_path / "run.trace"
    record(RecordOptions(guest("tour", "-O2"), output=output, wasi=WasiOptions(("tour",))))
    chance = random.Random(1)
    with Trace.open(output) as trace, Debugger(trace) as debugger:
        looks = look(debugger, positions_of(debugger, 50, chance), chance)
    assert looks.errors == []
    assert [len(times) for times in looks.times.values()] == [50, 50]
    assert looks.values > 100 > looks.unmade and looks.lost > 0
    assert [row.split()[:2] for row in rows("tour", looks)][:2] == [["tour", "bt"], ["tour", "info"]]


def test_an_error_is_kept_and_makes_it_fail() -> None:
    looks = Looks({command: [0.01] for command in COMMANDS})
    assert looks.holds
    looks.errors.append("bt at 1:2: KeyError: 3")
    assert not looks.holds
    assert not Looks({command: [0.5] for command in COMMANDS}).holds
