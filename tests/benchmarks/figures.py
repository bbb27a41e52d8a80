"""The figures of the table: what is measured against what, and what it should be at most.

A figure is a ratio of medians of whole processes, a time or a size. Which guests and figures are measured
can be narrowed; what could not be measured is in the table too, with the reason.

May import the standard library, `tests.benchmarks` and `tests.large`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.measure import Command, Costs, Failed, by_turns, geometric_mean, percentile, run
from tests.benchmarks.packages import Unavailable
from tests.benchmarks.programs import (
    CLOCK,
    CONDITIONS,
    DATABASE,
    KERNELS,
    LARGE,
    REAL,
    Program,
    scratch_directories,
    source_line,
)
from tests.large import large_function

BREAKPOINT = "wcrtomb"
"""A function that every guest contains, because printf refers to it, and none calls."""
WATCHPOINT = "16, 4"
"""Memory that nothing is ever written to: below the first variable."""

FIRST_LOOKS: Sequence[tuple[str, Sequence[str], float]] = (
    ("opening its recording", ("replay", "{trace}", "-e", "when"), 1000),
    ("first bt", ("replay", "{trace}", "--at", "50%", "-e", "bt"), 2000),
    ("break at a function", ("replay", "{trace}", "-e", "break sqlite3VdbeExec"), 2000),
    ("break at a line", ("replay", "{trace}", "-e", "break main.c:40"), 2000),
    ("first print", ("replay", "{trace}", "--at", "50%", "-e", "print $pc", "-e", "info locals"), 2000),
    ("info functions", ("replay", "{trace}", "-e", "info functions ^sqlite3Vdbe"), 2000),
    ("ttd addr2line", ("addr2line", "{module}", "0x12345"), 2000),
    ("ttd symbols -k function", ("symbols", "{module}", "-k", "function"), 2000),
    ("ttd symbols, which reads all", ("symbols", "{module}"), 5000),
    ("ttd info", ("info", "{module}"), 2000),
)
"""What is done first, with the arguments of `ttd`, and the milliseconds that it may take."""

LONG_RUN = 10.0
"""Seconds that the recording takes at least in which motions are timed."""


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    what: str
    against: str
    bound: float
    unit: str
    """``x`` for a ratio, else what the value and the bound are in."""
    value: float | None = None
    processor: float | None = None
    """The same of processor time, where that can be told."""
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the value is within the bound; None without a value."""
        return None if self.value is None else self.value <= self.bound


@dataclass(frozen=True)
class Measured:
    """What one guest cost, by the way it was run."""

    program: Program
    level: str
    costs: Mapping[str, Costs]
    trace_size: int = 0
    """Bytes of its trace."""

    def ratio(self, how: str) -> float:
        """Wall time against plain Wasmtime."""
        return self.costs[how].seconds / self.costs["plain"].seconds

    def processor_ratio(self, how: str) -> float:
        """Processor time against plain Wasmtime."""
        return self.costs[how].processor / self.costs["plain"].processor


