"""The history of a value: every change of what a place holds, newest first, and the last one of them.

A search goes back in strides. Each finds the last change before here, however far away that is, at compiled
speed; then all changes in a window of ticks up to it, wider or narrower by how many there were in the last.
So the newest come at once, and changes in their millions neither fill memory nor are waited for.

**Memory** is watched. What is a variable's own storage in a frame (its stack slot) is so since the frame was
entered. **Registers**, locals and operands of one frame, change by instructions of that frame alone; where
the debug information says that the variable was elsewhere after a write, its history ends there. The first
value of a parameter comes with the call. **Globals** change by global.set, anywhere.

May import base, wasm, engine, debuginfo, expr and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from ttd.debuginfo import DebugInfo
from ttd.engine.protocol import CodeProbe, FrameProbe, Hit, Probe, WatchProbe
from ttd.events import HostCall
from ttd.expr import StateContext
from ttd.replayer.hostcalls import host_call_here
from ttd.replayer.initial import initial_contents
from ttd.replayer.motions import Hunt, Landing
from ttd.replayer.past import Past
from ttd.replayer.places import InGlobal, InMemory, InRegister, Place
from ttd.replayer.session import Session, just_after
from ttd.replayer.timeline import Search, Timeline
from ttd.replayer.views import Change
from ttd.types import Location, Position, Value
from ttd.wasm.typing import land

NARROWEST, WIDEST = 64, 1 << 16
"""Ticks of a window: at first, and at most."""

FEW, MANY = 256, 2048
"""Changes in a window that make the next one four times as wide, or a quarter as wide."""

KEPT = 100_000
"""Positions of a window that are kept at a time."""

T = TypeVar("T")
Found = Generator[Change, None, str]


class Histories:
    """Histories of places in the past of a session.

    Changes are generated newest first; what is returned says how it was before the first. The machine stands
    where it stood whenever a change is handed out. Everything may raise `session.Interrupted`.
    """

    def __init__(self, session: Session, timeline: Timeline, past: Past, debug: DebugInfo) -> None:
        self._session = session
        self._timeline = timeline
        self._past = past
        self._debug = debug
        self._sources: dict[int, tuple[str, Location | None]] = {}

    def changes(self, place: Place, every_write: bool = False) -> Found:
        """The changes of `place` before here; with `every_write` also writes of what was there already."""
        storage = place.storage
        if isinstance(storage, InMemory):
            return self._memory(place, storage, every_write)
        if isinstance(storage, InGlobal):
            return self._global(place, storage, every_write)
        if storage.register < self._past.registers(storage.function).first_operand:
            return self._local(place, storage, every_write)
        return self._operand(place, storage)

    # --- memory and globals --------------------------------------------------------------------------

    def _memory(self, place: Place, storage: InMemory, every_write: bool) -> Found:
        probe = WatchProbe(storage.memory, storage.address, storage.length, not every_write)

        def change(hit: Hit) -> Change | None:
            if not every_write and place.bits(hit.old) == place.bits(hit.new):
                return None
            return self._change(place, hit.position, hit.old, hit.new)

        first = yield from self._told([probe], place.life, change)
        if place.life is not None:
            return f"Before that the frame of {place.text} had not been entered: that was at {place.life}."
        value = first.old if first is not None else self._shown_now(place, storage)
        origin = initial_contents(self._session.module, storage)
        return f"{place.text} was {value} since the beginning: {origin}."

    def _shown_now(self, place: Place, storage: InMemory) -> str:
        view = self._session.state.memories[storage.memory].view()
        data = bytes(view[storage.address : storage.address + storage.length])
        return _show(place, data, self._context)

    def _global(self, place: Place, storage: InGlobal, every_write: bool) -> Found:
        def change(hit: Hit) -> Change | None:
            state = self._session.top
            old = _bytes_of(state.globals[storage.index], storage)
            new = _bytes_of(state.frames[-1].operands[-1], storage)
            return self._change(place, hit.position, old, new) if every_write or old != new else None

        probes = [CodeProbe(*each) for each in self._past.global_setters(storage.index)]
        yield from self._told(probes, None, change)
        return f"Before that {place.text} had the value with which the module declares it."

    def _told(
        self, probes: Sequence[Probe], floor: Position | None, change: Callable[[Hit], Change | None]
    ) -> Generator[Change, None, Change | None]:
        """The changes at hits; the first one in time is returned."""
        first = None
        for first in self._strides(probes, floor or self._session.begin, change):
            yield first
        return first

    # --- locals and operands -------------------------------------------------------------------------

    def _local(self, place: Place, storage: InRegister, every_write: bool) -> Found:
        """At a hit is known what is set; what was there before, only when the hit before that is found."""

        def written(hit: Hit) -> tuple[bytes | None, Change]:
            new = _bytes_of(self._session.top.frames[-1].operands[-1], storage)
            return new, self._change(place, hit.position, None, new)

        probe = FrameProbe(storage.entry, self._past.registers(storage.function).writers(storage.register))
        later: tuple[bytes | None, Change] | None = None
        for data, change in self._strides([probe], storage.entry, written):
            if later is not None and not self._is_there(place, storage, change.pc):
                yield later[1]
                return f"Before that {place.text} was not in this register (local {storage.register})."
            if later is not None and (every_write or later[0] != data):
                yield replace(later[1], old=change.new)
            later = data, change
        return (yield from self._first_value(place, storage, later, every_write))

    def _first_value(
        self, place: Place, storage: InRegister, later: tuple[bytes | None, Change] | None, every_write: bool
    ) -> Found:
        """The change from what the local was when the frame was entered, and the call that passed that."""
        function = self._session.module.functions[storage.function]
        is_argument = storage.register < len(function.type.params)
        if place.variable is not None and not is_argument:
            if later is not None:
                yield later[1]
            return f"Before that {place.text} had no value: its frame was entered at {storage.entry}."
        with self._past.staying():
            call = self._past.call_of(storage.entry, storage.function) if is_argument else None
            if call is not None:
                register = self._past.argument(call, storage.function, storage.register)
                initial = call.frame.operands[register]
            else:
                initial = self._past.at(storage.entry).frame.locals[storage.register]
            data = _bytes_of(initial, storage)
            value = _show(place, data, self._context)
        if later is not None and (every_write or later[0] != data):
            yield replace(later[1], old=value)
        if call is None:
            return f"{place.text} was {value} when its frame was entered, at {storage.entry}."
        yield self._change_at(call.position, call.frame.pc, None, value, is_argument=True)
        return f"Before that the frame of {place.text} had not been entered."

    def _is_there(self, place: Place, storage: InRegister, pc: int) -> bool:
        """Whether debug information says that what `pc` puts into the local is the variable's value."""
        if place.variable is None:
            return True
        following = land(self._session.module.functions[storage.function], pc + 1)
        return following is not None and place.variable.wasm_place(following) == (0, storage.register)

    def _operand(self, place: Place, storage: InRegister) -> Found:
        """An operand is pushed, and never changes."""
        with self._past.staying():
            writers = self._past.registers(storage.function).writers(storage.register)
            moment = self._past.last_in_frame(storage.entry, writers, self._session.position)
        if moment is not None and place.shape is not None:
            value = place.show(place.shape.data, self._context)
            yield self._change_at(moment.position, moment.frame.pc, None, value)
        return f"Before that {place.text} was not on the operand stack."

    # --- searching -----------------------------------------------------------------------------------

    def _strides(
        self, probes: Sequence[Probe], floor: Position, make: Callable[[Hit], T | None]
    ) -> Iterator[T]:
        """What `make` makes of the hits in [floor, here), last first; None for what does not count."""
        end, window = self._session.position, NARROWEST
        while end > floor:
            self._session.obey_interrupt()
            with self._past.staying():
                last = self._past.last_hit(probes, end, floor)
                if last is None:
                    return
                start = max(floor, Position(max(last.tick - window, 0)))
                found = list(self._all_between(probes, start, just_after(last), make))
            yield from found
            end = start
            if len(found) < FEW:
                window = min(window * 4, WIDEST)
            elif len(found) > MANY:
                window = max(window // 4, 1)

    def _all_between(
        self, probes: Sequence[Probe], start: Position, end: Position, make: Callable[[Hit], T | None]
    ) -> Iterator[T]:
        made: dict[Position, T] = {}

        def accept(hit: Hit) -> bool:
            thing = make(hit)
            if thing is not None:
                made[hit.position] = thing
            return thing is not None

        search = Search(tuple(probes), accept)
        for hits in self._timeline.hits_before(end, lambda state: search, start, keep=KEPT):
            yield made[hits[0].position]

    # --- telling -------------------------------------------------------------------------------------

    @property
    def _context(self) -> StateContext:
        return StateContext(self._session.top, self._debug)

    def _change(self, place: Place, position: Position, old: bytes | None, new: bytes | None) -> Change:
        """A change by the instruction that is under way; `old` None: not known yet."""
        state = self._session.top
        call = host_call_here(self._session.module, state, self._session.trace)
        context = StateContext(state, self._debug)
        shown = None if old is None else _show(place, old, context)
        return self._change_at(position, state.frames[-1].pc, shown, _show(place, new, context), call)

    def _change_at(
        self,
        position: Position,
        pc: int,
        old: str | None,
        new: str,
        call: HostCall | None = None,
        is_argument: bool = False,
    ) -> Change:
        if pc not in self._sources:
            frames = self._debug.source_frames(pc)
            self._sources[pc] = (frames[0].name, frames[0].location) if frames else ("<unknown>", None)
        function, location = self._sources[pc]
        return Change(position, function, location, pc, old, new, call, is_argument)


def _show(place: Place, data: bytes | None, context: StateContext) -> str:
    return "<optimized out>" if data is None else place.show(data, context)


def _bytes_of(value: Value, storage: InRegister | InGlobal) -> bytes | None:
    """The bytes of a WebAssembly value that a place is made of; None where the value was not kept."""
    if not isinstance(value, int):
        return None
    return value.to_bytes(16, "little")[storage.offset : storage.offset + storage.length]


class LastWrite:
    """The motion to the write that made a value what it is. `message` tells about it afterwards."""

    def __init__(self, histories: Histories, timeline: Timeline, place: Place, every_write: bool) -> None:
        self._histories = histories
        self._timeline = timeline
        self._place = place
        self._every_write = every_write
        self.message = ""

    def run(self, hunt: Hunt) -> Landing:
        """Go there; stay here if there is none. May raise `session.Interrupted`."""
        found = self._histories.changes(self._place, self._every_write)
        try:
            change = next(found)
        except StopIteration as stop:
            self.message = stop.value
            return hunt.stay()
        self.message = _told(self._place.text, change)
        self._timeline.seek(change.position)
        return hunt.stay()


def _told(text: str, change: Change) -> str:
    what = "passed as an argument here" if change.is_argument else "written here"
    by = f", by host call {change.call.number}" if change.call is not None else ""
    old = [f"Old value = {change.old}"] if change.old is not None else []
    return "\n".join([f"{text} was {what}{by}:", "", *old, f"New value = {change.new}"])
