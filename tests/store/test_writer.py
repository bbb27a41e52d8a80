"""What the writer of a trace says when it can write no more."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.store import samples
from ttd.errors import TtdError
from ttd.store.trace import TraceWriter
from ttd.store.worker import Worker


@pytest.mark.parametrize("deleted", [False, True])
def test_a_full_disk_is_told_together_with_what_is_left(
    deleted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.trace"
    writer = TraceWriter.create(path, samples.manifest(), b"\0asm")
    writer.flush()
    if deleted:
        path.unlink()

    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Worker, "cycle", full)
    with pytest.raises(TtdError) as told:
        writer.flush()
    writer.close()
    advice = "" if deleted else "; what was recorded before that opens"
    assert str(told.value) == f"cannot write the trace {path}: No space left on device{advice}"
