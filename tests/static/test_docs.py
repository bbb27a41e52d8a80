"""The examples of docs/static-tools.md run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT, Guests

PAGE = (ROOT / "docs" / "static-tools.md").read_text()


def test_the_python_example_runs(guest: Guests, tmp_path: Path) -> None:
    shutil.copy(guest("calls"), tmp_path / "prog.wasm")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "calls.c:" in done.stdout
