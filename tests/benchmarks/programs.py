"""The guest programs of the benchmarks: what they are built from, and what they are asked to do.

The kernels are C files in guests/; the real programs are packages with a small driver of ours. Builds are
kept in the cache by content. The arguments make each run for about three seconds under plain Wasmtime.

May import the standard library, `tests.support` and `tests.benchmarks.packages`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.packages import LUA, PUGIXML, SQLITE, ZLIB, ZSTANDARD
from tests.support import CACHE, COMPILER, CPP_COMPILER

GUESTS = Path(__file__).resolve().parent / "guests"


@dataclass(frozen=True)
class Parts:
    """What a compiler needs: files and flags."""

    files: tuple[Path, ...]
    flags: tuple[str, ...] = ()
    compiler: tuple[str, ...] = COMPILER


@dataclass(frozen=True)
class Program:
    """A guest of the benchmarks."""

    name: str
    parts: Callable[[], Parts]
    rounds: Mapping[str, int]
    """The amount of work, by level of optimisation."""
    arguments: tuple[str, ...] = ("{rounds}",)
    """What the program is given; ``{rounds}`` stands for the amount of work."""
    directories: tuple[str, ...] = ()
    """What it may use, as ``HOST::GUEST``; ``{scratch}`` stands for an empty folder."""
    real: bool = False
    """A program of more than 10,000 lines that people use."""

    def build(self, level: str) -> Path:
        """The module, optimised as `level` says (``-O2``). Raises Unavailable or RuntimeError."""
        parts = self.parts()
        command = [sys.executable, "-m", "ziglang", *parts.compiler, level, *parts.flags]
        target = CACHE / "benchmarks" / f"{self.name}{level}-{_key(command, parts)}.wasm"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_suffix(f".{os.getpid()}")
            _compile([*command, "-o", str(unfinished), *map(str, parts.files)], self.name)
            unfinished.replace(target)
        return target

    def command_line(self, level: str, work: float = 1.0) -> list[str]:
        """The program's arguments, for `work` times the usual amount."""
        rounds = max(1, round(self.rounds[level] * work))
        return [argument.format(rounds=rounds) for argument in self.arguments]


def _key(command: list[str], parts: Parts) -> str:
    digest = hashlib.sha256(repr(command).encode())
    headers = (header for file in parts.files for header in sorted(file.parent.glob("*.h")))
    for path in dict.fromkeys((*parts.files, *headers)):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _compile(command: list[str], name: str) -> None:
    environment = dict(os.environ)
    environment.setdefault("ZIG_GLOBAL_CACHE_DIR", str(CACHE / "zig"))
    environment.setdefault("ZIG_LOCAL_CACHE_DIR", str(CACHE / "zig"))
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name} does not compile:\n{done.stderr[-3000:]}")


# --- what they are built from ----------------------------------------------------------------------------


def _kernel(name: str, *flags: str) -> Callable[[], Parts]:
    return lambda: Parts((GUESTS / f"{name}.c",), flags)


def _with_sqlite(name: str) -> Callable[[], Parts]:
    def parts() -> Parts:
        folder = SQLITE.find("sqlite3.c")
        omit = ("-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_OMIT_WAL")
        files = (GUESTS / f"{name}.c", folder / "sqlite3.c")
        return Parts(files, (*omit, "-DSQLITE_DISABLE_LFS", f"-I{folder}"))

    return parts


def _zstandard() -> Parts:
    folder = ZSTANDARD.find("zstd.c")
    return Parts((GUESTS / "compress.c", folder / "zstd.c"), (f"-I{folder}",))


def _zlib() -> Parts:
    folder = ZLIB.find("inffast.c")
    names = [
        "adler32",
        "crc32",
        "deflate",
        "inflate",
        "inffast",
        "inftrees",
        "trees",
        "zutil",
        "compress",
        "uncompr",
    ]
    files = (GUESTS / "compress.c", *(folder / f"{name}.c" for name in names))
    return Parts(files, ("-DUSE_ZLIB", f"-I{folder}", "-Wno-deprecated-non-prototype"))


