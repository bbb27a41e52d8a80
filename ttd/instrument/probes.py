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
  frames can be followed (`next`, `finish`) without the build that has what follows. Where a predicate was
  given (a condition of a breakpoint), it is asked first: `if (predicate(locals)) note(count)`. It is a
  function in a module of its own, too, so the code around it needs no more room for it than for a call.
- **Entries of functions**, in the build with probes: each function looks at its byte in the shadow memory,
  and is left for its patch, or notes the tick if what is looked for lies in the straight line from its
  entry on: then no patch is needed.

      f(x):  if ENTRIES[f] { if ENTRIES[f] == ENTRY_PATCHED { return_call patches[f](x) };  note(count + 1) }

- **Writes to memory**, in the build that watches. Before each store its address is compared with the hull of
  what is watched in that memory; and if it is inside, the bytes there with what is stored.

      if (a + offset + size - 1 - low <u span + size - 1) { if (load(a + offset) != x) note(count) }

  `note` is written out here: a call would make all values leave their registers, also on the way on which
  it is not made (1.7 instead of 1.45 times the time without ttd, in a sorting loop). Bulk writes are put
  between two calls: `keep` copies the watched bytes that will be written, `wrote` compares them.

Rejected: to freeze at the hit. It would need sites at all instructions, also in functions that cannot freeze,
and the number of the step is not known there.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from ttd.instrument import abi
from ttd.instrument.bytecode import (
    END_BYTE,
    call,
    global_get,
    i32_const,
    i64_const,
    local_get,
    local_set,
    local_tee,
    shadow_memarg,
)
from ttd.instrument.emit import BodyEmitter, Layout
from ttd.wasm.leb128 import write_signed, write_unsigned
from ttd.wasm.model import Function, FuncType, Instruction, ValType
from ttd.wasm.opcodes import BY_CODE, BY_MNEMONIC, Immediates
from ttd.wasm.predicate import Predicate

I32, I64 = ValType.I32, ValType.I64

NOTE_TYPE = FuncType((I64,), ())
WROTE_TYPE = FuncType((I64, I64), ())

_BLOCK, _LOOP, _IF, _BR, _BR_IF = b"\x02\x40", b"\x03\x40", b"\x04\x40", b"\x0c", b"\x0d"
_SELECT, _UNREACHABLE = b"\x1b", b"\x00"
_I32_EQ, _I32_NE, _I32_GE_U, _I32_ADD, _I32_SHL = b"\x46", b"\x47", b"\x4f", b"\x6a", b"\x74"
_I32_OR, _I64_NE = b"\x72", b"\x52"
_I64_LT_U, _I64_GT_U, _I64_GE_U = b"\x54", b"\x56", b"\x5a"
_I64_ADD, _I64_SUB, _I64_AND, _I64_SHL = b"\x7c", b"\x7d", b"\x83", b"\x86"
_WRAP, _EXTEND = b"\xa7", b"\xad"
_STORES = frozenset(op for op in BY_CODE.values() if op.is_store)
_BULK = frozenset(BY_MNEMONIC[f"memory.{name}"] for name in ("fill", "copy", "init"))


def note_function(layout: Layout) -> tuple[tuple[ValType, ...], bytes]:
    """Locals and code of `note`."""
    return (I64,), _note(layout, local_get(0), 1) + END_BYTE


def note_before(layout: Layout, predicate: Predicate | None, function: Callable[[Predicate], int]) -> bytes:
    """Code that notes the present tick, if the predicate says yes. `function` gives its index."""
    note = global_get(layout.count) + call(layout.note())
    if predicate is None:
        return note
    arguments = b"".join(local_get(local) for local, _ in predicate.arguments)
    return arguments + call(function(predicate)) + _IF + note + END_BYTE


def _note_inline(layout: Layout, number: int) -> bytes:
    """`note(count)` without a call, for which values would have to leave their registers all around."""
    return _note(layout, global_get(layout.count), number)


def _note(layout: Layout, tick: bytes, number: int) -> bytes:
    """Code that notes `tick`; `number` is a local to use."""
    zero = i32_const(0)
    code = tick + zero + layout.load(I64, abi.NOTED_LAST) + _I64_NE + _IF
    code += zero + tick + layout.store(I64, abi.NOTED_LAST)
    code += zero + layout.load(I64, abi.NOTED) + local_tee(number)
    code += i64_const(abi.NOTES_KEPT - 1) + _I64_AND + i64_const(3) + _I64_SHL + _WRAP
    code += tick + layout.store(I64, abi.NOTES)
    code += zero + local_get(number) + i64_const(1) + _I64_ADD + local_tee(number)
    code += layout.store(I64, abi.NOTED)
    code += local_get(number) + zero + layout.load(I64, abi.NOTED_MOST) + _I64_GE_U
    return code + _IF + _UNREACHABLE + END_BYTE + END_BYTE


