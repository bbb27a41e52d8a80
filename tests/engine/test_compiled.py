"""The compiled engine against the interpreter: frozen, stepped and thawed at every tick, and in one go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
import wasmtime

from tests.engine.agreement import States, compiled
from tests.interpreter.programs import PROGRAMS
from tests.interpreter.rig import module_of
from tests.large import large_function
from ttd.engine.compiled import CompiledEngine
from ttd.engine.protocol import FrameProbe, Goal, Invocation, Limits, Program
from ttd.engine.slices import HandingOver
from ttd.engine.validate import load_module
from ttd.errors import EngineUnusable
from ttd.instrument import sharing
from ttd.instrument.program import Instrumented
from ttd.instrument.sites import FunctionPlan
from ttd.interpreter import Imports, Interpreter
from ttd.state import Memory, Snapshot
from ttd.types import EndKind, ExceptionValue, Position, StopReason, TrapKind, Value
from ttd.wasm.model import ValType

I32 = ValType.I32

CASES = {
    **PROGRAMS,
    "a tick that only ends follow": """
      (func $spin (param i32) (result i32) (local.get 0) (loop))
      (func $deep (result i32) (call $spin (i32.const 3)) (call $spin (i32.const 4)) i32.add)
      (func (export "main") (result i32) (loop (call $deep) drop) (call $deep) (loop))""",
    "loops that come to rest at one instruction": """
      (func (export "main") (result i32) (local i32)
        (loop $again
          (if (i32.and (local.get 0) (i32.const 1)) (then (loop)) (else (block (loop (loop)))))
          (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get 0) (i32.const 5))))
        (local.get 0))""",
    "operands below blocks, loops and calls": """
      (func $f (param i32) (result i32) (if (local.get 0) (then (loop))) (local.get 0))
      (func (export "main") (result i64 i32) (local i32)
        (i64.const 7) (i32.const 1)
        (if (param i64) (result i64 i32) (then (i32.const 5)
          (loop (param i64 i32) (result i64 i32)
            (call $f) (block (result i32) (call $f (i32.const 9))) i32.add
            (local.set 0) (i64.add (i64.const 1)) (local.get 0)
            (br_if 0 (i64.lt_u (i64.extend_i32_u (local.get 0)) (i64.const 40)))))
         (else (i32.const 6))))""",
    "vectors that wait": """
      (func $f (param v128) (result v128) (loop) (local.get 0))
      (func (export "main") (result i32)
        (i32x4.extract_lane 3 (i32x4.add (v128.const i32x4 1 2 3 4)
          (call $f (i8x16.shuffle 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0
            (call $f (v128.const i64x2 0x0102030405060708 -1)) (v128.const i32x4 0 0 0 0))))))""",
    "references in frames, tables and globals": """
      (type $t (func (result i32)))
      (table $t 4 funcref) (table $x 3 externref)
      (global $g (mut funcref) (ref.func $a))
      (elem declare func $a $b)
      (func $a (result i32) (loop) (i32.const 1))
      (func $b (result i32) (i32.const 2) (loop))
      (func $keep (param funcref) (result funcref) (loop) (ref.func $b) (local.set 0) (loop) (local.get 0))
      (func (export "main") (result i32) (local funcref)
        (table.set $t (i32.const 0) (call $keep (ref.null func)))
        (table.set $t (i32.const 1) (global.get $g))
        (global.set $g (ref.func $b))
        (drop (table.grow $t (global.get $g) (i32.const 3)))
        (drop (table.grow $x (ref.null extern) (i32.const 2)))
        (loop)
        (i32.add (call_indirect $t (type $t) (i32.const 0)) (i32.add
          (call_indirect $t (type $t) (i32.const 1)) (call_indirect $t (type $t) (i32.const 6)))))""",
    "exceptions in frames, and across frames that wait": """
      (tag $e (param i32 funcref exnref)) (tag $f (param v128 f32 f64 i64))
      (func $throw (param i32 exnref) (loop) (throw $e (local.get 0) (ref.func $catch) (local.get 1)))
      (func $pass (param i32 exnref) (loop) (call $throw (local.get 0) (local.get 1)) (loop))
      (func $catch (param exnref) (result exnref)
        (block $h (result i32 funcref exnref exnref)
          (try_table (catch_ref $e $h) (loop) (call $pass (i32.const 8) (local.get 0))) unreachable)
        (loop) (local.set 0) drop drop drop (local.get 0))
      (elem declare func $catch)
      (func $vector (result exnref)
        (block $h (result exnref)
          (try_table (catch_all_ref $h)
            (throw $f (v128.const i64x2 5 -6) (f32.const nan:0x200001) (f64.const -0) (i64.const -1)))
          unreachable) (loop))
      (func (export "main") (local exnref exnref exnref)
        (local.set 0 (call $catch (call $vector)))
        (local.set 1 (call $catch (local.get 0)))
        (local.set 2 (local.get 1)) (loop)
        (block $out (result i32 funcref exnref)
          (try_table (catch $e $out) (loop) (throw_ref (local.get 2))) (return))
        drop drop drop (loop) (drop (call $catch (local.get 0))))""",
    "an exception that nobody catches": """
      (tag $e)
      (func $f (loop) (throw $e))
      (func (export "main") (loop) (call $f))""",
    "segments that are dropped": """
      (memory 1) (table 4 funcref)
      (data $d "abcdefgh") (elem $s func $drops $main) (data $never "x")
      (func $drops (data.drop $d) (elem.drop $s))
      (func $main (export "main") (loop)
        (memory.init $d (i32.const 1) (i32.const 2) (i32.const 3)) (loop)
        (table.init $s (i32.const 0) (i32.const 0) (i32.const 2)) (loop)
        (call $drops) (loop)
        (memory.init $d (i32.const 1) (i32.const 0) (i32.const 0)) (loop)
        (table.init $s (i32.const 1) (i32.const 0) (i32.const 1)))""",
    "memories": """
      (memory $a 1 2) (memory $b i64 1)
      (func $grow (param i32) (result i32)
        (loop) (i64.store $b offset=8 (i64.const 16) (i64.extend_i32_u (local.get 0)))
        (memory.grow $a (i32.const 1)))
      (func (export "main") (result i32 i32 i64 i64)
        (call $grow (i32.const 5)) (call $grow (i32.const 6))
        (memory.grow $b (i64.const 70000)) (loop (result i64) (i64.load $b (i64.const 24))))""",
    "a call past the end of a table": """
      (table 2 funcref) (type $t (func))
      (func (export "main") (loop) (loop) (call_indirect (type $t) (i32.const 2)))""",
    "access past the end of a table": """
      (table 2 funcref)
      (func (export "main") (loop) (loop) (drop (table.get (i32.const 2))))""",
    "a null in a table": """
      (table 2 funcref) (type $t (func))
      (func (export "main") (loop) (loop) (call_indirect (type $t) (i32.const 1)))""",
    "tail calls that trap": """
      (table 2 funcref) (type $t (func))
      (func $f (loop) (return_call_indirect (type $t) (i32.const 7)))
      (func (export "main") (loop) (call $f))""",
}


class Echo:
    """A host whose functions give back their arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[Value, ...]] = []

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        self.calls.append(arguments)
        return arguments

    def seek(self, event: int) -> None:
        """Nothing to do."""


