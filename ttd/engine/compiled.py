"""The compiled engine: an instrumented program on Wasmtime for the way to a tick, the interpreter for the
rest.

The interpreter holds the state whenever the machine rests, and takes all steps within a tick. For a long
way it hands over: its frames are thawed in the instrumented program (`native`), which runs to the tick
where the goal is, and freezes there; then the frames go back. Memories are shared, so nothing is copied
but frames and globals.

Frames that wait for a callee stay Python objects: only the innermost one is thawed; when it returns, its
results go into the next one.

**Traps and exits** unwind the program and with it the frames. The clock survives; so the engine goes back
to the last snapshot that it was restored to and runs again to the tick of the trap, where the interpreter
walks into it. While recording that is not possible, since the host cannot be asked twice: the stop then
has a position whose tick is exact and whose step is UNKNOWN_STEP.

May import base, `ttd.wasm`, `ttd.instrument`, `ttd.interpreter`, `ttd.engine` and wasmtime.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import wasmtime

from ttd.engine.builds import Compiled, new_engine
from ttd.engine.cache import user_cache
from ttd.engine.gates import Gates, make_gates
from ttd.engine.native import Native
from ttd.engine.protocol import (
    Call,
    EndOfLog,
    Goal,
    Host,
    HostExit,
    HostTrap,
    Invocation,
    Limits,
    Probe,
    Program,
    Stop,
    Taps,
    WatchProbe,
)
from ttd.engine.scout import Build, Scout, Sighting
from ttd.engine.search import Search
from ttd.engine.stores import new_store
from ttd.engine.taps import Tap
from ttd.errors import EngineUnusable, TtdError, unreachable
from ttd.instrument import abi
from ttd.instrument.program import Instrumented
from ttd.instrument.site import Site
from ttd.interpreter import Imports, Interpreter
from ttd.state import WASM_PAGE, Frame, Snapshot, State
from ttd.types import UNKNOWN_STEP, Ending, EndKind, Position, StopReason, Trap, TrapKind, Value
from ttd.wasm.model import Module
from ttd.wasm.opcodes import BY_MNEMONIC

NEAR = 300
"""Ticks that the interpreter takes in about the time that handing over costs."""

_FAR = 1 << 61

_PATIENCE = 20
"""How many times as long as a snapshot takes to make, going back to one may take before a new one is made."""
_ENOUGH_TO_JUDGE = 10_000
"""Ticks of a run that tell how fast the program is."""


class CompiledEngine:
    """An engine for one program (`engine.protocol.Engine`). Single-threaded; `close` it after use."""

    def __init__(
        self,
        program: Program,
        host: Host,
        imports: Imports | None = None,
        near: int = NEAR,
        replaying: bool = True,
        store: wasmtime.Store | None = None,
        always_live: Callable[[int], int] | None = None,
    ) -> None:
        """Instrument, compile and instantiate; go to the first rest.

        `near` is how many ticks ahead is not worth leaving the interpreter. `replaying` tells that the
        host can be asked again, so that the engine may go back to find the exact end of a run. `store` is one
        made by `new_store`, for programs that share memories; such an engine is not restored. `always_live`
        gives, by function, the mask of locals to be kept for debugging.
        """
        self._program = program
        self._host = host
        self.near = near
        self._replaying = replaying
        engine = store.engine if store is not None else new_engine()
        self._compiled = Compiled(engine, Instrumented(program.module, always_live), user_cache())
        self._store = store or self._new_store()
        self._exact = Interpreter(program, host, imports, self._store)
        self._move_memories()
        self._native = self._instantiate()
        self._sites = _SiteIndex(self._compiled)
        self._base: Snapshot | None = Snapshot.capture(self._exact.state) if replaying else None
        self._ending: Ending | None = None
        self.last_tick = program.exhaustion.tick if program.exhaustion is not None else _FAR
        self._builds: dict[Build, Compiled] = {}
        self._armed: dict[Build, Native] = {}
        self._scout: Scout | None = None
        self._searched: tuple[tuple[Probe, ...], Position] | None = None
        self._pace = 0.0
        self._capture_seconds = 0.0
        self.handover_seconds = 0.0
        """See `ttd.engine.slices.HandingOver`."""

    def _new_store(self) -> wasmtime.Store:
        return program_store(self._compiled.engine, self._program.limits)

    def _move_memories(self) -> None:
        """Bring the memories, as far as they were made elsewhere, to where the instrumented program can
        import them."""
        for memory in self._exact.memories:
            if memory.store is self._store:
                continue
            contents = bytes(memory.view())
            memory.renew(self._store)
            memory.resize(len(contents) // WASM_PAGE)
            memory.view()[:] = contents

    def _instantiate(self, build: Compiled | None = None) -> Native:
        exact = self._exact
        compiled, memories = build or self._compiled, exact.memories

        def gates(callbacks: Mapping[int, wasmtime.Func]) -> Gates:
            module = self._program.module
            return make_gates(self._host, module, self._store, memories, callbacks, compiled.gates)

        return Native(compiled, self._store, memories, exact.state.globals, self._call_host, gates)

    def close(self) -> None:
        """Free what is native."""
        self._exact.close()

    # --- engine protocol --------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """Where the machine stands; `state` has it too, but takes longer."""
        return self._exact.position

    @property
    def state(self) -> State:
        """The state now, as the interpreter has it."""
        return self._exact.state

    @property
    def top(self) -> State:
        """As `state`, with the innermost frame only."""
        return self._exact.top

    def restore(self, snapshot: Snapshot) -> None:
        """Make the state equal to `snapshot`; DamagedTrace if it does not fit."""
        if self._takes_back_what_native_cannot(snapshot):
            self._start_afresh()
        self._exact.restore(snapshot)
        self._ending = None
        if self._replaying:
            self._base = snapshot

    def _takes_back_what_native_cannot(self, snapshot: Snapshot) -> bool:
        """Whether something grew or was dropped since: see `_start_afresh`."""
        # If it has another number of memories or tables, the interpreter will refuse it.
        now = self.top
        memories = zip(snapshot.memories, self._exact.memories, strict=False)
        return (
            any(image.size < memory.size for image, memory in memories)
            or any(len(then) < len(table) for then, table in zip(snapshot.tables, now.tables, strict=False))
            or not now.dropped_data <= snapshot.dropped_data
            or not now.dropped_elements <= snapshot.dropped_elements
        )

    def _start_afresh(self) -> None:
        """New memories and a new instance: memories and tables never shrink, and segments never come back."""
        self._store = self._new_store()
        for memory in self._exact.memories:
            memory.renew(self._store)
        self._native = self._instantiate()
        self._armed.clear()

    def begin(self, invocation: Invocation) -> None:
        """Make one more invocation the one under way, whatever became of the last one; see
        `Interpreter.begin`."""
        exact, state = self._exact, self._exact.state
        if not state.position.is_exact:
            exact.resume(Position(state.position.tick), [], state.next_event, state.invocation)
        exact.begin(invocation)
        self._ending = None

    def step(self) -> Stop:
        """Go to the next rest."""
        return self._exact.step()

    def run(self, goal: Goal) -> Stop:
        """Run until the goal is reached, a probe hits, or the run ends."""
        if self._ending is not None:
            return Stop(StopReason.ENDED, self._ending.position, ending=self._ending)
        if goal.probes and self._replaying and goal.event is None:
            return self._search(goal)
        tick = min(goal.until.tick if goal.until is not None else _FAR, self.last_tick)
        if goal.probes or goal.event is not None or tick - self._exact.position.tick <= self.near:
            return self._exact.run(goal)
        return self._run_far(tick) or self._exact.run(goal)

    # --- probes -----------------------------------------------------------------------------------

    def _search(self, goal: Goal) -> Stop:
        here = self._exact.position
        is_warm = self._searched == (goal.probes, here)
        self._searched = None
        until, near = goal.until, here.tick + self.near
        watches = sum(isinstance(probe, WatchProbe) for probe in goal.probes)
        if watches > abi.MOST_WATCHES or (until is not None and until.tick <= near):
            return self._exact.run(goal)
        stop = Search(self, goal).run(is_warm)
        if stop.reason is StopReason.LIMIT:
            self._searched = goal.probes, stop.position
        return stop

    @property
    def exact(self) -> Interpreter:
        """The interpreter, which has the state whenever the machine rests."""
        return self._exact

    @property
    def module(self) -> Module:
        """The module that is run."""
        return self._program.module

    def can_scout(self) -> bool:
        """Whether compiled code can take over here."""
        return self._sites.can_go_on(self._exact.state.frames, self._exact.position)

    def base(self) -> Snapshot:
        """A snapshot to go back to: a new one, if the way from the last one has become too long for its
        cost."""
        base = self._base or unreachable("there is no snapshot to go back to")
        way = (self._exact.position.tick - base.position.tick) * self._pace
        if way > _PATIENCE * self._capture_seconds:
            began = time.perf_counter()
            base = self._base = Snapshot.capture(self._exact.state, base)
            self._capture_seconds = time.perf_counter() - began
        return base

    def scout(self, goal: Goal, limit: int, most: int) -> Sighting:
        """Run to tick `limit`, noting the ticks between which the probes of `goal` may hit; see
        `scout.Sighting`."""
        began, state = time.perf_counter(), self._exact.state
        start = state.position.tick
        native = self._native_for(Build.for_probes(goal.probes))
        native.load(state)
        scout = self._scout = Scout(native, goal, state, most)
        stack = self._stack(scout)
        try:
            at_limit = self._run_armed(native, stack, limit)
        finally:
            self._scout = None
            scout.disarm()
        if at_limit:
            self._exact.resume(Position(limit), stack.waiting, self._next_event, stack.invocation)
            scout.stopped(stack.waiting, self._exact.state.frames)
        sighting = scout.sighting(at_limit, limit)
        ticks = native.tick - start
        if ticks > _ENOUGH_TO_JUDGE:
            self._pace = (time.perf_counter() - began) / ticks
        return sighting

    def _stack(self, native: Native | Scout) -> _Stack:
        state = self._exact.state
        return _Stack(native, self._sites, state.frames, self._exact.invocations, state.invocation)

    def _run_armed(self, native: Native, stack: _Stack, limit: int) -> bool:
        """Run with something armed to tick `limit`; False if the run, or the native stack, has ended before.

        The frames then are lost, and whoever wants to know more has to go back.
        """
        state = self._exact.state
        native.set_clock(stack.first_tick(state.position), limit)
        self._next_event = state.next_event
        at_limit = False
        try:
            at_limit = self._run_stack(native, stack, state) is None
        except EngineUnusable:
            raise
        except (wasmtime.Trap, wasmtime.WasmtimeError, HostExit, HostTrap, EndOfLog, TtdError):
            native.clean_up()  # what it was, the interpreter will tell
        native.save(state)
        return at_limit

    def tap(self, taps: Taps, tick: int) -> tuple[list[Call], Call | None] | None:
        """See `engine.protocol.Tapping`."""
        start = self._exact.position
        if tick <= start.tick or not self._replaying or not self.can_scout():
            return None
        base, native = self.base(), self._native_for(Build.PROBING)
        native.load(self._exact.state)
        stack = self._stack(native)
        native.set_clock(stack.first_tick(start), tick)
        tap = Tap(native, self._store, taps)
        try:
            at_limit = self._run_armed(native, stack, tick)
        finally:
            found = tap.close()
        if not at_limit:
            self.restore(base)
            self.run(Goal(until=start))
            return None
        self._exact.resume(Position(tick), stack.waiting, self._next_event, stack.invocation)
        return found

    def _native_for(self, build: Build) -> Native:
        if build is Build.PLAIN:
            return self._native
        if build not in self._builds:
            made = self._compiled.instrumented.with_probes(build is Build.WATCHING)
            self._builds[build] = Compiled(self._compiled.engine, made, user_cache(), self._compiled)
        if build not in self._armed:
            self._armed[build] = self._instantiate(self._builds[build])
        return self._armed[build]

    # --- the long way -----------------------------------------------------------------------------

    def _run_far(self, tick: int) -> Stop | None:
        """Go to tick number `tick`, or to the end if that comes first; None if the interpreter can go on."""
        state = self._exact.state
        while not self._sites.can_go_on(state.frames, state.position):
            stop = self._exact.run(Goal(until=Position(state.position.tick + 1)))
            if stop.reason is not StopReason.LIMIT:
                return stop
            state = self._exact.state
            if state.position.tick >= tick:
                return None
        native = self._native
        native.load(state)
        stack = _Stack(native, self._sites, state.frames, self._exact.invocations, state.invocation)
        native.set_clock(stack.first_tick(state.position), tick)
        self._next_event = state.next_event
        try:
            done = self._run_stack(native, stack, state)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            message = native.gates.trapped(error)
            trap = self._trap(error) if message is None else Trap(TrapKind.HOST, message)
            if trap.kind is TrapKind.STACK_EXHAUSTED and self._base is not None:
                return self._unwind(tick)
            return self._lost(Ending(EndKind.TRAP, self._unknown(), trap=trap), stack.invocation)
        except HostExit as exit_:
            return self._lost(Ending(EndKind.EXIT, self._unknown(), code=exit_.code), stack.invocation)
        except HostTrap as error:
            trap = Trap(TrapKind.HOST, str(error))
            return self._lost(Ending(EndKind.TRAP, self._unknown(), trap=trap), stack.invocation)
        except EngineUnusable:
            raise
        except (EndOfLog, TtdError):
            if self._base is None:
                raise
            return self._recover() or self._exact.run(Goal())
        if done is not None:
            return self._lost(Ending(EndKind.EXIT, self._unknown(), results=done), stack.invocation)
        native.save(state)
        self._exact.resume(Position(tick), stack.waiting, self._next_event, stack.invocation)
        return None

    def _unknown(self) -> Position:
        return Position(self._native.tick, UNKNOWN_STEP)

    def _lost(self, ending: Ending, invocation: int) -> Stop:
        """The run has ended in the instrumented program: go there again exactly, if that is possible."""
        if self._base is not None:
            return self._recover() or self._exact.run(Goal())
        native, state = self._native, self._exact.state
        native.clean_up()
        native.save(state)
        self._exact.resume(ending.position, [], self._next_event, invocation)
        self._ending = ending
        return Stop(StopReason.ENDED, ending.position, ending=ending)

    def _trap(self, error: Exception) -> Trap:
        """What Wasmtime's trap is called here. It does not tell access to a table from a call."""
        if not isinstance(error, wasmtime.Trap) or error.trap_code is None:
            return Trap(TrapKind.UNCAUGHT_EXCEPTION)
        kind = _TRAPS[error.trap_code.name]
        if kind is TrapKind.TABLE_OUT_OF_BOUNDS and self._compiled.opcode_at_trap(error) in _CALLS_INDIRECT:
            kind = TrapKind.UNDEFINED_ELEMENT
        return Trap(kind)

    def _unwind(self, tick: int) -> Stop | None:
        """Go on to `tick` with a fresh native stack, the old one being full.

        A replay is told where the stack was used up (`Program.exhaustion`), and that is not here: other parts
        of the recorded run were frozen, and so had less on the native stack.
        """
        full = self._native.tick
        stop = self._recover() or self._exact.run(Goal(until=Position(full + 1)))
        if stop.reason is not StopReason.LIMIT:
            return stop
        self._base = Snapshot.capture(self._exact.state, self._base)
        return self._run_far(tick) if self.position.tick < tick else None

    def _recover(self) -> Stop | None:
        """Go to the last tick before the frames were lost, from the last snapshot."""
        tick = self._native.tick
        base = self._base or unreachable("there is no snapshot to go back to")
        self._start_afresh()
        self._exact.restore(base)
        if tick - base.position.tick <= self.near:
            return None
        return self._run_far(tick)

    def _run_stack(self, native: Native, stack: _Stack, state: State) -> tuple[Value, ...] | None:
        native.begin_calls(state.next_event)
        began = time.perf_counter() - native.seconds
        try:
            return stack.run(state.position)
        finally:
            self.handover_seconds += time.perf_counter() - native.seconds - began
            self._next_event = native.end_calls()

    def _call_host(
        self, function: int, arguments: tuple[Value, ...], position: Position
    ) -> tuple[Value, ...]:
        scout, memories = self._scout, self._exact.memories
        before = scout.watched() if scout is not None else []
        results = self._host.call(function, arguments, position, memories)
        if scout is not None:
            for memory in memories:
                memory.refresh()
            scout.host_called(before, self._host)
        return results


