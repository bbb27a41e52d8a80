"""Where variables are: DWARF location expressions (DWARF 5, 2.5 and 2.6), with WebAssembly's places.

A location is first compiled: for each range of pcs a tuple of operations. Evaluating one against a stopped
machine gives a `Place`. WebAssembly adds one operation, DW_OP_WASM_location, which names a local, a global
or an operand (https://yurydelendik.github.io/webassembly-dwarf/). LLVM writes the frame base of a function
with a stack frame as the local that holds the frame's address; variables are then offsets from it in linear
memory. A variable that lives in a local is DW_OP_WASM_location with DW_OP_stack_value behind it; without, the
local holds the variable's address.

**Width.** DWARF computes with numbers of the size of an address (2.5.1.1). LLVM writes for 64 bits on wasm32,
too: all bits of a double are one constant, and the copies of a sign are shifted up by 32. So numbers have 64
bits here, of which an address takes the lower half. The upper half of what was a 32-bit number in the program
is then anything: where it would change the result of an operation, the variable is not available.

May import base and pyelftools.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ttd.errors import ExpressionError
from ttd.state import Frame
from ttd.types import Value


class Machine(Protocol):
    """What a location expression may look at: one frame of a stopped program, its globals and memory."""

    @property
    def frame(self) -> Frame | None:
        """The selected frame; None where the program has none."""
        ...

    @property
    def globals(self) -> Sequence[Value]: ...

    def read_memory(self, address: int, length: int, memory: int = 0) -> bytes:
        """Bytes [address, address + length); ExpressionError where not all of it is inside the memory."""
        ...


@dataclass(frozen=True, slots=True)
class InMemory:
    """The object lies in linear memory, from `address` on."""

    address: int
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Immediate:
    """The object has no address: its bytes are known (it is in a WebAssembly local, say, or a constant).

    `data` may be longer than the object (a char in a 32-bit local): the first bytes are its. Of an object in
    pieces some may be lost: `lost` are the [start, end) of bytes that `data` has zeros for.
    """

    data: bytes
    lost: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The object cannot be found here; `reason` is such as ``optimized out``."""

    reason: str


Place: TypeAlias = "InMemory | Immediate | Unavailable"
OPTIMIZED_OUT = Unavailable("optimized out")

Operation: TypeAlias = "tuple[str, tuple[int | bytes, ...]]"
"""A DWARF operation: its name without ``DW_OP_``, its arguments."""


@dataclass(frozen=True, slots=True)
class LocationRange:
    """Operations that hold for pcs in [start, end)."""

    start: int
    end: int
    operations: tuple[Operation, ...]


ALWAYS = (0, 1 << 64)


@dataclass(frozen=True, slots=True)
class LocationProgram:
    """A compiled location: of a variable, or the frame base of a function. No ranges: optimised out."""

    ranges: tuple[LocationRange, ...]

    def at(self, pc: int) -> tuple[Operation, ...] | None:
        """The operations that hold at `pc` (a byte offset in the module file)."""
        for entry in self.ranges:
            if entry.start <= pc < entry.end:
                return entry.operations
        return None


MAX_STEPS = 10_000
"""Operations that one evaluation may perform: DW_OP_skip and DW_OP_bra can loop."""


class _Damaged(Exception):
    """The expression is malformed, or uses what has no meaning in WebAssembly."""


class _Lost(_Damaged):
    """What is described was there, but is no more."""


_PIECES = frozenset({"piece", "bit_piece"})


