"""Which source files go into the trace, so that it can be debugged on a machine that has none of them.

Imports nothing of ttd.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

_SUFFIXES = {
    ".c", ".h", ".cc", ".cp", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".h++", ".inc", ".inl",
    ".ipp", ".tcc", ".rs", ".zig", ".go", ".swift", ".m", ".mm", ".d", ".nim", ".s", ".asm", ".ts",
    ".kt", ".ml", ".hs", ".f", ".f90", ".adb", ".ads", ".v", ".odin", ".cr", ".wat",
}  # fmt: skip
"""What the name of a file must end in. The module names the files, and nobody has checked the module: it must
not get other things, such as keys, into a trace that is handed on."""

MAX_FILE = 4 << 20
"""Bytes of the longest source that is kept."""

MAX_TOTAL = 64 << 20
"""Bytes of all sources that are kept."""


def collect_sources(paths: Iterable[str]) -> dict[str, bytes]:
    """The contents of those of `paths` that are source files on this machine, by path as given."""
    sources: dict[str, bytes] = {}
    total = 0
    for path in paths:
        data = _read(path)
        if data is None or total + len(data) > MAX_TOTAL:
            continue
        sources[path] = data
        total += len(data)
    return sources


def _read(path: str) -> bytes | None:
    if PurePosixPath(path.replace("\\", "/")).suffix.lower() not in _SUFFIXES:
        return None
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE:
            return None
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError):
        return None
    return data if len(data) <= MAX_FILE and b"\0" not in data else None
