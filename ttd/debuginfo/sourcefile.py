"""Source files on disk, by the paths that debug information names.

Imports nothing of ttd.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

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


def places(path: str, folders: Iterable[str | Path]) -> Iterator[str]:
    """Where a source file may be: where it says, then in each folder, the longest end of its path first.

    Modules are often built elsewhere: in a container, by another user.
    """
    yield path
    folders = tuple(folders)
    parts = PurePosixPath(path.replace("\\", "/")).parts
    for start in range(len(parts)):
        for folder in folders:
            if ".." not in parts[start:]:
                yield str(Path(folder).joinpath(*parts[start:]))


def is_as_built(data: bytes, checksum: bytes) -> bool:
    """Whether `data` has the MD5 `checksum` that debug information has of the file; yes if it is empty."""
    return not checksum or hashlib.md5(data, usedforsecurity=False).digest() == checksum
