"""Where the scripts of the core test suite are, and how to run all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.spec.instance import EngineFactory
from tests.spec.runner import Report, run_script


def script_paths(suite: Path) -> list[tuple[str, Path]]:
    """Name (relative to `suite`, with slashes) and path of every script, in order of the names."""
    return sorted((path.relative_to(suite).as_posix(), path) for path in suite.rglob("*.wast"))


def run_suite(suite: Path, make_engine: EngineFactory, only: Sequence[str] = ()) -> Iterator[Report]:
    """Run all scripts, or those whose names contain one of `only`."""
    for name, path in script_paths(suite):
        if not only or any(part in name for part in only):
            yield run_script(path, make_engine, name)
