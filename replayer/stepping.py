"""Motions by source lines and by frames: step, next, until, advance, finish, and each toward the past.

**Stops of `step`.** Let L be all arrivals at a line start (`Lines.starts`) in any frame. Going forward, a
step stops at the next of L, or where the frame that it began in has returned to a function with line
information: in the middle of the caller's line, as gdb does. Functions without line information are run
through, both when called and when returned to. These stops depend on the position alone, not on where a
step began, so long as it began at one of them; call them U.

**Reverse step** goes to the last of U before here. It finds A, the last of L before here, and from there
does forward steps as long as they stay before here: their stops between A and here are the rest of U.
So a reverse step undoes a step exactly. A is found in two searches, because a line start may belong to
the frame here, to its callers, or to a callee that has returned: first A0, the last line start of the
nearest frame on the stack with line information; then B, the last entry into any other function with line
information between A0 and here. The frames on the stack at B are the only ones that can have passed line
starts since.

**Next** looks at the line starts of one frame, known by its entry, and at its exit. **Reverse next** goes
to the last line start of that frame, or from its first line to the line of the call in its caller.

May import base, engine, debuginfo and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ttd.engine.protocol import CodeProbe, FrameProbe, Hit, Probe
from ttd.replayer.lines import Lines
from ttd.replayer.motions import Hunt, Landing
from ttd.replayer.session import Session, just_after
from ttd.replayer.timeline import Search, Timeline
from ttd.state import Frame
from ttd.types import Position

NOWHERE: frozenset[int] = frozenset()


class Stepper:
    """The motions, each by a `Hunt` that brings in the user's breakpoints.

    All of them leave the machine at the landing that they return, and may raise `session.Interrupted`.
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
        return self._over_calls(hunt, lambda: self.stepi(hunt, 1), self.finish)

    def reverse_nexti(self, hunt: Hunt) -> Landing:
        """One rest back; over what was called there."""
        return self._over_calls(hunt, lambda: self.reverse_stepi(hunt, 1), self.reverse_finish)

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

    def step(self, hunt: Hunt, until: Position | None = None) -> Landing:
        """To the next stop of `step`; at most to `until`."""
        frame = self._innermost()
        while frame is not None:
            entries = (CodeProbe(*stop) for stop in self._lines.first_stops([frame.function]))
            landing = hunt.forward([self._own_lines(frame), *entries], until)
            if landing.is_final or self._is_alive(frame.entry):
                return landing
            top = self._innermost()
            if top is not None and self._is_line_of_interest(top, landing):
                return landing
            frame = top
        return hunt.forward((), until)

    def next(self, hunt: Hunt) -> Landing:
        """To the next line of the innermost frame, or back in its caller.

        Where no frame has line information there is no line to stay in, and this is `step`.
        """
        frame = self._innermost()
        if frame is None or not self._frames_with_lines():
            return self.step(hunt)
        probe = self._own_lines(frame)
        while True:
            landing = hunt.forward([probe])
            if landing.is_final or self._is_alive(probe.entry):
                return landing
            top = self._innermost()
            if top is None:
                return hunt.forward()
            is_callee = self._is_new(landing) and len(self._session.state.frames) > 1
            if not is_callee and self._is_line_of_interest(top, landing):
                return landing
            probe = FrameProbe(top.entry, NOWHERE, on_exit=True) if is_callee else self._own_lines(top)

    def until(self, hunt: Hunt) -> Landing:
        """As `next`, but not to an earlier place of the function."""
        frame = self._innermost()
        if frame is None or not self._lines.has(frame.function):
            return self.next(hunt)
        later = frozenset(pc for pc in self._lines.starts(frame.function) if pc > frame.pc)
        landing = hunt.forward([FrameProbe(frame.entry, later, on_exit=True)])
        top = self._innermost()
        if landing.is_final or self._is_alive(frame.entry) or top is None:
            return landing
        return landing if self._is_line_of_interest(top, landing) else self.step(hunt)

    def finish(self, hunt: Hunt, entry: Position) -> Landing:
        """Until the frame entered at `entry` is gone."""
        return hunt.forward([FrameProbe(entry, NOWHERE, on_exit=True)])

    def advance(self, hunt: Hunt, probes: Sequence[Probe], entry: Position) -> Landing:
        """Until one of `probes` hits or the frame entered at `entry` is gone."""
        return hunt.forward([*probes, FrameProbe(entry, NOWHERE, on_exit=True)])

    # --- backward ------------------------------------------------------------------------------------

    def reverse_step(self, hunt: Hunt) -> Landing:
        """To the last stop of `step` before here."""
        here = self._session.position
        return hunt.backward((), self._last_stop(here), here)

    def reverse_next(self, hunt: Hunt) -> Landing:
        """To the last line start of the innermost frame, or of its callers from the first line."""
        frames = self._frames_with_lines()
        if not frames:
            return self.reverse_step(hunt)
        here = self._session.position
        for frame in frames:
            probe = FrameProbe(frame.entry, self._lines.starts(frame.function))
            landing = hunt.backward([probe], frame.entry, here)
            if landing.own or landing.triggers:
                return landing
            here = frame.entry
        return hunt.backward((), self._session.begin, here)

    def reverse_until(self, hunt: Hunt) -> Landing:
        """To an earlier place of the function, or out of it to the line of the call."""
        frame = self._innermost()
        if frame is None or not self._lines.has(frame.function):
            return self.reverse_next(hunt)
        starts = self._lines.starts(frame.function)
        line = max((pc for pc in starts if pc <= frame.pc), default=frame.pc)
        earlier = frozenset(pc for pc in starts if pc < line)
        landing = hunt.backward([FrameProbe(frame.entry, earlier)], frame.entry)
        return landing if landing.own or landing.triggers else self.reverse_next(hunt)

    def reverse_finish(self, hunt: Hunt, entry: Position) -> Landing:
        """To the call instruction of the frame entered at `entry`."""
        return self.reverse_advance(hunt, (), entry)

    def reverse_advance(self, hunt: Hunt, probes: Sequence[Probe], entry: Position) -> Landing:
        """To the last hit of `probes`, at most to the call instruction of the frame entered at `entry`."""
        here = self._session.position
        self._timeline.seek(entry)
        call = self._timeline.back(1)
        return hunt.backward(probes, call, here)

    def _last_stop(self, here: Position) -> Position:
        """The last of U before `here`; the begin of the run if there is none. Moves the machine."""
        line, root = self._last_own_line(here)
        stops = self._lines.all_first_stops(root, themselves=line is None)
        entries = [CodeProbe(*stop) for stop in dict.fromkeys(stops)]
        inner = self._last_hit(here, entries, just_after(line) if line is not None else self._session.begin)
        if inner is not None:
            self._timeline.seek(inner)
            frames = [frame for frame in self._frames_with_lines() if line is None or frame.entry > line]
            probes = [FrameProbe(frame.entry, self._lines.starts(frame.function)) for frame in frames]
            line = self._last_hit(here, probes, inner)
        if line is None:
            return self._session.begin
        return self._last_step_before(here, line)

    def _last_own_line(self, here: Position) -> tuple[Position | None, Iterable[int]]:
        """The last line start of the nearest frame that passed one, and who made the calls since."""
        upper = here
        for frame in self._frames_with_lines():
            probe = FrameProbe(frame.entry, self._lines.starts(frame.function))
            line = self._last_hit(upper, [probe], frame.entry)
            if line is not None:
                return line, [frame.function]
            upper = frame.entry
        invoked = {call.function for call in self._session.program.invocations}
        return None, invoked

    def _last_step_before(self, here: Position, line: Position) -> Position:
        """The last stop before `here` of forward steps from `line`."""
        self._timeline.seek(line)
        while self.step(self._blind, here).position < here:
            line = self._session.position
        return line

    def _last_hit(self, end: Position, probes: Sequence[Probe], floor: Position) -> Position | None:
        """The last position in [floor, end) at which one of `probes` hits."""
        search = Search(tuple(probes))
        hits: tuple[Hit, ...] = next(iter(self._timeline.hits_before(end, lambda state: search, floor)), ())
        return hits[0].position if hits else None

    # --- frames --------------------------------------------------------------------------------------

    def _innermost(self) -> Frame | None:
        frames = self._session.state.frames
        return frames[-1] if frames else None

    def _frames_with_lines(self) -> list[Frame]:
        """Innermost first."""
        return [frame for frame in reversed(self._session.state.frames) if self._lines.has(frame.function)]

    def _own_lines(self, frame: Frame) -> FrameProbe:
        return FrameProbe(frame.entry, self._lines.starts(frame.function), on_exit=True)

    def _is_alive(self, entry: Position) -> bool:
        return any(frame.entry == entry for frame in self._session.state.frames)

    def _is_new(self, landing: Landing) -> bool:
        """Whether the innermost frame was entered only now: by a tail call, or as the next invocation."""
        top = self._innermost()
        return top is not None and top.entry == landing.position

    def _is_line_start(self, frame: Frame) -> bool:
        return frame.pc in self._lines.starts(frame.function)

    def _is_line_of_interest(self, top: Frame, landing: Landing) -> bool:
        """Whether a step that came to `top` by the exit of its frame is to stop there."""
        return self._is_line_start(top) if self._is_new(landing) else self._lines.has(top.function)
