"""Signals while recording, in a real process: whatever the guest is doing, the trace is finished."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, Guests
from ttd.engine.validate import load_module
from ttd.replayer.session import ENGINES
from ttd.replayer.verify import verify
from ttd.store.trace import Trace
from ttd.types import EndKind

DEADLINE = 30.0


@contextlib.contextmanager
def recording(
    program: Path,
    trace: Path,
    how: str,
    *,
    engine: str = "interpreter",
    terminal: bool = False,
    ignored: int = 0,
) -> Iterator[subprocess.Popen[bytes]]:
    """The recording of wasi_block, ready: it has said so. Its stdin is open and says nothing."""
    if terminal:
        master, slave = pty.openpty()
    else:
        slave, master = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.recorder.driver", str(program), str(trace), how],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"TTD_TEST_ENGINE": engine},
        preexec_fn=(lambda: signal.signal(ignored, signal.SIG_IGN)) if ignored else None,  # type: ignore[func-returns-value]
    )
    os.close(slave)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], DEADLINE)[0], "the guest does not start"
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)
        os.close(master)


def wait_until_blocked(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has used no processor time for a while: the guest is in its last host call."""
    deadline = time.monotonic() + DEADLINE
    before, since = -1, time.monotonic()
    while time.monotonic() < deadline:
        ticks = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
        if ticks != before:
            before, since = ticks, time.monotonic()
        elif time.monotonic() - since > 0.3:
            return
        select.select([], [], [], 0.02)
    raise AssertionError("the guest does not block")


def replay(trace: Trace) -> None:
    """Replay the whole trace on the engine that recorded it, and if it is short on the other one too."""
    names = [trace.manifest.engine] if trace.ending.position.tick > 1_000_000 else list(ENGINES)
    for engine in (ENGINES[name] for name in names):
        report = verify(trace, engine)
        assert report.is_good, report
        assert (report.events, report.snapshots) == (trace.event_count, len(trace.snapshots))


def finished(process: subprocess.Popen[bytes], path: Path, code: int) -> None:
    """The process ends with `code`, quickly, and its trace is whole and replays."""
    begun = time.monotonic()
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == code, errors.decode()
    assert time.monotonic() - begun < 10
    assert b"Traceback" not in errors
    with Trace.open(path) as trace:
        assert trace.ending.kind is EndKind.INTERRUPTED
        assert not trace.damage
        replay(trace)
        assert f"interrupted at {trace.ending.position}, {trace.event_count} events".encode() in errors


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_guest_that_computes(guest: Guests, tmp_path: Path, number: int, code: int, engine: str) -> None:
    path = tmp_path / "run.trace"
    with recording(guest("wasi_block"), path, "loop", engine=engine) as process:
        process.send_signal(number)
        finished(process, path, code)


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to see that the guest is blocked"
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("how", "terminal"), [("read", False), ("read", True), ("sleep", False)])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_guest_that_is_blocked_in_a_host_call(
    guest: Guests, tmp_path: Path, number: int, code: int, how: str, terminal: bool, engine: str
) -> None:
    path = tmp_path / "run.trace"
    with recording(guest("wasi_block"), path, how, engine=engine, terminal=terminal) as process:
        wait_until_blocked(process)
        process.send_signal(number)
        finished(process, path, code)


def test_impatience_does_no_harm(guest: Guests, tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    with recording(guest("wasi_block"), path, "loop") as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode in (130, 143), errors
    with Trace.open(path) as trace:
        assert trace.ending.kind is EndKind.INTERRUPTED


def test_a_signal_that_was_ignored_stays_ignored(guest: Guests, tmp_path: Path) -> None:
    """As for a program that a shell has started in the background, or under nohup."""
    path = tmp_path / "run.trace"
    with recording(guest("wasi_block"), path, "loop", ignored=signal.SIGINT) as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        finished(process, path, 143)


def test_a_killed_recording_opens_up_to_what_was_committed(guest: Guests, tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    with recording(guest("wasi_block"), path, "loop") as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.7)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=DEADLINE)
    with Trace.open(path) as trace:
        assert trace.ending.kind is EndKind.CUT_OFF
        assert trace.event_count > 0
        assert trace.ending.position.tick > 100
        replay(trace)


def test_calls_before_one_that_takes_long_are_committed_meanwhile(guest: Guests, tmp_path: Path) -> None:
    """They wait in the buffer of the native gates, and the guest's thread does not come by for them."""
    path = tmp_path / "run.trace"
    with recording(guest("wasi_block"), path, "sleep", engine="compiled") as process:
        deadline = time.monotonic() + DEADLINE
        names: list[str] = []
        while "fd_write" not in names and time.monotonic() < deadline:
            if not path.exists():  # it appears a moment after the guest has started
                continue
            with Trace.open(path) as trace:
                module = load_module(trace.module)
                imports = [module.functions[event.function].imported for event in trace.events()]
            names = [item.name for item in imports if item is not None]
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=DEADLINE)
    assert names[-1] == "fd_write"  # that said "ready"; the sleep has not come back
    with Trace.open(path) as trace:
        assert trace.ending.kind is EndKind.CUT_OFF
        replay(trace)
