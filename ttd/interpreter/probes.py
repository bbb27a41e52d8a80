"""Probes of the goal under way: patched into the code, looked at when it gets there, collected as hits.

An instruction at which something may have to be reported has its operation replaced by one that does
nothing but call for the machine (the PROBE transfer of `code`); the machine asks `Watcher` and then
performs the instruction's own operation. Code without probes runs at full speed.

May import base, `ttd.engine.protocol` and `code`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ttd.engine.protocol import CodeProbe, FrameProbe, FunctionProbe, Goal, Hit, Probe, WatchProbe
from ttd.interpreter.code import PROBE, Activation, Code, Op, Registers, WriteRange
from ttd.state import Memory
from ttd.types import Position


class Watcher:
    """What one goal looks for, and what was found.

    `hits` are the hits that count: of the first position that had any, or of the last in remember mode.
    `due` says that the machine has to stop at the next rest to ask `arrive`.
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.hits: list[Hit] = []
        self.due = False
        self.watches = tuple(probe for probe in goal.probes if isinstance(probe, WatchProbe))
        self._functions = tuple(probe for probe in goal.probes if isinstance(probe, FunctionProbe))
        self._code: dict[tuple[int, int], list[CodeProbe]] = {}
        self._frames: dict[tuple[int, int], list[FrameProbe]] = {}
        self._places: dict[int, set[int]] = {}  # offsets with code probes, by function
        self._exits: list[FrameProbe] = []
        for probe in goal.probes:
            if isinstance(probe, CodeProbe):
                self._code.setdefault((probe.function, probe.pc), []).append(probe)
                self._places.setdefault(probe.function, set()).add(probe.pc)
            elif isinstance(probe, FrameProbe):
                self._frames.setdefault((probe.entry.tick, probe.entry.step), []).append(probe)

    # --- patching ------------------------------------------------------------------------------------

    def patch(self, code: Code) -> None:
        """Make `code.active` have the probes of its function, and of all that writes if there are watches."""
        indices: set[int] = set()
        function = code.function.index
        for pc in (*self._places.get(function, ()), *(probe.place(function) for probe in self._functions)):
            index = code.indices.get(pc) if pc is not None else None
            if index is not None and _is_instruction(code, index):
                indices.add(index)
        code.active = _patched(code.ops, indices) if indices or self.watches else code.ops
        if self.watches:
            for index, range_ in code.writers.items():
                if index not in indices:
                    code.active[index] = self._watching(index, code.ops[index], range_)

    def patch_frame(self, activation: Activation) -> None:
        """Make `activation` run the code that is active for it: with the probes for itself alone, if any."""
        code = activation.code
        activation.ops = code.active
        probes = self._frames.get((activation.tick, activation.step))
        if not probes:
            return
        indices: set[int] = set()
        for probe in probes:
            places = range(len(code.ops)) if probe.pcs is None else map(code.indices.get, probe.pcs)
            indices.update(index for index in places if index is not None and _is_instruction(code, index))
        activation.ops = _patched(code.active, indices)

    def _watching(self, index: int, op: Op, range_: WriteRange) -> Op:
        """`op`, which writes to memory, with the transfer to a probe instead if what it writes is watched."""
        transfer = ~(PROBE | index)
        spans = tuple((watch.memory, watch.address, watch.address + watch.length) for watch in self.watches)

        def watching(r: Registers) -> int:
            memory, start, length = range_(r)
            for watched, low, high in spans:
                if start < high and low < start + length and memory == watched:
                    return transfer
            return op(r)

        return watching

    @property
    def follows_frames(self) -> bool:
        """Whether the machine has to tell of frames that come and go."""
        return bool(self._frames)

    # --- hits ----------------------------------------------------------------------------------------

    def left(self, activation: Activation) -> None:
        """`activation` is gone from the stack."""
        for probe in self._frames.get((activation.tick, activation.step), ()):
            if probe.on_exit:
                self._exits.append(probe)
                self.due = True

    @property
    def pending_exits(self) -> tuple[FrameProbe, ...]:
        """Probes whose frames have left since the last rest that was looked at."""
        return tuple(self._exits)

    def arrive(self, position: Position) -> bool:
        """The machine rests at `position`: whether frames left since the last rest make hits that count."""
        exits, self._exits, self.due = self._exits, [], False
        return self.offer(Hit(probe, position) for probe in exits)

    def pass_by(self, activation: Activation, index: int, position: Position) -> bool:
        """The machine is about to execute entry `index`: whether there are hits that count."""
        code = activation.code
        offset = code.offsets[index]
        function = code.function.index
        probes: list[Probe] = list(self._code.get((function, offset), ()))
        probes += [probe for probe in self._functions if probe.place(function) == offset]
        for probe in self._frames.get((activation.tick, activation.step), ()):
            if probe.pcs is None or offset in probe.pcs:
                probes.append(probe)
        return self.offer(Hit(probe, position) for probe in probes)

    def offer(self, hits: Iterable[Hit]) -> bool:
        """Take those hits that count; whether there were any."""
        after, accept = self.goal.after, self.goal.accept
        counted = [
            hit for hit in hits if (after is None or hit.position > after) and (accept is None or accept(hit))
        ]
        if counted and self.hits and self.hits[0].position != counted[0].position:
            self.hits.clear()
        self.hits += counted
        return bool(counted)

    # --- watching memory -----------------------------------------------------------------------------

    def watched(self, memories: Sequence[Memory]) -> list[bytes]:
        """The bytes under each watch."""
        return [
            bytes(memories[watch.memory].view()[watch.address : watch.address + watch.length])
            for watch in self.watches
        ]

    def compare(
        self,
        before: list[bytes],
        memories: Sequence[Memory],
        written: Callable[[WatchProbe], bool],
        position: Position,
    ) -> list[Hit]:
        """The watch hits of an instruction at `position` before which the bytes were `before`.

        `written` tells of a watch whether the instruction wrote to its bytes.
        """
        return [
            Hit(watch, position, old, new)
            for watch, old, new in zip(self.watches, before, self.watched(memories), strict=True)
            if old != new or (not watch.only_changes and written(watch))
        ]


def overlaps(watch: WatchProbe, memory: int, address: int, length: int) -> bool:
    """Whether a write of `length` bytes at `address` of `memory` touches what `watch` watches."""
    return (
        length > 0
        and memory == watch.memory
        and address < watch.address + watch.length
        and watch.address < address + length
    )


def _is_instruction(code: Code, index: int) -> bool:
    return index != code.end and index not in code.loops


def _patched(ops: list[Op], indices: Iterable[int]) -> list[Op]:
    copy = list(ops)
    for index in indices:
        copy[index] = _probe(index)
    return copy


def _probe(index: int) -> Op:
    transfer = ~(PROBE | index)
    return lambda r: transfer
