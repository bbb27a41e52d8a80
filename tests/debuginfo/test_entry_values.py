"""Values that parameters had at entry (DW_OP_entry_value): known while their local still holds them."""

from __future__ import annotations

import pytest

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.locations import ALWAYS, LocationProgram, LocationRange

WRITES = ("local.set", "local.tee")


@pytest.fixture(scope="module")
def debug(guest: Guests) -> DebugInfo:
    return DebugInfo(load(guest("calls", "-O2")))


def alive(debug: DebugInfo, function: int, local: int) -> LocationProgram:
    """Where ``DW_OP_entry_value(local)`` is known."""
    unit, reader = debug._all_units[0], debug._reader
    assert reader is not None
    nested = [0xED, 0x00, local, 0x9F]  # DW_OP_WASM_location 0 local, DW_OP_stack_value
    operations = reader._compile([0xA3, len(nested), *nested, 0x9F], unit)
    program = LocationProgram((LocationRange(*ALWAYS, operations),))
    return reader.alive(program, function, debug.module.functions[function].code.start)


def writes(debug: DebugInfo, function: int, local: int) -> list[int]:
    code = debug.module.functions[function].code
    return [i.offset for i in code.instructions if i.op.mnemonic in WRITES and i.immediates[0] == local]


def test_an_argument_is_known_until_its_local_is_written(debug: DebugInfo) -> None:
    written = kept = 0
    for function in debug.module.functions:
        for local in range(len(function.type.params) if function.body is not None else 0):
            found = alive(debug, function.index, local)
            first = next(iter(writes(debug, function.index, local)), None)
            assert found.at(function.code.start) == (("WASM_location", (0, local)), ("stack_value", ()))
            if first is None:
                kept += found.at(function.code.rests[-1]) is not None
            else:
                written += 1
                assert all(found.at(pc) is None for pc in function.code.rests if pc > first)
    assert kept > 50 and written > 20


def test_of_a_local_that_is_no_parameter_it_is_not_known(debug: DebugInfo) -> None:
    function = next(f for f in debug.module.functions if f.body is not None and len(f.local_types) > 4)
    local = len(function.local_types) - 1
    (part,) = alive(debug, function.index, local).ranges
    assert part.operations[0] == ("entry_value", (local,))
