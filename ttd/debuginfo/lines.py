"""Line tables: which instruction came from which line (DWARF 5, 6.2).

May import base, `ttd.wasm` and pyelftools.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ttd.debuginfo.lineprogram import LineEncoding, LineRow, sequences
from ttd.debuginfo.sections import Problems
from ttd.wasm.model import Function, Module

if TYPE_CHECKING:
    from elftools.dwarf.lineprogram import LineProgram


class Row(NamedTuple):
    """A run of instructions, pcs [start, end), that came from one place. Line 0: from none in particular."""

    start: int
    end: int
    path: str
    line: int
    column: int
    is_stmt: bool
    """Whether `start` is a recommended place for a breakpoint."""
    prologue_end: bool


class FunctionMap:
    """Which function an address lies in, for addresses as DWARF gives them: relative to the code section.

    An entry of the code section starts with its size and its declared locals, and producers let a function
    start at any of these; so a function owns everything behind the end of the one before it. What the
    linker stripped has addresses that no function owns (0, or all ones): see `function_at`.
    """

    def __init__(self, module: Module) -> None:
        self.code_offset = module.code_offset
        bodies = sorted((f.body.end, f.body.start, f.index) for f in module.functions if f.body is not None)
        self._ends = [end for end, _, _ in bodies]
        self._starts = [start for _, start, _ in bodies]
        self._functions = [module.functions[index] for _, _, index in bodies]

    def function_at(self, address: int) -> Function | None:
        """The function that owns a DWARF address, or None."""
        if address <= 0:
            return None
        index = bisect_right(self._ends, address + self.code_offset)
        return self._functions[index] if index < len(self._functions) else None

    def span_at(self, address: int) -> tuple[int, int, int]:
        """What `address` shares with its neighbours: their first one, that behind the last one, and the least
        that `first_instruction` gives for them."""
        index = bisect_right(self._ends, address + self.code_offset)
        if address <= 0 or index == len(self._functions):
            return address, address + 1, 0
        low = self._ends[index - 1] - self.code_offset if index else 1
        return low, self._ends[index] - self.code_offset, self._starts[index]

    def ends_at(self, address: int) -> bool:
        """Whether a function ends at `address`."""
        index = bisect_left(self._ends, address + self.code_offset)
        return index < len(self._ends) and self._ends[index] == address + self.code_offset

    def first_instruction(self, address: int) -> int:
        """The pc of a DWARF address, or that of the function's first instruction if it is before that."""
        function = self.function_at(address)
        pc = address + self.code_offset
        return max(pc, function.code.start) if function is not None else pc

    def function_starting_at(self, address: int) -> Function | None:
        """The function that starts at `address`: with its size, its locals or its first instruction."""
        function = self.function_at(address)
        if function is None or function.body is None or address + self.code_offset > function.body.start:
            return None
        return function