def program_of(text: str) -> Program:
    module = module_of(f"(module {text})")
    return Program(module, (Invocation(module.exports_by_name["main"].index),))


def pair(program: Program) -> tuple[Interpreter, CompiledEngine]:
    return Interpreter(program, Echo()), compiled(program)


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("name", CASES)
def test_states_are_those_of_the_interpreter_at_every_tick(name: str, steps: int) -> None:
    program = program_of(CASES[name])
    exact, engine = pair(program)
    states = States(program.module)
    while True:
        goal = Goal(until=Position(engine.state.position.tick + 1))
        one, other = exact.run(goal), engine.run(goal)
        assert (one.reason, one.position, one.ending) == (other.reason, other.position, other.ending)
        states.compare(Snapshot.capture(exact.state), Snapshot.capture(engine.state), f"at {one.position}")
        if one.reason is not StopReason.LIMIT:
            break
        for _ in range(steps):
            assert exact.step() == engine.step()


@pytest.mark.parametrize("name", CASES)
def test_a_run_in_one_go_ends_like_the_interpreter(name: str) -> None:
    program = program_of(CASES[name])
    ending = Interpreter(program, Echo()).run(Goal()).ending
    assert compiled(program).run(Goal()).ending == ending
    recorded = compiled(program, replaying=False).run(Goal()).ending
    assert ending is not None and recorded is not None
    assert (recorded.kind, recorded.trap) == (ending.kind, ending.trap)
    assert recorded.position.agrees(ending.position)
    if ending.kind is EndKind.EXIT:
        assert [type(value) for value in recorded.results] == [type(value) for value in ending.results]
        plain = [value for value in ending.results if not isinstance(value, ExceptionValue)]
        assert [value for value in recorded.results if not isinstance(value, ExceptionValue)] == plain


