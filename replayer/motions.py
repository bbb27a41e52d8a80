"""Moving to the next stop in either direction: the goals of a motion and the user's breakpoints together.

A `Hunt` looks for the nearest position at which a probe of its own hits, an armed breakpoint is to stop,
or a given bound is reached. Which positions those are does not depend on the direction: every stop is
found by the engine running forward, and what holds at it is established there anew from the state.

The stops of a watchpoint on a variable of a frame are the writes while that frame lives, and both its
ends: the position of its entry and the first rest after it is gone.

May import base, engine, debuginfo, expr and this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ttd.debuginfo.info import DebugInfo
from ttd.engine.protocol import CodeProbe, FrameProbe, FunctionProbe, Hit, Probe
from ttd.events import HostCall
from ttd.replayer.breakpoints import Armed, Table
from ttd.replayer.conditions import Conditions
from ttd.replayer.hostcalls import host_call_here
from ttd.replayer.session import Session
from ttd.replayer.timeline import Plan, Search, Timeline
from ttd.replayer.views import BreakpointKind
from ttd.state import State
from ttd.types import EndKind, Position

MOST_KEPT = 10_000
"""How many hits of a segment a search backward keeps at most, when hits are to be ignored."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A breakpoint that stops here. `hit` for a watchpoint: the write that comes next."""

    number: int
    hit: Hit | None = None
    scope: str = ""
    """For a watchpoint at an end of its frame's life: "begins" or "ended"."""
    error: str = ""
    """Why its condition could not be evaluated."""


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a hunt came to an end, and why. The machine stands there."""

    position: Position
    own: tuple[Probe, ...] = ()
    """The hunt's own probes that hit here."""
    triggers: tuple[Trigger, ...] = ()
    reached: bool = False
    """The bound that was given is here."""
    at_end: bool = False
    """The end of the recording is here."""
    hidden: int | None = None
    """How many inlined frames are hidden here (see `ttd.debuginfo.stack`); None: nobody has decided that."""

    @property
    def is_final(self) -> bool:
        """Whether a motion that is made of several hunts is to stop here, whatever it was looking for."""
        return bool(self.triggers) or self.reached or self.at_end


@dataclass
class _Scopes:
    """During one run: where the frames that watchpoints belong to were left. By entry of the frame."""

    left: dict[Position, Position] = field(default_factory=dict)