def program_store(engine: wasmtime.Engine, limits: Limits) -> wasmtime.Store:
    """A store for instances of instrumented programs. Continuations are instances too: there are many."""
    store = new_store(engine)
    store.set_limits(
        table_elements=limits.table_elements, instances=10_000_000, tables=10_000_000, memories=10_000_000
    )
    return store


class _SiteIndex:
    """Finds the site at which a frame that the interpreter has can be thawed."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled

    def tick(self, frame: Frame) -> Site | None:
        """Of the innermost frame, at a tick."""
        return self._compiled.table(frame.function).loops.get(frame.pc)

    def call(self, frame: Frame) -> Site:
        """Of a frame that waits for its callee."""
        return self._compiled.table(frame.function).calls[frame.pc]

    def can_go_on(self, frames: Sequence[Frame], position: Position) -> bool:
        """Whether compiled code can take over these frames: the innermost one was just entered or is at a
        tick, and the one around it waits at a site."""
        if not frames or (len(frames) > 1 and not self._waits(frames[-2])):
            return False
        return self.is_fresh(frames[-1], position) or (position.step == 0 and self._ticked(frames[-1]))

    def is_fresh(self, frame: Frame, position: Position) -> bool:
        """Whether nothing has been executed in the innermost frame, so that its function can be called."""
        return frame.entry == position

    def ticks(self, function: int) -> bool:
        """Whether entering `function` is a tick."""
        return function in self._compiled.instrumented.ticking

    def _waits(self, frame: Frame) -> bool:
        return frame.pc in self._compiled.table(frame.function).calls

    def _ticked(self, frame: Frame) -> bool:
        return self.ticks(frame.function) and self.tick(frame) is not None


class _Stack:
    """The call stack while the instrumented program runs: frames that wait in Python, the innermost one
    last."""

    def __init__(
        self,
        native: Native | Scout,
        sites: _SiteIndex,
        frames: list[Frame],
        invocations: Sequence[Invocation],
        invocation: int,
    ) -> None:
        self._native = native
        self._sites = sites
        self.waiting = frames
        self._invocations = invocations
        self.invocation = invocation

    def first_tick(self, position: Position) -> int:
        """What the clock is to show before `run`: a function that is called ticks by itself."""
        frame = self.waiting[-1]
        entering = self._sites.is_fresh(frame, position) and self._sites.ticks(frame.function)
        return position.tick - entering

    def run(self, position: Position) -> tuple[Value, ...] | None:
        """Run until the clock's limit (None), or until the last invocation has returned: its results."""
        native = self._native
        frame = self.waiting.pop()
        type_ = native.module.functions[frame.function].type
        types = type_.results
        if self._sites.is_fresh(frame, position):
            status = native.enter(frame.function, frame.locals[: len(type_.params)])
        else:
            status = native.thaw(self._tick_site(frame), frame, (), False)
        while status != abi.FROZEN:
            if status == abi.LEFT:
                self.waiting += native.frozen_frames()
                frame = self.waiting.pop()
                types = native.module.functions[frame.function].type.results
                status = native.thaw(self._tick_site(frame), frame, (), False)
                continue
            results = native.results(types) if status == abi.RETURNED else []
            if self.waiting:
                frame = self.waiting.pop()
                types = native.module.functions[frame.function].type.results
                status = native.thaw(self._sites.call(frame), frame, results, status == abi.THREW)
                continue
            if status == abi.THREW:
                raise wasmtime.WasmtimeError("uncaught exception")
            self.invocation += 1
            if self.invocation == len(self._invocations):
                return tuple(results)
            function = self._invocations[self.invocation].function
            types = native.module.functions[function].type.results
            status = native.enter(function, self._invocations[self.invocation].arguments)
        self.waiting += native.frozen_frames()
        return None

    def _tick_site(self, frame: Frame) -> Site:
        return self._sites.tick(frame) or unreachable("a frame that cannot be thawed")


_TRAPS = {
    "UNREACHABLE": TrapKind.UNREACHABLE,
    "INTEGER_DIVISION_BY_ZERO": TrapKind.DIVIDE_BY_ZERO,
    "INTEGER_OVERFLOW": TrapKind.INTEGER_OVERFLOW,
    "BAD_CONVERSION_TO_INTEGER": TrapKind.INVALID_CONVERSION,
    "MEMORY_OUT_OF_BOUNDS": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "HEAP_MISALIGNED": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "TABLE_OUT_OF_BOUNDS": TrapKind.TABLE_OUT_OF_BOUNDS,
    "INDIRECT_CALL_TO_NULL": TrapKind.UNINITIALIZED_ELEMENT,
    "BAD_SIGNATURE": TrapKind.INDIRECT_CALL_TYPE,
    "STACK_OVERFLOW": TrapKind.STACK_EXHAUSTED,
    "NULL_REFERENCE": TrapKind.NULL_REFERENCE,
}


_CALLS_INDIRECT = (BY_MNEMONIC["call_indirect"].code, BY_MNEMONIC["return_call_indirect"].code)
