"""Arithmetic and memory access, held against Wasmtime; the NaN rule; operations that numerics compiles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.interpreter.rig import machine
from ttd.engine.protocol import Goal
from ttd.interpreter import integers
from ttd.interpreter.code import Trapped
from ttd.interpreter.numerics import Numerics
from ttd.types import TrapKind
from ttd.wasm.model import ValType
from ttd.wasm.opcodes import BY_MNEMONIC, OPCODES, Immediates, Opcode

BITS = {ValType.I32: 32, ValType.I64: 64, ValType.F32: 32, ValType.F64: 64, ValType.V128: 128}
MANY = settings(max_examples=1500, deadline=None)


def numbers(bits: int) -> st.SearchStrategy[int]:
    """Bit patterns, with those near the borders of every width among them."""
    near = [
        (base + delta) % (1 << bits)
        for base in (0, 1 << 7, 1 << 15, 1 << 31, 1 << 63)
        for delta in (-1, 0, 1)
    ]
    return st.one_of(st.sampled_from(near), st.integers(0, (1 << bits) - 1), st.integers(0, 70))


@pytest.fixture(scope="module", autouse=True)
def nothing_outlives_the_tests() -> Iterator[None]:
    yield
    numerics().close()
    numerics.cache_clear()
    _function.cache_clear()


@cache
def numerics() -> Numerics:
    return Numerics()


IN_PYTHON = sorted(name for name in integers.EXPRESSIONS if name != "ref.is_null")


@MANY
@given(st.sampled_from(IN_PYTHON), st.data())
def test_what_python_computes_is_what_wasmtime_computes(mnemonic: str, data: st.DataObject) -> None:
    op = BY_MNEMONIC[mnemonic]
    operands = [data.draw(numbers(BITS[type_])) for type_ in op.params or ()]
    lanes: tuple[int, ...] = ()
    if op.immediates is Immediates.LANE:
        lanes = (data.draw(st.integers(0, int(mnemonic.split(".")[0].split("x")[1]) - 1)),)
    ours, theirs = [*operands, 0, 0], [*operands, 0, 0]
    outcome = _outcome(lambda: integers.make(mnemonic, 0, 1, 5, *lanes)(ours))
    expected = _by_wasmtime(op, lanes, theirs)
    assert outcome == expected
    assert ours[0] == theirs[0]
    assert ours[1 : len(operands)] == operands[1:]


def _outcome(operation: object) -> object:
    try:
        return operation()  # type: ignore[operator]
    except ZeroDivisionError:
        return "integer divide by zero"
    except Trapped as trapped:
        return trapped.kind.value


def _by_wasmtime(op: Opcode, immediates: tuple[object, ...], registers: list[int]) -> object:
    if not op.mnemonic.endswith(("div_s", "div_u", "rem_s", "rem_u")):
        return numerics().make(op, immediates, 0, 5)(registers)
    # These trap, for reasons that `Numerics` does not expect: call them the slow way.
    width = op.mnemonic[:3]
    text = (
        f'(func (export "f") (param {width} {width}) (result {width}) local.get 0 local.get 1 {op.mnemonic})'
    )
    bits = BITS[ValType[width.upper()]]
    try:
        result = _function(text)(*[number - (number >> (bits - 1) << bits) for number in registers[:2]])
    except wasmtime.Trap as trap:
        return "integer divide by zero" if "divide by zero" in trap.message else "integer overflow"
    registers[0] = result % (1 << bits)
    return 5


@cache
def _function(text: str) -> object:
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, f"(module {text})"), [])
    exported = instance.exports(store)["f"]
    return lambda *arguments: exported(store, *arguments)  # type: ignore[operator]


NUMERIC = [
    op
    for op in OPCODES
    if op.params and op.results and not op.access and op.mnemonic not in integers.EXPRESSIONS
]


@pytest.mark.parametrize("op", NUMERIC, ids=lambda op: op.mnemonic)
def test_every_other_numeric_instruction_has_a_compiled_function(op: Opcode) -> None:
    immediates: tuple[object, ...] = (tuple(range(16)),) if op.immediates is Immediates.SHUFFLE else ()
    registers = [3] * len(op.params or ()) + [77]
    assert numerics().make(op, immediates, 0, 11)(registers) == 11
    assert 0 <= registers[0] < 1 << BITS[(op.results or ())[0]]
    assert registers[1:] == [3] * (len(op.params or ()) - 1) + [77]


def compute(mnemonic: str, *operands: int) -> int:
    registers = [*operands, 0]
    numerics().make(BY_MNEMONIC[mnemonic], (), 0, 0)(registers)
    return registers[0]


NAN32, NAN64 = 0x7FC00000, 0x7FF8000000000000
ODD32, ODD64 = 0xFF812345, 0xFFF0123456789ABC  # signalling and negative, with payloads


def test_arithmetic_makes_the_canonical_nan() -> None:
    for name in ("add", "sub", "mul", "div", "min", "max"):
        assert compute(f"f32.{name}", ODD32, 0x3F800000) == NAN32
        assert compute(f"f64.{name}", 0x3FF0000000000000, ODD64) == NAN64
    for name in ("sqrt", "ceil", "floor", "trunc", "nearest"):
        assert compute(f"f32.{name}", ODD32) == NAN32
        assert compute(f"f64.{name}", ODD64) == NAN64
    assert compute("f64.div", 0, 0) == NAN64
    assert compute("f32.demote_f64", ODD64) == NAN32
    assert compute("f64.promote_f32", ODD32) == NAN64
    assert compute("f32x4.add", ODD32, 0) == NAN32


def test_moves_keep_the_bits_of_a_nan() -> None:
    assert compute("f32.neg", ODD32) == ODD32 ^ 1 << 31
    assert compute("f64.abs", ODD64) == ODD64 & ~(1 << 63)
    assert compute("f64.copysign", ODD64, 0) == ODD64 & ~(1 << 63)
    assert compute("f64x2.pmin", ODD64, 0) == ODD64


def test_a_trapping_conversion_can_be_used_again() -> None:
    for _ in range(3):
        with pytest.raises(Trapped) as trapped:
            compute("i32.trunc_f64_s", NAN64)
        assert trapped.value.kind is TrapKind.INVALID_CONVERSION
        assert compute("i32.trunc_f64_s", 0xC008000000000000) == 0xFFFFFFFD


# --- memory access ---------------------------------------------------------------------------------------

ACCESSES = [op for op in OPCODES if op.access]
CONTENTS = bytes((7 * number + number // 3) % 256 for number in range(256))


def access_text(op: Opcode, lane: int) -> str:
    """A function of an address and a vector, which gives what was loaded or stored as two i64."""
    escaped = "".join(f"\\{byte:02x}" for byte in CONTENTS)
    value = {
        "i": "(i32.wrap_i64 (local.get 1))",
        "I": "(local.get 1)",
        "f": "(f32.reinterpret_i32 (i32.wrap_i64 (local.get 1)))",
    }
    value["F"], value["v"] = "(f64.reinterpret_i64 (local.get 1))", "(i64x2.splat (local.get 1))"
    letters = {ValType.I32: "i", ValType.I64: "I", ValType.F32: "f", ValType.F64: "F", ValType.V128: "v"}
    operands = " ".join(value[letters[type_]] for type_ in (op.params or ())[1:])
    lane_text = f" {lane}" if op.immediates is Immediates.MEMARG_LANE else ""
    perform = f"({op.mnemonic} offset=3{lane_text} (local.get 0) {operands})"
    result = {
        None: "(i64.load offset=3 (local.get 0)) (i64.load offset=11 (local.get 0))",
        ValType.I32: "i64.extend_i32_u (i64.const 0)",
        ValType.I64: "(i64.const 0)",
        ValType.F32: "i32.reinterpret_f32 i64.extend_i32_u (i64.const 0)",
        ValType.F64: "i64.reinterpret_f64 (i64.const 0)",
        ValType.V128: "local.tee 2 i64x2.extract_lane 0 (i64x2.extract_lane 1 (local.get 2))",
    }[op.results[0] if op.results else None]
    return f"""(module (memory 1) (data (i32.const 0) "{escaped}")
      (func (export "main") (param i32 i64) (result i64 i64) (local v128) {perform} {result}))"""


@pytest.mark.parametrize("op", ACCESSES, ids=lambda op: op.mnemonic)
def test_loads_and_stores_do_what_wasmtime_does_aligned_or_not(op: Opcode) -> None:
    lane = 16 // op.access - 1 if op.immediates is Immediates.MEMARG_LANE else 0
    text = access_text(op, lane)
    for address in (*range(24, 34), 200):
        value = 0xF1E2D3C4B5A69788
        store = wasmtime.Store()
        instance = wasmtime.Instance(store, wasmtime.Module(store.engine, text), [])
        expected = instance.exports(store)["main"](store, address, value - (1 << 64))  # type: ignore[operator]
        ending = machine(text, address, value).run(Goal()).ending
        assert ending is not None
        assert ending.results == tuple(number % (1 << 64) for number in expected)
