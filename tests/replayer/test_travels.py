"""Motions through generated programs lead to the same places and states on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replayer.travels import travel


@pytest.mark.parametrize("seed", range(5))
def test_both_engines_travel_alike(seed: int, engine: str, tmp_path: Path) -> None:
    travel(seed + 5 * (engine == "compiled"), tmp_path)  # which chooses the engines itself
