"""The NaN rule in instrumented code: nobody can tell it from canonicalising after every operation."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.instrument.floats import (
    NUMERIC,
    every_use,
    lane_count,
    one_operation,
    one_store,
    operands,
    program,
)
from ttd.engine.compiled import CompiledEngine
from ttd.engine.protocol import Goal, Invocation, Program
from ttd.engine.validate import load_module
from ttd.instrument.program import Instrumented
from ttd.interpreter import Interpreter
from ttd.state import Memory, Snapshot
from ttd.types import Position, Value
from ttd.wasm.decode import decode
from ttd.wasm.model import Module, ValType
from ttd.wasm.opcodes import Immediates, Opcode

FAR = Goal(until=Position(1 << 40))


class NoHost:
    """For programs without imports."""

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        raise AssertionError("there is nothing to call")

    def seek(self, event: int) -> None:
        pass


def program_of(data: bytes) -> Program:
    module = load_module(data)
    return Program(module, (Invocation(main_of(module)),))


def main_of(module: Module) -> int:
    return next(export.index for export in module.exports if export.name == "main")


# --- whole programs ---------------------------------------------------------------------------------------


def assert_same_result(data: bytes) -> None:
    """Results, memory and globals at the end are those of the interpreter."""
    exact = Interpreter(program_of(data), NoHost())
    compiled = CompiledEngine(program_of(data), NoHost(), near=0, replaying=False)
    try:
        ends = [engine.run(FAR).ending for engine in (exact, compiled)]
        assert ends[0] is not None and ends[1] is not None
        assert ends[0].results == ends[1].results
        assert ends[0].trap == ends[1].trap
        states = [Snapshot.capture(engine.state) for engine in (exact, compiled)]
        assert states[0].memories == states[1].memories
        assert states[0].globals == states[1].globals
    finally:
        exact.close()
        compiled.close()


def assert_same_states(data: bytes, every: int) -> None:
    """Frozen and thawed every so many ticks, frames are those of the interpreter, with all live locals."""
    exact = Interpreter(program_of(data), NoHost())
    compiled = CompiledEngine(program_of(data), NoHost(), near=0)
    try:
        tick, ended = 0, False
        while not ended:
            tick += every
            stops = [engine.run(Goal(until=Position(tick))) for engine in (exact, compiled)]
            assert stops[0] == stops[1]
            assert_same_state(*(Snapshot.capture(engine.state) for engine in (exact, compiled)))
            ended = stops[0].ending is not None
    finally:
        exact.close()
        compiled.close()


def assert_same_state(exact: Snapshot, compiled: Snapshot) -> None:
    assert exact.memories == compiled.memories
    assert exact.globals == compiled.globals
    assert len(exact.frames) == len(compiled.frames)
    for one, other in zip(exact.frames, compiled.frames, strict=True):
        assert (one.function, one.pc, one.entry) == (other.function, other.pc, other.entry)
        assert one.operands == other.operands
        for value, spilled in zip(one.locals, other.locals, strict=True):
            assert value == spilled or 0 in (value, spilled)  # dead ones are zero


@given(st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_results_are_those_of_canonicalising_every_time(choose: random.Random) -> None:
    assert_same_result(program(choose))


@given(st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=50)
def test_frames_are_right_wherever_they_are_frozen(choose: random.Random, every: int) -> None:
    assert_same_states(program(choose), every)


def test_functions_too_large_to_be_analysed_are_right_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ttd.instrument.nan.LARGEST", -1)
    for seed in range(20):
        assert_same_result(program(random.Random(seed)))
        assert_same_states(program(random.Random(seed)), 3)
    assert mended(SUM) == ["f64.mul", "f64.add"]


def test_the_programs_would_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the tests above against programs that never show a NaN."""
    monkeypatch.setattr("ttd.instrument.nan.makes_nans", lambda instructions: False)
    failures = 0
    for seed in range(40):
        try:
            assert_same_result(program(random.Random(seed)))
        except AssertionError:
            failures += 1
    assert failures >= 5


def test_every_instruction_gets_computed_nans_as_it_must() -> None:
    assert_same_result(every_use())


