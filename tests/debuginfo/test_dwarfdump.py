"""What ttd reads of DWARF, compared with what LLVM's own tools read: every row, range, location and frame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import pytest

from tests.debuginfo import dwarfdump
from tests.debuginfo.dwarfdump import needs_llvm
from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.lineprogram import LineRow
from ttd.debuginfo.lines import FunctionMap
from ttd.debuginfo.locations import ALWAYS, LocationProgram, Operation
from ttd.debuginfo.scopes import VariableReader
from ttd.debuginfo.sections import Problems, open_dwarf
from ttd.debuginfo.typereader import TypeReader
from ttd.debuginfo.units import Entry, Unit, Units, number_of

BUILDS = [
    ("tour", "-O0"),
    ("tour", "-O1"),
    ("tour", "-O2", "-gdwarf-5"),
    ("expressions", "-O0", "-gdwarf-5"),
    ("voyage", "-O0"),
    ("voyage", "-O1", "-gdwarf-5"),
    ("voyage", "-O2"),
    ("journey", "-O0"),
    ("journey", "-O1"),
    ("journey", "-O2"),
]


class Build:
    """A guest, its debug information as ttd reads it, and the entries in it as LLVM reads them."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.module = load(path)
        dwarf = open_dwarf(self.module)
        assert dwarf is not None
        self.units = Units(dwarf, FunctionMap(self.module), Problems())

    @cached_property
    def expected(self) -> dict[int, dwarfdump.Entry]:
        return dwarfdump.entries(self.path)

    @property
    def entries(self) -> Iterator[tuple[Unit, Entry]]:
        """Those of the guest's own units: the C library's are the same in all builds."""
        for unit in self.units.all:
            if self.name in unit.name:
                yield from ((unit, entry) for entry in unit.index.entries.values())


@pytest.fixture(scope="module", params=BUILDS, ids=" ".join)
def build(request: pytest.FixtureRequest, guest: Guests) -> Build:
    return Build(guest(*request.param), request.param[0])


@needs_llvm
def test_every_row_of_every_line_table(build: Build) -> None:
    expected = dwarfdump.line_tables(build.path)
    found: dict[int, list[list[LineRow]]] = {}
    for unit in build.units.all:
        if unit.lines is not None:
            offset = unit.top.attributes["DW_AT_stmt_list"].value
            found[offset] = list(unit.lines.sequences(is_placed))
    assert sum(map(len, found.values())) > 10
    assert found == expected


def is_placed(address: int) -> bool:
    """Not where linkers put what they dropped, which LLVM does not show."""
    return address < 0xFFFFFFFE


@needs_llvm
def test_every_range_of_every_scope(build: Build) -> None:
    count = 0
    for unit, entry in build.entries:
        other = build.expected[entry.die.offset]
        # What calls a function has an address, but no code of its own.
        if not other.is_dead and not entry.tag.endswith(("call_site", "_label")):
            found = [pair for pair in unit.ranges_of(entry.die) if is_placed(pair[0])]
            assert found == [pair for pair in other.ranges if pair[0] < pair[1]], hex(entry.die.offset)
            count += len(found)
    assert count > 10


@needs_llvm
def test_every_location_of_every_variable(build: Build) -> None:
    addresses = dwarfdump.addresses(build.path)
    reader = VariableReader(TypeReader(build.units, 4), build.module, 4)
    count = 0
    for unit, entry in build.entries:
        locations = build.expected[entry.die.offset].locations
        if locations is not None and entry.tag in ("DW_TAG_variable", "DW_TAG_formal_parameter"):
            found = written(reader.program(entry, "DW_AT_location", unit), build.module.code_offset)
            table = addresses.get(number_of(unit.top, "DW_AT_addr_base") or 0, [])
            assert found == [(a, b, plainly(text, table)) for a, b, text in locations], hex(entry.die.offset)
            count += len(found)
    assert count > 30


def written(program: LocationProgram, code_offset: int) -> list[tuple[int, int, str]]:
    return [
        (0, 0, operations_text(part.operations))
        if (part.start, part.end) == ALWAYS
        else (part.start - code_offset, part.end - code_offset, operations_text(part.operations))
        for part in program.ranges
    ]


def operations_text(operations: tuple[Operation, ...]) -> str:
    return ", ".join(" ".join([name, *map(argument_text, arguments)]) for name, arguments in operations)


def argument_text(argument: int | bytes) -> str:
    return str(argument) if isinstance(argument, int) else f"{len(argument)} " + " ".join(map(str, argument))


def plainly(text: str, addresses: Sequence[int]) -> str:
    """LLVM's form of an expression as `operations_text` has it: numbers in decimal, addresses looked up."""
    text = re.sub(r"0x([0-9a-f]+)", lambda match: str(int(match[1], 16)), text.replace("DW_OP_", ""))
    text = re.sub(r"\(\d+\) \"DW_ATE_(signed|unsigned)_(\d+)\"", _type, text.replace("<empty>", ""))
    text = re.sub(r"addrx (\d+)", lambda match: f"addr {addresses[int(match[1])]}", text)
    return re.sub(r"\+(\d)", r"\1", text)


def _type(match: re.Match[str]) -> str:
    return f"{match[2]} {int(match[1] == 'signed')}"


def claimants(build: Build, pc: int) -> list[Unit]:
    """The units that say that the code at `pc` is theirs: see `test_copies`."""
    address = pc - build.module.code_offset
    return [unit for unit in build.units.all if any(low <= address < high for low, high in unit.ranges)]


@needs_llvm
def test_the_frames_of_every_instruction(build: Build) -> None:
    """Inlined ones with the places of their calls; and lines, but where LLVM knows none (line 0)."""
    debug = DebugInfo(build.module)
    pcs = [
        pc
        for function in build.module.functions
        if function.body is not None and build.name in debug.unit_name(function.code.start)
        if len(claimants(build, function.code.start)) == 1  # LLVM shows any one's
        for pc in function.code.rests
    ]
    assert len(pcs) > 200
    offset = build.module.code_offset
    for pc, expected in zip(pcs, dwarfdump.frames(build.path, (pc - offset for pc in pcs)), strict=True):
        found = debug.source_frames(pc)
        assert len(found) == len(expected), hex(pc)
        for frame, other in zip(found, expected, strict=True):
            assert frame.name.endswith(other.name), hex(pc)
            if other.line:
                assert frame.location is not None, hex(pc)
                assert (frame.location.path, frame.location.line) == (other.path, other.line), hex(pc)
