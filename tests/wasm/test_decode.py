"""The decoder: what it makes of modules, and that bad bytes end in ttd's own errors and no others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import Guests
from tests.wasm.corpus import assemble
from ttd.errors import InvalidModule, TtdError, UnsupportedFeature
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.decode import MAX_LOCALS, MAX_LOCALS_IN_ALL, decode
from ttd.wasm.leb128 import write_unsigned
from ttd.wasm.model import (
    ExternKind,
    FuncType,
    GlobalType,
    MemoryType,
    SegmentMode,
    TableType,
    ValType,
)

HEADER = b"\0asm\1\0\0\0"
I32, I64 = ValType.I32, ValType.I64

RICH = assemble("""(module $rich
  (type $binary (func (param i32 i64) (result i32)))
  (import "env" "f" (func $f (type $binary)))
  (import "env" "m" (memory 1 2))
  (import "env" "g" (global i32))
  (import "env" "t" (table 1 externref))
  (import "env" "e" (tag (param i32)))
  (func $h (type $binary) (local i64 i64 f32) (call $f (local.get 0) (local.get 1)) (block (br 0)))
  (func $k (result exnref) (block $b (result exnref)
    (try_table (catch_ref 0 $b) (throw 0 (i32.const 1))) (unreachable)))
  (table i64 2 7 funcref)
  (memory i64 3)
  (global (mut i64) (i64.const -1))
  (export "h" (func $h)) (export "second" (memory 1))
  (start $k2) (func $k2)
  (elem (table 1) (i64.const 0) func $f $h)
  (elem declare funcref (ref.func $h))
  (data "passive") (data (memory 1) (i64.const 5) "active"))""")


def everything(data: bytes) -> None:
    """Decode a module with all its bodies."""
    module = decode(data)
    for function in module.functions:
        if function.body is not None:
            _ = function.body.instructions


# --- what it reads -------------------------------------------------------------------------------------


def test_index_spaces_begin_with_the_imports() -> None:
    module = decode(RICH)
    binary = FuncType((I32, I64), (I32,))
    assert [function.index for function in module.functions] == [0, 1, 2, 3]
    assert module.functions[0].imported is module.imports[0]
    assert module.functions[0].type == module.functions[1].type == binary
    assert [entry.index for entry in module.imports] == [0] * 5
    assert module.memories == (MemoryType(1, 2, False), MemoryType(3, None, True))
    assert [table.type for table in module.tables] == [
        TableType(ValType.EXTERNREF, 1, None, False),
        TableType(ValType.FUNCREF, 2, 7, True),
    ]
    assert [entry.type for entry in module.globals] == [GlobalType(I32, False), GlobalType(I64, True)]
    assert module.tags[0].type == FuncType((I32,), ())
    assert module.start == 3


def test_locals_follow_the_parameters() -> None:
    assert decode(RICH).functions[1].local_types == (I32, I64, I64, I64, ValType.F32)


def test_instructions_know_their_place_in_the_file() -> None:
    body = decode(RICH).functions[1].code
    assert body.instructions[0].offset == body.start
    assert body.instructions[-1].offset == body.end - 1
    for instruction in body.instructions:
        assert RICH[instruction.offset] == instruction.op.code


def test_rests_are_the_instructions_that_are_no_markers() -> None:
    body = decode(RICH).functions[1].code
    names = {instruction.offset: instruction.op.mnemonic for instruction in body.instructions}
    assert [names[offset] for offset in body.rests] == ["local.get", "local.get", "call", "br"]


def test_segments_come_with_their_mode_and_place() -> None:
    module = decode(RICH)
    active, declared = module.elements
    assert (active.mode, active.table, declared.mode) == (SegmentMode.ACTIVE, 1, SegmentMode.DECLARATIVE)
    assert [item[0].immediates for item in active.items] == [(0,), (1,)]
    passive, placed = module.datas
    assert (passive.mode, passive.data, passive.offset) == (SegmentMode.PASSIVE, b"passive", None)
    assert (placed.memory, placed.data) == (1, b"active")
    assert placed.offset is not None
    assert placed.offset[0].immediates == (5,)


def test_exports_and_custom_sections_are_found_by_name() -> None:
    module = decode(RICH)
    assert module.exports_by_name["second"].kind is ExternKind.MEMORY
    assert module.exports_by_name["second"].index == 1
    name = module.custom("name")
    assert name is not None
    assert RICH[name.offset : name.offset + len(name.data)] == name.data
    assert module.custom("no such section") is None


def test_a_function_is_found_by_any_offset_in_its_code() -> None:
    module = decode(RICH)
    for function in module.functions[1:]:
        body = function.code
        assert module.function_at(body.start) is function
        assert module.function_at(body.end - 1) is function
    assert module.function_at(module.code_offset) is None
    assert module.function_at(len(RICH)) is None


def test_code_offset_is_the_start_of_the_code_sections_contents() -> None:
    module = decode(RICH)
    (section,) = (section for section in module.sections if section.id == 10)
    assert module.code_offset == section.offset
    assert RICH[module.code_offset] == 3  # the number of bodies: what DWARF counts from
    assert decode(HEADER).code_offset == 0


def test_bodies_are_decoded_on_first_use_only() -> None:
    data = bytearray(RICH)
    body = decode(RICH).functions[1].code
    data[body.start] = 0xFF
    function = decode(bytes(data)).functions[1]
    with pytest.raises(InvalidModule, match="illegal opcode") as caught:
        _ = function.code.instructions
    assert caught.value.offset == body.start


def test_a_large_module_opens_quickly(guest: Guests) -> None:
    data = guest("hello").read_bytes()
    code = Code()
    for _ in range(50):
        code.emit("local.get", 0).emit("i32.const", 1000).emit("i32.add").emit("local.set", 0)
    builder = ModuleBuilder()
    for _ in range(3000):
        builder.function(FuncType((I32,), ()), code)
    big = builder.encode()
    assert len(big) > 1_000_000
    for module in (data, big):
        assert min(_time_to_decode(module) for _ in range(3)) < 0.25


def _time_to_decode(data: bytes) -> float:
    start = time.perf_counter()
    decode(data)
    return time.perf_counter() - start


# --- what it refuses -----------------------------------------------------------------------------------

UNSUPPORTED = {
    "threads": [
        "(module (memory 1 1 shared))",
        "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))",
        "(module (func atomic.fence))",
    ],
    "GC": [
        "(module (type (struct)))",
        "(module (type (array i8)))",
        "(module (rec (type (func)) (type (func))))",
        "(module (func (drop (ref.i31 (i32.const 0)))))",
        "(module (func (drop (ref.null any))))",
        "(module (global eqref (ref.null eq)))",
    ],
    "legacy exception handling": [
        "(module (tag) (func try catch 0 end))",
        "(module (func try catch_all rethrow 0 end))",
        "(module (func try delegate 0))",
    ],
    "typed function references": [
        "(module (type (func)) (func (param (ref null 0)) (call_ref 0 (local.get 0))))",
        "(module (type (func)) (func (drop (ref.null 0))))",
        "(module (func (param funcref) (drop (ref.as_non_null (local.get 0)))))",
    ],
    "the component model": ["(component)"],
    "custom page sizes": ["(module (memory 1 (pagesize 1)))"],
    "wide arithmetic": [
        "(module (func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1))))"
    ],
    "stack switching": ["(module (type (func)) (type (cont 0)))"],
}


@pytest.mark.parametrize(
    ("feature", "text"), [(name, text) for name, texts in UNSUPPORTED.items() for text in texts]
)
def test_unsupported_features_are_refused_by_name_with_advice(feature: str, text: str) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        everything(assemble(text))
    assert feature in str(caught.value)
    assert "rebuild it" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.offset is not None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"\x7fELF....", "a native program"),
        (b"SQLite format 3\0....", "ttd replay"),
        (b"plain text", "name a .wasm file"),
        (b"  (module)", "WebAssembly text"),
        (b"\0asm", "unexpected end"),
        (b"\0asm\2\0\0\0", "unknown binary version 2"),
        (HEADER + b"\x01", "unexpected end"),
        (HEADER + b"\x01\x7f", "section is longer"),
        (HEADER + b"\x20\x00", "malformed section id 32"),
        (HEADER + b"\x03\x01\x00\x01\x01\x00", "out of order"),
        (HEADER + b"\x01\x02\x00\x00", "section size mismatch"),
        (HEADER + b"\x03\x02\x01\x00", "unknown type 0"),
        (HEADER + b"\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00", "have code"),
        (HEADER + b"\x00\x03\x02\xff\xff", "malformed UTF-8"),
        (HEADER + b"\x0c\x01\x01", "data count"),
    ],
)
def test_malformed_modules_are_refused_with_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(InvalidModule, match=message) as caught:
        decode(data)
    assert caught.value.offset is not None
    assert 0 <= caught.value.offset <= len(data)


def body_with(contents: bytes) -> bytes:
    """A module with one function of type [] -> [], whose body (local declarations first) is `contents`."""
    code = b"\1" + write_unsigned(len(contents)) + contents
    head = HEADER + bytes([1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10])
    return head + write_unsigned(len(code)) + code


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"\0", "has no end"),
        (b"\0\x02\x40\x0b", "has no end"),
        (b"\0\x0b\x0b", "goes on behind its end"),
        (b"\0\x41", "runs past the end|unexpected end"),
        (b"\0\x44\0\0\x0b", "runs past the end"),
        (b"\0\x0e\xff\xff\xff\xff\x0f\x0b", "vector of 4294967295 elements"),
        (b"\0\xfc\xff\xff\x7f\x0b", "illegal opcode 0xfc 0xffff"),
        (b"\0\x02\x05\x0b\x0b", "unknown type 5"),
        (b"\0\x1f\x40\x01\x09\x00\x0b\x0b", "malformed catch clause"),
        (b"\0\xd0\x7f\x0b", "not a reference type"),
        (b"\x01" + write_unsigned(MAX_LOCALS + 1) + b"\x7f\x0b", "too many locals"),
        (b"\x01\xff\xff\xff\xff\x0f\x7f\x0b", "too many locals"),
        (b"\x7f\x0b", "vector of 127 elements"),
    ],
)
def test_malformed_bodies_are_refused_with_the_reason(contents: bytes, message: str) -> None:
    with pytest.raises(InvalidModule, match=message):
        everything(body_with(contents))


def test_locals_of_many_functions_do_not_fill_the_memory() -> None:
    """Seven bytes of each function ask for half a megabyte."""
    body = b"\1" + write_unsigned(MAX_LOCALS) + b"\x7f\x0b"
    count = write_unsigned(MAX_LOCALS_IN_ALL // MAX_LOCALS + 1)
    code = count + (bytes([len(body)]) + body) * (MAX_LOCALS_IN_ALL // MAX_LOCALS + 1)
    functions = count + bytes(MAX_LOCALS_IN_ALL // MAX_LOCALS + 1)
    data = HEADER + bytes([1, 4, 1, 0x60, 0, 0, 3]) + write_unsigned(len(functions)) + functions
    data += b"\x0a" + write_unsigned(len(code)) + code
    with pytest.raises(InvalidModule, match="too many locals"):
        decode(data)


def survives(data: bytes) -> None:
    """Decode; any error must be one of ttd's own about modules."""
    try:
        everything(data)
    except (InvalidModule, UnsupportedFeature) as error:
        assert isinstance(error, TtdError)
        assert "\n" not in str(error)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_never_crash_it(data: bytes) -> None:
    survives(data)
    survives(HEADER + data)
    survives(body_with(data))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 14), st.binary(max_size=24)), max_size=6))
@example([(1, b"\x01\x60\x00\x00"), (3, b"\x01\x00"), (10, b"\x01\x03\x00\xd0\x80")])
def test_random_sections_never_crash_it(sections: list[tuple[int, bytes]]) -> None:
    survives(HEADER + b"".join(bytes([id_, len(contents)]) + contents for id_, contents in sections))


def test_no_truncation_crashes_it() -> None:
    for length in range(len(RICH)):
        survives(RICH[:length])


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_no_changed_byte_crashes_it(changes: list[tuple[int, int]]) -> None:
    data = bytearray(RICH)
    for offset, byte in changes:
        data[offset] = byte
    survives(bytes(data))


def test_truncated_guests_do_not_crash_it(guest: Guests) -> None:
    path: Path = guest("hello")
    data = path.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 200)):
        survives(data[:length])
