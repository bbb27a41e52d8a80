"""The line number program: the byte code that a line table is written in (DWARF 5, 6.2.5).

pyelftools has an interpreter too, but keeps an object for every opcode; a program's library alone has ten
thousands of them, most of functions that the linker dropped. This one keeps rows of live code only. The
headers are pyelftools'.

Imports nothing of ttd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class LineRow(NamedTuple):
    """A row of the matrix, as the program writes it; the last of a sequence is where its code ends."""

    address: int
    file: int
    line: int
    column: int
    is_stmt: bool
    prologue_end: bool


@dataclass(frozen=True, slots=True)
class LineEncoding:
    """The part of a header that the opcodes depend on."""

    minimum_length: int
    default_is_stmt: bool
    line_base: int
    line_range: int
    opcode_base: int
    argument_counts: tuple[int, ...]
    """Arguments of the standard opcodes, opcode 1 first: how unknown ones are skipped."""
    address_size: int


def sequences(
    code: bytes, start: int, end: int, encoding: LineEncoding, is_live: Callable[[int], bool]
) -> Iterator[list[LineRow]]:
    """The sequences of the program at [start, end) of `code` whose first address `is_live`.

    Each has its end as last row; one without end is left out. Raises IndexError where a number runs out of
    `code`, and ValueError for an encoding that cannot be, after the sequences that come before.
    """
    machine = _Machine(code, start, min(end, len(code)), encoding, is_live)
    while machine.position < machine.end:
        sequence = machine.sequence()
        if sequence:
            yield sequence


class _Machine:
    """The state machine. The registers live in `sequence`'s locals, for speed."""

    def __init__(
        self, code: bytes, start: int, end: int, encoding: LineEncoding, is_live: Callable[[int], bool]
    ) -> None:
        if encoding.line_range == 0 or encoding.opcode_base == 0:
            raise ValueError("line table without line range")
        self.code = code
        self.position = start
        self.end = end
        self.encoding = encoding
        self.is_live = is_live
        self.special = [
            (
                (opcode - encoding.opcode_base) // encoding.line_range * encoding.minimum_length,
                encoding.line_base + (opcode - encoding.opcode_base) % encoding.line_range,
            )
            for opcode in range(256)
        ]
        """(address advance, line advance) by opcode, for the special ones."""

    def sequence(self) -> list[LineRow] | None:
        """Run to the end of a sequence; its rows, None if it is dead or breaks off.

        Long, because it is the dispatch over the opcodes.
        """
        code, end, encoding, special = self.code, self.end, self.encoding, self.special
        rows: list[LineRow] = []
        append, new = rows.append, tuple.__new__
        live: bool | None = None
        address, file, line, column = 0, 1, 1, 0
        is_stmt, prologue_end = encoding.default_is_stmt, False
        while self.position < end:
            opcode = code[self.position]
            self.position += 1
            if opcode >= encoding.opcode_base or opcode == 1:  # special, DW_LNS_copy
                if opcode != 1:
                    advance, lines = special[opcode]
                    address += advance
                    line += lines
                if live is None:
                    live = self.is_live(address)
                if live:
                    append(new(LineRow, (address, file, line, column, is_stmt, prologue_end)))
                prologue_end = False
            elif opcode == 2:  # DW_LNS_advance_pc
                address += self.unsigned() * encoding.minimum_length
            elif opcode == 3:  # DW_LNS_advance_line
                line += self.signed()
            elif opcode == 4:  # DW_LNS_set_file
                file = self.unsigned()
            elif opcode == 5:  # DW_LNS_set_column
                column = self.unsigned()
            elif opcode == 6:  # DW_LNS_negate_stmt
                is_stmt = not is_stmt
            elif opcode == 8:  # DW_LNS_const_add_pc
                address += special[255][0]
            elif opcode == 9:  # DW_LNS_fixed_advance_pc
                address += int.from_bytes(code[self.position : self.position + 2], "little")
                self.position += 2
            elif opcode == 10:  # DW_LNS_set_prologue_end
                prologue_end = True
            elif opcode == 0:
                length = self.unsigned()
                extended, operand = code[self.position], self.position + 1
                self.position += length
                if extended == 1:  # DW_LNE_end_sequence
                    rows.append(LineRow(address, file, line, column, False, False))
                    return rows if live else None
                if extended == 2:  # DW_LNE_set_address
                    address = int.from_bytes(code[operand : operand + encoding.address_size], "little")
            else:  # the rest has no bearing on what we keep
                for _ in range(encoding.argument_counts[opcode - 1]):
                    self.unsigned()
        return None

    def unsigned(self) -> int:
        """An unsigned LEB128 number."""
        code, position = self.code, self.position
        byte = code[position]
        result, shift = byte & 0x7F, 7
        while byte & 0x80:
            position += 1
            byte = code[position]
            result |= (byte & 0x7F) << shift
            shift += 7
        self.position = position + 1
        return result & 0xFFFF_FFFF_FFFF_FFFF

    def signed(self) -> int:
        """A signed LEB128 number."""
        start = self.position
        result = self.unsigned()
        bits = 7 * (self.position - start)
        return result - (1 << bits) if bits <= 64 and result >> (bits - 1) & 1 else result
