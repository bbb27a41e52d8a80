"""Golden files: what a command printed when somebody last looked at it and found it right.

``BLESS=1 ./dev test tests/cli`` writes them anew; look at the difference before committing it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"

VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+\d\d:\d\d)?"), "<TIME>"),
    (re.compile(r" *(\b\d+(\.\d)? (KiB|MiB)|\bSIZE\b)"), " <SIZE>"),
    (re.compile(r"(?m)^snapshots +\d+"), "snapshots <COUNT>"),
    (re.compile(r'"(size|module_size)": \d+'), r'"\1": <SIZE>'),
    (re.compile(r"\bttd (\d+\.\d+\.\d+\S*)|(?<=\"ttd_version\": \")[\d.]+"), "<VERSION>"),
)
"""What differs from run to run, and what stands for it in the files."""


def check(name: str, text: str, **replaced: str) -> None:
    """Compare `text` with golden file `name`; `replaced` maps words for the file to texts of this machine."""
    for word, machine_text in replaced.items():
        text = text.replace(machine_text, f"<{word.upper()}>")
    for pattern, stand_in in VOLATILE:
        text = pattern.sub(stand_in, text)
    path = FOLDER / name
    if os.environ.get("BLESS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.is_file(), f"{path} is missing; BLESS=1 writes it"
    assert text == path.read_text(), f"{name} differs; BLESS=1 writes it anew if the new text is right"
