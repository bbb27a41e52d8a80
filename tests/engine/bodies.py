"""The function bodies of generated programs: see `generator`.

Code is built from expressions: `Body.value` writes code that pushes one value, `Body.statement` code that
leaves the stack as it was. Whatever takes a value takes it from any expression, so that everything nests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.engine import traffic
from tests.engine.vocabulary import (
    COMMON,
    EXNREF,
    EXTERNREF,
    F32,
    F64,
    FUNCREF,
    HOSTS,
    I32,
    I64,
    LOADS,
    OPERATIONS,
    STORES,
    TAGS,
    TYPES,
    V128,
    Choose,
    Names,
    may_trap,
    zero,
)
from ttd.wasm.builder import Code
from ttd.wasm.model import FuncType, ValType
from ttd.wasm.opcodes import Catch, CatchKind, Immediates, Opcode

_KINDS = (CatchKind.CATCH, CatchKind.CATCH_REF, CatchKind.CATCH_ALL, CatchKind.CATCH_ALL_REF)


class _Label(NamedTuple):
    """What a branch can lead to, and the types that it takes along."""

    types: tuple[ValType, ...]
    is_loop: bool = False


class Body:
    """A function body that is being written."""

    def __init__(self, choose: Choose, names: Names, type_: FuncType, size: int) -> None:
        self.choose = choose
        self.names = names
        self.type = type_
        self.budget = size
        declared = [*TYPES, I32, I32, I64]
        self.locals = [*type_.params, *declared]
        self.declared = declared
        self.labels = [_Label(type_.results)]
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
            self.code.extend(zero(type_))
        return self.code

    def refuel_or(self, otherwise: Callable[[], object]) -> None:
        """Take from the fuel; if there is none, do something that leaves."""
        fuel = self.names.fuel
        self.emit("global.get", fuel).emit("i32.const", 1).emit("i32.sub").emit("global.set", fuel)
        self.emit("global.get", fuel).emit("i32.const", 0).emit("i32.lt_s")
        self.code.block("if")
        self.labels.append(_Label(()))
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
        if may_trap(op) and self.choose(8):
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
            traffic.table_size(self)
        else:
            traffic.memory_size(self)

    def element(self, type_: ValType) -> None:
        tables = self.names.tables_of(type_)
        table = tables[self.choose(len(tables))]
        traffic.place(self, table)
        self.emit("table.get", table)

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
        op = LOADS[type_][self.choose(len(LOADS[type_]))]
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
        tables = self.names.tables_of(FUNCREF)
        table = tables[self.choose(len(tables))]
        is64 = self.names.tables[table][1]
        if self.choose(20):
            self.emit("i64.const" if is64 else "i32.const", places[self.choose(len(places))])
        else:
            traffic.number(self, 7, is64)
        self.emit(f"{tail}call_indirect", self.names.builder.type(type_), table)

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
        self.labels.append(_Label(tuple(results)))
        self.inside(params, results)
        self.labels.pop()
        self.emit("end")

    def loop(self, params: list[ValType], results: list[ValType]) -> None:
        self.values(params)
        self.code.block("loop", params, results)
        self.labels.append(_Label(tuple(params), True))
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
        self.labels.append(_Label(tuple(results)))
        self.inside(params, results)
        if params != results or self.choose(2):
            self.emit("else")
            self.inside(params, results)
        self.labels.pop()
        self.emit("end")

    def trying(self, params: list[ValType], results: list[ValType]) -> None:
        """A try_table inside of a block, where one of its clauses lands; others lead to any fitting label."""
        landing = self.catch()
        caught = _caught(landing)
        self.code.block("block", (), caught)
        self.labels.append(_Label(caught))
        self.values(params)
        clauses = self.clauses(landing)
        inner = [self.pick(COMMON) for _ in range(self.choose(3))]
        type_ = FuncType(tuple(params), tuple(inner))
        self.names.builder.type(type_)
        self.emit("try_table", type_, tuple(clauses))
        self.labels.append(_Label(tuple(inner)))
        if any(self.labels[-2 - clause.depth].is_loop for clause in clauses):
            self.refuel_or(lambda: self.constants(self.type.results).emit("return"))
        self.inside(params, inner)
        self.labels.pop()
        self.emit("end")
        for type_ in reversed(inner):
            self.take(type_)
        self.values(caught)
        self.labels.pop()
        self.emit("end")
        self.handle(caught)
        self.values(results)

    def catch(self) -> Catch:
        """A clause that leads to the nearest label."""
        kind = _KINDS[self.choose(4)]
        return Catch(kind, self.choose(len(TAGS)) if kind.has_tag else None, 0)

    def handle(self, caught: Sequence[ValType]) -> None:
        """Put away what was caught; throw it on, sometimes."""
        throws = caught[-1:] == (EXNREF,) and self.choose(2)
        if throws:
            keeper = len(self.type.params) + TYPES.index(EXNREF)
            self.emit("local.tee", keeper)
        for type_ in reversed(caught):
            self.take(type_, keeper if throws else -1)
        if throws:
            self.leaf(I32)
            self.emit("local.get", keeper).emit("ref.is_null").emit("i32.eqz").emit("i32.and")
            self.code.block("if").emit("local.get", keeper).emit("throw_ref").emit("end")

    def clauses(self, landing: Catch) -> list[Catch]:
        """The landing, and others that lead to any label which takes what they catch."""
        clauses = [landing]
        for _ in range(self.choose(3)):
            clause = self.catch()
            fitting = [d for d in range(len(self.labels)) if self.labels[-1 - d].types == _caught(clause)]
            if fitting:
                clauses.append(clause._replace(depth=fitting[self.choose(len(fitting))]))
        return clauses[::-1] if self.choose(2) else clauses

    # --- statements -------------------------------------------------------------------------------

    def statement(self) -> None:
        self.budget -= 1
        if self.budget <= 0:
            self.emit("nop")
            return
        ways = (
            *(self.assign, self.assign, self.store, self.store, self.quit),
            *(self.branch_if, self.branch_if, self.leave, self.leave, self.throw_if),
            *(self.change, self.change, self.set_element),
            *(self.empty_block, self.empty_block, self.call_statement),
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

    def quit(self) -> None:
        """Ask the host to exit or to trap, which it seldom does."""
        self.emit("i32.const", self.choose(64)).emit("call", list(HOSTS).index("quit"))

    def branch_if(self) -> None:
        depth = self.choose(len(self.labels))
        types = self.labels[-1 - depth].types
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
        self.labels.append(_Label(()))
        tails = (self.tail_call, self.tail_call)
        ways = (self.branch, self.branch_table, self.returning, *tails, self.throw, self.rethrow)
        if self.choose(40) == 39:
            self.emit("unreachable")
        else:
            ways[self.choose(len(ways))]()
        if self.choose(4) == 0:
            self.statement()  # which cannot be reached
        self.labels.pop()
        self.emit("end")

    def throw_if(self) -> None:
        self.value(I32)
        self.code.block("if")
        self.labels.append(_Label(()))
        self.throw()
        self.labels.pop()
        self.emit("end")

    def branch(self) -> None:
        depth = self.choose(len(self.labels))
        self.values(self.labels[-1 - depth].types)
        self.emit("br", depth)

    def branch_table(self) -> None:
        types = self.labels[-1 - self.choose(len(self.labels))].types
        fitting = [d for d in range(len(self.labels)) if self.labels[-1 - d].types == types]
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
        """Throw on an exception, if there is one. Seldom without asking, which may trap."""
        if self.choose(16) == 15:
            self.value(EXNREF)
            self.emit("throw_ref")
            return
        keeper = len(self.type.params) + TYPES.index(EXNREF)
        self.value(EXNREF)
        self.emit("local.tee", keeper).emit("ref.is_null").emit("i32.eqz")
        self.code.block("if").emit("local.get", keeper).emit("throw_ref").emit("end")

    def set_element(self) -> None:
        traffic.set_element(self)

    def change(self) -> None:
        traffic.change(self)


def _caught(clause: Catch) -> tuple[ValType, ...]:
    """What a clause takes along to its label."""
    payload = TAGS[clause.tag].params if clause.tag is not None else ()
    return (*payload, EXNREF) if clause.kind.pushes_reference else payload
