"""Random valid modules, made with the project's own writer, for the engines to agree on.

`generate` makes a module from a source of choices: a seed, or hypothesis, which can then shrink it. Programs
end: each call and each turn of a loop takes from a supply of fuel. What they do besides is anything: nested
blocks of all kinds with parameters and results, branches out of them, operands that wait below calls,
direct, indirect and tail calls, all value types, both kinds of memory, tables and segments that change,
traps, exceptions, host calls.

Code is built from expressions: `_Body.value` writes code that pushes one value, `_Body.statement` code that
leaves the stack as it was. Whatever takes a value takes it from any expression, so that everything nests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.model import (
    ExternKind,
    FuncType,
    GlobalType,
    MemoryType,
    SegmentMode,
    TableType,
    ValType,
)
from ttd.wasm.opcodes import OPCODES, Catch, CatchKind, Immediates, Opcode

Choose = Callable[[int], int]
"""Picks a number from 0 to below its argument."""

I32, I64, F32, F64, V128 = ValType.I32, ValType.I64, ValType.F32, ValType.F64, ValType.V128
FUNCREF, EXTERNREF, EXNREF = ValType.FUNCREF, ValType.EXTERNREF, ValType.EXNREF
NUMBERS = (I32, I64, F32, F64, V128)
TYPES = (*NUMBERS, FUNCREF, EXTERNREF, EXNREF)
COMMON = (I32, I32, I32, I32, I64, I64, F32, F64, V128, FUNCREF, EXTERNREF, EXNREF)

HOST = FuncType((I32, I64), (I32,))
"""Of the host functions: see `host_answer`."""
HOSTS = ("mix", "poke")
TAGS = (
    FuncType((), ()),
    FuncType((I32,), ()),
    FuncType((F64, V128, I64), ()),
    FuncType((FUNCREF, EXTERNREF, EXNREF, F32), ()),
)
TABLE_SIZE = 8
SLOTS = 8
DUMP_ADDRESS = 0xFF00
"""Where `dump` writes the globals."""


def host_answer(name: str, number: int, other: int) -> tuple[int, tuple[int, bytes] | None]:
    """What a host function gives for its (unsigned) arguments, and what it writes: address and bytes."""
    answer = (number * 2654435761 + other) & 0xFFFFFFFF
    return answer, ((number & 0xFFF8, answer.to_bytes(4, "little")) if name == "poke" else None)


def _operations() -> dict[ValType, list[Opcode]]:
    """Instructions of numbers only, by the type of their one result."""
    found: dict[ValType, list[Opcode]] = {type_: [] for type_ in NUMBERS}
    for op in OPCODES:
        if op.params is None or op.results is None or op.access or len(op.results) != 1 or not op.params:
            continue
        if op.immediates in (Immediates.NONE, Immediates.LANE, Immediates.SHUFFLE):
            found[op.results[0]].append(op)
    return found


OPERATIONS = _operations()
LOADS = [op for op in OPCODES if op.access and op.results]
STORES = [op for op in OPCODES if op.is_store]
_TRAPPING = ("div", "rem", "trunc_f")


@dataclass
class Program:
    """A generated module and the calls to make of it: export names with (unsigned) arguments."""

    binary: bytes
    calls: list[tuple[str, tuple[int, ...]]]


@dataclass
class _Names:
    """What the functions of a module can refer to."""

    functions: list[FuncType] = field(default_factory=list)
    types: list[FuncType] = field(default_factory=list)
    globals: dict[ValType, int] = field(default_factory=dict)
    fuel: int = 0
    memories: list[bool] = field(default_factory=list)
    """Whether each memory is a 64-bit one."""
    table: list[int] = field(default_factory=list)
    """The functions in the table of functions, at first."""
    datas: int = 0
    elements: int = 0
    builder: ModuleBuilder = field(default_factory=ModuleBuilder)


def generate(choose: Choose, size: int = 60) -> Program:
    """A random program; `size` is about the number of expressions in each function."""
    builder = ModuleBuilder()
    names = _Names(builder=builder)
    for name in HOSTS:
        builder.import_function("host", name, HOST)
    names.functions += [HOST] * len(HOSTS)
    _surroundings(choose, names)
    types = [_function_type(choose) for _ in range(2 + choose(4))]
    first = len(HOSTS)
    names.functions += types
    names.types = list(dict.fromkeys([*types, HOST]))
    for type_ in names.types:
        builder.type(type_)
    for type_ in types:
        builder.declare(type_)
    names.table = [choose(len(names.functions)) for _ in range(TABLE_SIZE - 1)]
    builder.element(SegmentMode.ACTIVE, names.table, 0, Code().emit("i32.const", 0))
    builder.element(SegmentMode.PASSIVE, [choose(len(names.functions)) for _ in range(4)])
    names.elements = 2
    builder.element(SegmentMode.DECLARATIVE, list(range(len(names.functions))))
    for offset, type_ in enumerate(types):
        _Body(choose, names, type_, size).define(first + offset)
    calls = [_call(choose, names, first + choose(len(types)), number) for number in range(1 + choose(3))]
    _dump(names)
    return Program(builder.encode(), [*calls, ("dump", ())])


def _function_type(choose: Choose) -> FuncType:
    params = tuple(COMMON[choose(len(COMMON))] for _ in range(choose(4)))
    return FuncType(params, tuple(COMMON[choose(len(COMMON))] for _ in range(choose(3))))


def _surroundings(choose: Choose, names: _Names) -> None:
    """Memories, tables, globals, tags and data."""
    builder = names.builder
    names.memories = [False] + [True] * choose(2)
    for index, is64 in enumerate(names.memories):
        builder.export(f"m{index}", ExternKind.MEMORY, builder.memory(MemoryType(1, 3, is64)))
    builder.table(TableType(FUNCREF, TABLE_SIZE, 20, False))
    builder.table(TableType(EXTERNREF, SLOTS, 20, False))
    builder.table(TableType(EXNREF, SLOTS, 20, True))
    for type_ in TYPES:
        names.globals[type_] = builder.global_(GlobalType(type_, True), _zero(type_))
    names.fuel = builder.global_(GlobalType(I32, True), Code().emit("i32.const", 50 + choose(150)))
    for tag in TAGS:
        builder.tag(tag)
    builder.data(SegmentMode.ACTIVE, bytes(range(1, 200)), 0, Code().emit("i32.const", 64))
    builder.data(SegmentMode.PASSIVE, bytes(range(100, 0, -1)))
    names.datas = 2


def _zero(type_: ValType) -> Code:
    return Code().emit("ref.null", type_) if type_.is_reference else Code().emit(f"{type_}.const", 0)


def _call(choose: Choose, names: _Names, function: int, number: int) -> tuple[str, tuple[int, ...]]:
    """An export that calls a function with constants, and drops its results: one that any host can call."""
    type_, code = names.functions[function], Code()
    for index, parameter in enumerate(type_.params):
        if index == 0 and parameter is I32:
            code.emit("local.get", 0)
        else:
            code.extend(_zero(parameter))
    code.emit("call", function)
    results = FuncType((I32,), ())
    for result in reversed(type_.results):
        code.emit("global.set", names.globals[result])
    name = f"run{number}"
    names.builder.export(name, ExternKind.FUNCTION, names.builder.function(results, code))
    return name, (choose(1 << 32),)


def _dump(names: _Names) -> None:
    code = Code()
    address = DUMP_ADDRESS
    for type_ in NUMBERS:
        code.emit("i32.const", address).emit("global.get", names.globals[type_])
        code.access("v128.store" if type_ is V128 else f"{type_}.store")
        address += 16
    for type_ in (FUNCREF, EXTERNREF, EXNREF):
        code.emit("i32.const", address).emit("global.get", names.globals[type_]).emit("ref.is_null")
        code.access("i32.store")
        address += 16
    names.builder.export("dump", ExternKind.FUNCTION, names.builder.function(FuncType((), ()), code))


class _Body:
    """A function body that is being written."""

    def __init__(self, choose: Choose, names: _Names, type_: FuncType, size: int) -> None:
        self.choose = choose
        self.names = names
        self.type = type_
        self.budget = size
        declared = [*TYPES, I32, I32, I64]
        self.locals = [*type_.params, *declared]
        self.declared = declared
        self.labels: list[Sequence[ValType]] = [type_.results]
        self.loops: set[int] = set()
        self.code = Code()

    def pick(self, items: Sequence[ValType]) -> ValType:
        return items[self.choose(len(items))]

    def define(self, index: int) -> None:
        """Write the body: fuel, statements, results."""
        self.refuel_or(lambda: self.constants(self.type.results).emit("return"))
        for _ in range(1 + self.choose(4)):
            self.statement()
        self.values(self.type.results)
        self.names.builder.define(index, self.code, self.declared)

    def emit(self, op: str | Opcode, *immediates: object) -> Code:
        return self.code.emit(op, *immediates)

    def constants(self, types: Sequence[ValType]) -> Code:
        for type_ in types:
            self.code.extend(_zero(type_))
        return self.code

    def refuel_or(self, otherwise: Callable[[], object]) -> None:
        """Take from the fuel; if there is none, do something that leaves."""
        fuel = self.names.fuel
        self.emit("global.get", fuel).emit("i32.const", 1).emit("i32.sub").emit("global.set", fuel)
        self.emit("global.get", fuel).emit("i32.const", 0).emit("i32.lt_s")
        self.code.block("if")
        self.labels.append(())
        otherwise()
        self.labels.pop()
        self.emit("end")

    # --- values -----------------------------------------------------------------------------------

    def values(self, types: Sequence[ValType]) -> None:
        for type_ in types:
            self.value(type_)

    def value(self, type_: ValType) -> None:
        """Push a value of a type."""
        self.budget -= 1
        if self.budget <= 0 or self.choose(4) == 0:
            self.leaf(type_)
            return
        ways: list[Callable[[ValType], None]] = [
            self.tee,
            self.block_value,
            self.block_value,
            self.call_value,
            self.call_value,
            self.chosen,
        ]
        if not type_.is_reference:
            ways += [self.operation] * 4 + [self.loaded]
        if type_ is I32:
            ways += [self.test, self.size]
        if type_ in (FUNCREF, EXTERNREF, EXNREF):
            ways += [self.element]
        ways[self.choose(len(ways))](type_)

    def leaf(self, type_: ValType) -> None:
        way = self.choose(3)
        places = [index for index, its in enumerate(self.locals) if its is type_]
        if way == 0:
            self.emit("local.get", places[self.choose(len(places))])
        elif way == 1:
            self.emit("global.get", self.names.globals[type_])
        elif type_ is FUNCREF:
            self.emit("ref.func", self.choose(len(self.names.functions)))
        elif type_.is_reference:
            self.emit("ref.null", type_)
        else:
            self.emit(f"{type_}.const", self.number(type_))

    def number(self, type_: ValType) -> int:
        bits = {I32: 32, I64: 64, F32: 32, F64: 64, V128: 128}[type_]
        way = self.choose(4)
        if way == 0:
            return self.choose(1 << bits)
        if way == 1 and type_ in (F32, V128):  # a NaN with a payload, or an infinity
            return (0x7F800000 | self.choose(2) << 31 | self.choose(3)) * (1 if type_ is F32 else 0x100000001)
        if way == 1 and type_ is F64:
            return 0x7FF0 << 48 | self.choose(2) << 63 | self.choose(3)
        return self.choose(20)

    def operation(self, type_: ValType) -> None:
        operations = OPERATIONS[type_]
        op = operations[self.choose(len(operations))]
        if any(part in op.mnemonic for part in _TRAPPING) and self.choose(8):
            op = operations[0]
        self.values(op.params or ())
        if op.immediates is Immediates.LANE:
            lanes = int(op.mnemonic.split(".")[0].split("x")[1])
            self.emit(op, self.choose(lanes))
        elif op.immediates is Immediates.SHUFFLE:
            self.emit(op, tuple(self.choose(32) for _ in range(16)))
        else:
            self.emit(op)

    def tee(self, type_: ValType) -> None:
        places = [index for index, its in enumerate(self.locals) if its is type_]
        self.value(type_)
        self.emit("local.tee", places[self.choose(len(places))])

    def chosen(self, type_: ValType) -> None:
        self.values((type_, type_, I32))
        if type_.is_reference or self.choose(2):
            self.emit("select_t", (type_,))
        else:
            self.emit("select")

    def test(self, type_: ValType) -> None:
        self.value(self.pick((FUNCREF, EXTERNREF, EXNREF)))
        self.emit("ref.is_null")

    def size(self, type_: ValType) -> None:
        if self.choose(2):
            self.emit("table.size", self.choose(2))
        elif self.choose(3):
            self.emit("memory.size", 0)
        else:
            self.value(I32)
            self.emit("i32.const", 1).emit("i32.and").emit("memory.grow", 0)

    def element(self, type_: ValType) -> None:
        table = (FUNCREF, EXTERNREF, EXNREF).index(type_)
        self.place(table)
        self.emit("table.get", table)

    def place(self, table: int) -> None:
        """Push an index into a table; seldom one outside of it."""
        self.value(I32)
        self.emit("i32.const", 7 if self.choose(16) else 31).emit("i32.and")
        if table == 2:
            self.emit("i64.extend_i32_u")

    def address(self) -> int:
        """Push an address of a memory, seldom one outside; the memory."""
        memory = self.choose(len(self.names.memories))
        mask = 0xFEFF if self.choose(16) else 0x3FFFF
        if self.names.memories[memory]:
            self.value(I64)
            self.emit("i64.const", mask).emit("i64.and")
        else:
            self.value(I32)
            self.emit("i32.const", mask).emit("i32.and")
        return memory

    def loaded(self, type_: ValType) -> None:
        loads = [op for op in LOADS if op.results == (type_,)]
        op = loads[self.choose(len(loads))]
        memory = self.address()
        if op.immediates is Immediates.MEMARG_LANE:
            self.value(V128)
            self.emit(op, memory, 0, self.choose(16), self.choose(16 // op.access))
        else:
            self.emit(op, memory, 0, self.choose(16))

    # --- calls ------------------------------------------------------------------------------------

    def call(self, type_: FuncType, functions: Sequence[int], tail: str = "") -> None:
        self.values(type_.params)
        places = [place for place, index in enumerate(self.names.table) if index in functions]
        if self.choose(2) or not places:
            self.emit(f"{tail}call", functions[self.choose(len(functions))])
            return
        if self.choose(20):
            self.emit("i32.const", places[self.choose(len(places))])
        else:
            self.small(7)
        self.emit(f"{tail}call_indirect", self.names.builder.type(type_), 0)

    def some_function(self) -> tuple[FuncType, list[int]]:
        type_ = self.names.functions[self.choose(len(self.names.functions))]
        return type_, [index for index, its in enumerate(self.names.functions) if its == type_]

    def call_value(self, type_: ValType) -> None:
        fitting = [its for its in self.names.functions if type_ in its.results]
        if not fitting:
            self.leaf(type_)
            return
        its = fitting[self.choose(len(fitting))]
        self.call(its, [index for index, other in enumerate(self.names.functions) if other == its])
        self.keep_one(its.results, type_)

    def keep_one(self, types: Sequence[ValType], wanted: ValType) -> None:
        """Of these values on the stack, leave only one of the wanted type."""
        place = max(index for index, type_ in enumerate(types) if type_ is wanted)
        for type_ in reversed(types[place + 1 :]):
            self.take(type_)
        rest = types[:place]
        if rest:
            keeper = next(i for i, its in reversed(list(enumerate(self.locals))) if its is wanted)
            self.emit("local.set", keeper)
            for type_ in reversed(rest):
                self.take(type_, avoid=keeper)
            self.emit("local.get", keeper)

    def take(self, type_: ValType, avoid: int = -1) -> None:
        """Pop a value: into a local, a global, or nowhere."""
        way = self.choose(3)
        places = [i for i, its in enumerate(self.locals) if its is type_ and i != avoid]
        if way == 0 and places:
            self.emit("local.set", places[self.choose(len(places))])
        elif way == 1:
            self.emit("global.set", self.names.globals[type_])
        else:
            self.emit("drop")

    # --- blocks -----------------------------------------------------------------------------------

    def block_value(self, type_: ValType) -> None:
        results = [*(self.pick(COMMON) for _ in range(self.choose(3))), type_]
        self.block(results)
        self.keep_one(results, type_)

    def block(self, results: Sequence[ValType]) -> None:
        """A block of any kind with these results."""
        params = [self.pick(COMMON) for _ in range(self.choose(3))]
        kinds = (self.plain, self.loop, self.loop, self.conditional, self.trying, self.trying)
        kinds[self.choose(len(kinds))](params, list(results))

    def inside(self, params: Sequence[ValType], results: Sequence[ValType]) -> None:
        for type_ in reversed(params):
            self.take(type_)
        for _ in range(self.choose(3)):
            self.statement()
        self.values(results)

    def plain(self, params: list[ValType], results: list[ValType]) -> None:
        self.values(params)
        self.code.block("block", params, results)
        self.labels.append(results)
        self.inside(params, results)
        self.labels.pop()
        self.emit("end")

    def loop(self, params: list[ValType], results: list[ValType]) -> None:
        self.values(params)
        self.code.block("loop", params, results)
        self.labels.append(params)
        self.inside(params, ())
        # Around again, as long as there is fuel and something says so.
        self.values(params)
        self.value(I32)
        self.emit("global.get", self.names.fuel).emit("i32.const", 1).emit("i32.sub")
        self.emit("global.set", self.names.fuel)
        self.emit("global.get", self.names.fuel).emit("i32.const", 0).emit("i32.gt_s").emit("i32.and")
        self.emit("br_if", 0)
        for _ in params:
            self.emit("drop")
        self.values(results)
        self.labels.pop()
        self.emit("end")

    def conditional(self, params: list[ValType], results: list[ValType]) -> None:
        self.values((*params, I32))
        self.code.block("if", params, results)
        self.labels.append(results)
        self.inside(params, results)
        if params != results or self.choose(2):
            self.emit("else")
            self.inside(params, results)
        self.labels.pop()
        self.emit("end")

    def trying(self, params: list[ValType], results: list[ValType]) -> None:
        """A try_table inside of a block to which one of its clauses leads."""
        kind = (CatchKind.CATCH, CatchKind.CATCH_REF, CatchKind.CATCH_ALL, CatchKind.CATCH_ALL_REF)[
            self.choose(4)
        ]
        tag = self.choose(len(TAGS)) if kind.has_tag else None
        caught = (*(TAGS[tag].params if tag is not None else ()), *((EXNREF,) * kind.pushes_reference))
        self.code.block("block", (), caught)
        self.labels.append(caught)
        self.values(params)
        clauses = [Catch(kind, tag, 0)]
        if self.choose(2):
            clauses.insert(0, Catch(CatchKind.CATCH, 0, 0) if not caught else clauses[0])
        self.emit("try_table", FuncType(tuple(params), ()), tuple(clauses))
        self.names.builder.type(FuncType(tuple(params), ()))
        self.labels.append(())
        self.inside(params, ())
        self.labels.pop()
        self.emit("end")
        self.values(caught)
        self.labels.pop()
        self.emit("end")
        for type_ in reversed(caught):
            self.take(type_)
        self.values(results)

    # --- statements -------------------------------------------------------------------------------

    def statement(self) -> None:
        self.budget -= 1
        if self.budget <= 0:
            self.emit("nop")
            return
        ways = (
            *(self.assign, self.assign, self.store, self.store),
            *(self.branch_if, self.branch_if, self.leave, self.leave, self.throw_if),
            *(self.bulk, self.set_element, self.empty_block, self.empty_block, self.call_statement),
        )
        ways[self.choose(len(ways))]()

    def assign(self) -> None:
        type_ = self.pick(COMMON)
        self.value(type_)
        self.take(type_)

    def store(self) -> None:
        op = STORES[self.choose(len(STORES))]
        memory = self.address()
        self.value((op.params or ())[1])
        if op.immediates is Immediates.MEMARG_LANE:
            self.emit(op, memory, 0, self.choose(16), self.choose(16 // op.access))
        else:
            self.emit(op, memory, 0, self.choose(16))

    def empty_block(self) -> None:
        self.block(())

    def call_statement(self) -> None:
        type_, functions = self.some_function()
        self.call(type_, functions)
        for result in reversed(type_.results):
            self.take(result)

    def branch_if(self) -> None:
        depth = self.choose(len(self.labels))
        types = self.labels[-1 - depth]
        self.values(types)
        self.value(I32)
        self.spend()
        self.emit("br_if", depth)
        for type_ in reversed(types):
            self.take(type_)

    def spend(self) -> None:
        """Make a condition false where there is no more fuel, and take of it: it may lead backward."""
        fuel = self.names.fuel
        self.emit("global.get", fuel).emit("i32.const", 1).emit("i32.sub").emit("global.set", fuel)
        self.emit("global.get", fuel).emit("i32.const", 0).emit("i32.gt_s").emit("i32.and")

    def leave(self) -> None:
        """Under a condition: branch, return, call and return, throw, or trap."""
        self.value(I32)
        self.spend()
        self.code.block("if")
        self.labels.append(())
        ways = (self.branch, self.branch_table, self.returning, self.tail_call, self.throw)
        way = self.choose(60)
        if way == 0:
            self.emit("unreachable")
        elif way == 1:
            self.rethrow()
        else:
            ways[way % len(ways)]()
        if self.choose(4) == 0:
            self.statement()  # which cannot be reached
        self.labels.pop()
        self.emit("end")

    def throw_if(self) -> None:
        self.value(I32)
        self.code.block("if")
        self.labels.append(())
        self.throw()
        self.labels.pop()
        self.emit("end")

    def branch(self) -> None:
        depth = self.choose(len(self.labels))
        self.values(self.labels[-1 - depth])
        self.emit("br", depth)

    def branch_table(self) -> None:
        types = tuple(self.labels[-1 - self.choose(len(self.labels))])
        fitting = [d for d in range(len(self.labels)) if tuple(self.labels[-1 - d]) == types]
        self.values(types)
        self.value(I32)
        depths = tuple(fitting[self.choose(len(fitting))] for _ in range(self.choose(4)))
        self.emit("br_table", depths, fitting[self.choose(len(fitting))])

    def returning(self) -> None:
        self.values(self.type.results)
        self.emit("return")

    def tail_call(self) -> None:
        fitting = [its for its in self.names.functions if its.results == self.type.results]
        its = fitting[self.choose(len(fitting))]
        functions = [index for index, other in enumerate(self.names.functions) if other == its]
        self.call(its, functions, "return_")

    def throw(self) -> None:
        tag = self.choose(len(TAGS))
        self.values(TAGS[tag].params)
        self.emit("throw", tag)

    def rethrow(self) -> None:
        self.value(EXNREF)
        self.emit("throw_ref")

    def set_element(self) -> None:
        table = self.choose(3)
        self.place(table)
        self.value((FUNCREF, EXTERNREF, EXNREF)[table])
        self.emit("table.set", table)

    def bulk(self) -> None:
        """Something that changes much at once, or segments."""
        ways = (self.fill, self.copy, self.init, self.grow_table, self.fill_table, self.init_table, self.drop)
        ways[self.choose(len(ways))]()

    def small(self, most: int = 31) -> None:
        self.value(I32)
        self.emit("i32.const", most).emit("i32.and")

    def fill(self) -> None:
        self.small(0xFFF)
        self.value(I32)
        self.small()
        self.emit("memory.fill", 0)

    def copy(self) -> None:
        self.small(0xFFF)
        self.small(0xFFF)
        self.small()
        self.emit("memory.copy", 0, 0)

    def init(self) -> None:
        self.small(0xFFF)
        self.small()
        self.small()
        self.emit("memory.init", 1, 0)

    def drop(self) -> None:
        if self.choose(2):
            self.emit("data.drop", self.choose(self.names.datas))
        else:
            self.emit("elem.drop", self.choose(self.names.elements))

    def grow_table(self) -> None:
        table = self.choose(3)
        self.value((FUNCREF, EXTERNREF, EXNREF)[table])
        self.small(3)
        if table == 2:
            self.emit("i64.extend_i32_u")
        self.emit("table.grow", table).emit("drop")

    def fill_table(self) -> None:
        table = self.choose(3)
        self.place(table)
        self.value((FUNCREF, EXTERNREF, EXNREF)[table])
        self.small(3)
        if table == 2:
            self.emit("i64.extend_i32_u")
        self.emit("table.fill", table)

    def init_table(self) -> None:
        self.small(7)
        self.small(1)
        self.small(1)
        self.emit("table.init", 1, 0)
