"""Motions by source lines and by frames: step, next, until, advance, finish, and each toward the past.

**Stops of `step`.** Let L be all stops at the start of a line (`linestops`) in any frame. Going forward, a
step stops at the next of L; where a line goes on in a frame of the source that one was not in last; or where
the frame that it began in has returned to a function with line information: in the middle of the caller's
line, as gdb does. Functions without line information are run through, both when called and when returned
to. These stops depend on the run alone, not on where a step began, so long as it began at one of them;
call them U.

A stop is a position and how many inlined frames are hidden there: going into an inlined function, or back
out of it to its call, executes nothing.

**Reverse step** goes to the last of U before here. It finds A, the last of L before here, and from there
does forward steps as long as they stay before here: their stops between A and here are the rest of U.
So a reverse step undoes a step exactly. A is found in two searches, because a line start may belong to
the frame here, to its callers, or to a callee that has returned: first A0, the last line start of the
nearest frame on the stack with line information; then B, the last entry into any other function with line
information between A0 and here. The frames on the stack at B are the only ones that can have passed line
starts since. A0 may be far away where B is near, and is then not needed.

**Next** looks at the lines of one frame of the source, and for where it is left. **Reverse next** goes
to the last line start of that frame, or from its first line to the line of the call in its caller.

**An inlined frame** has no entry and exit of its own that the engines know. It is left where its WebAssembly
frame comes to a place outside of the inlined code, or is left itself.

May import base, engine, debuginfo and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ttd.debuginfo.stack import LiveFrame
from ttd.engine.protocol import FrameProbe, Hit, Probe
from ttd.replayer.lines import Lines
from ttd.replayer.linestops import LineStop, Places, SourceLine
from ttd.replayer.motions import Hunt, Landing
from ttd.replayer.session import Session, just_after
from ttd.replayer.timeline import APPROACH, Search, Timeline
from ttd.state import Frame
from ttd.types import Position

NOWHERE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the user stands: a position, and how many inlined frames are hidden there."""

    position: Position
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class _Standing:
    """A WebAssembly frame with lines, as it was when a motion began: frames change as the machine moves."""

    entry: Position
    function: int
    pc: int
    lines: tuple[SourceLine, ...]
    """The line of each frame of the source in it, innermost first."""


