"""Lines: from a pc to its line, from a line to its pcs, and what stripped functions leave behind."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.debuginfo.program import load
from tests.support import GUESTS, Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.lineprogram import LineEncoding, sequences
from ttd.debuginfo.lines import full_path

FORMATS = pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])


def debug_of(guest: Guests, name: str, *flags: str) -> DebugInfo:
    return DebugInfo(load(guest(name, "-O0", *flags)))


@FORMATS
@pytest.mark.parametrize("name", ["calls", "loops", "structs"])
def test_every_marked_line_has_code_that_is_of_that_line(guest: Guests, name: str, dwarf: str) -> None:
    debug = debug_of(guest, name, dwarf)
    source = guest.source(name).read_text().splitlines()
    markers = [word for text in source for word in re.findall(r"@(\w+) \*/", text)]
    assert len(markers) > 3
    for marker in markers:
        line = guest.line(name, marker)
        actual, pcs = debug.pcs_for_line(f"{name}.c", line)
        assert (actual, len(pcs)) == (line, 1)
        location = debug.location(pcs[0])
        assert location is not None
        assert (location.path, location.line) == (str(guest.source(name)), line)


@FORMATS
def test_a_line_without_code_slides_to_the_next_with_some(guest: Guests, dwarf: str) -> None:
    debug = debug_of(guest, "calls", dwarf)
    base = guest.line("calls", "base")
    leaf = debug.pcs_for_line("calls.c", 2)
    assert leaf == (4, [debug.breakpoint_pc(debug.find_functions("leaf")[0])])
    assert debug.pcs_for_line("tests/guests/calls.c", base + 3)[0] == base + 3
    assert debug.pcs_for_line("calls.c", 100_000) == (100_000, [])
    assert debug.pcs_for_line("nosuch.c", 1) == (1, [])
    assert debug.pcs_for_line("alls.c", 5) == (5, [])


def test_the_opening_line_of_a_function_means_behind_its_prologue(guest: Guests) -> None:
    debug = debug_of(guest, "calls")
    (function,) = debug.find_functions("factorial")
    opening = debug.function_location(function)
    assert opening is not None
    assert debug.pcs_for_line("calls.c", opening.line) == (opening.line, [debug.breakpoint_pc(function)])


def test_a_breakpoint_stands_behind_the_prologue_on_the_first_line_of_the_body(guest: Guests) -> None:
    debug = debug_of(guest, "calls")
    (function,) = debug.find_functions("leaf")
    pc = debug.breakpoint_pc(function)
    assert pc is not None
    location = debug.location(pc)
    assert location is not None and location.line == guest.line("calls", "leaf")
    assert pc > debug.module.functions[function].code.start


def test_line_starts_are_instructions_where_another_line_begins(guest: Guests) -> None:
    debug = debug_of(guest, "loops")
    (function,) = debug.find_functions("fill")
    starts = sorted(debug.line_starts(function))
    assert set(starts) <= set(debug.module.functions[function].code.rests)
    lines = [location.line for pc in starts if (location := debug.location(pc)) is not None]
    rows = guest.line("loops", "rows")
    assert lines == [rows - 1, rows, rows + 1, rows + 2, rows + 1, rows, rows + 3]


def test_no_line_starts_in_imports_and_unknown_code(guest: Guests) -> None:
    debug = debug_of(guest, "hello")
    imported = next(function.index for function in debug.module.functions if function.body is None)
    assert debug.line_starts(imported) == frozenset()
    assert debug.breakpoint_pc(imported) is None
    (unknown,) = debug.find_functions("__wasm_call_ctors")
    assert debug.line_starts(unknown) == frozenset()


def test_files_are_found_by_whole_components_of_their_path(guest: Guests) -> None:
    debug = debug_of(guest, "calls")
    path = str(GUESTS / "calls.c")
    assert debug.find_files("calls.c") == debug.find_files("guests/calls.c") == [path]
    assert debug.find_files(path) == [path]
    assert debug.find_files("s.c") == []
    assert path in debug.files()
    assert debug.display_path(path) == "calls.c"
    assert debug.display_path("/elsewhere/x.c") == "/elsewhere/x.c"


def test_without_dwarf_functions_are_known_by_name_and_nothing_else(guest: Guests) -> None:
    module = load(guest("calls"))
    customs = tuple(section for section in module.customs if not section.name.startswith(".debug"))
    debug = DebugInfo(replace(module, customs=customs))
    (function,) = debug.find_functions("factorial")
    start = module.functions[function].code.start
    assert not debug.has_dwarf
    assert debug.breakpoint_pc(function) == start
    assert debug.location(start) is None
    assert debug.files() == [] and debug.globals_() == []
    assert debug.variables(function, start) == [] and debug.parameters(function) == []
    assert debug.line_starts(function) == frozenset()
    assert debug.function_name(function) == "factorial"
    assert debug.function_type(function) is None
    assert "factorial" in debug.function_names()


def test_main_is_found_by_the_name_that_the_source_gives_it(guest: Guests) -> None:
    for name in ("calls", "structs"):
        debug = debug_of(guest, name)
        (main,) = debug.find_functions("main")
        assert debug.function_name(main) == "main"
        assert "main" in debug.function_names()


def test_unknown_functions_are_not_found(guest: Guests) -> None:
    debug = debug_of(guest, "calls")
    assert debug.find_functions("nosuch") == []
    assert debug.find_functions("") == []


@FORMATS
@pytest.mark.parametrize("name", ["loops", "expressions"])
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_rows_are_those_of_llvm_dwarfdump(guest: Guests, name: str, level: str, dwarf: str) -> None:
    tool = shutil.which("llvm-dwarfdump")
    if tool is None:
        pytest.skip("needs llvm-dwarfdump, which is not installed")
    path = guest(name, level, dwarf)
    debug = DebugInfo(load(path))
    base = debug.module.code_offset
    ours = {
        row.start - base: (row.line, row.column, row.is_stmt)
        for unit in debug._all_units
        if unit.lines is not None
        for row in unit.lines.rows
    }
    theirs = dwarfdump_rows(tool, path, debug)
    assert len(ours) > 2000
    assert ours == theirs


def dwarfdump_rows(tool: str, path: Path, debug: DebugInfo) -> dict[int, tuple[int, int, bool]]:
    """Rows of live functions by address; that of a function's first row is where its code starts."""
    text = subprocess.run(
        [tool, "--debug-line", str(path)], capture_output=True, text=True, check=True
    ).stdout
    code = {f.code.start - debug.module.code_offset for f in debug.module.functions if f.body is not None}
    ends = {f.code.end - debug.module.code_offset for f in debug.module.functions if f.body is not None}
    rows: dict[int, tuple[int, int, bool]] = {}
    sequence: list[tuple[int, int, int, bool]] = []
    for match in re.finditer(r"^0x(\w+) +(\d+) +(\d+) +\d+ +\d+ +\d+ +(.*)$", text, re.MULTILINE):
        sequence.append((int(match[1], 16), int(match[2]), int(match[3]), "is_stmt" in match[4].split()))
        if "end_sequence" not in match[4]:
            continue
        if sequence[-1][0] in ends:
            for (address, *rest), (following, *_) in pairwise(sequence):
                start = max(address, max((a for a in code if a < following), default=address))
                if start < following and address < following:
                    rows[start] = (rest[0], rest[1], bool(rest[2]))
        sequence = []
    return rows


