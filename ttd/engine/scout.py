"""Running at compiled speed and noting the ticks between which probes may hit.

A `Scout` arms the instrumented program with the probes of a goal (`ttd.instrument.probes` has the code
for that), stands between the driver and the program while it runs, and tells afterwards which ticks
were noted. A noted tick is a place to look at, not a hit.

May import base, `ttd.wasm`, `ttd.instrument`, `ttd.interpreter`, `ttd.engine.protocol` and `native`.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ttd.engine.native import Native
from ttd.engine.protocol import (
    CodeProbe,
    FrameProbe,
    FunctionProbe,
    Goal,
    Host,
    Probe,
    WatchProbe,
    WriteReporting,
)
from ttd.instrument import abi
from ttd.instrument.site import Site, SiteKind
from ttd.interpreter.probes import overlaps
from ttd.state import Frame, State
from ttd.types import Position, Value
from ttd.wasm.model import Module
from ttd.wasm.opcodes import BY_MNEMONIC
from ttd.wasm.predicate import Predicate
from ttd.wasm.straight import straight_from_entry

NEVER_FULL = 1 << 62
"""As the number of ticks to note: no number of them stops the run, and the last ones are kept."""

_Where: TypeAlias = "dict[int, Predicate | None]"
"""Offsets of instructions, with what has to be true for a hit there to count."""

_NOTHING: _Where = {}
_TAIL_CALLS = frozenset(BY_MNEMONIC[name] for name in ("return_call", "return_call_indirect"))


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a scouting run has found out.

    `ticks` are those that were noted, in order: the first ones, or (NEVER_FULL) the last; `overflowed` tells
    that there were more before. `at_limit`: the machine was frozen at the limit, and stands there.
    Otherwise it is nowhere: `is_full` if enough ticks were noted, else the run has ended, or used up the
    native stack, behind tick `last`. `to_limit`: there are no other ticks before the limit.
    """

    ticks: list[int]
    overflowed: bool
    at_limit: bool
    to_limit: bool
    is_full: bool
    last: int


class Build(enum.Enum):
    """Builds of a program by what can be looked for in them, each slower than the one before."""

    PLAIN = "frames"
    PROBING = "frames and code"
    WATCHING = "frames, code and memory"

    @staticmethod
    def for_probes(probes: Iterable[Probe]) -> Build:
        """The fastest that will do."""
        kinds = {type(probe) for probe in probes}
        if WatchProbe in kinds:
            return Build.WATCHING
        return Build.PLAIN if kinds.isdisjoint((CodeProbe, FunctionProbe)) else Build.PROBING


