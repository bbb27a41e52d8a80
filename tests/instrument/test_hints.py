"""Branch hints: each is where the proposal says, at an `if`."""

from __future__ import annotations

import random

import pytest

from tests.instrument.floats import program
from ttd.instrument.continuation import continuation
from ttd.instrument.program import Instrumented
from ttd.wasm.decode import decode
from ttd.wasm.leb128 import read_unsigned
from ttd.wasm.model import Module


def hinted(module: Module) -> dict[int, list[tuple[int, bool]]]:
    """The hints of a module, by function, read as engines read them."""
    (section,) = (custom for custom in module.customs if custom.name == "metadata.code.branch_hint")
    data, at = section.data, 0

    def number() -> int:
        nonlocal at
        value, at = read_unsigned(data, at, 32)
        return value

    hints: dict[int, list[tuple[int, bool]]] = {}
    for _ in range(number()):
        function = number()
        hints[function] = []
        for _ in range(number()):
            offset, size, likely = number(), number(), number()
            assert size == 1
            hints[function].append((offset, bool(likely)))
    assert at == len(data)
    return hints


def assert_at_ifs(module: Module) -> None:
    hints = hinted(module)
    assert hints
    assert list(hints) == sorted(hints)
    starts = body_starts(module)
    for function, entries in hints.items():
        code = module.functions[function].code
        offsets = [offset for offset, _ in entries]
        assert offsets == sorted(set(offsets))
        ifs = {i.offset for i in code.instructions if i.op.mnemonic == "if"}
        assert {starts[function] + offset for offset in offsets} <= ifs


def body_starts(module: Module) -> dict[int, int]:
    """Where each body begins, with the declarations of its locals: behind its size."""
    _, at = read_unsigned(module.data, module.code_offset, 32)
    starts = {}
    for function in module.functions:
        if function.body is not None:
            size, starts[function.index] = read_unsigned(module.data, at, 32)
            at = starts[function.index] + size
            assert at == function.code.end
    return starts


@pytest.mark.parametrize("seed", range(5))
def test_hints_are_at_ifs(seed: int) -> None:
    instrumented = Instrumented(decode(program(random.Random(seed))))
    assert_at_ifs(decode(instrumented.encode()))
    for plan in list(instrumented.plans.values()):
        for site in plan.sites[1:4]:
            assert_at_ifs(decode(continuation(instrumented, site)))
