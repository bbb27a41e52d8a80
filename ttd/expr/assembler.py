"""Wasm code that computes with numbers as `evaluate` does: the pieces that `compile` puts together.

A piece of code leaves one number on the operand stack. Integers of up to 32 bits are there as i32, extended
by their sign or by zeros; those of 64 bits as i64; floating-point numbers, `float` too, as f64, for that is
what `evaluate` computes with before it rounds. Where there is no number, as behind the end of memory, the
code does not trap: it returns DOUBT at once.

May import base, `ttd.wasm`, `ttd.debuginfo.types` and `arithmetic`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ttd.debuginfo.types import BaseType, EnumType, PointerType, Type
from ttd.wasm.builder import Code
from ttd.wasm.encode import encode_expression
from ttd.wasm.model import Instruction, Module, ValType
from ttd.wasm.predicate import Predicate

I32, I64, F32, F64 = ValType.I32, ValType.I64, ValType.F32, ValType.F64

Piece: TypeAlias = "tuple[Instruction, ...]"

DOUBT = 1
"""What a predicate gives where it cannot tell: that someone has to look."""

_PAGE_BITS = 16
_TEMPORARY = 1 << 20
"""From here on indices of locals stand for temporaries, as long as the arguments are not counted."""


class NotCompiled(Exception):
    """This has no compiled form. Never leaves `ttd.expr`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a number is stored: bytes, sign, and whether it is a floating-point one."""

    size: int
    signed: bool
    is_float: bool = False

    @property
    def wasm(self) -> ValType:
        """The WebAssembly type in which it is on the operand stack."""
        if self.is_float:
            return F64
        return I64 if self.size == 8 else I32


REAL = Kind(8, True, True)
LONG = Kind(8, True)
INT = Kind(4, True)


def kind_of(type_: Type) -> Kind:
    """The kind of the numbers of a type; raises NotCompiled for what is none, or a wider one."""
    stripped = type_.strip()
    if isinstance(stripped, BaseType) and stripped.is_float and stripped.byte_size in (4, 8):
        return Kind(stripped.byte_size, True, True)
    if isinstance(stripped, BaseType) and stripped.is_integer and stripped.byte_size in (1, 2, 4, 8):
        return Kind(stripped.byte_size, stripped.is_signed)
    if isinstance(stripped, EnumType) and stripped.byte_size in (1, 2, 4, 8):
        return Kind(stripped.byte_size, stripped.is_signed)
    if isinstance(stripped, PointerType) and stripped.byte_size in (4, 8):
        return Kind(stripped.byte_size, False)
    raise NotCompiled


def piece(*rows: str | tuple[object, ...] | Piece) -> Piece:
    """Code of mnemonics, mnemonics with their immediates, and other pieces."""
    code = Code()
    for row in rows:
        if isinstance(row, str):
            code.emit(row)
        elif row and isinstance(row[0], str):
            code.emit(row[0], *row[1:])
        else:
            code.extend(row)  # type: ignore[arg-type]
    return tuple(code)


def constant(kind: Kind, value: int | float) -> Piece:
    """A number that fits its kind."""
    if kind.is_float:
        return piece(("f64.const", int.from_bytes(struct.pack("<d", value), "little")))
    return piece((f"{kind.wasm}.const", int(value)))


def sign(kind: Kind) -> str:
    """How mnemonics say whether an integer is signed."""
    return "s" if kind.signed else "u"


class Assembler:
    """Makes one predicate: knows the module, and counts the arguments and the temporaries."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._arguments: dict[int, ValType] = {}
        self._temporaries: dict[tuple[str, ValType], int] = {}
        self._is_complete = True

    def predicate(self, code: Piece) -> Predicate:
        """The predicate of this code."""
        count = len(self._arguments)
        instructions = (
            each._replace(immediates=(each.immediates[0] - _TEMPORARY + count,))
            if each.op.mnemonic.startswith("local.")
            and isinstance(each.immediates[0], int)
            and each.immediates[0] >= _TEMPORARY
            else each
            for each in Code(code).finished()
        )
        temporaries = tuple(type_ for _, type_ in self._temporaries)
        encoded = encode_expression(instructions, {})
        return Predicate(tuple(self._arguments.items()), temporaries, encoded, self._is_complete)

    def argument(self, local: int, type_: ValType) -> Piece:
        """The value of a local of the function."""
        self._arguments.setdefault(local, type_)
        return piece(("local.get", list(self._arguments).index(local)))

    def temporary(self, use: str, type_: ValType) -> int:
        """A local whose value nobody needs for longer than the few instructions of one `use`."""
        return _TEMPORARY + self._temporaries.setdefault((use, type_), len(self._temporaries))

    # --- memory ----------------------------------------------------------------------------------------

    def load(self, address: Piece, kind: Kind, memory: int) -> Piece:
        """The number at an address, which is of the memory's address type."""
        return self._loaded(self._checked(address, kind.size, memory), kind, memory)

    def _loaded(self, address: Piece, kind: Kind, memory: int) -> Piece:
        """The number at an address that is inside of the memory with all that is loaded."""
        if kind.is_float:
            loaded = piece(address, (f"f{8 * kind.size}.load", memory, 0, 0))
            return piece(loaded, "f64.promote_f32") if kind.size == 4 else loaded
        if kind.size >= 4:
            return piece(address, (f"{kind.wasm}.load", memory, 0, 0))
        return piece(address, (f"i32.load{8 * kind.size}_{sign(kind)}", memory, 0, 0))

    def is_there(self, address: Piece, data: bytes, memory: int) -> Piece:
        """1 if the bytes from an address on are `data`, which is not empty, else 0."""
        checked = self._checked(address, len(data), memory)
        wasm = I64 if self.module.memories[memory].is64 else I32
        there = self.temporary("text", wasm)
        code = piece(checked, ("local.set", there), ("i32.const", 1))
        at = 0
        while at < len(data):
            size = next(size for size in (8, 4, 2, 1) if size <= len(data) - at)
            kind = Kind(size, False)
            value = constant(kind, int.from_bytes(data[at : at + size], "little"))
            part = piece(("local.get", there), (f"{wasm}.const", at), f"{wasm}.add")
            code = piece(code, self._loaded(part, kind, memory), value, f"{kind.wasm}.eq", "i32.and")
            at += size
        return code

    def load_bits(self, address: Piece, kind: Kind, start: int, width: int, memory: int) -> Piece:
        """A bit field of `width` bits, the first of them bit `start` at the address."""
        last = start + width
        if not 0 < width <= 8 * kind.size or last > 64 or kind.is_float:
            raise NotCompiled
        code = piece(self._checked(address, 8, memory), ("i64.load", memory, 0, 0))
        code = piece(code, ("i64.const", 64 - last), "i64.shl")
        code = piece(code, ("i64.const", 64 - width), f"i64.shr_{sign(kind)}")
        return code if kind.wasm is I64 else piece(code, "i32.wrap_i64")

    def _checked(self, address: Piece, size: int, memory: int) -> Piece:
        """The address, if `size` bytes from there on are inside the memory."""
        if memory >= len(self.module.memories) or not self.module.memories[memory].minimum:
            raise NotCompiled  # from a memory with no page the size of what is read could not be taken off
        wide = self.module.memories[memory].is64
        there = self.temporary("address", I64 if wide else I32)
        widen: Piece = () if wide else piece("i64.extend_i32_u")
        end = piece(("memory.size", memory), widen, ("i64.const", _PAGE_BITS), "i64.shl")
        outside = piece(end, ("i64.const", size), "i64.sub", "i64.gt_u")
        code = piece(address, ("local.tee", there), widen, outside)
        return piece(code, self.doubt_if(), ("local.get", there))

    def doubt(self) -> Piece:
        """Return DOUBT, in place of a condition that has no compiled form."""
        self._is_complete = False
        return piece(("i32.const", DOUBT), "return")

    def doubt_if(self) -> Piece:
        """Return DOUBT if what is on the stack is not 0."""
        return tuple(Code().block("if").emit("i32.const", DOUBT).emit("return").emit("end"))

    # --- conversions -----------------------------------------------------------------------------------

    def convert(self, code: Piece, source: Kind, target: Kind) -> Piece:
        """C's conversion. Of floating-point numbers to integers: toward zero."""
        if source == target:
            return code
        if target.is_float:
            if not source.is_float:
                code = piece(code, f"f64.convert_{source.wasm}_{sign(source)}")
            return self.rounded(code, target)
        if source.is_float:
            code, source = self._truncated(code), LONG
        if target.wasm is I64:
            return code if source.wasm is I64 else piece(code, f"i64.extend_i32_{sign(source)}")
        if source.wasm is I64:
            code = piece(code, "i32.wrap_i64")
        return self._narrowed(code, target)

    def rounded(self, code: Piece, kind: Kind) -> Piece:
        """A floating-point number with the precision of its kind."""
        return piece(code, "f32.demote_f64", "f64.promote_f32") if kind.size == 4 else code

    def _narrowed(self, code: Piece, target: Kind) -> Piece:
        if target.size == 4:
            return code
        if target.signed:
            return piece(code, f"i32.extend{8 * target.size}_s")
        return piece(code, ("i32.const", (1 << 8 * target.size) - 1), "i32.and")

    def _truncated(self, code: Piece) -> Piece:
        """A floating-point number as an i64. What does not fit wraps around; infinity and NaN become 0."""
        real = self.temporary("real", F64)
        rounds = piece(("local.get", real), constant(REAL, 2.0**-64), "f64.mul", "f64.trunc")
        rest = piece(("local.get", real), rounds, constant(REAL, 2.0**64), "f64.mul", "f64.sub")
        size = piece(("local.get", real), "f64.abs", "i64.trunc_sat_f64_u")
        negative = piece(constant(LONG, 0), size, "i64.sub")
        is_negative = piece(("local.get", real), constant(REAL, 0.0), "f64.lt")
        code = piece(code, "f64.trunc", ("local.set", real), rest, ("local.set", real))
        return piece(code, choose(is_negative, negative, size, I64))

    def truth(self, code: Piece, kind: Kind) -> Piece:
        """1 if a number is not 0, else 0."""
        return piece(code, constant(kind if kind.is_float else Kind(kind.size, False), 0), f"{kind.wasm}.ne")

    # --- what may have no result -----------------------------------------------------------------------

    def divide(self, left: Piece, right: Piece, kind: Kind, is_rest: bool) -> Piece:
        """The quotient or the rest of two integers of a kind of 4 or 8 bytes."""
        a, b = self.temporary("left", kind.wasm), self.temporary("right", kind.wasm)
        wasm = kind.wasm
        code = piece(left, right, ("local.set", b), ("local.set", a))
        code = piece(code, ("local.get", b), f"{wasm}.eqz", self.doubt_if())
        if kind.signed and not is_rest:
            lowest = constant(kind, -(1 << 8 * kind.size - 1))
            overflow = piece(("local.get", a), lowest, f"{wasm}.eq")
            overflow = piece(overflow, ("local.get", b), constant(kind, -1), f"{wasm}.eq", "i32.and")
            code = piece(code, overflow, self.doubt_if())
        operation = f"{wasm}.{'rem' if is_rest else 'div'}_{sign(kind)}"
        return piece(code, ("local.get", a), ("local.get", b), operation)

    def shift(self, left: Piece, right: Piece, kind: Kind, is_left: bool) -> Piece:
        """`left`, of a kind of 4 or 8 bytes, shifted by `right`, an i64."""
        by = self.temporary("shift", I64)
        code = piece(left, right, ("local.tee", by), ("i64.const", 8 * kind.size), "i64.ge_u")
        count = piece(("local.get", by), *(() if kind.size == 8 else ("i32.wrap_i64",)))
        return piece(code, self.doubt_if(), count, f"{kind.wasm}.{'shl' if is_left else f'shr_{sign(kind)}'}")


def choose(condition: Piece, yes: Piece, no: Piece, type_: ValType) -> Piece:
    """One of two pieces of a type; the other one is not executed."""
    code = Code(condition).block("if", (), (type_,)).extend(yes)
    return tuple(code.emit("else").extend(no).emit("end"))


def any_of(conditions: Sequence[Piece]) -> Piece:
    """1 if one of the conditions is true, which are asked in turn, else 0."""
    code = Code()
    for condition in conditions:
        code.extend(condition).block("if").emit("i32.const", 1).emit("return").emit("end")
    return tuple(code.emit("i32.const", 0))
