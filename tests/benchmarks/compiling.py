"""``python -m tests.benchmarks.compiling plain|ttd PROGRAM.wasm``: compile a program without any cache,
and print the seconds that takes, the processor time, and the bytes by which the process has grown at most
(only where there is /proc, as in Linux).

Only the compilation counts: ttd's validates, instruments and compiles what it has written. An empty module
goes first, which loads all code that takes part.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import wasmtime

from ttd.engine.builds import Compiled, new_engine
from ttd.engine.validate import load_module
from ttd.instrument.program import Instrumented

EMPTY = b"\0asm\1\0\0\0"


def compile_(how: str, data: bytes) -> None:
    """Compile a module plainly, or as ttd does."""
    if how == "plain":
        wasmtime.Module(wasmtime.Engine(), data)
    else:
        _ = Compiled(new_engine(), Instrumented(load_module(data))).main


def main() -> int:
    """Measure, and print."""
    how, data = sys.argv[1], Path(sys.argv[2]).read_bytes()
    compile_(how, EMPTY)
    memory = _most_memory(begin=True)
    wall, processor = time.perf_counter(), time.process_time()
    compile_(how, data)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    grown = [max(after - before, 4096) for before, after in zip(memory, _most_memory(), strict=True)]
    print(json.dumps([wall, processor, *grown]))
    return 0


def _most_memory(begin: bool = False) -> list[int]:
    """Bytes that the process has had in memory at most since a call with `begin` (proc_pid_clear_refs(5));
    nothing where that is not told."""
    status = Path("/proc/self/status")
    if not status.exists():
        return []
    if begin:
        Path("/proc/self/clear_refs").write_text("5")
    return [int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line[:6] == "VmHWM:"]


if __name__ == "__main__":
    sys.exit(main())
