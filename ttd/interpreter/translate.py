"""From a function body to `Code`: the list of operations that the machine runs.

Two passes over the instructions, with their typing at hand. The first gives every instruction that can be
reached its entry and finds out where control lands behind each marker; the second makes the operations,
which know their registers and the entry that follows. Static as all this is, an operation has nothing left
to decide but its own work.

May import base, `ttd.wasm` and the rest of `ttd.interpreter` except `machine` and `probes`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar, cast

from ttd.errors import unreachable
from ttd.interpreter import access, integers, references
from ttd.interpreter.code import (
    END,
    RETURN,
    SITE,
    Code,
    Handler,
    Landing,
    Op,
    Registers,
    Site,
    Trapped,
    TryRange,
)
from ttd.interpreter.instance import Instance, zero
from ttd.interpreter.integers import M32, M64
from ttd.interpreter.numerics import Numerics
from ttd.types import ExceptionValue, TrapKind
from ttd.wasm.model import Function, FuncType, Instruction
from ttd.wasm.opcodes import BY_MNEMONIC, Catch, Immediates, Opcode
from ttd.wasm.ticks import ticks_at_entry
from ttd.wasm.typing import Control, type_function

T = TypeVar("T")

_LOOP, _ELSE, _TRY_TABLE = BY_MNEMONIC["loop"], BY_MNEMONIC["else"], BY_MNEMONIC["try_table"]


def translate(instance: Instance, numerics: Numerics, function: Function) -> Code:
    """The code of a function that has a body."""
    return _Translator(instance, numerics, function).run()


class _Translator:
    """One translation. Registers are numbered with locals first, then operands from the deepest one up."""

    def __init__(self, instance: Instance, numerics: Numerics, function: Function) -> None:
        self.instance = instance
        self.module = instance.module
        self.numerics = numerics
        self.function = function
        self.typing = type_function(self.module, function)
        self.instructions = self.typing.instructions
        self.locals = len(function.local_types)
        room = max(self.typing.heights) + 1 + len(function.type.results)
        declared = [cast(int, zero(type_)) for type_ in function.code.locals]
        self.code = Code(
            function=function,
            ticks=ticks_at_entry(function),
            parameters=len(function.type.params),
            results=len(function.type.results),
            locals=self.locals,
            typing=partial(type_function, self.module, function),
            fresh=declared + [0] * room,
        )
        self.opened = {control.opener: control for control in self.typing.controls}
        self.entries: list[int] = []
        """The entry of each instruction; where it has none, that of the next one that has."""
        self.landings: list[int] = []
        """The entry that control comes to if it arrives at each instruction."""

    def run(self) -> Code:
        self.lay_out()
        code = self.code
        for number, instruction in enumerate(self.instructions):
            if self.has_entry(number):
                code.indices[instruction.offset] = len(code.ops)
                code.offsets.append(instruction.offset)
                code.heights.append(max(self.typing.heights[number], 0))
                code.ops.append(self.operation(number, instruction))
        code.tries = [self.try_range(control) for control in self.typing.controls if control.op is _TRY_TABLE]
        code.active = code.ops
        return code

    # --- layout --------------------------------------------------------------------------------------

    def has_entry(self, number: int) -> bool:
        if number == len(self.instructions) - 1:
            return True  # the final end, to which branches lead even where nothing falls through to it
        op = self.instructions[number].op
        return self.typing.is_reachable(number) and (not op.is_marker or op is _LOOP)

    def lay_out(self) -> None:
        count = 0
        for number in range(len(self.instructions)):
            self.entries.append(count)
            count += self.has_entry(number)
        landings = [0] * len(self.instructions)
        for number in reversed(range(len(self.instructions))):
            if self.has_entry(number):
                landings[number] = self.entries[number]
            elif self.instructions[number].op is _ELSE:  # the end of the first arm jumps over the second
                landings[number] = landings[self.typing.controls[self.typing.control_of[number]].end]
            else:
                landings[number] = landings[number + 1]
        self.landings = landings

    def landing(self, control: Control) -> Landing:
        """Where a branch to `control` arrives."""
        goto = ~self.landings[control.opener + 1] if control.is_loop else self.landings[control.end]
        return Landing(goto, self.locals + control.height)

    def try_range(self, control: Control) -> TryRange:
        _, catches = cast("tuple[FuncType, tuple[Catch, ...]]", self.instructions[control.opener].immediates)
        handlers = tuple(
            Handler(
                catch.tag,
                catch.kind.pushes_reference,
                self.landing(self.typing.label(control.opener, catch.depth)),
            )
            for catch in catches
        )
        return TryRange(self.entries[control.opener], self.entries[control.end], handlers)

    # --- operations ----------------------------------------------------------------------------------

    def operation(self, number: int, instruction: Instruction) -> Op:
        op = instruction.op
        if number == len(self.instructions) - 1:
            self.code.end = self.entries[number]
            return constant(~(END | self.entries[number]))
        if op is _LOOP:
            self.code.loops.add(self.entries[number])
            return constant(~self.landings[number + 1])
        top = self.locals + self.typing.heights[number]
        then = self.landings[number + 1]
        builder = _BUILDERS.get(op.mnemonic)
        if builder is not None:
            return builder(self, number, instruction, top, then)
        if op.access:
            return self.memory_access(number, instruction, top, then)
        if op.params is None:
            unreachable(f"no operation for {op.mnemonic}")
        first = top - len(op.params)
        if op.mnemonic in integers.EXPRESSIONS:
            lane = cast(int, instruction.immediates[0]) if op.immediates is Immediates.LANE else 0
            return integers.make(op.mnemonic, first, first + 1, then, lane)
        return self.numerics.make(op, instruction.immediates, first, then)

    def memory_access(self, number: int, instruction: Instruction, top: int, then: int) -> Op:
        op = instruction.op
        index, _, offset, *lane = cast("tuple[int, ...]", instruction.immediates)
        entry, memory = self.entries[number], self.instance.memories[index]
        first = top - len(op.params or ())
        self.code.accesses.add(entry)
        if op.is_store:
            self.code.writers[entry] = access.write_range(op, index, first, offset)
        load = access.make(op, memory, first, offset, then, *lane)
        followed_by = _after_load(op)
        return in_turn(load, self.numerics.make(followed_by, (), first, then)) if followed_by else load

    def site(self, number: int, base: int, **what: object) -> Op:
        entry = self.entries[number]
        self.code.sites[entry] = Site(entry, self.landings[number + 1], base, **what)  # type: ignore[arg-type]
        return constant(~(SITE | entry))

    def branch(self, control: Control, top: int) -> tuple[int, tuple[int, int, int] | None]:
        """For a branch to `control`: where to go on, and a move of `count` registers (from, to, count)."""
        landing, arity = self.landing(control), control.arity
        source = top - arity
        if arity == 0 or source == landing.base:
            return landing.goto, None
        return landing.goto, (source, landing.base, arity)


_Builder: TypeAlias = Callable[[_Translator, int, Instruction, int, int], Op]
"""From the translator, the number of the instruction, it, the first free register and the next entry."""


def constant(result: int) -> Op:
    """An operation that does nothing."""
    return lambda r: result


def in_turn(first: Op, second: Op) -> Op:
    def op(r: Registers) -> int:
        first(r)
        return second(r)

    return op


def _after_load(op: Opcode) -> Opcode | None:
    """The instruction that makes of the loaded number what a widening or splatting vector load makes."""
    name = op.mnemonic
    if not name.startswith("v128.load"):
        return None
    if name.endswith("_splat"):
        width = op.access * 8
        return BY_MNEMONIC[f"i{width}x{128 // width}.splat"]
    if "x" in name:
        width, sign = op.access * 8 // int(name[-3]), name[-1]
        return BY_MNEMONIC[f"i{2 * width}x{64 // width}.extend_low_i{width}x{128 // width}_{sign}"]
    return None


def _immediate(instruction: Instruction) -> int:
    return cast(int, instruction.immediates[0])


# --- control --------------------------------------------------------------------------------------------


def _trap(kind: TrapKind) -> _Builder:
    def op(r: Registers) -> int:
        raise Trapped(kind)

    return lambda t, number, instruction, top, then: op


def _nothing(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return constant(then)


def _moving(move: tuple[int, int, int], goto: int) -> Op:
    source, to, count = move
    if count == 1:

        def one(r: Registers) -> int:
            r[to] = r[source]
            return goto

        return one

    def several(r: Registers) -> int:
        r[to : to + count] = r[source : source + count]
        return goto

    return several


def _br(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    goto, move = t.branch(t.typing.label(number, _immediate(instruction)), top)
    return constant(goto) if move is None else _moving(move, goto)


def _choice(condition: int, yes: int, no: int) -> Op:
    def op(r: Registers) -> int:
        return yes if r[condition] else no

    return op


def _br_if(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    condition = top - 1
    goto, move = t.branch(t.typing.label(number, _immediate(instruction)), condition)
    if move is None:
        return _choice(condition, goto, then)
    taken = _moving(move, goto)

    def op(r: Registers) -> int:
        return taken(r) if r[condition] else then

    return op


def _if(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    control = t.opened[number]
    other = control.end if control.otherwise is None else control.otherwise + 1
    return _choice(top - 1, then, t.landings[other])


def _br_table(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    depths, default = cast("tuple[tuple[int, ...], int]", instruction.immediates)
    index = top - 1
    branches = [t.branch(t.typing.label(number, depth), index) for depth in (*depths, default)]
    last = len(depths)
    if all(move is None for _, move in branches):
        targets = [goto for goto, _ in branches]

        def jump(r: Registers) -> int:
            return targets[min(r[index], last)]

        return jump
    ways = [constant(goto) if move is None else _moving(move, goto) for goto, move in branches]

    def op(r: Registers) -> int:
        return ways[min(r[index], last)](r)

    return op


def _return(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    transfer = ~(RETURN | t.entries[number])
    count = t.code.results
    if count == 0 or top - count == t.locals:
        return constant(transfer)
    return _moving((top - count, t.locals, count), transfer)


def _select(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    a, b, condition = top - 3, top - 2, top - 1

    def op(r: Registers) -> int:
        if not r[condition]:
            r[a] = r[b]
        return then

    return op


# --- calls and exceptions -------------------------------------------------------------------------------


def _call(
    t: _Translator, number: int, instruction: Instruction, top: int, then: int, is_tail: bool = False
) -> Op:
    function = _immediate(instruction)
    base = top - len(t.module.functions[function].type.params)
    return t.site(number, base, function=function, is_tail=is_tail)


def _call_indirect(
    t: _Translator, number: int, instruction: Instruction, top: int, then: int, is_tail: bool = False
) -> Op:
    type_index, table_index = cast("tuple[int, int]", instruction.immediates)
    wanted = t.module.types[type_index]
    table, functions, operand = t.instance.tables[table_index], t.module.functions, top - 1

    def select(r: Registers) -> int:
        index = r[operand]
        if index >= len(table):
            raise Trapped(TrapKind.UNDEFINED_ELEMENT)
        function = cast("int | None", table[index])
        if function is None:
            raise Trapped(TrapKind.UNINITIALIZED_ELEMENT)
        if functions[function].type != wanted:
            raise Trapped(TrapKind.INDIRECT_CALL_TYPE)
        return function

    return t.site(number, operand - len(wanted.params), select=select, is_tail=is_tail)


def _throw(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    tag = _immediate(instruction)
    base = top - len(t.module.tags[tag].type.params)

    def thrown(r: Registers) -> ExceptionValue:
        return ExceptionValue(tag, tuple(r[base:top]))

    return t.site(number, base, thrown=thrown)


def _throw_ref(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    operand = top - 1

    def thrown(r: Registers) -> ExceptionValue:
        exception = cast("ExceptionValue | None", r[operand])
        if exception is None:
            raise Trapped(TrapKind.NULL_REFERENCE)
        return exception

    return t.site(number, operand, thrown=thrown)


# --- variables and constants ----------------------------------------------------------------------------


def _copy(source: int, to: int, then: int) -> Op:
    def op(r: Registers) -> int:
        r[to] = r[source]
        return then

    return op


def _local_get(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return _copy(_immediate(instruction), top, then)


def _local_set(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return _copy(top - 1, _immediate(instruction), then)


def _global_get(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    globals_, index = cast("list[int]", t.instance.globals), _immediate(instruction)

    def op(r: Registers) -> int:
        r[top] = globals_[index]
        return then

    return op


def _global_set(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    globals_, index, operand = cast("list[int]", t.instance.globals), _immediate(instruction), top - 1

    def op(r: Registers) -> int:
        globals_[index] = r[operand]
        return then

    return op


def _set(value: int, to: int, then: int) -> Op:
    def op(r: Registers) -> int:
        r[to] = value
        return then

    return op


def _const(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return _set(_immediate(instruction), top, then)


def _ref_null(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return _set(cast(int, None), top, then)


def _ref_is_null(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return integers.make(instruction.op.mnemonic, top - 1, top, then)


# --- memory and tables ----------------------------------------------------------------------------------


def _memory_size(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return access.size(t.instance.memories[_immediate(instruction)], top, then)


def _memory_grow(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return access.grow(t.instance.memories[_immediate(instruction)], top - 1, then)


def _memory_fill(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    index = _immediate(instruction)
    t.code.writers[t.entries[number]] = access.bulk_write_range(index, top - 3)
    return access.fill(t.instance.memories[index], top - 3, then)


def _memory_copy(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    to, from_ = cast("tuple[int, int]", instruction.immediates)
    t.code.writers[t.entries[number]] = access.bulk_write_range(to, top - 3)
    return access.copy(t.instance.memories[to], t.instance.memories[from_], top - 3, then)


def _memory_init(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    data, index = cast("tuple[int, int]", instruction.immediates)
    t.code.writers[t.entries[number]] = access.bulk_write_range(index, top - 3)
    return access.init(t.instance.memories[index], partial(t.instance.data, data), top - 3, then)


def _drop_segment(dropped: set[int], index: int, then: int) -> Op:
    def op(r: Registers) -> int:
        dropped.add(index)
        return then

    return op


def _data_drop(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return _drop_segment(t.instance.dropped_data, _immediate(instruction), then)


def _elem_drop(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return _drop_segment(t.instance.dropped_elements, _immediate(instruction), then)


def _table_get(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return references.get(t.instance.tables[_immediate(instruction)], top - 1, then)


def _table_set(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return references.set_(t.instance.tables[_immediate(instruction)], top - 2, then)


def _table_size(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return references.size(t.instance.tables[_immediate(instruction)], top, then)


def _table_grow(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    index = _immediate(instruction)
    type_ = t.module.tables[index].type
    limit, minus_one = t.instance.table_limit(type_), M64 if type_.is64 else M32
    return references.grow(t.instance.tables[index], limit, minus_one, top - 2, then)


def _table_fill(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    return references.fill(t.instance.tables[_immediate(instruction)], top - 3, then)


def _table_copy(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    to, from_ = cast("tuple[int, int]", instruction.immediates)
    return references.copy(t.instance.tables[to], t.instance.tables[from_], top - 3, then)


def _table_init(t: _Translator, number: int, instruction: Instruction, top: int, then: int) -> Op:
    element, table = cast("tuple[int, int]", instruction.immediates)
    return references.init(t.instance.tables[table], partial(t.instance.element, element), top - 3, then)


_BUILDERS: dict[str, _Builder] = {
    "unreachable": _trap(TrapKind.UNREACHABLE),
    "nop": _nothing,
    "drop": _nothing,
    "br": _br,
    "br_if": _br_if,
    "br_table": _br_table,
    "if": _if,
    "return": _return,
    "select": _select,
    "select_t": _select,
    "call": _call,
    "call_indirect": _call_indirect,
    "return_call": partial(_call, is_tail=True),
    "return_call_indirect": partial(_call_indirect, is_tail=True),
    "throw": _throw,
    "throw_ref": _throw_ref,
    "local.get": _local_get,
    "local.set": _local_set,
    "local.tee": _local_set,
    "global.get": _global_get,
    "global.set": _global_set,
    "i32.const": _const,
    "i64.const": _const,
    "f32.const": _const,
    "f64.const": _const,
    "v128.const": _const,
    "ref.func": _const,
    "ref.null": _ref_null,
    "ref.is_null": _ref_is_null,
    "memory.size": _memory_size,
    "memory.grow": _memory_grow,
    "memory.fill": _memory_fill,
    "memory.copy": _memory_copy,
    "memory.init": _memory_init,
    "data.drop": _data_drop,
    "elem.drop": _elem_drop,
    "table.get": _table_get,
    "table.set": _table_set,
    "table.size": _table_size,
    "table.grow": _table_grow,
    "table.fill": _table_fill,
    "table.copy": _table_copy,
    "table.init": _table_init,
}
"""Instructions with a builder of their own; the others are loads, stores, integers or numerics."""
