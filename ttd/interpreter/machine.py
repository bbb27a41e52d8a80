"""The interpreter: an `engine.protocol.Engine` that executes one instruction of the original code at a time.

The heart is `Interpreter._execute`. Between two ticks it does nothing but call operations in a row
(`code`), counting them: that count is the step of the position. Whatever an operation cannot do by
itself (ticks, calls, returns, throws, probes) it asks for by a negative number, and then the time, the
stack and the goal are looked at. The position is exact at every moment, and so is a trap: operations
change nothing before they can trap no more.

**Where it stops.** It rests before each instruction and at each tick (`Code.rests`). To stop at a rest, the
loop is given a bound for the number of steps: the goal's step once the goal's tick has come, or the
present step when something is due at the very next rest.

An exception that is raised into `run` from outside, by a signal handler, leaves the state undefined unless
the machine was inside of a host call then: the state is that before the call.

May import base, `ttd.wasm`, `ttd.engine.protocol`, `ttd.engine.memory` and the rest of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from ttd.engine.memory import LinearMemory
from ttd.engine.protocol import (
    EndOfLog,
    Exhaustion,
    FrameProbe,
    Goal,
    Hit,
    Host,
    HostExit,
    HostTrap,
    Invocation,
    Program,
    Stop,
    WriteReporting,
)
from ttd.errors import DamagedTrace, InternalError, TtdError, check, unreachable
from ttd.interpreter.code import (
    END,
    INDEX,
    PROBE,
    RETURN,
    SITE,
    Activation,
    Code,
    Handler,
    Op,
    Registers,
    Site,
    Trapped,
)
from ttd.interpreter.instance import Imports, Instance
from ttd.interpreter.numerics import Numerics
from ttd.interpreter.probes import Watcher, overlaps
from ttd.interpreter.restore import activations, check_snapshot, restore_instance
from ttd.interpreter.translate import translate
from ttd.state import WASM_PAGE, Frame, Memory, Snapshot, State
from ttd.types import (
    Ending,
    EndKind,
    Position,
    StopReason,
    Trap,
    TrapKind,
    Value,
)

_FAR = 1 << 62
"""A number of steps, or a tick, that no run comes to."""

if TYPE_CHECKING:
    import wasmtime


class _Ended(Exception):
    """The run is over; the stack stays as it is."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


class _Awaited(Exception):
    """The host call that the goal names comes next; the machine stands before it."""


