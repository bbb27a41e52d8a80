"""Functions and their scopes: which variables are visible where, and how to find them.

May import base, `ttd.wasm` and pyelftools.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ttd.debuginfo.inlining import BLOCKS, INLINED, MAX_DEPTH, Nesting, call_site
from ttd.debuginfo.lifetimes import Lifetimes
from ttd.debuginfo.locations import (
    ALWAYS,
    LocationProgram,
    LocationRange,
    Machine,
    Operation,
    Place,
    locate,
)
from ttd.debuginfo.typereader import TypeReader
from ttd.debuginfo.types import Type
from ttd.debuginfo.units import Entry, Unit, number_of, qualified_name, text_of
from ttd.types import Location
from ttd.wasm.model import Module

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarf_expr import DWARFExprOp

_VARIABLES = ("DW_TAG_variable", "DW_TAG_formal_parameter")


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable or parameter of the source. `depth` counts nested blocks: 0 is the function's own scope."""

    name: str
    type: Type
    is_parameter: bool
    depth: int
    location: Location | None
    """Where it is declared."""
    is_global: bool
    """Whether it is the same object in every frame: a global, or static."""
    program: LocationProgram = field(repr=False)
    frame_base: LocationProgram | None = field(repr=False)
    address_size: int = 4
    entry: int = 0
    """The offset of its debugging entry: what tells it from all others."""
    is_artificial: bool = False
    """Whether the compiler made it up."""

    @property
    def fixed_address(self) -> int | None:
        """Its address in memory if that is the same always, as a global's is."""
        operations = self.program.ranges[0].operations if len(self.program.ranges) == 1 else ()
        if len(operations) == 1 and operations[0][0] == "addr":
            address = operations[0][1][0]
            return address if isinstance(address, int) else None
        return None

    def frame_offset(self, pc: int) -> tuple[int, int] | None:
        """(local, offset) if at `pc` it lies `offset` bytes from where a WebAssembly local points."""
        operations = self.program.at(pc) or ()
        base = self.frame_base.at(pc) if self.frame_base is not None else None
        if len(operations) != 1 or operations[0][0] != "fbreg" or not base or len(base) > 2:
            return None
        if base[0][0] != "WASM_location" or base[1:] not in ((), (("stack_value", ()),)):
            return None
        (offset, *_), (kind, local, *_) = operations[0][1], base[0][1]
        if kind != 0 or not isinstance(local, int) or not isinstance(offset, int):
            return None
        return local, offset

    def wasm_place(self, pc: int) -> tuple[int, int] | None:
        """(kind, index) of the WebAssembly local (kind 0), global (1) or operand (2) that it is at `pc`.

        None where it is something else: in memory, in several pieces, a constant, or nowhere.
        """
        operations = self.program.at(pc) or ()
        if len(operations) != 2 or operations[1][0] != "stack_value" or operations[0][0] != "WASM_location":
            return None
        kind, index, *_ = operations[0][1]
        if not isinstance(kind, int) or not isinstance(index, int):
            return None
        return (1 if kind == 3 else kind), index

    def locate(self, machine: Machine) -> Place:
        """Where it is now, in the machine's selected frame. Never raises: `Unavailable` says why not."""
        return locate(self.program, self.frame_base, machine, self.address_size)


