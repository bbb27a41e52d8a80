"""Source files on disk, by the paths that debug information names.

Imports nothing of ttd.
"""

from __future__ import annotations

from pathlib import Path

LARGEST_SOURCE = 16 << 20
"""Bytes of the largest source file that is read."""


def read_source(path: str) -> bytes | None:
    """The file at `path`; None if it is not there, is no regular file, or is larger than a source can be."""
    try:
        file = Path(path)
        if not file.is_file() or file.stat().st_size > LARGEST_SOURCE:
            return None
        return file.read_bytes()
    except (OSError, ValueError):
        return None
