"""Which source files go into the trace, so that it can be debugged on a machine that has none of them.

Imports `ttd.debuginfo`, `ttd.engine.cache` and `ttd.wasm`.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from ttd.engine.cache import program_key, user_cache
from ttd.wasm.model import Module

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


_NAMES = "sources"
"""The part of a program in the cache that holds the names of its source files."""


def source_names(module: Module) -> list[str]:
    """The paths of the source files that a module's debug information names, found now or earlier."""
    cache, key = user_cache(), program_key(module.data, module.apart)
    stored = cache.get(key, _NAMES) if cache is not None else None
    if stored is not None:
        return [str(name) for name in json.loads(stored)]
    from ttd.debuginfo import DebugInfo

    names = list(DebugInfo(module).files())
    if cache is not None:
        cache.put(key, _NAMES, json.dumps(names).encode())
    return names


def collect_sources(paths: Iterable[str], folders: Sequence[Path] = ()) -> dict[str, bytes]:
    """The contents of those of `paths` that are source files on this machine, by path as given.

    A module is often built elsewhere (in a container, by another user): a file that is not where `paths`
    says is looked for in `folders`, by as much of the end of its path as is there.
    """
    sources: dict[str, bytes] = {}
    total = 0
    for path in paths:
        places = _places(path, folders)
        data = next((data for place in places if (data := _read(place)) is not None), None)
        if data is None or total + len(data) > MAX_TOTAL:
            continue
        sources[path] = data
        total += len(data)
    return sources


def _places(path: str, folders: Sequence[Path]) -> Iterator[str]:
    """Where the file may be: where it says, then in each folder, the longest end of its path first."""
    yield path
    parts = PurePosixPath(path.replace("\\", "/")).parts
    for start in range(len(parts)):
        for folder in folders:
            if ".." not in parts[start:]:
                yield str(folder.joinpath(*parts[start:]))


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
