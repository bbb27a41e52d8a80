"""``./dev bench looking``: how long `bt` and `info locals` take at random positions of big programs.

A position is a random tick and some steps from there, so what was inlined and what the compiler moved about
is met as it comes. `info locals` is asked of a random frame every other time. Whatever fails is printed with
its position, and makes the exit code 1; so do 5 of 100 answers above 100 ms. The very first answers read the
debug information of the functions that they are about.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.measure import percentile
from tests.benchmarks.packages import Unavailable
from tests.benchmarks.programs import ALL, Program, scratch_directories
from ttd.cli.repl.session import Session
from ttd.recorder.options import PreopenedDirectory, RecordOptions, WasiOptions
from ttd.recorder.session import record
from ttd.replayer.debugger import Debugger, ToPosition
from ttd.store.trace import Trace
from ttd.types import Position

BOUND = 0.1
"""Seconds that one answer may take."""
BUILDS = {"pugixml": ("-O2", "-O0"), "sqlite": ("-O2", "-O0"), "lua": ("-O2",)}
"""By guest: one in C++, the others in C. Each has more than 10,000 lines."""
COMMANDS = ("bt", "info locals")


@dataclass
class Looks:
    """What the commands took, in seconds and in order, and what went wrong."""

    times: dict[str, list[float]] = field(default_factory=lambda: {command: [] for command in COMMANDS})
    errors: list[str] = field(default_factory=list)
    values: int = 0
    """Variables that were shown."""
    lost: int = 0
    """Variables that were optimised out."""
    unmade: int = 0
    """Values that point nowhere: of variables that the program has not made yet, mostly."""

    @property
    def holds(self) -> bool:
        """Whether all went well, and quickly enough."""
        return not self.errors and all(percentile(times, 95) < BOUND for times in self.times.values())


def look(debugger: Debugger, positions: Sequence[Position], chance: random.Random) -> Looks:
    """Carry out the commands at each of `positions`."""
    looks = Looks()
    for position in positions:
        debugger.goto(ToPosition(position))
        stream = io.StringIO()
        session = Session(debugger, stream, colour=False)
        for command in COMMANDS:
            begin = time.perf_counter()
            try:
                session.execute(command)
            except Exception as error:  # whatever it is, it is what this is looking for
                looks.errors.append(f"{command} at {debugger.position}: {type(error).__name__}: {error}")
            looks.times[command].append(time.perf_counter() - begin)
            shown = stream.getvalue()
            looks.unmade += shown.count("<error")
            stream.truncate(0)
            stream.seek(0)
            if command == "bt" and chance.random() < 0.5:
                debugger.select_frame(chance.randrange(min(debugger.frame_count, 100)))
        looks.values += shown.count(" = ")
        looks.lost += shown.count("optimized out>")
    return looks


def positions_of(debugger: Debugger, count: int, chance: random.Random) -> list[Position]:
    """Random positions all over the recording, in no order."""
    first, last = debugger.begin.tick, debugger.end.tick
    return [Position(chance.randrange(first, last), chance.randrange(20)) for _ in range(count)]


def measure(program: Program, level: str, count: int, work: float, seed: int) -> Looks:
    """Record a guest, and look around in it. Raises Unavailable or RuntimeError if it cannot be had."""
    path = program.build(level)
    with tempfile.TemporaryDirectory(prefix="ttd-bench-") as scratch:
        output = Path(scratch, "run.trace")
        opened = map(PreopenedDirectory.parse, scratch_directories(program, Path(scratch)))
        wasi = WasiOptions((path.name, *program.command_line(level, work)), preopens=tuple(opened))
        record(RecordOptions(path, output=output, wasi=wasi))
        chance = random.Random(seed)
        with Trace.open(output) as trace, Debugger(trace) as debugger:
            return look(debugger, positions_of(debugger, count, chance), chance)


def rows(name: str, looks: Looks) -> Iterator[str]:
    """The distribution of what each command took."""
    for command, times in looks.times.items():
        first, rest = times[0], times[1:] or times
        yield (
            f"{name:14}{command:12} median {statistics.median(times) * 1e3:5.1f} ms, 95 of 100"
            f" {percentile(times, 95) * 1e3:5.1f}, 99 {percentile(times, 99) * 1e3:6.1f}, the first"
            f" {first * 1e3:6.1f}, the longest after that {max(rest) * 1e3:6.1f};"
            f" {sum(each >= BOUND for each in times)} of {len(times)} above {BOUND * 1e3:.0f} ms"
        )
    yield (
        f"{name:14}{looks.values} variables, {looks.lost} optimised out, {looks.unmade} that point nowhere;"
        f" {len(looks.errors)} errors"
    )


def main(words: Sequence[str]) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        prog="./dev bench looking", description="Measure `bt` and `info locals`."
    )
    add = parser.add_argument
    add("guests", nargs="*", metavar="GUEST", help="guests to look at (pugixml, sqlite, lua); none: all")
    add("--positions", type=int, default=1000, metavar="N", help="random positions in each (1000)")
    add("--work", type=float, default=0.1, metavar="X", help="times the work of the other benchmarks (0.1)")
    add("--seed", type=int, default=1, metavar="N", help="of the random positions (1)")
    options = parser.parse_args(words)
    holds = True
    builds = [(program, level) for program in ALL for level in BUILDS.get(program.name, ())]
    for program, level in builds:
        if options.guests and program.name not in options.guests:
            continue
        try:
            looks = measure(program, level, options.positions, options.work, options.seed)
        except (Unavailable, RuntimeError) as error:
            print(f"could not be measured: {program.name} {level}: {error}", file=sys.stderr)
            continue
        print(*rows(f"{program.name} {level}", looks), *looks.errors[:10], sep="\n", flush=True)
        holds = holds and looks.holds
    return int(not holds)
