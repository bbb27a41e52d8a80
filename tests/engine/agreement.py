"""Runs a generated program in every way there is, and says where two of them differ."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import cast
from unittest import mock

import wasmtime

from tests.engine.generator import generate
from tests.engine.plain import Call, Outcome, Seen, run_plain
from tests.engine.vocabulary import DUMPED, Program, host_answer
from ttd.engine.builds import new_engine
from ttd.engine.compiled import CompiledEngine, program_store
from ttd.engine.protocol import (
    CodeProbe,
    Engine,
    FrameProbe,
    FunctionProbe,
    Goal,
    Invocation,
    Limits,
    Probe,
    Stop,
    WatchProbe,
)
from ttd.engine.protocol import Program as Runnable
from ttd.engine.validate import load_module
from ttd.instrument import sharing
from ttd.instrument.sites import FunctionPlan
from ttd.interpreter import Interpreter
from ttd.state import Frame, Memory, Snapshot
from ttd.types import Ending, ExceptionValue, Position, StopReason, TrapKind, Value
from ttd.wasm.model import Module

_STOPS = 40
"""About how often a run is frozen at most: each stop costs more than most programs take."""


class Disagreement(AssertionError):
    """Two ways of running a program differ."""


def require(condition: bool, what: str) -> None:
    if not condition:
        raise Disagreement(what)


class PureHost:
    """Answers by `host_answer`: the same whenever it is asked. Keeps what it was asked."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self.calls: list[Call] = []

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        imported = self._module.functions[function].imported
        assert imported is not None
        numbers = cast("tuple[int, ...]", arguments)
        self.calls.append((imported.name, numbers))
        answer = host_answer(imported.name, numbers)
        if answer.write is not None:
            address, data = answer.write
            memories[0].view()[address : address + len(data)] = data
        return answer.results

    def seek(self, event: int) -> None:
        """The calls from this one on are made again."""
        del self.calls[event:]


def runnable(program: Program) -> Runnable:
    module = load_module(program.binary)
    indices = [(module.exports_by_name[name].index, arguments) for name, arguments in program.calls]
    start = [] if module.start is None else [Invocation(module.start)]
    return Runnable(module, (*start, *(Invocation(index, arguments) for index, arguments in indices)))


@cache
def _engine() -> wasmtime.Engine:
    return new_engine()


def compiled(program: Runnable, replaying: bool = True, host: PureHost | None = None) -> CompiledEngine:
    """A compiled engine that leaves compiled code only where it must."""
    store, host = program_store(_engine(), Limits()), host or PureHost(program.module)
    return CompiledEngine(program, host, near=0, replaying=replaying, store=store)


# --- comparing ----------------------------------------------------------------------------------------


def require_outcome(plain: Outcome, engine: Engine, host: PureHost, ending: Ending | None, how: str) -> None:
    """Raise Disagreement unless a run on one of ttd's engines gave what Wasmtime gave."""
    if ending is None:
        raise Disagreement(f"{how}: the run does not end")
    end = ending.trap.kind if ending.trap is not None else ending.code
    if end is TrapKind.UNDEFINED_ELEMENT:  # Wasmtime does not tell them apart
        end = TrapKind.TABLE_OUT_OF_BOUNDS
    require(end == plain.end, f"{how}: {end}, in Wasmtime {plain.end}")
    require(tuple(host.calls) == plain.calls, f"{how}: other calls of the host")
    if plain.seen is not None:
        require(_seen(engine) == plain.seen, f"{how}: other memories or globals than in Wasmtime")


def _seen(engine: Engine) -> Seen:
    state = engine.state
    globals_ = zip(DUMPED, state.globals, strict=True)
    bits = (int(value is None) if type_.is_reference else cast(int, value) for type_, value in globals_)
    return Seen(tuple(bytes(memory.view()) for memory in state.memories), tuple(bits))


