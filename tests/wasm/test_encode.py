"""The encoder and the builder: what is written is read back the same, and Wasmtime runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import Guests
from tests.wasm.corpus import assemble, suite_modules, without_offsets
from ttd.engine.validate import load_module
from ttd.errors import InternalError
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.decode import decode
from ttd.wasm.encode import encode, encode_expression, type_indices
from ttd.wasm.expression import read_expression
from ttd.wasm.model import (
    ExternKind,
    FuncType,
    GlobalType,
    Instruction,
    MemoryType,
    SegmentMode,
    TableType,
    ValType,
)
from ttd.wasm.opcodes import BY_MNEMONIC, OPCODES, Catch, CatchKind, Immediates, Opcode

I32, I64 = ValType.I32, ValType.I64
END = Instruction(0, BY_MNEMONIC["end"], ())


# --- round trips ---------------------------------------------------------------------------------------


def test_modules_of_the_suite_come_back_the_same(shared_dir: Path) -> None:
    count = 0
    for place, module in suite_modules(shared_dir / "spec-testsuite"):
        written = encode(module)
        assert without_offsets(load_module(written)) == without_offsets(module), place
        assert encode(decode(written)) == written, place
        count += 1
    assert count > 2000


@pytest.mark.parametrize("flags", ["-O0", "-O2"])
def test_a_compiled_program_comes_back_the_same(guest: Guests, flags: str) -> None:
    module = load_module(guest("hello", flags).read_bytes())
    again = load_module(encode(module))
    assert without_offsets(again) == without_offsets(module)
    data_count = 12  # optional; the encoder always writes it
    kept = [section.id for section in again.sections if section.id != data_count]
    assert kept == [section.id for section in module.sections if section.id != data_count]


def test_custom_sections_stay_where_they_were() -> None:
    module = decode(
        assemble("""(module (@custom "first" (before first) "a") (type (func))
        (@custom "second" (after type) "b") (func) (@custom "third" (after last) "c"))""")
    )
    again = decode(encode(module))
    assert [(custom.name, custom.data) for custom in again.customs] == [
        ("first", b"a"),
        ("second", b"b"),
        ("third", b"c"),
    ]
    assert [section.id for section in again.sections] == [section.id for section in module.sections]


INDEX = st.integers(0, 2**32 - 1)
VALUE_TYPE = st.sampled_from(tuple(ValType))
REFERENCE_TYPE = st.sampled_from([type_ for type_ in ValType if type_.is_reference])
TYPES = tuple(FuncType((I32,) * count, (I64, I64)) for count in range(200))
BLOCK_TYPE = st.one_of(
    st.just(FuncType((), ())), VALUE_TYPE.map(lambda type_: FuncType((), (type_,))), st.sampled_from(TYPES)
)
CATCH = st.one_of(
    st.builds(Catch, st.sampled_from((CatchKind.CATCH, CatchKind.CATCH_REF)), INDEX, INDEX),
    st.builds(Catch, st.sampled_from((CatchKind.CATCH_ALL, CatchKind.CATCH_ALL_REF)), st.none(), INDEX),
)
BYTE = st.integers(0, 255)
IMMEDIATES: dict[Immediates, st.SearchStrategy[tuple[object, ...]]] = {
    Immediates.NONE: st.just(()),
    Immediates.BLOCK: st.tuples(BLOCK_TYPE),
    Immediates.IF: st.tuples(BLOCK_TYPE),
    Immediates.TRY_TABLE: st.tuples(BLOCK_TYPE, st.lists(CATCH, max_size=3).map(tuple)),
    Immediates.LABEL_TABLE: st.tuples(st.lists(INDEX, max_size=5).map(tuple), INDEX),
    Immediates.SELECT: st.tuples(st.lists(VALUE_TYPE, max_size=3).map(tuple)),
    Immediates.REF_TYPE: st.tuples(REFERENCE_TYPE),
    Immediates.MEMARG: st.tuples(INDEX, st.integers(0, 63), st.integers(0, 2**64 - 1)),
    Immediates.MEMARG_LANE: st.tuples(INDEX, st.integers(0, 63), st.integers(0, 2**64 - 1), BYTE),
    Immediates.I32: st.tuples(st.integers(0, 2**32 - 1)),
    Immediates.I64: st.tuples(st.integers(0, 2**64 - 1)),
    Immediates.F32: st.tuples(st.integers(0, 2**32 - 1)),
    Immediates.F64: st.tuples(st.integers(0, 2**64 - 1)),
    Immediates.V128: st.tuples(st.integers(0, 2**128 - 1)),
    Immediates.SHUFFLE: st.tuples(st.tuples(*[BYTE] * 16)),
    Immediates.LANE: st.tuples(BYTE),
    **dict.fromkeys(
        (
            Immediates.CALL_INDIRECT,
            Immediates.MEMORY_INIT,
            Immediates.MEMORY_COPY,
            Immediates.TABLE_INIT,
            Immediates.TABLE_COPY,
        ),
        st.tuples(INDEX, INDEX),
    ),
}


def instruction(op: Opcode) -> st.SearchStrategy[Instruction]:
    immediates = IMMEDIATES.get(op.immediates, st.tuples(INDEX))
    return immediates.map(lambda values: Instruction(0, op, values))


PLAIN = [op for op in OPCODES if op.mnemonic != "end"]
OPENERS = (Immediates.BLOCK, Immediates.IF, Immediates.TRY_TABLE)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PLAIN).flatmap(instruction), max_size=30))
def test_any_instructions_come_back_the_same(instructions: list[Instruction]) -> None:
    opened = sum(entry.op.immediates in OPENERS for entry in instructions)
    whole = (*instructions, *[END] * (opened + 1))
    written = encode_expression(whole, type_indices(TYPES))
    read, position = read_expression(written, 0, len(written), TYPES)
    assert position == len(written)
    assert without_offsets(read) == without_offsets(whole)


def test_of_equal_types_the_first_is_used() -> None:
    nothing = FuncType((), ())
    assert type_indices((nothing, FuncType((I32,), ()), nothing)) == {nothing: 0, FuncType((I32,), ()): 1}


def test_a_block_type_that_the_module_lacks_is_our_mistake() -> None:
    block = Instruction(0, BY_MNEMONIC["block"], (FuncType((I32,), ()),))
    with pytest.raises(InternalError, match="block type"):
        encode_expression((block, END, END), {})


# --- the builder ---------------------------------------------------------------------------------------


def run(builder: ModuleBuilder, *arguments: int, imports: list[wasmtime.Func] | None = None) -> object:
    """Instantiate a built module and call its export "run"."""
    config = wasmtime.Config()
    config.wasm_exceptions = True
    config.wasm_multi_memory = True
    store = wasmtime.Store(wasmtime.Engine(config))
    module = wasmtime.Module(store.engine, builder.encode())
    function = wasmtime.Instance(store, module, imports or []).exports(store)["run"]
    assert isinstance(function, wasmtime.Func)
    return function(store, *arguments)


def test_a_built_function_runs() -> None:
    builder = ModuleBuilder()
    code = Code().emit("local.get", 0).emit("i32.const", -3).emit("i32.mul").emit("local.tee", 1)
    index = builder.function(FuncType((I32,), (I32,)), code, locals_=(I32,))
    builder.export("run", ExternKind.FUNCTION, index)
    assert run(builder, 5) == -15


def test_functions_may_call_ahead() -> None:
    builder = ModuleBuilder()
    type_ = FuncType((), (I32,))
    first, second = builder.declare(type_), builder.declare(type_)
    builder.define(first, Code().emit("call", second))
    builder.define(second, Code().emit("i32.const", 7))
    builder.export("run", ExternKind.FUNCTION, first)
    assert run(builder) == 7


def test_block_types_beyond_index_63_are_signed_numbers() -> None:
    """An index of 64 in one byte would be the empty block type: the classic mistake."""
    builder = ModuleBuilder()
    for count in range(70):
        builder.type(FuncType((I64,) * count, (I32, I32)))
    code = Code().emit("i32.const", 1).emit("i32.const", 2)
    code.block("block", (I32, I32), (I32, I32)).emit("end").emit("i32.sub")
    index = builder.function(FuncType((), (I32,)), code)
    builder.export("run", ExternKind.FUNCTION, index)
    assert run(builder) == -1


def test_accesses_reach_a_second_memory() -> None:
    builder = ModuleBuilder()
    builder.memory(MemoryType(1, None, False))
    second = builder.memory(MemoryType(1, None, False))
    builder.data(SegmentMode.ACTIVE, bytes([1, 2, 3, 4]), second, Code().emit("i32.const", 300))
    code = Code().emit("i32.const", 0).access("i32.load", 300, second)
    index = builder.function(FuncType((), (I32,)), code)
    builder.export("run", ExternKind.FUNCTION, index)
    assert run(builder) == 0x04030201


def test_exceptions_are_thrown_and_caught() -> None:
    builder = ModuleBuilder()
    tag = builder.tag(FuncType((I32,), ()))
    code = Code().block("block", (), (I32,))
    code.emit("try_table", FuncType((), ()), (Catch(CatchKind.CATCH, tag, 0),))
    code.emit("i32.const", 42).emit("throw", tag).emit("end").emit("unreachable").emit("end")
    builder.export("run", ExternKind.FUNCTION, builder.function(FuncType((), (I32,)), code))
    assert run(builder) == 42


def test_tables_globals_and_start_functions() -> None:
    builder = ModuleBuilder()
    table = builder.table(TableType(ValType.FUNCREF, 4, 4, False))
    count = builder.global_(GlobalType(I32, True), Code().emit("i32.const", 20))
    type_ = FuncType((), (I32,))
    target = builder.function(type_, Code().emit("global.get", count).emit("i32.const", 1).emit("i32.add"))
    start = builder.function(FuncType((), ()), Code().emit("i32.const", 99).emit("global.set", count))
    call = Code().emit("i32.const", 3).emit("call_indirect", builder.type(type_), table)
    index = builder.function(type_, call)
    builder.element(SegmentMode.ACTIVE, [target], table, Code().emit("i32.const", 3))
    builder.start(start)
    builder.export("run", ExternKind.FUNCTION, index)
    assert run(builder) == 100


def test_imports_of_every_kind_come_first_in_their_index_space() -> None:
    builder = ModuleBuilder()
    nothing = FuncType((), ())
    assert builder.import_function("env", "f", nothing) == 0
    assert builder.import_memory("env", "m", MemoryType(1, 2, False)) == 0
    assert builder.import_table("env", "t", TableType(ValType.EXTERNREF, 0, None, True)) == 0
    assert builder.import_global("env", "g", GlobalType(I64, False)) == 0
    assert builder.import_tag("env", "e", nothing) == 0
    assert builder.function(nothing, Code()) == 1
    assert builder.memory(MemoryType(1, None, True)) == 1
    builder.custom("note", b"made by hand")
    again = load_module(builder.encode())
    assert without_offsets(again) == without_offsets(builder.module())


def test_an_import_behind_own_entries_is_our_mistake() -> None:
    builder = ModuleBuilder()
    builder.function(FuncType((), ()), Code())
    with pytest.raises(InternalError, match=r"env\.late"):
        builder.import_function("env", "late", FuncType((), ()))


def test_a_declared_function_must_be_defined() -> None:
    builder = ModuleBuilder()
    builder.declare(FuncType((), ()))
    with pytest.raises(InternalError, match="never defined"):
        builder.encode()


def test_unknown_mnemonics_are_refused() -> None:
    with pytest.raises(KeyError):
        Code().emit("i32.addd")


def test_code_can_be_put_together() -> None:
    first = Code().emit("nop")
    both = Code(first).extend(first)
    assert len(first) == 1
    assert [entry.op.mnemonic for entry in both.finished()] == ["nop", "nop", "end"]
