"""Random valid modules, made with the project's own writer, for the engines to agree on.

`generate` makes a module from a source of choices: a seed, or hypothesis, which can then shrink it. Programs
end: each call and each turn of a loop takes from a supply of fuel. What they do besides is anything: nested
blocks of all kinds with parameters and results, branches out of them, operands that wait below calls,
direct, indirect and tail calls, all value types, several memories and tables of both kinds, bulk operations,
segments that are dropped, traps, exceptions that cross frames, start functions, host calls that answer, write
to memory, exit and trap.

This module writes what stands around the functions; `bodies` and `traffic` write their code.
"""

from __future__ import annotations

from tests.engine.bodies import Body
from tests.engine.vocabulary import (
    COMMON,
    DUMP_ADDRESS,
    DUMPED,
    EXNREF,
    EXTERNREF,
    FUNCREF,
    HOSTS,
    I32,
    NUMBERS,
    TAGS,
    TYPES,
    V128,
    Choose,
    Names,
    Program,
    zero,
)
from ttd.wasm.builder import Code
from ttd.wasm.model import ExternKind, FuncType, GlobalType, MemoryType, SegmentMode, TableType, ValType
from ttd.wasm.opcodes import Catch, CatchKind

_NOTHING = FuncType((), ())
_TABLE_SIZE = 8


def generate(choose: Choose, size: int = 60) -> Program:
    """A random program; `size` is about the number of expressions in each function."""
    names = Names()
    builder = names.builder
    for name, type_ in HOSTS.items():
        builder.import_function("host", name, type_)
    names.functions += HOSTS.values()
    _surroundings(choose, names)
    types = [_function_type(choose) for _ in range(2 + choose(4))]
    first = len(HOSTS)
    names.functions += types
    for type_ in types:
        builder.declare(type_)
    _elements(choose, names)
    for offset, type_ in enumerate(types):
        Body(choose, names, type_, size).define(first + offset)
    if choose(4) == 0:
        builder.start(builder.function(_NOTHING, _calling(choose, names, first + choose(len(types)))))
    calls = [_call(choose, names, first + choose(len(types)), number) for number in range(1 + choose(3))]
    _dump(names)
    return Program(builder.encode(), calls)


def _function_type(choose: Choose) -> FuncType:
    params = tuple(COMMON[choose(len(COMMON))] for _ in range(choose(4)))
    return FuncType(params, tuple(COMMON[choose(len(COMMON))] for _ in range(choose(3))))


def _surroundings(choose: Choose, names: Names) -> None:
    """Memories, tables, globals, tags and data."""
    builder = names.builder
    names.memories = [False, *(choose(2) == 1 for _ in range(choose(3)))]
    for index, is64 in enumerate(names.memories):
        builder.export(f"m{index}", ExternKind.MEMORY, builder.memory(MemoryType(1, 3, is64)))
    names.tables = [(FUNCREF, False), (EXTERNREF, False), (EXNREF, True)]
    names.tables += [(FUNCREF, choose(2) == 1)] * choose(2)
    for type_, is64 in names.tables:
        builder.table(TableType(type_, _TABLE_SIZE, 20, is64))
    for type_ in TYPES:
        names.globals[type_] = builder.global_(GlobalType(type_, True), zero(type_))
    fuel = 1000 if choose(64) == 63 else 8 + choose(40)
    names.fuel = builder.global_(GlobalType(I32, True), Code().emit("i32.const", fuel))
    for tag in TAGS:
        builder.tag(tag)
    builder.data(SegmentMode.ACTIVE, bytes(range(1, 200)), 0, Code().emit("i32.const", 64))
    builder.data(SegmentMode.PASSIVE, bytes(range(100, 0, -1)))
    names.datas = 2


def _elements(choose: Choose, names: Names) -> None:
    """What is in the tables of functions, and the segments they are filled from."""
    builder, functions = names.builder, len(names.functions)
    names.table = [choose(functions) for _ in range(_TABLE_SIZE - 1)]
    for table in names.tables_of(FUNCREF):
        offset = Code().emit("i64.const" if names.tables[table][1] else "i32.const", 0)
        builder.element(SegmentMode.ACTIVE, names.table, table, offset)
    names.elements = 1 + builder.element(SegmentMode.PASSIVE, [choose(functions) for _ in range(4)])
    builder.element(SegmentMode.DECLARATIVE, list(range(functions)))


# --- what is called from outside ------------------------------------------------------------------------


def _call(choose: Choose, names: Names, function: int, number: int) -> tuple[str, tuple[int, ...]]:
    """An export that calls a function with constants, and drops its results: one that any host can call."""
    name = f"run{number}"
    code = _calling(choose, names, function, 0)
    index = names.builder.function(FuncType((I32,), ()), code)
    names.builder.export(name, ExternKind.FUNCTION, index)
    return name, (choose(1 << 32),)


def _calling(choose: Choose, names: Names, function: int, local: int | None = None) -> Code:
    """Code that calls a function with constants, or with a local, and puts its results into globals. Mostly
    it catches what the function throws."""
    type_, code = names.functions[function], Code()
    catches = choose(4) > 0
    if catches:
        code.block("block").emit("try_table", _NOTHING, (Catch(CatchKind.CATCH_ALL, None, 0),))
    for index, parameter in enumerate(type_.params):
        if index == 0 and parameter is I32 and local is not None:
            code.emit("local.get", local)
        else:
            code.extend(zero(parameter))
    code.emit("call", function)
    for result in reversed(type_.results):
        code.emit("global.set", names.globals[result])
    if catches:
        code.emit("end").emit("end")
    return code


def _dump(names: Names) -> None:
    code = Code()
    address = DUMP_ADDRESS
    code.emit("i32.const", address).emit("i32.const", 0).emit("i32.const", 16 * len(DUMPED))
    code.emit("memory.fill", 0)
    for index, type_ in enumerate(DUMPED):
        code.emit("i32.const", address).emit("global.get", index)
        code.extend(_storing(type_))
        address += 16
    names.builder.export("dump", ExternKind.FUNCTION, names.builder.function(_NOTHING, code))


def _storing(type_: ValType) -> Code:
    if type_ not in NUMBERS:
        return Code().emit("ref.is_null").access("i32.store")
    return Code().access("v128.store" if type_ is V128 else f"{type_}.store")
