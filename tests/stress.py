"""``./dev stress``: the tests that take long.

The core test suite on the compiled engine, frozen and thawed at every tick, and with a step of the
interpreter at every tick; and generated programs until the time is up. A seed that fails is printed, and
``--seed`` tries it again.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.engine.agreement import Disagreement, check_seed
from tests.spec.engines import STRESSED
from tests.spec.suite import run_suite
from tests.spec.table import recorded_rows, row
from tests.support import shared_folder


def main() -> int:
    """Run what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="./dev stress", description="Run the tests that take long.")
    parser.add_argument("--seconds", type=float, default=300, help="how long to try generated programs (300)")
    parser.add_argument("--seed", type=int, help="try the program of this seed, and nothing else")
    parser.add_argument("--first", type=int, default=0, help="the first seed to try (0)")
    parser.add_argument("--no-suite", action="store_true", help="leave the core test suite out")
    options = parser.parse_args()
    os.environ["TTD_CACHE_DIR"] = ""
    if options.seed is not None:
        print(f"seed {options.seed}:", *check_seed(options.seed))
        return 0
    failures = 0 if options.no_suite else sum(_suite(name) for name in STRESSED)
    failures += _programs(options.first, time.monotonic() + options.seconds)
    print("stress: all good" if not failures else f"stress: {failures} failures")
    return int(failures > 0)


def _suite(engine: str) -> int:
    """Run the core test suite; how many scripts did not give the recorded counts."""
    start, wrong = time.monotonic(), 0
    recorded = recorded_rows()
    for report in run_suite(shared_folder() / "spec-testsuite", STRESSED[engine]):
        for failure in report.failures:
            print(f"{engine}: {failure}", flush=True)
        if row(report) != recorded.get(report.name):
            print(f"{engine}: {report.name} gives other counts than recorded", flush=True)
            wrong += 1
    print(f"{engine}: core test suite in {time.monotonic() - start:.0f} s, {wrong} scripts wrong", flush=True)
    return wrong


def _programs(first: int, deadline: float) -> int:
    """Try generated programs up to a time; how many failed."""
    failures = 0
    ends: Counter[str] = Counter()
    for seed in _until(first, deadline):
        try:
            trap, _ = check_seed(seed)
            ends[trap.value if trap is not None else "returned"] += 1
        except Disagreement as error:
            failures += 1
            print(f"seed {seed}: {error}", flush=True)
        except Exception as error:  # a crash is a failure too, and the others are still to be tried
            failures += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
    print(f"{sum(ends.values()) + failures} generated programs, {failures} failed; the others:", dict(ends))
    return failures


def _until(first: int, deadline: float) -> Iterator[int]:
    return itertools.takewhile(lambda _: time.monotonic() < deadline, itertools.count(first))


if __name__ == "__main__":
    sys.exit(main())
