"""Disassembly with the lines of the source between the instructions.

May import base, `ttd.wasm` and `ttd.debuginfo`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.sourcefile import read_source
from ttd.types import Location
from ttd.wasm.disasm import Line, disassemble
from ttd.wasm.model import Function

SourceReader: TypeAlias = Callable[[str], "bytes | None"]
"""Gives the contents of a source file by its path in the debug information, None if it is not to be had."""


class Heading(NamedTuple):
    """What the instructions behind it came from."""

    location: Location | None
    """None where no line is known."""
    inlined: tuple[str, ...]
    """The inlined functions that they are part of, innermost first."""
    text: str
    """The line itself, without what surrounds it; "" where the source is not to be had."""


class Sources:
    """Source files as lines, each read once."""

    def __init__(self, read: SourceReader) -> None:
        self._read = read
        self._files: dict[str, list[str]] = {}

    def line(self, location: Location | None) -> str:
        """The line, without the space around it; "" where it is not to be had."""
        if location is None:
            return ""
        if location.path not in self._files:
            self._files[location.path] = (
                (self._read(location.path) or b"").decode("utf-8", "replace").split("\n")
            )
        lines = self._files[location.path]
        return lines[location.line - 1].strip() if 0 < location.line <= len(lines) else ""


def listing(
    debug: DebugInfo, function: Function, sources: Sources | None = None
) -> Iterator[tuple[Heading | None, Line]]:
    """The instructions of a function, each with a heading if it came from another place than that before.

    Without DWARF there are no headings. Without `sources`, source files are looked for on disk; to list many
    functions, give the same ones to all.
    """
    sources = sources or Sources(read_source)
    here: tuple[Location | None, tuple[str, ...]] = (None, ())
    for line in disassemble(debug.module, function, debug.names):
        frames = debug.source_frames(line.offset)
        location = frames[0].location if frames else None
        bare = Location(location.path, location.line) if location is not None else None
        place = (bare, tuple(frame.name for frame in frames if frame.is_inlined))
        yield (Heading(*place, sources.line(bare)) if place != here else None), line
        here = place
