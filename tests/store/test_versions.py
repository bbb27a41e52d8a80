"""A trace of every version of the format that there has been still opens.

For a new version, write a sample of it with `tests.store.samples` and add it here; the old ones stay.
"""

from __future__ import annotations

import pytest

from tests.store import samples
from tests.support import ROOT
from ttd.store.trace import FORMAT_VERSION, Trace
from ttd.store.verify import check_integrity

VERSIONS = range(1, FORMAT_VERSION + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sample_of_each_version_opens_and_gives_what_was_recorded(version: int) -> None:
    made = samples.recording(events=120, snapshots=2, pages=6)
    with Trace.open(ROOT / "traces" / f"format-{version}.sample") as trace:
        assert trace.manifest.format_version == version
        assert trace.manifest == samples.manifest()
        assert check_integrity(trace).intact
        assert list(trace.events()) == made.events
        assert trace.ending == made.ending
        assert trace.module == samples.MODULE
        loaded = [trace.load_snapshot(info) for info in trace.snapshots]
        assert samples.digests(loaded) == samples.digests(made.snapshots)