@pytest.mark.parametrize("name", CASES)
def test_loops_may_call_what_spills(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FunctionPlan, "large_from", 0)
    monkeypatch.setattr(FunctionPlan, "in_registers", 0)
    monkeypatch.setattr(FunctionPlan, "shared", {})
    test_states_are_those_of_the_interpreter_at_every_tick(name, 0)


@pytest.mark.parametrize("name", CASES)
def test_sites_may_share_the_code_that_spills(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FunctionPlan, "large_from", 0)
    monkeypatch.setattr(FunctionPlan, "in_registers", 0)
    monkeypatch.setattr(sharing, "SIZES", (2, 2))
    test_states_are_those_of_the_interpreter_at_every_tick(name, 0)
    test_a_run_in_one_go_ends_like_the_interpreter(name)


def test_going_back_takes_tables_back_that_have_grown() -> None:
    text = """
      (table $t 1 funcref) (elem declare func $f)
      (func $f)
      (func (export "main") (loop) (drop (table.grow $t (ref.func $f) (i32.const 3))) (loop) (loop))"""
    _, engine = pair(program_of(text))
    start = Snapshot.capture(engine.state)
    end = engine.run(Goal(until=Position(4)))
    grown = Snapshot.capture(engine.state)
    assert [len(table) for table in (*start.tables, *grown.tables)] == [1, 4]
    engine.restore(start)
    assert engine.run(Goal(until=Position(4))) == end
    assert Snapshot.capture(engine.state) == grown


def test_a_large_function_is_instrumented_in_proportion_to_its_size() -> None:
    data = large_function(instructions=20_000, calls=2_000, locals_=5_000)
    module = load_module(data)
    instrumented = Instrumented(module)
    plan = instrumented.plans[1]
    assert len(plan.sites) > 2_000
    assert sum(len(site.locals) for site in plan.sites) > FunctionPlan.large_from, "a test of large functions"
    assert plan.shared and len(instrumented.encode()) < 4 * len(data)
    program = Program(module, (Invocation(module.exports_by_name["main"].index),))
    exact, engine = pair(program)
    states = States(module)
    for tick in (2, 150):
        goal = Goal(until=Position(tick))
        assert exact.run(goal) == engine.run(goal)
        states.compare(Snapshot.capture(exact.state), Snapshot.capture(engine.state), f"at tick {tick}")
    assert exact.run(Goal()).ending == engine.run(Goal()).ending


def test_what_does_not_overflow_the_stack_of_wasmtime_does_not_overflow_ours() -> None:
    text = """
      (global $deepest (export "deepest") (mut i32) (i32.const 0))
      (func $down (param i32) (result i32)
        (global.set $deepest (local.get 0))
        (if (result i32) (local.get 0)
          (then (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
          (else (i32.const 0))))
      (func (export "main") (result i32) (call $down (i32.const DEPTH)))"""
    store = wasmtime.Store()
    endless = wasmtime.Module(store.engine, f"(module {text.replace('DEPTH', '-1')})")
    exports = wasmtime.Instance(store, endless, []).exports(store)
    with pytest.raises(wasmtime.Trap, match="stack exhausted"):
        cast(wasmtime.Func, exports["main"])(store)
    depth = -1 - cast(int, cast(wasmtime.Global, exports["deepest"]).value(store))
    assert depth > 10_000
    engine = compiled(program_of(text.replace("DEPTH", str(depth - 5))), replaying=False)
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.results == (depth - 5,)


