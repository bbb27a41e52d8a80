"""What tests of several packages share: guest programs, and the lines that their markers name.

A guest is ``tests/guests/NAME.c`` or ``NAME.cpp``, or all C files of the folder ``tests/guests/NAME/``.
Those in Rust are kept built in their folders. A comment that holds ``@word`` marks its line, so that a test
can name lines by meaning and the source may move:

    queue->size++;   // @bug

Imports nothing of ttd: tests of every layer may use it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GUESTS = ROOT / "tests" / "guests"
CACHE = ROOT / ".cache"

DEFAULT_FLAGS = ("-O0",)
COMPILER = ("cc", "-target", "wasm32-wasi", "-g", "-fno-sanitize=undefined")
CPP_COMPILER = ("c++", *COMPILER[1:], "-std=c++20", "-fno-exceptions")
"""C++ guests have no exceptions: ttd refuses the form in which zig's clang compiles them."""


class Guests:
    """The guest programs. Called with a name, it builds that guest if need be and gives its path.

    Builds are kept in a cache folder by content, so the same source is compiled once, whoever asks.
    """

    def __init__(self, sources: Path = GUESTS, cache: Path = CACHE) -> None:
        self._sources = sources
        self._cache = cache

    def __call__(self, name: str, *flags: str) -> Path:
        """The .wasm file of guest `name`, compiled with `flags` (none: ``-O0``); one in Rust as kept.

        The name of what is kept ends in its flags.
        """
        if self.files(name)[0].suffix == ".rs":
            return self.files(name)[0].with_name(f"{name}{''.join(flags)}.wasm")
        flags = flags or DEFAULT_FLAGS
        if "-O1" in flags:
            flags += ("-Xclang", "-O1")  # by itself zig takes it for -O2
        target = self._cache / "guests" / f"{name}-{self._key(name, flags)}.wasm"
        if not target.exists():
            with _locked(self._cache / "guests.lock"):
                if not target.exists():
                    self._build(name, flags, target)
        return target

    def files(self, name: str) -> list[Path]:
        """The C or C++ files that guest `name` is made of."""
        single = [self._sources / path for path in (f"{name}.c", f"{name}.cpp", f"{name}/{name}.rs")]
        files = [path for path in single if path.is_file()] or sorted((self._sources / name).glob("*.c"))
        if not files:
            raise FileNotFoundError(f"no guest called {name!r} in {self._sources}")
        return files

    def source(self, name: str) -> Path:
        """The C file of a guest that consists of one."""
        (file,) = self.files(name)
        return file

    def line(self, name: str, marker: str) -> int:
        """The line, counted from 1, on which `marker` stands in guest `name`."""
        return self.place(name, marker)[1]

    def place(self, name: str, marker: str) -> tuple[Path, int]:
        """File and line of `marker` in guest `name`. KeyError without it, ValueError if there are two."""
        found = [
            (file, lines[marker]) for file in self.files(name) if marker in (lines := marker_lines(file))
        ]
        if not found:
            raise KeyError(f"no @{marker} in guest {name!r}")
        if len(found) > 1:
            raise ValueError(f"@{marker} is in more than one file of guest {name!r}")
        return found[0]

    def _inputs(self, name: str) -> list[Path]:
        folder = self.files(name)[0].parent
        headers = [path for path in sorted(folder.glob("*.h")) if path.is_file()]
        return self.files(name) + headers

    def _key(self, name: str, flags: tuple[str, ...]) -> str:
        # The folder counts, because debug information holds it.
        digest = hashlib.sha256(
            repr((self._compiler(name), flags, str(self._sources), _compiler_version())).encode()
        )
        for path in self._inputs(name):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]

    def _compiler(self, name: str) -> tuple[str, ...]:
        return CPP_COMPILER if self.files(name)[0].suffix == ".cpp" else COMPILER

    def _build(self, name: str, flags: tuple[str, ...], target: Path) -> None:
        files = self.files(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".part")
        command = [sys.executable, "-m", "ziglang", *self._compiler(name), *flags, "-o", str(unfinished)]
        environment = dict(os.environ)
        environment.setdefault("ZIG_GLOBAL_CACHE_DIR", str(self._cache / "zig"))
        environment.setdefault("ZIG_LOCAL_CACHE_DIR", str(self._cache / "zig"))
        done = subprocess.run(
            [*command, *(file.name for file in files)],
            cwd=files[0].parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"guest {name!r} does not compile:\n{done.stderr}")
        unfinished.replace(target)


def marker_lines(source: Path) -> dict[str, int]:
    """Every marker of a C file with its line, counted from 1. ValueError for one that stands there twice."""
    lines: dict[str, int] = {}
    for number, text in enumerate(source.read_text(encoding="utf-8").splitlines(), start=1):
        for comment in re.findall(r"//.*|/\*.*?(?:\*/|$)", text):
            for marker in re.findall(r"(?<![\w@])@([A-Za-z]\w*(?:-\w+)*)", comment):
                if marker in lines:
                    raise ValueError(f"{source.name}: @{marker} on line {lines[marker]} and on line {number}")
                lines[marker] = number
    return lines


def shared_folder() -> Path:
    """Where the shared test data lies if it is there: ``TTD_SHARED_DIR``, or ``../shared``."""
    return Path(os.environ.get("TTD_SHARED_DIR") or ROOT.parent / "shared")


def _compiler_version() -> str:
    from importlib.metadata import version

    return version("ziglang")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`: the compiler's first run builds a C library, and must not do so twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
