"""``./dev bench code``, or ``python -m tests.benchmarks.code``: what instrumented code costs, alone.

Each guest runs in this process by turns, compiled plainly and instrumented as for a recording, all of it in
one go: no start-up, no slices, no snapshots, and the log of host calls is thrown away. What counts is
the least processor time of each, since whatever else a machine does only adds.

A whole recording costs more; `./dev bench` measures that.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import wasmtime

from tests.benchmarks.measure import geometric_mean
from tests.benchmarks.packages import Unavailable
from tests.benchmarks.plain import compiled, instantiate
from tests.benchmarks.programs import ALL, Program, scratch_directories
from ttd.debuginfo.framebases import always_live
from ttd.engine.compiled import CompiledEngine
from ttd.engine.protocol import Goal, Invocation
from ttd.engine.protocol import Program as WasmProgram
from ttd.engine.validate import load_module
from ttd.recorder.host import RecordingHost
from ttd.recorder.options import PreopenedDirectory, WasiOptions
from ttd.types import EndKind

Run = Callable[[], None]


def _plain(path: Path, arguments: Sequence[str], directories: Sequence[str]) -> Callable[[], Run]:
    engine = wasmtime.Engine()
    module = compiled(engine, path)

    def prepare() -> Run:
        store, start = instantiate(engine, module, [path.name, *arguments], directories)

        def run() -> None:
            with contextlib.suppress(wasmtime.ExitTrap):
                start(store)

        return run

    return prepare


def _instrumented(path: Path, arguments: Sequence[str], directories: Sequence[str]) -> Callable[[], Run]:
    module = load_module(path.read_bytes())
    program = WasmProgram(module, (Invocation(module.exports_by_name["_start"].index, ()),))
    live = always_live(module)
    opened = tuple(PreopenedDirectory.parse(text) for text in directories)

    def prepare() -> Run:
        host = RecordingHost(module, WasiOptions((path.name, *arguments), preopens=opened), {})
        engine = CompiledEngine(program, host, replaying=False, always_live=live)
        host.prepare(engine.state.memories)
        host.attach(lambda event: None, lambda calls: None)

        def run() -> None:
            stop = engine.run(Goal())
            if stop.ending is None or stop.ending.kind is not EndKind.EXIT:
                raise RuntimeError(f"{path.name} did not end well: {stop}")

        return run

    return prepare


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Without what the guests print."""
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def _least(ways: Sequence[Callable[[], Run]], runs: int, clean: Run) -> list[float]:
    """The least seconds of processor time that each takes of `runs` runs by turns."""
    times = [float("inf")] * len(ways)
    with _silenced():
        for _ in range(runs):
            for index, prepare in enumerate(ways):
                clean()
                run = prepare()
                begin = time.thread_time()
                run()
                times[index] = min(times[index], time.thread_time() - begin)
    return times


def measure(program: Program, level: str, runs: int, work: float) -> tuple[float, float]:
    """Seconds of processor time of the plain and the instrumented module of a guest."""
    path, arguments = program.build(level), program.command_line(level, work)
    with tempfile.TemporaryDirectory(prefix="ttd-bench-") as scratch:
        directories = scratch_directories(program, Path(scratch))

        def clean() -> None:
            for file in Path(scratch).iterdir():
                file.unlink()

        ways = [make(path, arguments, directories) for make in (_plain, _instrumented)]
        plain, instrumented = _least(ways, runs, clean)
    return plain, instrumented


def main(words: Sequence[str]) -> int:
    """Measure, and print a row for each guest."""
    parser = argparse.ArgumentParser(prog="./dev bench code", description="Measure instrumented code alone.")
    add = parser.add_argument
    names = [program.name for program in ALL]
    add("guests", nargs="*", metavar="GUEST", help=f"guests to measure: {', '.join(names)}; none: all")
    add("--level", action="append", choices=("-O2", "-O0"), help="of optimisation; both unless told")
    add("--runs", type=int, default=5, metavar="N", help="runs of each (5)")
    add("--work", type=float, default=0.1, metavar="X", help="times the work of the other benchmarks (0.1)")
    options = parser.parse_args(words)
    unknown = sorted(set(options.guests) - set(names))
    if unknown:
        parser.error(f"no guest is called {unknown[0]}; there are {', '.join(names)}")
    for level in options.level or ("-O2", "-O0"):
        ratios = []
        for program in ALL:
            if options.guests and program.name not in options.guests:
                continue
            try:
                plain, instrumented = measure(program, level, options.runs, options.work)
            except (Unavailable, RuntimeError) as error:
                print(f"could not be measured: {program.name} {level}: {error}", file=sys.stderr)
                continue
            ratios.append(instrumented / plain)
            print(
                f"{program.name:17}{level}  plain {plain:6.3f} s  instrumented {ratios[-1]:.2f}", flush=True
            )
        if ratios:
            print(f"{'geometric mean':17}{level}                  instrumented {geometric_mean(ratios):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
