"""Which source files go into the trace, so that it can be debugged on a machine that has none of them.

Imports `ttd.debuginfo`, `ttd.engine.cache` and `ttd.wasm`.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ttd.debuginfo.sourcefile import is_as_built, places
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


_FILES = "source-files"
"""The part of a program in the cache that holds the names and checksums of its source files."""


def source_files(module: Module) -> dict[str, bytes]:
    """The source files that a module's debug information names, found now or earlier.

    By path, with their MD5 as they were compiled; empty where it is not told.
    """
    cache, key = user_cache(), program_key(module.data, module.apart)
    stored = cache.get(key, _FILES) if cache is not None else None
    if stored is not None:
        return {str(name): bytes.fromhex(digits) for name, digits in json.loads(stored).items()}
    from ttd.debuginfo import DebugInfo

    debug = DebugInfo(module)
    files = {path: debug.source_checksum(path) for path in debug.files()}
    if cache is not None:
        cache.put(key, _FILES, json.dumps({path: md5.hex() for path, md5 in files.items()}).encode())
    return files


def collect_sources(files: Mapping[str, bytes], folders: Sequence[Path] = ()) -> dict[str, bytes]:
    """The contents of those of `files` that are source files on this machine, by path as given.

    `files` is as from `source_files`. A file that is not where its path says, or not as it was compiled, is
    looked for in `folders`, too; what differs is better than nothing.
    """
    sources: dict[str, bytes] = {}
    total = 0
    for path, checksum in files.items():
        data = _best(path, checksum, folders)
        if data is None or total + len(data) > MAX_TOTAL:
            continue
        sources[path] = data
        total += len(data)
    return sources


def changed_sources(files: Mapping[str, bytes], sources: Mapping[str, bytes]) -> list[str]:
    """The paths of those `sources` that are other files than the program was built from."""
    return [path for path, data in sources.items() if not is_as_built(data, files[path])]


def _best(path: str, checksum: bytes, folders: Sequence[Path]) -> bytes | None:
    first: bytes | None = None
    for place in places(path, folders):
        data = _read(place)
        if data is not None and is_as_built(data, checksum):
            return data
        first = data if first is None else first
    return first


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