@dataclass
class Bench:
    """A run of the benchmarks. `tell` is given a line after each guest."""

    scratch: Path
    runs: int = 5
    work: float = 1.0
    samples: int = 40
    only: Sequence[str] = ()
    tell: Callable[[str], None] = print
    measured: list[Measured] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def figures(self, groups: Sequence[str]) -> Iterator[Figure]:
        """Measure, and give the rows of the table. `groups` are names of GROUPS; none means all."""
        for name, group in GROUPS.items():
            if not groups or name in groups:
                yield from group(self)

    # --- guests ----------------------------------------------------------------------------------------

    def guests(self, level: str, ways: Sequence[str]) -> list[Measured]:
        """Measure the kernels and the real programs."""
        wanted = [p for p in (*KERNELS, *REAL) if not self.only or p.name in self.only]
        found = [self.guest(program, level, ways) for program in wanted]
        return [guest for guest in found if guest is not None]

    def guest(self, program: Program, level: str, ways: Sequence[str]) -> Measured | None:
        """Measure one guest; None, and a problem noted, if that cannot be done."""
        try:
            commands = self._commands(program, level, ways)
            for command in self._commands(program, level, ways, 0.05).values():
                run(command)  # fills the caches
            costs = by_turns(commands, self.runs)
        except (Failed, Unavailable, RuntimeError) as error:
            self.problems.append(f"{program.name} {level}: {error}")
            self.tell(self.problems[-1])
            return None
        trace = self._trace(program, level)
        measured = Measured(program, level, costs, trace.stat().st_size if trace.exists() else 0)
        self.measured.append(measured)
        ratios = "  ".join(f"{way} {measured.ratio(way):.2f}" for way in ways)
        self.tell(f"{program.name:17}{level}  plain {costs['plain'].seconds:.2f} s  {ratios}")
        return measured

    def _trace(self, program: Program, level: str) -> Path:
        return self.scratch / f"{program.name}{level}.trace"

    def _commands(
        self, program: Program, level: str, ways: Sequence[str], work: float = 1.0
    ) -> dict[str, Command]:
        module = program.build(level)
        trace = self._trace(program, level)
        disk = self.scratch / "disk"
        disk.mkdir(exist_ok=True)
        directories = [word for entry in scratch_directories(program, disk) for word in ("--dir", entry)]
        words = [*directories, str(module), *program.command_line(level, self.work * work)]

        def clean() -> None:
            trace.unlink(missing_ok=True)
            for file in disk.iterdir():
                file.unlink()

        ttd = [sys.executable, "-m", "ttd.cli.main"]
        replay = [*ttd, "replay", str(trace)]
        forward = ["-e", "continue"]
        commands = {
            "plain": Command([sys.executable, "-m", "tests.benchmarks.plain", *words], clean),
            "record": Command(
                [*ttd, "record", "--engine", "compiled", "-q", "-o", str(trace), *words], clean
            ),
            "replay": Command([*replay, *forward]),
            "break": Command([*replay, "-e", f"break {BREAKPOINT}", *forward]),
            "watch": Command([*replay, "-e", f"watch {WATCHPOINT}", *forward]),
        }
        return {way: command for way, command in commands.items() if way == "plain" or way in ways}

    # --- groups of figures -----------------------------------------------------------------------------

    def optimised(self) -> Iterator[Figure]:
        """Recording and replaying at -O2."""
        guests = self.guests("-O2", ("record", "replay", "break", "watch"))
        yield self._mean("recording at -O2, geometric mean", guests, "record", 1.25)
        yield self._mean("replaying forward", guests, "replay", 1.4)
        yield self._mean("replaying with a breakpoint that never hits", guests, "break", 1.7)
        yield self._mean("replaying with a watchpoint that never hits", guests, "watch", 1.7)

    def unoptimised(self) -> Iterator[Figure]:
        """Recording at -O0; and the worst of all guests, and what recordings cost in space."""
        guests = self.guests("-O0", ("record",))
        yield self._mean("recording at -O0, geometric mean", guests, "record", 1.5)

    def space(self) -> Iterator[Figure]:
        """The worst guest, the recorder's memory, and the growth of traces, of the guests measured so far."""
        recorded = [guest for guest in self.measured if "record" in guest.costs]
        guests = [guest for guest in recorded if guest.program not in (DATABASE, CLOCK)]
        worst = max(guests, key=lambda guest: guest.ratio("record"), default=None)
        yield self._of("recording, the worst guest", worst, "record", 2.0)
        more = [(g.costs["record"].memory - g.costs["plain"].memory) / 1e6 for g in guests]
        yield _figure("memory of the recorder beyond the guest's", "plain Wasmtime", 150, "MB", more, max)
        growth = [self._growth(guest) for guest in guests if guest.program.real]
        note = "at most, of the real programs; what a short recording takes is taken off"
        yield _figure("growth of the trace", "a recorded second", 2, "MB", growth, max, note)

    def _growth(self, guest: Measured) -> float:
        """Megabytes by which the trace grows in a second, by comparison with a recording of a small run."""
        command = self._commands(guest.program, guest.level, ("record",), 0.1)["record"]
        few = run(command).seconds
        size = self._trace(guest.program, guest.level).stat().st_size
        seconds = max(guest.costs["record"].seconds - few, 0.1)
        return max(guest.trace_size - size, 0) / seconds / 1e6

    def hosts(self) -> Iterator[Figure]:
        """Programs that call the host often."""
        database = self.guest(DATABASE, "-O2", ("record",))
        note = ""
        if database is not None:
            calls = self._events(DATABASE) / database.costs["plain"].seconds
            note = f"{calls:,.0f} calls a second"
        yield self._of("a database on disk", database, "record", 1.4, note)
        clock = self.guest(CLOCK, "-O2", ("record",))
        yield self._of("a frequent host call (clock_time_get in a loop)", clock, "record", 3.0)

    def _events(self, program: Program) -> int:
        trace = str(self._trace(program, "-O2"))
        words = [sys.executable, "-m", "ttd.cli.main", "info", "--json", trace]
        return int(json.loads(run(Command(words)).output)["events"])

    def cold(self) -> Iterator[Figure]:
        """Instrumenting and compiling, against compiling: the real programs, and one large function."""
        ratios, processor, notes = [], [], []
        for program in REAL:
            if self.only and program.name not in self.only:
                continue
            compiled = self._compiled(program.name, lambda program=program: program.build("-O2"))
            if compiled is not None:
                plain, ours = compiled
                ratios.append(ours[0] / plain[0])
                processor.append(ours[1] / plain[1])
                notes.append(f"{program.name} {plain[0]:.2f} s → {ours[0]:.2f} s")
        yield Figure(
            "cold start: instrument and compile",
            "plain compilation",
            4.0,
            "x",
            geometric_mean(ratios) if ratios else None,
            geometric_mean(processor) if processor else None,
            ", ".join(notes),
        )
        yield from self._large_function()

    def _large_function(self) -> Iterator[Figure]:
        what, size = "a large function", "20,000 instructions, 2,000 calls, 5,000 locals"
        module = self.scratch / "large-function.wasm"
        module.write_bytes(large_function(instructions=20_000, calls=2_000, locals_=5_000))
        compiled = self._compiled(what, lambda: module)
        ratios = [ours / plain for plain, ours in zip(*compiled, strict=True)] if compiled else []
        wall, processor, memory = [*ratios, None, None, None][:3]
        yield Figure(f"{what}: time to compile", "plain compilation", 4.0, "x", wall, processor, size)
        yield Figure(f"{what}: memory to compile", "plain compilation", 4.0, "x", memory, None, size)

    def _compiled(self, name: str, build: Callable[[], Path]) -> tuple[list[float], list[float]] | None:
        """Medians of what `compiling` prints of a module, compiled plainly and by ttd."""
        try:
            module = str(build())
            words = [sys.executable, "-m", "tests.benchmarks.compiling"]
            costs = by_turns({how: Command([*words, how, module]) for how in ("plain", "ttd")}, self.runs)
        except (Failed, Unavailable, RuntimeError) as error:
            self.problems.append(f"{name}: {error}")
            return None
        return _printed_medians(costs["plain"]), _printed_medians(costs["ttd"])

    def motions(self) -> Iterator[Figure]:
        """Motions in a recording of ten seconds."""
        program = REAL[-1]
        rows = (
            ("goto a random position, 95th percentile", "goto", 500),
            ("reverse-step from there, 95th percentile", "reverse-step", 100),
            ("reverse-next from there, 95th percentile", "reverse-next", 100),
        )
        try:
            recorded = self._record_long(program)
            trace = str(self._trace(program, "-O2"))
            words = [sys.executable, "-m", "tests.benchmarks.travelling", trace, str(self.samples)]
            times = json.loads(run(Command(words)).output)
        except (Failed, Unavailable, RuntimeError) as error:
            self.problems.append(f"motions: {error}")
            times, recorded = {}, 1.0
        note = f"{program.name}, recorded in {recorded:.1f} s" if times else ""
        for what, motion, bound in rows:
            values = [1000 * percentile(times[motion], 95)] if times else []
            yield _figure(what, "—", bound, "ms", values, max, note)
        values = [times["reverse-continue"][0] / recorded] if times else []
        yield _figure("reverse-continue over all of it, no hit", "the recording", 2.0, "x", values, max, note)

    def _record_long(self, program: Program) -> float:
        """Record a run of at least LONG_RUN seconds; how long it took."""
        work, seconds = 1.0, 0.0
        while seconds < LONG_RUN:
            seconds = run(self._commands(program, "-O2", ("record",), work)["record"]).seconds
            work *= 1.1 * LONG_RUN / seconds
        return seconds

    def conditions(self) -> Iterator[Figure]:
        """A condition that is asked in each of ten million rounds and true in the last one that is asked."""
        last = int(CONDITIONS.command_line("-O0", self.work)[0]) - 1
        ways = {"forward": (last, ["continue"]), "backward": (0, ["goto end", "reverse-continue"])}
        for way, (round_, motions) in ways.items():
            value, processor, note = None, None, "not measured"
            try:
                if way == "forward":
                    run(self._commands(CONDITIONS, "-O0", ("record",))["record"])
                cost = run(self._stopping_in(round_, motions))
                if f"$1 = {round_}\n" not in cost.output:
                    raise Failed(f"it has not stopped in round {round_}: {cost.output[-200:]}")
                value, processor = cost.seconds, cost.processor
                note = f"{last + 1:,} times, and the start of ttd"
            except (Failed, Unavailable, RuntimeError) as error:
                self.problems.append(f"conditions, {way}: {error}")
            yield Figure(f"a condition asked in every round, {way}", "—", 10, "s", value, processor, note)

    def _stopping_in(self, round_: int, motions: Sequence[str]) -> Command:
        place = f"conditions.c:{source_line(CONDITIONS, '@here')}"
        commands = [f"break {place} if i == {round_} && list->count > 3", *motions, "print i"]
        words = [sys.executable, "-m", "ttd.cli.main", "replay", str(self._trace(CONDITIONS, "-O0"))]
        return Command([*words, *(word for each in commands for word in ("-e", each))])

    def large(self) -> Iterator[Figure]:
        """First looks at a program of more than 20 MB with its debug information, each in its own process."""
        ttd = [sys.executable, "-m", "ttd.cli.main"]
        try:
            module, trace = str(LARGE.build("-O0")), str(self._trace(LARGE, "-O0"))
            run(Command([*ttd, "record", "-q", "-o", trace, module, *LARGE.command_line("-O0")]))
            commands = {
                what: Command([*ttd, *(word.format(module=module, trace=trace) for word in words)])
                for what, words, _ in FIRST_LOOKS
            }
            for command in commands.values():
                run(command)  # fills the caches
            costs = by_turns(commands, self.runs)
            note = f"{Path(module).stat().st_size / 1e6:.0f} MB"
        except (Failed, Unavailable, RuntimeError) as error:
            self.problems.append(f"large: {error}")
            costs, note = {}, "not measured"
        for what, _, bound in FIRST_LOOKS:
            wall, processor = (
                (1000 * costs[what].seconds, 1000 * costs[what].processor) if costs else (None, None)
            )
            yield Figure(f"a large program: {what}", "—", bound, "ms", wall, processor, note)

    # --- rows ------------------------------------------------------------------------------------------

    @staticmethod
    def _mean(what: str, guests: Sequence[Measured], how: str, bound: float) -> Figure:
        wall = geometric_mean([guest.ratio(how) for guest in guests]) if guests else None
        processor = geometric_mean([guest.processor_ratio(how) for guest in guests]) if guests else None
        return Figure(what, "plain Wasmtime", bound, "x", wall, processor, f"{len(guests)} guests")

    @staticmethod
    def _of(what: str, guest: Measured | None, how: str, bound: float, note: str = "") -> Figure:
        if guest is None:
            return Figure(what, "plain Wasmtime", bound, "x", note="not measured")
        note = note or f"{guest.program.name} {guest.level}"
        return Figure(what, "plain Wasmtime", bound, "x", guest.ratio(how), guest.processor_ratio(how), note)


GROUPS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "O2": Bench.optimised,
    "O0": Bench.unoptimised,
    "worst": Bench.space,
    "hosts": Bench.hosts,
    "cold": Bench.cold,
    "motions": Bench.motions,
    "large": Bench.large,
    "conditions": Bench.conditions,
}
"""The figures by what they need to have run, in the order of the table."""


def _figure(
    what: str,
    against: str,
    bound: float,
    unit: str,
    values: Sequence[float],
    combine: Callable[[Sequence[float]], float],
    note: str = "",
) -> Figure:
    value = combine(values) if values else None
    return Figure(what, against, bound, unit, value, None, note if values else "not measured")


def _printed_medians(costs: Costs) -> list[float]:
    """Medians of the numbers that `compiling` printed."""
    return [
        median(numbers) for numbers in zip(*(json.loads(cost.output) for cost in costs.each), strict=True)
    ]