class VariableReader:
    """Makes `Variable`s out of entries, once for each."""

    def __init__(self, types: TypeReader, module: Module, address_size: int) -> None:
        self._types = types
        self._code_offset = module.code_offset
        self._lifetimes = Lifetimes(module)
        self._address_size = address_size
        self._known: dict[int, Variable] = {}

    def read(
        self, entry: Entry, unit: Unit, function: FunctionScope | None = None, depth: int = 0
    ) -> Variable:
        """The variable that `entry` describes, in a function's scope or (None) outside functions."""
        known = self._known.get(entry.die.offset)
        if known is None:
            known = self._known[entry.die.offset] = self._make(entry, unit, function, depth)
        return known

    def _make(self, entry: Entry, unit: Unit, function: FunctionScope | None, depth: int) -> Variable:
        problems = unit.units.problems
        what = f"variable at {entry.die.offset:#x}"
        program = problems.attempt(
            what, lambda: self.program(entry, "DW_AT_location", unit), LocationProgram(())
        )
        if self._was_stripped(program):
            program = LocationProgram(())
        if function is not None:
            program = self.alive(program, function.index, self._start_of(entry, unit))
        fixed = bool(program.ranges) and all(_is_fixed(part.operations) for part in program.ranges)
        return Variable(
            name=self.attribute_text(entry, "DW_AT_name") if function else self._global_name(entry),
            type=self._types.type_of(entry),
            is_parameter=entry.tag == "DW_TAG_formal_parameter",
            depth=depth,
            location=problems.attempt(what, lambda: self.declaration(entry, unit), None),
            is_global=function is None or fixed,
            program=program,
            frame_base=function.frame_base if function is not None else None,
            address_size=self._address_size,
            entry=entry.die.offset,
            is_artificial="DW_AT_artificial" in entry.die.attributes,
        )

    def address_of(self, pc: int) -> int:
        """The DWARF address of a byte offset in the module file."""
        return pc - self._code_offset

    def _start_of(self, entry: Entry, unit: Unit) -> int:
        """The first pc of the scope that an entry lies in."""
        ranges = unit.ranges_of(entry.parent.die) if entry.parent is not None else []
        return self._code_offset + min((low for low, _ in ranges), default=0)

    def alive(self, program: LocationProgram, function: int, start: int) -> LocationProgram:
        """`program`, as far as the locals and operands that it names still hold what it says.

        `start` is the first pc of the scope: where what always holds begins to.
        """
        parts: list[LocationRange] = []
        since: dict[Operation, int] = {}
        end = 0
        for part in (self._with_arguments(part, function) for part in program.ranges):
            begin = part.start if part.start != ALWAYS[0] else max(part.start, start)
            # What the range before this one named, too, is not written anew here.
            since = {op: since.get(op, begin) if end == part.start else begin for op in part.operations}
            end = part.end
            parts.append(self._alive_part(part, function, begin, since))
        return LocationProgram(tuple(part for part in parts if part.start < part.end))

    def _alive_part(
        self, part: LocationRange, function: int, begin: int, since: Mapping[Operation, int]
    ) -> LocationRange:
        start, end = part.start, part.end
        for operation in part.operations:
            name, arguments = operation
            kind, index = arguments if name == "WASM_location" else (None, None)
            if kind == 0 and isinstance(index, int):
                first, until = self._lifetimes.life_of_local(function, index, since[operation])
                start, end = max(start, begin, first), min(end, until)
            elif kind == 2 and isinstance(index, int):
                until = self._lifetimes.end_of_operand(function, index, since[operation])
                start, end = max(start, begin), min(end, until)
        return part if (start, end) == (part.start, part.end) else replace(part, start=start, end=end)

    def _with_arguments(self, part: LocationRange, function: int) -> LocationRange:
        """`part` with the locals in which parameters still are for the values that they had at entry."""
        end, operations = part.end, list(part.operations)
        for number, (name, arguments) in enumerate(operations):
            local = arguments[0] if name == "entry_value" and arguments else None
            kept = self._lifetimes.end_of_argument(function, local) if isinstance(local, int) else 0
            if isinstance(local, int) and kept > part.start:
                operations[number], end = ("WASM_location", (0, local)), min(end, kept)
        return replace(part, end=end, operations=tuple(operations))

    def _was_stripped(self, program: LocationProgram) -> bool:
        """Whether it is where the linker puts what it dropped: at an address, or global, of all ones."""
        last = (1 << 8 * self._address_size) - 2
        for part in program.ranges:
            for name, arguments in part.operations:
                number = arguments[-1] if name in ("addr", "WASM_location") else 0
                if isinstance(number, int) and number >= (last if name == "addr" else 0xFFFFFFFE):
                    return True
        return False

    def _global_name(self, entry: Entry) -> str:
        origin = self._types.referred(entry, "DW_AT_specification")
        return qualified_name(origin if origin is not None else entry)

    def attribute_text(self, entry: Entry, attribute: str) -> str:
        """A string attribute of the entry, or of the one that it completes or is a copy of."""
        holder = self.holder(entry, attribute)
        return text_of(holder.die, attribute) if holder is not None else ""

    def variables_of(self, scope: Entry) -> list[Entry]:
        """The entries of a scope's variables, with those that only the abstract instance still has.

        Of what became of an inlined subroutine the compiler describes the variables that are left (DWARF 5,
        3.3.8.2); the others are variables of it all the same, and keep their place in the order.
        """
        own = [child for child in scope.children if child.tag in _VARIABLES]
        origin = self._types.referred(scope, "DW_AT_abstract_origin")
        if origin is None or origin is scope:
            return own
        copies = {self._origin(child): child for child in own}
        abstract = [child for child in origin.children if child.tag in _VARIABLES]
        known = {child.die.offset for child in abstract}
        added = [child for child in own if self._origin(child) not in known]
        return [copies.get(child.die.offset, child) for child in abstract] + added

    def _origin(self, entry: Entry) -> int:
        origin = self._types.referred(entry, "DW_AT_abstract_origin")
        return origin.die.offset if origin is not None else entry.die.offset

    def holder(self, entry: Entry, attribute: str) -> Entry | None:
        """The entry itself, or the one that it completes or is a copy of, if that has the attribute."""
        found: Entry | None = entry
        for _ in range(8):
            if found is None or attribute in found.die.attributes:
                return found
            found = self._types.referred(found, "DW_AT_abstract_origin") or self._types.referred(
                found, "DW_AT_specification"
            )
        return None

    def declaration(self, entry: Entry, unit: Unit) -> Location | None:
        """Where `entry` is declared."""
        holder = self.holder(entry, "DW_AT_decl_line")
        line = number_of(holder.die, "DW_AT_decl_line") if holder is not None else None
        if holder is None or line is None or unit.lines is None:
            return None
        path = unit.lines.path(number_of(holder.die, "DW_AT_decl_file") or 0)
        return Location(path, line) if path else None

    def program(self, entry: Entry, attribute: str, unit: Unit) -> LocationProgram:
        """Compile a location attribute. Raises whatever pyelftools raises for damage."""
        from elftools.dwarf.locationlists import BaseAddressEntry, LocationEntry, LocationExpr, LocationParser

        constant = entry.die.attributes.get("DW_AT_const_value") if attribute == "DW_AT_location" else None
        if attribute not in entry.die.attributes:
            return _constant(constant.value) if constant is not None else LocationProgram(())
        parser = LocationParser(unit.units.location_lists)
        location = parser.parse_from_attribute(entry.die.attributes[attribute], unit.version, entry.die)
        if isinstance(location, LocationExpr):
            return LocationProgram((LocationRange(*ALWAYS, self._compile(location.loc_expr, unit)),))
        base, ranges = unit.low_pc, []
        for part in location:
            if isinstance(part, BaseAddressEntry):
                base = part.base_address
            elif isinstance(part, LocationEntry):
                shift = self._code_offset + (0 if part.is_absolute else base)
                operations = self._compile(part.loc_expr, unit)
                ranges.append(LocationRange(part.begin_offset + shift, part.end_offset + shift, operations))
        return LocationProgram(tuple(ranges))

    def _compile(self, expression: list[int], unit: Unit) -> tuple[Operation, ...]:
        from elftools.dwarf.dwarf_expr import DWARFExprParser

        operations = DWARFExprParser(unit.cu.structs).parse_expr(bytes(expression))
        numbers = {operation.offset: number for number, operation in enumerate(operations)}
        numbers[len(expression)] = len(operations)
        return tuple(_operation(operation, numbers, unit) for operation in operations)


