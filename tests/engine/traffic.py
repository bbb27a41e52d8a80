"""Code of generated programs that moves much at once, or changes tables and segments: see `generator`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.engine.vocabulary import FUNCREF, I32

if TYPE_CHECKING:
    from tests.engine.bodies import Body


def place(body: Body, table: int) -> None:
    """Push an index into a table; seldom one outside of it."""
    number(body, 7 if body.choose(16) else 31, body.names.tables[table][1])


def number(body: Body, most: int, is64: bool = False) -> None:
    """Push a number from 0 to `most`, which is one less than a power of 2."""
    body.value(I32)
    body.emit("i32.const", most).emit("i32.and")
    if is64:
        body.emit("i64.extend_i32_u")


def memory_size(body: Body) -> None:
    """Push the size of a memory, or grow it and push what that gives."""
    memory = body.choose(len(body.names.memories))
    is64 = body.names.memories[memory]
    if body.choose(3):
        body.emit("memory.size", memory)
    else:
        number(body, 1, is64)
        body.emit("memory.grow", memory)
    if is64:
        body.emit("i32.wrap_i64")


def table_size(body: Body) -> None:
    """Push the size of a table."""
    table = body.choose(len(body.names.tables))
    body.emit("table.size", table)
    if body.names.tables[table][1]:
        body.emit("i32.wrap_i64")


def change(body: Body) -> None:
    """Something that changes much at once, or segments."""
    _WAYS[body.choose(len(_WAYS))](body)


def set_element(body: Body) -> None:
    """Put a value into a table."""
    table = body.choose(len(body.names.tables))
    place(body, table)
    body.value(body.names.tables[table][0])
    body.emit("table.set", table)


def _fill(body: Body) -> None:
    memory = body.choose(len(body.names.memories))
    is64 = body.names.memories[memory]
    number(body, 0xFFF, is64)
    body.value(I32)
    number(body, 31, is64)
    body.emit("memory.fill", memory)


def _copy(body: Body) -> None:
    memories = body.names.memories
    to, from_ = body.choose(len(memories)), body.choose(len(memories))
    number(body, 0xFFF, memories[to])
    number(body, 0xFFF, memories[from_])
    number(body, 31, memories[to] and memories[from_])
    body.emit("memory.copy", to, from_)


def _init(body: Body) -> None:
    memory = body.choose(len(body.names.memories))
    number(body, 0xFFF, body.names.memories[memory])
    number(body, 31)
    number(body, 31)
    body.emit("memory.init", body.choose(body.names.datas), memory)


def _drop(body: Body) -> None:
    if body.choose(2):
        body.emit("data.drop", body.choose(body.names.datas))
    else:
        body.emit("elem.drop", body.choose(body.names.elements))


def _grow_table(body: Body) -> None:
    table = body.choose(len(body.names.tables))
    type_, is64 = body.names.tables[table]
    body.value(type_)
    number(body, 3, is64)
    body.emit("table.grow", table).emit("drop")


def _fill_table(body: Body) -> None:
    table = body.choose(len(body.names.tables))
    type_, is64 = body.names.tables[table]
    place(body, table)
    body.value(type_)
    number(body, 3, is64)
    body.emit("table.fill", table)


def _copy_table(body: Body) -> None:
    tables = body.names.tables
    to = body.choose(len(tables))
    alike = body.names.tables_of(tables[to][0])
    from_ = alike[body.choose(len(alike))]
    place(body, to)
    place(body, from_)
    number(body, 3, tables[to][1] and tables[from_][1])
    body.emit("table.copy", to, from_)


def _init_table(body: Body) -> None:
    functions = body.names.tables_of(FUNCREF)
    table = functions[body.choose(len(functions))]
    number(body, 7, body.names.tables[table][1])
    number(body, 1)
    number(body, 1)
    body.emit("table.init", body.choose(body.names.elements), table)


_WAYS: tuple[Callable[[Body], None], ...] = (
    *(_fill, _copy, _init, _drop),
    *(_grow_table, _fill_table, _copy_table, _init_table),
)
