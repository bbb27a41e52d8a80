"""The bytes of core dumps: what is written is read again, Wasmtime finds it well-formed, and nothing
crashes."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from ttd.coredump.capture import restore
from ttd.coredump.format import CoreDump, CoreFrame, CoreInstance, TypedBits, read, write
from ttd.errors import InvalidCoreDump, TtdError
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, MemoryImage
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.decode import decode
from ttd.wasm.leb128 import write_unsigned
from ttd.wasm.model import FuncType, MemoryType, SegmentMode, ValType

I32, I64, F32, F64 = ValType.I32, ValType.I64, ValType.F32, ValType.F64


def bits(type_: ValType, width: int) -> st.SearchStrategy[TypedBits]:
    return st.integers(0, (1 << width) - 1).map(lambda value: TypedBits(type_, value))


numbers = st.one_of(bits(I32, 32), bits(I64, 64), bits(F32, 32), bits(F64, 64))
values = st.one_of(numbers, st.just(TypedBits(I32, None)))
indices = st.integers(0, (1 << 32) - 1)
frames = st.builds(
    CoreFrame, st.just(0), indices, indices,
    st.lists(values, max_size=4).map(tuple), st.lists(values, max_size=4).map(tuple),
)  # fmt: skip
pages = st.dictionaries(st.integers(0, 31), st.binary(min_size=1, max_size=8).filter(any), max_size=6).map(
    lambda found: {number: data.ljust(SNAPSHOT_PAGE, b"\0") for number, data in found.items()}
)
memories = pages.map(lambda found: MemoryImage(2 * WASM_PAGE, found))


@st.composite
def dumps(draw: st.DrawFn) -> CoreDump:
    images = tuple(draw(st.lists(memories, max_size=2)))
    globals_ = tuple(draw(st.lists(numbers, max_size=3)))
    instance = CoreInstance(0, tuple(range(len(images))), tuple(range(len(globals_))))
    return CoreDump(
        draw(st.text(max_size=5)), ("m",), (instance,), tuple(draw(st.lists(frames, max_size=3))), images,
        globals_, tuple(draw(st.booleans()) for _ in images), module=draw(st.none() | st.binary(max_size=9)),
        debug_info=draw(st.none() | st.binary(max_size=9)),
        sources=draw(st.dictionaries(st.text(max_size=4), st.binary(max_size=9), max_size=2)),
    )  # fmt: skip


@settings(max_examples=50)
@given(dumps())
def test_what_is_written_is_read_and_valid(dump: CoreDump) -> None:
    data = write(dump)
    wasmtime.Module.validate(wasmtime.Engine(), data)
    assert read(data) == dump


SAMPLE = write(
    CoreDump(
        "prog.wasm", ("prog.wasm",), (CoreInstance(0, (0,), (0,)),),
        (CoreFrame(0, 1, 5, (TypedBits(I32, 7), TypedBits(F64, 1 << 63))), CoreFrame(0, 0, 0)),
        (MemoryImage(WASM_PAGE, {3: b"x" * SNAPSHOT_PAGE}),), (TypedBits(I32, 1 << 31),),
        extra={"version": 1, "position": [4, 2], "entries": [[4, 0], [0, 0]], "tables": [], "values": []},
    )
)  # fmt: skip


@settings(max_examples=200)
@given(st.binary(max_size=200).map(lambda tail: b"\0asm\x01\0\0\0" + tail))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TtdError):
        read(data)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(8, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_dumps_are_read_or_refused(damage: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLE)
    for at, byte in damage:
        data[at] = byte
    builder = ModuleBuilder()
    builder.memory(MemoryType(1, None, False))
    for _ in range(2):
        builder.function(FuncType((I32, F64), ()), Code().emit("nop").emit("nop"))
    module = decode(builder.encode())
    try:
        dump = read(bytes(data))
        assert sum(image.size for image in dump.memories) <= 1 << 32
        restore(dump, module)
    except TtdError as error:
        assert "\n" not in str(error)
        assert "internal error" not in str(error)


def shell(*customs: tuple[str, bytes], pages: int = 1) -> bytes:
    """A dump of these sections and one memory."""
    builder = ModuleBuilder()
    builder.memory(MemoryType(pages, None, False))
    for name, data in customs:
        builder.custom(name, data)
    return builder.encode()


def test_frames_without_instances_are_of_the_older_format() -> None:
    stack = b"\0\4main" + b"\1" + b"\0" + write_unsigned(300) + b"\x10" + b"\1\x7f\x7e" + b"\0"
    (frame,) = read(shell(("corestack", stack))).frames
    assert (frame.instance, frame.function, frame.offset) == (0, 300, 16)
    assert frame.locals == (TypedBits(I32, (1 << 32) - 2),)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a readable core dump"),
        (shell(), "no core dump"),
        (shell(("corestack", b"\1")), "unknown kind 0x1"),
        (shell(("corestack", b"\0\0\xff\xff\x03")), "runs past the end"),
        (shell(("corestack", b"\0\0\1\0\0\0\1\x55\0")), "unknown type 0x55"),
        (shell(("corestack", b"\0\0\1\0\0\0\1\x7c\0\0")), "within a value"),
        (shell(("corestack", b"\0\0\0"), ("coreinstances", b"\1\0\0\1\7\0")), "does not have"),
        (shell(("corestack", b"\0\0\0"), ("ttd:core", b"[1]")), "damaged"),
        (shell(("corestack", b"\0\0\0"), ("ttd:core", b"{")), "not a readable core dump"),
    ],
)
def test_what_is_wrong_is_told(data: bytes, message: str) -> None:
    with pytest.raises(InvalidCoreDump, match=message):
        read(data)


def test_memory_is_bounded_before_it_is_allocated() -> None:
    builder = ModuleBuilder()
    for _ in range(2):
        builder.memory(MemoryType(1 << 16, None, False))
    builder.custom("corestack", b"\0\0\0")
    with pytest.raises(InvalidCoreDump, match="more than 4 GiB"):
        read(builder.encode())


def test_data_must_lie_inside_of_memory() -> None:
    builder = ModuleBuilder()
    builder.memory(MemoryType(1, None, False))
    builder.data(SegmentMode.ACTIVE, b"ab", 0, Code().emit("i32.const", WASM_PAGE - 1))
    builder.custom("corestack", b"\0\0\0")
    with pytest.raises(InvalidCoreDump, match="behind the end"):
        read(builder.encode())