# --- single operations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in NUMERIC if op.mnemonic[0] == "f"], ids=lambda op: op.mnemonic)
def test_each_operation_gives_what_wasmtime_gives_by_its_own_switch(op: Opcode) -> None:
    """Operands are NaNs of all kinds, infinities of both signs, and numbers."""
    choose = random.Random(op.code)
    lanes = lane_count(op) if op.immediates is Immediates.LANE else 1
    for round_ in range(4):
        assert_same_result(one_operation(op, operands(op, choose), round_ % lanes))


# --- stores -----------------------------------------------------------------------------------------------

STORES = """(memory (export "memory") 1 1) (memory $other (export "other") 1 1)
  (data (i32.const 0) "\\01\\00\\00\\00\\00\\00\\f0\\ff" "\\00\\00\\00\\00\\00\\00\\f0\\7f"
    "\\00\\00\\00\\00\\00\\00\\f0\\ff" "\\ff\\ff\\ff\\ff\\ff\\ff\\ef\\7f" "\\01\\00\\80\\7f"
    "\\01\\00\\80\\ff" "\\00\\00\\80\\ff" "\\ff\\ff\\7f\\ff")
  (func (export "main") (local $nan f64) (local $single f32) (local $to i32) (loop)
    (local.set $nan (f64.div (f64.load (i32.const 8)) (f64.load (i32.const 8))))
    (local.set $single (f32.demote_f64 (local.get $nan)))
    (local.set $to (i32.const 64))
    %s)"""
"""A program that does something with computed NaNs and with loaded ones: at 0 a signaling NaN, infinities and
the largest f64; from 32 on likewise two NaNs, an infinity and the lowest f32."""


@pytest.mark.parametrize(
    "body",
    [
        # over each other
        "(f64.store (local.get $to) (f64.sqrt (local.get $nan)))"
        "(f64.store offset=4 (local.get $to) (f64.neg (local.get $nan)))"
        "(f32.store offset=7 (local.get $to) (local.get $single))"
        "(f64.store offset=8 align=1 (local.get $to) (f64.load offset=3 (local.get $to)))",
        # read before the next
        "(f64.store (local.get $to) (local.get $nan))"
        "(i64.store offset=8 (local.get $to) (i64.load (local.get $to)))"
        "(f32.store (i32.const 100) (f32.add (f32.load offset=12 (local.get $to)) (local.get $single)))",
        # an address that changes in between
        "(f64.store (local.tee $to (i32.const 128))"
        " (local.tee $nan (f64.add (local.get $nan) (f64.load (local.tee $to (i32.const 0))))))",
        # the last bytes
        "(f64.store offset=65528 (i32.const 0) (local.get $nan))",
        "(f32.store offset=12 (i32.const 65520) (f32.neg (local.get $single)))",
        # another memory
        "(f64.store $other offset=16 (local.get $to) (local.get $nan))"
        "(f32.store $other offset=65500 (i32.const 32) (local.get $single))",
        # no NaNs, but nearly
        "(f64.store (local.get $to) (f64.mul (f64.load (i32.const 8)) (f64.load (i32.const 24))))"
        "(f64.store (local.get $to) (f64.mul (f64.load (i32.const 16)) (f64.load (i32.const 24))))"
        "(f64.store (local.get $to) (f64.trunc (f64.load (i32.const 24))))"
        "(f32.store offset=8 (local.get $to) (f32.trunc (f32.load (i32.const 40))))"
        "(f32.store offset=12 (local.get $to) (f32.trunc (f32.load (i32.const 44))))",
        # traps, behind NaNs that stay
        "(f64.store (local.get $to) (local.get $nan))"
        "(f64.store offset=65529 (i32.const 0) (f64.neg (local.get $nan)))",
        "(f32.store (local.get $to) (local.get $single))"
        "(f64.store offset=0xFFFFFFFB (local.get $to) (local.get $nan))",
        "(f32.store (local.get $to) (local.get $single))"
        "(f64.store offset=0xFFFFFFFF (local.get $to) (local.get $nan))",
    ],
)
def test_stored_values_are_right_in_memory(body: str) -> None:
    data = bytes(wasmtime.wat2wasm(f"(module {STORES % body})"))
    assert_same_result(data)
    assert_same_states(data, 1)