def _lua() -> Parts:
    folder = LUA.find("lvm.c")
    emulated = ("signal", "process-clocks")
    flags = [f"-D_WASI_EMULATED_{name.upper().replace('-', '_')}" for name in emulated]
    flags += [f"-lwasi-emulated-{name}" for name in emulated]
    ours = GUESTS / "lua"
    files = (ours / "missing.c", *sorted(file for file in folder.glob("*.c") if file.name != "luac.c"))
    return Parts(files, (*flags, "-DL_tmpnam=20", f"-I{ours}", f"-I{folder}"))


def _pugixml() -> Parts:
    folder = PUGIXML.find("pugixml.cpp")
    files = (GUESTS / "markup.cpp", folder / "pugixml.cpp")
    return Parts(files, ("-DPUGIXML_NO_EXCEPTIONS", f"-I{folder}"), CPP_COMPILER)


UNITS = 12
"""C++ units of the large program: what makes a module of more than 20 MB of it."""


def _large() -> Parts:
    """SQLite, zstd and many C++ units in one program, which is not optimised."""
    folder = CACHE / "benchmarks" / "large"
    folder.mkdir(parents=True, exist_ok=True)
    ours = GUESTS / "large"
    units = [folder / f"unit{number}.cpp" for number in range(UNITS)]
    for number, unit in enumerate(units):
        unit.write_text(f"#define UNIT {number}\n" + (ours / "unit.cpp").read_text())
    (folder / "units.h").write_text("".join(f"VISIT({number})\n" for number in range(UNITS)))
    sqlite, zstandard = _with_sqlite("large/main")(), ZSTANDARD.find("zstd.c")
    flags = ("-fno-exceptions", "-w", "-lc++", f"-I{folder}", f"-I{zstandard}", *sqlite.flags)
    return Parts((*sqlite.files, zstandard / "zstd.c", *units), flags)


def _both(o2: int, o0: int) -> dict[str, int]:
    return {"-O2": o2, "-O0": o0}


KERNELS = (
    Program("tight", _kernel("tight"), _both(6_100, 3_000)),
    Program("recursion", _kernel("recursion"), _both(16_500, 7_800)),
    Program("floats", _kernel("floats"), _both(64_000, 19_000)),
    Program("polynomial", _kernel("polynomial"), _both(1_700, 800)),
    Program("simd", _kernel("simd", "-msimd128"), _both(5_400, 950)),
    Program("memory", _kernel("memory"), _both(80, 80)),
    Program("allocation", _kernel("allocation"), _both(8_700, 6_900)),
    Program("indirect", _kernel("indirect"), _both(225, 155)),
    Program("output", _kernel("output"), _both(1_550, 1_460)),
)
REAL = (
    Program("zstd", _zstandard, _both(150, 33), real=True),
    Program("zlib", _zlib, _both(50, 38), real=True),
    Program("sqlite", _with_sqlite("database"), _both(800_000, 520_000), real=True),
    Program(
        "lua",
        _lua,
        _both(270, 110),
        arguments=("/lua/script.lua", "{rounds}"),
        directories=(f"{GUESTS / 'lua'}::/lua",),
        real=True,
    ),
)
DATABASE = Program(
    "database-on-disk",
    _with_sqlite("keyvalue"),
    _both(70, 70),
    arguments=("{rounds}", "/disk/items.db"),
    directories=("{scratch}::/disk",),
    real=True,
)
MARKUP = Program("pugixml", _pugixml, _both(300, 100), real=True)
LARGE = Program("large", _large, _both(9, 9), real=True)
CLOCK = Program("clock", _kernel("clock"), _both(45_000, 36_000))
CONDITIONS = Program("conditions", _kernel("conditions"), {"-O0": 10_000_000})
ALL = (*KERNELS, *REAL, DATABASE, MARKUP, CLOCK)


def scratch_directories(program: Program, scratch: Path) -> list[str]:
    """What the program may use, as ``HOST::GUEST``, if it is given the empty folder `scratch`."""
    return [entry.format(scratch=scratch) for entry in program.directories]


def source_line(program: Program, marker: str) -> int:
    """The number of the line of a kernel's source that has the marker."""
    lines = (GUESTS / f"{program.name}.c").read_text().splitlines()
    return next(number for number, text in enumerate(lines, 1) if marker in text)
