"""What instrumented code, continuations and their driver agree on: injected names, and layouts in the
shadow memory.

Nobody else spells these names or offsets.

    shadow memory
        0 .. SPILL_BASE     the thaw area: the record of the one frame that is about to be thawed; when
                            its continuation has returned, its results
        SPILL_BASE ..       the spill area: records of frozen frames, innermost first

    record of a frame           offset 0   i64  function index | site number << SITE_SHIFT
                                offset 8   i64  raw entry: `count` just after the entry tick
                                offset 16  live locals, then operands, 8 bytes each, 16 for v128; those in
                                           the spill area may come in another order (`sitetable`)
    In the thaw area the header says how to go on instead: 0 = the callee returned (its results follow the
    operands), 1 = the callee threw what is in the global EXCEPTION. LEAVING is written there by a
    continuation that leaves to the one of a loop around its site.

References cannot lie in memory: those of a record lie in the reference tables, from the REFERENCES global
on, in the order of the record, one table for each type (funcref, externref, exnref).

`count` is the clock: the number of the tick minus the limit. It is negative while the program may run on,
and a tick that brings it to 0 freezes.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ttd.wasm.model import ValType

COUNT = "ttd:count"
"""Global, i64: see above."""
SPILL = "ttd:spill"
"""Global, i32: end of the spill area."""
REFERENCES = "ttd:references"
"""Global, i32: how many entries of the reference tables are in use (the same for all three)."""
EXCEPTION = "ttd:exception"
"""Global, exnref: what the continuation that ended with THREW threw. Only in modules with exceptions."""
SHADOW = "ttd:shadow"
"""The shadow memory."""
GO = "ttd:go"
"""In a continuation module: the function that thaws the frame in the thaw area and runs it."""

SAVE, LOAD = "ttd:save", "ttd:load"
"""Functions that copy all globals that can change to the thaw area, as a record from offset 0, and back."""

RETURNED, FROZEN, THREW, LEFT = 0, 1, 2, 3
"""What a GO or enter function returns. LEFT: the frame was spilled at the tick of a loop, and is to be thawed
there at once."""

LEAVING = 2
"""See above."""

SPILL_BASE = 1 << 20
SHADOW_PAGES = 1024
"""64 MiB, of which only what is touched costs anything. A frame's record is not larger than a few times its
native frame, and the native stack is much smaller than this."""

REFERENCE_TABLE_SIZE = 1 << 20
"""Enough for a native stack of 4 MiB that holds nothing else, at 4 bytes each. Only what is touched costs."""


SITE_SHIFT = 20
"""Modules have at most 1,000,000 functions; and small constants take less code."""

SPILLED_AT_ONCE = 4
"""How many values a `spiller` takes at most: so many that all of them are in registers, also on x86-64."""


def spiller(types: Iterable[ValType]) -> str:
    """Name of the function that adds values of these types, no references, to the record being spilled."""
    return "ttd:spill:" + ",".join(map(str, types))


DROPPED_BASE = SPILL_BASE - (1 << 18)


def dropped(is_element: bool, segment: int) -> int:
    """Where in the thaw area a 1 is written when a segment is dropped. Modules have at most 100,000 of a
    kind."""
    return DROPPED_BASE + segment + (is_element << 17)


def drop_helper(is_element: bool, segment: int) -> str:
    """Name of the function that drops a segment, in modules that have code which does."""
    return segment_helper("elem.drop" if is_element else "data.drop", (segment,))


def segment_helper(mnemonic: str, immediates: tuple[object, ...]) -> str:
    """Name of the function that performs an instruction on a segment."""
    return f"ttd:{mnemonic}:" + ":".join(str(immediate) for immediate in immediates)


def reference_table(type_: ValType) -> str:
    """Name of the reference table for `type_`."""
    return f"ttd:{type_}"


def function(index: int) -> str:
    """Name under which function `index` of the original index space is exported; an import's is its gate."""
    return f"ttd:f{index}"


def memory(index: int) -> str:
    return f"ttd:m{index}"


def table(index: int) -> str:
    return f"ttd:t{index}"


def global_(index: int) -> str:
    return f"ttd:g{index}"


def tag(index: int) -> str:
    return f"ttd:e{index}"


# --- probes (`ttd.instrument.probes`) -----------------------------------------------------------------

NOTE = "ttd:note"
"""Function (raw tick: i64) -> (): notes a tick in the list at NOTES, unless it is the last one there."""
PATCHES = "ttd:patches"
"""Table of funcref, in a build with probes: what stands in for each function whose byte is ENTRY_PATCHED."""


def predicate(key: str) -> str:
    """Function that answers the predicate with that key (`ttd.wasm.predicate`)."""
    return f"ttd:predicate:{key}"


PROBES_BASE = (SHADOW_PAGES << 16) - (4 << 20)
NOTED_LAST = PROBES_BASE
"""i64: the tick that was noted last."""
NOTED = PROBES_BASE + 8
"""i64: how many ticks were noted."""
NOTED_MOST = PROBES_BASE + 16
"""i64: how many may be noted; noting the last of them traps."""
WATCHES = PROBES_BASE + 24
"""i32: how many entries WATCH_TABLE has."""
WATCH_ANYHOW = PROBES_BASE + 28
"""i8: whether there is a watch for which writes count that change nothing."""
WATCH_TABLE = PROBES_BASE + 64
"""What is watched, an entry of WATCH_ENTRY bytes each: i64 address, i64 length, i32 where the copy of these
bytes lies, i32 memory, i32 whether writes that change nothing count, too."""
WATCH_ENTRY = 32
MOST_WATCHES = 1000
NOTES = PROBES_BASE + (1 << 16)
"""The last NOTES_KEPT ticks that were noted, i64 each; the first one lies here."""
NOTES_KEPT = 4096
WATCH_COPIES = PROBES_BASE + (1 << 17)
WATCH_COPIES_SIZE = 1 << 20
ENTRIES = PROBES_BASE + (2 << 20)
"""A byte for each function: what to do at its entry. Modules have at most 1,000,000 functions."""
ENTRY_PLAIN, ENTRY_NOTED, ENTRY_PATCHED = 0, 1, 2


def keep(memory: int) -> str:
    """Function (address, length: i64) -> (): copies what is watched of these bytes of a memory."""
    return f"ttd:keep{memory}"


def wrote(memory: int) -> str:
    """Function (address, length: i64) -> (): notes the tick if these bytes of a memory, just written, are
    watched and, as far as that is asked for, have changed since they were copied."""
    return f"ttd:wrote{memory}"


def watch_low(memory: int) -> str:
    """Global, of the memory's address type: the first watched address."""
    return f"ttd:low{memory}"


def watch_span(memory: int) -> str:
    """Global, of the memory's address type: from the first to the last watched address; 0 for no watch."""
    return f"ttd:span{memory}"


def size_of(type_: ValType) -> int:
    """Bytes that a value takes in a record; none for references."""
    return _SIZES[type_]


_SIZES = {type_: 0 if type_.is_reference else 8 for type_ in ValType} | {ValType.V128: 16}


HEADER = 16


def offsets(types: Iterable[ValType], start: int = HEADER) -> tuple[list[int], int]:
    """Offset of each value of a record that begins at `start`, and where they end.

    For a reference it is its place among the references of its record.
    """
    places: list[int] = []
    references = 0
    for type_ in types:
        size = _SIZES[type_]
        if size:
            places.append(start)
            start += size
        else:
            places.append(references)
            references += 1
    return places, start
