"""Fixtures of the tests of instrumented code."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the code that is made now: some of these tests change how it is made."""
    monkeypatch.setenv("TTD_CACHE_DIR", "")
