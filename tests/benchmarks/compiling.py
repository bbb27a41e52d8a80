"""``python -m tests.benchmarks.compiling plain|ttd PROGRAM.wasm``: compile a program without any cache,
and print the seconds that takes and the processor time.

Only the compilation counts: ttd's validates, instruments and compiles what it has written.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main() -> int:
    """Measure, and print."""
    how, data = sys.argv[1], Path(sys.argv[2]).read_bytes()
    import wasmtime

    from ttd.engine.builds import Compiled, new_engine
    from ttd.engine.validate import load_module
    from ttd.instrument.program import Instrumented

    wall, processor = time.perf_counter(), time.process_time()
    if how == "plain":
        wasmtime.Module(wasmtime.Engine(), data)
    else:
        _ = Compiled(new_engine(), Instrumented(load_module(data))).main
    print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
