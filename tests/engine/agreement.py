"""Runs a generated program in every way there is, and says where two of them differ."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import wasmtime

from tests.engine.generator import HOSTS, Program, generate, host_answer
from ttd.engine.compiled import CompiledEngine, program_store
from ttd.engine.native import new_engine
from ttd.engine.protocol import Engine, Goal, Invocation, Limits
from ttd.engine.protocol import Program as Runnable
from ttd.engine.validate import load_module
from ttd.interpreter import Interpreter
from ttd.state import Frame, Memory, Snapshot
from ttd.types import Ending, ExceptionValue, Position, StopReason, TrapKind, Value
from ttd.wasm.model import Module

_TRAPS = {
    "unreachable": TrapKind.UNREACHABLE,
    "integer divide by zero": TrapKind.DIVIDE_BY_ZERO,
    "integer overflow": TrapKind.INTEGER_OVERFLOW,
    "invalid conversion to integer": TrapKind.INVALID_CONVERSION,
    "out of bounds memory access": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "uninitialized element": TrapKind.UNINITIALIZED_ELEMENT,
    "indirect call type mismatch": TrapKind.INDIRECT_CALL_TYPE,
    "null reference": TrapKind.NULL_REFERENCE,
    "undefined element: out of bounds table access": TrapKind.TABLE_OUT_OF_BOUNDS,
}
"""By what Wasmtime's messages contain. The last one is also that of a call through a short table."""


@dataclass(frozen=True)
class Outcome:
    """What anybody can see of a finished run."""

    trap: TrapKind | None
    memories: tuple[bytes, ...]


class Disagreement(AssertionError):
    """Two ways of running a program differ."""


def require(condition: bool, what: str) -> None:
    if not condition:
        raise Disagreement(what)


# --- plain Wasmtime -----------------------------------------------------------------------------------


@cache
def _plain_engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_exceptions = True
    config.wasm_gc = True
    config.wasm_function_references = True
    config.wasm_memory64 = True
    config.wasm_multi_memory = True
    config.wasm_tail_call = True
    config.wasm_relaxed_simd = True
    config.wasm_relaxed_simd_deterministic = True
    config.cranelift_nan_canonicalization = True
    return wasmtime.Engine(config)


def run_plain(program: Program) -> Outcome:
    """Run it without any of ttd."""
    store = wasmtime.Store(_plain_engine())
    module = wasmtime.Module(store.engine, program.binary)
    imports = [_plain_host(store, name) for name in HOSTS]
    exports = wasmtime.Instance(store, module, imports).exports(store)
    trap = None
    try:
        for name, arguments in program.calls:
            signed = [value - (value >> 31 << 32) for value in arguments]
            cast(wasmtime.Func, exports[name])(store, *signed)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        trap = _plain_trap(error)
    memories = [item for item in exports.values() if isinstance(item, wasmtime.Memory)]
    return Outcome(trap, tuple(bytes(memory.read(store)) for memory in memories))


def _plain_host(store: wasmtime.Store, name: str) -> wasmtime.Func:
    def call(caller: wasmtime.Caller, number: int, other: int) -> int:
        answer, write = host_answer(name, number & 0xFFFFFFFF, other & (1 << 64) - 1)
        if write is not None:
            cast(wasmtime.Memory, caller["m0"]).write(caller, write[1], write[0])
        return answer - (answer >> 31 << 32)

    i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
    return wasmtime.Func(store, wasmtime.FuncType([i32, i64], [i32]), call, access_caller=True)


def _plain_trap(error: Exception) -> TrapKind:
    message = str(error)
    return next((kind for text, kind in _TRAPS.items() if text in message), TrapKind.UNCAUGHT_EXCEPTION)


# --- ttd's engines ------------------------------------------------------------------------------------