class Hunt:
    """Hunts of one motion. Every hit of a breakpoint counts once in it, however often it is looked at."""

    def __init__(self, session: Session, timeline: Timeline, table: Table, debug: DebugInfo) -> None:
        self._session = session
        self._timeline = timeline
        self._table = table
        self._conditions = Conditions(session, debug)
        self._decided: dict[tuple[int, Position], bool] = {}

    @property
    def _active(self) -> list[Armed]:
        return self._table.active()

    @property
    def is_blind(self) -> bool:
        """Whether there is no breakpoint to heed."""
        return not self._active

    def stay(self) -> Landing:
        """The landing at the present position, as one that was aimed at."""
        return self._land(frozenset(), (), reached=True)

    # --- the two directions --------------------------------------------------------------------------

    def forward(self, probes: Sequence[Probe] = (), until: Position | None = None) -> Landing:
        """Go to the next stop behind here. May raise `session.Interrupted` somewhere on the way."""
        own = frozenset(probes)
        if self._session.position >= self._session.end:
            self._timeline.seek(self._session.position)
            return Landing(self._session.position, at_end=True)
        while True:
            here = self._session.position
            marks = [self._next_catch(), self._next_scope(here), until]
            known = [mark for mark in marks if mark is not None and mark > here]
            stop = self._timeline.forward(self._plan(own, deciding=True), min(known, default=None))
            reached = until is not None and self._session.position >= until
            landing = self._land(own, stop.hits, reached)
            if landing.own or landing.is_final:
                return landing

    def backward(
        self, probes: Sequence[Probe] = (), floor: Position | None = None, here: Position | None = None
    ) -> Landing:
        """Go to the last stop before `here` (None: the present position), at most back to `floor`.

        May raise `session.Interrupted`; the machine then stands anywhere.
        """
        own = frozenset(probes)
        end = self._session.position if here is None else here
        floor = self._session.begin if floor is None else floor
        if end <= floor:
            self._timeline.seek(end)
            return Landing(end, reached=True)
        while True:
            marks = (self._last_catch(end), self._last_scope(end), floor)
            mark = max(mark for mark in marks if mark is not None)
            landing = self._back_to(own, end, mark, floor)
            if landing.own or landing.is_final:
                return landing
            end = mark

    def _back_to(self, own: frozenset[Probe], end: Position, mark: Position, floor: Position) -> Landing:
        for hits in self._hits(own, end, mark):
            if self._is_ignored(own, hits):
                continue
            self._timeline.seek(hits[0].position)
            landing = self._land(own, hits, self._session.position <= floor)
            if landing.own or landing.is_final:
                return landing
        self._timeline.seek(mark)
        return self._land(own, self._exits_here(), mark <= floor)

    def _exits_here(self) -> tuple[Hit, ...]:
        """Exits for the present position of watched frames: who begins to look here sees none leave."""
        here, alive = self._session.position, self._living()
        probes = [armed.exit_probe() for armed in self._active]
        gone = [probe for probe in probes if probe and probe.entry < here and probe.entry not in alive]
        if not gone:
            return ()
        self._timeline.seek(self._timeline.back(1))
        before = self._living()
        self._timeline.seek(here)
        return tuple(Hit(probe, here) for probe in gone if probe.entry in before)

    def _living(self) -> set[Position]:
        return {frame.entry for frame in self._session.state.frames}

    def _hits(self, own: frozenset[Probe], end: Position, mark: Position) -> Iterable[tuple[Hit, ...]]:
        """The hits of [mark, end), last first."""
        active = self._active
        if not own and not any(armed.view.places or armed.view.length for armed in active):
            return ()
        ignored = sum(armed.view.ignore for armed in active)
        cuts = [armed.view.scope for armed in active if armed.view.scope is not None]
        here = self._session.position == end
        alive = self._living() if here else set()
        plan = self._plan(own, deciding=False, asking=any(_must_ask(armed, alive) for armed in active))
        return self._timeline.hits_before(end, plan, mark, cuts, min(1 + ignored, MOST_KEPT))

    # --- what to look for ----------------------------------------------------------------------------

    def _plan(self, own: frozenset[Probe], deciding: bool, asking: bool = True) -> Plan:
        """Look for `own` and for the armed breakpoints; `deciding`: ignore those that are to be ignored.

        `asking`: whether hits may have to be turned down. Not having to ask about each hit is what lets
        the engine look for the last one alone.
        """

        def plan(state: State) -> Search:
            alive = {frame.entry for frame in state.frames}
            armed_by_probe: dict[Probe, list[Armed]] = {}
            for armed in self._active:
                for probe in armed.probes(armed.view.scope in alive):
                    armed_by_probe.setdefault(probe, []).append(armed)
            scopes = _Scopes()

            def accept(hit: Hit) -> bool:
                if isinstance(hit.probe, FrameProbe) and not hit.probe.pcs:
                    scopes.left[hit.probe.entry] = hit.position
                if hit.probe in own:
                    return True
                concerned = armed_by_probe.get(hit.probe, ())
                return any(self._counts(armed, hit, scopes, deciding) for armed in concerned)

            probes = (*own, *(probe for probe in armed_by_probe if probe not in own))
            if not asking:
                return Search(probes)
            sieve, is_complete = self._conditions.sieve(armed_by_probe, own)
            is_scoped = any(armed.view.scope is not None for armed in self._active)
            return Search(probes, accept, sieve, unordered=is_complete and not is_scoped)

        return plan

    def _counts(self, armed: Armed, hit: Hit, scopes: _Scopes, deciding: bool) -> bool:
        """Whether a hit is to stop, as far as can be told while the engine runs."""
        if isinstance(hit.probe, FrameProbe):
            return True
        scope = armed.view.scope
        if scope is not None and scope in scopes.left and hit.position >= scopes.left[scope]:
            return False
        return self._conditions.holds(armed) and (not deciding or self._decide(armed.number, hit.position))

    def _decide(self, number: int, position: Position) -> bool:
        """Whether the hit of a breakpoint at `position` is to stop; counts it the first time."""
        key = (number, position)
        if key not in self._decided:
            self._decided[key] = self._table.decide(number)
        return self._decided[key]

    def _is_ignored(self, own: frozenset[Probe], hits: tuple[Hit, ...]) -> bool:
        """Whether nothing stops at these hits but breakpoints that are to be ignored this time."""
        if any(hit.probe in own or isinstance(hit.probe, FrameProbe) for hit in hits):
            return False
        concerned = [
            (armed, hit) for hit in hits for armed in self._active if hit.probe in set(armed.probes(True))
        ]
        if any(armed.condition is not None or not armed.view.ignore for armed, _ in concerned):
            return False
        decisions = [self._decide(armed.number, hit.position) for armed, hit in concerned]
        return not any(decisions)

    # --- what is here --------------------------------------------------------------------------------

    def _land(self, own: frozenset[Probe], hits: tuple[Hit, ...], reached: bool) -> Landing:
        position = self._session.position
        at_end = position >= self._session.end
        if at_end:
            self._timeline.seek(position)
        triggers = tuple(self._triggers(hits))
        return Landing(
            position,
            tuple(probe for probe in own if self._hits_here(probe, hits)),
            triggers,
            reached=reached,
            at_end=at_end,
            hidden=self._hidden(triggers),
        )

    def _hidden(self, triggers: Sequence[Trigger]) -> int | None:
        """What is hidden at the places of the code breakpoints that stop here: the innermost counts."""
        frames = self._session.top.frames
        if not frames:
            return None
        places = (self._table.get(trigger.number).place_at(frames[-1].pc) for trigger in triggers)
        return min((place.hidden for place in places if place is not None), default=None)

    def _hits_here(self, probe: Probe, hits: tuple[Hit, ...]) -> bool:
        frames = self._session.state.frames
        if frames and isinstance(probe, CodeProbe):
            return probe == CodeProbe(frames[-1].function, frames[-1].pc)
        if frames and isinstance(probe, FunctionProbe):
            return probe.place(frames[-1].function) == frames[-1].pc
        if isinstance(probe, FrameProbe):
            inside = bool(frames) and frames[-1].entry == probe.entry
            if inside and (probe.pcs is None or frames[-1].pc in probe.pcs):
                return True
        return any(hit.probe == probe and hit.position == self._session.position for hit in hits)

    def _triggers(self, hits: tuple[Hit, ...]) -> list[Trigger]:
        """All breakpoints that stop at the present position."""
        position = self._session.position
        exits = {hit.probe for hit in hits if hit.position == position and isinstance(hit.probe, FrameProbe)}
        self._conditions.errors.clear()
        writes = self._writes()
        found = []
        for armed in self._active:
            if armed.view.scope == position:
                found.append(Trigger(armed.number, scope="begins"))
            elif armed.exit_probe() in exits:
                found.append(Trigger(armed.number, scope="ended"))
            hit = writes.get(armed.number)
            if (hit is not None or self._is_here(armed)) and self._decide(armed.number, position):
                found.append(Trigger(armed.number, hit, error=self._conditions.errors.get(armed.number, "")))
        return found

    def _is_here(self, armed: Armed) -> bool:
        """Whether a code breakpoint or a catchpoint is at the present position, and its condition holds."""
        frames = self._session.state.frames
        if armed.view.kind is BreakpointKind.CODE:
            here = frames and CodeProbe(frames[-1].function, frames[-1].pc) in armed.code_probes()
            return bool(here) and self._conditions.holds(armed)
        if armed.view.kind is BreakpointKind.CATCH:
            return self._is_caught(armed) and self._conditions.holds(armed)
        return False

    def _is_caught(self, armed: Armed) -> bool:
        if armed.view.traps:
            ending = self._session.ending
            return ending.kind is EndKind.TRAP and self._session.position >= self._session.end
        call = self.call_here()
        return call is not None and call.function in armed.view.calls

    def _writes(self) -> dict[int, Hit]:
        """The watchpoints whose bytes the next instruction writes, by number."""
        alive = self._living()
        probes: dict[Probe, list[Armed]] = {}
        for armed in self._active:
            probe = armed.watch_probe()
            if probe is not None and (armed.view.scope is None or armed.view.scope in alive):
                probes.setdefault(probe, []).append(armed)
        found: dict[int, Hit] = {}

        def accept(hit: Hit) -> bool:
            found.update({armed.number: hit for armed in probes[hit.probe] if self._conditions.holds(armed)})
            return True

        self._timeline.writes_here(Search(tuple(probes), accept))
        return found

    def call_here(self) -> HostCall | None:
        """The host call whose call instruction comes next, if the machine stands at one."""
        session = self._session
        return host_call_here(session.module, session.state, session.trace)

    # --- stops that are known beforehand -------------------------------------------------------------

    def _next_catch(self) -> Position | None:
        calls = self._caught_calls()
        if not calls:
            return None
        standing = self.call_here()
        first = self._session.state.next_event if standing is None else standing.number + 1
        for call in self._session.trace.events(first):
            if call.function in calls:
                return self._timeline.event_position(call.number)
        return None

    def _last_catch(self, here: Position) -> Position | None:
        calls = self._caught_calls()
        if not calls:
            return None
        trace = self._session.trace
        for number in range(self._timeline.events_before(here) - 1, -1, -1):
            if trace.event(number).function in calls:
                return self._timeline.event_position(number)
        return None

    def _caught_calls(self) -> set[int]:
        return {function for armed in self._active for function in armed.view.calls}

    def _next_scope(self, here: Position) -> Position | None:
        return min((entry for entry in self._scopes() if entry > here), default=None)

    def _last_scope(self, here: Position) -> Position | None:
        return max((entry for entry in self._scopes() if entry < here), default=None)

    def _scopes(self) -> list[Position]:
        return [armed.view.scope for armed in self._active if armed.view.scope is not None]


def _must_ask(armed: Armed, alive: set[Position]) -> bool:
    """Whether hits of a breakpoint before a moment when the frames `alive` live need not all count."""
    return armed.condition is not None or (armed.view.scope is not None and armed.view.scope not in alive)
