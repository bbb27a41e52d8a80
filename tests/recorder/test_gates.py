"""Native gates while recording: what they log is what Python logs, in order, and nothing is lost.

That all they log is right and tight is shown by test_wasi_effects, which runs over them too.
"""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recorder.gates import LIMIT, NAMES, GateHost, GateRig
from tests.recorder.rig import BUFFER, DIR, IOVS, OUT, SIZE, TEXT, Rig, noise
from tests.recorder.test_wasi_effects import clock
from ttd.calllog import ROOM, CallLog
from ttd.engine.memory import LinearMemory
from ttd.recorder.options import WasiOptions
from ttd.recorder.wasihost import WasiHost
from ttd.store.manifest import StdinKind
from ttd.wasi import FUNCTIONS
from ttd.wasm.model import MemoryType


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    box = tmp_path_factory.mktemp("gates") / "box"
    box.mkdir()
    (box / "data").write_bytes(noise(3000))
    (box / "link").symlink_to("data")
    for name in ("a", "bb", "ccc"):
        (box / name).write_bytes(b"")
    return box


# --- the same as Python's ----------------------------------------------------------------------------

ADDRESSES = st.one_of(
    st.integers(BUFFER, BUFFER + 4096),
    st.sampled_from([0, 4, OUT, IOVS, IOVS + 4, SIZE - 8, SIZE - 4, SIZE - 1, SIZE, (1 << 32) - 1]),
)
SMALL = st.integers(0, 3000)
NUMBERS = st.one_of(ADDRESSES, SMALL, st.integers(0, 12))
SKIPPED = {
    "clock_time_get",  # another time each time
    "random_get",
    "fd_filestat_get",  # the times of access
    "path_filestat_get",
    "poll_oneoff",  # may wait for ever
    "fd_close",  # would end the work of all that follow
    "fd_renumber",
    "sched_yield",
    "proc_exit",
    "proc_raise",
}
STEADY = sorted(name for name in FUNCTIONS if name not in SKIPPED and not name.startswith("sock"))
READING = [name for name in STEADY if name.startswith(("fd_read", "fd_p", "fd_seek", "path_readlink"))]


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Calls with the bytes that are put where lists of buffers lie before each."""
    made = []
    for _ in range(draw(st.integers(1, 12))):
        name = draw(st.sampled_from(STEADY) | st.sampled_from(READING))
        arguments = [draw(NUMBERS) for _ in FUNCTIONS[name].params]
        if name.startswith(("fd_", "path_")) and draw(st.integers(0, 7)):
            arguments[0] = draw(st.sampled_from([DIR, DIR + 1]))
        if name in ("fd_read", "fd_pread", "fd_write", "fd_pwrite") and draw(st.integers(0, 7)):
            arguments[1:3] = [IOVS, draw(st.integers(0, 9))]
            arguments[-1] = draw(st.sampled_from([OUT, OUT, IOVS, BUFFER]))
        vectors = b"".join(struct.pack("<II", draw(ADDRESSES), draw(SMALL)) for _ in range(9))
        made.append((name, tuple(arguments), vectors))
    return made


def perform(rig: Rig, calls: list[tuple[str, tuple[int, ...], bytes]]) -> list[object]:
    rig.open("data", rights=1 << 1 | 1 << 2 | 1 << 5)
    done: list[object] = []
    for name, arguments, vectors in calls:
        rig.put(IOVS, vectors)
        done.append((rig.call(name, *arguments), rig.last, rig.shown))
    return done


@given(calls=steps())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_gates_log_what_python_logs(folder: Path, calls: list[tuple[str, tuple[int, ...], bytes]]) -> None:
    outcomes = []
    for kind in (Rig, GateRig):
        rig = kind.over(folder, stdin=StdinKind.NULL, argv=("a", "bc"), env=(("X", "y"),))
        outcomes.append((perform(rig, calls), bytes(rig.memory.view())))
        for name in ("data", "a", "bb", "ccc"):  # what some of the calls may have changed
            (folder / name).write_bytes(noise(3000) if name == "data" else b"")
    assert outcomes[0] == outcomes[1]


def test_common_calls_do_not_go_through_python(folder: Path) -> None:
    rig = GateRig.over(folder)
    file = rig.open("data")
    rig.put(TEXT, clock(1000))
    for call in (
        ("clock_time_get", 1, 1, OUT),
        ("poll_oneoff", TEXT, BUFFER, 1, OUT),
        ("random_get", BUFFER, 100),
        ("fd_read", file, *rig.iovs((BUFFER, 100)), OUT),
        ("fd_seek", file, 0, 0, OUT),
        ("fd_write", file, *rig.iovs((BUFFER, 5), (BUFFER, 0)), OUT),
        ("path_filestat_get", DIR, 1, *rig.text("data"), OUT),
    ):
        rig.call(*call)
    assert rig.gate_host.python == 0
    assert rig.gate_host.native == 8


# --- the buffer --------------------------------------------------------------------------------------


@pytest.fixture
def bench() -> tuple[GateHost, LinearMemory]:
    memory = LinearMemory(MemoryType(2, 2, False), 2)
    host = WasiHost(WasiOptions(stdin=StdinKind.NULL), list(FUNCTIONS), 0)
    return GateHost(host, memory), memory


def call(host: GateHost, memory: LinearMemory, name: str, *arguments: int) -> None:
    host.tick += 1
    host.gates.functions[NAMES.index(name)](memory.store, *arguments, host.tick - LIMIT)


def test_a_full_buffer_is_handed_over_in_order(bench: tuple[GateHost, LinearMemory]) -> None:
    host, memory = bench
    expected = []
    for _ in range(40):  # more than twice what the buffer holds
        call(host, memory, "random_get", 0, 60_000)
        expected.append((host.tick, bytes(memory.view()[:60_000])))
    assert len(host.logs) == 40 * 60_000 // ROOM
    host.gates.end(0)
    events = [event for log in host.logs for event in log.events(0)]
    assert [(event.position.tick, event.writes[0].data) for event in events] == expected
    assert all(log.events(0)[-1].position.tick == log.last_tick for log in host.logs)
    assert host.gates.calls == 40


def test_calls_of_python_come_in_order(bench: tuple[GateHost, LinearMemory]) -> None:
    host, memory = bench
    call(host, memory, "clock_time_get", 1, 1, 8)
    call(host, memory, "clock_time_get", 0, 1, 8)
    assert not host.logs
    call(host, memory, "clock_time_get", 2, 1, 8)  # that of the process: Python's
    assert host.python == 1
    assert [log.count for log in host.logs] == [2]


def test_ticks_are_right_after_the_limit_has_changed(bench: tuple[GateHost, LinearMemory]) -> None:
    host, memory = bench
    call(host, memory, "clock_time_get", 1, 1, 8)
    host.gates.end(0)
    host.gates.set_limit(1 << 33, LIMIT + 5)
    function = host.gates.functions[NAMES.index("clock_time_get")]
    function(memory.store, 1, 1, 8, (1 << 33) + 77 - LIMIT - 5)
    host.gates.end(0)
    assert [(log.tick, log.last_tick) for log in host.logs] == [(1001, 1001), ((1 << 33) + 77,) * 2]


def test_calls_too_far_apart_for_a_record_go_through_python(bench: tuple[GateHost, LinearMemory]) -> None:
    host, memory = bench
    call(host, memory, "clock_time_get", 1, 1, 8)
    host.tick += 1 << 40
    call(host, memory, "clock_time_get", 1, 1, 8)
    assert host.python == 1
    call(host, memory, "clock_time_get", 1, 1, 8)
    assert host.python == 1
    host.gates.end(0)
    assert [(log.tick, log.count) for log in host.logs] == [(1001, 1), (host.tick, 1)]


def test_another_thread_sees_a_call_that_takes_long_and_those_before_it(
    bench: tuple[GateHost, LinearMemory],
) -> None:
    host, memory = bench
    call(host, memory, "clock_time_get", 1, 1, 8)
    assert host.running.pending() is None
    host.running.drain()
    assert not host.logs  # nothing takes long
    subscription = struct.pack("<QB7xI4xQQH6x", 7, 0, 1, 700_000_000, 1, 0)
    memory.view()[64 : 64 + len(subscription)] = subscription
    thread = threading.Thread(target=lambda: call(host, memory, "poll_oneoff", 64, 256, 1, 512))
    thread.start()
    deadline = time.monotonic() + 10
    while host.running.pending() is None and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    pending = host.running.pending()
    assert pending is not None and pending.tick == host.tick == 1002
    host.running.drain()
    host.running.drain()
    assert _ticks(host.logs) == [1001]
    thread.join()
    assert host.running.pending() is None
    call(host, memory, "clock_time_get", 1, 1, 8)
    host.gates.end(0)
    assert _ticks(host.logs) == [1001, 1002, 1003]


def _ticks(logs: list[CallLog]) -> list[int]:
    return [event.position.tick for log in logs for event in log.events(0)]
