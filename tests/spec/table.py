"""The outcome of the suite as text: a line for each script, totals, and why what is out of scope is so.

The table of a good run is kept in results.txt, so that nothing can move from *passed* to *out of scope*
without a change that people see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.spec.runner import Report

RESULTS = Path(__file__).with_name("results.txt")

_HEADER = f"{'script':<42} {'passed':>7} {'failed':>7} {'out of scope':>13}"


def row(report: Report) -> str:
    """The line of one script."""
    reasons = "; ".join(f"{count} {reason}" for reason, count in sorted(report.out_of_scope.items()))
    counts = f"{report.passed:>7} {len(report.failures):>7} {report.out_of_scope.total():>13}"
    return f"{report.name:<42} {counts}  {reasons}".rstrip()


def totals(reports: Sequence[Report]) -> list[str]:
    """The sums of all scripts, and how often each reason was given."""
    reasons: Counter[str] = sum((report.out_of_scope for report in reports), Counter())
    passed = sum(report.passed for report in reports)
    failed = sum(len(report.failures) for report in reports)
    lines = [f"{f'{len(reports)} scripts':<42} {passed:>7} {failed:>7} {reasons.total():>13}"]
    lines += [f"  out of scope: {count:>6}  {reason}" for reason, count in reasons.most_common()]
    return lines


def table(reports: Sequence[Report]) -> list[str]:
    """The whole table, as lines."""
    rows = [row(report) for report in sorted(reports, key=lambda report: report.name)]
    return [_HEADER, *rows, *totals(reports)]


def recorded_rows(path: Path = RESULTS) -> dict[str, str]:
    """The lines of the recorded table, by script."""
    return {
        line.split()[0]: line for line in path.read_text(encoding="utf-8").splitlines() if ".wast " in line
    }
