"""Prints the table of the core test suite at the end of the run, whatever else was tested."""

from __future__ import annotations

import pytest

from tests.spec.runner import Report
from tests.spec.table import table

REPORTS = pytest.StashKey[dict[str, list[Report]]]()


@pytest.fixture
def reports(request: pytest.FixtureRequest) -> dict[str, list[Report]]:
    """The outcomes so far, by engine; printed as a table when all tests are done."""
    return request.config.stash.setdefault(REPORTS, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print one table for each engine."""
    for engine, outcomes in config.stash.get(REPORTS, {}).items():
        terminalreporter.section(f"WebAssembly core test suite, {engine}")
        for line in table(outcomes):
            terminalreporter.write_line(line)
