"""``python -m tests.benchmarks.plain [--dir HOST::GUEST]... PROGRAM.wasm [ARG]...``: a program on plain
Wasmtime.

What a recording is measured against: Wasmtime with its own WASI, as its users run it. The compiled module
is kept, so that all but the first start are warm, as those of ttd are.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from importlib.metadata import version
from pathlib import Path

import wasmtime

from tests.support import CACHE


def _compiled(engine: wasmtime.Engine, program: Path) -> wasmtime.Module:
    data = program.read_bytes()
    kept = CACHE / "benchmarks" / f"{hashlib.sha256(data).hexdigest()[:16]}-{version('wasmtime')}.cwasm"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(wasmtime.Module(engine, data).serialize())
    return wasmtime.Module.deserialize_file(engine, str(kept))


def main() -> int:
    """Run the program; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.plain")
    parser.add_argument("--dir", action="append", default=[], metavar="HOST::GUEST")
    parser.add_argument("program", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    engine = wasmtime.Engine()
    wasi = wasmtime.WasiConfig()
    wasi.argv = [options.program.name, *options.arguments]
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    for entry in options.dir:
        host, _, guest = entry.partition("::")
        wasi.preopen_dir(host, guest or host)
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    instance = linker.instantiate(store, _compiled(engine, options.program))
    start = instance.exports(store)["_start"]
    if not isinstance(start, wasmtime.Func):
        parser.error("the program has no _start")
    try:
        start(store)
    except wasmtime.ExitTrap as exit_:
        return exit_.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
