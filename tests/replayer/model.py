"""The oracle of these tests: a run as the list of all its rests, found by single steps and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ttd.engine.protocol import Goal
from ttd.replayer.lines import Lines
from ttd.replayer.linestops import SourceLine
from ttd.replayer.session import Session
from ttd.replayer.stepping import Spot
from ttd.replayer.views import StopReport
from ttd.state import Snapshot
from ttd.store.trace import Trace
from ttd.types import Position


@dataclass(frozen=True)
class Rest:
    """One rest: its position, the innermost frame, and the entries of all frames, outermost first."""

    position: Position
    function: int
    pc: int
    alive: tuple[Position, ...]
    functions: tuple[int, ...]

    @property
    def entry(self) -> Position:
        return self.alive[-1]


class Run:
    """All rests of a recorded run but its end, in order."""

    def __init__(self, rests: list[Rest], events: list[Position], end: Position) -> None:
        self.rests = rests
        self.events = events
        """Where the host calls are made; the trace of a compiled run knows their ticks only."""
        self.end = end
        self.positions = [rest.position for rest in rests]

    @classmethod
    def walk(cls, trace: Trace) -> Run:
        """Step through the whole of `trace`."""
        session = Session(trace)
        rests: list[Rest] = []
        events: list[Position] = []
        while session.position < session.end:
            if session.state.next_event > len(events):
                events.append(rests[-1].position)
            frames = session.state.frames
            rests.append(
                Rest(
                    session.position,
                    frames[-1].function,
                    frames[-1].pc,
                    tuple(frame.entry for frame in frames),
                    tuple(frame.function for frame in frames),
                )
            )
            session.step()
        if session.host.answered > len(events):  # the one that ends the run, or the last thing in it
            events.append(rests[-1].position)
        session.close()
        return cls(rests, events, session.end)

    def at(self, function: int, pc: int) -> list[Position]:
        """Where a breakpoint at `pc` stops."""
        return [rest.position for rest in self.rests if (rest.function, rest.pc) == (function, pc)]

    def alive(self, entry: Position) -> list[Position]:
        """The positions at which the frame entered at `entry` is on the stack."""
        return [rest.position for rest in self.rests if entry in rest.alive]

    def after(self, position: Position) -> Position:
        """The rest behind `position`, or the end."""
        index = self.positions.index(position) + 1
        return self.positions[index] if index < len(self.positions) else self.end

    def exit_of(self, entry: Position) -> Position:
        """The first rest after the frame entered at `entry` is gone."""
        return self.after(self.alive(entry)[-1])

    def step_stops(self, lines: Lines) -> list[Spot]:
        """The stops of `step`, by their definition in `ttd.replayer.stepping`."""
        stops: list[Spot] = []
        last: tuple[Position, SourceLine | None] | None = None
        for before, rest in zip([None, *self.rests], self.rests, strict=False):
            gone = before is not None and before.entry not in rest.alive
            is_new = rest.entry == rest.position
            stepped_out = last is not None and last[0] not in rest.alive
            count = len(stops)
            for stop in lines.places(rest.function).lines_at(rest.pc):
                if stop.is_start or last != (rest.entry, stop.line):
                    stops.append(Spot(rest.position, stop.hidden))
                    last = rest.entry, stop.line
            if count == len(stops) and gone and not is_new and stepped_out and lines.has(rest.function):
                stops.append(Spot(rest.position))
                last = rest.entry, lines.at(rest.pc)[0]
        return stops


def writes(trace: Trace, memory: int, address: int, length: int) -> list[tuple[Position, bytes, bytes]]:
    """Every change of some bytes in the run: the position before it, the bytes before and after it."""
    session = Session(trace)
    found = []

    def watched() -> bytes:
        return bytes(session.state.memories[memory].view()[address : address + length])

    old = watched()
    while session.position < session.end:
        before = session.position
        session.step()
        new = watched()
        if new != old:
            found.append((before, old, new))
        old = new
    session.close()
    return found


class Digests:
    """The digest of the state at any position, by a run from the begin straight to it. Remembered."""

    def __init__(self, trace: Trace) -> None:
        self._session = Session(trace)
        self._begin = Snapshot.capture(self._session.state)
        self._known: dict[Position, bytes] = {}

    def close(self) -> None:
        self._session.close()

    def __call__(self, position: Position) -> bytes:
        if position not in self._known:
            self._session.restore(self._begin)
            at_end = position == self._session.end
            self._session.slice(Goal() if at_end else Goal(until=position))
            self._known[position] = Snapshot.capture(self._session.state).digest()
        return self._known[position]


Stop = TypeVar("Stop")


def spot(report: StopReport) -> Spot:
    """Where a motion came to."""
    return Spot(report.where.position, report.where.hidden)


def all_stops(move: Callable[[], Stop], until: Stop, limit: int = 10_000) -> list[Stop]:
    """What `move` leads to, one after the other, until it leads to `until`."""
    found: list[Stop] = []
    while (stop := move()) != until:
        found.append(stop)
        if len(found) > limit:
            raise AssertionError(f"no end after {limit} stops: {found[-3:]}")
    return found
