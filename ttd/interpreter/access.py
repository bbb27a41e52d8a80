"""Instructions on linear memory, as operations over `LinearMemory`'s typed views.

Loads and stores are compiled from templates like integer instructions, see `integers`. An access outside of a
memory raises IndexError, from the view or from `LinearMemory.load`; the machine makes a trap of it. Aligned
accesses go straight to a view of their width, since that is what nearly all accesses are.

May import base, `ttd.wasm`, `ttd.engine.memory`, `code` and `integers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TypeAlias, cast

from ttd.engine.memory import LinearMemory
from ttd.interpreter.code import Op, Registers, Trapped, WriteRange
from ttd.interpreter.integers import M32, M64
from ttd.types import TrapKind
from ttd.wasm.opcodes import Opcode

_Factory: TypeAlias = Callable[[LinearMemory, int, int, int, int, int], Op]
"""From the memory, the registers of the address and of the other operand, offset, next entry and lane."""

_LOAD = """
def make(memory, a, b, offset, then, LANE):
    def op(r):
        address = r[a] + offset
        r[a] = {value}
        return then
    return op
"""

_STORE_ALIGNED = """
def make(memory, a, b, offset, then, LANE):
    def op(r):
        address = r[a] + offset
        if address & {low}:
            memory.store_bytes(address, {size}, r[b])
        else:
            memory.{view}[address >> {shift}] = r[b] & {mask}
        return then
    return op
"""

_STORE_BYTES = """
def make(memory, a, b, offset, then, LANE):
    def op(r):
        memory.store_bytes(r[a] + offset, {size}, {value})
        return then
    return op
"""


def _read(size: int) -> str:
    """An expression for the unsigned number of `size` bytes at `address`."""
    if size == 1:
        return "memory.u8[address]"
    if size == 16:
        return "memory.load(address, 16)"
    view, shift, low = f"u{8 * size}", size.bit_length() - 1, size - 1
    return f"(memory.{view}[address >> {shift}] if not address & {low} else memory.load(address, {size}))"


def _load(op: Opcode) -> str:
    size, mnemonic = op.access, op.mnemonic
    read = _read(size)
    if mnemonic.endswith("_lane"):
        lane = f"{8 * size} * LANE"
        return f"r[b] & ~({(1 << 8 * size) - 1} << {lane}) | {read} << {lane}"
    if mnemonic.endswith("_s") and mnemonic[0] == "i":
        sign, mask = 1 << (8 * size - 1), M32 if mnemonic[:3] == "i32" else M64
        if size == 1:
            return f"memory.s8[address] & {mask}"
        return f"(({read} ^ {sign}) - {sign}) & {mask}"
    return read


def _store(op: Opcode) -> str:
    size = op.access
    if op.mnemonic.endswith("_lane"):
        return _STORE_BYTES.format(size=size, value=f"r[b] >> {8 * size} * LANE")
    if size == 16:
        return _STORE_BYTES.format(size=size, value="r[b]")
    values = {"size": size, "low": size - 1, "shift": size.bit_length() - 1, "view": f"u{8 * size}"}
    text = _STORE_ALIGNED.format(mask=(1 << 8 * size) - 1, **values)
    # i32.store and the like write all bits of their operand: there is nothing to mask.
    return text if re.search(r"store\d", op.mnemonic) else re.sub(r"r\[b\] & \d+", "r[b]", text)


@cache
def _factory(op: Opcode) -> _Factory:
    text = _store(op) if op.is_store else _LOAD.format(value=_load(op))
    names: dict[str, object] = {}
    exec(compile(text, f"<{op.mnemonic}>", "exec"), names)
    return cast(_Factory, names["make"])


def make(op: Opcode, memory: LinearMemory, a: int, offset: int, then: int, lane: int = 0) -> Op:
    """The operation of a load or store with its address in register `a`.

    Of a load that goes on to extend or splat what it loads (v128.load8x8_s and so on), the load alone: the
    bytes, zero-extended; `numerics` has the rest.
    """
    return _factory(op)(memory, a, a + 1, offset, then, lane)


def write_range(op: Opcode, memory: int, a: int, offset: int) -> WriteRange:
    """What a store with its address in register `a` writes to."""
    size = op.access
    return lambda r: (memory, r[a] + offset, size)


def bulk_write_range(memory: int, a: int) -> WriteRange:
    """What memory.fill, memory.copy or memory.init writes to: operands address, …, length."""
    return lambda r: (memory, r[a], r[a + 2])


# --- size and bulk ------------------------------------------------------------------------------------


def size(memory: LinearMemory, a: int, then: int) -> Op:
    def op(r: Registers) -> int:
        r[a] = memory.size >> 16
        return then

    return op


def grow(memory: LinearMemory, a: int, then: int) -> Op:
    """-1, in as many bits as the memory's addresses have, says that it cannot grow (core 4.4.7)."""
    mask = M64 if memory.type.is64 else M32

    def op(r: Registers) -> int:
        r[a] = memory.grow(r[a]) & mask
        return then

    return op


def _check(end: int, size: int) -> None:
    if end > size:
        raise Trapped(TrapKind.MEMORY_OUT_OF_BOUNDS)


def fill(memory: LinearMemory, a: int, then: int) -> Op:
    def op(r: Registers) -> int:
        address, value, count = r[a : a + 3]
        _check(address + count, memory.size)
        memory.u8[address : address + count] = bytes((value & 0xFF,)) * count
        return then

    return op


def copy(destination: LinearMemory, source: LinearMemory, a: int, then: int) -> Op:
    def op(r: Registers) -> int:
        to, from_, count = r[a : a + 3]
        _check(to + count, destination.size)
        _check(from_ + count, source.size)
        destination.u8[to : to + count] = source.u8[from_ : from_ + count]  # overlaps are allowed for
        return then

    return op


def init(memory: LinearMemory, segment: Callable[[], bytes], a: int, then: int) -> Op:
    """`segment` gives what is left of the data segment: nothing once it was dropped."""

    def op(r: Registers) -> int:
        to, from_, count = r[a : a + 3]
        data = segment()
        _check(to + count, memory.size)
        _check(from_ + count, len(data))
        memory.u8[to : to + count] = data[from_ : from_ + count]
        return then

    return op
