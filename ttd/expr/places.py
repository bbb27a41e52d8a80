"""Wasm code for where variables are: `debuginfo.locations`, as far as it can be told without running.

May import base, `ttd.wasm`, `ttd.debuginfo`, `arithmetic` and `assembler`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ttd.debuginfo.locations import LocationProgram
from ttd.debuginfo.scopes import Variable
from ttd.debuginfo.types import BaseType, Type
from ttd.expr.arithmetic import read_number
from ttd.expr.assembler import (
    F32,
    F64,
    I32,
    I64,
    Assembler,
    Kind,
    NotCompiled,
    Piece,
    constant,
    kind_of,
    piece,
)
from ttd.wasm.model import ValType

_BINARY = {"plus": "add", "minus": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_CONSTANTS = frozenset(("addr", "constu", "consts", *(f"const{n}{s}" for n in (1, 2, 4, 8) for s in "us")))
_IGNORED = frozenset(("nop", "convert"))
"""What changes nothing, as in `locations`."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place at one pc. Either `address` is where the object is in memory 0; or the object is in
    `register`, the code for the value of a WebAssembly type, or its bytes are `data`."""

    address: Piece | None = None
    register: tuple[ValType, Piece] | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of DWARF's stack: an address, and the WebAssembly value whose low bits it is."""

    code: Piece
    whole: tuple[ValType, Piece] | None = None


class Finder:
    """Finds variables in the frames of one function that stand at one pc."""

    def __init__(
        self, assembler: Assembler, function: int, pc: int, is_known: Callable[[int], bool], address_size: int
    ) -> None:
        """`is_known` tells of each local whether its value is known at `pc`."""
        self._assembler = assembler
        self._module = assembler.module
        self._locals = self._module.functions[function].local_types
        self._pc = pc
        self._is_known = is_known
        self.address = Kind(address_size, False)
        """The kind of addresses."""

    def place(self, variable: Variable) -> Place:
        """Where a variable is. Raises NotCompiled."""
        return self._run(variable.program, variable.frame_base)

    def _run(self, program: LocationProgram, frame_base: LocationProgram | None) -> Place:
        operations = program.at(self._pc)
        if not operations:
            raise NotCompiled
        stack: list[_Entry] = []
        for number, (name, arguments) in enumerate(operations):
            is_last = number + 1 == len(operations)
            if name == "stack_value" and is_last and stack:
                top = stack[-1]
                return Place(register=top.whole or (self.address.wasm, top.code))
            if name == "implicit_value" and is_last and isinstance(arguments[0], bytes):
                return Place(data=arguments[0])
            self._perform(name, arguments, stack, frame_base)
        if not stack:
            raise NotCompiled
        return Place(address=stack[-1].code)

    def _perform(
        self,
        name: str,
        arguments: Sequence[int | bytes],
        stack: list[_Entry],
        frame_base: LocationProgram | None,
    ) -> None:
        """One of DWARF's operations, on a stack of code."""
        numbers = [number for number in arguments if isinstance(number, int)]
        wasm = self.address.wasm
        if name == "fbreg" and numbers and frame_base is not None:
            stack.append(_Entry(piece(self._frame_base(frame_base), self._number(numbers[0]), f"{wasm}.add")))
        elif name in _CONSTANTS and numbers:
            stack.append(_Entry(self._number(numbers[0])))
        elif name.startswith("lit") and name[3:].isdecimal():
            stack.append(_Entry(self._number(int(name[3:]))))
        elif name == "WASM_location" and len(numbers) == 2:
            stack.append(self._wasm_location(numbers[0], numbers[1]))
        elif name == "plus_uconst" and numbers and stack:
            stack.append(_Entry(piece(stack.pop().code, self._number(numbers[0]), f"{wasm}.add")))
        elif name in _BINARY and len(stack) > 1:
            right, left = stack.pop(), stack.pop()
            stack.append(_Entry(piece(left.code, right.code, f"{wasm}.{_BINARY[name]}")))
        elif name == "deref" and stack:
            stack.append(_Entry(self._assembler.load(stack.pop().code, self.address, 0)))
        elif name not in _IGNORED:
            raise NotCompiled

    def _number(self, value: int) -> Piece:
        return constant(self.address, value & (1 << 8 * self.address.size) - 1)

    def _frame_base(self, program: LocationProgram) -> Piece:
        base = self._run(program, None)
        if base.address is not None:
            return base.address
        if base.register is None:
            raise NotCompiled
        return self._as_address(*base.register)

    def _as_address(self, type_: ValType, code: Piece) -> Piece:
        if type_ not in (I32, I64):
            raise NotCompiled
        return self._assembler.convert(code, Kind(8 if type_ is I64 else 4, False), self.address)

    def _wasm_location(self, kind: int, index: int) -> _Entry:
        """Kinds: 0 local, 1 and 3 global, 2 operand."""
        if kind == 0:
            whole = self.local(index)
        elif kind in (1, 3):
            whole = self.global_(index)
        else:
            raise NotCompiled
        address = () if whole[0] in (F32, F64) else self._as_address(*whole)
        return _Entry(address, whole)

    def local(self, index: int) -> tuple[ValType, Piece]:
        """Type and code of a local. Raises NotCompiled where its value is not known."""
        if not 0 <= index < len(self._locals) or not self._is_known(index):
            raise NotCompiled
        type_ = self._locals[index]
        if type_ not in (I32, I64, F32, F64):
            raise NotCompiled
        return type_, self._assembler.argument(index, type_)

    def global_(self, index: int) -> tuple[ValType, Piece]:
        """Type and code of a global."""
        if not 0 <= index < len(self._module.globals):
            raise NotCompiled
        type_ = self._module.globals[index].type.type
        if type_ not in (I32, I64, F32, F64):
            raise NotCompiled
        return type_, piece(("global.get", index))

    # --- the number that is there --------------------------------------------------------------------

    def number(self, place: Place, type_: Type) -> Piece:
        """The number of a type that is in a place outside of memory."""
        kind = kind_of(type_)
        if place.data is not None:
            return self._constant(place.data, kind, type_)
        if place.register is None:
            raise NotCompiled
        wasm, code = place.register
        if kind.is_float:
            return _real(wasm, code, kind)
        if wasm not in (I32, I64):
            raise NotCompiled  # the bits of a NaN may be others in compiled code
        return self._assembler.convert(code, Kind(8 if wasm is I64 else 4, False), kind)

    def _constant(self, data: bytes, kind: Kind, type_: Type) -> Piece:
        if len(data) < kind.size:
            raise NotCompiled
        stripped = type_.strip()
        if isinstance(stripped, BaseType):
            return constant(kind, read_number(stripped, data[: kind.size]))
        return constant(kind, int.from_bytes(data[: kind.size], "little", signed=kind.signed))


def _real(wasm: ValType, code: Piece, kind: Kind) -> Piece:
    """The floating-point number of a kind that is in a register."""
    if kind.size == 4:
        if wasm is F32:
            return piece(code, "f64.promote_f32")
        if wasm is I32:
            return piece(code, "f32.reinterpret_i32", "f64.promote_f32")
    elif wasm is F64:
        return code
    elif wasm is I64:
        return piece(code, "f64.reinterpret_i64")
    raise NotCompiled