class _Pieces:
    """An object that is put together of pieces, of which some may be lost (DWARF 5, 2.6.1.2)."""

    def __init__(self) -> None:
        self.width = 0
        """Bits so far."""
        self._bits = 0
        self._lost: list[tuple[int, int]] = []
        self._is_known = False

    def add(self, bits: int | None, width: int) -> None:
        """The next `width` bits; None: they are lost. Raises _Damaged if there are too many."""
        if width < 0 or self.width + width > MOST_BITS:
            raise _Damaged("oversized piece")
        end = self.width + width
        if bits is None:
            self._lost.append((self.width // 8, (end + 7) // 8))
        else:
            self._bits |= (bits & (1 << width) - 1) << self.width
            self._is_known = self._is_known or width > 0
        self.width = end

    @property
    def place(self) -> Place:
        """The object."""
        if not self._is_known:
            return OPTIMIZED_OUT
        return Immediate(self._bits.to_bytes((self.width + 7) // 8, "little"), tuple(self._lost))


MOST_BITS = 8 << 20
"""Bits of an object in pieces."""


def locate(
    program: LocationProgram, frame_base: LocationProgram | None, machine: Machine, size: int = 4
) -> Place:
    """Where the object described by `program` is. `size` is that of an address in bytes.

    Where the selected frame has no pc (no frame at all), only locations that hold everywhere can be found.
    """
    frame = machine.frame
    operations = program.at(frame.pc if frame is not None else 0)
    if operations is None:
        return OPTIMIZED_OUT
    try:
        return _Evaluation(machine, frame_base, size).run(operations)
    except (_Damaged, ExpressionError) as error:
        return Unavailable(str(error))


_BITS = 64
_ALL = (1 << _BITS) - 1
_NARROW = range(-(1 << 31), 1 << 31)
"""Signed numbers that are the same with 32 bits and with 64."""


class _Evaluation:
    """One evaluation: DWARF's stack machine. Numbers on its stack are unsigned, of 64 bits."""

    def __init__(self, machine: Machine, frame_base: LocationProgram | None, size: int) -> None:
        self.machine = machine
        self.frame_base = frame_base
        self.size = size
        self.mask = (1 << 8 * size) - 1
        self.stack: list[int] = []
        self.value: bytes | None = None
        """The bytes of the object, where the expression has said what they are rather than where."""
        self.whole: bytes | None = None
        """All bytes of the WebAssembly value on top of the stack, which may be wider than an address."""
        self.pieces = _Pieces()

    def run(self, operations: Sequence[Operation]) -> Place:
        steps, at = 0, 0
        while at < len(operations):
            name, arguments = operations[at]
            at += 1
            steps += 1
            if steps > MAX_STEPS:
                raise _Damaged("endless location expression")
            try:
                jump = self._perform(name, arguments)
            except _Lost:
                jump = self._next_piece(operations, at)
                if jump is None:
                    raise
            if jump is not None:
                if not 0 <= jump <= len(operations):
                    raise _Damaged("location jumps out of itself")
                at = jump
        if self.pieces.width:
            return self.pieces.place
        if self.value is not None:
            return Immediate(self.value)
        return InMemory(self.address()) if self.stack else OPTIMIZED_OUT

    def _next_piece(self, operations: Sequence[Operation], at: int) -> int | None:
        """Where the piece ends that is being described and is lost; None where there are no pieces."""
        self.stack.clear()
        self.value = self.whole = None
        ends = (number for number in range(at, len(operations)) if operations[number][0] in _PIECES)
        return next(ends, None)

    def pop(self) -> int:
        if not self.stack:
            raise _Damaged("location expression without operands")
        return self.stack.pop()

    def push(self, number: int) -> None:
        self.value = self.whole = None
        if len(self.stack) > 1000:
            raise _Damaged("location expression too deep")
        self.stack.append(number & _ALL)

    def address(self) -> int:
        """The number on top of the stack, as an address."""
        return self.pop() & self.mask

    def signed(self, number: int) -> int:
        """`number` with its sign. Raises _Damaged where it depends on how many bits it was meant to have."""
        signed = number - _ALL - 1 if number >> _BITS - 1 else number
        if signed not in _NARROW:
            raise _Damaged("optimized out")
        return signed

    def _perform(self, name: str, arguments: tuple[int | bytes, ...]) -> int | None:
        """Perform one operation; the number of the next one where it jumps."""
        if name in _BINARY:
            right, left = self.pop(), self.pop()
            self.push(_BINARY[name](self, left, right))
        elif name in _SIMPLE:
            _SIMPLE[name](self)
        elif name in _WITH_NUMBER:
            _WITH_NUMBER[name](self, _number(arguments, 0))
        elif name in ("skip", "bra"):
            if name == "skip" or self.pop():
                return _number(arguments, 0)
        elif name == "WASM_location":
            self._wasm_location(_number(arguments, 0), _number(arguments, 1))
        elif name == "convert":
            self.convert(_number(arguments, 0), _number(arguments, 1))
        elif name == "bit_piece":
            self.bit_piece(_number(arguments, 0), _number(arguments, 1))
        elif name in ("entry_value", "GNU_entry_value"):
            raise _Lost("optimized out")  # where the parameter is kept, `scopes` has named its local instead
        elif name in ("implicit_pointer", "GNU_implicit_pointer"):
            raise _Lost("synthetic pointer")
        elif name == "implicit_value" and arguments and isinstance(arguments[0], bytes):
            self.value = arguments[0]
        elif name.startswith("lit") and name[3:].isdigit():
            self.push(int(name[3:]))
        else:
            raise _Damaged(f"location uses DW_OP_{name}")
        return None

    def _wasm_location(self, kind: int, index: int) -> None:
        """Kinds: 0 local, 1 and 3 global, 2 operand."""
        frame = self.machine.frame
        values: Sequence[Value] = self.machine.globals
        if kind in (0, 2):
            if frame is None:
                raise _Damaged("no frame")
            values = frame.locals if kind == 0 else frame.operands
        value = values[index] if 0 <= index < len(values) else None
        if not isinstance(value, int):
            raise _Lost("optimized out")
        self.push(value)
        self.whole = value.to_bytes(16, "little")

    def stack_value(self) -> None:
        number = self.pop()
        self.value = self.whole if self.whole is not None else number.to_bytes(_BITS // 8, "little")

    def fbreg(self, offset: int) -> None:
        if self.frame_base is None or self.machine.frame is None:
            raise _Damaged("no frame")
        base = locate(self.frame_base, None, self.machine, self.size)
        if isinstance(base, Immediate):
            self.push(int.from_bytes(base.data[: self.size], "little") + offset)
        elif isinstance(base, InMemory):
            self.push(base.address + offset)
        else:
            raise _Damaged(base.reason)

    def deref(self, length: int) -> None:
        if not 0 < length <= 8:
            raise _Damaged("location dereferences an odd size")
        self.push(int.from_bytes(self.machine.read_memory(self.address(), length), "little"))

    def pick(self, index: int) -> None:
        if not 0 <= index < len(self.stack):
            raise _Damaged("location expression without operands")
        self.push(self.stack[-1 - index])

    def piece(self, length: int) -> None:
        """The next `length` bytes of the object are what was just described."""
        self.bit_piece(8 * length, 0)

    def bit_piece(self, width: int, offset: int) -> None:
        """The next `width` bits of the object are those from bit `offset` on of what was just described."""
        if not 0 <= width <= MOST_BITS or not 0 <= offset <= MOST_BITS:
            raise _Damaged("oversized piece")
        length, data = (offset + width + 7) // 8, self.value
        if data is None and self.stack:
            data = self.machine.read_memory(self.address(), length)
        is_whole = data is not None and len(data) >= length
        self.pieces.add(int.from_bytes(data or b"", "little") >> offset if is_whole else None, width)
        self.stack.clear()
        self.value = self.whole = None

    def rotate(self) -> None:
        first, second, third = self.pop(), self.pop(), self.pop()
        for number in (first, third, second):
            self.push(number)

    def swap(self) -> None:
        first, second = self.pop(), self.pop()
        self.push(first)
        self.push(second)

    def drop(self) -> None:
        self.pop()
        self.whole = None

    def convert(self, bits: int, signed: int) -> None:
        """The number as one of so many bits, extended again with its sign (`signed`) or without."""
        if not 0 < bits <= _BITS:
            raise _Damaged("location converts to a type that is no integer")
        number = self.pop() & (1 << bits) - 1
        self.push(number - (1 << bits) if signed and number >> bits - 1 else number)

    def divide(self, left: int, right: int) -> int:
        dividend, divisor = self.signed(left), self.signed(right)
        if divisor == 0:
            raise _Damaged("location divides by zero")
        quotient = abs(dividend) // abs(divisor)
        return quotient if (dividend < 0) == (divisor < 0) else -quotient

    def modulo(self, left: int, right: int) -> int:
        dividend, divisor = self.signed(left), self.signed(right)
        if divisor <= 0 or dividend < 0:
            raise _Damaged("optimized out")  # what it is of negative numbers, DWARF does not say
        return dividend % divisor

    def shift_right(self, number: int, count: int) -> int:
        """Without sign. What 32 bits give must be the lower half of what 64 give."""
        narrow = 0xFFFFFFFF
        shifted = number >> _shift(count)
        if (shifted ^ (number & narrow) >> _shift(count)) & narrow:
            raise _Damaged("optimized out")
        return shifted


def _number(arguments: tuple[int | bytes, ...], index: int) -> int:
    value = arguments[index] if index < len(arguments) else None
    if not isinstance(value, int):
        raise _Damaged("malformed location expression")
    return value


def _shift(number: int) -> int:
    return min(number, 128)


_BINARY: dict[str, Callable[[_Evaluation, int, int], int]] = {
    "plus": lambda e, a, b: a + b,
    "minus": lambda e, a, b: a - b,
    "mul": lambda e, a, b: a * b,
    "div": lambda e, a, b: e.divide(a, b),
    "mod": lambda e, a, b: e.modulo(a, b),
    "and": lambda e, a, b: a & b,
    "or": lambda e, a, b: a | b,
    "xor": lambda e, a, b: a ^ b,
    "shl": lambda e, a, b: a << _shift(b),
    "shr": lambda e, a, b: e.shift_right(a, b),
    "shra": lambda e, a, b: e.signed(a) >> _shift(b),
    "eq": lambda e, a, b: int(e.signed(a) == e.signed(b)),
    "ne": lambda e, a, b: int(e.signed(a) != e.signed(b)),
    "lt": lambda e, a, b: int(e.signed(a) < e.signed(b)),
    "le": lambda e, a, b: int(e.signed(a) <= e.signed(b)),
    "gt": lambda e, a, b: int(e.signed(a) > e.signed(b)),
    "ge": lambda e, a, b: int(e.signed(a) >= e.signed(b)),
}

_SIMPLE: dict[str, Callable[[_Evaluation], None]] = {
    "nop": lambda e: None,
    "dup": lambda e: e.pick(0),
    "over": lambda e: e.pick(1),
    "drop": lambda e: e.drop(),
    "swap": _Evaluation.swap,
    "rot": _Evaluation.rotate,
    "deref": lambda e: e.deref(e.size),
    "stack_value": _Evaluation.stack_value,
    "neg": lambda e: e.push(-e.pop()),
    "not": lambda e: e.push(~e.pop()),
    "abs": lambda e: e.push(abs(e.signed(e.pop()))),
    "GNU_push_tls_address": lambda e: None,
    "form_tls_address": lambda e: None,
}

_WITH_NUMBER: dict[str, Callable[[_Evaluation, int], None]] = {
    **dict.fromkeys(
        ("addr", "const1u", "const1s", "const2u", "const2s", "const4u", "const4s", "const8u", "const8s",
         "constu", "consts"),
        _Evaluation.push,
    ),
    "plus_uconst": lambda e, n: e.push(e.pop() + n),
    "fbreg": _Evaluation.fbreg,
    "deref_size": _Evaluation.deref,
    "pick": _Evaluation.pick,
    "piece": _Evaluation.piece,
}  # fmt: skip
