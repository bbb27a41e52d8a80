"""Records in a process of its own, as the command line does: ``driver.py MODULE TRACE ARG...``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ttd.recorder.options import RecordOptions, WasiOptions
from ttd.recorder.session import record


def main(program: str, trace: str, *arguments: str) -> None:
    wasi = WasiOptions(argv=(program, *arguments))
    engine = os.environ.get("TTD_TEST_ENGINE", "interpreter")
    result = record(RecordOptions(Path(program), Path(trace), wasi, engine=engine, embed_sources=False))
    print(f"{result.ending.kind.value} at {result.ending.position}, {result.events} events", file=sys.stderr)
    sys.stderr.flush()
    if result.blocked:
        os._exit(result.exit_code)
    sys.exit(result.exit_code)


main(*sys.argv[1:])