class States:
    """Compares states of two engines, but for locals that are dead: those are nobody's."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._pairs: dict[int, int] = {}

    def compare(self, one: Snapshot, other: Snapshot, where: str) -> None:
        """Raise Disagreement where they differ."""
        self._pairs = {}
        for what in ("position", "dropped_data", "dropped_elements", "next_event", "invocation", "memories"):
            mine, others = getattr(one, what), getattr(other, what)
            if mine != others:
                text = "" if what == "memories" else f": {mine} and {others}"
                raise Disagreement(f"{what} differs {where}{text}")
        self._same(one.globals, other.globals, "globals", where)
        for mine, others in zip(one.tables, other.tables, strict=True):
            self._same(mine, others, "a table", where)
        require(len(one.frames) == len(other.frames), f"different depth {where}")
        for a, b in zip(one.frames, other.frames, strict=True):
            self._frames(a, b, where)

    def _frames(self, one: Frame, other: Frame, where: str) -> None:
        mine, others = (one.function, one.pc, one.entry), (other.function, other.pc, other.entry)
        require(mine == others, f"a frame differs {where}: {mine} and {others}")
        self._same(one.operands, other.operands, "operands", where)
        dead = (0, None)
        alive = [a if b not in dead else b for a, b in zip(one.locals, other.locals, strict=True)]
        self._same(alive, other.locals, "locals", where)

    def _same(self, ones: Sequence[Value], others: Sequence[Value], what: str, where: str) -> None:
        if ones == others:  # mostly; exceptions are never equal
            return
        require(len(ones) == len(others), f"different number of {what} {where}")
        for one, other in zip(ones, others, strict=True):
            if isinstance(one, ExceptionValue) and isinstance(other, ExceptionValue):
                known = self._pairs.setdefault(id(one), id(other))
                require(known == id(other), f"identity of an exception in {what} {where}")
                require(one.tag == other.tag, f"tag of an exception in {what} {where}")
                self._same(one.payload, other.payload, f"the payload in {what}", where)
            else:
                require(one == other, f"{what} {where}: {one!r} and {other!r}")


# --- everything together ------------------------------------------------------------------------------


class Remembered:
    """A cache in memory (`ttd.engine.cache.Cache`): most of the time goes into compiling."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], bytes] = {}

    def get(self, key: str, part: str) -> bytes | None:
        return self._entries.get((key, part))

    def put(self, key: str, part: str, data: bytes) -> None:
        self._entries[key, part] = data


def check(program: Program, rng: random.Random) -> str:
    """Raise Disagreement if two ways of running the program differ; how it ends."""
    large_from, cache = rng.choice((FunctionPlan.large_from,) * 3 + (0,)), Remembered()
    with (
        mock.patch.object(FunctionPlan, "large_from", large_from),
        mock.patch.object(sharing, "SIZES", rng.choice((sharing.SIZES, (2, 2)))),
        mock.patch.object(FunctionPlan, "in_registers", rng.choice((FunctionPlan.in_registers, 0))),
        mock.patch("ttd.engine.compiled.user_cache", lambda: cache),
    ):
        return _Check(program, rng).run()