def _operation(operation: DWARFExprOp, numbers: dict[int, int], unit: Unit) -> Operation:
    name = operation.op_name.removeprefix("DW_OP_")
    first = operation.args[0] if operation.args else 0
    if name in ("addrx", "constx", "GNU_addr_index", "GNU_const_index"):
        return "addr", (unit.units.dwarf.get_addr(unit.cu, int(first)),)
    if name in ("skip", "bra"):  # bytes from behind the operation (3 long) become the number of an operation
        return name, (numbers[operation.offset + 3 + int(first)],)
    if name in ("entry_value", "GNU_entry_value"):
        return "entry_value", _local_at_entry(first)
    if name == "convert" and first:
        return name, _bits(unit.cu.get_DIE_from_refaddr(unit.cu.cu_offset + int(first)))
    return name, tuple(_argument(item) for item in operation.args)


def _bits(base_type: DIE) -> tuple[int, int]:
    """Of an integer type: how many bits it has, and (0 or 1) whether it is signed. (0, 0) of another.

    LLVM makes types for its own integers, and says only in their names how many bits they have.
    """
    encoding, size = number_of(base_type, "DW_AT_encoding"), number_of(base_type, "DW_AT_byte_size")
    made = re.fullmatch(r"DW_ATE_(?:un)?signed_(\d+)", text_of(base_type, "DW_AT_name"))
    if encoding not in _INTEGERS or size is None:
        return 0, 0
    return (int(made[1]) if made is not None else 8 * size), int(encoding in _SIGNED)


_SIGNED = frozenset((0x05, 0x06))
"""DW_ATE_signed, DW_ATE_signed_char."""
_INTEGERS = _SIGNED | {0x02, 0x07, 0x08, 0x10}
"""And DW_ATE_boolean, DW_ATE_unsigned, DW_ATE_unsigned_char, DW_ATE_UTF."""


def _local_at_entry(nested: object) -> tuple[int, ...]:
    """The local whose value at entry is asked for; nothing where it is anything else (DWARF 5, 2.5.1.7)."""
    operations = nested if isinstance(nested, list) else []
    names = [operation.op_name for operation in operations]
    if names not in (["DW_OP_WASM_location"], ["DW_OP_WASM_location", "DW_OP_stack_value"]):
        return ()
    kind, index = operations[0].args[:2]
    return (int(index),) if kind == 0 else ()


def _argument(item: object) -> int | bytes:
    """A number or a block; nested expressions belong to operations that are not evaluated anyway."""
    if isinstance(item, list) and all(type(byte) is int for byte in item):
        return bytes(item)
    return item if isinstance(item, int) else 0