class Stepper:
    """The motions, each by a `Hunt` that brings in the user's breakpoints.

    All of them leave the machine at the landing that they return, and may raise `session.Interrupted`.
    `hidden` is how many inlined frames are hidden where a motion begins.
    """

    def __init__(self, session: Session, timeline: Timeline, lines: Lines, blind: Hunt) -> None:
        """`blind` is a hunt without breakpoints: for finding places that the user does not see."""
        self._session = session
        self._timeline = timeline
        self._lines = lines
        self._blind = blind

    # --- instructions --------------------------------------------------------------------------------

    def stepi(self, hunt: Hunt, count: int) -> Landing:
        """`count` rests on."""
        here = self._session.position
        if count == 1:
            return hunt.forward((), just_after(here))
        target = self._timeline.on(count)
        if hunt.is_blind:
            return hunt.stay()
        self._timeline.seek(here)
        return hunt.forward((), target)

    def reverse_stepi(self, hunt: Hunt, count: int) -> Landing:
        """`count` rests back."""
        here = self._session.position
        return hunt.backward((), self._timeline.back(count), here)

    def nexti(self, hunt: Hunt) -> Landing:
        """One rest on; over what is called there."""
        return self._over_calls(hunt, lambda: self.stepi(hunt, 1), self._finish_code)

    def reverse_nexti(self, hunt: Hunt) -> Landing:
        """One rest back; over what was called there."""
        return self._over_calls(hunt, lambda: self.reverse_stepi(hunt, 1), self._reverse_finish_code)

    def _over_calls(
        self, hunt: Hunt, one: Callable[[], Landing], leave: Callable[[Hunt, Position], Landing]
    ) -> Landing:
        frame, landing = self._innermost(), one()
        while frame is not None and not landing.triggers and not landing.at_end:
            top = self._innermost()
            if top is None or top.entry == frame.entry or not self._is_alive(frame.entry):
                break
            landing = leave(hunt, top.entry)
        return landing

    # --- forward -------------------------------------------------------------------------------------

    def step(self, hunt: Hunt, hidden: int, until: Position | None = None) -> Landing:
        """To the next stop of `step`; at most to `until`."""
        frame = self._innermost()
        last = self._line(hidden)
        inner = self._stops_here(last, below=hidden)
        if inner:
            return self._stay(inner[0])
        while frame is not None:
            own = self._places(frame).after(last)
            entries = self._lines.entries_below(frame.function)
            landing = hunt.forward([FrameProbe(frame.entry, own, on_exit=True), entries], until)
            if landing.is_final or self._is_alive(frame.entry):
                return self._shown(landing, frame.entry, last)
            top = self._innermost()
            if top is not None and self._is_line_of_interest(top, landing):
                return self._shown(landing, frame.entry, None)
            frame, last = top, None
        return hunt.forward((), until)

    def next(self, hunt: Hunt, hidden: int) -> Landing:
        """To the next line of the innermost frame, or back in its caller.

        Where no frame has line information there is no line to stay in, and this is `step`.
        """
        frame, last = self._innermost(), self._line(hidden)
        if frame is None or not self._frames_with_lines():
            return self.step(hunt, hidden)
        places = self._places(frame).over_calls(last) if last is not None else {}
        probe = FrameProbe(frame.entry, frozenset(places), on_exit=True)
        while True:
            landing = hunt.forward([probe])
            if landing.is_final or self._is_alive(probe.entry):
                return self._hiding(landing, places)
            top = self._innermost()
            if top is None:
                return hunt.forward()
            is_callee = self._is_new(landing) and len(self._session.state.frames) > 1
            if not is_callee and self._is_line_of_interest(top, landing):
                return self._shown(landing, probe.entry, None)
            places = {} if is_callee else self._places(top).arrivals
            probe = FrameProbe(top.entry, frozenset(places), on_exit=True)

    def until(self, hunt: Hunt, hidden: int) -> Landing:
        """As `next`, but not to an earlier place of the function."""
        frame, last = self._innermost(), self._line(hidden)
        if frame is None or last is None or not self._lines.has(frame.function):
            return self.next(hunt, hidden)
        places = self._places(frame)
        later = {pc: shown for pc, shown in places.over_calls(last).items() if pc > frame.pc}
        later |= places.outside(last.scope)
        landing = hunt.forward([FrameProbe(frame.entry, frozenset(later), on_exit=True)])
        top = self._innermost()
        if landing.is_final or self._is_alive(frame.entry) or top is None:
            return self._hiding(landing, later)
        if self._is_line_of_interest(top, landing):
            return self._shown(landing, frame.entry, None)
        return self.step(hunt, 0)

    def finish(self, hunt: Hunt, frame: LiveFrame) -> Landing:
        """Until `frame` is gone."""
        return self.advance(hunt, {}, frame)

    def _finish_code(self, hunt: Hunt, entry: Position) -> Landing:
        """Until the WebAssembly frame entered at `entry` is gone."""
        return hunt.forward([FrameProbe(entry, NOWHERE, on_exit=True)])

    def advance(self, hunt: Hunt, probes: Mapping[Probe, int], frame: LiveFrame) -> Landing:
        """Until one of `probes` hits (what is then hidden is their value) or `frame` is gone."""
        entry = frame.code.entry
        outside = self._outside(frame)
        landing = hunt.forward([*probes, FrameProbe(entry, frozenset(outside), on_exit=True)])
        hit = [probe for probe in probes if probe in landing.own]
        if hit:
            return self._hide(landing, min(probes[probe] for probe in hit))
        if landing.own and self._is_alive(entry):
            return self._hiding(landing, outside)
        return self._shown(landing, entry, None) if landing.own else landing

    def _outside(self, frame: LiveFrame) -> dict[int, int]:
        """The places where an inlined frame has been left; nowhere for others, which have an exit."""
        return self._places(frame.code).outside(frame.source.entry) if frame.is_inlined else {}

    # --- backward ------------------------------------------------------------------------------------

    def reverse_step(self, hunt: Hunt, hidden: int) -> Landing:
        """To the last stop of `step` before here."""
        here = self._session.position
        last = self._last_stop(Spot(here, hidden))
        if last.position == here:
            self._timeline.seek(here)
            return self._stay(max(last.hidden, hidden))
        landing = hunt.backward((), last.position, here)
        return self._hide(landing, last.hidden) if landing.reached else landing

    def reverse_next(self, hunt: Hunt, hidden: int) -> Landing:
        """To the last line start of the innermost frame, or of its callers from the first line."""
        standings = self._standings()
        if not standings:
            return self.reverse_step(hunt, hidden)
        upper, depth = self._session.position, 0
        if standings[0].entry == self._innermost_entry():
            depth = hidden
            for call in reversed([stop for stop in self._lines_here() if stop.hidden > hidden]):
                if call.is_start:
                    return self._stay(call.hidden)
                depth = call.hidden
        for standing in standings:
            landing = self._reverse_within(hunt, standing, depth, upper)
            if landing is not None:
                return landing
            upper, depth = standing.entry, 0
        return hunt.backward((), self._session.begin, upper)

    def _reverse_within(self, hunt: Hunt, standing: _Standing, depth: int, upper: Position) -> Landing | None:
        """To the last line start of frame `depth` of a WebAssembly frame, or of one around it; None if the
        WebAssembly frame had not come to one before `upper`."""
        places = self._lines.places(standing.function)
        for line in standing.lines[depth:]:
            scope = line.scope
            outside = places.outside(scope)
            starts = {pc for pc in places.inside(scope) if places.start_in(scope, pc) is not None}
            probe = FrameProbe(standing.entry, frozenset(starts | outside.keys()))
            landing = hunt.backward([probe], standing.entry, upper)
            if landing.triggers:
                return landing
            start = places.start_in(scope, self._pc()) if landing.own else None
            if start is not None:
                return self._hide(landing, start.hidden)
            if not landing.own:
                break
            upper = just_after(landing.position)
        return None

    def reverse_until(self, hunt: Hunt, hidden: int) -> Landing:
        """To an earlier place of the function, or out of it to the line of the call."""
        frame, last, here = self._innermost(), self._line(hidden), self._session.position
        if frame is None or last is None or not self._lines.has(frame.function):
            return self.reverse_next(hunt, hidden)
        places = self._places(frame)
        inside = {pc for pc in places.inside(last.scope) if places.start_in(last.scope, pc) is not None}
        line = max((pc for pc in inside if pc <= frame.pc), default=frame.pc)
        earlier = {pc for pc in inside if pc < line}
        probe = FrameProbe(frame.entry, frozenset(earlier | (places.outside(last.scope).keys() - inside)))
        landing = hunt.backward([probe], frame.entry)
        start = places.start_in(last.scope, self._pc()) if landing.own else None
        if landing.triggers or start is not None:
            return self._hide(landing, start.hidden if start is not None else 0)
        self._timeline.seek(here)
        return self.reverse_next(hunt, hidden)

    def reverse_finish(self, hunt: Hunt, frame: LiveFrame, hidden: int) -> Landing:
        """To the call of `frame`."""
        return self.reverse_advance(hunt, {}, frame, hidden)

    def _reverse_finish_code(self, hunt: Hunt, entry: Position) -> Landing:
        """To the call instruction of the WebAssembly frame entered at `entry`."""
        here = self._session.position
        return hunt.backward((), self._call_of_code(entry), here)

    def reverse_advance(
        self, hunt: Hunt, probes: Mapping[Probe, int], frame: LiveFrame, hidden: int
    ) -> Landing:
        """To the last hit of `probes`, at most to the call of `frame`."""
        here = self._session.position
        call = self._call_of(frame, hidden)
        if call.position == here:
            self._timeline.seek(here)
            return self._stay(call.hidden)
        landing = hunt.backward(list(probes), call.position, here)
        hit = [probe for probe in probes if probe in landing.own]
        if hit:
            return self._hide(landing, min(probes[probe] for probe in hit))
        return self._hide(landing, call.hidden) if landing.reached else landing

    def _call_of_code(self, entry: Position) -> Position:
        """The call instruction of the WebAssembly frame entered at `entry`. Moves the machine."""
        self._timeline.seek(entry)
        return self._timeline.back(1)

    def _call_of(self, frame: LiveFrame, hidden: int) -> Spot:
        """Where the last call of a frame of the source was made. Moves the machine."""
        entry, scope = frame.code.entry, frame.source.entry
        if not frame.is_inlined:
            return Spot(self._call_of_code(entry))
        places, end = self._places(frame.code), just_after(self._session.position)
        call = places.call_of(scope)
        if call is not None:
            pc, shown = call
            last = self._last_hit(end, [FrameProbe(entry, frozenset({pc}))], entry)
            if last is not None:
                return Spot(last, shown)
        outside = FrameProbe(entry, frozenset(places.outside(scope)))
        began = self._last_hit(end, [outside], entry) or entry
        self._timeline.seek(began)
        inside = FrameProbe(entry, places.inside(scope))
        if self._pc() not in places.inside(scope):
            self._blind.forward([inside], end)
        return Spot(self._session.position, self._depth_of(scope) + 1)

    # --- the last stop of `step` ---------------------------------------------------------------------

    def _last_stop(self, here: Spot) -> Spot:
        """The last of U before `here`; the begin of the run if there is none. Moves the machine."""
        frame = self._innermost()
        stops = self._places(frame).lines_at(frame.pc) if frame is not None else ()
        above = [stop for stop in stops if stop.hidden > here.hidden and stop.is_start]
        if above:
            return self._last_step_before(here, Spot(here.position, above[0].hidden))
        line, inner = self._last_line_or_entry(here.position)
        if inner is not None:
            self._timeline.seek(inner)
            frames = [frame for frame in self._frames_with_lines() if line is None or frame.entry > line]
            probes = [FrameProbe(frame.entry, self._lines.starts(frame.function)) for frame in frames]
            line = self._last_hit(here.position, probes, inner)
        if line is None:
            return Spot(self._session.begin)
        self._timeline.seek(line)
        starts = [stop.hidden for stop in self._lines_here() if stop.is_start]
        return self._last_step_before(here, Spot(line, starts[0]))

    def _last_line_or_entry(self, end: Position) -> tuple[Position | None, Position | None]:
        """The last line start of a frame that is alive here, and the last entry into any function since;
        None for what lies before the other, or is not there.

        Both are mostly near, and one that is not may lie before a call that took hours. So they are looked
        for together, from here back in parts that become longer and longer.
        """
        frames, begin, span = self._frames_with_lines(), self._session.begin, APPROACH
        while True:
            floor = max(begin, Position(max(end.tick - span, 0)))
            line = self._last_own_line(frames, end, floor)
            inner = self._last_hit(end, [self._lines.entries], floor if line is None else just_after(line))
            if line is not None or inner is not None or floor <= begin:
                return line, inner
            end, span = floor, span * 16

    def _last_own_line(self, frames: Sequence[Frame], end: Position, floor: Position) -> Position | None:
        """The last line start in [floor, end) of the nearest of `frames` that passed one there."""
        for frame in frames:
            if frame.entry >= end:
                continue
            probe = FrameProbe(frame.entry, self._lines.starts(frame.function))
            line = self._last_hit(end, [probe], max(frame.entry, floor))
            if line is not None:
                return line
            end = frame.entry
            if end <= floor:
                break
        return None

    def _last_step_before(self, here: Spot, stop: Spot) -> Spot:
        """The last stop before `here` of forward steps from `stop`."""
        self._timeline.seek(stop.position)
        while stop.position < here.position:
            frame, line = self._innermost_entry(), self._line(stop.hidden)
            landing = self.step(self._blind, stop.hidden, here.position)
            if landing.position < here.position:
                stop = Spot(landing.position, landing.hidden or 0)
            else:
                last = line if self._innermost_entry() == frame else None
                return self._last_above(self._stops_here(last), here, stop)
        return self._last_above(self._stops_here(self._line(stop.hidden), stop.hidden), here, stop)

    def _last_above(self, stops: Sequence[int], here: Spot, otherwise: Spot) -> Spot:
        """The last of `stops`, which are at the position of `here`, that is before `here`."""
        above = [hidden for hidden in stops if hidden > here.hidden]
        return Spot(here.position, above[-1]) if above else otherwise

    def _last_hit(self, end: Position, probes: Sequence[Probe], floor: Position) -> Position | None:
        """The last position in [floor, end) at which one of `probes` hits."""
        search = Search(tuple(probes))
        hits: tuple[Hit, ...] = next(iter(self._timeline.hits_before(end, lambda state: search, floor)), ())
        return hits[0].position if hits else None

    # --- what is shown -------------------------------------------------------------------------------

    def _stay(self, hidden: int) -> Landing:
        """A landing where the machine stands. Breakpoints there have been heeded before."""
        return Landing(self._session.position, reached=True, hidden=hidden)

    def _hide(self, landing: Landing, hidden: int) -> Landing:
        """`landing`, with `hidden` inlined frames hidden, unless a breakpoint has decided that."""
        return landing if landing.hidden is not None else replace(landing, hidden=hidden)

    def _hiding(self, landing: Landing, places: Mapping[int, int]) -> Landing:
        """`landing` at one of `places`, with what is hidden there."""
        return self._hide(landing, places.get(self._pc(), 0)) if landing.own else landing

    def _shown(self, landing: Landing, entry: Position, last: SourceLine | None) -> Landing:
        """A `landing` of who was last in line `last` of the frame entered at `entry`."""
        stops = self._stops_here(last if self._innermost_entry() == entry else None)
        return self._hide(landing, stops[0]) if landing.own and stops else landing

    # --- frames --------------------------------------------------------------------------------------

    def _innermost(self) -> Frame | None:
        frames = self._session.state.frames
        return frames[-1] if frames else None

    def _innermost_entry(self) -> Position | None:
        frame = self._innermost()
        return frame.entry if frame is not None else None

    def _pc(self) -> int:
        frame = self._innermost()
        return frame.pc if frame is not None else -1

    def _places(self, frame: Frame) -> Places:
        return self._lines.places(frame.function)

    def _lines_here(self) -> Sequence[LineStop]:
        frame = self._innermost()
        return self._places(frame).lines_at(frame.pc) if frame is not None else ()

    def _stops_here(self, last: SourceLine | None, below: int | None = None) -> list[int]:
        """What is hidden at each stop of who comes here from line `last` (None: from elsewhere).

        `below`: of who stands here already, with so much hidden: only the stops that follow.
        """
        frame = self._innermost()
        if frame is None or below == 0:
            return []
        stops = self._places(frame).stops_at(frame.pc, last)
        return [stop.hidden for stop in stops if below is None or stop.hidden < below]

    def _line(self, hidden: int) -> SourceLine | None:
        """The line in which the innermost frame that is not hidden stands; None without any frame."""
        frame = self._innermost()
        return self._lines.at(frame.pc)[hidden] if frame is not None else None

    def _depth_of(self, scope: int) -> int:
        """How deep in the innermost WebAssembly frame the function `scope` is."""
        scopes = [line.scope for line in self._lines.at(self._pc())]
        return scopes.index(scope) if scope in scopes else -1

    def _frames_with_lines(self) -> list[Frame]:
        """Innermost first."""
        return [frame for frame in reversed(self._session.state.frames) if self._lines.has(frame.function)]

    def _standings(self) -> list[_Standing]:
        """The frames with lines as they stand now, innermost first."""
        return [
            _Standing(frame.entry, frame.function, frame.pc, self._lines.at(frame.pc))
            for frame in self._frames_with_lines()
        ]

    def _is_alive(self, entry: Position) -> bool:
        return any(frame.entry == entry for frame in self._session.state.frames)

    def _is_new(self, landing: Landing) -> bool:
        """Whether the innermost frame was entered only now: by a tail call, or as the next invocation."""
        top = self._innermost()
        return top is not None and top.entry == landing.position

    def _is_line_of_interest(self, top: Frame, landing: Landing) -> bool:
        """Whether a step that came to `top` by the exit of its frame is to stop there."""
        if self._is_new(landing):
            return top.pc in self._lines.starts(top.function)
        return self._lines.has(top.function)
