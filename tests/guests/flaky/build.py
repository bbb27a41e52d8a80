"""Rebuild exchange.wasm, the copy of the flaky guest that lies here so that the demo needs no compiler.

    python tests/guests/flaky/build.py

Sources and C library are compiled from copies at neutral places, so that the debug information names
nothing of the machine that built it. ttd finds the sources all the same: they lie beside the module.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ziglang

HERE = Path(__file__).resolve().parent
ZIG = Path("/usr/local/lib/zig")
SOURCES = Path("/usr/local/src/exchange")
FLAGS = ("-target", "wasm32-wasi", "-g", "-O0", "-Wall", "-Wextra", "-fno-sanitize=undefined")


def main() -> None:
    """Compile every C file of this folder into exchange.wasm, with full debug information at -O0."""
    if not ZIG.exists():
        shutil.copytree(Path(ziglang.__file__).parent / "lib", ZIG / "lib")
    SOURCES.mkdir(parents=True, exist_ok=True)
    files = sorted([*HERE.glob("*.c"), *HERE.glob("*.h")])
    for file in files:
        shutil.copy(file, SOURCES)
    environment = {**os.environ, "ZIG_LIB_DIR": str(ZIG / "lib")}
    environment |= {"ZIG_GLOBAL_CACHE_DIR": str(ZIG / "cache"), "ZIG_LOCAL_CACHE_DIR": str(ZIG / "cache")}
    units = [file.name for file in files if file.suffix == ".c"]
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *units, "-o", "exchange.wasm"]
    subprocess.run(command, cwd=SOURCES, env=environment, check=True)
    (HERE / "exchange.wasm").write_bytes((SOURCES / "exchange.wasm").read_bytes())


if __name__ == "__main__":
    main()
