"""``python -m tests.benchmarks``, or ``./dev bench``: measure ttd against plain Wasmtime.

``./dev bench code`` measures instrumented code alone, in a few minutes (`code`), and ``./dev bench looking``
how long it takes to show the stack and the variables of big programs (`looking`).

Prints a row for each guest and then the table, and writes all of it as JSON. A full run takes about three
quarters of an hour on an idle machine; on a busy one compare the processor times.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import code, looking, report
from tests.benchmarks.figures import GROUPS, Bench
from tests.benchmarks.programs import KERNELS, REAL
from tests.support import CACHE, ROOT

README = ROOT / "README.md"
RESULTS = CACHE / "benchmarks" / "results.json"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure ttd against plain Wasmtime.")
    add = parser.add_argument
    add("groups", nargs="*", help=f"figures to measure: {', '.join(GROUPS)}; none: all")
    guests = [program.name for program in (*KERNELS, *REAL)]
    only = "only this guest; may be repeated"
    add("--only", action="append", default=[], choices=guests, metavar="GUEST", help=only)
    add("--runs", type=int, default=5, metavar="N", help="runs of each process (5)")
    add("--work", type=float, default=1.0, metavar="X", help="times the usual amount of work (1)")
    add("--samples", type=int, default=40, metavar="N", help="random positions to go to (40)")
    add("--json", type=Path, default=RESULTS, metavar="FILE", help="where the JSON goes")
    add("--write-readme", action="store_true", help="put the table into the README; needs all figures")
    return parser


def main() -> int:
    """Measure what the command line asks for; 1 if a bound was missed or something was not measured."""
    apart = {"code": code.main, "looking": looking.main}
    if sys.argv[1:2] and sys.argv[1] in apart:
        return apart[sys.argv[1]](sys.argv[2:])
    parser = _parser()
    options = parser.parse_args()
    unknown = sorted(set(options.groups) - set(GROUPS))
    if unknown:
        parser.error(f"no figures are called {unknown[0]}; there are {', '.join(GROUPS)}")
    if options.write_readme and (options.groups or options.only or options.work != 1):
        parser.error("the README shows all figures, and of the whole work")
    with tempfile.TemporaryDirectory(prefix="ttd-bench-") as scratch:
        bench = Bench(Path(scratch), options.runs, options.work, options.samples, options.only)
        figures = list(bench.figures(options.groups))
    print("\n" + report.guests(bench.measured))
    print("\n" + report.table(figures))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report.as_json(bench, figures), indent=1) + "\n")
    if options.write_readme:
        README.write_text(report.in_readme(README.read_text(), figures))
    print(f"\nAll runs are in {options.json}.")
    for problem in bench.problems:
        print(f"could not be measured: {problem}", file=sys.stderr)
    return int(any(not figure.holds for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
