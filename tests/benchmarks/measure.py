"""Running whole processes by turns, and what they cost.

Several commands are measured side by side: one run of each, then again, so that what else the machine does
falls on all of them alike. What counts is the median. Wall time is what a user waits; processor time (all
threads, user and system) hardly depends on what else the machine does, so both are kept.

May import the standard library and `tests.support`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support import CACHE

STARTING = Path(__file__).with_name("starting.py")
"""What starts the processes."""


class Failed(Exception):
    """A measured process failed; the message says how."""


@dataclass(frozen=True)
class Cost:
    """What one process cost."""

    seconds: float
    processor: float
    """Seconds of processor time."""
    memory: int
    """Bytes that it had in memory at most."""
    output: str = ""
    """What it printed to standard output."""


@dataclass(frozen=True)
class Command:
    """A process to be measured. `prepare` runs before each time and is not measured."""

    words: Sequence[str]
    prepare: Callable[[], None] = lambda: None
    environment: Mapping[str, str] | None = None


def run(command: Command) -> Cost:
    """Run a process to its end. Raises Failed if it does not exit with 0."""
    command.prepare()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        files = (out.fileno(), err.fileno())
        starting = [sys.executable, "-I", "-S", str(STARTING), *map(str, files)]
        done = subprocess.run(
            [*starting, *command.words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=files,
            env=_environment(command),
            check=True,
        )
        code, seconds, processor, memory = json.loads(done.stdout)
        out.seek(0)
        err.seek(0)
        if code != 0:
            said = err.read().decode(errors="replace").strip().splitlines()[-4:]
            raise Failed(f"{' '.join(command.words)}: exit code {code}: {' / '.join(said)}")
        text = out.read().decode(errors="replace")
    return Cost(seconds, processor, memory, text)


def _environment(command: Command) -> dict[str, str]:
    """As an installed program has it: Python may keep its bytecode, whatever a developer's shell says."""
    environment = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode"),
        **(command.environment or {}),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def by_turns(commands: Mapping[str, Command], runs: int) -> dict[str, Costs]:
    """Run each command `runs` times, by turns; what they cost, by their names."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            costs[name].append(run(command))
    return {name: Costs(tuple(several)) for name, several in costs.items()}


@dataclass(frozen=True)
class Costs:
    """What several runs of the same command cost."""

    each: tuple[Cost, ...]

    @property
    def seconds(self) -> float:
        return statistics.median(cost.seconds for cost in self.each)

    @property
    def processor(self) -> float:
        return statistics.median(cost.processor for cost in self.each)

    @property
    def memory(self) -> int:
        return int(statistics.median(cost.memory for cost in self.each))

    @property
    def noise(self) -> float:
        """By how much the runs differ: the spread of the middle half of the wall times, as a part of the
        median."""
        times = sorted(cost.seconds for cost in self.each)
        quarter = len(times) // 4
        return (times[-1 - quarter] - times[quarter]) / self.seconds

    def as_json(self) -> list[dict[str, object]]:
        """Every run, without what it printed."""
        return [{key: value for key, value in asdict(cost).items() if key != "output"} for cost in self.each]


def geometric_mean(ratios: Sequence[float]) -> float:
    """The mean of ratios. There must be one."""
    return statistics.geometric_mean(ratios)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]
