"""How fast the interpreter is: instructions a second, on integer code at least 500,000.

``python -m pytest tests/benchmarks -s`` prints the figures. The bound is far below what is measured on an
ordinary machine (several millions), so that a busy one does not fail.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import wasmtime

from ttd.engine.protocol import Goal, Invocation, Program, WatchProbe
from ttd.interpreter import Interpreter
from ttd.state import Memory
from ttd.types import Position, Value
from ttd.wasm.decode import decode

REQUIRED = 500_000
"""Instructions a second on integer code."""


@dataclass(frozen=True)
class Workload:
    """A program whose number of instructions is known: `setup` + `each` for every one of `rounds`."""

    text: str
    rounds: int
    each: int
    setup: int

    @property
    def instructions(self) -> int:
        return self.setup + self.each * self.rounds


# Linear congruential numbers, mixed into a checksum.
ARITHMETIC = Workload(
    """(module (func (export "main") (param i32) (result i32) (local i32 i32)
      (loop $l
        (local.set 1 (i32.add (i32.mul (local.get 1) (i32.const 1664525)) (i32.const 1013904223)))
        (local.set 2
          (i32.xor (i32.rotl (local.get 2) (i32.const 5)) (i32.shr_u (local.get 1) (i32.const 16))))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 2)))""",
    100_000,
    6 + 8 + 5,
    1,
)
# Read, change and write back numbers all over 64 KiB, as unoptimised C does with its variables.
MEMORY = Workload(
    """(module (memory 1) (func (export "main") (param i32) (result i32)
      (loop $l
        (i32.store offset=16 (i32.and (local.get 0) (i32.const 0x7ffc))
          (i32.add (i32.load offset=16 (i32.and (local.get 0) (i32.const 0x7ffc))) (local.get 0)))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (i32.load (i32.const 20))))""",
    100_000,
    10 + 5,
    2,
)
# A call in every round.
CALLS = Workload(
    """(module (func $step (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
      (func (export "main") (param i32) (result i32) (local i32)
        (loop $l
          (local.set 1 (call $step (local.get 1) (local.get 0)))
          (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 1)))""",
    100_000,
    4 + 3 + 5,
    1,
)
FLOATS = Workload(
    """(module (func (export "main") (param i32) (result f64) (local f64)
      (loop $l
        (local.set 1 (f64.add (f64.sqrt (local.get 1)) (f64.convert_i32_s (local.get 0))))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 1)))""",
    50_000,
    6 + 5,
    1,
)


class NoHost:
    """There are no imports to call."""

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        raise AssertionError("no imports")

    def seek(self, event: int) -> None:
        pass


def speed(workload: Workload, goal: Goal | None = None) -> float:
    """Instructions a second, the best of three runs."""
    module = decode(bytes(wasmtime.wat2wasm(workload.text)))
    invocation = Invocation(module.exports_by_name["main"].index, (workload.rounds,))
    best = float("inf")
    for _ in range(3):
        engine = Interpreter(Program(module, (invocation,)), NoHost())
        start = time.perf_counter()
        stop = engine.run(goal or Goal())
        best = min(best, time.perf_counter() - start)
        assert stop.ending is not None
        engine.close()
    return workload.instructions / best


@pytest.mark.parametrize("name", ["ARITHMETIC", "MEMORY", "CALLS"])
def test_integer_code_runs_fast_enough(name: str) -> None:
    measured = speed(globals()[name])
    print(f"\n{name.lower()}: {measured / 1e6:.1f} million instructions a second")
    assert measured >= REQUIRED


def test_the_counts_that_speeds_are_computed_from_are_right() -> None:
    for workload in (ARITHMETIC, MEMORY, CALLS, FLOATS):
        few = Workload(workload.text, 3, workload.each, workload.setup)
        module = decode(bytes(wasmtime.wat2wasm(few.text)))
        invocation = Invocation(module.exports_by_name["main"].index, (few.rounds,))
        engine = Interpreter(Program(module, (invocation,)), NoHost())
        count = 0
        while frames := engine.state.frames:
            body = module.functions[frames[-1].function].code
            count += frames[-1].pc in body.rests  # and not at a loop marker, at a tick
            engine.step()
        assert count == few.instructions


def test_floats_and_watched_memory_are_measured_too() -> None:
    floats = speed(FLOATS)
    watched = speed(MEMORY, Goal(probes=(WatchProbe(0, 8, 4),), remember=True))
    print(f"\nfloats: {floats / 1e6:.1f} million instructions a second")
    print(f"memory, with a watchpoint: {watched / 1e6:.1f} million instructions a second")
    assert floats >= REQUIRED / 5
    assert watched >= REQUIRED / 5
