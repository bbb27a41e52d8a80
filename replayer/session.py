"""A program of a trace on an engine: long runs in slices, so that they can be interrupted and watched.

What an engine promises for one `run` holds here for many slices together: a hit is found whether or
not it lies on the seam of two slices, which the property tests of the timeline check. The session also
holds the end of the recording: an interrupted or cut-off one goes on no further than it was recorded,
and a complete one must end as it was recorded to end.

May import base, wasm, engine, interpreter, instrument, debuginfo, store and this package.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol, TypeAlias, runtime_checkable

from ttd.debuginfo.framebases import always_live, frame_bases
from ttd.engine.cache import program_key, user_cache
from ttd.engine.protocol import (
    MOST,
    TICK_RULE,
    Call,
    Engine,
    Exhaustion,
    FrameProbe,
    Goal,
    Hit,
    Host,
    Invocation,
    Limits,
    Probe,
    Program,
    Stop,
    Tapping,
    Taps,
)
from ttd.engine.slices import Stopwatch, running_time, slice_end
from ttd.errors import DamagedTrace, Divergence, InvalidModule, TraceVersionError, UsageError, unreachable
from ttd.instrument.dead import DeadLocals
from ttd.replayer.host import ReplayHost
from ttd.replayer.recording import Recording
from ttd.state import Snapshot, State
from ttd.store.manifest import RecordedLimits
from ttd.types import Ending, EndKind, Position, StopReason, TrapKind, Value
from ttd.wasm.model import Module
from ttd.wasm.values import are_of_types

EngineFactory: TypeAlias = "Callable[[Program, Host], Engine]"

SLICE_SECONDS = 0.12
"""How long a slice of a run takes: the reaction time to an interrupt."""

FIRST_SLICE = 2_000
"""Ticks of the first slice, when nothing is known about the engine's speed."""


class Interrupted(Exception):
    """The user asked to stop; the machine stands at the end of a slice. Never leaves this package."""


def just_after(position: Position) -> Position:
    """A position behind `position` and not behind the next rest: running until it takes one rest."""
    return Position(position.tick, position.step + 1)


def program_of(trace: Recording) -> Program:
    """The program that a trace recorded.

    Raises InvalidModule or UnsupportedFeature for its module, TraceVersionError for another tick rule, and
    DamagedTrace if the module has not what it calls.
    """
    from ttd.engine.validate import load_module

    manifest = trace.manifest
    if manifest.tick_rule != TICK_RULE:
        raise TraceVersionError(
            f"the trace counts time by tick rule {manifest.tick_rule}, this ttd by rule {TICK_RULE}; "
            "replay it with the version of ttd that recorded it"
        )
    module = with_recorded_debug_info(load_module(trace.module), trace)
    invocations = (_invocation(module, call.function, call.arguments) for call in manifest.invocations)
    return Program(module, tuple(invocations), _limits(manifest.limits), _exhaustion(trace))


def with_recorded_debug_info(module: Module, trace: Recording) -> Module:
    """The module of a trace with the debug information that was kept apart from it, if it is there."""
    from ttd.debuginfo.separate import rejoin

    try:
        kept = trace.debug_info
        return module if kept is None else rejoin(module, kept)
    except (DamagedTrace, InvalidModule):  # which is among the trace's damage; the rest works without
        return module


def _limits(recorded: RecordedLimits) -> Limits:
    limits = Limits(recorded.call_depth, recorded.memory_pages, recorded.table_elements)
    too_much = limits.exceeded(MOST)
    if too_much is not None:
        raise DamagedTrace(f"the trace allows {too_much}, which no recording does; it is not replayed")
    return limits


def _invocation(module: Module, function: int, arguments: tuple[Value, ...]) -> Invocation:
    if function >= len(module.functions):
        raise DamagedTrace(f"the trace calls function {function}, which its module does not have")
    if not are_of_types(module, arguments, module.functions[function].type.params):
        raise DamagedTrace(f"the trace calls function {function} with arguments that it does not take")
    return Invocation(function, arguments)


def _exhaustion(trace: Recording) -> Exhaustion | None:
    """Where the recorded run used up its stack, if that is how it ended."""
    trap = trace.ending.trap
    if trap is None or trap.kind is not TrapKind.STACK_EXHAUSTED:
        return None
    return Exhaustion(trace.ending.position.tick, trace.event_count)


_BASES = "bases"
"""The part of a program in the cache that holds its frame bases."""


def remembered_bases(module: Module) -> Mapping[int, int]:
    """As `frame_bases`, found now or earlier: in a module of 20 MB that takes a third of a second."""
    cache, key = user_cache(), program_key(module.data, module.apart)
    stored = cache.get(key, _BASES) if cache is not None else None
    if stored is not None:
        return {int(function): int(local) for function, local in json.loads(stored)}
    found = frame_bases(module)
    if cache is not None:
        cache.put(key, _BASES, json.dumps(list(found.items())).encode())
    return found


