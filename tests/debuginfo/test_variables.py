"""Variables: which are visible where, their types, and where they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.debuginfo.program import Stopped, load
from tests.support import Guests
from ttd.debuginfo import DebugInfo, Variable
from ttd.debuginfo.locations import InMemory
from ttd.debuginfo.types import AggregateType, ArrayType, EnumType

FORMATS = pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])


@pytest.fixture(scope="module")
def inner(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "expressions", "inner")
    yield stopped
    stopped.engine.close()


def declarations(variables: list[Variable]) -> list[str]:
    return [variable.type.declare(variable.name) for variable in variables]


@FORMATS
def test_scopes_nest_and_the_innermost_is_last(guest: Guests, dwarf: str) -> None:
    debug = DebugInfo(load(guest("expressions", "-O0", dwarf)))
    (function,) = debug.find_functions("check")
    _, (inner,) = debug.pcs_for_line("expressions.c", guest.line("expressions", "inner"))
    _, (outer,) = debug.pcs_for_line("expressions.c", guest.line("expressions", "outer"))
    outermost = [
        "int local",
        "int count",
        "int other",
        "int *pointer",
        "int **handle",
        "struct list *node",
        "int shadow",
        "int variable[]",
    ]
    assert declarations(debug.variables(function, outer)) == outermost
    assert declarations(debug.variables(function, inner))[:8] == outermost
    nested = debug.variables(function, inner)[8:]
    assert [(v.name, v.depth) for v in nested] == [("shadow", 1), ("computed", 1)]


def test_parameters_come_in_order_and_know_where_they_are_declared(guest: Guests) -> None:
    debug = DebugInfo(load(guest("calls")))
    (function,) = debug.find_functions("apply")
    parameters = debug.parameters(function)
    assert declarations(parameters) == ["int (*function)(int, int)", "int a", "int b"]
    assert all(parameter.is_parameter and not parameter.is_global for parameter in parameters)
    location = parameters[0].location
    assert location is not None and location.line == guest.line("calls", "indirect") - 1


def test_globals_include_static_ones_and_leave_out_what_the_linker_dropped(guest: Guests) -> None:
    debug = DebugInfo(load(guest("expressions")))
    names = [variable.name for variable in debug.globals_()]
    assert {"global", "big", "table", "all", "words"} <= set(names)
    assert all(
        variable.fixed_address is None or variable.fixed_address < 0xFFFF0000 for variable in debug.globals_()
    )


def test_a_global_lies_at_its_address(inner: Stopped) -> None:
    variable = inner.debug.find_global("big")
    assert variable is not None and variable.is_global
    place = variable.locate(inner.context())
    assert isinstance(place, InMemory)
    data = inner.context().read_memory(place.address, 8)
    assert int.from_bytes(data, "little", signed=True) == -9007199254740993


def test_types_are_found_by_name(inner: Stopped) -> None:
    find = inner.debug.find_type
    everything = find("struct everything")
    assert isinstance(everything, AggregateType)
    assert [member.name for member in everything.members][:3] == ["shape", "packed", "suit"]
    suit = find("enum suit")
    assert isinstance(suit, EnumType)
    assert suit.enumerators == (("CLUBS", 0), ("DIAMONDS", 1), ("HEARTS", 10), ("SPADES", 11))
    level = find("enum level")
    assert isinstance(level, EnumType) and level.is_signed and level.enumerators[0] == ("LOW", -1)
    assert find("struct nosuch") is None
    operation = find("operation_t")
    assert operation is not None and operation.strip().name == "int (*)(int, int)"


@FORMATS
def test_bit_fields_have_their_bits_and_flexible_arrays_no_count(guest: Guests, dwarf: str) -> None:
    debug = DebugInfo(load(guest("expressions", "-O0", dwarf)))
    packed = debug.find_type("struct packed")
    assert isinstance(packed, AggregateType)
    places = [(m.name, m.offset * 8 + m.bit_offset, m.bit_size) for m in packed.members if m.name]
    assert places == [("small", 0, 3), ("mid", 3, 7), ("wide", 12, 40), ("on", 52, 1)]
    everything = debug.find_type("struct everything")
    assert isinstance(everything, AggregateType)
    matrix, trailing = everything.members[-2].type, everything.members[-1].type
    assert isinstance(matrix, ArrayType) and matrix.name == "int [2][3]" and matrix.size == 24
    assert isinstance(trailing, ArrayType) and trailing.count is None and trailing.size is None


def test_members_are_found_through_anonymous_ones(inner: Stopped) -> None:
    shape = inner.debug.find_type("struct shape")
    assert isinstance(shape, AggregateType)
    path = shape.find("height")
    assert path is not None
    assert [(member.name, member.offset) for member in path] == [("", 8), ("", 0), ("height", 4)]
    assert shape.find("red") is None


def test_enumerators_are_found_by_name(inner: Stopped) -> None:
    found = inner.debug.enumerator("HEARTS")
    assert found is not None and found[0] == 10 and found[1].name == "enum suit"
    assert inner.debug.enumerator("NOSUCH") is None


def test_a_pc_and_an_address_have_symbols(inner: Stopped) -> None:
    frame = inner.state.frames[-1]
    start = inner.debug.module.functions[frame.function].code.start
    assert inner.debug.code_symbol(start) == "check"
    assert inner.debug.code_symbol(start + 9) == "check+9"
    assert inner.debug.code_symbol(3) is None
    table = inner.debug.find_global("table")
    assert table is not None and table.fixed_address is not None
    assert inner.debug.symbol_at(table.fixed_address + 8, frame.pc) == "table+8"
    assert inner.debug.symbol_at(12, frame.pc) is None


def test_optimised_code_is_read_without_complaint(guest: Guests) -> None:
    debug = DebugInfo(load(guest("expressions", "-O2")))
    for function in debug.module.functions:
        if function.body is not None:
            debug.variables(function.index, function.code.start)
            debug.line_starts(function.index)
            debug.function_type(function.index)
    assert debug.globals_()
    assert list(debug.problems) == []