@pytest.mark.parametrize(
    "op",
    [op for op in NUMERIC if (op.results or ())[0] in (ValType.F32, ValType.F64)],
    ids=lambda op: op.mnemonic,
)
def test_what_each_operation_makes_is_right_in_memory(op: Opcode) -> None:
    """Of operands of all kinds, signaling NaNs among them."""
    choose = random.Random(op.code)
    for round_ in range(4):
        lane = round_ % lane_count(op) if op.immediates is Immediates.LANE else 0
        assert_same_result(one_store(op, [operands(op, choose) for _ in range(60)], lane))


# --- what it costs ----------------------------------------------------------------------------------------


def mended(text: str) -> list[str]:
    """The instructions of the first function whose values are mended."""
    instrumented = Instrumented(decode(bytes(wasmtime.wat2wasm(f"(module {text})"))))
    plan = instrumented.plan(0)
    return [plan.instructions[index].op.mnemonic for index in sorted({*plan.nan.behind, *plan.nan.stored})]


SUM = """(memory 1) (func (param $p i32) (result f64) (local $sum f64) (local $x f64)
  (loop $more
    (local.set $x (f64.load (local.get $p)))
    (local.set $x (f64.mul (local.get $x) (local.get $x)))
    (local.set $sum (f64.add (local.get $sum) (local.get $x)))
    (br_if $more (local.tee $p (i32.sub (local.get $p) (i32.const 8)))))
  (local.get $sum))"""


def test_a_loop_that_only_adds_up_mends_nothing_inside() -> None:
    """Although a local holds a loaded value first and a computed one later."""
    assert mended(SUM) == ["local.get"]  # the result, behind the loop


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("(f64.store (i32.const 0) (f64.add (local.get 0) (local.get 1)))", ["f64.store"]),
        ("(f64.store (i32.const 0) (local.get 0))", []),
        ("(f64.store (i32.const 0) (f64.neg (f64.add (local.get 0) (local.get 1))))", ["f64.store"]),
        ("(drop (f64.lt (f64.neg (f64.add (local.get 0) (local.get 1))) (local.get 0)))", []),
        ("(drop (i32.trunc_sat_f64_s (f64.sqrt (local.get 0))))", []),
        ("(drop (i64.reinterpret_f64 (f64.sqrt (local.get 0))))", ["f64.sqrt"]),
        ("(local.set 0 (select (f64.sqrt (local.get 1)) (local.get 0) (i32.const 1)))", []),
        (
            "(f64.store (i32.const 0) (select (f64.sqrt (local.get 1)) (local.get 0) (i32.const 1)))",
            ["f64.sqrt"],
        ),
        ("(f64.store (i32.const 0) (local.tee 0 (f64.sqrt (local.get 1))))", ["f64.store"]),
        ("(f64.store $wide (i64.const 0) (f64.sqrt (local.get 1)))", ["f64.sqrt"]),
        ("(f64.store offset=0xFFFFFFFC (i32.const 0) (f64.sqrt (local.get 1)))", ["f64.sqrt"]),
        ("(f64.store offset=0xFFFFFFFB (i32.const 0) (f64.sqrt (local.get 1)))", ["f64.store"]),
        ("(f64.store (i32.const 0) (f64.copysign (f64.sqrt (local.get 1)) (local.get 0)))", ["f64.sqrt"]),
        ("(f64.store (i32.const 0) (f64.convert_i32_s (i32.const 1)))", []),
        (
            "(v128.store (i32.const 0) (f32x4.splat (f32.demote_f64 (local.get 0))))",
            ["f32x4.splat"],
        ),
        (
            "(drop (f64x2.add (f32x4.add (local.get 2) (local.get 2)) (local.get 2)))",
            ["f32x4.add"],
        ),
        ("(drop (f32x4.add (f32x4.add (local.get 2) (local.get 2)) (local.get 2)))", []),
    ],
)
def test_values_are_mended_where_bits_become_visible(body: str, expected: list[str]) -> None:
    text = f"(memory 1) (memory $wide i64 1) (func (param f64 f64 v128) {body})"
    assert mended(text) == expected
