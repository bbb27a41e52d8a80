"""One step back in the way of a value: who wrote what a storage holds, and where the writer took it from.

`Flow.back` finds the last writer of a storage before a moment (`past`), and reads off its instruction and its
operands which storage held the value before: a `Link`. There is a rule for each instruction that moves values
without changing them, or gives them another form; all others compute, and end the way.

May import base, wasm, engine, debuginfo and this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from ttd.debuginfo import DebugInfo
from ttd.events import HostCall
from ttd.replayer.hostcalls import host_call_here
from ttd.replayer.initial import initial_contents
from ttd.replayer.inspect import wasm_text
from ttd.replayer.past import Moment, Past
from ttd.replayer.places import InGlobal, InMemory, InRegister, Storage
from ttd.replayer.session import Session
from ttd.replayer.timeline import Timeline
from ttd.replayer.views import HopKind
from ttd.types import Position
from ttd.wasm.model import Instruction, ValType
from ttd.wasm.opcodes import OPCODES, Opcode


@dataclass(frozen=True, slots=True)
class Link:
    """One step back: what happened at `moment`, and the storage to follow before it (None: the way ends)."""

    kind: HopKind | None
    """None for what only reads: nothing to tell."""
    text: str
    moment: Moment | None
    source: Storage | None = None
    before: Position | None = None
    """Where the search for the writer of `source` begins, if that is not the moment."""
    part: tuple[int, int] | None = None
    """Offset and length of those bytes that are followed on, if not all are."""
    form: ValType | None = None
    """If `source` has the value in another form: its type there."""
    call: HostCall | None = None


class Flow:
    """Steps back in the past of a session. Moves the machine about. May raise `session.Interrupted`."""

    def __init__(self, session: Session, timeline: Timeline, past: Past, debug: DebugInfo) -> None:
        self._session = session
        self._module = session.module
        self._timeline = timeline
        self._past = past
        self._debug = debug

    def back(self, storage: Storage, before: Position) -> Link:
        """The step from what `storage` holds at `before`."""
        if isinstance(storage, InMemory):
            return self._memory(storage, before)
        if isinstance(storage, InGlobal):
            return self._global(storage, before)
        if storage.register < self._past.registers(storage.function).first_operand:
            return self._local(storage, before)
        return self._operand(storage, before)

    def bytes_at(self, moment: Moment, storage: Storage) -> bytes | None:
        """What `storage` holds at a moment, if it is a register of the frame that is innermost then."""
        if not isinstance(storage, InRegister) or storage.entry != moment.frame.entry:
            return None
        registers = (*moment.frame.locals, *moment.frame.operands)
        value = registers[storage.register] if storage.register < len(registers) else None
        if not isinstance(value, int):
            return None
        return value.to_bytes(16, "little")[storage.offset : storage.offset + storage.length]

    # --- memory --------------------------------------------------------------------------------------

    def _memory(self, place: InMemory, before: Position) -> Link:
        moment = self._past.last_write(place.memory, place.address, place.length, before)
        if moment is None:
            return Link(HopKind.INITIAL, initial_contents(self._module, place), None)
        instruction = self._past.instruction(moment)
        if instruction.op.is_store:
            return self._store(place, moment, instruction)
        rule = _BULK.get(instruction.op.mnemonic)
        return rule(self, place, moment, instruction) if rule is not None else self._host_write(place, moment)

    def _store(self, place: InMemory, moment: Moment, instruction: Instruction) -> Link:
        op, frame = instruction.op, moment.frame
        _, _, offset, *lanes = cast("tuple[int, ...]", instruction.immediates)
        address = cast(int, frame.operands[-2]) + offset
        low, high = _overlap(place, address, op.access)
        skipped = low - address + (lanes[0] * op.access if lanes else 0)
        return Link(
            HopKind.WRITTEN,
            f"written to {self.named(place, moment)}{_only(place, low, high)}",
            moment,
            self._top(moment, 1, skipped, high - low),
            part=(low - place.address, high - low),
        )

    def _copy(self, place: InMemory, moment: Moment, instruction: Instruction) -> Link:
        to, source, count = cast("list[int]", moment.frame.operands[-3:])
        low, high = _overlap(place, to, count)
        memory = cast(int, instruction.immediates[1])
        return Link(
            HopKind.COPIED,
            f"copied by memory.copy to {self.named(place, moment)}{_only(place, low, high)}",
            moment,
            InMemory(memory, source + low - to, high - low),
            part=(low - place.address, high - low),
        )

    def _fill(self, place: InMemory, moment: Moment, instruction: Instruction) -> Link:
        to, _, count = cast("list[int]", moment.frame.operands[-3:])
        low, _ = _overlap(place, to, count)
        text = f"filled with one byte by memory.fill, at {self.named(place, moment)}"
        source = self._top(moment, 2, 0, 1)
        return Link(HopKind.WRITTEN, text, moment, source, part=(low - place.address, 1))

    def _init(self, place: InMemory, moment: Moment, instruction: Instruction) -> Link:
        segment = cast(int, instruction.immediates[0])
        return Link(HopKind.INITIAL, f"from data segment {segment}, by memory.init", moment)

    def _host_write(self, place: InMemory, moment: Moment) -> Link:
        call = self._host_call(moment)
        if call is None:
            return _lost("something wrote to it that is no instruction for that", moment)
        writes = [write for write in call.writes if write.memory == place.memory]
        low, high = place.address, place.address + place.length
        for write in writes:
            found = _overlap(place, write.address, len(write.data))
            low, high = found if found[0] < found[1] else (low, high)
        text = f"written by the host, in host call {call.number}{_only(place, low, high)}"
        return Link(HopKind.HOST, text, moment, part=(low - place.address, high - low), call=call)

    def named(self, place: InMemory, moment: Moment | None) -> str:
        """A place in memory for people: the global there, as far as the code at `moment` knows it."""
        pc = moment.frame.pc if moment is not None else None
        return self._debug.symbol_at(place.address, pc) or f"{place.address:#x}"

    # --- globals and locals --------------------------------------------------------------------------

    def _global(self, place: InGlobal, before: Position) -> Link:
        moment = self._past.last_in_code(self._past.global_setters(place.index), before)
        if moment is None:
            return Link(HopKind.INITIAL, f"the first value of WebAssembly global {place.index}", None)
        source = self._top(moment, 1, place.offset, place.length)
        return Link(HopKind.ASSIGNED, f"put into WebAssembly global {place.index}", moment, source)

    def _local(self, place: InRegister, before: Position) -> Link:
        writers = self._past.registers(place.function).writers(place.register)
        moment = self._past.last_in_frame(place.entry, writers, before)
        if moment is not None:
            source = self._top(moment, 1, place.offset, place.length)
            return Link(HopKind.ASSIGNED, f"put into WebAssembly local {place.register}", moment, source)
        function = self._module.functions[place.function]
        if place.register >= len(function.type.params):
            entered = self._past.at(place.entry)
            return Link(HopKind.INITIAL, f"WebAssembly local {place.register} is 0 until it is set", entered)
        return self._argument(place)

    def _argument(self, place: InRegister) -> Link:
        name, number = self._debug.function_name(place.function), place.register + 1
        call = self._past.call_of(place.entry, place.function)
        if call is None:
            entered = self._past.at(place.entry)
            return Link(HopKind.INVOKED, f"argument {number} of {name}, called from outside", entered)
        first = self._past.registers(call.frame.function).first_operand
        operand = self._past.argument(call, place.function, place.register)
        source = replace(
            place, entry=call.frame.entry, function=call.frame.function, register=first + operand
        )
        return Link(HopKind.PASSED, f"passed to {name} as argument {number}", call, source)

    def _top(self, moment: Moment, depth: int, offset: int, length: int) -> InRegister:
        """Bytes of the operand that is number `depth` from the top at a moment."""
        frame = moment.frame
        register = len(frame.locals) + len(frame.operands) - depth
        return InRegister(frame.entry, frame.function, register, offset, length)

    # --- operands ------------------------------------------------------------------------------------

    def _operand(self, place: InRegister, before: Position) -> Link:
        registers = self._past.registers(place.function)
        writers, throwers = registers.writers(place.register), registers.throwers(place.register)
        while True:
            moment = self._past.last_in_frame(place.entry, writers | throwers, before)
            if moment is None:
                return _lost(f"nothing is known to have pushed operand {place.register}", None)
            pc = moment.frame.pc
            if pc in throwers and self._past.has_thrown(moment, before):
                return _lost("it came with an exception that was caught", moment)
            if pc not in writers:
                before = moment.position
                continue
            if not registers.is_branch(pc):
                return self._pushed(place, moment, before)
            source = registers.moved(place.register, moment.frame)
            if source is not None:
                return Link(None, "", moment, replace(place, register=source))
            before = moment.position

    def _pushed(self, place: InRegister, moment: Moment, before: Position) -> Link:
        instruction = self._past.instruction(moment)
        op = instruction.op
        if op.mnemonic in ("call", "call_indirect"):
            return self._returned(place, moment, instruction, before)
        if op.access and not op.mnemonic.endswith(_COMPUTING_LOADS):
            return self._load(place, moment, instruction)
        rule = _RULES.get(op.mnemonic)
        if rule is not None:
            return rule(self, place, moment, instruction)
        if op.mnemonic.endswith(".const"):
            text = wasm_text((op.results or (None,))[0], cast(int, instruction.immediates[0]))
            return Link(HopKind.CONSTANT, f"the constant {text}", moment)
        return self._computed(moment, op)

    def _get(self, place: InRegister, moment: Moment, instruction: Instruction) -> Link:
        local = cast(int, instruction.immediates[0])
        return Link(None, "", moment, replace(place, register=local))

    def _get_global(self, place: InRegister, moment: Moment, instruction: Instruction) -> Link:
        index = cast(int, instruction.immediates[0])
        return Link(None, "", moment, InGlobal(index, place.offset, place.length))

    def _select(self, place: InRegister, moment: Moment, instruction: Instruction) -> Link:
        depth = 3 if moment.frame.operands[-1] else 2
        return Link(HopKind.CHOSEN, "chosen by a condition", moment, self._like(place, moment, depth))

    def _like(self, place: InRegister, moment: Moment, depth: int) -> InRegister:
        return self._top(moment, depth, place.offset, place.length)

    def _load(self, place: InRegister, moment: Moment, instruction: Instruction) -> Link:
        op = instruction.op
        memory, _, offset = cast("tuple[int, int, int]", instruction.immediates)
        address = cast(int, moment.frame.operands[-1]) + offset
        narrowed = self._narrowed(place, op.access)
        if narrowed is None:
            return self._computed(moment, op)
        source = InMemory(memory, address + place.offset, narrowed)
        if narrowed == place.length:
            return Link(None, "", moment, source)
        text = f"widened from {_bytes(op.access)} by {op.mnemonic}"
        return Link(HopKind.CONVERTED, text, moment, source, part=(0, narrowed))

    def _narrowed(self, place: InRegister, width: int) -> int | None:
        """How many of the bytes lie in the lowest `width` of the register; None if none do."""
        length = min(place.offset + place.length, width) - place.offset
        return length if length > 0 else None

    def _resized(self, place: InRegister, moment: Moment, instruction: Instruction) -> Link:
        """Between i32 and i64, or the extension of a few lowest bits: these are the same."""
        op = instruction.op
        narrowed = self._narrowed(place, _LOW_BYTES[op.mnemonic])
        if narrowed is None:
            return self._computed(moment, op)
        source = self._top(moment, 1, place.offset, narrowed)
        is_number = (place.offset, place.length, narrowed) == (0, 8, 4)
        form = ValType.I32 if is_number else None
        return Link(
            HopKind.CONVERTED, f"converted by {op.mnemonic}", moment, source, None, (0, narrowed), form
        )

    def _masked(self, place: InRegister, moment: Moment, instruction: Instruction) -> Link:
        """``x & 0xff``: how a cast to a small unsigned type is compiled. The lowest bytes are those of x."""
        mask = cast(int, moment.frame.operands[-1])
        width = (mask.bit_length() + 7) // 8
        narrowed = self._narrowed(place, width) if mask and mask == (1 << 8 * width) - 1 else None
        if narrowed is None:
            return self._computed(moment, instruction.op)
        source = self._top(moment, 2, place.offset, narrowed)
        return Link(HopKind.CONVERTED, f"cut to {_bytes(width)}", moment, source, part=(0, narrowed))

    def _converted(self, place: InRegister, moment: Moment, instruction: Instruction) -> Link:
        """Between integers and floats, or kinds of floats: another form of the same value, if it is whole."""
        op = instruction.op
        (source_type,), (result,) = op.params or (None,), op.results or (None,)
        if source_type is None or result is None or (place.offset, place.length) != (0, result.size):
            return self._computed(moment, op)
        source = self._top(moment, 1, 0, source_type.size)
        return Link(HopKind.CONVERTED, f"converted by {op.mnemonic}", moment, source, form=source_type)

    def _computed(self, moment: Moment, op: Opcode) -> Link:
        types = op.params or ()
        values = moment.frame.operands[len(moment.frame.operands) - len(types) :]
        shown = [wasm_text(type_, value) for type_, value in zip(types, values, strict=True)]
        sign = _SIGNS.get(op.mnemonic.partition(".")[2])
        if sign is not None and len(shown) == 2:
            return Link(HopKind.COMPUTED, f"computed by {op.mnemonic}: {shown[0]} {sign} {shown[1]}", moment)
        operands = f": {', '.join(shown)}" if shown else ""
        return Link(HopKind.COMPUTED, f"computed by {op.mnemonic}{operands}", moment)

    # --- calls ---------------------------------------------------------------------------------------

    def _returned(
        self, place: InRegister, moment: Moment, instruction: Instruction, before: Position
    ) -> Link:
        """From the result of a call to the operand that its callee left."""
        type_ = (
            self._module.functions[cast(int, instruction.immediates[0])].type
            if instruction.op.mnemonic == "call"
            else self._module.types[cast(int, instruction.immediates[0])]
        )
        popped = len(type_.params) + (instruction.op.mnemonic != "call")
        number = place.register - (len(moment.frame.locals) + len(moment.frame.operands) - popped)
        callee = self._past.callee_of(moment, before)
        if callee is None:
            call = self._host_call(moment)
            if call is None:
                return _lost("it is the result of a call that cannot be told", moment)
            return Link(HopKind.HOST, f"result of host call {call.number}", moment, call=call)
        entry, function, left = callee
        registers = self._past.registers(function)
        source = replace(place, entry=entry, function=function, register=registers.first_operand + number)
        rests = frozenset(self._module.functions[function].code.rests)
        last = self._past.last_in_frame(entry, rests, left)
        name = self._debug.function_name(function)
        return Link(HopKind.RETURNED, f"returned by {name}", last, source, before=left)

    def _host_call(self, moment: Moment) -> HostCall | None:
        self._timeline.seek(moment.position)
        return host_call_here(self._module, self._session.state, self._session.trace)


def _lost(text: str, moment: Moment | None) -> Link:
    return Link(HopKind.LOST, text, moment)


def _overlap(place: InMemory, address: int, length: int) -> tuple[int, int]:
    """The part of a place that [address, address + length) covers, as [low, high)."""
    return max(place.address, address), min(place.address + place.length, address + length)


def _only(place: InMemory, low: int, high: int) -> str:
    """What to add where the newest write is not that of all bytes."""
    if high - low == place.length:
        return ""
    return (
        f" (last write of several: {_bytes(high - low)} of {place.length}, from byte {low - place.address})"
    )


def _bytes(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'}"


def _is_conversion(op: Opcode) -> bool:
    """Whether it makes a number of another type of one: convert, trunc_f, promote …"""
    (source, *more), results = op.params or (None,), op.results or ()
    return (
        source in _NUMBERS and not more and len(results) == 1 and results[0] in _NUMBERS
        and results[0] is not source and op.mnemonic not in _LOW_BYTES and not op.access
        and not op.mnemonic.endswith("eqz")
    )  # fmt: skip


_NUMBERS = frozenset({ValType.I32, ValType.I64, ValType.F32, ValType.F64})

_Rule: TypeAlias = "Callable[[Flow, InRegister, Moment, Instruction], Link]"

_LOW_BYTES = {
    "i32.wrap_i64": 4, "i64.extend_i32_s": 4, "i64.extend_i32_u": 4, "i32.extend8_s": 1, "i32.extend16_s": 2,
    "i64.extend8_s": 1, "i64.extend16_s": 2, "i64.extend32_s": 4, "i32.reinterpret_f32": 4,
    "f32.reinterpret_i32": 4, "i64.reinterpret_f64": 8, "f64.reinterpret_i64": 8,
}  # fmt: skip
"""What hands on the lowest bytes of its operand, and how many."""

_COMPUTING_LOADS = ("_lane", "_splat", "8x8_s", "8x8_u", "16x4_s", "16x4_u", "32x2_s", "32x2_u")

_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "div_s": "/", "div_u": "/", "rem_s": "%", "rem_u": "%",
    "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr_s": ">>", "shr_u": ">>", "eq": "==", "ne": "!=",
    "lt_s": "<", "lt_u": "<", "lt": "<", "gt_s": ">", "gt_u": ">", "gt": ">", "le_s": "<=", "le_u": "<=",
    "le": "<=", "ge_s": ">=", "ge_u": ">=", "ge": ">=",
}  # fmt: skip

_BULK: dict[str, Callable[[Flow, InMemory, Moment, Instruction], Link]] = {
    "memory.copy": Flow._copy,
    "memory.fill": Flow._fill,
    "memory.init": Flow._init,
}

_RULES: dict[str, _Rule] = {
    "local.get": Flow._get,
    "global.get": Flow._get_global,
    "select": Flow._select,
    "select_t": Flow._select,
    "i32.and": Flow._masked,
    "i64.and": Flow._masked,
    **dict.fromkeys(_LOW_BYTES, Flow._resized),
    **{op.mnemonic: Flow._converted for op in OPCODES if _is_conversion(op)},
}
