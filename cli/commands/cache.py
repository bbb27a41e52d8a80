"""`ttd cache`: the cache of compiled programs, shown and cleared.

May import click; `ttd.engine.cache` late.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import click

from ttd.cli.files import json_option
from ttd.cli.group import Command
from ttd.cli.output import Json, moment, size, write_fields, write_json, write_table
from ttd.errors import TtdError

if TYPE_CHECKING:
    from ttd.engine.cache import Cache, CachedProgram


@click.command(cls=Command)
@click.option("--clear", is_flag=True, help="Remove everything that is in the cache.")
@json_option
def command(clear: bool, as_json: bool) -> None:
    """Show the cache of compiled programs, or clear it.

    A program that was compiled before starts at once. What was not used for longest goes by itself when
    the cache is full. It lies where TTD_CACHE_DIR says, else in ttd/ in the user's cache directory; with
    TTD_CACHE_DIR set to nothing there is none. The key that tells its entries from other people's is
    kept apart from it, in the user's state directory.

    \b
    Examples:
      ttd cache
      ttd cache --json
      ttd cache --clear
    """
    cache = _open()
    if clear:
        freed = cache.clear()
        if as_json:
            write_json({"directory": str(cache.directory), "freed": freed})
        else:
            click.echo(f"Removed {size(freed)} from {cache.directory}.")
        return
    programs = cache.programs()
    if as_json:
        write_json(_json(cache, programs))
    else:
        _show(cache, programs)


def _open() -> Cache:
    from ttd.engine.cache import CacheUnusable, open_user_cache

    try:
        return open_user_cache()
    except CacheUnusable as error:
        raise TtdError(f"no cache: {error}") from error


def _show(cache: Cache, programs: list[CachedProgram]) -> None:
    total = sum(program.size for program in programs)
    write_fields(
        (
            ("Directory", str(cache.directory)),
            ("Size", f"{size(total)} of at most {size(cache.limit)}"),
            ("Programs", str(len(programs))),
        )
    )
    if programs:
        click.echo()
        header = ("SHA-256 OF THE MODULE", "SIZE", "PARTS", "USED")
        write_table(header, map(_cells, programs), "SIZE PARTS")


def _cells(program: CachedProgram) -> tuple[str, ...]:
    return (program.module[:16], size(program.size), str(program.entries), moment(_when(program)))


def _when(program: CachedProgram) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(program.used, datetime.UTC)


def _json(cache: Cache, programs: list[CachedProgram]) -> Json:
    return {
        "directory": str(cache.directory),
        "limit": cache.limit,
        "size": sum(program.size for program in programs),
        "programs": [
            {
                "module": program.module,
                "size": program.size,
                "parts": program.entries,
                "used": _when(program).isoformat(),
            }
            for program in programs
        ],
    }
