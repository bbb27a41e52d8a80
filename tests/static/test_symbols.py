"""Symbols: functions and data of a module with their addresses and sizes."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.static.symbols import UNNAMED, Symbol, SymbolKind, UnitTotal, data_objects, functions, totals
from ttd.wasm.leb128 import read_u32


@pytest.mark.parametrize("flags", [("-O0",), ("-O2",), ("-O2", "-g0")])
def test_functions_fill_the_code_section(guest: Guests, flags: tuple[str, ...]) -> None:
    module = load(guest("calls", *flags))
    (section,) = [section for section in module.sections if section.id == 10]
    _, behind_count = read_u32(module.data, section.offset)
    symbols = list(functions(DebugInfo(module)))
    assert sum(symbol.size for symbol in symbols) == section.offset + section.size - behind_count
    assert len(symbols) == sum(function.body is not None for function in module.functions)
    assert all(symbol.size > 0 for symbol in symbols)


def test_a_function_is_at_its_first_instruction_and_knows_its_unit(guest: Guests) -> None:
    debug = DebugInfo(load(guest("inlined")))
    (report,) = [symbol for symbol in functions(debug) if symbol.name == "report"]
    function = debug.module.function_at(report.address)
    assert function is not None and function.code.instructions[0].offset == report.address
    assert (report.kind, report.unit) == (SymbolKind.FUNCTION, "inlined.c")


@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
def test_data_are_globals_and_statics_of_functions(guest: Guests, dwarf: str) -> None:
    debug = DebugInfo(load(guest("structs", "-O0", dwarf)))
    found = {symbol.name: symbol for symbol in data_objects(debug) if symbol.unit == "structs.c"}
    own = {variable.name: variable for variable in debug.globals_() if variable.name in found}
    assert {"banner", "head", "counter"} <= set(own)
    for name, variable in own.items():
        assert (found[name].address, found[name].size) == (variable.fixed_address, variable.type.size)


def test_what_is_static_in_a_function_has_its_name_before_its_own(guest: Guests) -> None:
    symbols = {symbol.name: symbol for symbol in data_objects(DebugInfo(load(guest("expressions"))))}
    (name,) = [name for name in symbols if name.endswith("::calls")]
    assert symbols[name].size == 4 and symbols[name].unit == "expressions.c"


def test_string_literals_are_data_without_a_name(guest: Guests) -> None:
    found = list(data_objects(DebugInfo(load(guest("hello")))))
    texts = [symbol.size for symbol in found if symbol.unit == "hello.c" and symbol.name == UNNAMED]
    assert texts == [len("hello from %s, %d arguments\n") + 1]


@pytest.mark.parametrize("name", ["structs", "hello"])
def test_data_are_those_of_llvm_dwarfdump(guest: Guests, name: str) -> None:
    """With DWARF 4: of DWARF 5's indirect addresses of a WebAssembly module, LLVM 14 shows the index only."""
    tool = shutil.which("llvm-dwarfdump")
    if tool is None:
        pytest.skip("llvm-dwarfdump is not installed (Debian: llvm)")
    path = guest(name, "-O0", "-gdwarf-4")
    text = subprocess.run([tool, "--debug-info", path], capture_output=True, text=True, check=True).stdout
    entries = re.split(r"\n0x[0-9a-f]{8}:", text)
    expected = {
        int(match[1], 16)
        for entry in entries
        if "DW_TAG_variable" in entry
        for match in [re.search(r"DW_AT_location\s+\(DW_OP_addr 0x([0-9a-f]+)\)", entry)]
        if match is not None
    } - {0xFFFFFFFF, 0xFFFFFFFE}
    assert len(expected) > 5
    assert {symbol.address for symbol in data_objects(DebugInfo(load(path)))} == expected


def test_without_debug_information_there_are_functions_only(guest: Guests) -> None:
    debug = DebugInfo(load(guest("inlined", "-O0", "-g0")))
    assert "report" in {symbol.name for symbol in functions(debug)}
    assert {symbol.unit for symbol in functions(debug) if symbol.name == "report"} == {""}
    bare = replace(debug.module, customs=())
    assert {symbol.unit for symbol in functions(DebugInfo(bare))} == {""}
    assert list(data_objects(DebugInfo(bare))) == []


def test_totals_add_up_by_unit_largest_first() -> None:
    found = [
        Symbol(SymbolKind.FUNCTION, "f", 0x10, 30, "a.c"),
        Symbol(SymbolKind.FUNCTION, "g", 0x40, 20, "b.c"),
        Symbol(SymbolKind.DATA, "x", 0x400, 100, "b.c"),
        Symbol(SymbolKind.FUNCTION, "h", 0x60, 5, "b.c"),
        Symbol(SymbolKind.FUNCTION, "start", 0x70, 1, ""),
    ]
    assert totals(found) == [
        UnitTotal("b.c", 2, 25, 1, 100), UnitTotal("a.c", 1, 30, 0, 0), UnitTotal("", 1, 1, 0, 0),
    ]  # fmt: skip
    assert totals([]) == []
