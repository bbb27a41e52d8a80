"""Noting the ticks at which something that is looked for may have happened: the code for probes.

Instrumented code never decides whether a probe hits. It *notes a tick*: "between this tick and the next one
there may be a hit". Who looks for hits (`ttd.engine.search`) then goes to that tick and lets the interpreter
find them, exactly. So a noted tick without a hit costs time and nothing else, but a hit whose tick is
not noted would be lost.

    note(tick):  if tick is the last one noted: return
                 put it into the list; trap if that is full

The trap is how a run stops: its frames are not needed, since whoever wants the hit has to go back anyway.

Who notes:

- **Code.** `note(count)` just before an instruction: in a *patch*, a copy of a function in a module of its
  own, and in the continuations of frames that are on the stack already. `note` is in every build, so that
  frames can be followed (`next`, `finish`) without the build that has what follows.
- **Entries of functions**, in the build with probes: each function looks at its byte in the shadow memory,
  and is left for its patch, or notes the tick if what is looked for lies in the straight line from its
  entry on: then no patch is needed.

      f(x):  if ENTRIES[f] { if ENTRIES[f] == ENTRY_PATCHED { return_call patches[f](x) };  note(count + 1) }

- **Writes to memory**, in the build with probes. Behind each store the address is compared with the hull of
  what is watched in that memory; if it is inside, `wrote` goes through the watches, and notes the tick for
  those whose bytes have changed, which it knows from a copy of them in the shadow memory.

      store(a + offset, x);  if (a + offset + size - 1 - low <u span + size - 1) { wrote(a + offset, size) }

Rejected: to freeze at the hit. It would need sites at all instructions, also in functions that cannot freeze,
and the number of the step is not known there.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from ttd.instrument import abi
from ttd.instrument.emit import (
    END_BYTE,
    RETURN_BYTE,
    BodyEmitter,
    Layout,
    call,
    global_get,
    i32_const,
    i64_const,
    local_get,
    local_set,
    local_tee,
    shadow_memarg,
)
from ttd.wasm.leb128 import write_signed, write_unsigned
from ttd.wasm.model import Function, FuncType, Instruction, ValType
from ttd.wasm.opcodes import BY_CODE, BY_MNEMONIC, Immediates
from ttd.wasm.typing import Typing

I32, I64 = ValType.I32, ValType.I64
NOTE_TYPE = FuncType((I64,), ())
WROTE_TYPE = FuncType((I64, I64), ())

_BLOCK, _LOOP, _IF, _BR, _BR_IF = b"\x02\x40", b"\x03\x40", b"\x04\x40", b"\x0c", b"\x0d"
_SELECT, _UNREACHABLE = b"\x1b", b"\x00"
_I32_EQ, _I32_NE, _I32_GE_U, _I32_ADD, _I32_SHL = b"\x46", b"\x47", b"\x4f", b"\x6a", b"\x74"
_I64_EQ, _I64_LT_U, _I64_GT_U, _I64_GE_U = b"\x51", b"\x54", b"\x56", b"\x5a"
_I64_ADD, _I64_SUB, _I64_AND, _I64_SHL = b"\x7c", b"\x7d", b"\x83", b"\x86"
_WRAP, _EXTEND = b"\xa7", b"\xad"
_STRAIGHT = frozenset((BY_MNEMONIC["block"],))
_STORES = frozenset(op for op in BY_CODE.values() if op.is_store)
_BULK = frozenset(BY_MNEMONIC[f"memory.{name}"] for name in ("fill", "copy", "init"))


def note_function(layout: Layout) -> tuple[tuple[ValType, ...], bytes]:
    """Locals and code of `note`."""
    zero = i32_const(0)
    code = local_get(0) + zero + layout.load(I64, abi.NOTED_LAST) + _I64_EQ
    code += _IF + RETURN_BYTE + END_BYTE
    code += zero + local_get(0) + layout.store(I64, abi.NOTED_LAST)
    code += zero + layout.load(I64, abi.NOTED) + local_tee(1)
    code += i64_const(abi.NOTES_KEPT - 1) + _I64_AND + i64_const(3) + _I64_SHL + _WRAP
    code += local_get(0) + layout.store(I64, abi.NOTES)
    code += zero + local_get(1) + i64_const(1) + _I64_ADD + local_tee(1) + layout.store(I64, abi.NOTED)
    code += local_get(1) + zero + layout.load(I64, abi.NOTED_MOST) + _I64_GE_U
    code += _IF + _UNREACHABLE + END_BYTE
    return (I64,), code + END_BYTE


def wrote_function(layout: Layout, memory: int, is64: bool) -> tuple[tuple[ValType, ...], bytes]:
    """Locals and code of `wrote` for a memory.

    In pseudo-code: for each watch of this memory: first, end = the bytes both watched and written; for each
    of them: if its copy is different: update the copy, note.
    """
    entry, last, first, end, copy = 2, 3, 4, 5, 6
    load8 = b"\x2d" + _memarg(memory)
    shadow8 = b"\x2d" + shadow_memarg(layout.shadow)
    note = global_get(layout.count) + call(layout.note())
    byte = local_get(first) + (b"" if is64 else _WRAP) + load8

    def field(type_: ValType, offset: int) -> bytes:
        return local_get(entry) + layout.load(type_, offset)

    code = i32_const(abi.WATCH_TABLE) + local_tee(entry)
    code += i32_const(0) + layout.load(I32, abi.WATCHES) + i32_const(5) + _I32_SHL + _I32_ADD
    code += local_set(last) + _BLOCK + _LOOP
    code += local_get(entry) + local_get(last) + _I32_GE_U + _BR_IF + b"\x01" + _BLOCK
    code += field(I32, 20) + i32_const(memory) + _I32_NE + _BR_IF + b"\x00"
    code += local_get(0) + field(I64, 0) + local_get(0) + field(I64, 0) + _I64_GT_U + _SELECT
    code += local_set(first)
    code += local_get(0) + local_get(1) + _I64_ADD + local_tee(end)
    code += field(I64, 0) + field(I64, 8) + _I64_ADD + local_tee(copy)
    code += local_get(end) + local_get(copy) + _I64_LT_U + _SELECT + local_set(end)
    code += local_get(first) + local_get(end) + _I64_GE_U + _BR_IF + b"\x00"
    code += field(I32, 24) + _IF + note + _BR + b"\x01" + END_BYTE
    code += local_get(first) + field(I64, 0) + _I64_SUB + _WRAP + field(I32, 16) + _I32_ADD + local_set(7)
    code += _LOOP + local_get(7) + shadow8 + byte + _I32_NE + _IF
    code += local_get(7) + byte + b"\x3a" + shadow_memarg(layout.shadow) + note + END_BYTE
    code += local_get(7) + i32_const(1) + _I32_ADD + local_set(7)
    code += local_get(first) + i64_const(1) + _I64_ADD + local_tee(first)
    code += local_get(end) + _I64_LT_U + _BR_IF + b"\x00" + END_BYTE + END_BYTE
    code += local_get(entry) + i32_const(abi.WATCH_ENTRY) + _I32_ADD + local_set(entry)
    code += _BR + b"\x00" + END_BYTE + END_BYTE
    return (I32, I32, I64, I64, I64, I32), code + END_BYTE


def entry_test(layout: Layout, function: Function, ticks: bool, type_index: int, patches: int) -> bytes:
    """What a function of the build with probes begins with. `patches` is the index of the table."""
    flag = i32_const(0) + b"\x2d" + shadow_memarg(layout.shadow, abi.ENTRIES + function.index)
    arguments = b"".join(local_get(i) for i in range(len(function.type.params)))
    code = flag + _IF + flag + i32_const(abi.ENTRY_PATCHED) + _I32_EQ + _IF
    code += arguments + i32_const(function.index)
    code += b"\x13" + write_unsigned(type_index) + write_unsigned(patches) + END_BYTE
    code += global_get(layout.count) + (i64_const(1) + _I64_ADD if ticks else b"")
    return code + call(layout.note()) + END_BYTE


def straight_from_entry(typing: Typing) -> frozenset[int]:
    """Offsets of the instructions that are executed first in every activation, and in the tick of its entry;
    never again in that activation."""
    offsets = []
    for instruction in typing.instructions:
        op = instruction.op
        if op in _STRAIGHT:
            continue
        if op.is_marker:
            break
        offsets.append(instruction.offset)
        if op.params is None and op not in _PLAIN:
            break
    return frozenset(offsets)


_PLAIN = frozenset(
    BY_MNEMONIC[name]
    for name in ("local.get", "local.set", "local.tee", "global.get", "global.set", "drop", "select")
)
"""Instructions whose types depend on context and that are not control."""


class WriteChecks:
    """Writes the checks of writes (`emit.Watching`)."""

    writers = _STORES | _BULK

    def __init__(self, is64: Sequence[bool], first_global: int, wrote: Callable[[int], int]) -> None:
        """`is64` tells of each memory how wide its addresses are; `first_global` is the index of the first
        of the globals `low` and `span` of each; `wrote` gives the index of that function."""
        self._is64 = is64
        self._first_global = first_global
        self._wrote = wrote

    def open(self, emitter: BodyEmitter, instruction: Instruction) -> Callable[[], None]:
        """Keep the operands; what is given back writes the check."""
        if instruction.op.is_store:
            return self._open_store(emitter, instruction)
        return self._open_bulk(emitter, instruction)

    def _address_type(self, memory: int) -> ValType:
        return I64 if self._is64[memory] else I32

    def _open_store(self, emitter: BodyEmitter, instruction: Instruction) -> Callable[[], None]:
        memory, _, offset = cast("tuple[int, int, int]", instruction.immediates[:3])
        value_type = cast("tuple[ValType, ...]", instruction.op.params)[1]
        address = emitter.temporary("address", self._address_type(memory))
        value = emitter.temporary("value", value_type)
        emitter.out += local_set(value) + local_tee(address) + local_get(value)
        size = instruction.op.access

        def close() -> None:
            emitter.out += self._check(memory, address, offset, size)

        return close

    def _check(self, memory: int, address: int, offset: int, size: int) -> bytes:
        low = self._first_global + 2 * memory
        if self._is64[memory]:
            add, sub, less, const, extend = b"\x7c", b"\x7d", b"\x54", b"\x42", b""
        else:
            add, sub, less, const, extend = b"\x6a", b"\x6b", b"\x49", b"\x41", _EXTEND
        bits = 64 if self._is64[memory] else 32
        code = local_get(address) + _plus(offset + size - 1, bits, const, add)
        code += global_get(low) + sub + global_get(low + 1) + _plus(size - 1, bits, const, add) + less
        code += _IF + local_get(address) + extend + _plus(offset, 64, b"\x42", _I64_ADD)
        return code + i64_const(size) + call(self._wrote(memory)) + END_BYTE

    def _open_bulk(self, emitter: BodyEmitter, instruction: Instruction) -> Callable[[], None]:
        kind = instruction.op.immediates
        memory = cast(int, instruction.immediates[1 if kind is Immediates.MEMORY_INIT else 0])
        address_type = self._address_type(memory)
        second, length_type = I32, address_type
        if kind is Immediates.MEMORY_COPY:
            second = self._address_type(cast(int, instruction.immediates[1]))
            length_type = I64 if second is I64 and address_type is I64 else I32
        elif kind is Immediates.MEMORY_INIT:
            length_type = I32
        address, length = (
            emitter.temporary("address", address_type),
            emitter.temporary("length", length_type),
        )
        value = emitter.temporary("value", second)
        emitter.out += local_set(length) + local_set(value) + local_tee(address)
        emitter.out += local_get(value) + local_get(length)

        def close() -> None:
            emitter.out += local_get(address) + (_EXTEND if address_type is I32 else b"")
            emitter.out += local_get(length) + (_EXTEND if length_type is I32 else b"")
            emitter.out += call(self._wrote(memory))

        return close


def _plus(value: int, bits: int, const: bytes, add: bytes) -> bytes:
    """Code that adds a constant."""
    if value == 0:
        return b""
    signed = value - (1 << bits) if value >> (bits - 1) & 1 else value
    return const + write_signed(signed) + add


def _memarg(memory: int) -> bytes:
    return shadow_memarg(memory)