def keep_function(layout: Layout, memory: int, is64: bool) -> tuple[tuple[ValType, ...], bytes]:
    """Locals and code of `keep` for a memory: copy the bytes that are both watched and in the range given."""
    copy = local_get(_COPY) + _byte(memory, is64) + b"\x3a" + shadow_memarg(layout.shadow)
    return _over_watched_bytes(layout, memory, b"", copy)


def wrote_function(layout: Layout, memory: int, is64: bool) -> tuple[tuple[ValType, ...], bytes]:
    """Locals and code of `wrote` for a memory: note the tick if one of the bytes that are both watched and in
    the range given is not as its copy; or if there is such a byte at all, and changes are not asked for."""
    note = global_get(layout.count) + call(layout.note())
    anyhow = local_get(_ENTRY) + layout.load(I32, 24) + _IF + note + _BR + b"\x01" + END_BYTE
    shadow = local_get(_COPY) + b"\x2d" + shadow_memarg(layout.shadow)
    compare = shadow + _byte(memory, is64) + _I32_NE + _IF + note + END_BYTE
    return _over_watched_bytes(layout, memory, anyhow, compare)


_ENTRY, _LAST, _FIRST, _END, _TOP, _COPY = 2, 3, 4, 5, 6, 7


def _byte(memory: int, is64: bool) -> bytes:
    return local_get(_FIRST) + (b"" if is64 else _WRAP) + b"\x2d" + shadow_memarg(memory)


def _over_watched_bytes(
    layout: Layout, memory: int, for_watch: bytes, for_byte: bytes
) -> tuple[tuple[ValType, ...], bytes]:
    """A function (address, length) that goes over the bytes of this range that are watched.

    For each watch of `memory`: _FIRST, _END = the bytes in both; if there are any: `for_watch` (inside of a
    block that ends the work on this watch); for each of them, with its copy at _COPY: `for_byte`.
    """

    def field(type_: ValType, offset: int) -> bytes:
        return local_get(_ENTRY) + layout.load(type_, offset)

    code = i32_const(abi.WATCH_TABLE) + local_tee(_ENTRY)
    code += i32_const(0) + layout.load(I32, abi.WATCHES) + i32_const(5) + _I32_SHL + _I32_ADD
    code += local_set(_LAST) + _BLOCK + _LOOP
    code += local_get(_ENTRY) + local_get(_LAST) + _I32_GE_U + _BR_IF + b"\x01" + _BLOCK
    code += field(I32, 20) + i32_const(memory) + _I32_NE + _BR_IF + b"\x00"
    code += local_get(0) + field(I64, 0) + local_get(0) + field(I64, 0) + _I64_GT_U + _SELECT
    code += local_set(_FIRST)
    code += local_get(0) + local_get(1) + _I64_ADD + local_tee(_END)
    code += field(I64, 0) + field(I64, 8) + _I64_ADD + local_tee(_TOP)
    code += local_get(_END) + local_get(_TOP) + _I64_LT_U + _SELECT + local_set(_END)
    code += local_get(_FIRST) + local_get(_END) + _I64_GE_U + _BR_IF + b"\x00" + for_watch
    code += local_get(_FIRST) + field(I64, 0) + _I64_SUB + _WRAP + field(I32, 16) + _I32_ADD
    code += local_set(_COPY) + _LOOP + for_byte
    code += local_get(_COPY) + i32_const(1) + _I32_ADD + local_set(_COPY)
    code += local_get(_FIRST) + i64_const(1) + _I64_ADD + local_tee(_FIRST)
    code += local_get(_END) + _I64_LT_U + _BR_IF + b"\x00" + END_BYTE + END_BYTE
    code += local_get(_ENTRY) + i32_const(abi.WATCH_ENTRY) + _I32_ADD + local_set(_ENTRY)
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