class PureHost:
    """Answers by `host_answer`: the same whenever it is asked."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        imported = self._module.functions[function].imported
        assert imported is not None
        answer, write = host_answer(imported.name, cast(int, arguments[0]), cast(int, arguments[1]))
        if write is not None:
            address, data = write
            memories[0].view()[address : address + len(data)] = data
        return (answer,)

    def seek(self, event: int) -> None:
        """Nothing to do."""


def runnable(program: Program) -> Runnable:
    module = load_module(program.binary)
    indices = {name: module.exports_by_name[name].index for name, _ in program.calls}
    return Runnable(module, tuple(Invocation(indices[name], arguments) for name, arguments in program.calls))


@cache
def _engine() -> wasmtime.Engine:
    return new_engine()


def compiled(program: Runnable, replaying: bool = True) -> CompiledEngine:
    """A compiled engine that leaves compiled code only where it must."""
    store = program_store(_engine(), Limits())
    return CompiledEngine(program, PureHost(program.module), near=0, replaying=replaying, store=store)


def outcome(engine: Engine, ending: Ending | None) -> Outcome:
    require(ending is not None, "the run does not end")
    trap = ending.trap.kind if ending is not None and ending.trap is not None else None
    return Outcome(trap, tuple(bytes(memory.view()) for memory in engine.state.memories))


def same_outcome(one: Outcome, other: Outcome) -> bool:
    traps = {
        TrapKind.TABLE_OUT_OF_BOUNDS if o.trap is TrapKind.UNDEFINED_ELEMENT else o.trap for o in (one, other)
    }
    return len(traps) == 1 and one.memories == other.memories


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
            text = "" if what == "memories" else f": {mine} and {others}"
            require(mine == others, f"{what} differs {where}{text}")
        self._same(one.globals, other.globals, f"globals {where}")
        for index, (mine, others) in enumerate(zip(one.tables, other.tables, strict=True)):
            self._same(mine, others, f"table {index} {where}")
        require(len(one.frames) == len(other.frames), f"different depth {where}")
        for a, b in zip(one.frames, other.frames, strict=True):
            self._frames(a, b, where)

    def _frames(self, one: Frame, other: Frame, where: str) -> None:
        for what in ("function", "pc", "entry"):
            mine, others = getattr(one, what), getattr(other, what)
            require(mine == others, f"{what} of a frame differs {where}: {mine} and {others}")
        self._same(one.operands, other.operands, f"operands in function {one.function} {where}")
        dead = (0, None)
        mine = [a if b not in dead else b for a, b in zip(one.locals, other.locals, strict=True)]
        self._same(mine, other.locals, f"locals of function {one.function} {where}")

    def _same(self, ones: Sequence[Value], others: Sequence[Value], what: str) -> None:
        require(len(ones) == len(others), f"different number of {what}")
        for one, other in zip(ones, others, strict=True):
            if isinstance(one, ExceptionValue) and isinstance(other, ExceptionValue):
                known = self._pairs.setdefault(id(one), id(other))
                require(known == id(other), f"identity of an exception in {what}")
                require(one.tag == other.tag, f"tag of an exception in {what}")
                self._same(one.payload, other.payload, f"payload of {what}")
            else:
                require(one == other, f"{what}: {one!r} and {other!r}")


# --- everything together ------------------------------------------------------------------------------


def check(program: Program, rng: random.Random) -> tuple[TrapKind | None, int]:
    """Raise Disagreement if two ways of running the program differ; its trap, and how many ticks it had."""
    plain = run_plain(program)
    run = runnable(program)
    exact = Interpreter(run, PureHost(run.module))
    ending = exact.run(Goal()).ending
    require(same_outcome(outcome(exact, ending), plain), f"interpreter and Wasmtime: {ending} {plain.trap}")
    assert ending is not None
    _recording(run, ending, plain)
    _replaying(run, ending, exact)
    _frozen(run, ending, rng)
    return plain.trap, ending.position.tick


def _recording(run: Runnable, ending: Ending, plain: Outcome) -> None:
    """In one go, as when recording."""
    engine = compiled(run, replaying=False)
    found = engine.run(Goal()).ending
    require(outcome(engine, found).memories == plain.memories, "compiled: memory")
    assert found is not None
    require(found.kind is ending.kind and found.trap == ending.trap, f"compiled: {found} and {ending}")
    require(found.position.agrees(ending.position), f"compiled: {found.position} and {ending.position}")
    engine.close()


def _replaying(run: Runnable, ending: Ending, exact: Interpreter) -> None:
    """In one go, and back to where it ended."""
    engine = compiled(run)
    found = engine.run(Goal()).ending
    require(found == ending, f"compiled, replaying: {found} and {ending}")
    mine, others = Snapshot.capture(exact.state), Snapshot.capture(engine.state)
    States(run.module).compare(mine, others, "at the end")
    engine.close()


def _frozen(run: Runnable, ending: Ending, rng: random.Random) -> None:
    """Frozen at random ticks, with steps of the interpreter in between, next to an interpreter."""
    exact, engine = Interpreter(run, PureHost(run.module)), compiled(run)
    states = States(run.module)
    farthest = rng.choice((1, 1, 2, 5, 20))
    while True:
        tick = engine.state.position.tick + rng.randint(1, farthest)
        goal = Goal(until=Position(tick, 0 if rng.random() < 0.7 else rng.randrange(6)))
        one, other = exact.run(goal), engine.run(goal)
        require(one.reason is other.reason and one.ending == other.ending, f"stops: {one} and {other}")
        mine, others = Snapshot.capture(exact.state), Snapshot.capture(engine.state)
        states.compare(mine, others, f"at {one.position}")
        if one.reason is not StopReason.LIMIT:
            break
        if rng.random() < 0.05:
            engine.restore(others)
    require(one.ending == ending, "the interpreter itself")
    engine.close()


def check_seed(seed: int) -> tuple[TrapKind | None, int]:
    """Generate a program from `seed`, and check it."""
    rng = random.Random(seed)
    return check(generate(rng.randrange, 20 + rng.randrange(80)), rng)
