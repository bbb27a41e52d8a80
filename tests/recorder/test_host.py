"""The recording host itself: the log, calls that are given up, waiting for signals, sources to keep."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import wasmtime

from ttd.engine.memory import LinearMemory
from ttd.engine.protocol import HostExit, HostTrap
from ttd.errors import InternalError
from ttd.events import HostCall, Outcome
from ttd.recorder.host import Abandoned, RecordingHost
from ttd.recorder.hostapi import Declaration, Exit, Guest, HostError
from ttd.recorder.interruption import Inbox
from ttd.recorder.options import WasiOptions
from ttd.recorder.session import SLICE, _next_slice
from ttd.recorder.sources import MAX_FILE, collect_sources
from ttd.types import Position
from ttd.wasm.decode import decode
from ttd.wasm.model import MemoryType, Module

POSITION = Position(5, 3)


@pytest.fixture
def module() -> Module:
    text = '(module (import "env" "f" (func (param i32) (result i32))) (memory (export "memory") 1))'
    return decode(bytes(wasmtime.wat2wasm(text)))


def host_of(module: Module, function: object) -> tuple[RecordingHost, list[HostCall]]:
    log: list[HostCall] = []
    functions = {("env", "f"): Declaration("env", "f", function)}  # type: ignore[arg-type]
    return RecordingHost(module, WasiOptions(), functions, log.append), log


def memories() -> list[LinearMemory]:
    return [LinearMemory(MemoryType(1, 1, False), 1)]


def test_calls_are_numbered_and_logged_with_their_positions(module: Module) -> None:
    def double(guest: Guest, number: int) -> int:
        guest.write_int(8, number)
        return 2 * number

    host, log = host_of(module, double)
    for number in (3, 4):
        assert host.call(0, (number,), Position(number), memories()) == (2 * number,)
    assert [(event.number, event.position, event.arguments, event.results) for event in log] == [
        (0, Position(3), (3,), (6,)),
        (1, Position(4), (4,), (8,)),
    ]
    assert log[1].writes[0].data == b"\4\0\0\0"
    assert host.events == 2 and host.pending is None


def test_exits_and_traps_are_logged_before_they_are_raised(module: Module) -> None:
    def leave(guest: Guest, code: int) -> int:
        raise Exit(code)

    def fail(guest: Guest, code: int) -> int:
        raise HostError("no")

    host, log = host_of(module, leave)
    with pytest.raises(HostExit) as exited:
        host.call(0, (9,), POSITION, memories())
    assert (exited.value.code, log[0].outcome, log[0].code) == (9, Outcome.EXITED, 9)
    host, log = host_of(module, fail)
    with pytest.raises(HostTrap, match=r"env\.f: no"):
        host.call(0, (9,), POSITION, memories())
    assert (log[0].outcome, log[0].message) == (Outcome.TRAPPED, "env.f: no")


def test_what_is_logged_before_there_is_a_trace_is_not_lost(module: Module) -> None:
    functions = {("env", "f"): Declaration("env", "f", lambda guest, number: number)}  # type: ignore[arg-type]
    host = RecordingHost(module, WasiOptions(), functions)
    host.call(0, (1,), POSITION, memories())
    log: list[HostCall] = []
    host.attach(log.append)
    host.call(0, (2,), POSITION, memories())
    assert [event.arguments for event in log] == [(1,), (2,)]


def test_a_recording_does_not_go_back(module: Module) -> None:
    host, _ = host_of(module, lambda guest, number: number)
    host.seek(0)
    with pytest.raises(InternalError):
        host.seek(1)


def test_a_call_that_was_given_up_is_never_logged(module: Module) -> None:
    begun, released = threading.Event(), threading.Event()
    raised: list[type[BaseException]] = []

    def block(guest: Guest, number: int) -> int:
        begun.set()
        assert released.wait(30)
        return number

    host, log = host_of(module, block)

    def guest_thread() -> None:
        try:
            host.call(0, (1,), POSITION, memories())
        except BaseException as error:
            raised.append(type(error))

    thread = threading.Thread(target=guest_thread)
    thread.start()
    assert begun.wait(30)
    assert host.abandon() == POSITION
    released.set()
    thread.join(30)
    assert raised == [Abandoned]
    assert log == []


def test_a_recording_that_was_given_up_between_calls_goes_as_far_as_its_log(module: Module) -> None:
    host, log = host_of(module, lambda guest, number: number)
    host.check_wanted()
    host.call(0, (1,), POSITION, memories())
    assert host.abandon() == POSITION
    with pytest.raises(Abandoned):
        host.check_wanted()
    with pytest.raises(Abandoned):
        host.call(0, (2,), Position(POSITION.tick + 1), memories())
    assert [event.arguments for event in log] == [(1,)]


def test_a_recording_that_was_given_up_before_any_call_has_no_position(module: Module) -> None:
    host, _ = host_of(module, lambda guest, number: number)
    assert host.abandon() is None


# --- waiting -------------------------------------------------------------------------------------------


def test_the_inbox_tells_of_signals_and_of_the_end() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Inbox() as inbox:
        os.kill(os.getpid(), signal.SIGTERM)
        assert inbox.wait(30) == signal.SIGTERM
        threading.Thread(target=inbox.done).start()
        assert inbox.wait(30) == 0
        assert inbox.wait(0) is None
    assert signal.getsignal(signal.SIGTERM) == before
    inbox.done()


def test_other_signals_are_passed_over() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with Inbox() as inbox:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert inbox.wait(0.05) is None
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_inbox_works_on_other_threads_without_signals() -> None:
    seen: list[int | None] = []

    def wait() -> None:
        with Inbox() as inbox:
            inbox.done()
            seen.append(inbox.wait(30))

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(30)
    assert seen == [0]


def test_slices_approach_their_length() -> None:
    ticks, speed = 500, 2_000_000
    for _ in range(20):
        ticks = _next_slice(ticks, ticks / speed, SLICE["interpreter"])
    assert ticks == pytest.approx(speed * SLICE["interpreter"], rel=0.01)
    assert _next_slice(1, 1000.0, 0.05) == 1
    assert _next_slice(1000, 0.0, 0.05) == 4000


# --- sources -------------------------------------------------------------------------------------------


def test_only_source_files_are_kept(tmp_path: Path) -> None:
    files = {
        "good.c": b"int x;\n",
        "good.RS": b"fn main() {}\n",
        "id_rsa": b"secret",
        "notes.txt": b"secret",
        "binary.c": b"\0\1",
        "long.c": b" " * (MAX_FILE + 1),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.c").mkdir()
    names = [*files, "folder.c", "missing.c"]
    found = collect_sources(dict.fromkeys([*(str(tmp_path / name) for name in names), "bad\0name.c"], b""))
    assert found == {str(tmp_path / name): files[name] for name in ("good.c", "good.RS")}


def test_a_source_that_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.c")
    assert collect_sources({str(tmp_path / "pipe.c"): b""}) == {}


def test_sources_of_a_module_built_elsewhere_are_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.c").write_text("nearer")
    (tmp_path / "main.c").write_text("by name alone")
    (tmp_path / "secret.c").write_text("outside")
    paths = ["/build/project/src/main.c", "/build/main.c", "/build/gone.c", "/x/../secret.c/../gone.c"]
    found = collect_sources(dict.fromkeys(paths, b""), (tmp_path,))
    assert found == {"/build/project/src/main.c": b"nearer", "/build/main.c": b"by name alone"}