class WriteChecks:
    """Writes the checks of writes (`emit.Watching`)."""

    writers = _STORES | _BULK

    def __init__(
        self,
        is64: Sequence[bool],
        first_global: int,
        function: Callable[[str], int],
    ) -> None:
        """`is64` tells of each memory how wide its addresses are; `first_global` is the index of the first
        of the globals `low` and `span` of each; `function` gives the index of a `keep` or `wrote` by its
        name."""
        self._is64 = is64
        self._first_global = first_global
        self._function = function
        self._bounds: dict[int, tuple[bytes, bytes]] = {}

    def begin(self, emitter: BodyEmitter) -> None:
        """At the begin of a function with loops: keep what stores are compared with in locals."""
        self._bounds = {}
        if not emitter.plan.has_loops:
            return
        stores = [i for i in emitter.plan.instructions if i.op.is_store]
        for memory in {cast(int, i.immediates[0]) for i in stores}:
            type_, low = self._address_type(memory), self._first_global + 2 * memory
            bounds = emitter.temporary(f"low{memory}", type_), emitter.temporary(f"span{memory}", type_)
            for place, local in enumerate(bounds):
                emitter.out += global_get(low + place) + local_set(local)
            self._bounds[memory] = local_get(bounds[0]), local_get(bounds[1])

    def open(self, emitter: BodyEmitter, instruction: Instruction) -> Callable[[], None] | None:
        """Write the check of a store; or keep the operands, and give back what writes the check."""
        if instruction.op.is_store:
            self._check_store(emitter, instruction)
            return None
        return self._open_bulk(emitter, instruction)

    def _address_type(self, memory: int) -> ValType:
        return I64 if self._is64[memory] else I32

    def _check_store(self, emitter: BodyEmitter, instruction: Instruction) -> None:
        memory, _, offset = cast("tuple[int, int, int]", instruction.immediates[:3])
        value_type = cast("tuple[ValType, ...]", instruction.op.params)[1]
        address = emitter.temporary("address", self._address_type(memory))
        value = emitter.temporary("value", value_type)
        emitter.out += local_set(value) + local_tee(address)
        emitter.out += self._is_watched(memory, address, offset, instruction.op.access) + _IF
        changes = _changes(instruction, address, value, emitter.layout)
        if changes:
            emitter.out += changes + _IF
        number = emitter.temporary("number", I64)
        emitter.out += _note_inline(emitter.layout, number) + (END_BYTE if changes else b"") + END_BYTE
        emitter.out += local_get(value)

    def _is_watched(self, memory: int, address: int, offset: int, size: int) -> bytes:
        """Code that tells whether a store writes into the hull of the watches."""
        if self._is64[memory]:
            bits, add, sub, less, const = 64, b"\x7c", b"\x7d", b"\x54", b"\x42"
        else:
            bits, add, sub, less, const = 32, b"\x6a", b"\x6b", b"\x49", b"\x41"
        first = self._first_global + 2 * memory
        low, span = self._bounds.get(memory) or (global_get(first), global_get(first + 1))
        code = local_get(address) + _plus(offset + size - 1, bits, const, add) + low + sub
        return code + span + _plus(size - 1, bits, const, add) + less

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
        written = local_get(address) + (_EXTEND if address_type is I32 else b"")
        written += local_get(length) + (_EXTEND if length_type is I32 else b"")
        emitter.out += local_set(length) + local_set(value) + local_set(address)
        emitter.out += written + call(self._function(abi.keep(memory)))
        emitter.out += local_get(address) + local_get(value) + local_get(length)

        def close() -> None:
            emitter.out += written + call(self._function(abi.wrote(memory)))

        return close


def _plus(value: int, bits: int, const: bytes, add: bytes) -> bytes:
    """Code that adds a constant."""
    if value == 0:
        return b""
    signed = value - (1 << bits) if value >> (bits - 1) & 1 else value
    return const + write_signed(signed) + add


def _changes(instruction: Instruction, address: int, value: int, layout: Layout) -> bytes:
    """Code that tells whether a store changes memory, or changes are not asked for; empty if the answer is
    always "perhaps"."""
    if instruction.op.mnemonic not in _COMPARISONS:
        return b""
    load, prepare, different = _COMPARISONS[instruction.op.mnemonic]
    memory, _, offset = cast("tuple[int, int, int]", instruction.immediates)
    code = local_get(address) + load + shadow_memarg(memory, offset) + local_get(value) + prepare + different
    if instruction.op.params is not None and instruction.op.params[1] in (ValType.F32, ValType.F64):
        unequal = b"\x5c" if instruction.op.params[1] is ValType.F32 else b"\x62"
        code += local_get(value) + local_get(value) + unequal + _I32_OR
    return code + i32_const(0) + b"\x2d" + shadow_memarg(layout.shadow, abi.WATCH_ANYHOW) + _I32_OR


def _low_bits(type_: bytes, bits: int) -> bytes:
    const, and_ = (b"\x41", b"\x71") if type_ == b"i" else (b"\x42", b"\x83")
    return const + write_signed((1 << bits) - 1) + and_


_COMPARISONS = {
    "i32.store": (b"\x28", b"", _I32_NE),
    "i64.store": (b"\x29", b"", _I64_NE),
    "f32.store": (b"\x28", b"\xbc", _I32_NE),
    "f64.store": (b"\x29", b"\xbd", _I64_NE),
    "i32.store8": (b"\x2d", _low_bits(b"i", 8), _I32_NE),
    "i32.store16": (b"\x2f", _low_bits(b"i", 16), _I32_NE),
    "i64.store8": (b"\x31", _low_bits(b"I", 8), _I64_NE),
    "i64.store16": (b"\x33", _low_bits(b"I", 16), _I64_NE),
    "i64.store32": (b"\x35", _low_bits(b"I", 32), _I64_NE),
}
"""Of stores: the load of the same bytes, what makes the value comparable with them, and the comparison.

A NaN may be made canonical as it is stored, so it always counts as a change; and so does every vector."""
