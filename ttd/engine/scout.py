"""Running at compiled speed and noting the ticks between which probes may hit.

A `Scout` arms the instrumented program with the probes of a goal (`ttd.instrument.probes` has the code
for that), stands between the driver and the program while it runs, and tells afterwards which ticks
were noted. A noted tick is a place to look at, not a hit.

May import base, `ttd.wasm`, `ttd.instrument`, `ttd.engine.protocol`, `native` and wasmtime.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ttd.engine.native import Native
from ttd.engine.protocol import CodeProbe, FrameProbe, Host, Probe, WatchProbe, WriteReporting
from ttd.instrument import abi
from ttd.instrument.probes import straight_from_entry
from ttd.instrument.sites import Site, SiteKind
from ttd.state import Frame, Memory, State
from ttd.types import Position, Value
from ttd.wasm.model import Module
from ttd.wasm.opcodes import BY_MNEMONIC

NEVER_FULL = 1 << 62
"""As the number of ticks to note: no number of them stops the run, and the last ones are kept."""

_NOTHING: frozenset[int] = frozenset()
_TAIL_CALLS = frozenset(BY_MNEMONIC[name] for name in ("return_call", "return_call_indirect"))


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a scouting run has found out.

    `ticks` are those that were noted, in order: the first ones, or (NEVER_FULL) the last; `overflowed` tells
    that there were more before. `at_limit`: the machine was frozen at the limit, and stands there.
    Otherwise it is nowhere: `is_full` if enough ticks were noted, else the run has ended, or used up the
    native stack, behind tick `last`.
    """

    ticks: list[int]
    overflowed: bool
    at_limit: bool
    is_full: bool
    last: int


def needs_probing_build(probes: Iterable[Probe]) -> bool:
    """Whether looking for `probes` takes more than following frames."""
    return any(not isinstance(probe, FrameProbe) for probe in probes)


class Scout:
    """The instrumented program, armed with probes; offers what `Native` offers to a call stack."""

    def __init__(self, native: Native, probes: Sequence[Probe], state: State, most: int) -> None:
        """Arm `native`, which has the clock and the globals of `state` already.

        The run stops when `most` ticks were noted; it is at most NOTES_KEPT, or NEVER_FULL.
        """
        self._native = native
        self.module: Module = native.module
        self._most = most
        self._start = state.position
        self._code = _code_places(self.module, probes)
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
            function: straight_from_entry(native.instrumented.plan(function).typing)
            for function in self._code
        }
        self._arm(state.memories)

    # --- arming ----------------------------------------------------------------------------------------

    def _arm(self, memories: Sequence[Memory]) -> None:
        native = self._native
        native.write(abi.NOTED_LAST, struct.pack("<qqq", -(1 << 63), 0, self._most))
        if not native.instrumented.probing:
            return
        for function, places in self._code.items():
            if places <= self._straight[function]:
                native.at_entry(function, abi.ENTRY_NOTED)
            else:
                native.put_patch(function, places)
                native.at_entry(function, abi.ENTRY_PATCHED)
        self._arm_watches(memories)

    def _arm_watches(self, memories: Sequence[Memory]) -> None:
        table, copies = bytearray(), bytearray()
        for watch in self._watches:
            place, has_copy = abi.WATCH_COPIES + len(copies), watch.only_changes
            if len(copies) + watch.length > abi.WATCH_COPIES_SIZE:
                has_copy = False
            if has_copy:
                data = bytes(memories[watch.memory].view()[watch.address : watch.address + watch.length])
                copies += data.ljust(watch.length, b"\0")
            entry = struct.pack(
                "<QQIII", watch.address, watch.length, place, watch.memory, 0 if has_copy else 1
            )
            table += entry.ljust(abi.WATCH_ENTRY, b"\0")
        self._native.write(abi.WATCHES, struct.pack("<I", len(self._watches)))
        self._native.write(abi.WATCH_TABLE, bytes(table))
        self._native.write(abi.WATCH_COPIES, bytes(copies))
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

    def sighting(self, at_limit: bool, limit: int) -> Sighting:
        """What was noted."""
        native = self._native
        (count,) = struct.unpack("<q", native.read(abi.NOTED, 8))
        data = native.read(abi.NOTES, 8 * min(count, abi.NOTES_KEPT))
        raw = list(struct.unpack(f"<{len(data) // 8}q", data))
        if count > abi.NOTES_KEPT:
            oldest = count % abi.NOTES_KEPT
            raw = raw[oldest:] + raw[:oldest]
        ticks = [native.limit + each for each in raw]
        return Sighting(
            [tick for tick in ticks if tick < limit],
            count > abi.NOTES_KEPT,
            at_limit,
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
            places |= self._code.get(function, _NOTHING)
        return self._ended(self._native.enter(function, arguments, places), probes)

    def thaw(self, site: Site, frame: Frame, results: Sequence[Value], threw: bool) -> int:
        """As `Native.thaw`, with the probes of this frame and of its function."""
        self._start = Position(-1)
        probes = self._frames.get(frame.entry, [])
        places = self._frame_places(frame.function, probes)
        code = self._code.get(frame.function, _NOTHING)
        if code and site.kind is not SiteKind.ENTRY:
            code -= self._straight[frame.function]
        return self._ended(self._native.thaw(site, frame, results, threw, places | code), probes)

    def _ended(self, status: int, probes: Sequence[FrameProbe]) -> int:
        """A frame has been run, and is gone unless it was frozen."""
        if status != abi.FROZEN and any(probe.on_exit for probe in probes):
            self._native.note()
        return status

    def results(self, types: Sequence[object]) -> list[Value]:
        """As `Native.results`."""
        return self._native.results(types)  # type: ignore[arg-type]

    def frozen_frames(self) -> list[Frame]:
        """As `Native.frozen_frames`."""
        return self._native.frozen_frames()

    def host_wrote(self, host: Host) -> None:
        """A host call was made: look at what it wrote."""
        if not self._watches:
            return
        if isinstance(host, WriteReporting):
            for write in host.last_writes:
                if write.memory < len(self.module.memories):
                    self._native.wrote(write.memory, write.address, len(write.data))
        else:
            for watch in self._watches:
                self._native.wrote(watch.memory, watch.address, watch.length)

    def _frame_places(self, function: int, probes: Sequence[FrameProbe]) -> frozenset[int]:
        body = self.module.functions[function].code
        places: set[int] = set()
        for probe in probes:
            places.update(body.rests if probe.pcs is None else probe.pcs.intersection(body.rests))
            if probe.on_exit:
                places.update(i.offset for i in body.instructions if i.op in _TAIL_CALLS)
        return frozenset(places)


def _code_places(module: Module, probes: Iterable[Probe]) -> dict[int, frozenset[int]]:
    """By function, where code probes are that can hit at all."""
    found: dict[int, set[int]] = {}
    for probe in probes:
        if isinstance(probe, CodeProbe) and 0 <= probe.function < len(module.functions):
            body = module.functions[probe.function].body
            if body is not None and probe.pc in body.rests:
                found.setdefault(probe.function, set()).add(probe.pc)
    return {function: frozenset(places) for function, places in found.items()}
