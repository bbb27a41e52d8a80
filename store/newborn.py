"""A new file that appears whole: built under another name, then published.

What a user can have got wrong about its name is found before anything else happens. A process that is killed
while it builds leaves the other name behind; the next one that builds beside it sweeps it away.

May import base modules and the store's `manifest`.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from pathlib import Path
from types import TracebackType

from ttd.errors import UsageError
from ttd.store.manifest import APPLICATION_ID

_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}\.new")
"""A name of `Newborn.temporary`."""

_ABANDONED = 3600.0
"""Seconds after which nobody builds an unfinished file anymore; it takes a fraction of one."""


class Newborn:
    """A file on its way to `path`. A context: published when it ends well, gone otherwise."""

    def __init__(self, path: Path) -> None:
        """Begin with an empty file. An empty regular file at `path` (a reserved name) will be replaced.

        Raises UsageError for anything else there, or a directory that cannot be written to.
        """
        self.path = path
        _check_free(path)
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
        except OSError as error:
            raise UsageError(f"cannot write a trace to {path.parent}: {error.strerror or error}") from error
        os.close(descriptor)
        self.temporary = Path(name)
        """Where to build it."""

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            for leftover in (self.temporary, journal(self.temporary)):
                leftover.unlink(missing_ok=True)
            sweep(self.path.parent)

    def _publish(self) -> None:
        self.temporary.chmod(0o666 & ~_umask())
        if _check_free(self.path):
            self.temporary.replace(self.path)
            return
        try:
            self.path.hardlink_to(self.temporary)  # unlike a rename, it never overwrites
        except FileExistsError as error:
            raise _taken(self.path) from error
        except OSError:  # a file system without hard links
            self.temporary.replace(self.path)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed have left unfinished in `folder`, as far as that can be done."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if _UNFINISHED.fullmatch(entry.name) and _is_abandoned(Path(entry)):
                for leftover in (Path(entry), journal(Path(entry))):
                    leftover.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    """Whether it is one of ours, and old. Others may use such names too."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < _ABANDONED:
        return False
    with path.open("rb") as file:
        header = file.read(100)
    return not header or header[68:72] == APPLICATION_ID.to_bytes(4, "big")


def journal(path: Path) -> Path:
    """Where SQLite puts the journal of a database."""
    return path.with_name(path.name + "-journal")


def _check_free(path: Path) -> bool:
    """UsageError if something is at `path` that must not be replaced; whether something is."""
    try:
        status = path.lstat()
    except OSError:
        return False
    # Devices, pipes and links have no size either, and whoever is root would lose them.
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path} is not a regular file; choose another name for the trace")
    if status.st_size > 0:
        raise _taken(path)
    return True


def _taken(path: Path) -> UsageError:
    return UsageError(f"{path} exists already; choose another name or delete it")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
