"""Recordings of generated programs: either engine records the same run, and verifies that of the other."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.engine.agreement import size_of
from tests.engine.generator import generate
from tests.support import ROOT
from ttd.recorder.options import RecordOptions
from ttd.recorder.session import record
from ttd.replayer.session import ENGINES
from ttd.replayer.verify import verify
from ttd.store.trace import Trace

HOST = ROOT / "tests" / "recorder" / "generated_host.py"


@pytest.mark.parametrize("seed", range(16))
def test_what_one_engine_has_recorded_verifies_under_the_other(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    size = size_of(rng)
    program = generate(rng.randrange, size)
    module = tmp_path / "generated.wasm"
    module.write_bytes(program.binary)
    name, (argument,) = program.calls[0]
    endings = set()
    for recorder in ENGINES:
        path = tmp_path / f"{recorder}.trace"
        invoke = (name, str(argument))
        record(RecordOptions(module, path, invoke=invoke, host_file=HOST, engine=recorder))
        with Trace.open(path) as trace:
            for replayer in ENGINES.values():
                report = verify(trace, replayer)
                assert report.is_good, report
                endings.add((trace.event_count, trace.ending.kind, trace.ending.code, report.end))
    assert len(endings) == 1
