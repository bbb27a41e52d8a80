"""How host calls are printed: what the real calls of tests/recorder/test_wasi_effects.py do not reach."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.types import Position, Value
from ttd.wasi import FUNCTIONS, MODULE, describe_call, errno_name
from ttd.wasm.model import ValType


def call(
    arguments: tuple[Value, ...],
    results: tuple[Value, ...] = (0,),
    writes: tuple[MemoryWrite, ...] = (),
    reads: tuple[MemoryWrite, ...] = (),
    outcome: Outcome = Outcome.RETURNED,
) -> HostCall:
    return HostCall(0, Position(1), 0, arguments, results, writes, outcome, 3, "no luck", reads)


def shown(name: str, *arguments: int, **parts: tuple[MemoryWrite, ...]) -> str:
    return describe_call(call(arguments, **parts), MODULE, name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("fd_seek", (4, 2**64 - 5, 2, 64), "fd_seek(4, -5, END, 0x40) = 0"),
        ("fd_advise", (4, 0, 9, 3), "fd_advise(4, 0, 9, WILLNEED) = 0"),
        ("fd_advise", (4, 0, 9, 77), "fd_advise(4, 0, 9, 77) = 0"),
        ("fd_fdstat_set_flags", (4, 5), "fd_fdstat_set_flags(4, APPEND|NONBLOCK) = 0"),
        ("fd_fdstat_set_flags", (4, 0), "fd_fdstat_set_flags(4, 0) = 0"),
        ("fd_fdstat_set_flags", (4, 0x101), "fd_fdstat_set_flags(4, APPEND|0x100) = 0"),
        ("fd_fdstat_set_rights", (4, 2, 0x43), "fd_fdstat_set_rights(4, FD_READ, FD_READ|FD_WRITE|...) = 0"),
        ("proc_raise", (9,), "proc_raise(KILL) = 0"),
        (
            "fd_filestat_set_times",
            (4, 1, 0, 5),
            "fd_filestat_set_times(4, 0.000000001, 0.000000000, ATIM|MTIM) = 0",
        ),
        ("path_unlink_file", (3, 100, 4), "path_unlink_file(3, 0x64) = 0"),
        ("path_unlink_file", (3, 100, 0), 'path_unlink_file(3, "") = 0'),
        ("fd_write", (1, 100, 0, 8), "fd_write(1, [], 0x8) = 0"),
        ("fd_write", (1, 100, 2, 8), "fd_write(1, 0x64, 2, 0x8) = 0"),
    ],
)  # fmt: skip
def test_arguments(name: str, arguments: tuple[int, ...], text: str) -> None:
    assert shown(name, *arguments) == text


def test_strings_are_quoted_and_cut() -> None:
    path = 'a"\\\n\t\0\x07é\udcff'.encode("utf-8", "surrogateescape")
    reads = (MemoryWrite(0, 100, path),)
    assert shown("path_unlink_file", 3, 100, len(path), reads=reads) == (
        'path_unlink_file(3, "a\\"\\\\\\n\\t\\0\\x07é\\xff") = 0'
    )
    assert shown("path_unlink_file", 3, 100, len(path) + 1, reads=reads).endswith('"...) = 0')


def test_many_buffers_are_cut() -> None:
    iovs = b"".join(struct.pack("<II", 1000 + i, 1) for i in range(8))
    text = shown(
        "fd_write", 1, 100, 20, 8, reads=(MemoryWrite(0, 100, iovs), MemoryWrite(0, 1000, b"abcdefgh"))
    )
    assert text.startswith('fd_write(1, [{"a", 1}, {"b", 1}') and '{"h", 1}, ...], 0x8)' in text


def test_errors_have_names() -> None:
    assert describe_call(call((9,), (8,)), MODULE, "fd_close") == "fd_close(9) = 8 (BADF)"
    assert describe_call(call((9,), (99,)), MODULE, "fd_close") == "fd_close(9) = 99 (errno 99)"
    assert errno_name(76) == "NOTCAPABLE"


def test_exits_and_traps() -> None:
    assert (
        describe_call(call((3,), (), outcome=Outcome.EXITED), MODULE, "proc_exit")
        == "proc_exit(3) = ? (exit 3)"
    )
    text = describe_call(call((3, 64), (), outcome=Outcome.TRAPPED), MODULE, "fd_tell")
    assert text == "fd_tell(3, 0x40) = ? (trap: no luck)"


def test_other_functions_are_shown_by_their_types() -> None:
    types = (ValType.I32, ValType.I64, ValType.F32, ValType.F64, ValType.EXTERNREF)
    arguments = (0xFFFFFFFF, 1 << 63, 0x3F800000, 0xBFF8000000000000, None)
    text = describe_call(call(arguments, (5, 6)), "env", "f", types, (ValType.I32, ValType.I32))
    assert text == "env.f(-1, -9223372036854775808, 1.0, -1.5, null) = (5, 6)"
    assert describe_call(call((), ()), "env", "g") == "env.g()"


def test_a_function_of_wasi_with_other_parameters_is_shown_plainly() -> None:
    assert describe_call(call((1, 2, 3)), MODULE, "fd_close") == f"{MODULE}.fd_close(1, 2, 3) = 0"
    assert describe_call(call((1,)), MODULE, "fd_frob") == f"{MODULE}.fd_frob(1) = 0"


blobs = st.builds(MemoryWrite, st.just(0), st.integers(0, 64), st.binary(max_size=80))
numbers = st.one_of(st.integers(0, 64), st.integers(0, 2**64 - 1))


@given(st.sampled_from(sorted(FUNCTIONS)), st.data())
def test_whatever_a_damaged_trace_holds_is_shown_on_one_line(name: str, data: st.DataObject) -> None:
    """Arguments and memory that have nothing to do with each other, as in a trace made by hand."""
    arguments = tuple(data.draw(numbers) for _ in FUNCTIONS[name].params)
    event = HostCall(
        0,
        Position(1),
        0,
        arguments,
        data.draw(st.sampled_from([(0,), (), (8,), (None,), (2**40,), (0, 0)])),
        tuple(data.draw(st.lists(blobs, max_size=4))),
        data.draw(st.sampled_from(Outcome)),
        0,
        "",
        tuple(data.draw(st.lists(blobs, max_size=4))),
    )
    text = describe_call(event, MODULE, name)
    assert text.startswith(f"{name}(") and "\n" not in text and len(text) < 20_000
