"""The benchmarks themselves: that they measure what they say, on work small enough for a test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.benchmarks import code, report
from tests.benchmarks.figures import Bench, Figure, Measured
from tests.benchmarks.measure import Command, Cost, Costs, Failed, by_turns, geometric_mean, percentile, run
from tests.benchmarks.programs import CLOCK, KERNELS, REAL, Program
from tests.support import ROOT

SMALL = 0.0001


def _costs(*seconds: float) -> Costs:
    return Costs(tuple(Cost(s, 2 * s, 1000) for s in seconds))


def test_what_counts_is_the_median() -> None:
    costs = _costs(1.0, 9.0, 2.0)
    assert (costs.seconds, costs.processor, costs.memory) == (2.0, 4.0, 1000)


def test_noise_is_the_spread_of_the_middle_half() -> None:
    assert _costs(1.0, 1.0, 1.0).noise == 0
    assert _costs(0.5, 1.0, 1.0, 1.0, 7.0).noise == 0
    assert _costs(0.5, 0.9, 1.0, 1.1, 7.0).noise == pytest.approx(0.2)


def test_percentiles_and_means() -> None:
    assert percentile([5, 1, 4, 2, 3], 95) == 5
    assert percentile(list(range(1, 101)), 95) == 95
    assert percentile([7], 95) == 7
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


def test_processes_run_by_turns_and_are_prepared_each_time() -> None:
    turns: list[str] = []
    commands = {
        name: Command([sys.executable, "-c", "pass"], lambda name=name: turns.append(name))  # type: ignore[misc]
        for name in ("a", "b")
    }
    costs = by_turns(commands, 2)
    assert turns == ["a", "b", "a", "b"]
    assert all(len(each.each) == 2 and each.seconds > 0 and each.memory > 1e6 for each in costs.values())


def test_a_process_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(Failed, match="exit code 3: no luck"):
        run(Command([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"]))


def test_memory_is_that_of_the_process_alone() -> None:
    mine = bytearray(b"x") * (200 << 20)
    small = run(Command([sys.executable, "-I", "-S", "-c", "pass"])).memory
    assert 1 << 20 < small < len(mine) / 4
    large = run(Command([sys.executable, "-I", "-S", "-c", f"bytearray(b'x') * {len(mine)}"])).memory
    assert 0.9 * len(mine) < large - small < 1.1 * len(mine)


@pytest.mark.parametrize("program", [*KERNELS, CLOCK], ids=lambda program: program.name)
@pytest.mark.parametrize("level", ["-O2", "-O0"])
def test_kernels_run_under_plain_wasmtime(program: Program, level: str) -> None:
    words = [str(program.build(level)), *program.command_line(level, SMALL)]
    output = run(Command([sys.executable, "-m", "tests.benchmarks.plain", *words])).output
    assert output.splitlines()[-1].startswith(program.name)


def test_kernels_and_programs_have_names_of_their_own() -> None:
    names = [program.name for program in (*KERNELS, *REAL, CLOCK)]
    assert len(set(names)) == len(names)
    assert sum(program.real for program in REAL) >= 3


def test_a_guest_is_measured_in_every_way(tmp_path: Path) -> None:
    told: list[str] = []
    bench = Bench(tmp_path, runs=1, work=SMALL, only=["tight"], tell=told.append)
    (guest,) = bench.guests("-O2", ("record", "replay", "break", "watch"))
    assert not bench.problems
    assert set(guest.costs) == {"plain", "record", "replay", "break", "watch"}
    assert guest.trace_size > 0
    assert told[0].startswith("tight")


def test_what_cannot_be_measured_is_a_problem_and_not_a_number(tmp_path: Path) -> None:
    def broken() -> None:
        raise RuntimeError("broken does not compile")

    bench = Bench(tmp_path, runs=1, tell=lambda line: None)
    program = Program("broken", broken, {"-O2": 1})  # type: ignore[arg-type]
    assert bench.guest(program, "-O2", ("record",)) is None
    assert bench.problems == ["broken -O2: broken does not compile"]


def test_code_is_measured_alone(capfd: pytest.CaptureFixture[str]) -> None:
    assert code.main(["tight", "--level=-O2", "--runs", "1", "--work", str(SMALL)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["tight", "geometric"]
    assert all(float(line.split()[-1]) > 0 for line in lines)


def test_the_table_says_what_holds_and_what_does_not() -> None:
    figures = [
        Figure("recording", "plain", 1.25, "x", 1.2, 1.1),
        Figure("replaying", "plain", 1.4, "x", 1.5),
        Figure("goto", "—", 500, "ms", note="no trace"),
    ]
    lines = report.table(figures).splitlines()
    assert "1.25×" in lines[2] and "1.20×" in lines[2] and "holds" in lines[2]
    assert "MISSED" in lines[3]
    assert "not measured" in lines[4] and "500 ms" in lines[4]
    assert len({len(line) for line in lines}) == 1


def test_the_table_takes_its_place_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    once = report.in_readme(
        readme, [Figure("recording", "plain", 1.25, "x", 7.77), Figure("g", "—", 5, "ms")]
    )
    assert "| 7.77×" in once and "| not measured" in once
    again = report.in_readme(once, [Figure("recording", "plain", 1.25, "x", 8.88)])
    assert "8.88×" in again and "7.77×" not in again
    assert again.partition(report.BEGIN)[0] == readme.partition(report.BEGIN)[0]
    assert again.partition(report.END)[2] == readme.partition(report.END)[2]
    with pytest.raises(ValueError, match="no <!--"):
        report.in_readme("nothing", [])


def test_the_json_holds_every_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    costs = {"plain": _costs(1.0, 2.0, 3.0), "record": _costs(2.0, 2.0, 2.0)}
    bench.measured.append(Measured(KERNELS[0], "-O2", costs, 77))
    data = json.loads(json.dumps(report.as_json(bench, [])))
    assert data["guests"][0]["runs"]["plain"] == [
        {"seconds": s, "processor": 2 * s, "memory": 1000} for s in (1.0, 2.0, 3.0)
    ]
    assert data["guests"][0]["trace_size"] == 77
    assert data["machine"]["wasmtime"]


def test_conditions_are_measured_where_they_are_true(tmp_path: Path) -> None:
    bench = Bench(tmp_path, work=SMALL)
    figures = list(bench.figures(["conditions"]))
    assert not bench.problems
    assert [figure.what.rpartition(" ")[2] for figure in figures] == ["forward", "backward"]
    assert all(figure.value and figure.note.startswith("1,000 times") for figure in figures)


def test_the_large_function_is_compiled_in_both_ways(tmp_path: Path) -> None:
    bench = Bench(tmp_path, runs=1, only=["no other program"])
    programs, *large = bench.figures(["cold"])
    assert not bench.problems
    assert programs.value is None
    assert ["time" in figure.what for figure in large] == [True, False]
    assert all(figure.value and figure.value > 0 for figure in large)
