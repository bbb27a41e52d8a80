"""Disassembly: what it looks like, and that assembling it gives the code back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import Guests
from tests.wasm.corpus import assemble, without_offsets
from ttd.errors import InternalError
from ttd.wasm.decode import decode
from ttd.wasm.disasm import disassemble, signature, spell_f32, spell_f64
from ttd.wasm.model import Function, FuncType, Module
from ttd.wasm.names import Names

TEXT = """(module
  (type $op (func (param i32) (result i32)))
  (table 1 funcref) (memory 1) (global $count (mut i32) (i32.const 0))
  (func $double (param $x i32) (result i32) (i32.mul (local.get $x) (i32.const 2)))
  (func $main (param $n i32) (result i32) (local f64)
    block $done
      loop $again
        local.get $n
        i32.eqz
        br_if $done
        local.get $n
        i32.const -1
        call $double
        call_indirect (type $op)
        i32.load offset=8 align=1
        if (param) (result i32)
          i32.const 1
        else
          i32.const 2
        end
        local.set 0
        br $again
      end
    end
    f64.const 0.1
    local.set 1
    global.get $count
    drop
    local.get $n))"""


def test_a_function_reads_like_the_text_format() -> None:
    module = decode(assemble(TEXT))
    names = Names(module)
    lines = [str(line) for line in disassemble(module, module.functions[1], names)]
    offsets = [entry.offset for entry in module.functions[1].code.instructions]
    assert (
        signature(module, module.functions[1], names) == "func[1] main (param i32) (result i32) (local f64)"
    )
    assert [line.split("  ", 1)[1] for line in lines] == [
        "block",
        "  loop",
        "    local.get 0  ;; n",
        "    i32.eqz",
        f"    br_if 1  ;; to block end {offsets[18]:#x}",
        "    local.get 0  ;; n",
        "    i32.const -1",
        "    call 0  ;; double",
        "    call_indirect (type 0)  ;; (param i32) (result i32)",
        "    i32.load offset=8 align=1",
        "    if (result i32)",
        "      i32.const 1",
        "    else",
        "      i32.const 2",
        "    end",
        "    local.set 0  ;; n",
        f"    br 0  ;; to loop {offsets[1]:#x}",
        "  end",
        "end",
        "f64.const 0.1",
        "local.set 1",
        "global.get 0  ;; count",
        "drop",
        "local.get 0  ;; n",
        "end",
    ]
    assert lines[0].startswith(f"0x{offsets[0]:06x}  ")


def test_every_line_has_the_offset_of_its_instruction() -> None:
    module = decode(assemble(TEXT))
    function = module.functions[1]
    lines = disassemble(module, function, Names(module))
    assert [line.offset for line in lines] == [entry.offset for entry in function.code.instructions]


def test_branches_out_of_the_function_are_returns() -> None:
    module = decode(assemble("(module (func (br 0)))"))
    assert disassemble(module, module.functions[0], Names(module))[0].comment == "return"


def test_tables_of_branches_tell_all_targets() -> None:
    text = """(module (tag) (func (param i32)
        (block (loop (local.get 0) (br_table 0 1 2 0) (br_table 1)))
        (block (try_table (catch 0 0) (catch_all 1)))))"""
    module = decode(assemble(text))
    lines = disassemble(module, module.functions[0], Names(module))
    at = {line.text: line.offset for line in lines}
    ends = [line.offset for line in lines if line.text == "end"]
    tables = [line.comment for line in lines if line.text.startswith("br_table")]
    assert tables == [f"to {at['loop']:#x} {ends[1]:#x} return, else {at['loop']:#x}", f"to {ends[1]:#x}"]
    (caught,) = [line.comment for line in lines if line.text.startswith("try_table")]
    assert caught == f"to {ends[3]:#x}; to return"


def test_indices_that_mean_nothing_are_no_error() -> None:
    """A body can be looked at that no validator has seen."""
    module = decode(assemble("(module (func local.get 9 call 77 br 5 call_indirect 3 (type 0)))"))
    lines = disassemble(module, module.functions[0], Names(module))
    assert [line.comment for line in lines] == ["", "", "no such label", "no parameters, no results", ""]


def test_imported_functions_cannot_be_disassembled() -> None:
    module = decode(assemble('(module (import "env" "f" (func)))'))
    with pytest.raises(InternalError, match="has no code"):
        disassemble(module, module.functions[0], Names(module))
    assert signature(module, module.functions[0], Names(module)) == "func[0] f"


def reassembled(module: Module, function: Function) -> object:
    """The function's code, assembled from its disassembly in a module that has the same types."""

    def clause(keyword: str, types: tuple[object, ...]) -> str:
        return f"({keyword} {' '.join(map(str, types))})" if types else ""

    def use(type_: FuncType) -> str:
        return f"{clause('param', type_.params)} {clause('result', type_.results)}"

    types = "".join(f"(type (func {use(type_)}))" for type_ in module.types)
    lines = disassemble(module, function, Names(module))
    body = "\n".join(str(line).split("  ", 1)[1] for line in lines[:-1])
    locals_ = clause("local", function.code.locals)
    text = f"(module {types} (func (type {function.type_index}) {locals_}\n{body}\n))"
    return without_offsets(decode(assemble(text)).functions[0].code)


@pytest.mark.parametrize("flags", ["-O0", "-O2"])
def test_assembling_the_disassembly_of_a_program_gives_it_back(guest: Guests, flags: str) -> None:
    module = decode(guest("hello", flags).read_bytes())
    for function in module.functions:
        if function.body is not None:
            assert reassembled(module, function) == without_offsets(function.body)


SPECIAL32 = [
    0,
    1 << 31,
    0x7F80_0000,
    0xFF80_0000,
    0x7FC0_0000,
    0xFFC0_0000,
    0x7F80_0001,
    0x7F7F_FFFF,
    1,
    0x3DCCCCCD,
]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1), st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_floats_are_spelled_so_that_they_come_back(singles: list[int], doubles: list[int]) -> None:
    singles = SPECIAL32 + singles
    text = " ".join(f"f32.const {spell_f32(bits)} drop" for bits in singles)
    text += " ".join(f" f64.const {spell_f64(bits)} drop" for bits in doubles)
    body = decode(assemble(f"(module (func {text}))")).functions[0].code.instructions
    values = [entry.immediates[0] for entry in body if entry.op.mnemonic.endswith("const")]
    assert values == singles + doubles


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0x3F80_0000, "1"),
        (0x3DCC_CCCD, "0.1"),
        (0xC020_0000, "-2.5"),
        (0xFF80_0000, "-inf"),
        (0x7FC0_0000, "nan"),
    ],
)
def test_simple_floats_look_simple(bits: int, text: str) -> None:
    assert spell_f32(bits) == text
