"""`DebugInfo`: everything a debugger asks about a module's source: lines, functions, variables, types.

May import base, `ttd.wasm` and the rest of `ttd.debuginfo`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ttd.debuginfo.calls import InlinedCall, inlined_calls
from ttd.debuginfo.inlining import SourceFrame
from ttd.debuginfo.lines import FunctionMap, LineTable, Row
from ttd.debuginfo.mentions import Mentions
from ttd.debuginfo.overview import CompileUnit, compile_units
from ttd.debuginfo.scopes import FunctionScope, Variable, VariableReader
from ttd.debuginfo.sections import Problems, address_size, open_dwarf
from ttd.debuginfo.typereader import TypeReader
from ttd.debuginfo.types import AggregateType, Type
from ttd.debuginfo.units import Entry, Unit, Units, qualified_name
from ttd.types import Location
from ttd.wasm.model import Module
from ttd.wasm.tailcalls import TailCalls
from ttd.wasm.typing import land

if TYPE_CHECKING:
    from ttd.wasm.names import Names

_KIND = re.compile(r"^(struct|union|class|enum) ")

_MAIN_SYMBOLS = ("main", "__main_argc_argv", "__original_main", "__main_void")
"""What clang and wasi-libc call the function that the source calls main, by its signature and their age."""


class DebugInfo:
    """What is known about the source of `module`. Never raises for missing or damaged debug information.

    All pcs are byte offsets in the module file. Without DWARF there are no lines, files, variables and
    types; functions are then known by the names of the name section. Making one costs nothing; compile units
    are read when they are first asked about.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self._problems = Problems()
        self._scopes: dict[int, FunctionScope | None] = {}
        self._starts: dict[int, frozenset[int]] = {}
        self._addresses: dict[int, list[tuple[int, int, str]]] = {}
        self._scopes_at: dict[int, tuple[FunctionScope, ...]] = {}

    @property
    def has_dwarf(self) -> bool:
        """Whether there is any DWARF to read."""
        return bool(self._units)

    @property
    def problems(self) -> Sequence[str]:
        """What was found damaged so far, for people: one line each."""
        return self._problems.messages

    @cached_property
    def address_size(self) -> int:
        """Bytes of a pointer."""
        return address_size(self.module)

    @cached_property
    def names(self) -> Names:
        """The names of the name section."""
        from ttd.wasm.names import Names

        return Names(self.module)

    # --- lines ---

    def pc_of(self, address: int) -> int:
        """The pc of an address as DWARF counts them: from the beginning of the code section.

        One in the head of a function, before its first instruction, means the first instruction.
        """
        return self._functions.first_instruction(address)

    def location(self, pc: int) -> Location | None:
        """The source line of the instruction at `pc`; None where there is none.

        Code that the compiler attributes to no line (line 0) counts to the line before it in its function, as
        the source has functions: to none of an inlined one.
        `Location.path` is the full path that the compiler wrote; `display_path` shortens it.
        """
        table = self._line_table(pc)
        row = table.row_at(pc) if table is not None else None
        if row is not None and table is not None and row.line == 0:
            row = self._row_before(table, row, pc)
        return Location(row.path, row.line, row.column) if row is not None and row.path else None

    def _row_before(self, table: LineTable, row: Row, pc: int) -> Row | None:
        function = self.module.function_at(row.start)
        if function is None:
            return None
        rows = table.rows_between(function.code.start, row.start)
        scopes = self.scopes(pc)
        return next((row for row in reversed(rows) if row.line and self.scopes(row.start) == scopes), None)

    def pcs_for_line(self, file: str, line: int) -> tuple[int, list[int]]:
        """(actual line, breakpoint pcs) for a line of the file whose path ends in `file`.

        A line without code slides forward to the next that has some. One pc for each function that has the
        line, and for each inlined call of it: the first of its code, but behind the prologue if the line is
        that of the function's opening. The list is empty where neither the line nor a later one has code, or
        where the file is unknown (see `find_files`); the actual line then is `line`.
        """
        paths = set(self.find_files(file))
        rows = [row for path in paths for row in self._rows_of_file(path) if row.line >= line]
        for actual in sorted({row.line for row in rows}):
            pcs = self._first_pcs(row for row in rows if row.line == actual)
            if pcs:
                return actual, pcs
        return line, []

    def _first_pcs(self, rows: Iterable[Row]) -> list[int]:
        first: dict[tuple[int, FunctionScope | None], int] = {}
        for row in rows:
            function = self.module.function_at(row.start)
            pc = self._landed(row)
            if function is not None and pc is not None:
                key = function.index, next(iter(self.scopes(pc)), None)
                first[key] = min(pc, first.get(key, pc))
        return sorted({self._behind_prologue(function, pc) for (function, _), pc in first.items()})

    def _behind_prologue(self, function: int, pc: int) -> int:
        """`pc`, unless that is where the function starts: then where a breakpoint on the function goes."""
        if pc == self.module.functions[function].code.rests[0]:
            return self.breakpoint_pc(function) or pc
        return pc

    def _landed(self, row: Row) -> int | None:
        """The first instruction of a row; None where the row covers structure markers only."""
        function = self.module.function_at(row.start)
        pc = land(function, row.start) if function is not None else None
        return pc if pc is not None and pc < row.end else None

    def _rows_of_file(self, path: str) -> Iterator[Row]:
        for table in self._tables_by_path.get(path, ()):
            for row in table.rows:
                if row.path == path and row.line and row.is_stmt and self._line_table(row.start) is table:
                    yield row

    def line_starts(self, function: int) -> frozenset[int]:
        """The pcs in a function where a new source line starts: what `step` and `next` stop at.

        They are instructions, no structure markers. Empty for a function without line information.
        """
        known = self._starts.get(function)
        if known is None:
            known = self._starts[function] = frozenset(self._line_starts(function))
        return known

    def _line_starts(self, function: int) -> Iterator[int]:
        previous = ("", 0)
        for pc, path, line in self.statements(function):
            if (path, line) != previous:
                yield pc
            previous = (path, line)

    def statements(self, function: int) -> list[tuple[int, str, int]]:
        """(pc, path, line) of what the line table recommends as places for breakpoints, by pc.

        They are instructions, no structure markers, and all have a line.
        """
        rows = self._rows_of_function(function)
        landed = ((self._landed(row), row) for row in rows if row.is_stmt and row.line)
        return [(pc, row.path, row.line) for pc, row in landed if pc is not None]

    def has_statements(self, function: int) -> bool:
        """Whether there are `statements`."""
        rows = self._rows_of_function(function)
        return any(row.is_stmt and row.line and self._landed(row) is not None for row in rows)

    def _rows_of_function(self, function: int) -> list[Row]:
        body = self.module.functions[function].body
        table = self._line_table(body.start) if body is not None else None
        return table.rows_between(body.start, body.end) if table is not None and body is not None else []

    def breakpoint_pc(self, function: int) -> int | None:
        """Where a breakpoint on a function goes: behind its prologue; its first instruction without DWARF.

        Where the line table does not mark the prologue's end, that is its second line, as in gdb. None for an
        imported function, and for one without any instruction.
        """
        if self.module.functions[function].body is None:
            return None
        rows = self._rows_of_function(function)
        ends = (self._landed(row) for row in rows if row.prologue_end)
        if (pc := next((pc for pc in ends if pc is not None), None)) is not None:
            return pc
        landed = ((row.line, row.is_stmt, pc) for row in rows if (pc := self._landed(row)) is not None)
        opening = next((line for line, _, _ in landed), 0)
        for line, is_stmt, pc in landed:
            if is_stmt and line not in (0, opening):
                return pc
        return land(self.module.functions[function], self.module.functions[function].code.start)

    def _line_table(self, pc: int) -> LineTable | None:
        unit = self._unit(pc)
        return unit.lines if unit is not None else None

    def _unit(self, pc: int) -> Unit | None:
        if self._units is None:
            return None
        return self._units.unit_at(pc - self.module.code_offset) or self._units.unit_with_row(pc)

    # --- files ---

    def files(self) -> list[str]:
        """Full paths of all source files that have code or declarations, sorted."""
        return sorted(self._tables_by_path)

    def find_files(self, suffix: str) -> list[str]:
        """The full paths that end in `suffix`, by whole path components (``queue.c``, ``src/queue.c``)."""
        wanted = suffix.removeprefix("./")
        return [path for path in self.files() if path == wanted or path.endswith("/" + wanted)]

    def source_checksum(self, path: str) -> bytes:
        """The MD5 of a source file (full path) as it was compiled; empty where compilers have told none."""
        tables = self._tables_by_path.get(path, ())
        return next((found for table in tables if (found := table.checksums.get(path))), b"")

    def display_path(self, path: str) -> str:
        """A short form of a full path for people: relative to the compilation directory where below it."""
        directory = self._directories.get(path, "")
        return path.removeprefix(directory.rstrip("/") + "/") if directory else path

    @cached_property
    def _tables_by_path(self) -> dict[str, list[LineTable]]:
        tables: dict[str, list[LineTable]] = {}
        for unit in self._all_units:
            table = unit.lines
            for path in dict.fromkeys(table.paths) if table is not None else ():
                if table is not None:
                    tables.setdefault(path, []).append(table)
        return tables

    @cached_property
    def _directories(self) -> dict[str, str]:
        """The compilation directory for each file."""
        return {
            path: unit.directory
            for unit in self._all_units
            if unit.lines is not None
            for path in unit.lines.paths
        }

    # --- functions ---

    def function_name(self, function: int) -> str:
        """The function's name in its source, else in the name section, else ``func[12]``."""
        scope = self._scope(function)
        return (scope.name if scope is not None else "") or self.names.function(function)

    def function_names(self) -> list[str]:
        """Names to offer for completion, sorted: those of the name section, and ``main``."""
        names = set(self._by_symbol)
        if self._mains:
            names.add("main")
        return sorted(names)

    def find_functions(self, name: str) -> list[int]:
        """The functions called `name` (several, if static functions share a name), imports too.

        Looks at the name section first, then at the names in the source: ``queue::push`` or ``push``.
        """
        found: Sequence[int] = self.functions_by_symbol(name)
        if not found:
            found = self._functions_called(name)
        return list(found)

    def functions_by_symbol(self, name: str) -> list[int]:
        """As `find_functions`, by the name section alone (and ``main``): quick in programs of any size."""
        if name == "main" and self._mains:
            return list(self._mains)
        return list(self._by_symbol.get(name, ()))

    @cached_property
    def _by_symbol(self) -> dict[str, list[int]]:
        result: dict[str, list[int]] = {}
        for function in self.module.functions:
            result.setdefault(self.names.function(function.index), []).append(function.index)
        return result

    @cached_property
    def _mains(self) -> list[int]:
        candidates = [index for symbol in _MAIN_SYMBOLS for index in self._by_symbol.get(symbol, ())]
        return [index for index in candidates if self.function_name(index) == "main"]

    def _functions_called(self, name: str) -> list[int]:
        """By their names in the source, qualified or not."""
        scopes = [
            (index, self._scope(index)) for unit in self._units_with(name) for index in unit.index.functions
        ]
        names = {index: scope.name for index, scope in scopes if scope is not None}
        return [index for index, full in names.items() if name in (full, full.rpartition("::")[2]) and name]

    def function_location(self, function: int) -> Location | None:
        """Where a function is declared."""
        scope = self._scope(function)
        return scope.location if scope is not None else None

    def function_type(self, function: int) -> Type | None:
        """Its type in the source."""
        scope = self._scope(function)
        return self._types.read(scope.entry) if scope is not None and self._types is not None else None

    # --- inlined functions ---

    def source_frames(self, pc: int) -> list[SourceFrame]:
        """The functions of the source that the instruction at `pc` belongs to, innermost first.

        The last one is the function with code that holds `pc`; before it come those inlined at `pc`, if any.
        Empty where no function is.
        """
        function = self.module.function_at(pc)
        if function is None:
            return []
        frames: list[SourceFrame] = []
        location, scopes = self.location(pc), self.scopes(pc)
        for scope in scopes[:-1]:
            frames.append(SourceFrame(scope.name or "<unknown>", location, True, scope.entry.die.offset))
            location = scope.call_site
        entry = scopes[-1].entry.die.offset if scopes else 0
        return [*frames, SourceFrame(self.function_name(function.index), location, False, entry)]

    def calls_of(self, name: str) -> list[InlinedCall]:
        """Where a function called `name` in the source, or its symbol, was inlined."""
        if self._reader is None:
            return []
        return list(inlined_calls(self._units_with(name), self._reader, name))

    def calls_in(self, path: str) -> list[InlinedCall]:
        """The inlined calls in the functions of compile units that have code or declarations in a file."""
        if self._reader is None:
            return []
        tables = self._tables_by_path.get(path, [])
        units = (unit for unit in self._all_units if unit.lines in tables)
        return list(inlined_calls(units, self._reader))

    def scopes(self, pc: int) -> tuple[FunctionScope, ...]:
        """What is known about each of `source_frames`; empty without debug information for the function."""
        known = self._scopes_at.get(pc)
        if known is None:
            function = self.module.function_at(pc)
            scope = self._scope(function.index) if function is not None else None
            inlined = scope.inlined_at(pc - self.module.code_offset) if scope is not None else []
            known = self._scopes_at[pc] = (*reversed(inlined), *((scope,) if scope is not None else ()))
        return known

    def inlining_depth(self, pc: int) -> int:
        """How many functions are inlined inside each other at `pc`."""
        return max(len(self.scopes(pc)) - 1, 0)

    @cached_property
    def tail_calls(self) -> TailCalls:
        """The tail calls in the code."""
        return TailCalls(self.module)

    # --- variables ---

    def parameters(self, function: int) -> list[Variable]:
        """A function's parameters, in order."""
        scope = self._scope(function)
        return scope.parameters if scope is not None else []

    def variables(self, function: int, pc: int) -> list[Variable]:
        """Parameters and variables of a function that are visible at `pc`, outermost scope first.

        Of namesakes the last wins. Those of functions inlined into it are not among them: see `scopes`.
        """
        scope = self._scope(function)
        return scope.visible(pc) if scope is not None else []

    def globals_(self) -> list[Variable]:
        """All global and file-static variables, of every compile unit. Reads them all."""
        return [variable for unit in self._all_units for variable in self._globals_of(unit)]

    def find_global(self, name: str, pc: int | None = None, near_only: bool = False) -> Variable | None:
        """The global called `name`; that of the compile unit around `pc` first (`near_only`: no other)."""
        for unit in self._units_with(name, pc, near_only):
            for variable in self._globals_of(unit):
                if variable.name == name or variable.name.replace("(anonymous)::", "") == name:
                    return variable
        return None

    def _globals_of(self, unit: Unit) -> Iterator[Variable]:
        """Those that the unit defines: neither what it only declares nor what the linker dropped."""
        if self._reader is None:
            return
        for entry in unit.index.variables:
            attributes = entry.die.attributes
            if "DW_AT_location" in attributes or "DW_AT_const_value" in attributes:
                variable = self._reader.read(entry, unit)
                if variable.name and variable.program.ranges:
                    yield variable

    def all_variables(self, function: int) -> list[Variable]:
        """Every variable of a function, in whatever scope; outer ones first."""
        scope = self._scope(function)
        return scope.all if scope is not None else []

    def fixed_variables(self) -> Iterator[tuple[str, str, Variable]]:
        """(unit, name, variable) of all variables with one address for the whole run, wherever declared.

        The name has the function before it that a variable is static in; "" for a string literal, which
        compilers describe as a variable, too. Reads all units.
        """
        for unit in self._all_units:
            for entry, variable in self._fixed_of(unit):
                yield unit.name, self._qualified(entry, variable.name), variable

    def _fixed_of(self, unit: Unit) -> Iterator[tuple[Entry, Variable]]:
        """Those of a unit. Looks at no other variable than by its first byte: there are many."""
        for entry in unit.index.entries.values():
            if self._reader is not None and entry.tag == "DW_TAG_variable" and _has_address(entry):
                variable = self._reader.read(entry, unit)
                if variable.fixed_address is not None:
                    yield entry, variable

    def _qualified(self, entry: Entry, name: str) -> str:
        """``next::counter`` for what is static in a function."""
        scope = entry.parent if name else None
        while scope is not None and scope.tag != "DW_TAG_subprogram":
            scope = scope.parent
        holder = self._reader.holder(scope, "DW_AT_name") if scope is not None and self._reader else None
        return f"{qualified_name(holder)}::{name}" if holder is not None else name

    # --- symbols ---

    def compile_units(self) -> list[CompileUnit]:
        """All compile units. Looks at their top entries only."""
        return compile_units(self._all_units)

    def unit_name(self, pc: int) -> str:
        """The compile unit with the code at `pc`, by the name of its main source file; "" where unknown."""
        unit = self._unit(pc)
        return unit.name if unit is not None else ""

    def code_symbol(self, pc: int) -> str | None:
        """``push+12``: the function that holds `pc`, and the bytes from its first instruction to there."""
        function = self.module.function_at(pc)
        if function is None:
            return None
        offset = pc - function.code.start
        return self.function_name(function.index) + (f"+{offset}" if offset else "")

    def symbol_at(self, address: int, pc: int | None = None) -> str | None:
        """``table+8``: the global at a memory address, if the compile unit around `pc` has it.

        Only that unit, so that printing a pointer does not read the debug information of the whole program.
        """
        unit = self._unit(pc) if pc is not None else None
        if unit is None:
            return None
        for start, size, name in self._addresses_of(unit):
            if start <= address < start + max(size, 1):
                return name if address == start else f"{name}+{address - start}"
        return None

    def _addresses_of(self, unit: Unit) -> list[tuple[int, int, str]]:
        """(address, size, name) of a unit's globals and of the static variables of its functions."""
        known = self._addresses.get(unit.cu.cu_offset)
        if known is None:
            known = [
                (variable.fixed_address, variable.type.size or 0, variable.name)
                for _, variable in self._fixed_of(unit)
                if variable.fixed_address is not None and variable.name
            ]
            self._addresses[unit.cu.cu_offset] = known
        return known

    # --- types ---

    def find_type(self, name: str, pc: int | None = None) -> Type | None:
        """The type called ``node_t``, ``struct node``, ``enum color`` …; near `pc` first, complete first."""
        if self._types is None:
            return None
        incomplete: Entry | None = None
        for unit in self._units_with(_KIND.sub("", name), pc):
            entry = unit.index.types.get(name)
            if entry is not None and not unit.index.is_declaration(name):
                return self._types.read(entry)
            incomplete = incomplete or entry
        return self._types.read(incomplete) if incomplete is not None else None

    def named_types(self, accepts: Callable[[str], bool]) -> Iterator[tuple[str, Type, Location | None]]:
        """Name, type and declaration of the types of all units whose name is wanted, once for each unit."""
        for unit in self._all_units:
            seen: set[int] = set()
            for name, entry in unit.index.types.items():
                if entry.die.offset in seen or unit.index.is_declaration(name):
                    continue
                seen.add(entry.die.offset)
                if accepts(name) and self._types is not None and self._reader is not None:
                    yield name, self._types.read(entry), self._reader.declaration(entry, unit)

    def enumerator(
        self, name: str, pc: int | None = None, near_only: bool = False
    ) -> tuple[int, Type] | None:
        """Value and type of an enumeration constant; near `pc` first (`near_only`: nowhere else)."""
        if self._types is None:
            return None
        for unit in self._units_with(name, pc, near_only):
            entry = unit.index.enumerators.get(name)
            if entry is not None and entry.parent is not None:
                return unit.enumerator_value(entry), self._types.read(entry.parent)
        return None

    def complete_type(self, type_: Type) -> Type:
        """The definition of an aggregate that `type_`'s unit only declares; otherwise `type_` itself."""
        if not isinstance(type_, AggregateType) or type_.size is not None or not type_.tag:
            return type_
        found = self.find_type(f"{type_.kind.value} {type_.tag}")
        return found if found is not None else type_

    # --- underneath ---

    @cached_property
    def _units(self) -> Units | None:
        dwarf = self._problems.attempt("debug information", lambda: open_dwarf(self.module), None)
        return Units(dwarf, self._functions, self._problems) if dwarf is not None else None

    @cached_property
    def _functions(self) -> FunctionMap:
        return FunctionMap(self.module)

    @property
    def _all_units(self) -> Sequence[Unit]:
        return self._units.all if self._units is not None else ()

    def _units_with(self, name: str, pc: int | None = None, near_only: bool = False) -> Iterator[Unit]:
        """The units that may have `name`, beginning with that of `pc` (`near_only`: that one only)."""
        units = self._mentions.units_with(name)
        near = self._unit(pc) if pc is not None else None
        if near is not None and near in units:
            yield near
        if not near_only:
            yield from (unit for unit in units if unit is not near)

    @cached_property
    def _mentions(self) -> Mentions:
        return Mentions(self.module, self._all_units)

    @cached_property
    def _types(self) -> TypeReader | None:
        return TypeReader(self._units, self.address_size) if self._units is not None else None

    @cached_property
    def _reader(self) -> VariableReader | None:
        if self._types is None:
            return None
        return VariableReader(self._types, self.module, self.address_size)

    def _scope(self, function: int) -> FunctionScope | None:
        if function not in self._scopes:
            self._scopes[function] = self._find_scope(function)
        return self._scopes[function]

    def _find_scope(self, function: int) -> FunctionScope | None:
        body = self.module.functions[function].body
        unit = self._unit(body.start) if body is not None else None
        entry = unit.index.functions.get(function) if unit is not None else None
        if unit is None or entry is None or self._reader is None:
            return None
        return FunctionScope(function, entry, unit, self._reader)


def _has_address(entry: Entry) -> bool:
    """Whether the location of a variable begins with an address (DW_OP_addr, DW_OP_addrx): a quick look."""
    location = entry.die.attributes.get("DW_AT_location")
    return (
        location is not None and isinstance(location.value, list) and location.value[:1] in ([0x03], [0xA1])
    )