class LineTable:
    """The line table of one compile unit. Its header is read at once, its rows when first asked for."""

    def __init__(
        self, program: LineProgram, directory: str, functions: FunctionMap, problems: Problems
    ) -> None:
        self._problems = problems
        self._program = program
        self._directory = directory
        self._functions = functions
        self._version: int = program.header["version"]

    @cached_property
    def _paths(self) -> list[str]:
        """Full paths by file number; up to DWARF 4 they count from 1."""
        nothing: list[str] = []
        return self._problems.attempt("files of a line table", self._read_paths, nothing)

    def _read_paths(self) -> list[str]:
        header = self._program.header
        directories = [_text(directory) for directory in header["include_directory"] or ()]
        if self._version < 5:
            directories.insert(0, self._directory)
        paths = [] if self._version >= 5 else [""]
        for entry in header["file_entry"] or ():
            number = entry["dir_index"] or 0
            directory = directories[number] if number < len(directories) else ""
            paths.append(full_path(self._directory, directory, _text(entry["name"])))
        return paths

    @property
    def paths(self) -> list[str]:
        """Full paths of the files that the table names."""
        return [path for path in self._paths if path]

    @property
    def checksums(self) -> dict[str, bytes]:
        """MD5 of the files that the table has one of, by full path (DWARF 5, 6.2.4.1)."""
        return self._problems.attempt("checksums of a line table", self._read_checksums, {})

    def _read_checksums(self) -> dict[str, bytes]:
        entries = self._program.header.get("file_names") or ()
        found = zip(self._paths, entries, strict=False)
        return {path: bytes(e["DW_LNCT_MD5"]) for path, e in found if "DW_LNCT_MD5" in e}

    def path(self, number: int) -> str:
        """The file of that number; "" where there is none."""
        return self._paths[number] if 0 <= number < len(self._paths) else ""

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of all functions that are in the module, by ascending pc, without overlaps."""
        rows: list[Row] = []
        self._problems.attempt("line table", lambda: rows.extend(self._read_rows()), None)
        rows.sort(key=lambda row: row.start)
        return list(_without_overlaps(rows))

    @cached_property
    def _row_starts(self) -> list[int]:
        return [row.start for row in self.rows]

    def row_at(self, pc: int) -> Row | None:
        """The row that covers the instruction at `pc`."""
        index = bisect_right(self._row_starts, pc) - 1
        return self.rows[index] if index >= 0 and pc < self.rows[index].end else None

    def rows_between(self, start: int, end: int) -> list[Row]:
        """The rows that start in [start, end)."""
        first = bisect_right(self._row_starts, start - 1)
        return self.rows[first : bisect_right(self._row_starts, end - 1)]

    def _read_rows(self) -> Iterator[Row]:
        for sequence in self.sequences(self._is_live):
            yield from self._rows_of(sequence)

    def sequences(self, is_live: Callable[[int], bool]) -> Iterator[list[LineRow]]:
        """The table as it is written: the sequences whose first address `is_live`.

        Raises IndexError or ValueError where it is damaged, after the sequences before that.
        """
        program = self._program
        program.stream.seek(0)
        code = program.stream.read()
        start, end = program.program_start_offset, program.program_end_offset
        return sequences(code, start, end, self._encoding, is_live)

    def _is_live(self, address: int) -> bool:
        """A function that the linker dropped left its sequence here, at an address that belongs to nobody."""
        return self._functions.function_at(address) is not None

    @property
    def _encoding(self) -> LineEncoding:
        header = self._program.header
        return LineEncoding(
            minimum_length=header["minimum_instruction_length"],
            default_is_stmt=bool(header["default_is_stmt"]),
            line_base=header["line_base"],
            line_range=header["line_range"],
            opcode_base=header["opcode_base"],
            argument_counts=tuple(header["standard_opcode_lengths"]),
            address_size=self._program.structs.address_size,
        )

    def _rows_of(self, sequence: list[LineRow]) -> Iterator[Row]:
        base, span_at, path, new = (
            self._functions.code_offset,
            self._functions.span_at,
            self.path,
            tuple.__new__,
        )
        low = high = first = 0
        prologue_end = False
        for state, following in pairwise(sequence):
            address, file, line, column, is_stmt, ends_prologue = state
            prologue_end = prologue_end or ends_prologue
            if not low <= address < high:
                low, high, first = span_at(address)
            start, end = max(base + address, first), base + following.address
            if start < end:
                yield new(Row, (start, end, path(file), max(line, 0), column, is_stmt, prologue_end))
                prologue_end = False


def _without_overlaps(rows: Iterable[Row]) -> Iterator[Row]:
    end = 0
    for row in rows:
        if row.start >= end:
            yield row
            end = row.end


def _text(data: bytes | str | None) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""


def full_path(*parts: str) -> str:
    """Parts joined, an absolute one replacing those before it, without ``.`` and ``..``."""
    path = ""
    for part in parts:
        if part[1:3] in (":\\", ":/"):
            path = part
        elif part:
            path = posixpath.join(path, part)
    return posixpath.normpath(path) if path else ""