class _Check:
    """One program, run in every way there is."""

    def __init__(self, program: Program, rng: random.Random) -> None:
        self._rng = rng
        self._plain = run_plain(program)
        self._run = runnable(program)
        self._states = States(self._run.module)
        self._host = PureHost(self._run.module)
        self._exact = Interpreter(self._run, self._host)
        self._start = Snapshot.capture(self._exact.state)

    def run(self) -> str:
        ending = self._exact.run(Goal()).ending
        require_outcome(self._plain, self._exact, self._host, ending, "interpreter")
        assert ending is not None
        self._ending, self._end = ending, Snapshot.capture(self._exact.state)
        self._recording()
        host = PureHost(self._run.module)
        engine = compiled(self._run, host=host)
        self._replaying(engine, host)
        self._frozen(engine, host)
        if self._rng.random() < 0.3:
            self._searching(engine)
        engine.close()
        return ending.describe() if ending.trap is not None else "exit" if ending.code else "return"

    def _recording(self) -> None:
        """In one go, as when recording."""
        host = PureHost(self._run.module)
        engine = compiled(self._run, False, host)
        found, ending = engine.run(Goal()).ending, self._ending
        require_outcome(self._plain, engine, host, found, "recording")
        assert found is not None
        require(found.kind is ending.kind and found.trap == ending.trap, f"recording: {found} and {ending}")
        require(found.position.agrees(ending.position), f"recording: {found.position} and {ending.position}")
        engine.close()

    def _replaying(self, engine: CompiledEngine, host: PureHost) -> None:
        """In one go, and back to where it ended."""
        found = engine.run(Goal()).ending
        require(found == self._ending, f"replaying: {found} and {self._ending}")
        require_outcome(self._plain, engine, host, found, "replaying")
        self._states.compare(self._end, Snapshot.capture(engine.state), "at the end")

    def _frozen(self, engine: CompiledEngine, host: PureHost) -> None:
        """Frozen at random ticks, with steps of the interpreter in between, next to an interpreter."""
        exact, rng = self._exact, self._rng
        exact.restore(self._start)
        engine.restore(self._start)
        farthest = max(rng.choice((1, 1, 2, 5, 20)), self._ending.position.tick * 2 // _STOPS)
        while True:
            tick = engine.position.tick + rng.randint(1, farthest)
            goal = Goal(until=Position(tick, 0 if rng.random() < 0.7 else rng.randrange(6)))
            one, other = exact.run(goal), engine.run(goal)
            require(one.reason is other.reason and one.ending == other.ending, f"stops: {one} and {other}")
            mine, others = Snapshot.capture(exact.state), Snapshot.capture(engine.state)
            self._states.compare(mine, others, f"at {one.position}")
            if one.reason is not StopReason.LIMIT:
                break
            if rng.random() < 0.05:
                engine.restore(others)
        require(one.ending == self._ending, f"frozen: {one.ending} and {self._ending}")
        require_outcome(self._plain, engine, host, other.ending, "frozen")

    def _searching(self, engine: CompiledEngine) -> None:
        """From hit to hit of a few probes, and then for the last hit before some place."""
        frames, exact = self._some_frames(), self._exact
        probes = tuple(self._probe(frames) for _ in range(self._rng.randint(1, 3)))
        exact.restore(self._start)
        engine.restore(self._start)
        after: Position | None = None
        for _ in range(10):
            goal = Goal(probes=probes, after=after)
            one, other = exact.run(goal), engine.run(goal)
            _require_hits(one, other, f"after {after} for {probes}")
            if one.reason is not StopReason.PROBE:
                break
            after = one.hits[0].position
        exact.restore(self._start)
        engine.restore(self._start)
        until = Position(self._rng.randint(0, self._ending.position.tick + 1))
        if until > exact.position:
            goal = Goal(until=until, probes=probes, remember=True)
            _require_hits(exact.run(goal), engine.run(goal), f"the last before {until} for {probes}")

    def _some_frames(self) -> list[Frame]:
        """Frames that are alive at some time, and what their functions have come to then."""
        found: list[Frame] = []
        self._exact.restore(self._start)
        for tick in sorted(self._rng.randint(0, self._ending.position.tick) for _ in range(4)):
            if self._exact.run(Goal(until=Position(tick))).reason is StopReason.LIMIT:
                found += self._exact.state.frames
        return found

    def _probe(self, frames: list[Frame]) -> Probe:
        rng, module = self._rng, self._run.module
        if frames and rng.random() < 0.4:
            frame = rng.choice(frames)
            rests = sorted(module.functions[frame.function].code.rests)
            pcs = frozenset(rng.sample(rests, min(len(rests), rng.randrange(4))))
            return FrameProbe(frame.entry, pcs if rng.random() < 0.9 else None, rng.random() < 0.6)
        if rng.random() < 0.3:
            start = rng.choice((rng.randrange(0x10000), rng.randrange(0, 0x1000)))
            memory = rng.randrange(len(module.memories))
            return WatchProbe(memory, start, rng.randint(1, 64), rng.random() < 0.5)
        if rng.random() < 0.3:
            found = {each.index: each.code.rests for each in module.functions if each.body is not None}
            first = {index: rng.choice(rests) for index, rests in found.items() if rests}
            return FunctionProbe(first.get, first.copy)
        function = rng.choice([function for function in module.functions if function.body is not None])
        places = [i.offset for i in function.code.instructions if not i.op.is_marker]
        return CodeProbe(function.index, rng.choice(places or [function.code.end - 1]))


def _require_hits(one: Stop, other: Stop, what: str) -> None:
    require(one.reason is other.reason, f"{what}: {one} and {other}")
    require(set(one.hits) == set(other.hits), f"{what}: {one.hits} and {other.hits}")


def size_of(rng: random.Random) -> int:
    """How large to make a program."""
    return 20 + rng.randrange(60)


def check_seed(seed: int) -> str:
    """Generate a program from `seed`, and check it; how it ends."""
    rng = random.Random(seed)
    size = size_of(rng)
    return check(generate(rng.randrange, size), rng)
