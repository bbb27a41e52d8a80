"""A new file that appears whole: built under another name, then published.

What a user can have got wrong about its name is found before anything else happens.

May import base modules.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType

from ttd.errors import UsageError


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
