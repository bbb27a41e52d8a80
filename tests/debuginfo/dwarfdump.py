"""The debug information of a module as LLVM's tools read it: an independent reader for tests to compare with.

The tools are those of Debian's package ``llvm``. Imports of ttd only the type of a row.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from ttd.debuginfo.lineprogram import LineRow

DWARFDUMP, SYMBOLIZER = "llvm-dwarfdump", "llvm-symbolizer"

needs_llvm = pytest.mark.skipif(
    shutil.which(DWARFDUMP) is None or shutil.which(SYMBOLIZER) is None,
    reason=f"needs {DWARFDUMP} and {SYMBOLIZER}, which are not installed (Debian: the package llvm)",
)

ROW = re.compile(r"0x([0-9a-f]{16}) +(\d+) +(\d+) +(\d+) +\d+ +\d+ +(.*)")


def _run(*command: str, text: str = "") -> list[str]:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


# --- line tables -----------------------------------------------------------------------------------------


def line_tables(path: Path) -> dict[int, list[list[LineRow]]]:
    """The sequences of every line table, by its offset in .debug_line. Their last row says no more than where
    they end."""
    tables: dict[int, list[list[LineRow]]] = {}
    rows: list[LineRow] = []
    for line in _run(DWARFDUMP, "--debug-line", str(path)):
        if line.startswith("debug_line["):
            table = tables[int(line[len("debug_line[") : -1], 16)] = []
        elif (match := ROW.match(line)) is not None:
            address, number, column, file, flags = match.groups()
            ends = "end_sequence" in flags
            rows.append(
                LineRow(
                    int(address, 16),
                    int(file),
                    int(number),
                    int(column),
                    "is_stmt" in flags and not ends,
                    "prologue_end" in flags and not ends,
                )
            )
            if ends:
                table.append(rows)
                rows = []
    return tables


# --- entries ---------------------------------------------------------------------------------------------


class Location(NamedTuple):
    """An expression, and from where to where it holds; (0, 0): everywhere."""

    start: int
    end: int
    operations: str


@dataclass
class Entry:
    """A debugging entry: where its code is, where the variable is that it describes."""

    tag: str
    ranges: list[tuple[int, int]] = field(default_factory=list)
    is_dead: bool = False
    """Whether the linker dropped its code."""
    locations: list[Location] | None = None


RANGE = re.compile(r"\s*\[0x([0-9a-f]+), 0x([0-9a-f]+)\)(?:: (.*))?")
ENTRY = re.compile(r"0x([0-9a-f]{8}): +(DW_TAG_\w+)")


def entries(path: Path) -> dict[int, Entry]:
    """Every entry by its offset in .debug_info."""
    found: dict[int, Entry] = {}
    for line in _whole_attributes(_run(DWARFDUMP, "--debug-info", str(path))):
        if (match := ENTRY.match(line)) is not None:
            entry = found[int(match[1], 16)] = Entry(match[2])
            continue
        attribute, _, value = line.strip().partition("\t")
        if value == "(dead code)":
            entry.is_dead = True
        elif attribute == "DW_AT_low_pc":
            entry.ranges = [(int(value[1:-1], 16), 0)]
        elif attribute == "DW_AT_high_pc" and not entry.is_dead:
            entry.ranges = [(entry.ranges[0][0], int(value[1:-1], 16))]
        elif attribute == "DW_AT_ranges":
            entry.ranges = [(int(low, 16), int(high, 16)) for low, high, _ in RANGE.findall(value)]
        elif attribute == "DW_AT_location":
            entry.locations = list(_locations(value))
    return found


def _whole_attributes(lines: Iterable[str]) -> Iterator[str]:
    """Attributes and heads of entries, those on several lines put together."""
    whole = ""
    for line in lines:
        if RANGE.match(line):
            whole += "\n" + line
            continue
        if whole:
            yield whole
        whole = line if line.lstrip().startswith(("DW_AT_", "0x")) else ""
    if whole:
        yield whole


def _locations(value: str) -> Iterator[Location]:
    head, _, rest = value[1:-1].partition("\n")
    if not rest:
        yield Location(0, 0, head)
    for line in rest.splitlines():
        match = RANGE.match(line)
        assert match is not None, line
        yield Location(int(match[1], 16), int(match[2], 16), match[3])


def addresses(path: Path) -> dict[int, list[int]]:
    """The tables of .debug_addr, by the offset of their first address."""
    tables: dict[int, list[int]] = {}
    at = 0
    for line in _run(DWARFDUMP, "--debug-addr", str(path)):
        if line.startswith("Addrs:"):
            at += 8
            table = tables[at] = []
        elif line.startswith("0x"):
            table.append(int(line, 16))
            at += 4
    return tables


# --- inlined frames --------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """A function of the source and the place in it. Line 0: not known."""

    name: str
    path: str
    line: int
    column: int


def frames(path: Path, addresses: Iterable[int]) -> list[list[Frame]]:
    """For each address, counted from the start of the code section, its frames, innermost first."""
    text = "".join(f"{address:#x}\n" for address in addresses)
    lines = _run(SYMBOLIZER, f"--obj={path}", "--functions=short", "--no-demangle", text=text)
    found: list[list[Frame]] = [[]]
    for name, place in _pairs(lines):
        if not name:
            found.append([])
            continue
        file, line, column = place.rsplit(":", 2)
        found[-1].append(Frame(name, posixpath.normpath(file), int(line), int(column)))
    return found[:-1]


def _pairs(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Name and place of each frame; ("", "") behind those of an address."""
    remaining = iter(lines)
    for name in remaining:
        yield (name, next(remaining)) if name else ("", "")
