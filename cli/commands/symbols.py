"""`ttd symbols`: the functions and data of a module, with addresses and sizes.

May import click; `ttd.debuginfo` and `ttd.static` late.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.describe import warn_of_damage
from ttd.cli.files import debug_info_option, json_option, module_argument, open_module
from ttd.cli.group import Command
from ttd.cli.output import Json, plain, write_json, write_json_list, write_table

if TYPE_CHECKING:
    from ttd.static.symbols import Symbol, UnitTotal

ORDERS: dict[str, Callable[[Symbol], tuple[object, ...]]] = {
    "address": lambda symbol: (symbol.kind.value, symbol.address, symbol.name),
    "size": lambda symbol: (-symbol.size, symbol.name, symbol.address),
    "name": lambda symbol: (symbol.name, symbol.kind.value, symbol.address),
}
"""What `--sort` takes; sizes go from large to small."""


@click.command(cls=Command)
@module_argument
@click.option("-s", "--sort", type=click.Choice(tuple(ORDERS)), default="address", help="The order.")
@click.option("-k", "--kind", type=click.Choice(("function", "data")), help="Only functions, or only data.")
@click.option("-u", "--by-unit", is_flag=True, help="Add up by compile unit, largest first.")
@debug_info_option
@json_option
def command(
    module: Path, sort: str, kind: str | None, by_unit: bool, debug_info: Path | None, as_json: bool
) -> None:
    """List the functions and data of a module with address and size in bytes: what is in it, and how big.

    MODULE is a .wasm file, or a recording. The address of a function is the byte offset of its first
    instruction in the file, its size all that it takes in the code section. Data are the global and
    static variables that debug information tells of, with their address in memory. UNIT is the file
    that was compiled, without its folder: --by-unit and --json have the whole path.

    \b
    Examples:
      ttd symbols prog.wasm
      ttd symbols prog.wasm --sort size --kind function
      ttd symbols prog.wasm --by-unit
    """
    from ttd.debuginfo import DebugInfo
    from ttd.static import symbols

    debug = DebugInfo(open_module(module, debug_info))
    found = [] if kind == "data" else list(symbols.functions(debug))
    found += [] if kind == "function" else symbols.data_objects(debug)
    found.sort(key=ORDERS[sort])
    if by_unit:
        _write_totals(symbols.totals(found), as_json)
    elif as_json:
        write_json_list(_json(symbol) for symbol in found)
    else:
        write_table(("ADDRESS", "SIZE", "KIND", "UNIT", "NAME"), map(_cells, found), "SIZE")
    warn_of_damage(debug)


def _write_totals(totals: list[UnitTotal], as_json: bool) -> None:
    if as_json:
        write_json([{"unit": t.unit or None, "functions": t.functions, "code": t.code, "objects": t.objects,
                     "data": t.data} for t in totals])  # fmt: skip
        return
    rows = [
        (str(t.functions), str(t.code), str(t.objects), str(t.data), plain(t.unit) or "(unknown)")
        for t in totals
    ]
    header = ("FUNCTIONS", "CODE", "OBJECTS", "DATA", "UNIT")
    write_table(header, rows, "FUNCTIONS CODE OBJECTS DATA")


def _cells(symbol: Symbol) -> tuple[str, ...]:
    """The name stands last: in C++ it can be longer than everything else."""
    unit = symbol.unit.rpartition("/")[2]
    return (
        f"{symbol.address:#08x}",
        str(symbol.size),
        symbol.kind.value,
        plain(unit) or "-",
        plain(symbol.name),
    )


def _json(symbol: Symbol) -> Json:
    return {
        "kind": symbol.kind.value,
        "name": symbol.name,
        "address": symbol.address,
        "size": symbol.size,
        "unit": symbol.unit or None,
    }
