"""``python -m tests.benchmarks.plain [--dir HOST::GUEST]... PROGRAM.wasm [ARG]...``: a program on plain
Wasmtime.

What a recording is measured against: Wasmtime with its own WASI, as its users run it. The compiled module
is kept, so that all but the first start are warm, as those of ttd are.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import wasmtime

from tests.support import CACHE


def compiled(engine: wasmtime.Engine, program: Path) -> wasmtime.Module:
    """The program, compiled now or earlier."""
    data = program.read_bytes()
    kept = CACHE / "benchmarks" / f"{hashlib.sha256(data).hexdigest()[:16]}.cwasm"
    with contextlib.suppress(FileNotFoundError, wasmtime.WasmtimeError):  # none, or of another Wasmtime
        return wasmtime.Module.deserialize_file(engine, str(kept))
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(wasmtime.Module(engine, data).serialize())
    unfinished.replace(kept)
    return wasmtime.Module.deserialize_file(engine, str(kept))


def instantiate(
    engine: wasmtime.Engine, module: wasmtime.Module, arguments: Sequence[str], directories: Sequence[str]
) -> tuple[wasmtime.Store, wasmtime.Func]:
    """An instance with Wasmtime's WASI: its store, and its _start. `directories` are HOST::GUEST."""
    wasi = wasmtime.WasiConfig()
    wasi.argv = list(arguments)
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    for entry in directories:
        host, _, guest = entry.partition("::")
        wasi.preopen_dir(host, guest or host)
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    start = linker.instantiate(store, module).exports(store)["_start"]
    if not isinstance(start, wasmtime.Func):
        sys.exit("the program has no _start")
    return store, start


def main() -> int:
    """Run the program; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.plain")
    parser.add_argument("--dir", action="append", default=[], metavar="HOST::GUEST")
    parser.add_argument("program", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    engine = wasmtime.Engine()
    arguments = [options.program.name, *options.arguments]
    store, start = instantiate(engine, compiled(engine, options.program), arguments, options.dir)
    try:
        start(store)
    except wasmtime.ExitTrap as exit_:
        return exit_.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