class Interpreter:
    """An engine for one program (`engine.protocol.Engine`). Single-threaded; `close` it after use."""

    def __init__(
        self,
        program: Program,
        host: Host,
        imports: Imports | None = None,
        store: wasmtime.Store | None = None,
    ) -> None:
        """Instantiate the module and go to the first rest. Raises LinkError where that is not possible.

        `imports` are the imported memories, tables and globals; without it they are made, zeroed. Memories
        are made in `store`, or one of their own.
        """
        self._module = program.module
        self._limits = program.limits
        self._exhaustion = program.exhaustion or Exhaustion(_FAR, 0)
        self._host = host
        self._instance = Instance(program.module, program.limits, imports, store)
        self._numerics = Numerics()
        self._codes: list[Code | None] = [None] * len(program.module.functions)
        self._frames: list[Activation] = []
        self._handed: list[Frame] = []  # by `resume`; they become activations when something is to be run
        self._tick = self._step = self._index = 0
        self._next_event = 0
        self._invocations = list(program.invocations)
        self._invocation = 0
        self._results: dict[int, tuple[Value, ...]] = {}  # by number of the invocation
        self._ending: Ending | None = None
        self._watcher = Watcher(Goal())
        self._stop_tick = self._stop_step = 0
        self._guarded(self._settle)

    def close(self) -> None:
        """Free what is native. The memories live on for whoever holds them."""
        self._frames.clear()
        self._handed.clear()
        self._codes.clear()
        self._numerics.close()

    # --- state ---------------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        return Position(self._tick, self._step)

    @property
    def invocations(self) -> Sequence[Invocation]:
        """The invocations of the program, and those that `begin` has added."""
        return self._invocations

    @property
    def memories(self) -> Sequence[LinearMemory]:
        """The linear memories, for hosts that need the native ones."""
        return self._instance.memories

    @property
    def state(self) -> State:
        """The state now. Memories, tables, globals and the sets of dropped segments are live."""
        return self._state(slice(None))

    @property
    def top(self) -> State:
        """As `state`, but with the innermost frame only: what conditions are asked about."""
        return self._state(slice(-1, None))

    def _state(self, part: slice) -> State:
        instance = self._instance
        frames = [frame.copy() for frame in self._handed[part]]
        return State(
            position=self.position,
            frames=frames or [self._frame(activation) for activation in self._frames[part]],
            globals=instance.globals,
            tables=instance.tables,
            memories=cast("list[Memory]", instance.memories),
            dropped_data=instance.dropped_data,
            dropped_elements=instance.dropped_elements,
            next_event=self._next_event,
            invocation=self._invocation,
        )

    def _frame(self, activation: Activation) -> Frame:
        code, site = activation.code, activation.site
        if site is None:
            index, top = self._index, code.locals + code.heights[self._index]
        else:
            index, top = site.index, site.base
        values = cast("list[Value]", activation.registers)
        return Frame(
            code.function.index,
            code.offsets[index],
            values[: code.locals],
            values[code.locals : top],
            activation.entry,
        )

    # --- engine protocol -----------------------------------------------------------------------------

    def begin(self, invocation: Invocation) -> None:
        """Make one more invocation the one under way, whatever became of the last one.

        For library modules that are called from outside as one goes; a program has its invocations fixed.
        """
        self._frames.clear()
        self._handed.clear()
        self._invocations[self._invocation :] = [invocation]
        self._ending = None
        self._guarded(self._settle)

    def step(self) -> Stop:
        """Go to the next rest: one instruction, or to the next tick if that comes before any."""
        return self.run(Goal(until=Position(self._tick, self._step + 1)))

    def run(self, goal: Goal) -> Stop:
        """Run until the goal is reached, a probe hits, or the run ends; see `engine.protocol.Engine`."""
        if self._ending is not None:
            return Stop(StopReason.ENDED, self._ending.position, ending=self._ending)
        until = goal.until
        if until is not None and self.position >= until:
            return Stop(StopReason.LIMIT, self.position)
        self._take_over()
        self._stop_tick, self._stop_step = (until.tick, until.step) if until is not None else (_FAR, 0)
        self._watch(Watcher(goal))
        return self._guarded(self._execute)

    def restore(self, snapshot: Snapshot) -> None:
        """Make the state equal to `snapshot`; DamagedTrace, with nothing changed, if it does not fit."""
        check_snapshot(self._instance, snapshot)
        frames, index = activations(self._module, self._code, snapshot.frames)
        restore_instance(self._instance, snapshot)
        self._frames[:] = frames
        self._handed.clear()
        self._tick, self._step, self._index = snapshot.position.tick, snapshot.position.step, index
        self._next_event, self._invocation = snapshot.next_event, snapshot.invocation
        self._ending = None
        self._host.seek(snapshot.next_event)

    def resume(self, position: Position, frames: Sequence[Frame], next_event: int, invocation: int) -> None:
        """Take over at `position` from an engine that works on the same memories, tables and globals.

        The innermost frame may stand at the end of its function; from there it goes on to the next rest.
        To look at the state costs little then; it is to run from here that takes the functions of all frames
        to be translated. InternalError, at the latest there, if the frames do not fit the module.
        """
        self._frames.clear()
        self._handed[:] = frames
        self._tick, self._step = position.tick, position.step
        self._next_event, self._invocation = next_event, invocation
        self._ending = None
        if frames and self._is_at_end(frames[-1]):
            self._guarded(self._settle)

    def _is_at_end(self, frame: Frame) -> bool:
        return frame.pc == self._module.functions[frame.function].code.end - 1

    def _take_over(self) -> None:
        """Make activations of the frames that were handed over."""
        if not self._handed:
            return
        try:
            stack, self._index = activations(self._module, self._code, self._handed, may_be_at_end=True)
        except DamagedTrace as error:
            raise InternalError(f"another engine left an impossible stack: {error}") from error
        self._frames[:] = stack
        self._handed.clear()

    # --- running -------------------------------------------------------------------------------------

    def _execute(self) -> Stop:
        """Run until there is a reason to stop.

        Long, because it is the machine: its variables are time, place and the innermost activation. Ticks,
        calls and returns are done here; what is rarer is done in methods, to which `self._tick`, `_step` and
        `_index` are handed over and from which they come back. `i` is the entry that comes next; a
        negative one is a transfer, which the inner loop takes apart.
        """
        if not self._frames:
            self._enter_invocation()
        frames, codes, depth_limit = self._frames, self._codes, self._limits.call_depth
        watcher, stop_tick, last_tick = self._watcher, self._stop_tick, self._exhaustion.tick
        followed = watcher.follows_frames
        active = frames[-1]
        code, ops, r = active.code, active.ops, active.registers
        tick, step, i = self._tick, self._step, self._index
        alarm = stop_tick
        try:
            while True:
                bound = _FAR if tick < alarm else self._bound(tick, step)
                for step in range(step, bound):  # noqa: B007, B020 (it goes on)
                    i = ops[i](r)
                    if i < 0:
                        break
                else:
                    step = max(step, bound)
                    if code.rests(i, step):
                        self._tick, self._step, self._index = tick, step, i
                        stop = self._arrive(active)
                        if stop is not None:
                            return stop
                        alarm = stop_tick
                        continue
                    i = ops[i](r)  # a loop marker or an end, to be walked over
                while i < 0:
                    transfer = ~i
                    if transfer < SITE:
                        tick, step, i = tick + 1, 0, transfer
                        break
                    i = transfer & INDEX
                    if transfer < RETURN:
                        site = code.sites[i]
                        function = site.function
                        if function is None and site.select is not None:
                            function = site.select(r)
                        callee = None if function is None else codes[function] or self._code(function)
                        if tick >= last_tick and function is not None:
                            self._check_stack()
                        if callee is None:
                            self._tick, self._step, self._index = tick, step, i
                            i = self._throw(site) if function is None else self._call_host(function, site)
                            step += 1
                            active = frames[-1]
                            code, ops, r = active.code, active.ops, active.registers
                        else:
                            arguments = r[site.base : site.base + callee.parameters]
                            if site.is_tail:
                                watcher.left(frames.pop())
                            elif len(frames) >= depth_limit:
                                raise Trapped(TrapKind.STACK_EXHAUSTED)
                            else:
                                active.site = site
                            if callee.ticks:
                                tick, step = tick + 1, 0
                            else:
                                step += 1
                            r = arguments + callee.fresh
                            active = Activation(callee, r, tick, step)
                            frames.append(active)
                            if followed:
                                watcher.patch_frame(active)
                            code, ops, i = callee, active.ops, 0
                    elif transfer < PROBE:
                        if transfer < END:
                            step += 1  # a `return`, which is an instruction
                        frames.pop()
                        if followed:
                            watcher.left(active)
                        first, count = code.locals, code.results
                        if frames:
                            caller = frames[-1]
                            site = caller.site or unreachable("a caller has no call under way")
                            caller.site = None
                            to, base = caller.registers, site.base
                            if count == 1:
                                to[base] = r[first]
                            else:
                                to[base : base + count] = r[first : first + count]
                            active, i = caller, site.resume
                        else:
                            i = 0
                            self._tick, self._step = tick, step
                            self._results[self._invocation] = tuple(r[first : first + count])
                            self._invocation += 1
                            self._enter_invocation()
                            tick, step, active = self._tick, self._step, frames[-1]
                        code, ops, r = active.code, active.ops, active.registers
                    else:
                        self._tick, self._step, self._index = tick, step, i
                        stop = self._pass_by(active)
                        if stop is not None:
                            return stop
                        i = self._perform(active)
                        if i >= 0:
                            step += 1
                    if watcher.due:
                        alarm = -1
        except Trapped as trapped:
            raise _Ended(self._trap(tick, step, trapped.kind, trapped.detail)) from None
        except ZeroDivisionError:
            raise _Ended(self._trap(tick, step, TrapKind.DIVIDE_BY_ZERO)) from None
        except IndexError:
            check(i in code.accesses, "an index error that is no memory access")
            raise _Ended(self._trap(tick, step, TrapKind.MEMORY_OUT_OF_BOUNDS)) from None
        finally:
            self._tick, self._step, self._index = tick, step, i

    def _bound(self, tick: int, step: int) -> int:
        """How far to count the steps of this tick; asked at the goal's tick, and if something is due."""
        if self._watcher.due or tick > self._stop_tick:
            return step
        return max(step, self._stop_step) if tick == self._stop_tick else _FAR

    @property
    def exits_here(self) -> tuple[FrameProbe, ...]:
        """Exits of frames at the very position that the last run was to reach, which it has not told."""
        return self._watcher.pending_exits

    def _guarded(self, action: Callable[[], Stop]) -> Stop:
        """What `action` gives, or the stop that its exception means."""
        watcher = self._watcher
        try:
            return action()
        except _Ended as ended:
            self._ending = ended.ending
        except EndOfLog:
            return Stop(StopReason.END_OF_TRACE, self.position, tuple(watcher.hits))
        except _Awaited:
            return Stop(StopReason.LIMIT, self.position, tuple(watcher.hits))
        position = self._ending.position
        if watcher.hits and not watcher.goal.remember:
            return Stop(StopReason.PROBE, position, tuple(watcher.hits))
        return Stop(StopReason.ENDED, position, tuple(watcher.hits), self._ending)

    def _trap(self, tick: int, step: int, kind: TrapKind, detail: str = "") -> Ending:
        return Ending(EndKind.TRAP, Position(tick, step), trap=Trap(kind, detail))

    def _arrive(self, active: Activation) -> Stop | None:
        """The machine is at a rest that it was to stop at, or to look around: the stop, or None to go on."""
        watcher, position = self._watcher, self.position
        stops = not watcher.goal.remember
        if watcher.hits and stops:  # a watch hit, at the instruction before
            return Stop(StopReason.PROBE, position, tuple(watcher.hits))
        if (self._tick, self._step) >= (self._stop_tick, self._stop_step):
            return Stop(StopReason.LIMIT, position, tuple(watcher.hits))
        if watcher.arrive(position) and stops:
            if self._index not in active.code.loops:
                watcher.pass_by(active, self._index, position)
            return self._stop_before(active)
        return None

    def _pass_by(self, active: Activation) -> Stop | None:
        """A probe sits on the instruction that comes next: the stop, if it hits and hits are to stop at."""
        watcher = self._watcher
        if watcher.pass_by(active, self._index, self.position) and not watcher.goal.remember:
            return self._stop_before(active)
        return None

    # --- invocations, exceptions, host calls ---------------------------------------------------------

    def _settle(self) -> Stop:
        """Enter the invocation under way, unless that was done, and go to the next rest."""
        self._take_over()
        self._stop_tick = self._stop_step = 0
        self._watch(Watcher(Goal()))
        return self._execute()

    def _enter_invocation(self) -> None:
        """Enter the invocation under way, or end the run when there is none left.

        An invocation may be of an import: that is a host call then, made from nowhere.
        """
        while self._invocation < len(self._invocations):
            invocation = self._invocations[self._invocation]
            code = self._code(invocation.function)
            if code is not None:
                if code.ticks:
                    self._tick, self._step = self._tick + 1, 0
                registers = cast(Registers, list(invocation.arguments)) + code.fresh
                activation = Activation(code, registers, self._tick, self._step)
                self._index = 0
                self._frames.append(activation)
                self._watcher.patch_frame(activation)
                return
            self._await_event()
            results, _ = self._ask_host(invocation.function, invocation.arguments)
            self._results[self._invocation] = results
            self._next_event += 1
            self._invocation += 1
        results = self._results.get(self._invocation - 1, ())
        raise _Ended(Ending(EndKind.EXIT, self.position, results=results))

    def _throw(self, site: Site) -> int:
        """Unwind to the handler of the exception thrown at `site`: the entry to go on with."""
        frames = self._frames
        thrown = site.thrown or unreachable("a site that neither calls nor throws")
        exception = thrown(frames[-1].registers)
        for depth in reversed(range(len(frames))):
            activation = frames[depth]
            under_way = activation.site or site
            handler = _handler(activation.code, under_way.index, exception.tag)
            if handler is not None:
                for gone in reversed(frames[depth + 1 :]):
                    self._watcher.left(gone)
                del frames[depth + 1 :]
                activation.site = None
                values: list[Value] = list(exception.payload) if handler.tag is not None else []
                if handler.with_reference:
                    values.append(exception)
                base = handler.landing.base
                activation.registers[base : base + len(values)] = cast(Registers, values)
                return handler.landing.goto
        raise Trapped(TrapKind.UNCAUGHT_EXCEPTION)

    def _call_host(self, function: int, site: Site) -> int:
        """Perform the call of an import at `site`: the entry to go on with."""
        active, base = self._frames[-1], site.base
        self._await_event()
        results, hits = self._ask_host(function, self._arguments(function, site))
        try:
            self._take(hits)
        except BaseException:  # of the one who was offered the hits: the machine stands before the call
            self._host.seek(self._next_event)
            raise
        self._next_event += 1
        if site.is_tail:
            base = active.code.locals
        active.registers[base : base + len(results)] = cast(Registers, results)
        return ~(END | active.code.end) if site.is_tail else site.resume

    def _check_stack(self) -> None:
        """Trap at a call that is said to have used up the stack."""
        if self._next_event >= self._exhaustion.events:
            raise Trapped(TrapKind.STACK_EXHAUSTED)

    def _await_event(self) -> None:
        if self._next_event == self._watcher.goal.event:
            raise _Awaited

    def _arguments(self, function: int, site: Site) -> tuple[Value, ...]:
        count = len(self._module.functions[function].type.params)
        return tuple(self._frames[-1].registers[site.base : site.base + count])

    def _ask_host(self, function: int, arguments: tuple[Value, ...]) -> tuple[tuple[Value, ...], list[Hit]]:
        """Results of a host call, and what watches have to say about its effects."""
        watcher, host, position = self._watcher, self._host, self.position
        memories = self._instance.memories
        before = watcher.watched(memories)
        try:
            results = host.call(function, arguments, position, memories)
        except HostExit as exit_:
            raise _Ended(Ending(EndKind.EXIT, position, code=exit_.code)) from None
        except HostTrap as trap:
            raise _Ended(self._trap(position.tick, position.step, TrapKind.HOST, str(trap))) from None
        finally:
            for memory in memories:
                memory.refresh()
        expected = len(self._module.functions[function].type.results)
        check(len(results) == expected, f"a host call has {len(results)} results, not {expected}")
        writes = host.last_writes if isinstance(host, WriteReporting) else ()
        return results, watcher.compare(
            before,
            memories,
            lambda watch: any(overlaps(watch, w.memory, w.address, len(w.data)) for w in writes),
            position,
        )

    # --- watching ------------------------------------------------------------------------------------

    def _watch(self, watcher: Watcher) -> None:
        """Look for what `watcher` looks for, and no longer for what the last one did."""
        before, self._watcher = self._watcher.goal.probes, watcher
        if before != watcher.goal.probes:
            for code in self._codes:
                if code is not None:
                    watcher.patch(code)
        elif not before:
            return
        for activation in self._frames:
            watcher.patch_frame(activation)

    def _perform(self, active: Activation) -> int:
        """Do what the instruction under a probe does, and see whether it writes to what is watched."""
        op = active.code.ops[self._index]
        if not self._watcher.watches or self._index not in active.code.writers:
            return op(active.registers)
        following, hits = self._write(active, op)
        self._take(hits)
        return following

    def _take(self, hits: list[Hit]) -> None:
        """Offer watch hits; one that counts makes the machine stop at the next rest."""
        watcher = self._watcher
        if hits and watcher.offer(hits) and not watcher.goal.remember:
            watcher.due = True

    def _write(self, active: Activation, op: Op) -> tuple[int, list[Hit]]:
        """Perform an instruction that writes to memory: the next entry, and the watch hits."""
        watcher, memories = self._watcher, self._instance.memories
        memory, address, length = active.code.writers[self._index](active.registers)
        if not any(overlaps(watch, memory, address, length) for watch in watcher.watches):
            return op(active.registers), []
        before = watcher.watched(memories)
        following = op(active.registers)
        hits = watcher.compare(
            before, memories, lambda watch: overlaps(watch, memory, address, length), self.position
        )
        return following, hits

    def _stop_before(self, active: Activation) -> Stop:
        """Stop at hits here. The next instruction may write to what is watched: a hit at this very position.

        To know that, the write is made and taken back again.
        """
        watcher = self._watcher
        if watcher.watches:
            function = self._host_function(active)
            if function is not None or self._index in active.code.writers:
                self._try_write(active, function)
        return Stop(StopReason.PROBE, self.position, tuple(watcher.hits))

    def _host_function(self, active: Activation) -> int | None:
        """The import that the next instruction calls, if it does."""
        site = active.code.sites.get(self._index)
        if site is None or site.thrown is not None:
            return None
        try:
            function = site.select(active.registers) if site.select is not None else site.function
        except Trapped:
            return None
        return function if function is not None and self._code(function) is None else None

    def _try_write(self, active: Activation, function: int | None) -> None:
        """Offer the watch hits that the next instruction, a write or the call of an import, will have."""
        memories = self._instance.memories
        saved = [bytes(memory.view()) for memory in memories]
        hits: list[Hit] = []
        try:
            if function is None:
                _, hits = self._write(active, active.code.ops[self._index])
            else:
                site = active.code.sites[self._index]
                _, hits = self._ask_host(function, self._arguments(function, site))
        except (Trapped, IndexError, EndOfLog, _Ended, TtdError):
            pass  # it will be raised again when the instruction is really executed
        try:
            self._watcher.offer(hits)
        finally:
            for memory, data in zip(memories, saved, strict=True):
                memory.resize(len(data) // WASM_PAGE)
                memory.view()[:] = data
            if function is not None:
                self._host.seek(self._next_event)

    # --- code ----------------------------------------------------------------------------------------

    def _code(self, function: int) -> Code | None:
        """The code of a function, translated when it is first needed; None for an import."""
        code = self._codes[function]
        if code is None and self._module.functions[function].imported is None:
            code = translate(self._instance, self._numerics, self._module.functions[function])
            self._codes[function] = code
            self._watcher.patch(code)
        return code


def _handler(code: Code, index: int, tag: int) -> Handler | None:
    """The innermost handler around entry `index` that takes exceptions of `tag`."""
    for range_ in reversed(code.tries):
        if range_.first <= index < range_.last:
            for handler in range_.handlers:
                if handler.tag is None or handler.tag == tag:
                    return handler
    return None
