"""Who did it: the last instruction before a moment that wrote to a register, a global or memory.

The tick at hand is walked through by single steps, once, and kept, with the innermost frame at each rest:
most of what a register holds was put there in the same tick. What lies farther back is searched for at
compiled speed.

May import base, wasm, engine and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ttd.engine.protocol import CodeProbe, FrameProbe, Probe, WatchProbe
from ttd.errors import unreachable
from ttd.replayer.hostcalls import callee, instruction_at
from ttd.replayer.registers import Registers
from ttd.replayer.session import Session, just_after
from ttd.replayer.timeline import Search, Timeline
from ttd.state import Frame
from ttd.types import Position
from ttd.wasm.model import Instruction
from ttd.wasm.opcodes import BY_MNEMONIC

TICKS_KEPT = 64
"""How many ticks are remembered, rest by rest."""

_LAST_STEP = 1 << 62

_GLOBAL_SET = BY_MNEMONIC["global.set"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A rest of the past, and its innermost frame: what comes next is the instruction at `frame.pc`."""

    position: Position
    frame: Frame


@dataclass(slots=True)
class _Tick:
    """The rests of a tick before `end`."""

    moments: list[Moment]
    end: Position


class Past:
    """Looks for writers in the past of a session. Moves the machine about; `staying` brings it back.

    Everything here may raise `session.Interrupted`.
    """

    def __init__(self, session: Session, timeline: Timeline) -> None:
        self._session = session
        self._timeline = timeline
        self._ticks: dict[int, _Tick] = {}
        self._registers: dict[int, Registers] = {}
        self._setters: dict[int, frozenset[tuple[int, int]]] = {}

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Whatever is done inside, the machine stands where it stood afterwards."""
        here = self._session.position
        try:
            yield
        finally:
            self._timeline.seek(here)

    def registers(self, function: int) -> Registers:
        """The registers of a function that has a body."""
        if function not in self._registers:
            module = self._session.module
            self._registers[function] = Registers(module, module.functions[function])
        return self._registers[function]

    # --- moments -------------------------------------------------------------------------------------

    def at(self, position: Position) -> Moment:
        """The rest at `position`, which there must be, before the end of the run."""
        return self._moments(just_after(position))[-1]

    def instruction(self, moment: Moment) -> Instruction:
        """What comes next at a moment; that there is one is the caller's affair (loops tick before it)."""
        found = instruction_at(self._session.module, moment.frame.function, moment.frame.pc)
        return found or unreachable("a frame that stands between instructions")

    def before(self, position: Position) -> Moment | None:
        """The last rest before `position`, a rest itself; None at the begin of the run."""
        if position <= self._session.begin:
            return None
        if position.step:
            return self._moments(position)[-1]
        return self._moments(Position(position.tick - 1, _LAST_STEP))[-1]

    def _moments(self, end: Position) -> list[Moment]:
        """The rests in the tick of `end` that lie before it."""
        known = self._ticks.get(end.tick)
        if known is None or known.end < end:
            if known is None and len(self._ticks) >= TICKS_KEPT:
                del self._ticks[next(iter(self._ticks))]
            known = self._ticks[end.tick] = _Tick(list(self._walk(end)), end)
        return [moment for moment in known.moments if moment.position < end]

    def _walk(self, end: Position) -> Iterator[Moment]:
        session = self._session
        self._timeline.seek(max(Position(end.tick), session.begin))
        while session.position < end and session.position < session.end and session.position.tick <= end.tick:
            yield Moment(session.position, session.top.frames[-1])
            session.step()
            if not session.position.step & 0xFFF:
                session.obey_interrupt()

    # --- writers -------------------------------------------------------------------------------------

    def last_in_frame(self, entry: Position, pcs: frozenset[int], before: Position) -> Moment | None:
        """When the frame entered at `entry` was last about to execute one of the instructions `pcs`."""

        def is_wanted(moment: Moment) -> bool:
            return moment.frame.entry == entry and moment.frame.pc in pcs

        return self._last(is_wanted, [FrameProbe(entry, pcs)], before, entry) if pcs else None

    def last_in_code(self, places: Iterable[tuple[int, int]], before: Position) -> Moment | None:
        """When one of `places`, functions and offsets, was last about to be executed, in any frame."""
        wanted = set(places)

        def is_wanted(moment: Moment) -> bool:
            return (moment.frame.function, moment.frame.pc) in wanted

        probes = [CodeProbe(*place) for place in wanted]
        return self._last(is_wanted, probes, before, self._session.begin) if wanted else None

    def _last(
        self, is_wanted: Callable[[Moment], bool], probes: Sequence[Probe], before: Position, floor: Position
    ) -> Moment | None:
        near = next(filter(is_wanted, reversed(self._moments(before))), None)
        if near is not None:
            return near
        found = self.last_hit(probes, Position(before.tick), floor)
        return self.at(found) if found is not None else None

    def last_write(self, memory: int, address: int, length: int, before: Position) -> Moment | None:
        """When some of the bytes were last about to be written, changed or not."""
        probe = WatchProbe(memory, address, length, only_changes=False)
        found = self.last_hit([probe], before, self._session.begin)
        return self.at(found) if found is not None else None

    def last_hit(self, probes: Sequence[Probe], end: Position, floor: Position) -> Position | None:
        """The last position in [floor, end) at which one of `probes` hits."""
        search = Search(tuple(probes))
        hits = next(iter(self._timeline.hits_before(end, lambda state: search, floor)), ())
        return hits[0].position if hits else None

    def global_setters(self, index: int) -> frozenset[tuple[int, int]]:
        """Where the module sets a global: functions and offsets."""
        if index not in self._setters:
            self._setters[index] = frozenset(
                (function.index, instruction.offset)
                for function in self._session.module.functions
                if function.body is not None
                for instruction in function.body.instructions
                if instruction.op is _GLOBAL_SET and instruction.immediates == (index,)
            )
        return self._setters[index]

    # --- calls ---------------------------------------------------------------------------------------

    def call_of(self, entry: Position, function: int) -> Moment | None:
        """The call by which a frame of `function` was entered at `entry`; None if it came from outside."""
        moment = self.before(entry)
        if moment is None:
            return None
        self._timeline.seek(moment.position)
        return moment if callee(self._session.module, self._session.state) == function else None

    def argument(self, call: Moment, function: int, index: int) -> int:
        """Which operand of the caller is argument number `index` at the call `call` of `function`."""
        indirect = "indirect" in self.instruction(call).op.mnemonic
        count = len(self._session.module.functions[function].type.params)
        return len(call.frame.operands) - count - indirect + index

    def has_thrown(self, moment: Moment, before: Position) -> bool:
        """Whether the throw or call at `moment` led to a handler in its frame, which lived on to `before`."""
        if self._throws(moment):
            return True
        entry = moment.frame.entry
        search = Search((FrameProbe(entry, None),))
        self._timeline.seek(moment.position)
        self._timeline.forward(lambda state: search, before)
        last = self.before(self._session.position)
        while last is not None and last.frame.entry == entry and last.position > moment.position:
            last = self.before(last.position)  # the handler is a loop, which ticks first
        return last is not None and self._throws(last)

    def _throws(self, moment: Moment) -> bool:
        return self.instruction(moment).op.mnemonic in ("throw", "throw_ref")

    def callee_of(self, call: Moment, before: Position) -> tuple[Position, int, Position] | None:
        """(entry, function, exit) of the frame that returned to `call`, which it did before `before`.

        Of tail calls the last one. None if an import was called.
        """
        session = self._session
        self._timeline.seek(call.position)
        depth = len(session.state.frames)
        session.step()
        frames = session.state.frames
        while len(frames) > depth:
            entry, function = frames[depth].entry, frames[depth].function
            search = Search((FrameProbe(entry, frozenset(), on_exit=True),))
            self._timeline.forward(lambda state, search=search: search, before)  # type: ignore[misc]
            frames = session.state.frames
            if len(frames) <= depth or frames[depth].entry == entry:
                return entry, function, session.position
        return None
