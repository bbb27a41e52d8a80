"""Damaged debug information: whatever its bytes, nothing is raised and nothing hangs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.types import AggregateType, Type
from ttd.expr import StateContext, describe_type, format_value
from ttd.expr.values import TypedValue
from ttd.state import Frame, State
from ttd.types import Position
from ttd.wasm.model import CustomSection, Module

SECTIONS = (
    ".debug_info", ".debug_abbrev", ".debug_str", ".debug_line", ".debug_ranges", ".debug_loc", ".debug_addr",
    ".debug_str_offsets", ".debug_line_str", ".debug_rnglists", "name",
)  # fmt: skip


class Blank:
    """A memory of one page of zeros."""

    pages = 1

    def view(self) -> memoryview:
        return memoryview(bytearray(65536))

    def grow(self, delta: int) -> int:
        return -1


def own_unit_only(module: Module) -> Module:
    """The module with the debug information of `main`'s unit alone, so that damage hits what is looked at."""
    debug = DebugInfo(module)
    (main,) = debug.find_functions("main")
    unit = debug._unit(module.functions[main].code.start)
    assert unit is not None
    start, end = unit.cu.cu_offset, unit.cu.cu_offset + unit.cu.size

    def cut(section: CustomSection) -> CustomSection:
        return section._replace(data=section.data[start:end]) if section.name == ".debug_info" else section

    return replace(module, customs=tuple(cut(section) for section in module.customs))


def damaged(module: Module, name: str, changes: list[tuple[int, int]], length: int | None) -> Module:
    customs = []
    for section in module.customs:
        if section.name == name:
            data = bytearray(section.data[:length] if length is not None else section.data)
            for place, value in changes:
                if data:
                    data[place % len(data)] = value
            section = section._replace(data=bytes(data))
        customs.append(section)
    return replace(module, customs=tuple(customs))


def look_at_everything(module: Module, functions: list[int]) -> DebugInfo:
    debug = DebugInfo(module)
    for function in functions:
        body = module.functions[function].code
        for pc in (body.start, (body.start + body.end) // 2, body.end - 1):
            debug.location(pc)
            debug.source_frames(pc)
            state = State(
                Position(1), [Frame(function, pc, [5, 6, 7, 8], [], Position(1))], [0], [[]], [Blank()]
            )
            context = StateContext(state, debug)
            for variable in debug.variables(function, pc):
                format_value(TypedValue.of_variable(variable, context))
                describe_type(variable.type)
                walk(variable.type)
        debug.line_starts(function)
        debug.breakpoint_pc(function)
        debug.function_name(function)
        debug.function_type(function)
        debug.function_location(function)
    for variable in debug.globals_():
        walk(variable.type)
    debug.find_type("struct node", module.functions[functions[0]].code.start)
    debug.find_functions("main")
    debug.enumerator("GREEN")
    debug.pcs_for_line("structs.c", 40)
    debug.symbol_at(1 << 20, module.functions[functions[0]].code.start)
    return debug


def walk(type_: Type) -> None:
    """Names and sizes of a type and its members."""
    assert isinstance(type_.name, str)
    assert type_.size is None or type_.size >= 0
    stripped = type_.strip()
    if isinstance(stripped, AggregateType):
        stripped.find("nosuch")
        for member in stripped.members:
            assert isinstance(member.type.declare(member.name), str)


@pytest.fixture(scope="module", params=["-gdwarf-4", "-gdwarf-5"])
def small(guest: Guests, request: pytest.FixtureRequest) -> tuple[Module, list[int]]:
    module = own_unit_only(load(guest("structs", "-O0", request.param)))
    debug = DebugInfo(module)
    functions = [debug.find_functions(name)[0] for name in ("main", "push", "by_weight")]
    return module, functions


def test_the_small_module_is_whole(small: tuple[Module, list[int]]) -> None:
    module, functions = small
    debug = look_at_everything(module, functions)
    assert list(debug.problems) == []
    assert {variable.name for variable in debug.globals_()} == {"banner", "head", "counter"}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(SECTIONS),
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=12),
    length=st.none() | st.integers(0, 3000),
)
def test_flipped_and_missing_bytes_never_raise(
    small: tuple[Module, list[int]], name: str, changes: list[tuple[int, int]], length: int | None
) -> None:
    module, functions = small
    look_at_everything(damaged(module, name, changes, length), functions)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6),
    name=st.sampled_from([".debug_info", ".debug_abbrev"]),
)
def test_damage_close_to_what_is_looked_at_never_raises(
    small: tuple[Module, list[int]], name: str, changes: list[tuple[int, int]]
) -> None:
    module, functions = small
    look_at_everything(damaged(module, name, changes, None), functions)


@given(st.binary(max_size=300), st.binary(max_size=100), st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_sections_never_raise(
    small: tuple[Module, list[int]], info: bytes, abbreviations: bytes, lines: bytes
) -> None:
    module, functions = small
    sections = {".debug_info": info, ".debug_abbrev": abbreviations, ".debug_line": lines}
    customs = tuple(
        section._replace(data=sections.get(section.name, section.data)) for section in module.customs
    )
    look_at_everything(replace(module, customs=customs), functions)


def test_damage_is_told(small: tuple[Module, list[int]]) -> None:
    module, functions = small
    debug = look_at_everything(damaged(module, ".debug_abbrev", [], 10), functions)
    assert debug.problems
    assert all("\n" not in problem for problem in debug.problems)