@pytest.mark.parametrize("shift", range(8))
def test_a_freeze_needs_no_more_stack_than_the_program_has_used(
    shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a loop with more values than registers, at the very end of the stack; `shift` moves that end
    against the frames."""
    monkeypatch.setattr(FunctionPlan, "large_from", 0)
    count = 20
    values = range(1, count + 1)
    text = f"""
      (func $down (param i32) (result i32) (local {"i32 " * count})
        (if (local.get 0) (then (return (call $down (i32.sub (local.get 0) (i32.const 1))))))
        {"".join(f"(local.set {i} (i32.mul (i32.load (i32.const {4 * i})) (i32.const {i})))" for i in values)}
        (loop)
        {"".join(f"(local.get {i})" for i in values)} {"(i32.add)" * (count - 1)})
      (memory 1)
      (func $shift (param {"i64 " * 2 * shift}) (result i32)
        (call $down (i32.const DEPTH))
        {"".join(f"(i32.wrap_i64 (local.get {i})) (i32.add)" for i in range(2 * shift))})
      (func (export "main") (result i32) (call $shift {"(i64.const 1)" * 2 * shift}))"""
    ending = compiled(program_of(text.replace("DEPTH", "-1")), replaying=False).run(Goal()).ending
    assert ending is not None and ending.trap is not None
    deepest = ending.position.tick - len(("main", "shift", "down itself"))
    program = program_of(text.replace("DEPTH", str(deepest)))
    ending = compiled(program, replaying=False).run(Goal()).ending
    assert ending is not None and ending.results == (2 * shift,), "it does not overflow the stack"
    engine = compiled(program, replaying=False)
    assert engine.run(Goal(until=Position(ending.position.tick))).reason is StopReason.LIMIT
    assert len(engine.state.frames) == deepest + 3
    assert engine.run(Goal()).ending == ending


def test_the_time_that_deep_stacks_take_to_hand_over_is_told() -> None:
    engine = compiled(
        program_of("""
          (func $down (param i32) (result i32)
            (if (result i32) (local.get 0)
              (then (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
              (else (i32.const 0))))
          (func (export "main") (result i32) (call $down (i32.const 500)))""")
    )
    assert isinstance(engine, HandingOver) and engine.handover_seconds == 0
    engine.run(Goal(until=Position(400)))
    frozen = engine.handover_seconds
    assert frozen > 0
    assert engine.run(Goal()).ending is not None and frozen < engine.handover_seconds


def test_an_exception_stays_the_same_object_while_it_is_somewhere() -> None:
    program = program_of("""
      (tag $e (param i32)) (global $g (mut exnref) (ref.null exn))
      (func (export "main") (local exnref)
        (block $h (result i32 exnref) (try_table (catch_ref $e $h) (throw $e (i32.const 4))) unreachable)
        (local.set 0) drop (global.set $g (local.get 0)) (loop) (loop) (loop) (drop (local.get 0)))""")
    engine = compiled(program)
    engine.run(Goal(until=Position(2)))
    first = engine.state.globals[0]
    assert isinstance(first, ExceptionValue) and first.payload == (4,)
    for tick in (3, 4):
        engine.run(Goal(until=Position(tick)))
        assert engine.state.globals[0] is first
        assert engine.state.frames[0].locals[0] is first


def test_exceptions_that_nobody_has_any_more_are_let_go() -> None:
    program = program_of("""
      (tag $e (param i32)) (global $g (mut exnref) (ref.null exn))
      (func (export "main") (local i32)
        (loop $again
          (block $h (result i32 exnref) (try_table (catch_ref $e $h) (throw $e (local.get 0))) unreachable)
          (global.set $g) (local.set 0 (i32.add (i32.const 1)))
          (br_if $again (i32.lt_u (local.get 0) (i32.const 800)))))""")
    engine = compiled(program)
    for tick in range(2, 800):
        engine.run(Goal(until=Position(tick)))
    exception = engine.state.globals[0]
    assert isinstance(exception, ExceptionValue) and exception.payload == (796,)
    assert engine._native.references.known_exceptions < 300


def test_host_functions_take_and_give_all_types() -> None:
    program = program_of("""
      (import "h" "f" (func $f (param f32 f64 v128 i32 i64 externref funcref)
        (result f32 f64 v128 i32 i64 externref funcref)))
      (elem declare func $main)
      (func $main (export "main") (result f32 f64 v128 i32 i64 externref funcref) (loop)
        (call $f (f32.const nan:0x200001) (f64.const -nan:0x4) (v128.const i64x2 -1 5) (i32.const -1)
          (i64.const -2) (ref.null extern) (ref.func $main)))""")
    main = program.module.exports_by_name["main"].index
    expected = (
        0x7FA00001,
        0xFFF0000000000004,
        (5 << 64) | (1 << 64) - 1,
        0xFFFFFFFF,
        (1 << 64) - 2,
        None,
        main,
    )
    host = Echo()
    ending = CompiledEngine(program, host, near=0, replaying=False).run(Goal()).ending
    assert ending is not None and ending.results == expected
    assert host.calls == [expected]


def test_imported_globals_and_tables_are_what_was_supplied() -> None:
    text = """(module
      (import "" "a" (global $a i32)) (import "" "b" (global $b (mut i64))) (import "" "v" (global $v v128))
      (import "" "x" (global $x externref)) (import "" "t" (table $t 2 externref))
      (global $c i32 (i32.add (global.get $a) (i32.const 1)))
      (table $own 8 funcref) (elem (table $own) (offset (global.get $a)) func $f)
      (func $f (result i32) (loop) (i32.const 77))
      (func (export "main") (result i32 i64 i32 i32 externref externref) (loop)
        (global.set $b (i64.add (global.get $b) (i64.const 1)))
        (table.set $t (i32.const 0) (global.get $x))
        (call_indirect $own (result i32) (i32.const 3))
        (global.get $b) (i32x4.extract_lane 3 (global.get $v)) (global.get $c)
        (table.get $t (i32.const 0)) (table.get $t (i32.const 1)) (loop)))"""
    module = module_of(text)
    program = Program(module, (Invocation(module.exports_by_name["main"].index),))
    table: list[Value] = [5, 0]
    imports = Imports(tables=[table], globals=[3, (1 << 64) - 1, 9 << 96, 6])
    engine = CompiledEngine(program, Echo(), imports, near=0)
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.results == (77, 0, 9, 4, 6, 0)


@pytest.mark.parametrize("is64", [False, True])
def test_memories_and_tables_grow_to_the_limits_of_the_program(is64: bool) -> None:
    address = "i64" if is64 else "i32"
    program = program_of(f"""
      (memory {address} 1) (table 1 funcref)
      (func (export "main") (result {address} {address} i32 i32) (loop)
        (memory.grow ({address}.const 3)) (memory.grow ({address}.const 1))
        (table.grow (ref.null func) (i32.const 9)) (table.grow (ref.null func) (i32.const 1)))""")
    limits = Limits(memory_pages=4, table_elements=10)
    program = Program(program.module, program.invocations, limits)
    minus_one = (1 << (64 if is64 else 32)) - 1
    for engine in pair(program):
        ending = engine.run(Goal()).ending
        assert ending is not None and ending.results == (1, minus_one, 1, 0xFFFFFFFF)


def test_a_library_is_called_as_one_goes() -> None:
    module = module_of("""(module (global $g (mut i32) (i32.const 0))
      (func (export "add") (param i32) (result i32)
        (loop) (global.set $g (i32.add (global.get $g) (local.get 0))) (global.get $g))
      (func (export "plain") (result i32) (global.get $g))
      (func (export "trap") (loop) (global.set $g (i32.const 100)) (loop) unreachable))""")
    engine = CompiledEngine(Program(module, ()), Echo(), near=0, replaying=False)

    def call(name: str, *arguments: int) -> tuple[Value, ...] | TrapKind:
        engine.begin(Invocation(module.exports_by_name[name].index, arguments))
        ending = engine.run(Goal()).ending
        assert ending is not None
        return ending.trap.kind if ending.trap is not None else ending.results

    assert call("add", 5) == (5,)
    assert call("add", 6) == (11,)
    assert call("plain") == (11,)
    assert call("trap") is TrapKind.UNREACHABLE
    assert call("plain") == (100,)
    assert call("add", 1) == (101,)


def test_a_snapshot_of_either_engine_restores_the_other() -> None:
    program = program_of(CASES["exceptions in frames, and across frames that wait"])
    ending = Interpreter(program, Echo()).run(Goal()).ending
    assert ending is not None
    for tick in range(2, ending.position.tick):
        for one, other in (pair(program), pair(program)[::-1]):
            one.run(Goal(until=Position(tick)))
            other.restore(Snapshot.capture(one.state))
            assert other.run(Goal()).ending == ending


def test_the_start_function_is_an_invocation_like_others() -> None:
    module = module_of("""(module (global $g (mut i32) (i32.const 0))
      (func $s (loop) (global.set $g (i32.const 9)) (loop)) (start $s)
      (func (export "main") (result i32) (global.get $g)))""")
    assert module.start is not None
    calls = (Invocation(module.start), Invocation(module.exports_by_name["main"].index))
    for engine in pair(Program(module, calls)):
        ending = engine.run(Goal()).ending
        assert ending is not None and ending.results == (9,)


@pytest.mark.parametrize("searching", [False, True])
def test_what_wasmtime_refuses_is_told(monkeypatch: pytest.MonkeyPatch, searching: bool) -> None:
    program = program_of('(func (export "main") (loop (br 0)))')
    engine = CompiledEngine(program, Echo(), near=0)
    probes = (FrameProbe(engine.state.frames[-1].entry, None),) if searching else ()

    def refuse(*_: object) -> None:
        raise EngineUnusable("too large")

    monkeypatch.setattr("ttd.engine.builds.Compiled._module", refuse)
    with pytest.raises(EngineUnusable):
        engine.run(Goal(until=Position(1000), probes=probes))
