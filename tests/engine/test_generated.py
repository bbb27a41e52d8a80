"""Generated programs do the same in plain Wasmtime, the interpreter, and compiled, frozen wherever it may be.

Thousands more are tried by ``./dev stress``.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.agreement import check, check_seed
from tests.engine.generator import generate
from ttd.engine.validate import load_module
from ttd.instrument.sites import FunctionPlan
from ttd.wasm.opcodes import OPCODES

SEEDS = range(24)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_ways_of_running_a_program_agree(seed: int) -> None:
    check_seed(seed)


@pytest.mark.parametrize("seed", range(100, 108))
def test_programs_agree_where_sites_share_their_code(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As large functions do."""
    monkeypatch.setattr(FunctionPlan, "share_from", 0)
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
    for seed in range(150):
        module = load_module(generate(random.Random(seed).randrange, 80).binary)
        for function in module.functions:
            if function.body is not None:
                found |= {instruction.op for instruction in function.body.instructions}
    missing = {op.mnemonic for op in OPCODES} - {op.mnemonic for op in found}
    assert len(missing) < len(OPCODES) // 10, sorted(missing)
    for name in ("loop", "try_table", "throw_ref", "call_indirect", "return_call", "br_table", "table.grow"):
        assert name not in missing
