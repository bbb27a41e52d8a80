"""What each WASI function writes, by comparing all of memory before and after the real call with the log.

`Rig.call` makes that comparison every time. The tests here provoke successes and errors of all 46 functions
and say what is to come out; besides completeness they hold the log to be tight where that matters.
"""

from __future__ import annotations

import re
import struct
import time
from pathlib import Path

import pytest

from tests.recorder import rig as rig_module
from tests.recorder.gates import GateRig
from tests.recorder.rig import (
    ALL_RIGHTS,
    BUFFER,
    DIR,
    IOVS,
    NOISE,
    OUT,
    OUT2,
    SIZE,
    TEXT,
    Rig,
    closed_descriptor,
    noise,
)
from ttd.store.manifest import StdinKind
from ttd.wasi import FUNCTIONS, MODULE

BAD = closed_descriptor()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a file, a directory, and links that lead somewhere, nowhere, and round and round."""
    box = tmp_path / "box"
    box.mkdir()
    (box / "data").write_bytes(noise(100))
    (box / "sub").mkdir()
    (box / "sub" / "inner").write_bytes(b"inner")
    (box / "link").symlink_to("data")
    (box / "nowhere").symlink_to("missing")
    (box / "loop").symlink_to("loop")
    return box


@pytest.fixture(params=[Rig, GateRig], ids=["python", "gates"])
def rig(request: pytest.FixtureRequest, folder: Path) -> Rig:
    """Once with every call made by Python, and once with the native gates of the compiled engine."""
    kind: type[Rig] = request.param
    return kind.over(
        folder, stdin=StdinKind.NULL, argv=("prog", "x y", "é"), env=(("A", "b"), ("LONG", "v" * 99))
    )


def test_the_table_has_exactly_the_functions_of_wasmtime_with_their_types() -> None:
    import wasmtime

    store = wasmtime.Store()
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    store.set_wasi(wasmtime.WasiConfig())
    assert len(FUNCTIONS) == 46
    for function in FUNCTIONS.values():
        native = linker.get(store, MODULE, function.name)
        assert isinstance(native, wasmtime.Func)
        type_ = native.type(store)
        assert tuple(map(str, type_.params)) == function.params, function.name
        assert tuple(map(str, type_.results)) == function.results, function.name


def test_every_function_is_exercised_here() -> None:
    source = Path(__file__).read_text() + Path(rig_module.__file__).read_text()
    missing = [name for name in FUNCTIONS if not re.search(rf'"{name}"', source)]
    assert not missing


# --- arguments, environment, clocks, random numbers ---------------------------------------------------


def test_arguments(rig: Rig) -> None:
    assert rig.call("args_sizes_get", OUT, OUT2) == "SUCCESS"
    count, size = rig.number(OUT), rig.number(OUT2)
    assert (count, size) == (3, 4 + 1 + 3 + 1 + 2 + 1)
    assert rig.call("args_get", TEXT, BUFFER) == "SUCCESS"
    assert rig.data(BUFFER, size) == "prog\0x y\0é\0".encode()
    assert rig.logged == {TEXT: 4 * count, BUFFER: size}
    assert rig.shown == 'args_get(["prog", "x y", "é"], 0x4000) = 0'


def test_environment(rig: Rig) -> None:
    assert rig.call("environ_sizes_get", OUT, OUT2) == "SUCCESS"
    assert rig.call("environ_get", TEXT, BUFFER) == "SUCCESS"
    assert rig.logged == {TEXT: 4 * rig.number(OUT), BUFFER: rig.number(OUT2)}
    assert rig.data(BUFFER, 4) == b"A=b\0"
    assert '"A=b", "LONG=vvv' in rig.shown


def test_no_arguments_and_no_environment(folder: Path) -> None:
    rig = Rig.over(folder)
    assert rig.call("environ_sizes_get", OUT, OUT2) == "SUCCESS"
    assert (rig.number(OUT), rig.number(OUT2)) == (0, 0)
    assert rig.call("environ_get", TEXT, BUFFER) == "SUCCESS"
    assert rig.logged == {}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("args_get", (SIZE - 4, BUFFER)),
        ("args_get", (TEXT, SIZE - 6)),
        ("args_get", (TEXT + 2, BUFFER)),
        ("environ_get", (TEXT, SIZE - 50)),
        ("args_sizes_get", (OUT, SIZE)),
        ("environ_sizes_get", (SIZE - 2, OUT)),
    ],
)
def test_strings_that_do_not_fit_trap_with_what_was_written_logged(
    rig: Rig, name: str, arguments: tuple[int, ...]
) -> None:
    assert rig.call(name, *arguments) == "trap"
    assert re.search("out of bounds|not aligned", rig.last.message)
    assert "\n" not in rig.last.message


@pytest.mark.parametrize("clock", [0, 1, 2, 3])
def test_clocks(rig: Rig, clock: int) -> None:
    assert rig.call("clock_res_get", clock, OUT) == "SUCCESS"
    assert 1 <= rig.number(OUT, 8) <= 100_000_000
    assert rig.call("clock_time_get", clock, 1, OUT) == "SUCCESS"
    assert rig.logged == {OUT: 8}
    first = rig.number(OUT, 8)
    assert rig.call("clock_time_get", clock, 1, OUT2) == "SUCCESS"
    assert rig.number(OUT2, 8) >= first


def test_the_cpu_clocks_count_processor_time(rig: Rig) -> None:
    for clock, now in ((2, time.process_time_ns), (3, time.thread_time_ns)):
        before = now()
        assert rig.call("clock_time_get", clock, 0, OUT) == "SUCCESS"
        assert before <= rig.number(OUT, 8) <= now()


@pytest.mark.parametrize("clock", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["clock_time_get", "clock_res_get"])
@pytest.mark.parametrize("address", [SIZE - 4, SIZE, 2**32 - 8, OUT + 1])
def test_our_clocks_trap_like_those_of_wasmtime(rig: Rig, clock: int, name: str, address: int) -> None:
    arguments = (clock, 0, address) if name == "clock_time_get" else (clock, address)
    assert rig.call(name, *arguments) == "trap"
    assert re.search("out of bounds|not aligned", rig.last.message)


def test_an_unknown_clock(rig: Rig) -> None:
    assert rig.call("clock_time_get", 9, 0, OUT) in ("trap", "INVAL")


@pytest.mark.parametrize("length", [0, 1, 33, 4096])
def test_random_numbers(rig: Rig, length: int) -> None:
    assert rig.call("random_get", BUFFER, length) == "SUCCESS"
    assert sum(map(len, (write.data for write in rig.last.writes))) == length


def test_random_numbers_out_of_bounds(rig: Rig) -> None:
    assert rig.call("random_get", SIZE - 8, 9) == "trap"


# --- files ---------------------------------------------------------------------------------------------


def test_preopened_directories(rig: Rig) -> None:
    assert rig.call("fd_prestat_get", DIR, OUT) == "SUCCESS"
    assert rig.data(OUT, 1) + rig.data(OUT + 4, 4) == b"\0\3\0\0\0"
    assert rig.data(OUT + 1, 3) == bytes([NOISE]) * 3, "padding stays what it was"
    assert rig.call("fd_prestat_dir_name", DIR, BUFFER, 3) == "SUCCESS"
    assert rig.data(BUFFER, 3) == b"box"
    assert rig.call("fd_prestat_dir_name", DIR, BUFFER, 50) == "SUCCESS"
    assert rig.call("fd_prestat_dir_name", DIR, BUFFER, 2) == "NAMETOOLONG"
    assert rig.logged == {}
    assert rig.call("fd_prestat_dir_name", DIR, SIZE - 2, 3) == "trap"
    assert rig.call("fd_prestat_get", DIR + 1, OUT) == "BADF"
    assert rig.logged == {}
    assert rig.call("fd_prestat_dir_name", 0, BUFFER, 3) == "NOTDIR"


def test_reading(rig: Rig) -> None:
    fd = rig.open("data")
    assert (
        rig.call("fd_read", fd, *rig.iovs((BUFFER, 0), (BUFFER + 8, 10), (BUFFER + 99, 50)), OUT) == "SUCCESS"
    )
    assert rig.number(OUT) == 10
    assert rig.logged == {BUFFER + 8: 10, OUT: 4}
    assert rig.call("fd_pread", fd, *rig.iovs((BUFFER, 1000)), 90, OUT) == "SUCCESS"
    assert rig.logged == {BUFFER: 10, OUT: 4}, "ten bytes are left there, of a buffer of a thousand"
    assert rig.call("fd_read", fd, *rig.iovs((BUFFER, 1000)), OUT) == "SUCCESS"
    assert rig.logged == {BUFFER: 90, OUT: 4}
    assert rig.call("fd_read", fd, *rig.iovs((BUFFER, 1000)), OUT) == "SUCCESS"
    assert rig.logged == {OUT: 4}, "the end of the file"
    assert rig.call("fd_read", fd, IOVS, 0, OUT) == "SUCCESS"


def test_reading_over_the_list_of_buffers_itself(rig: Rig) -> None:
    fd = rig.open("data")
    assert rig.call("fd_read", fd, *rig.iovs((IOVS, 16), (BUFFER, 4)), OUT) == "SUCCESS"
    assert rig.logged == {IOVS: 16, OUT: 4}
    assert rig.call("fd_read", fd, *rig.iovs((OUT, 16)), OUT) == "SUCCESS"
    assert rig.number(OUT) == 16, "the count is written last, over the data"


@pytest.mark.parametrize("name", ["fd_read", "fd_pread"])
def test_errors_of_reading_log_nothing(rig: Rig, name: str) -> None:
    offset = () if name == "fd_read" else (0,)
    for fd, error in ((BAD, "BADF"), (DIR, "BADF"), (1, "BADF")):
        assert rig.call(name, fd, *rig.iovs((BUFFER, 100)), *offset, OUT) == error
        assert rig.logged == {}
    fd = rig.open("data", rights=1 << 6)
    assert rig.call(name, fd, *rig.iovs((BUFFER, 100)), *offset, OUT) not in ("SUCCESS", "trap")
    assert rig.logged == {}


@pytest.mark.parametrize("name", ["fd_read", "fd_pread"])
@pytest.mark.parametrize(
    ("buffer", "length", "out"),
    [(BUFFER, 40, SIZE), (BUFFER, 40, OUT + 1), (SIZE - 5, 40, OUT), (BUFFER, 0xFFFFFFFF, OUT)],
)
def test_traps_of_reading(rig: Rig, name: str, buffer: int, length: int, out: int) -> None:
    offset = () if name == "fd_read" else (0,)
    fd = rig.open("data")
    # A buffer longer than memory exceeds what Wasmtime's WASI copies at most, before it is out of bounds.
    assert rig.call(name, fd, *rig.iovs((0, 0), (buffer, length)), *offset, out) in ("trap", "NOMEM")
    assert rig.call(name, fd, SIZE - 4, 1, *offset, out) == "trap"


def test_pread_of_stdin_and_beyond_the_end(rig: Rig) -> None:
    assert rig.call("fd_pread", 0, *rig.iovs((BUFFER, 4)), 0, OUT) == "SPIPE"
    fd = rig.open("data")
    assert rig.call("fd_pread", fd, *rig.iovs((BUFFER, 4)), 1000, OUT) == "SUCCESS"
    assert rig.number(OUT) == 0
    assert rig.call("fd_pread", fd, *rig.iovs((BUFFER, 4)), 2**64 - 1, OUT) != "trap"


def test_reading_stdin_from_a_file(folder: Path) -> None:
    rig = Rig.over(folder, stdin=StdinKind.FILE, stdin_file=folder / "data")
    assert rig.call("fd_read", 0, *rig.iovs((BUFFER, 1000)), OUT) == "SUCCESS"
    assert rig.number(OUT) > 0
    assert rig.logged == {BUFFER: rig.number(OUT), OUT: 4}


def test_empty_stdin(rig: Rig) -> None:
    assert rig.call("fd_read", 0, *rig.iovs((BUFFER, 1000)), OUT) == "SUCCESS"
    assert rig.logged == {OUT: 4}


def test_writing(rig: Rig, folder: Path) -> None:
    fd = rig.open("new", 1)
    rig.put(BUFFER, b"hello world")
    assert rig.call("fd_write", fd, *rig.iovs((BUFFER, 0), (BUFFER, 5), (BUFFER, 3)), OUT) == "SUCCESS"
    written = rig.number(OUT)
    assert rig.logged == {OUT: 4}
    assert rig.call("fd_pwrite", fd, *rig.iovs((BUFFER + 6, 5)), written, OUT) == "SUCCESS"
    assert (folder / "new").read_bytes().endswith(b"world")
    assert rig.shown.startswith(f'fd_pwrite({fd}, [{{"world", 5}}], ')
    assert rig.call("fd_write", BAD, *rig.iovs((BUFFER, 5)), OUT) == "BADF"
    assert rig.logged == {}
    assert rig.call("fd_pwrite", 1, *rig.iovs((BUFFER, 5)), 0, OUT) == "SPIPE"
    assert rig.call("fd_write", fd, *rig.iovs((SIZE - 1, 5)), OUT) == "trap"
    assert rig.call("fd_write", fd, *rig.iovs((BUFFER, 5)), SIZE) == "trap"


def test_seeking(rig: Rig) -> None:
    fd = rig.open("data")
    for offset, whence, result in ((10, 0, 10), (-4, 1, 6), (-1, 2, 99)):
        assert rig.call("fd_seek", fd, offset, whence, OUT) == "SUCCESS"
        assert rig.number(OUT, 8) == result
        assert rig.logged == {OUT: 8}
    assert rig.shown == f"fd_seek({fd}, -1, END, [99]) = 0"
    assert rig.call("fd_tell", fd, OUT) == "SUCCESS"
    assert rig.number(OUT, 8) == 99
    assert rig.call("fd_seek", fd, -1, 0, OUT) == "INVAL"
    assert rig.call("fd_seek", fd, -1000, 1, OUT) == "INVAL"
    assert rig.call("fd_seek", 0, 0, 1, OUT) == "SPIPE"
    assert rig.call("fd_tell", DIR, OUT) == "BADF"
    assert rig.logged == {}
    assert rig.call("fd_seek", fd, 0, 77, OUT) in ("trap", "INVAL")
    assert rig.call("fd_tell", fd, SIZE - 1) == "trap"


def test_attributes(rig: Rig) -> None:
    fd = rig.open("data")
    for descriptor in (0, 1, DIR, fd):
        assert rig.call("fd_fdstat_get", descriptor, OUT) == "SUCCESS"
        assert rig.logged == {OUT: 24}
        assert rig.call("fd_filestat_get", descriptor, OUT) == "SUCCESS"
        assert rig.logged == {OUT: 64}
    assert rig.number(OUT + 32, 8) == 100
    assert rig.call("path_filestat_get", DIR, 1, *rig.text("link"), OUT) == "SUCCESS"
    assert rig.data(OUT + 16, 1) == b"\4", "a regular file, through the link"
    assert "type=REGULAR_FILE, size=100" in rig.shown
    assert rig.call("path_filestat_get", DIR, 0, *rig.text("link"), OUT) == "SUCCESS"
    assert rig.data(OUT + 16, 1) == b"\7"
    for path, error in (("missing", "NOENT"), ("nowhere", "NOENT"), ("loop", "LOOP"), ("../x", "PERM")):
        assert rig.call("path_filestat_get", DIR, 1, *rig.text(path), OUT) == error
        assert rig.logged == {}
        assert f'"{path}"' in rig.shown and error in rig.shown
    for name in ("fd_fdstat_get", "fd_filestat_get"):
        assert rig.call(name, BAD, OUT) == "BADF"
        assert rig.logged == {}
        assert rig.call(name, fd, SIZE - 16) == "trap"


def test_changing_attributes_writes_no_memory(rig: Rig) -> None:
    fd = rig.open("data")
    calls: list[tuple[str, tuple[int, ...], str]] = [
        ("fd_advise", (fd, 0, 10, 3), "SUCCESS"),
        ("fd_advise", (BAD, 0, 10, 3), "BADF"),
        ("fd_allocate", (fd, 0, 1000), "NOTSUP"),
        ("fd_datasync", (fd,), "SUCCESS"),
        ("fd_datasync", (BAD,), "BADF"),
        ("fd_sync", (fd,), "SUCCESS"),
        ("fd_sync", (DIR,), "BADF"),
        ("fd_fdstat_set_flags", (fd, 1), "SUCCESS"),
        ("fd_fdstat_set_flags", (fd, 2), "INVAL"),
        ("fd_fdstat_set_rights", (fd, 1, 1), "NOTSUP"),
        ("fd_filestat_set_size", (fd, 50), "SUCCESS"),
        ("fd_filestat_set_size", (BAD, 50), "BADF"),
        ("fd_filestat_set_times", (fd, 10**9, 2 * 10**9, 5), "SUCCESS"),
        ("fd_filestat_set_times", (fd, 0, 0, 3), "INVAL"),
        ("path_filestat_set_times", (DIR, 1, *rig.text("data"), 10**9, 2 * 10**9, 5), "SUCCESS"),
        ("path_filestat_set_times", (DIR, 1, *rig.text("none"), 0, 0, 10), "NOENT"),
        ("fd_renumber", (fd, BAD), "BADF"),
        ("fd_renumber", (fd, fd), "SUCCESS"),
        ("fd_close", (fd,), "SUCCESS"),
        ("fd_close", (fd,), "BADF"),
    ]
    for name, arguments, expected in calls:
        assert rig.call(name, *arguments) == expected, name
        assert rig.logged == {}


def test_directories(rig: Rig) -> None:
    assert rig.call("fd_readdir", DIR, BUFFER, 4000, 0, OUT) == "SUCCESS"
    used = rig.number(OUT)
    assert rig.logged == {BUFFER: used, OUT: 4}
    names = re.findall(r'"([^"]+)"', rig.shown)
    assert set(names) == {".", "..", "data", "sub", "link", "nowhere", "loop"}
    (next_cookie,) = struct.unpack("<Q", rig.data(BUFFER, 8))
    assert rig.call("fd_readdir", DIR, BUFFER, 4000, next_cookie, OUT) == "SUCCESS"
    assert rig.number(OUT) == used - 25
    for room in (0, 1, 23, 24, 25, 60, used - 1, used):
        assert rig.call("fd_readdir", DIR, BUFFER, room, 0, OUT) == "SUCCESS"
        assert rig.number(OUT) == room
    assert rig.call("fd_readdir", DIR, BUFFER, 4000, 99, OUT) == "SUCCESS"
    assert rig.logged == {OUT: 4}
    assert rig.call("fd_readdir", rig.open("data"), BUFFER, 4000, 0, OUT) == "BADF"
    assert rig.logged == {}
    assert rig.call("fd_readdir", DIR, SIZE - 40, 4000, 0, OUT) == "trap"
    assert rig.call("fd_readdir", DIR, BUFFER, 4000, 0, SIZE - 1) == "trap"


def test_links(rig: Rig, folder: Path) -> None:
    assert rig.call("path_readlink", DIR, *rig.text("link"), BUFFER, 100, OUT) == "SUCCESS"
    assert rig.data(BUFFER, 4) == b"data"
    assert rig.logged == {BUFFER: 4, OUT: 4}
    assert rig.shown == 'path_readlink(3, "link", "data", 100, [4]) = 0'
    assert rig.call("path_readlink", DIR, *rig.text("link"), BUFFER, 2, OUT) == "SUCCESS"
    assert rig.logged == {BUFFER: 2, OUT: 4}
    assert rig.call("path_readlink", DIR, *rig.text("data"), BUFFER, 100, OUT) == "INVAL"
    assert rig.logged == {}
    assert rig.call("path_readlink", DIR, *rig.text("link"), SIZE - 2, 100, OUT) == "trap"
    assert rig.call("path_symlink", *rig.text("data"), DIR, *rig.text("again")) == "SUCCESS"
    assert (folder / "again").readlink() == Path("data")
    assert rig.shown == 'path_symlink("data", 3, "again") = 0'
    assert rig.call("path_symlink", *rig.text("data"), DIR, *rig.text("again")) == "EXIST"
    assert rig.call("path_link", DIR, 0, *rig.text("data"), DIR, *rig.text("hard")) == "SUCCESS"
    assert (folder / "hard").stat().st_nlink == 2
    assert rig.call("path_link", DIR, 0, *rig.text("none"), DIR, *rig.text("x")) == "NOENT"
    assert rig.logged == {}


def test_opening(rig: Rig) -> None:
    fd = rig.open("data")
    assert rig.logged == {OUT: 4}
    assert fd == 4
    cases = [("missing", 0, "NOENT"), ("loop", 0, "LOOP"), ("sub", 1 | 4, "EXIST"), ("data", 2, "NOTDIR")]
    for path, oflags, error in cases:
        assert rig.call("path_open", DIR, 1, *rig.text(path), oflags, ALL_RIGHTS, 0, 0, OUT) == error
        assert rig.logged == {}
    assert rig.call("path_open", DIR, 1, *rig.text(b"\xff\xfe"), 0, ALL_RIGHTS, 0, 0, OUT) == "ILSEQ"
    assert '"\\xff\\xfe"' in rig.shown
    assert rig.call("path_open", fd, 1, *rig.text("x"), 0, ALL_RIGHTS, 0, 0, OUT) == "NOTDIR"
    assert rig.call("path_open", BAD, 1, *rig.text("x"), 0, ALL_RIGHTS, 0, 0, OUT) == "BADF"
    assert rig.call("path_open", DIR, 1, SIZE - 1, 5, 0, ALL_RIGHTS, 0, 0, OUT) == "trap"
    assert rig.call("path_open", DIR, 1, *rig.text("data"), 0, ALL_RIGHTS, 0, 0, SIZE) == "trap"


def test_changing_directories_writes_no_memory(rig: Rig) -> None:
    calls: list[tuple[str, tuple[int, ...], str]] = [
        ("path_create_directory", (DIR, *rig.text("made")), "SUCCESS"),
        ("path_create_directory", (DIR, *rig.text("made")), "EXIST"),
        ("path_rename", (DIR, *rig.text("made"), DIR, *rig.text("moved")), "SUCCESS"),
        ("path_rename", (DIR, *rig.text("made"), DIR, *rig.text("moved")), "NOENT"),
        ("path_remove_directory", (DIR, *rig.text("moved")), "SUCCESS"),
        ("path_remove_directory", (DIR, *rig.text("sub")), "NOTEMPTY"),
        ("path_unlink_file", (DIR, *rig.text("data")), "SUCCESS"),
        ("path_unlink_file", (DIR, *rig.text("data")), "NOENT"),
        ("path_unlink_file", (DIR, *rig.text("sub")), "ISDIR"),
    ]
    for name, arguments, expected in calls:
        assert rig.call(name, *arguments) == expected, name
        assert rig.logged == {}


# --- waiting -------------------------------------------------------------------------------------------


def clock(timeout: int, *, userdata: int = 7, clock_id: int = 1, absolute: bool = False) -> bytes:
    return struct.pack("<QB7xI4xQQH6x", userdata, 0, clock_id, timeout, 0, absolute)


def readiness(kind: int, fd: int, *, userdata: int = 8) -> bytes:
    return struct.pack("<QB7xI28x", userdata, kind, fd)


def poll(rig: Rig, *subscriptions: bytes, events: int = BUFFER, out: int = OUT) -> str:
    rig.put(TEXT, b"".join(subscriptions))
    return rig.call("poll_oneoff", TEXT, events, len(subscriptions), out)


def test_sleeping(rig: Rig) -> None:
    assert poll(rig, clock(1_000_000)) == "SUCCESS"
    assert rig.logged == {BUFFER: 32, OUT: 4}
    assert struct.unpack("<QHB", rig.data(BUFFER, 11)) == (7, 0, 0)
    assert rig.shown == "poll_oneoff([{CLOCK, MONOTONIC, 0.001000000}], [CLOCK], 1, [1]) = 0"
    assert poll(rig, clock(time.time_ns() + 1_000_000, clock_id=0, absolute=True)) == "SUCCESS"
    assert "until" in rig.shown


def test_waiting_for_files(rig: Rig) -> None:
    fd = rig.open("data")
    assert poll(rig, readiness(2, 1), readiness(1, fd), clock(10**9)) == "SUCCESS"
    count = rig.number(OUT)
    assert 1 <= count <= 2
    assert rig.logged == {BUFFER: 32 * count, OUT: 4}
    assert poll(rig, readiness(1, fd)) == "SUCCESS"


def test_errors_of_waiting(rig: Rig) -> None:
    assert poll(rig) == "INVAL"
    assert rig.logged == {}
    for wrong in (readiness(1, BAD), readiness(1, 1), readiness(2, DIR), clock(0, clock_id=2, absolute=True)):
        assert poll(rig, clock(1000), wrong) in ("BADF", "INVAL")
        assert OUT not in rig.logged
    assert poll(rig, readiness(2, 1), readiness(2, 1), events=SIZE - 32) == "trap"
    assert poll(rig, readiness(2, 1), out=SIZE - 2) == "trap"
    assert poll(rig, clock(1), events=SIZE - 8) == "trap"


# --- the rest ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 125, 126, 255, 2**32 - 1])
def test_every_exit_code_is_the_guests(rig: Rig, code: int) -> None:
    assert rig.call("proc_exit", code) == f"exit {code}"
    assert rig.logged == {}


def test_signals_and_yielding(rig: Rig) -> None:
    assert rig.call("proc_raise", 3) == "NOTSUP"
    assert rig.shown == "proc_raise(QUIT) = 58 (NOTSUP)"
    assert rig.call("sched_yield") == "SUCCESS"


@pytest.mark.parametrize(
    ("fd", "error"),
    [(0, "NOTSOCK"), (DIR, "NOTSOCK"), (BAD, "BADF")],
    ids=["stdin", "directory", "none"],  # BAD is another one each time
)
def test_sockets(rig: Rig, fd: int, error: str) -> None:
    assert rig.call("sock_accept", fd, 0, OUT) == error
    assert rig.call("sock_recv", fd, *rig.iovs((BUFFER, 10)), 0, OUT, OUT2) == error
    assert rig.call("sock_send", fd, *rig.iovs((BUFFER, 10)), 0, OUT) == error
    assert rig.call("sock_shutdown", fd, 1) == error
    assert rig.logged == {}


def test_a_module_without_a_memory_called_memory(folder: Path) -> None:
    rig = Rig.over(folder)
    rig.host._index = None
    assert rig.call("sched_yield") == "trap"
    assert rig.last.message == "the module exports no memory called memory, which WASI needs"
