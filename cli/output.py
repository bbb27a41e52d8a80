"""How the commands write: tables, sizes, JSON, and lines of progress.

May import click, and `ttd.types` (types only). Everything here writes plain text; whether colours are
welcome is asked of `colours`.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO, TypeAlias

import click

if TYPE_CHECKING:
    from ttd.types import Position

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What can be written as JSON."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def colours(stream: TextIO) -> bool:
    """Whether to colour what is written to `stream`: a terminal, and NO_COLOR (no-color.org) is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_json(value: Json) -> None:
    """Write one JSON document to stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def write_json_list(values: Iterable[Json]) -> None:
    """Write a JSON array to stdout, an element at a time: the whole need not fit into memory."""
    separator = "["
    for value in values:
        click.echo(f"{separator}\n  {json.dumps(value, ensure_ascii=False)}", nl=False)
        separator = ","
    click.echo("[]" if separator == "[" else "\n]")


def write_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> None:
    """Write rows under a header in aligned columns; those named in `right` (space-separated) to the right."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    flush_right = [name in right.split() for name in header]
    for line in lines:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, flush_right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def write_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Write names and values in two columns."""
    pairs = list(fields)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name.ljust(width)}  {value}".rstrip())


def size(count: int) -> str:
    """A number of bytes for people: ``812 B``, ``1.4 MiB``."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {UNITS[unit]}"


def moment(when: datetime.datetime) -> str:
    """A moment in local time: ``2025-01-31 17:02:45``."""
    try:
        return when.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def place(position: Position) -> str:
    """A position for people: ``7703:94``, or ``tick 96`` where the step is not known."""
    return str(position) if position.is_exact else f"tick {position.tick}"


def plain(text: str) -> str:
    """`text` from a trace or a guest with control characters escaped: it must not drive the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text)


class Progress:
    """A line of progress on a terminal's stderr, rewritten in place; silent where stderr is no terminal.

    It first shows after `patience` seconds: short work stays quiet. The speed that it shows is that since
    it was shown last. A context manager, which removes the line in the end.
    """

    def __init__(self, label: str, patience: float = 0.5, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._patience = patience
        self._next = time.monotonic() + patience if self._stream.isatty() else float("inf")
        self.is_shown = False
        self._before: tuple[float, int] | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def update(self, percent: float | None, tick: int | None = None) -> None:
        """Show `percent` (0 to 100) and `tick`, as far as they are known; at most ten times a second."""
        now = time.monotonic()
        if now < self._next:
            return
        share = "" if percent is None else f" {percent:5.1f} %"
        place = "" if tick is None else f"  tick {tick:,}{self._speed(now, tick)}"
        self._draw(f"{self._label}{share}{place}")
        self._next, self.is_shown = now + 0.1, True

    def _speed(self, now: float, tick: int) -> str:
        """How fast the ticks go by; "" where that is not known, as between parts of a search backward."""
        before, self._before = self._before, (now, tick)
        if before is None or tick <= before[1]:
            return ""
        return f", {(tick - before[1]) / (now - before[0]) / 1e6:,.1f} million a second"

    def clear(self) -> None:
        """Remove the line. It comes again after `patience` seconds more."""
        if self.is_shown:
            self._draw("")
            self.is_shown = False
            self._next = time.monotonic() + self._patience

    def _draw(self, line: str) -> None:
        self._stream.write(f"\r{line}\x1b[K")
        self._stream.flush()