def test_the_first_location_comes_quickly(guest: Guests) -> None:
    module = load(guest("structs"))
    best = min(first_location_seconds(module.data) for _ in range(3))
    assert best < 0.5


def first_location_seconds(data: bytes) -> float:
    from ttd.wasm.decode import decode

    module = decode(data)
    begin = time.perf_counter()
    debug = DebugInfo(module)
    (main,) = debug.find_functions("main")
    pc = debug.breakpoint_pc(main)
    assert pc is not None and debug.location(pc) is not None
    return time.perf_counter() - begin


# --- the line number program ---

ENCODING = LineEncoding(
    minimum_length=1,
    default_is_stmt=True,
    line_base=-5,
    line_range=14,
    opcode_base=13,
    argument_counts=(0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1),
    address_size=4,
)
SET = b"\x00\x05\x02"
END = b"\x00\x01\x01"


def run(program: bytes, live: int = 0x10) -> list[list[tuple[int, int]]]:
    rows = sequences(program, 0, len(program), ENCODING, lambda address: address >= live)
    return [[(row.address, row.line) for row in sequence] for sequence in rows]


def test_opcodes_advance_address_and_line() -> None:
    program = (
        SET + b"\x20\0\0\0" + b"\x03\x09" + b"\x01" + b"\x4b" + b"\x02\x81\x01" + b"\x08" + b"\x03\x7e\x01"
    )
    program += b"\x09\x00\x01" + END
    assert run(program) == [[(0x20, 10), (0x24, 11), (0x24 + 129 + 17, 9), (0x24 + 129 + 17 + 256, 9)]]


def test_sequences_of_dropped_functions_are_left_out() -> None:
    dead = SET + b"\0\0\0\0" + b"\x01\x4b" + END
    alive = SET + b"\x40\0\0\0" + b"\x01\x4b" + END
    gone = SET + b"\xff\xff\xff\xff" + b"\x01\x4b" + END
    rows = sequences(dead + alive + gone, 0, 60, ENCODING, lambda address: 0x10 <= address < 0x1000)
    assert [sequence[0].address for sequence in rows] == [0x40]


def test_a_program_that_breaks_off_gives_what_came_before() -> None:
    whole = SET + b"\x40\0\0\0" + b"\x01" + END
    assert run(whole + whole[:-3]) == [[(0x40, 1), (0x40, 1)]]
    cut = whole + whole[:-2]
    rows = sequences(cut, 0, len(cut), ENCODING, lambda address: True)
    assert len(next(rows)) == 2
    with pytest.raises(IndexError):
        next(rows)


def test_unknown_opcodes_are_skipped() -> None:
    program = SET + b"\x40\0\0\0" + b"\x0c\x05" + b"\x07\x0b" + b"\x00\x03\x99ab" + b"\x01" + END
    assert run(program) == [[(0x40, 1), (0x40, 1)]]


def test_paths_are_joined_and_cleaned() -> None:
    assert full_path("/home", "src/../lib", "./a.c") == "/home/lib/a.c"
    assert full_path("/home", "/abs", "a.c") == "/abs/a.c"
    assert full_path("/home", "C:\\src", "a.c") == "C:\\src/a.c"
    assert full_path("", "", "") == ""
