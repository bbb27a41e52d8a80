"""The calls of some functions from the begin of a run to here: arguments, results, when.

Where the engine can (`engine.protocol.Tapping`) they are listened to at compiled speed, slice by slice.
Probes do the rest, call by call: what is left within the last tick, calls in which a slice ends, and all of
it with other engines. What was found is kept, so that the next question costs only what lies between.

Of calls that the functions make of each other only the outermost counts: `realloc` may call `malloc`.

May import base, wasm, engine and this package.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from operator import attrgetter

from ttd.engine.protocol import MOST_TAPPED, Call, CodeProbe, FrameProbe, Pointed, Probe, Taps
from ttd.errors import TtdError
from ttd.replayer.session import Session
from ttd.replayer.timeline import Search, Timeline
from ttd.state import Frame, State
from ttd.types import Position
from ttd.wasm.ticks import ticks_at_entry

MOST_CALLS = 20_000_000
"""How many calls are kept at most."""

_BY_RETURN = attrgetter("returned")


class CallTrace:
    """The calls of `functions`."""

    def __init__(self, session: Session, timeline: Timeline, functions: Taps) -> None:
        self._session = session
        self._timeline = timeline
        self._functions = functions
        self._entries: tuple[Probe, ...] = tuple(
            CodeProbe(index, session.module.functions[index].code.rests[0]) for index in functions
        )
        self._calls: list[Call] = []
        self._last: list[Call] = []
        """What was answered last."""
        self._reached = session.begin.tick
        self._open_there: Call | None = None
        """All that returned before tick `_reached` is known, and what was under way there."""

    def before(self, position: Position) -> list[Call]:
        """The calls that had returned at `position`, in order. The machine stands there afterwards.

        May raise `session.Interrupted`; what was found is kept.
        """
        if position.tick > self._reached:
            self._advance(position.tick)
        calls = self._calls[: bisect_left(self._calls, position.tick, key=_BY_RETURN)]
        self._seek(position.tick)
        self._walk(position, self._open_at(position.tick, len(calls)), calls.append)
        self._timeline.seek(position)
        self._last = calls
        return calls

    def go_to_entry(self, call: Call) -> None:
        """Stand where a call has just been entered. May raise `session.Interrupted`."""
        if ticks_at_entry(self._session.module.functions[call.function]):
            self._timeline.seek(Position(call.entered + 1))
            return
        count = bisect_left(self._calls, call.entered, key=_BY_RETURN)
        self._seek(call.entered)
        self._walk(
            Position(call.entered + 1), self._open_at(call.entered, count), lambda _: None,
            entries=1 + self._order(call),
        )  # fmt: skip

    def _order(self, call: Call) -> int:
        """How many calls were entered before `call` behind the same tick."""
        index, order = bisect_left(self._last, call.returned, key=_BY_RETURN), 0
        while index < len(self._last) and self._last[index] != call:
            index += 1
        while index > 0 and self._last[index - 1].entered == call.entered:
            index, order = index - 1, order + 1
        return order

    def _seek(self, tick: int) -> None:
        self._timeline.seek(max(Position(tick), self._session.begin))

    def _open_at(self, tick: int, count: int) -> Call | None:
        """The call that was under way at the begin of a tick, when `count` had returned."""
        following = self._calls[count] if count < len(self._calls) else self._open_there
        return following if following is not None and following.entered < tick else None

    # --- far, at compiled speed ----------------------------------------------------------------------

    def _advance(self, tick: int) -> None:
        """Find the calls from `_reached` to `tick`."""
        del self._calls[bisect_left(self._calls, self._reached, key=_BY_RETURN) :]
        under_way = self._open_there
        self._seek(self._reached)
        while self._session.position.tick < tick and self._session.ended is None:
            found = self._session.tap(self._functions, tick) if under_way is None else None
            if found is not None:
                self._calls += found[0]
                under_way = found[1]
            else:
                under_way = self._walk_on(tick, under_way)
            if self._session.position.step == 0:
                self._reached, self._open_there = self._session.position.tick, under_way
                self._session.obey_interrupt()
                self._timeline.between()
            if len(self._calls) > MOST_CALLS:
                raise TtdError(f"there are more than {MOST_CALLS:,} calls to look at, too many to keep")

    def _walk_on(self, last: int, under_way: Call | None) -> Call | None:
        """By probes to the next tick; or, if a call is under way, to where that has returned."""
        if under_way is not None:
            return self._walk(Position(last), under_way, self._calls.append, returns=1)
        return self._walk(Position(self._session.position.tick + 1), None, self._calls.append)

    # --- near, by probes -----------------------------------------------------------------------------

    def _walk(
        self,
        until: Position,
        under_way: Call | None,
        take: Callable[[Call], None],
        returns: int | None = None,
        entries: int | None = None,
    ) -> Call | None:
        """Follow the calls to `until`, from where `under_way` is under way; which one is under way at the
        end.

        Ends before behind so many `returns`, or where so many calls have been entered.
        """
        while True:
            frame = self._outermost()
            if frame is None:
                if not self._timeline.forward(lambda _: Search(self._entries), until).hits:
                    return None
                frame = self._session.state.frames[-1]
                entries = entries - 1 if entries is not None else None
                if entries == 0:
                    return None
            if under_way is None:
                under_way = self._entered(frame)
            call = self._returned(frame, under_way, until)
            if call is None:
                return under_way
            take(call)
            under_way, returns = None, returns - 1 if returns is not None else None
            if returns == 0:
                return None

    def _outermost(self) -> Frame | None:
        frames = self._session.state.frames
        return next((frame for frame in frames if frame.function in self._functions), None)

    def _entered(self, frame: Frame) -> Call:
        """The call whose frame has just been entered."""
        function = self._session.module.functions[frame.function]
        arguments = frame.locals[: min(len(function.type.params), MOST_TAPPED)]
        known = (value if isinstance(value, int) else 0 for value in arguments)
        return Call(frame.function, frame.entry.tick - ticks_at_entry(function), 0, *known)

    def _returned(self, frame: Frame, call: Call, until: Position) -> Call | None:
        """Run until a frame is left, at most to `until`: None if it is not left before."""
        heights = {each.entry: len(each.operands) for each in self._session.state.frames}
        probe = FrameProbe(frame.entry, frozenset(), on_exit=True)
        if not self._timeline.forward(lambda _: Search((probe,)), until).hits:
            return None
        position, state = self._session.position, self._session.state
        tick = position.tick - (position.step == 0)
        call = call._replace(returned=tick, result=self._result(call.function, heights))
        return call._replace(pointed=_pointed(self._functions[call.function], call, state))

    def _result(self, function: int, heights: Mapping[Position, int]) -> int:
        """What a function has returned: on top of its caller's operands; 0 if that was left as well."""
        frames = self._session.state.frames
        count = len(self._session.module.functions[function].type.results)
        height = heights.get(frames[-1].entry) if frames else None
        if not count or height is None or len(frames[-1].operands) < height + count:
            return 0
        value = frames[-1].operands[-1]
        return value if isinstance(value, int) else 0


def _pointed(asked: Pointed, call: Call, state: State) -> int:
    """What is asked for of memory, when `call` has just returned."""
    if asked is Pointed.WORD:
        return int.from_bytes(state.memories[0].view()[call.first : call.first + 4], "little")
    if asked is Pointed.STRING and call.result:
        view, end = state.memories[0].view(), call.result
        while end < len(view) and view[end]:
            end += 1
        return end + 1 - call.result
    return 0
