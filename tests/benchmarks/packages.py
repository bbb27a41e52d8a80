"""Source packages of real programs, fetched when a benchmark first needs them. None of it is committed.

They come from the package registries through the registries' own clients: pip, npm and apt-get, as the
machine has set them up. Each is unpacked into a folder of the cache and stays there.

May import the standard library and `tests.support`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support import CACHE


class Unavailable(Exception):
    """A package cannot be had here; the message says why."""


@dataclass(frozen=True)
class Package:
    """A source package. `fetch` downloads archives of `name` into the folder that it is given."""

    name: str
    fetch: Callable[[str, Path], None]

    def folder(self) -> Path:
        """Where the package lies unpacked. Raises Unavailable."""
        place = CACHE / "packages" / self.name.replace("=", "-").replace("@", "-")
        if not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
                downloads, unpacked = Path(scratch, "downloads"), Path(scratch, "unpacked")
                downloads.mkdir()
                self.fetch(self.name, downloads)
                _unpack(downloads, unpacked)
                unpacked.rename(place)
        return place

    def find(self, file: str) -> Path:
        """The folder of the package in which `file` lies."""
        found = sorted(self.folder().rglob(file))
        if not found:
            raise Unavailable(f"the package {self.name} holds no {file}")
        return found[0].parent


def _unpack(downloads: Path, target: Path) -> None:
    target.mkdir()
    for archive in sorted(downloads.iterdir()):
        if (
            archive.name.endswith((".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))
            and ".debian." not in archive.name
        ):
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise Unavailable(f"{command[0]} is not installed")
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Unavailable(f"{command[0]} failed: {last}")


def from_pypi(name: str, folder: Path) -> None:
    """The source archive of a Python package, ``name==version``."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", "--no-binary", ":all:", "--dest", str(folder), name], folder)


def from_npm(name: str, folder: Path) -> None:
    """The archive of a package of npm, ``name@version``."""
    _run(["npm", "pack", "--silent", name], folder)


def from_debian(name: str, folder: Path) -> None:
    """A source package of the Debian release that this machine runs; its own package lists stay untouched."""
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    if not sources.is_file():
        raise Unavailable("this machine has no list of Debian's package sources")
    with tempfile.TemporaryDirectory() as scratch:
        lists, mine = Path(scratch, "lists"), Path(scratch, "bench.sources")
        (lists / "partial").mkdir(parents=True)
        lines = sources.read_text().splitlines()
        mine.write_text("\n".join("Types: deb-src" if line.startswith("Types:") else line for line in lines))
        options = [
            f"Dir::Etc::sourcelist={mine}",
            "Dir::Etc::sourceparts=-",
            f"Dir::State::Lists={lists}",
            f"Dir::Cache={scratch}",
            "APT::Sandbox::User=root",
        ]
        apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
        _run([*apt, "update"], folder)
        _run([*apt, "source", "--download-only", name], folder)


LUA = Package("lua5.4", from_debian)
ZLIB = Package("zlib", from_debian)
PUGIXML = Package("pugixml", from_debian)
ZSTANDARD = Package("zstandard==0.25.0", from_pypi)
SQLITE = Package("better-sqlite3@12.11.1", from_npm)
