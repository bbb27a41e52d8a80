"""Operand types, structure and landing places, against Wasmtime's validator where it can judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Guests
from tests.wasm.corpus import assemble, suite_modules
from ttd.engine.validate import load_module
from ttd.errors import InternalError, InvalidModule
from ttd.wasm.builder import Code
from ttd.wasm.decode import decode
from ttd.wasm.encode import encode
from ttd.wasm.model import Body, Function, Instruction, Module, ValType
from ttd.wasm.opcodes import BY_MNEMONIC
from ttd.wasm.typing import Typing, land, type_function

I32, I64 = ValType.I32, ValType.I64


def typed(text: str, index: int = 0) -> Typing:
    module = load_module(assemble(text))
    return type_function(module, module.functions[index])


def names(typing: Typing) -> list[str]:
    return [instruction.op.mnemonic for instruction in typing.instructions]


# --- the oracle: take all operands off the stack and put them back, before every instruction --------------


def shuffled(module: Module, function: Function) -> Function:
    """The function with code before each reachable instruction that the typing says changes nothing.

    It stores the operands of the innermost construct in new locals, last first, and loads them again. That
    validates only if the number of operands and the type of each are right.
    """
    typing = type_function(module, function)
    locals_ = list(function.code.locals)
    places: dict[tuple[ValType, int], int] = {}
    code = Code()
    for index, instruction in enumerate(typing.instructions):
        if typing.is_reachable(index):
            control = typing.controls[typing.control_of[index]]
            taken = typing.operands(index)[control.height :]
            slots = []
            for depth, type_ in enumerate(taken):
                place = places.setdefault((type_, depth), len(function.type.params) + len(locals_))
                if place == len(function.type.params) + len(locals_):
                    locals_.append(type_)
                slots.append(place)
            for slot in reversed(slots):
                code.emit("local.set", slot)
            for slot in slots:
                code.emit("local.get", slot)
        code.extend([instruction])
    return with_code(function, tuple(code), tuple(locals_))


def with_code(
    function: Function, instructions: tuple[Instruction, ...], locals_: tuple[ValType, ...]
) -> Function:
    return dataclasses.replace(function, body=Body(locals_, 0, 0, lambda: instructions))


def with_functions(module: Module, functions: Iterator[Function]) -> Module:
    return dataclasses.replace(module, functions=tuple(functions))


def check_shuffled(module: Module) -> None:
    functions = (shuffled(module, f) if f.body is not None else f for f in module.functions)
    load_module(encode(with_functions(module, functions)))


def test_operands_of_the_suites_functions_are_as_wasmtime_has_them(shared_dir: Path) -> None:
    for place, module in suite_modules(shared_dir / "spec-testsuite"):
        try:
            check_shuffled(module)
        except InvalidModule as error:
            raise AssertionError(place) from error


@pytest.mark.parametrize("flags", ["-O0", "-O2"])
def test_operands_of_a_compiled_program_are_as_wasmtime_has_them(guest: Guests, flags: str) -> None:
    check_shuffled(load_module(guest("hello", flags).read_bytes()))


def test_stacks_are_no_higher_than_the_typing_says(guest: Guests) -> None:
    """One operand more taken off, at places all over the module, must not validate."""
    module = load_module(guest("hello").read_bytes())
    drop = Instruction(0, BY_MNEMONIC["drop"], ())
    own = [function for function in module.functions if function.body is not None][:40]
    for function in own:
        typing = type_function(module, function)
        reachable = [index for index in range(len(typing.instructions)) if typing.is_reachable(index)]
        index = reachable[len(reachable) // 2]
        extra = typing.heights[index] - typing.controls[typing.control_of[index]].height + 1
        code = (*typing.instructions[:index], *[drop] * extra, *typing.instructions[index:])
        changed = with_code(function, code, function.code.locals)
        functions = (changed if f is function else f for f in module.functions)
        with pytest.raises(InvalidModule, match="nothing on stack"):
            load_module(encode(with_functions(module, functions)))


# --- structure -----------------------------------------------------------------------------------------

NESTED = """(module (func (param i32) (result i64)
  i64.const 1
  local.get 0
  if (param i64) (result i64)
    i64.const 2
    i64.add
  else
    i32.const 3
    loop (param i64 i32) (result i64)
      local.get 0
      br_if 0
      drop
    end
  end))"""


def test_constructs_know_their_ends_and_parents() -> None:
    typing = typed(NESTED)
    function, if_, loop = typing.controls
    code = names(typing)
    assert (function.op, function.parent, function.end) == (None, -1, len(code) - 1)
    assert code[if_.opener] == "if"
    assert if_.otherwise is not None
    assert code[if_.otherwise] == "else"
    assert (if_.parent, if_.end) == (0, len(code) - 2)
    assert (code[loop.opener], loop.parent, loop.otherwise) == ("loop", if_.number, None)
    assert (loop.end, code[loop.end]) == (len(code) - 3, "end")


def test_markers_belong_to_the_construct_that_they_are_part_of() -> None:
    typing = typed(NESTED)
    _, if_, loop = typing.controls
    assert typing.control_of[if_.opener] == 0
    assert if_.otherwise is not None
    assert typing.control_of[if_.otherwise] == if_.number
    assert typing.control_of[loop.opener] == if_.number
    assert typing.control_of[loop.end] == loop.number


def test_heights_count_below_the_parameters_of_a_construct() -> None:
    typing = typed(NESTED)
    _, if_, loop = typing.controls
    assert (if_.height, loop.height) == (0, 0)
    assert typing.heights[if_.opener] == 2
    assert typing.heights[if_.opener + 1] == 1
    assert typing.operands(loop.opener) == (I64, I32)


def test_a_branch_to_a_loop_goes_to_its_start_with_its_parameters() -> None:
    typing = typed(NESTED)
    loop = typing.controls[2]
    branch = names(typing).index("br_if")
    label = typing.label(branch, 0)
    assert label is loop
    assert label.is_loop
    assert (label.arity, label.label_types, label.target) == (2, (I64, I32), loop.opener)


def test_a_branch_to_a_block_goes_to_its_end_with_its_results() -> None:
    typing = typed(NESTED)
    _, if_, _ = typing.controls
    branch = names(typing).index("br_if")
    label = typing.label(branch, 1)
    assert label is if_
    assert (label.arity, label.target) == (1, if_.end)
    outermost = typing.label(branch, 2)
    assert outermost is typing.controls[0]
    assert outermost.target == len(typing.instructions) - 1
    with pytest.raises(InvalidModule, match="unknown label"):
        typing.label(branch, 3)


def test_labels_of_catch_clauses_count_from_outside_of_their_try_table() -> None:
    typing = typed("""(module (tag) (func
      (block $outer (try_table (catch 0 $outer) nop))))""")
    opener = names(typing).index("try_table")
    assert typing.label(opener, 0) is typing.controls[1]


@pytest.mark.parametrize("leave", ["unreachable", "return", "br 0", "i32.const 0 br_table 0 0"])
def test_code_behind_a_jump_is_unreachable_up_to_the_end_of_its_block(leave: str) -> None:
    typing = typed(f"(module (func (block {leave} (block nop) drop) nop))")
    code = names(typing)
    assert not typing.is_reachable(code.index("drop"))
    assert not typing.is_reachable(code.index("nop"))
    inner = typing.controls[2]
    assert inner.height == -1
    assert inner.end == code.index("drop") - 1
    assert typing.operands(code.index("drop")) == ()
    last = len(code) - 2
    assert code[last] == "nop"
    assert typing.is_reachable(last)
    assert typing.heights[last] == 0


def test_else_is_reachable_even_if_then_leaves() -> None:
    typing = typed("(module (func (param i32) (if (local.get 0) (then return) (else nop))))")
    assert typing.is_reachable(names(typing).index("nop"))
    assert not typing.is_reachable(names(typing).index("else"))


def test_imported_functions_have_no_typing() -> None:
    module = load_module(assemble('(module (import "env" "f" (func)))'))
    with pytest.raises(InternalError, match="function 0 has no code"):
        type_function(module, module.functions[0])


def test_a_module_that_was_never_validated_fails_cleanly() -> None:
    module = decode(assemble("(module (func i32.add))"))
    with pytest.raises(InvalidModule, match="underflow"):
        type_function(module, module.functions[0])


def test_deep_stacks_share_their_types() -> None:
    depth = 20_000
    code = "i32.const 1 " * depth + "i32.add " * (depth - 1)
    typing = typed(f"(module (func (result i32) {code}))")
    assert max(typing.heights) == depth
    assert typing.operands(depth) == (I32,) * depth


# --- landing -------------------------------------------------------------------------------------------


def landed(text: str) -> tuple[Function, list[tuple[str, int]]]:
    function = decode(assemble(text)).functions[0]
    return function, [(entry.op.mnemonic, entry.offset) for entry in function.code.instructions]


def test_markers_land_on_the_next_real_instruction() -> None:
    function, code = landed("(module (func (block (loop (block) nop)) return))")
    nop, return_ = dict(code)["nop"], dict(code)["return"]
    for mnemonic, offset in code:
        if offset <= nop:
            assert land(function, offset) == nop, mnemonic
        elif offset <= return_:
            assert land(function, offset) == return_, mnemonic


def test_behind_the_last_instruction_there_is_nowhere_to_land() -> None:
    function, code = landed("(module (func nop))")
    assert code[-1][0] == "end"
    assert land(function, code[-1][1]) is None
    empty, _ = landed("(module (func))")
    assert land(empty, empty.code.start) is None


def test_offsets_inside_an_instruction_land_behind_it() -> None:
    function, code = landed("(module (func (drop (i32.const 100000)) nop))")
    assert land(function, code[0][1] + 1) == code[1][1]


def test_offsets_before_the_code_land_on_its_first_instruction() -> None:
    function, code = landed("(module (func (local i32) nop))")
    assert land(function, function.code.start - 2) == code[0][1]
