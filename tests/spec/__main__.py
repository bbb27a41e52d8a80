"""``python -m tests.spec [--engine NAME] [--bless] [PART OF A SCRIPT'S NAME]...``: run the core test suite.

Prints every failure and then the table; exits with 1 if anything failed. ``--bless`` records the table.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.spec.engines import ENGINES, STRESSED
from tests.spec.suite import run_suite
from tests.spec.table import RESULTS, table
from tests.support import shared_folder


def main() -> int:
    """Run what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.spec", description="Run the WebAssembly core test suite."
    )
    parser.add_argument("scripts", nargs="*", help="only scripts whose names contain one of these")
    parser.add_argument("--engine", choices=sorted(ENGINES | STRESSED), default="interpreter")
    parser.add_argument("--bless", action="store_true", help="record the outcome as the expected one")
    options = parser.parse_args()
    if options.bless and options.scripts:
        parser.error("--bless records a run of all scripts")
    suite = shared_folder() / "spec-testsuite"
    if not suite.is_dir():
        parser.error(f"there is no core test suite in {suite}")
    start = time.monotonic()
    reports = []
    for report in run_suite(suite, (ENGINES | STRESSED)[options.engine], options.scripts):
        reports.append(report)
        for failure in report.failures:
            print(failure, flush=True)
    lines = table(reports)
    print("\n".join(lines))
    print(f"{time.monotonic() - start:.1f} s")
    if options.bless:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return any(report.failures for report in reports)


if __name__ == "__main__":
    sys.exit(main())
