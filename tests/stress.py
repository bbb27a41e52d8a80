"""``./dev stress``: the tests that take long.

The core test suite on the compiled engine, frozen and thawed at every tick, and with a step of the
interpreter at every tick; and generated programs until the time is up, through every fifth of which both
engines travel at random. A seed that fails is printed; ``--seed`` tries it again, and prints the smallest
program that fails in the same way.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.engine.shrink import FAILED, smallest, try_seed
from tests.replayer.travels import travel
from tests.spec.engines import STRESSED
from tests.spec.runner import run_script
from tests.spec.suite import script_paths
from tests.spec.table import recorded_rows, row
from tests.support import shared_folder

_MANY = 1 << 32
_TRAVELLING = 5
"""Of so many generated programs one is travelled through."""


def main() -> int:
    """Run what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="./dev stress", description="Run the tests that take long.")
    parser.add_argument("--seconds", type=float, default=300, help="how long to try generated programs (300)")
    parser.add_argument(
        "--programs", type=int, help="how many generated programs to try (all there is time for)"
    )
    parser.add_argument("--seed", type=int, help="try the program of this seed, and nothing else")
    parser.add_argument("--first", type=int, help="the first seed to try (a different one each time)")
    parser.add_argument("--scripts", type=int, help="how many scripts of the core test suite to run (all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes to use")
    options = parser.parse_args()
    os.environ["TTD_CACHE_DIR"] = ""
    if options.seed is not None:
        return _one(options.seed, options.seconds)
    first = random.randrange(_MANY) if options.first is None else options.first
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        failures = sum(pool.imap_unordered(_script, _chosen_scripts(options.scripts, first)))
        stop = first + options.programs if options.programs is not None else None
        seeds = [(first + job, stop, options.jobs, options.seconds) for job in range(options.jobs)]
        counts = pool.starmap(_programs, seeds)
    ends = sum(counts, Counter[str]())
    print(f"{ends.total()} generated programs from seed {first} on:", dict(ends.most_common()))
    failures += ends[FAILED]
    print("stress: all good" if not failures else f"stress: {failures} failures")
    return int(failures > 0)


def _one(seed: int, seconds: float) -> int:
    end, problem = try_seed(seed)
    print(f"seed {seed}: {problem or end}")
    if problem is not None:
        print(*smallest(seed, seconds), sep="\n")
    travelled = _travelled(seed)
    print(f"seed {seed}, travelling: {travelled or 'good'}")
    return int(problem is not None or travelled is not None)


# --- the core test suite --------------------------------------------------------------------------------


def _chosen_scripts(count: int | None, seed: int) -> list[tuple[str, str, Path]]:
    """In which stress mode to run which script: all of them, or a sample."""
    suite = shared_folder() / "spec-testsuite"
    if not suite.is_dir():
        print(f"stress: the core test suite is left out: it is not in {suite.parent.name}/{suite.name}")
        return []
    runs = [(engine, name, path) for engine in STRESSED for name, path in script_paths(suite)]
    return runs if count is None else random.Random(seed).sample(runs, min(count, len(runs)))


def _script(run: tuple[str, str, Path]) -> int:
    """Run a script; whether it gave other counts than are recorded."""
    engine, name, path = run
    report = run_script(path, STRESSED[engine], name)
    for failure in report.failures:
        print(f"{engine}: {failure}", flush=True)
    wrong = row(report) != recorded_rows().get(name)
    if wrong:
        print(f"{engine}: {name} gives other counts than recorded", flush=True)
    return int(wrong)


# --- generated programs ---------------------------------------------------------------------------------


def _programs(first: int, stop: int | None, step: int, seconds: float) -> Counter[str]:
    """Try generated programs, from seed `first` to before `stop`, for a time; how often they ended in which
    way."""
    ends: Counter[str] = Counter()
    seeds = itertools.count(first, step) if stop is None else range(first, stop, step)
    deadline = time.monotonic() + seconds
    for seed in itertools.takewhile(lambda _: time.monotonic() < deadline, seeds):
        end, problem = try_seed(seed)
        if problem is None and seed % _TRAVELLING == 0 and (problem := _travelled(seed)) is not None:
            end = FAILED
        if problem is not None:
            print(f"seed {seed}: {problem}", flush=True)
        ends[end] += 1
    return ends


def _travelled(seed: int) -> str | None:
    """What went wrong on a travel through the program of a seed, if anything."""
    with tempfile.TemporaryDirectory(prefix="ttd-stress-") as folder:
        try:
            travel(seed, Path(folder))
        except Exception as error:  # a crash is a failure too, and other seeds are still to be tried
            return f"travelling: {type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
