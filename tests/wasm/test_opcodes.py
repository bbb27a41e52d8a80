"""The instruction table against an independent reader of it: Wasmtime's assembler and validator."""

from __future__ import annotations

import pytest

from tests.wasm.corpus import assemble
from ttd.engine.validate import load_module
from ttd.errors import InvalidModule
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.decode import decode
from ttd.wasm.disasm import spell
from ttd.wasm.model import FuncType, Instruction, MemoryType, SegmentMode, ValType
from ttd.wasm.opcodes import (
    BY_CODE,
    BY_MNEMONIC,
    OPCODES,
    Catch,
    CatchKind,
    Immediates,
    Opcode,
)

TWO = FuncType((ValType.I32,), (ValType.I32, ValType.F64))
SAMPLES: dict[Immediates, tuple[object, ...]] = {
    Immediates.NONE: (),
    Immediates.BLOCK: (TWO,),
    Immediates.IF: (FuncType((), (ValType.I64,)),),
    Immediates.TRY_TABLE: (
        FuncType((), ()),
        (
            Catch(CatchKind.CATCH, 1, 0),
            Catch(CatchKind.CATCH_REF, 0, 0),
            Catch(CatchKind.CATCH_ALL, None, 0),
            Catch(CatchKind.CATCH_ALL_REF, None, 0),
        ),
    ),
    Immediates.LABEL: (0,),
    Immediates.LABEL_TABLE: ((0, 1, 0), 1),
    Immediates.FUNC: (300,),
    Immediates.CALL_INDIRECT: (2, 1),
    Immediates.LOCAL: (5,),
    Immediates.GLOBAL: (1,),
    Immediates.TABLE: (1,),
    Immediates.TAG: (1,),
    Immediates.SELECT: ((ValType.EXTERNREF,),),
    Immediates.REF_TYPE: (ValType.EXNREF,),
    Immediates.MEMARG: (1, 0, 70000),
    Immediates.MEMARG_LANE: (0, 0, 3, 1),
    Immediates.MEMORY: (1,),
    Immediates.MEMORY_INIT: (1, 0),
    Immediates.MEMORY_COPY: (1, 0),
    Immediates.DATA: (1,),
    Immediates.TABLE_INIT: (0, 1),
    Immediates.TABLE_COPY: (0, 1),
    Immediates.ELEMENT: (1,),
    Immediates.I32: (0x8000_0001,),
    Immediates.I64: (0xFFFF_FFFF_8000_0000,),
    Immediates.F32: (0xFFA0_0001,),
    Immediates.F64: (0x3FB9_9999_9999_999A,),
    Immediates.V128: (0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100,),
    Immediates.SHUFFLE: (tuple(range(31, 15, -1)),),
    Immediates.LANE: (1,),
}
"""Immediates that use the second of everything, so that swapped indices show."""

SKELETON = """(module (type (func)) (type (func (param i32) (result i32 f64))) (type (func (param i64)))
  (memory 1) (memory 1) (table 1 funcref) (table 1 funcref) (tag) (tag) (global i32 i32.const 0)
  (global i32 i32.const 0) (data "") (data "") (elem func) (elem func)
  (func {instruction} {end}))"""


def ids(op: Opcode) -> str:
    return op.mnemonic


def test_every_kind_of_immediates_has_a_sample() -> None:
    assert set(SAMPLES) == set(Immediates)


def test_codes_and_mnemonics_are_unique() -> None:
    assert len(OPCODES) == len(BY_CODE) == len(BY_MNEMONIC)


@pytest.mark.parametrize("op", [op for op in OPCODES if op.mnemonic not in ("else", "end")], ids=ids)
def test_assembling_the_spelling_gives_the_instruction_back(op: Opcode) -> None:
    """Code, mnemonic and shape of immediates are right, and so are `spell` and the readers."""
    instruction = Instruction(0, op, SAMPLES[op.immediates])
    opens = op.mnemonic in ("block", "loop", "if", "try_table")
    text = SKELETON.format(instruction=spell(instruction), end="end" if opens else "")
    body = decode(assemble(text)).functions[0].code.instructions
    assert body[0][1:] == instruction[1:]
    assert len(body) == (3 if opens else 2)


@pytest.mark.parametrize("op", [op for op in OPCODES if op.params is not None], ids=ids)
def test_signature_is_what_validation_expects(op: Opcode) -> None:
    assert op.params is not None
    assert op.results is not None
    module = _wrapped(op, op.params, op.results)
    load_module(module)
    for wrong in ((*op.results, ValType.EXTERNREF), op.results[1:] if op.results else (ValType.I32,)):
        with pytest.raises(InvalidModule):
            load_module(_wrapped(op, op.params, wrong))


@pytest.mark.parametrize("op", [op for op in OPCODES if op.access], ids=ids)
def test_access_is_the_natural_alignment(op: Opcode) -> None:
    assert op.params is not None
    assert op.results is not None
    natural = op.access.bit_length() - 1
    load_module(_wrapped(op, op.params, op.results, natural))
    with pytest.raises(InvalidModule, match="alignment"):
        load_module(_wrapped(op, op.params, op.results, natural + 1))


def test_memory_addresses_are_64_bits_wide_in_a_64_bit_memory() -> None:
    op = BY_MNEMONIC["i64.store"]
    load_module(_wrapped(op, (ValType.I64, ValType.I64), (), is64=True))


def test_only_structure_markers_are_marked() -> None:
    markers = {op.mnemonic for op in OPCODES if op.is_marker}
    assert markers == {"block", "loop", "end", "else", "try_table"}


def test_stores_are_told_from_loads() -> None:
    assert all(op.is_store == (".store" in op.mnemonic) for op in OPCODES)
    assert all((op.access > 0) == (".load" in op.mnemonic or ".store" in op.mnemonic) for op in OPCODES)


def _wrapped(
    op: Opcode,
    params: tuple[ValType, ...],
    results: tuple[ValType, ...],
    align: int = 0,
    is64: bool = False,
) -> bytes:
    """A module with a function that feeds its parameters to `op` and returns what comes out."""
    immediates = SAMPLES[op.immediates]
    if op.access:
        immediates = (0, align, 0, *immediates[3:])
    code = Code()
    for index in range(len(params)):
        code.emit("local.get", index)
    builder = ModuleBuilder()
    builder.memory(MemoryType(1, None, is64))
    for _ in range(2):
        builder.data(SegmentMode.PASSIVE, b"")
        builder.element(SegmentMode.PASSIVE, ())
    builder.function(FuncType(params, results), code.emit(op, *immediates))
    return builder.encode()