def interpreter(program: Program, host: Host) -> Engine:
    """The exact engine: slow, but it needs no preparation."""
    from ttd.interpreter import Interpreter

    return Interpreter(program, host)


def compiled(program: Program, host: Host) -> Engine:
    """The fast engine."""
    from ttd.engine.compiled import CompiledEngine

    return CompiledEngine(program, host, always_live=always_live(program.module))


ENGINES: dict[str, EngineFactory] = {"compiled": compiled, "interpreter": interpreter}
"""All engines, by the names that manifests have for them. Each replays what either of them has recorded."""

DEFAULT_ENGINE = "compiled"


@runtime_checkable
class Positioned(Protocol):
    """What an engine may offer besides: the position without all frames, of which there may be thousands."""

    @property
    def position(self) -> Position:
        """As `Engine.state.position`."""
        ...


@runtime_checkable
class Topped(Protocol):
    """What an engine may offer besides: the state with the innermost frame only."""

    @property
    def top(self) -> State:
        """As `Engine.state`, without the callers."""
        ...


@runtime_checkable
class Immovable(Protocol):
    """What an engine has that cannot run: of a core dump."""

    @property
    def why_not(self) -> str:
        """What to tell the user who asks it to."""
        ...


class Session:
    """An engine that replays `trace`, from its begin on. `close` frees it."""

    def __init__(self, trace: Recording, factory: EngineFactory | None = None) -> None:
        self.trace = trace
        self.program = program_of(trace)
        self.ending: Ending = trace.ending
        self.host = ReplayHost(trace, self.program.module)
        factory = factory or ENGINES[DEFAULT_ENGINE]
        self.engine = factory(self.program, self.host)
        self.why_immovable = self.engine.why_not if isinstance(self.engine, Immovable) else ""
        """Why the machine stays where it is; "" if it does not. What is known of its locals is then
        certain."""
        exact = factory is interpreter and ENGINES.get(trace.manifest.engine) is interpreter
        exact = exact or bool(self.why_immovable)
        self._dead = (
            None
            if exact
            else DeadLocals(self.program.module, always_live(self.program.module, remembered_bases))
        )
        self._positioned = self.engine if isinstance(self.engine, Positioned) else None
        self._topped = self.engine if isinstance(self.engine, Topped) else None
        self.begin = self.engine.state.position
        self._interrupt = threading.Event()
        self._slice = self._tapped = FIRST_SLICE
        self._ended: Stop | None = None
        self._views: dict[bool, State] | None = {}
        self._find_end()

    def close(self) -> None:
        """Free the engine."""
        self.engine.close()

    @property
    def module(self) -> Module:
        """The program's module."""
        return self.program.module

    @property
    def state(self) -> State:
        """The state now; live, until the machine moves on.

        Where compiled code was at work, dead locals are cleared: whether it has kept them depends on the way.
        """
        return self._view(to_none=False)

    @property
    def known(self) -> State:
        """As `state`, for showing to the user: a cleared local is None, whatever its type."""
        return self._view(to_none=True)

    @property
    def top(self) -> State:
        """As `known`, but only the innermost frame need be there: cheap, also at every hit of a run."""
        if self._topped is None:
            return self.known
        state = self._topped.top
        if self._dead is not None:
            self._dead.clear(state.frames, to_none=True)
        return state

    def _view(self, to_none: bool) -> State:
        """The state with dead locals cleared. Made once for each rest: a stack may be deep."""
        if self._views is not None and to_none in self._views:
            return self._views[to_none]
        state = self.engine.state
        if self._dead is not None:
            self._dead.clear(state.frames, to_none)
        if self._views is not None:
            self._views[to_none] = state
            if self._dead is None:
                self._views[not to_none] = state
        return state

    def is_known(self, function: int, pc: int, local: int) -> bool:
        """Whether a local has a value in the innermost frame of `top` wherever that stands at `pc`."""
        return self._dead is None or local not in self._dead.at(function, pc)

    @contextmanager
    def _moving(self) -> Iterator[None]:
        """While the engine moves, no state is kept: not the one before, nor those on the way."""
        self._views = None
        try:
            yield
        finally:
            self._views = {}

    def comparable(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot of the trace in the form of `state`."""
        if self._dead is None:
            return snapshot
        frames = tuple(frame.copy() for frame in snapshot.frames)
        self._dead.clear(frames)
        return replace(snapshot, frames=frames)

    @property
    def position(self) -> Position:
        """Where the machine stands."""
        source = self._positioned
        return self.engine.state.position if source is None else source.position

    @property
    def end(self) -> Position:
        """The last position of the recording. Its step may be unknown, but is not once the machine is in the
        last tick."""
        return max(self.ending.position, self.begin)

    @property
    def complete(self) -> bool:
        """Whether the recording holds the end of the run."""
        return self.ending.kind in (EndKind.EXIT, EndKind.TRAP)

    @property
    def ended(self) -> Stop | None:
        """The stop at the end of the run, if the machine has run into its end and stands there."""
        return self._ended

    def require_motion(self) -> None:
        """Raise UsageError where the machine cannot move at all."""
        if self.why_immovable:
            raise UsageError(self.why_immovable)

    def interrupt(self) -> None:
        """Make the run under way, or the next one, raise `Interrupted`. Any thread may call this."""
        self._interrupt.set()

    def obey_interrupt(self) -> None:
        """Raise `Interrupted` if the user asked to stop."""
        if self._interrupt.is_set():
            self._interrupt.clear()
            raise Interrupted

    def clear_interrupt(self) -> None:
        """Forget an interrupt that nothing was left to obey."""
        self._interrupt.clear()

    def restore(self, snapshot: Snapshot) -> None:
        """Stand at the time of `snapshot`."""
        self._ended = None
        with self._moving():
            self.engine.restore(snapshot)

    def run(
        self, goal: Goal, between: Callable[[], None] = lambda: None, with_last_exits: bool = False
    ) -> Stop:
        """Run as `Engine.run` does, with three differences.

        `with_last_exits`: exits of frames at `goal.until` itself are reported too. The end of a recording
        that is not complete stops with END_OF_TRACE. After each slice `between` is called, and
        `Interrupted` is raised if the user asked for it.
        """
        if goal.accept is not None and not goal.unordered:
            self._slice = min(self._slice, FIRST_SLICE)  # to ask about a hit may take as long as many ticks
            goal = self._giving_up(goal)
        run = _Run(self, goal, with_last_exits)
        while True:
            stop = run.slice(self._slice_end(goal.until))
            if stop is not None and not goal.remember:
                return stop
            self.obey_interrupt()  # also at the end, where hits may be missing that were not asked about
            if stop is not None:
                return stop
            between()

    def _giving_up(self, goal: Goal) -> Goal:
        """`goal`, if it collects hits, with questions that are not asked anymore once the user wants to stop:
        what was found until then is thrown away."""
        accept = goal.accept
        if accept is None or not goal.remember:
            return goal
        return replace(goal, accept=lambda hit: not self._interrupt.is_set() and accept(hit))

    def slice(self, goal: Goal) -> Stop:
        """One run of the engine, timed; checks how it ended against the recording."""
        tick, stopwatch = self.position.tick, Stopwatch(self.engine)
        with self._moving():
            stop = self.engine.run(goal)
        self._tune(self.position.tick - tick, *stopwatch.read())
        self._check(stop)
        self._find_end()
        return stop

    def tap(self, taps: Taps, tick: int) -> tuple[list[Call], Call | None] | None:
        """As `engine.protocol.Tapping.tap`, but for one slice at most; None with engines that do not offer
        it."""
        engine, start, stopwatch = self.engine, self.position.tick, Stopwatch(self.engine)
        if not isinstance(engine, Tapping):
            return None
        with self._moving():
            found = engine.tap(taps, min(tick, start + self._tapped, self.end.tick))
        if found is not None:
            ticks = self.position.tick - start
            self._tapped = _tuned(self._tapped, ticks, *stopwatch.read())
            self._find_end()
        return found

    def step(self) -> None:
        """Go to the next rest."""
        with self._moving():
            stop = self.engine.step()
        self._check(stop)
        self._find_end()

    def _check(self, stop: Stop) -> None:
        """Hold an end of the run against that of the recording."""
        if stop.reason is StopReason.ENDED:
            self._check_ending(stop)
            self._ended = stop
        elif stop.reason is StopReason.END_OF_TRACE:
            self.ending = replace(self.ending, position=stop.position)
        elif self.complete and self.position > self.end:
            raise Divergence(self.position, self.ending.describe(), "still running")

    def _find_end(self) -> None:
        """Once the machine is in the last tick, find out at which step of it the recording ends.

        A recording of compiled code need not know; whoever stands in that tick has to.
        """
        end = self.ending.position
        if end.is_exact or self.position.tick < end.tick:
            return
        here = Snapshot.capture(self.state)
        with self._moving():
            stop = self.engine.run(Goal(until=end))
        self._check(stop)
        self.ending = replace(self.ending, position=stop.position)
        if stop.position != here.position:
            self.restore(here)

    def _slice_end(self, until: Position | None) -> Position:
        """Where the next slice ends: after some time, at the goal, at the end of the recording."""
        last = just_after(self.end) if self.complete else self.end
        near = Position(slice_end(self.position.tick, self._slice), 0)
        return min(near, last if until is None else min(until, last))

    def _tune(self, ticks: int, running: float, handover: float) -> None:
        """Set the length of slices by the speed of the last one."""
        self._slice = _tuned(self._slice, ticks, running, handover)

    def _check_ending(self, stop: Stop) -> None:
        ending = stop.ending or unreachable("an engine ended without saying how")
        if not self.ending.position.is_exact and self.ending.position.agrees(ending.position):
            self.ending = replace(self.ending, position=ending.position)
        went_on = not self.complete and ending.position.tick < self.ending.position.tick
        if went_on or (self.complete and ending != self.ending):
            raise Divergence(
                stop.position,
                f"{self.ending.describe()} at {self.ending.position}",
                f"{ending.describe()} at {ending.position}",
            )


def _tuned(size: int, ticks: int, running: float, handover: float) -> int:
    """The length of slices, in ticks, by the speed of the last one of `ticks`; `size` is what it was."""
    if ticks >= size // 4:
        wanted = int(ticks * running_time(SLICE_SECONDS, handover) / max(running, 1e-6))
        return max(16, min(wanted, size * 8))
    return max(16, size // 2) if running > 2 * SLICE_SECONDS else size


class _Run:
    """A run in slices. Keeps what has to survive the seams: the last hits, and who has left.

    An engine does not report hits at the position it runs to; the next slice does, as it starts there.
    Only a frame's exit is lost: at the start of the next slice it is gone already. So exits at seams
    are found here, by comparing the frames at both ends of a slice.
    """

    def __init__(self, session: Session, goal: Goal, with_last_exits: bool) -> None:
        self._session = session
        self._with_last_exits = with_last_exits
        self._goal = goal
        self._exits = tuple(p for p in goal.probes if isinstance(p, FrameProbe) and p.on_exit)
        self._offered: set[Probe] = set()
        self._alive = self._living()
        self._last: tuple[Hit, ...] = ()
        if self._exits:
            self._goal = replace(goal, accept=self._accept, unordered=False)
        self._wanted = goal.accept

    def _accept(self, hit: Hit) -> bool:
        self._offered.add(hit.probe)
        return self._wanted is None or self._wanted(hit)

    def slice(self, until: Position) -> Stop | None:
        """Run until `until`; the stop if that ends the whole run."""
        session, goal = self._session, self._goal
        start = session.position
        if session.ended is not None:
            return replace(session.ended, hits=())
        if not session.complete and start >= session.end:
            return Stop(StopReason.END_OF_TRACE, start, self._last)
        if goal.until is not None and start >= goal.until:
            return Stop(StopReason.LIMIT, start, self._last)
        after = goal.after if goal.after is not None and goal.after >= start else None
        stop = session.slice(replace(goal, until=until, after=after))
        if stop.hits:
            self._note(stop.hits)
            if not goal.remember:
                return stop
        if stop.reason is not StopReason.LIMIT:
            return replace(stop, hits=self._last)
        return self._seam()

    def _note(self, hits: tuple[Hit, ...]) -> None:
        same = self._last and self._last[0].position == hits[0].position
        self._last = (*self._last, *hits) if same else hits

    def _seam(self) -> Stop | None:
        """At the end of a slice: the stop if the run is over here, or if a frame was left just here."""
        session, goal = self._session, self._goal
        position = session.position
        is_last = goal.until is not None and position >= goal.until
        exits = self._left(position) if self._with_last_exits or not is_last else ()
        if exits:
            self._note(exits)
        if is_last:
            return Stop(StopReason.LIMIT, position, self._last)
        if not session.complete and position >= session.end:
            return Stop(StopReason.END_OF_TRACE, position, self._last)
        if exits and not goal.remember:
            return self._others(exits)
        return None

    def _left(self, position: Position) -> tuple[Hit, ...]:
        before, self._alive = self._alive, self._living()
        gone = [probe for probe in self._exits if probe.entry in before and probe.entry not in self._alive]
        hits = [Hit(probe, position) for probe in gone if probe not in self._offered]
        return tuple(hit for hit in hits if self._accept(hit))

    def _others(self, exits: tuple[Hit, ...]) -> Stop:
        """The stop at `exits`, together with what else hits at their position."""
        session = self._session
        here = exits[0].position
        more = session.slice(replace(self._goal, until=just_after(here), after=None))
        also = more.hits if more.hits and more.hits[0].position == here else ()
        return Stop(StopReason.PROBE, session.position, (*exits, *also))

    def _living(self) -> set[Position]:
        if not self._exits:
            return set()
        return {frame.entry for frame in self._session.state.frames}
