"""Prints the table of the core test suite at the end of the run, whatever else was tested.

The tests may run in several processes, so their outcomes travel with pytest's own reports of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

import pytest

from tests.spec.runner import Report
from tests.spec.table import table

_PROPERTY = "core test suite"
_OUTCOMES: dict[str, list[Report]] = {}
"""The outcomes so far, by engine."""


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Callable[[str, Report], None]:
    """Keeps the outcome of a script under an engine for the table that is printed when all tests are done."""

    def keep(engine: str, report: Report) -> None:
        outcome = {**asdict(report), "out_of_scope": dict(report.out_of_scope)}  # plain types can travel
        request.node.user_properties.append((_PROPERTY, (engine, outcome)))

    return keep


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take the outcomes out of the report of a test."""
    for name, value in report.user_properties if report.when == "call" else ():
        if name == _PROPERTY:
            engine, outcome = value
            outcome = {**outcome, "out_of_scope": Counter(outcome["out_of_scope"])}
            _OUTCOMES.setdefault(engine, []).append(Report(**outcome))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one table for each engine."""
    for engine, outcomes in _OUTCOMES.items():
        terminalreporter.section(f"WebAssembly core test suite, {engine}")
        for line in table(outcomes):
            terminalreporter.write_line(line)