class Scout:
    """The instrumented program, armed with probes; offers what `Native` offers to a call stack."""

    def __init__(self, native: Native, goal: Goal, state: State, most: int) -> None:
        """Arm `native` with the probes of `goal`, which has the clock and the globals of `state` already.

        The run stops when `most` ticks were noted; it is at most NOTES_KEPT, or NEVER_FULL.
        """
        probes = goal.probes
        self._native = native
        self.module: Module = native.module
        self._most = most
        self._start = state.position
        self._code = _code_places(self.module, goal)
        self._frames: dict[Position, list[FrameProbe]] = {}
        for probe in probes:
            if isinstance(probe, FrameProbe):
                self._frames.setdefault(probe.entry, []).append(probe)
        self._watches = [
            probe
            for probe in probes
            if isinstance(probe, WatchProbe) and probe.length and probe.memory < len(self.module.memories)
        ]
        self._straight = {
            function: straight_from_entry(self.module.functions[function].code) for function in self._code
        }
        self._memories = state.memories
        self._left_at_limit = False
        self._arm()

    # --- arming ----------------------------------------------------------------------------------------

    def _arm(self) -> None:
        native = self._native
        native.write(abi.NOTED_LAST, struct.pack("<qqq", -(1 << 63), 0, self._most))
        if native.instrumented.watching:
            self._arm_watches()
        if not native.instrumented.probing:
            return
        for function, places in self._code.items():
            if places.keys() <= self._straight[function] and not any(places.values()):
                native.at_entry(function, abi.ENTRY_NOTED)
            else:
                native.put_patch(function, frozenset(places.items()))
                native.at_entry(function, abi.ENTRY_PATCHED)

    def _arm_watches(self) -> None:
        table, copies = bytearray(), 0
        for watch in self._watches:
            place, has_copy = abi.WATCH_COPIES + copies, watch.only_changes
            if copies + watch.length > abi.WATCH_COPIES_SIZE:
                place, has_copy = abi.WATCH_COPIES, False
            elif has_copy:
                copies += watch.length
            entry = struct.pack("<QQIII", watch.address, watch.length, place, watch.memory, not has_copy)
            table += entry.ljust(abi.WATCH_ENTRY, b"\0")
        anyhow = any(not watch.only_changes for watch in self._watches)
        self._native.write(abi.WATCHES, struct.pack("<I?", len(self._watches), anyhow))
        self._native.write(abi.WATCH_TABLE, bytes(table))
        for memory in range(len(self.module.memories)):
            ours = [watch for watch in self._watches if watch.memory == memory]
            low = min((watch.address for watch in ours), default=0)
            high = max((watch.address + watch.length for watch in ours), default=0)
            self._native.watch(memory, low, high - low)

    def disarm(self) -> None:
        """Leave the program as it was."""
        if self._native.instrumented.probing:
            for function in self._code:
                self._native.at_entry(function, abi.ENTRY_PLAIN)

    def stopped(self, frozen: Sequence[Frame], frames: Sequence[Frame]) -> None:
        """The run was frozen at its limit, and the interpreter has made `frames` of the `frozen` ones: those
        are missing that end there without another instruction."""
        gone = {frame.entry for frame in frozen} - {frame.entry for frame in frames}
        probes = (probe for entry in gone for probe in self._frames.get(entry, ()))
        self._left_at_limit = any(probe.on_exit for probe in probes)

    def sighting(self, at_limit: bool, limit: int) -> Sighting:
        """What was noted."""
        native = self._native
        (count,) = struct.unpack("<q", native.read(abi.NOTED, 8))
        data = native.read(abi.NOTES, 8 * min(count, abi.NOTES_KEPT))
        raw = list(struct.unpack(f"<{len(data) // 8}q", data))
        if count > abi.NOTES_KEPT:
            oldest = count % abi.NOTES_KEPT
            raw = raw[oldest:] + raw[:oldest]
        ticks = [tick for tick in (native.limit + each for each in raw) if tick < limit]
        if self._left_at_limit and limit - 1 not in ticks[-1:]:
            ticks.append(limit - 1)
        return Sighting(
            ticks,
            count > abi.NOTES_KEPT,
            at_limit,
            at_limit or native.limit + max(raw, default=-native.limit) >= limit,  # the limit itself was noted
            count >= self._most,
            native.tick,
        )

    # --- between the driver's call stack and the program -------------------------------------------------

    def enter(self, function: int, arguments: Sequence[Value]) -> int:
        """As `Native.enter`. The first function that is entered may be that of a frame to be followed."""
        entry, self._start = self._start, Position(-1)
        probes = self._frames.get(entry, [])
        places = self._frame_places(function, probes)
        if places:
            places = self._code.get(function, _NOTHING) | places
        return self._ended(self._native.enter(function, arguments, frozenset(places.items())), probes)

    def thaw(self, site: Site, frame: Frame, results: Sequence[Value], threw: bool) -> int:
        """As `Native.thaw`, with the probes of this frame and of its function."""
        self._start = Position(-1)
        probes = self._frames.get(frame.entry, [])
        code = self._code.get(frame.function, _NOTHING)
        if code and site.kind is not SiteKind.ENTRY:
            passed = self._straight[frame.function]
            code = {pc: predicate for pc, predicate in code.items() if pc not in passed}
        places = frozenset((code | self._frame_places(frame.function, probes)).items())
        return self._ended(self._native.thaw(site, frame, results, threw, places), probes)

    def _ended(self, status: int, probes: Sequence[FrameProbe]) -> int:
        """A frame has been run, and is gone unless it was frozen."""
        if status not in (abi.FROZEN, abi.LEFT) and any(probe.on_exit for probe in probes):
            self._native.note()
        return status

    def results(self, types: Sequence[object]) -> list[Value]:
        """As `Native.results`."""
        return self._native.results(types)  # type: ignore[arg-type]

    def frozen_frames(self) -> list[Frame]:
        """As `Native.frozen_frames`."""
        return self._native.frozen_frames()

    def watched(self) -> list[bytes]:
        """The bytes under each watch."""
        return [
            bytes(self._memories[watch.memory].view()[watch.address : watch.address + watch.length])
            for watch in self._watches
        ]

    def host_called(self, before: list[bytes], host: Host) -> None:
        """A host call was made before which the watched bytes were `before`. Raises as `Native.note`."""
        writes = host.last_writes if isinstance(host, WriteReporting) else ()
        for watch, old, new in zip(self._watches, before, self.watched(), strict=True):
            if old != new or (
                not watch.only_changes
                and any(overlaps(watch, w.memory, w.address, len(w.data)) for w in writes)
            ):
                self._native.note()

    def _frame_places(self, function: int, probes: Sequence[FrameProbe]) -> _Where:
        body = self.module.functions[function].code
        places: set[int] = set()
        for probe in probes:
            places.update(body.rests if probe.pcs is None else probe.pcs.intersection(body.rests))
            if probe.on_exit:
                places.update(i.offset for i in body.instructions if i.op in _TAIL_CALLS)
        return dict.fromkeys(places)


def _code_places(module: Module, goal: Goal) -> dict[int, _Where]:
    """By function, where code probes are that can hit at all."""
    found: dict[int, _Where] = {}
    for probe in goal.probes:
        if isinstance(probe, CodeProbe) and 0 <= probe.function < len(module.functions):
            body = module.functions[probe.function].body
            if body is not None and probe.pc in body.rests:
                found.setdefault(probe.function, {})[probe.pc] = goal.sieve.get(probe)
    for probe in goal.probes:
        if isinstance(probe, FunctionProbe):
            for function, pc in probe.places().items():
                found.setdefault(function, {})[pc] = None
    return found
