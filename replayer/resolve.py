"""What a place that the user names stands for: ``function``, ``file:line``, ``line``, ``*address``.

A function has a place wherever it has code: its own, and all places at which it was inlined. So has a line.

May import base, wasm, debuginfo and this package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ttd.debuginfo.calls import InlinedCall
from ttd.debuginfo.info import DebugInfo
from ttd.errors import UsageError
from ttd.replayer.breakpoints import parse_number
from ttd.replayer.lines import Lines
from ttd.replayer.views import Place
from ttd.wasm.model import Function, Module
from ttd.wasm.typing import land


@dataclass(frozen=True, slots=True)
class Here:
    """What a place without a file, or no place at all, is relative to: a frame."""

    pc: int | None
    path: str | None
    hidden: int = 0
    """How many functions are inlined inside that frame."""


class Resolver:
    """Finds the places that specifications name."""

    def __init__(self, module: Module, debug: DebugInfo, lines: Lines) -> None:
        self._module = module
        self._debug = debug
        self._lines = lines

    def resolve(self, spec: str | None, here: Here) -> tuple[list[Place], str]:
        """The places of `spec` (None: the present instruction), and a note, mostly "".

        Raises UsageError that says what is not there, with the next step where there is one.
        """
        text = (spec or "").strip()
        if not text:
            if here.pc is None:
                raise UsageError("the run has ended here: name a function or a line to break at")
            return [self._place(here.pc, here.hidden)], ""
        if text.startswith("*"):
            return [self._at_address(text[1:].strip())], ""
        if match := re.fullmatch(r"(?:(.+):)?(\d{1,9})", text):
            return self._at_line(match[1], int(match[2]), here)
        return self._in_function(text), ""

    def _at_address(self, text: str) -> Place:
        try:
            pc = parse_number(text)
        except ValueError:
            raise UsageError(f"not an address: {text!r} (expected a byte offset such as *0x1f3)") from None
        function = self._module.function_at(pc)
        if function is None:
            raise UsageError(f"no code at {pc:#x}: addresses are byte offsets in the module file")
        body = function.body
        if body is None or all(instruction.offset != pc for instruction in body.instructions):
            raise UsageError(f"{pc:#x} is in the middle of an instruction; `disassemble` lists the offsets")
        return self._landed(function, pc)

    # --- lines ---------------------------------------------------------------------------------------

    def _at_line(self, file: str | None, line: int, here: Here) -> tuple[list[Place], str]:
        path = file if file is not None else here.path
        if path is None:
            raise UsageError(f"no source file here: write file:{line}")
        if not self._debug.has_dwarf:
            raise UsageError(
                "the program has no line information; rebuild it with -g, or break at a function"
            )
        paths = self._debug.find_files(path)
        if not paths:
            raise UsageError(f"no source file named {path}; `info sources` lists them")
        actual, places = self._first_from(path, paths, line)
        if not places:
            raise UsageError(f"no code at or behind line {line} of {path}")
        note = "" if actual == line else f"line {line} has no code; set at line {actual}"
        return places, note

    def _first_from(self, path: str, paths: Iterable[str], line: int) -> tuple[int, list[Place]]:
        """The first line from `line` on that has places, and these. A line may have no code but a call that
        was inlined."""
        calls = [
            (call.site.line, call)
            for each in paths
            for call in self._debug.calls_in(each)
            if call.site is not None and call.site.path == each and call.site.line >= line
        ]
        actual, pcs = self._debug.pcs_for_line(path, line)
        if calls:
            first = min(called for called, _ in calls)
            if not pcs or first < actual:
                actual, pcs = first, []
        places = [self._place(pc) for pc in pcs]
        places += [self._at_call(call) for called, call in calls if called == actual]
        return actual, self._first_of_each(places)

    def _first_of_each(self, places: list[Place]) -> list[Place]:
        """Of the places in each function, and in each inlined call of it, the first."""
        found: dict[tuple[int, int], Place] = {}
        for place in sorted(places, key=lambda place: (place.pc, place.hidden)):
            scope = self._debug.source_frames(place.pc)[place.hidden].entry
            found.setdefault((place.function, scope), place)
        return sorted(found.values(), key=lambda place: (place.pc, place.hidden))

    def _at_call(self, call: InlinedCall) -> Place:
        """Where an inlined call is made: in the function around."""
        inside = self._in_call(call)
        outer = self._debug.inlining_depth(inside.pc)
        return self._place(inside.pc, min(inside.hidden + 1, outer))

    # --- functions -----------------------------------------------------------------------------------

    def _in_function(self, name: str) -> list[Place]:
        indices = self._debug.find_functions(name)
        places = list(self._beginnings(indices))
        places += [self._in_call(call) for call in self._debug.calls_of(name)]
        if not places and not indices:
            raise UsageError(f"function {name!r} is not defined; `info functions` lists them")
        if not places and any(self._debug.module.functions[index].body is not None for index in indices):
            raise UsageError(f"function {name!r} is empty: there is nothing to stop at; name its callers")
        if not places:
            raise UsageError(f"{name} is imported and has no code here; use `catch call {name}`")
        return sorted(set(places), key=lambda place: (place.pc, place.hidden))

    def _beginnings(self, indices: Iterable[int]) -> Iterator[Place]:
        """Where functions begin: before what is inlined there."""
        for index in indices:
            pc = self._debug.breakpoint_pc(index)
            if pc is not None:
                place = self._place(pc)
                is_inlined = self._debug.inlining_depth(place.pc) > 0
                hidden = self._lines.places(index).arrivals.get(place.pc, 0) if is_inlined else 0
                yield self._place(pc, hidden)

    def _in_call(self, call: InlinedCall) -> Place:
        """Where an inlined function begins."""
        places = self._lines.places(call.function)
        pc = min(places.inside(call.entry), default=call.pc)
        if places.call_of(call.entry) is None and call.pc < pc:
            pc = call.pc  # for its first line is one of a loop in it
        function = self._module.functions[call.function]
        landed = land(function, pc)
        frames = self._debug.source_frames(pc if landed is None else landed)
        scopes = [frame.entry for frame in frames]
        return self._landed(function, pc, scopes.index(call.entry) if call.entry in scopes else 0)

    # --- places --------------------------------------------------------------------------------------

    def _place(self, pc: int, hidden: int = 0) -> Place:
        function = self._module.function_at(pc)
        if function is None:
            raise UsageError(f"no code at {pc:#x}")
        return self._landed(function, pc, hidden)

    def _landed(self, function: Function, pc: int, hidden: int = 0) -> Place:
        landed = land(function, pc)
        if landed is None:
            raise UsageError(f"no instruction is left at {pc:#x}: only the function's end")
        frame = self._debug.source_frames(landed)[hidden]
        return Place(function.index, landed, frame.name, frame.location, hidden)
