"""Fixtures of the recorder's tests."""

from __future__ import annotations

import pytest

from ttd.replayer.session import ENGINES


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that records, by name."""
    name: str = request.param
    return name
