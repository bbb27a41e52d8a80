"""Where traces lie: the default directory, names for new ones, and which one is the latest.

The latest trace is told by a small text file, `latest`, beside the traces; a text file works on every file
system and is replaced atomically.

May import base modules.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ttd.errors import UsageError

SUFFIX = ".trace"
"""How the name of a trace file ends."""

VARIABLE = "TTD_TRACE_DIR"
"""The environment variable that says where traces lie; without it, `traces` under the working directory."""

_POINTER = "latest"
_MOST = 1_000_000


def trace_directory() -> Path:
    """Where traces are looked for and put; it need not exist."""
    return Path(os.environ.get(VARIABLE) or "traces")


def reserve(program: str, directory: Path | None = None) -> Path:
    """A name for a new trace of `program`: ``<program>-<n>.trace``, reserved by an empty file.

    Creates the directory if need be. `TraceWriter.create` takes the place of the empty file.
    Raises UsageError where nothing can be written.
    """
    place = directory or trace_directory()
    stem = re.sub(r"[^\w.+-]+", "_", program).strip("._-")[:80] or "program"
    try:
        place.mkdir(parents=True, exist_ok=True)
        for number in range(_next_number(place, stem), _MOST):
            path = place / f"{stem}-{number}{SUFFIX}"
            try:
                path.open("xb").close()
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise UsageError(f"cannot write a trace to {place}: {error.strerror or error}") from error
    raise UsageError(f"{place} is full of traces of {stem}; delete some")


def _next_number(place: Path, stem: str) -> int:
    pattern = re.compile(re.escape(stem) + r"-(\d{1,6})" + re.escape(SUFFIX))
    matches = (pattern.fullmatch(path.name) for path in place.iterdir())
    return max((int(match[1]) for match in matches if match), default=0) + 1


def set_latest(path: Path) -> None:
    """Make `path` the latest trace of the directory it lies in; raises UsageError."""
    pointer = path.parent / _POINTER
    temporary = path.parent / f".{_POINTER}.{os.getpid()}"
    try:
        temporary.write_text(path.name + "\n", encoding="utf-8", errors="surrogateescape")
        temporary.replace(pointer)
    except OSError as error:
        raise UsageError(f"cannot write {pointer}: {error.strerror or error}") from error


def latest(directory: Path | None = None) -> Path:
    """The trace recorded last. Raises UsageError if there is none."""
    place = directory or trace_directory()
    try:
        name = (place / _POINTER).read_text(encoding="utf-8", errors="surrogateescape")[:4096].strip()
    except (OSError, ValueError):
        name = ""
    pointed = place / Path(name).name
    if name and pointed.is_file():
        return pointed
    traces = list_traces(place)
    if not traces:
        raise UsageError(f"there is no trace in {place}; make one with `ttd record`, or name one")
    return max(traces, key=lambda path: path.stat().st_mtime)


def list_traces(directory: Path | None = None) -> list[Path]:
    """The trace files of a directory, oldest first; those of no size are recordings that never began.

    A directory that does not exist has none. Raises UsageError for one that cannot be read.
    """
    place = directory or trace_directory()
    found = []
    try:
        for entry in os.scandir(place):
            if entry.name.endswith(SUFFIX) and (status := entry.stat()).st_size:
                found.append((status.st_mtime, Path(entry.path)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot look for traces in {place}: {error.strerror or error}") from error
    return [path for _, path in sorted(found)]
