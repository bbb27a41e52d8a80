"""The engines that the suite runs over, by name. A new engine gets a row here, and nothing else changes.

The *stress* rows drive the compiled engine as no user would: out of compiled code and into it again at every
single tick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import wasmtime

from tests.spec.instance import EngineFactory, SpecEngine, Supplied
from ttd.engine.builds import new_engine
from ttd.engine.compiled import CompiledEngine, program_store
from ttd.engine.memory import LinearMemory
from ttd.engine.protocol import Goal, Host, Limits, Program, Stop
from ttd.interpreter import Imports, Interpreter
from ttd.state import Memory, State
from ttd.types import Ending, EndKind, Position, StopReason, Trap, TrapKind, Value

DEPTH = 300
"""Frames that a stressed engine allows: every stop shows all of them, so that deep recursion takes long."""

PATIENCE = 2_000
"""Ticks of one call after which a stressed engine stops at fewer and fewer of them: the distance grows in
proportion to the ticks that have passed."""


def interpreter(program: Program, host: Host, supplied: Supplied) -> SpecEngine:
    """The exact interpreter."""
    return Interpreter(program, host, _imports(supplied))


def _imports(supplied: Supplied) -> Imports:
    memories = [memory for memory in supplied.memories if isinstance(memory, LinearMemory)]
    return Imports(memories=memories, tables=supplied.tables, globals=supplied.globals)


class CompiledFactory:
    """Makes compiled engines, all in one store for as long as any of them is open: they share memories."""

    def __init__(self, drive: Callable[[SharingEngine, Goal], Stop] | None = None) -> None:
        """`drive` runs an engine to a goal that has nothing but `until`."""
        self._drive = drive
        self._engine: wasmtime.Engine | None = None
        self._store: wasmtime.Store | None = None
        self._open = 0

    def __call__(self, program: Program, host: Host, supplied: Supplied) -> SpecEngine:
        if self._engine is None:
            self._engine = new_engine()
        if self._store is None:
            self._store = program_store(self._engine, Limits())
        engine = SharingEngine(program, host, _imports(supplied), self._store, self._closed, self._drive)
        self._open += 1
        return engine

    def _closed(self) -> None:
        self._open -= 1
        if not self._open:
            self._store = None


class SharingEngine(CompiledEngine):
    """A compiled engine whose host looks at all of its state, because it leads to other instances."""

    def __init__(
        self,
        program: Program,
        host: Host,
        imports: Imports,
        store: wasmtime.Store,
        closed: Callable[[], None],
        drive: Callable[[SharingEngine, Goal], Stop] | None,
    ) -> None:
        self._outside = host
        self._is_native = False
        self._closed = closed
        self._drive = drive
        super().__init__(program, self, imports, near=0, replaying=False, store=store)

    def close(self) -> None:
        super().close()
        self._closed()

    def run(self, goal: Goal) -> Stop:
        return self._drive(self, goal) if self._drive is not None else super().run(goal)

    def go(self, goal: Goal) -> Stop:
        """What `run` is in an engine that nobody drives."""
        return super().run(goal)

    def _call_host(
        self, function: int, arguments: tuple[Value, ...], position: Position
    ) -> tuple[Value, ...]:
        self._is_native = True
        try:
            return super()._call_host(function, arguments, position)
        finally:
            self._is_native = False

    # --- the host of the engine, in front of the real one ---

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        """Perform the call with the state where others look for it, and take over what they change."""
        native, state = self._is_native, self.state
        if native:
            self._native.save(state)
        results = self._outside.call(function, arguments, position, memories)
        if native:
            self._native.load(state)
        return results

    def seek(self, event: int) -> None:
        self._outside.seek(event)


def freeze_everywhere(engine: SharingEngine, goal: Goal) -> Stop:
    """Freeze at every tick, and thaw from there."""
    return _in_slices(engine, goal, lambda: None)


def step_everywhere(engine: SharingEngine, goal: Goal) -> Stop:
    """Freeze at every tick, let the interpreter take a step, and go on in compiled code if it can be."""
    return _in_slices(engine, goal, engine.step)


def _in_slices(engine: SharingEngine, goal: Goal, between: Callable[[], Stop | None]) -> Stop:
    begin = engine.state.position.tick
    while True:
        now = engine.state.position.tick
        stop = engine.go(Goal(until=Position(now + 1 + max(0, now - begin - PATIENCE) // 20)))
        if stop.reason is not StopReason.LIMIT:
            return stop
        stop = between() or stop
        if stop.reason is not StopReason.LIMIT or (goal.until is not None and stop.position >= goal.until):
            return stop
        if len(engine.state.frames) > DEPTH:
            return _exhausted(engine.state)


def _exhausted(state: State) -> Stop:
    trap = Trap(TrapKind.STACK_EXHAUSTED)
    return Stop(StopReason.ENDED, state.position, ending=Ending(EndKind.TRAP, state.position, trap=trap))


ENGINES: dict[str, EngineFactory] = {"interpreter": interpreter, "compiled": CompiledFactory()}
"""Those that the tests run over."""

STRESSED: dict[str, EngineFactory] = {
    "frozen": CompiledFactory(freeze_everywhere),
    "stepped": CompiledFactory(step_everywhere),
}
"""Those that ``./dev stress`` runs over: they take long."""
