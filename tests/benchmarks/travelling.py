"""``python -m tests.benchmarks.travelling TRACE SAMPLES``: how long motions in a recording take, as JSON.

From random positions all over the recording: goto there, reverse-step and reverse-next from there; and then
reverse-continue from the end to the begin, with a breakpoint that never hits. Times in seconds.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.figures import BREAKPOINT
from ttd.replayer.debugger import Debugger, ToEnd, ToPosition
from ttd.store.trace import Trace
from ttd.types import Position


def _timed(motion: Callable[[], object]) -> float:
    begin = time.perf_counter()
    motion()
    return time.perf_counter() - begin


def main() -> int:
    """Measure, and print."""
    path, samples = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(1)
    times: dict[str, list[float]] = {
        "goto": [],
        "reverse-step": [],
        "reverse-next": [],
        "reverse-continue": [],
    }
    with Trace.open(path) as trace, Debugger(trace) as debugger:
        ticks = debugger.end.tick
        for _ in range(samples):
            there = ToPosition(Position(chance.randrange(1, ticks)))
            times["goto"].append(_timed(lambda there=there: debugger.goto(there)))  # type: ignore[misc]
            times["reverse-step"].append(_timed(lambda: debugger.step(reverse=True)))
            debugger.goto(there)
            times["reverse-next"].append(_timed(lambda: debugger.next(reverse=True)))
        debugger.break_(BREAKPOINT)
        debugger.goto(ToEnd())
        times["reverse-continue"].append(_timed(lambda: debugger.continue_(reverse=True)))
    print(json.dumps(times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
