"""Source text and disassembly.

May import base, wasm, debuginfo and this package.
"""

from __future__ import annotations

from ttd.debuginfo import DebugInfo
from ttd.errors import UsageError
from ttd.replayer.sources import Sources
from ttd.replayer.views import DisassemblyLine, SourceLine, SourceView
from ttd.types import Location
from ttd.wasm.model import Module
from ttd.wasm.names import Names


class Listings:
    """Source files by lines, functions by instructions."""

    def __init__(self, sources: Sources, module: Module, debug: DebugInfo, names: Names) -> None:
        self._sources = sources
        self._module = module
        self._debug = debug
        self._names = names

    def around(self, location: Location, count: int, here: Location | None) -> SourceView | None:
        """About `count` lines about a line; `here` is the current line, for marking it."""
        first = max(1, location.line - count // 2)
        return self.lines(location.path, first, first + max(count, 1) - 1, here)

    def lines(self, path: str, first: int, last: int, here: Location | None) -> SourceView | None:
        """Lines `first` to `last`; `here` is the current line, for marking it."""
        text = self._sources.lines(path)
        if text is None:
            return None
        marked = here.line if here is not None and here.path == path else 0
        numbers = range(max(first, 1), min(last, len(text)) + 1)
        return SourceView(
            path, tuple(SourceLine(number, text[number - 1], number == marked) for number in numbers)
        )

    def find_file(self, path: str) -> str:
        """The full path of a source file named by its last parts; `path` itself if it is not known."""
        found = self._debug.find_files(path)
        return found[0] if found else path

    def disassembly(self, function: int, pc: int | None) -> list[DisassemblyLine]:
        """The instructions of a function, the one at `pc` marked. Raises UsageError for an import."""
        from ttd.wasm.disasm import disassemble

        target = self._module.functions[function]
        if target.body is None:
            raise UsageError(f"{self._names.function(function)} is imported and has no code here")
        return [
            DisassemblyLine(line.offset, _text(line.depth, line.text, line.comment), line.offset == pc)
            for line in disassemble(self._module, target, self._names)
        ]


def _text(depth: int, text: str, comment: str) -> str:
    code = "  " * depth + text
    return f"{code}  ;; {comment}" if comment else code
