"""Generated programs do the same in plain Wasmtime, the interpreter, and compiled, frozen wherever it may be.

Thousands more are tried by ``./dev stress``.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.agreement import check, check_seed
from tests.engine.generator import generate
from tests.engine.plain import run_plain
from tests.engine.shrink import replayed, shrink
from ttd.engine.validate import load_module
from ttd.types import TrapKind
from ttd.wasm.opcodes import OPCODES

SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_ways_of_running_a_program_agree(seed: int) -> None:
    check_seed(seed)


@given(st.data())
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
def test_all_ways_of_running_a_small_program_agree(data: st.DataObject) -> None:
    """The same from hypothesis, which makes a failing program small."""
    program = generate(lambda count: data.draw(st.integers(0, count - 1)), size=12)
    check(program, random.Random(data.draw(st.integers(0, 1 << 16))))


def test_the_programs_are_made_of_everything() -> None:
    """Guards the tests above: nearly all instructions occur in programs, all of which are valid."""
    found = set()
    for seed in range(200):
        module = load_module(generate(random.Random(seed).randrange, 80).binary)
        for function in module.functions:
            if function.body is not None:
                found |= {instruction.op for instruction in function.body.instructions}
    missing = {op.mnemonic for op in OPCODES} - {op.mnemonic for op in found}
    assert len(missing) < len(OPCODES) // 10, sorted(missing)
    for name in (
        "table.copy",
        "memory.copy",
        "loop",
        "try_table",
        "throw_ref",
        "call_indirect",
        "return_call",
        "br_table",
        "table.grow",
    ):
        assert name not in missing


def test_the_programs_end_in_many_ways() -> None:
    """Guards the tests above, too: runs that all trap early would not show much."""
    ends: Counter[TrapKind | int] = Counter()
    for seed in range(150):
        ends[run_plain(generate(random.Random(seed).randrange, 40)).end] += 1
    assert ends[0] > 50
    exits = {end for end in ends if isinstance(end, int)}
    assert len(exits) > 1 and len(ends) - len(exits) > 6


def test_a_failing_program_is_made_small() -> None:
    rng = random.Random(1)
    choices = [rng.randrange(9) for _ in range(300)]
    fewest = shrink(choices, lambda made: sum(choice == 7 for choice in made) >= 3, seconds=60)
    assert fewest == [7, 7, 7]
    made = replayed(fewest)
    assert [made(5), made(9), made(9), made(9)] == [4, 7, 7, 0]
