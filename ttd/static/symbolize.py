"""Backtraces of WebAssembly engines, rewritten with the functions and lines of the source.

Each engine tells where a frame is in its own words; those that name a place in *this* module are replaced,
all other text stays as it is, to the byte. Inlined functions get lines of their own. Known are:

    Wasmtime                              0:    0x3a4 - prog.wasm!report
    V8 (Node, Chrome, Edge, Deno)         at report (wasm://wasm/prog-1a2b3c4d:wasm-function[12]:0x3a4)
    SpiderMonkey (Firefox)            report@http://localhost/prog.wasm:wasm-function[12]:0x3a4
    JavaScriptCore (Safari)           <?>.wasm-function[12]@[wasm code]

Offsets are byte offsets in the module file; of a caller, that of its call. JavaScriptCore gives none, so
there the declaration of the function is all that can be told.

May import base, `ttd.wasm` and `ttd.debuginfo`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ttd.debuginfo import DebugInfo
from ttd.wasm.names import printable

_WASMTIME = re.compile(r"(?P<number>\b\d{1,9}): +(?P<offset>0x[0-9a-f]{1,16}) - (?P<what>.*!.*)")
_DETAILS = re.compile(r"^.*?\bat \S.*:\d+$")
"""How Wasmtime goes on behind a frame whose lines it knows itself."""
_UNNAMED = re.compile(r"!<wasm function (\d{1,9})>$")
_OFFSET = re.compile(r"wasm-function\[(\d{1,9})\]:0x([0-9a-f]{1,16})")
_V8_HEAD = re.compile(r"\s*at (?:async )?")
_SPIDERMONKEY_HEAD = re.compile(r"\s*(?:async\*|[\w.]+ (?:handler|callback)\*)?")
_JAVASCRIPTCORE = re.compile(r"^(\s*)[^\s@\[]*wasm-function\[([^\s@]+)\]@\[wasm code\]$")

DETAIL_INDENT = 15
"""Columns between the number of a frame and its source line in Wasmtime's layout…"""
INLINED_INDENT = 11
"""… and the dash before the function that an inlined one is part of."""
MAX_LINE = 10_000
"""Characters of a line above which it is no frame."""


class Level(NamedTuple):
    """A function of the source as a line of a backtrace shows it; `place` is empty where it is unknown."""

    name: str
    place: str


class Symbolizer:
    """Rewrites the backtraces of runs of one module."""

    def __init__(self, debug: DebugInfo) -> None:
        self._debug = debug

    def text(self, text: str) -> str:
        """`text` with the frames of its backtraces rewritten."""
        return "".join(self.lines(text.splitlines(keepends=True)))

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """The same for lines, which keep their ends; each comes out before the next but one is asked for.

        A frame of Wasmtime's that it has told the source line of itself stays as it is, too.
        """
        waiting = ""
        for line in lines:
            if waiting:
                told = _DETAILS.match(line.rstrip("\r\n"))
                yield waiting if told else self._rewrite(waiting)
                waiting = ""
            if len(line) <= MAX_LINE and _WASMTIME.search(line):
                waiting = line
            else:
                yield self._rewrite(line)
        if waiting:
            yield self._rewrite(waiting)

    def _rewrite(self, line: str) -> str:
        text = line.rstrip("\r\n")
        end = line[len(text) :]
        if len(text) > MAX_LINE:
            return line
        rewritten = self._wasmtime(text) or self._with_offset(text) or self._javascriptcore(text)
        return (end or "\n").join(rewritten) + end if rewritten else line

    def _wasmtime(self, text: str) -> list[str]:
        match = _WASMTIME.search(text)
        if match is None:
            return []
        unnamed = _UNNAMED.search(match["what"])
        levels = self._levels(int(match["offset"], 16), int(unnamed[1]) if unnamed else None)
        column = match.end("number")
        lines: list[str] = []
        for level in levels:
            head = " " * (column + INLINED_INDENT) + "- " if lines else text[: match.start("what")]
            lines.append(head + level.name)
            if level.place:
                lines.append(" " * (column + DETAIL_INDENT) + f"at {level.place}")
        return lines

    def _with_offset(self, text: str) -> list[str]:
        """V8 and SpiderMonkey have the same words for a place, and different ones around it."""
        match = _OFFSET.search(text)
        if match is None:
            return []
        levels = self._levels(int(match[2], 16), int(match[1]))
        before, behind = text[: match.start()], text[match.end() :]
        v8 = _V8_HEAD.match(before)
        if v8 is not None:
            _, bracket, url = before[v8.end() :].rpartition(" (")
            if bracket and not behind.startswith(")"):
                return []
            place, behind = url + match[0], behind[1:] if bracket else behind
            return [f"{v8[0]}{level.name} ({level.place or place}){behind}" for level in levels]
        named, at, url = before.partition("@")
        head = _SPIDERMONKEY_HEAD.match(named)
        if not at or head is None:
            return []
        return [f"{head[0]}{level.name}@{level.place or url + match[0]}{behind}" for level in levels]

    def _javascriptcore(self, text: str) -> list[str]:
        match = _JAVASCRIPTCORE.match(text)
        if match is None:
            return []
        functions = self._debug.module.functions
        if re.fullmatch(r"\d{1,9}", match[2]):
            found = [int(match[2])] if int(match[2]) < len(functions) else []
        else:
            found = self._debug.names.functions_named(match[2])
        if len(found) != 1:
            return []
        name = printable(self._debug.function_name(found[0]))
        declared = self._debug.function_location(found[0])
        place = f"wasm code, declared at {printable(str(declared))}" if declared else "wasm code"
        return [f"{match[1]}{name}@[{place}]"]

    def _levels(self, pc: int, function: int | None) -> list[Level]:
        """The functions of the source at `pc`, innermost first; none if `pc` is not in `function`'s code."""
        holder = self._debug.module.function_at(pc)
        if holder is None or function not in (None, holder.index):
            return []
        return [
            Level(printable(frame.name), printable(frame.location.exact) if frame.location else "")
            for frame in self._debug.source_frames(pc)
        ]