def _constant(value: object) -> LocationProgram:
    """DW_AT_const_value: the variable has no place, only this value."""
    if isinstance(value, int):
        data = (value & (1 << 128) - 1).to_bytes(16, "little")
    elif isinstance(value, bytes):
        data = value + b"\0"
    else:
        data = bytes(value) if isinstance(value, list) else b""
    return LocationProgram((LocationRange(*ALWAYS, (("implicit_value", (data,)),)),))


def _is_fixed(operations: tuple[Operation, ...]) -> bool:
    """Whether a location is the same in every frame: an address, or a constant."""
    return bool(operations) and not any(name in ("fbreg", "WASM_location") for name, _ in operations)


class FunctionScope:
    """A function of the source where it has code: its entry, frame base and the variables in its scopes.

    Either a function of the module, or (`outer` is not None) one that the compiler put into `outer`.
    """

    def __init__(
        self,
        index: int,
        entry: Entry,
        unit: Unit,
        variables: VariableReader,
        outer: FunctionScope | None = None,
    ) -> None:
        self.index = index
        self.entry = entry
        self.unit = unit
        self.outer = outer
        self._reader = variables
        self._inlined: dict[int, FunctionScope] = {}

    @cached_property
    def name(self) -> str:
        """Its name, qualified by namespaces and classes; "" where it has none."""
        name = self._reader.attribute_text(self.entry, "DW_AT_name")
        holder = self._reader.holder(self.entry, "DW_AT_name")
        return qualified_name(holder) if name and holder is not None else ""

    @cached_property
    def location(self) -> Location | None:
        """Where it is declared."""
        return self.unit.units.problems.attempt(
            f"declaration of {self.name}", lambda: self._reader.declaration(self.entry, self.unit), None
        )

    @cached_property
    def call_site(self) -> Location | None:
        """Of an inlined subroutine: the place in `outer` that calls it."""
        return call_site(self.entry, self.unit)

    @cached_property
    def frame_base(self) -> LocationProgram | None:
        """What DW_OP_fbreg counts from: the frame of the function with the code."""
        if self.outer is not None:
            return self.outer.frame_base
        if "DW_AT_frame_base" not in self.entry.die.attributes:
            return None
        return self.unit.units.problems.attempt(
            f"frame base of {self.name}",
            self._read_frame_base,
            None,
        )

    def _read_frame_base(self) -> LocationProgram:
        program = self._reader.program(self.entry, "DW_AT_frame_base", self.unit)
        return self._reader.alive(program, self.index, 0)

    @cached_property
    def parameters(self) -> list[Variable]:
        """Its parameters, in order."""
        return [variable for variable in self._variables(self.entry, 0) if variable.is_parameter]

    @cached_property
    def all(self) -> list[Variable]:
        """The variables of all its scopes, outer ones first; not those of subroutines inlined into it."""
        result: list[Variable] = []
        scopes = [(self.entry, 0)]
        while scopes:
            scope, depth = scopes.pop(0)
            result += self._variables(scope, depth)
            if depth < MAX_DEPTH:
                scopes += [(child, depth + 1) for child in scope.children if child.tag in BLOCKS]
        return result

    # --- at an address ---

    @cached_property
    def _nesting(self) -> Nesting:
        return self.outer._nesting if self.outer is not None else Nesting(self.entry, self.unit)

    def inlined_at(self, address: int) -> list[FunctionScope]:
        """The subroutines inlined into it that are at work at a DWARF address, outermost first."""
        found: list[FunctionScope] = []
        for entry in self._nesting.at(address):
            if entry.tag == INLINED:
                offset = entry.die.offset
                if offset not in self._inlined:
                    outer = found[-1] if found else self
                    self._inlined[offset] = FunctionScope(self.index, entry, self.unit, self._reader, outer)
                found.append(self._inlined[offset])
        return found

    def visible(self, pc: int) -> list[Variable]:
        """Its parameters and variables that are visible at `pc`, outermost scope first."""
        blocks = [self.entry]
        for entry in self._nesting.at(self._reader.address_of(pc)):
            if entry.parent is blocks[-1] and entry.tag in BLOCKS:
                blocks.append(entry)
        return [
            variable
            for depth, scope in enumerate(blocks)
            for variable in self._variables(scope, depth)
            if variable.is_parameter or not variable.is_artificial
        ]

    def _variables(self, scope: Entry, depth: int) -> list[Variable]:
        return [variable for variable in self._read(scope, depth) if variable.name]

    def _read(self, scope: Entry, depth: int) -> Iterator[Variable]:
        for child in self._reader.variables_of(scope):
            if "DW_AT_declaration" not in child.die.attributes:
                yield self._reader.read(child, self.unit, self, depth)
