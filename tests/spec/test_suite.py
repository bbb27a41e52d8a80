"""The WebAssembly core test suite holds, script by script, on every engine.

Besides passing, each script's counts must be those of results.txt; after a change that is meant,
``python -m tests.spec --bless`` writes them anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spec.engines import ENGINES
from tests.spec.runner import Report, run_script
from tests.spec.suite import script_paths
from tests.spec.table import recorded_rows, row
from tests.support import shared_folder

SUITE = shared_folder() / "spec-testsuite"
MISSING = pytest.mark.skip(reason="needs the core test suite in ../shared/spec-testsuite, which is not there")


def scripts() -> list[object]:
    """One parameter for each script, or one that is skipped if there is no suite."""
    paths = script_paths(SUITE)
    return [pytest.param(path, id=name) for name, path in paths] or [pytest.param(SUITE, marks=MISSING)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", scripts())
def test_script(path: Path, engine: str, keep: Callable[[str, Report], None]) -> None:
    name = path.relative_to(SUITE).as_posix()
    report = run_script(path, ENGINES[engine], name)
    keep(engine, report)
    assert not report.failures, "\n".join(report.failures[:50])
    assert row(report) == recorded_rows().get(name), "counts changed: see python -m tests.spec --bless"


def test_every_recorded_script_is_there(shared_dir: Path) -> None:
    assert [name for name, _ in script_paths(shared_dir / "spec-testsuite")] == sorted(recorded_rows())
