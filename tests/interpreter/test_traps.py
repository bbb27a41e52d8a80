"""Traps, limits and how runs end: the machine stands before what trapped, with nothing of it done."""

from __future__ import annotations

import pytest

from tests.interpreter.rig import RuleHost, machine, module_of, rest_of
from ttd.engine.protocol import Goal, HostExit, HostTrap, Invocation, Limits, Program
from ttd.errors import LinkError, TtdError, UsageError
from ttd.interpreter import Imports, Interpreter
from ttd.types import EndKind, Position, StopReason, TrapKind

TRAPS = {
    "unreachable": TrapKind.UNREACHABLE,
    "(drop (i32.div_u (i32.const 1) (i32.const 0)))": TrapKind.DIVIDE_BY_ZERO,
    "(drop (i64.rem_s (i64.const 1) (i64.const 0)))": TrapKind.DIVIDE_BY_ZERO,
    "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))": TrapKind.INTEGER_OVERFLOW,
    "(drop (i32.trunc_f32_s (f32.const 3e9)))": TrapKind.INTEGER_OVERFLOW,
    "(drop (i64.trunc_f64_u (f64.const nan)))": TrapKind.INVALID_CONVERSION,
    "(drop (i32.load (i32.const 65533)))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(drop (i32.load (i32.const 65536)))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(drop (i32.load8_s (i32.const -1)))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(drop (i64.load offset=0xffffffff (i32.const -1)))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(i64.store (i32.const 65529) (i64.const -1))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(i32.store16 (i32.const 65536) (i32.const -1))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(v128.store (i32.const 65521) (v128.const i64x2 -1 -1))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(memory.fill (i32.const 65530) (i32.const 1) (i32.const 7))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(memory.copy (i32.const 0) (i32.const 65530) (i32.const 7))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(memory.init 0 (i32.const 0) (i32.const 2) (i32.const 2))": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "(drop (table.get (i32.const 3)))": TrapKind.TABLE_OUT_OF_BOUNDS,
    "(table.set (i32.const 3) (ref.null func))": TrapKind.TABLE_OUT_OF_BOUNDS,
    "(table.fill (i32.const 2) (ref.null func) (i32.const 2))": TrapKind.TABLE_OUT_OF_BOUNDS,
    "(table.copy (i32.const 2) (i32.const 0) (i32.const 2))": TrapKind.TABLE_OUT_OF_BOUNDS,
    "(table.init 0 (i32.const 0) (i32.const 1) (i32.const 1))": TrapKind.TABLE_OUT_OF_BOUNDS,
    "(call_indirect (i32.const 3))": TrapKind.UNDEFINED_ELEMENT,
    "(call_indirect (i32.const 2))": TrapKind.UNINITIALIZED_ELEMENT,
    "(call_indirect (param i32) (i32.const 1) (i32.const 0))": TrapKind.INDIRECT_CALL_TYPE,
    "(return_call_indirect (param i32) (i32.const 1) (i32.const 0))": TrapKind.INDIRECT_CALL_TYPE,
    "(throw $e)": TrapKind.UNCAUGHT_EXCEPTION,
    "(throw_ref (ref.null exn))": TrapKind.NULL_REFERENCE,
    "(call $endless)": TrapKind.STACK_EXHAUSTED,
}
"""Each with the main function's instruction that traps last in its folded form."""

SETTING = """(memory 1) (data "abc") (tag $e) (table 3 funcref) (elem (i32.const 0) $nop)
  (elem func $nop) (global (mut i32) (i32.const 0)) (func $nop nop) (func $endless (call $endless))"""


@pytest.mark.parametrize("instruction", TRAPS)
def test_a_trap_leaves_the_machine_before_its_instruction_with_nothing_done(instruction: str) -> None:
    engine = machine(f'(module {SETTING} (func (export "main") nop {instruction} nop))')
    stop = engine.run(Goal())
    assert stop.reason is StopReason.ENDED and stop.ending is not None
    assert stop.ending.kind is EndKind.TRAP and stop.ending.trap is not None
    assert stop.ending.trap.kind is TRAPS[instruction]
    assert stop.ending.position == stop.position == engine.state.position
    trapped = rest_of(engine)
    code = engine._module.functions[trapped.innermost.function].code.instructions
    last = next(each for each in code if each.offset == trapped.innermost.pc).op.mnemonic
    wanted = instruction.removeprefix("(drop ").strip("(").split()[0].rstrip(")")
    assert last == wanted
    # Stepping there instead stops once before the trap, in the very same state.
    again = machine(f'(module {SETTING} (func (export "main") nop {instruction} nop))')
    again.run(Goal(until=stop.position))
    assert rest_of(again).digest == trapped.digest
    assert again.step() == stop
    assert rest_of(again).digest == trapped.digest


def test_a_trapped_store_over_the_end_of_memory_writes_nothing() -> None:
    engine = machine(
        '(module (memory 1) (func (export "main") (i64.store (i32.const 65530) (i64.const -1))))'
    )
    engine.run(Goal())
    assert bytes(engine.state.memories[0].view()[65528:]) == bytes(8)


def test_the_call_depth_is_limited_exactly() -> None:
    text = """(module (func $down (param i32) (if (local.get 0)
      (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
      (func (export "main") (param i32) (call $down (local.get 0))))"""
    limits = Limits(call_depth=10)
    assert machine(text, 8, limits=limits).run(Goal()).ending == machine(text, 8).run(Goal()).ending
    engine = machine(text, 9, limits=limits)
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.trap is not None
    assert ending.trap.kind is TrapKind.STACK_EXHAUSTED
    assert len(engine.state.frames) == 10


def test_tail_calls_need_no_depth() -> None:
    text = """(module (func $down (export "main") (param i32) (if (local.get 0)
      (then (return_call $down (i32.sub (local.get 0) (i32.const 1)))))))"""
    ending = machine(text, 50, limits=Limits(call_depth=1)).run(Goal()).ending
    assert ending is not None and ending.kind is EndKind.EXIT


def test_memories_and_tables_grow_up_to_what_is_declared_and_to_the_limits() -> None:
    text = """(module (memory 1 {maximum}) (table 1 {maximum} funcref)
      (func (export "main") (result i32 i32 i32 i32 i32 i32)
        (memory.grow (i32.const 1)) (memory.grow (i32.const 2)) (memory.size)
        (table.grow (ref.null func) (i32.const 1)) (table.grow (ref.null func) (i32.const 2))
        (table.size)))"""
    minus_one = 0xFFFFFFFF
    expected = (1, minus_one, 2, 1, minus_one, 2)
    for maximum, limits in (("3", Limits()), ("", Limits(memory_pages=3, table_elements=3))):
        ending = machine(text.format(maximum=maximum), limits=limits).run(Goal()).ending
        assert ending is not None and ending.results == expected


def test_what_is_larger_than_the_limits_at_the_start_does_not_link() -> None:
    for text, limits in (
        ("(memory 4)", Limits(memory_pages=3)),
        ("(table 4 funcref)", Limits(table_elements=3)),
    ):
        with pytest.raises(LinkError, match=r"more than the limit of 3"):
            machine(f'(module {text} (func (export "main")))', limits=limits)


@pytest.mark.parametrize(
    "segment",
    [
        '(memory 1) (data (i32.const 65535) "ab")',
        "(table 1 funcref) (func $f) (elem (i32.const 1) $f)",
    ],
)
def test_segments_that_do_not_fit_do_not_link(segment: str) -> None:
    with pytest.raises(LinkError, match="out of bounds"):
        machine(f'(module {segment} (func (export "main")))')


# --- hosts -----------------------------------------------------------------------------------------------

HOSTED = """(module (import "env" "f" (func $f (param i32) (result i32 i32))) (memory 1)
  (func (export "main") (result i32) nop (call $f (i32.const 3)) i32.sub))"""


def test_a_host_call_has_the_position_of_its_instruction_and_counts_as_an_event() -> None:
    host = RuleHost({"f": lambda arguments, memories: (9, 2)})
    engine = machine(HOSTED, host=host)
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.results == (7,)
    assert host.calls == [(0, "f", (3,), Position(1, 2))]
    assert engine.state.next_event == 1


def test_a_program_that_exits_stands_before_the_call_to_it() -> None:
    def leave(arguments: object, memories: object) -> tuple[int, ...]:
        raise HostExit(42)

    engine = machine(HOSTED, host=RuleHost({"f": leave}))
    stop = engine.run(Goal())
    assert stop.ending is not None
    assert (stop.ending.kind, stop.ending.code, stop.position) == (EndKind.EXIT, 42, Position(1, 2))
    assert engine.state.frames[-1].operands == [3]
    assert engine.state.next_event == 0
    assert engine.run(Goal()) == stop


def test_a_failing_host_call_traps_with_its_message() -> None:
    def fail(arguments: object, memories: object) -> tuple[int, ...]:
        raise HostTrap("no such luck")

    engine = machine(HOSTED, host=RuleHost({"f": fail}))
    ending = engine.run(Goal()).ending
    assert ending is not None and str(ending.trap) == "host function failed: no such luck"
    assert len(engine.state.frames) == 1


def test_at_the_end_of_the_log_the_machine_rests_before_the_call_and_can_go_on_when_there_is_more() -> None:
    host = RuleHost({"f": lambda arguments, memories: (9, 2)}, log_end=0)
    engine = machine(HOSTED, host=host)
    stop = engine.run(Goal())
    assert (stop.reason, stop.position, stop.ending) == (StopReason.END_OF_TRACE, Position(1, 2), None)
    assert engine.run(Goal()) == stop
    host.log_end = 1
    assert engine.run(Goal()).reason is StopReason.ENDED


def test_an_error_of_the_host_leaves_the_state_before_the_call() -> None:
    broken = True

    def call(arguments: object, memories: object) -> tuple[int, ...]:
        if broken:
            raise UsageError("not now")
        return (9, 2)

    engine = machine(HOSTED, host=RuleHost({"f": call}))
    with pytest.raises(TtdError, match="not now"):
        engine.run(Goal())
    assert engine.state.position == Position(1, 2)
    assert engine.state.frames[-1].operands == [3]
    broken = False
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.results == (7,)


def test_a_host_may_grow_a_memory() -> None:
    text = """(module (import "env" "grow" (func $grow)) (memory 1)
      (func (export "main") (result i32) (call $grow) (i32.store (i32.const 65536) (i32.const 5))
        (i32.add (memory.size) (i32.load (i32.const 65536)))))"""

    def grow(arguments: object, memories: object) -> tuple[int, ...]:
        memory = memories[0]  # type: ignore[index]
        memory.native.grow(memory.store, 1)  # behind the interpreter's back, as a WASI module could
        return ()

    ending = machine(text, host=RuleHost({"grow": grow})).run(Goal()).ending
    assert ending is not None and ending.results == (7,)


# --- invocations and imports -----------------------------------------------------------------------------

LIBRARY = """(module (import "env" "f" (func $f (param i32) (result i32))) (export "imported" (func $f))
  (global $g (mut i32) (i32.const 0))
  (func $start (global.set $g (i32.const 5)))
  (func (export "add") (param i32) (result i32)
    (global.set $g (i32.add (global.get $g) (local.get 0))) (loop) (global.get $g)) (start $start))"""


def test_invocations_follow_one_another_and_the_last_one_has_the_results() -> None:
    module = module_of(LIBRARY)
    add = module.exports_by_name["add"].index
    invocations = (
        Invocation(module.start or 0),
        Invocation(add, (10,)),
        Invocation(0, (6,)),
        Invocation(add, (1,)),
    )
    host = RuleHost({"f": lambda arguments, memories: (1,)}, module=module)
    engine = Interpreter(Program(module, invocations), host)
    assert (engine.state.position, engine.state.invocation) == (Position(0, 0), 0)
    entries = []
    while engine.step().ending is None:
        state = engine.state
        entries.append((state.invocation, str(state.frames[-1].entry)))
    assert list(dict.fromkeys(entries)) == [(0, "0:0"), (1, "1:0"), (3, "3:0")]
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.results == (16,)
    assert engine.state.invocation == 4
    assert host.calls == [(0, "f", (6,), Position(2, 1))]


def test_a_library_is_called_as_one_goes() -> None:
    module = module_of(LIBRARY)
    add = module.exports_by_name["add"].index
    engine = Interpreter(Program(module, ()), RuleHost(module=module))
    assert engine.run(Goal()).reason is StopReason.ENDED
    results = []
    for number in (3, 4):
        engine.begin(Invocation(add, (number,)))
        ending = engine.run(Goal()).ending
        results.append(ending.results if ending is not None else None)
    assert results == [(3,), (7,)]


def test_a_library_can_be_called_again_after_a_trap() -> None:
    text = '(module (func (export "main") (param i32) (if (local.get 0) (then unreachable))))'
    engine = machine(text, 1)
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.kind is EndKind.TRAP
    engine.begin(Invocation(0, (0,)))
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.kind is EndKind.EXIT


def test_imported_memories_tables_and_globals_are_those_supplied_or_made_zeroed() -> None:
    text = """(module (import "m" "memory" (memory 1)) (import "m" "table" (table 2 funcref))
      (import "m" "global" (global i32))
      (func (export "main") (result i32 i32 i32)
        (i32.load (i32.const 0)) (table.size) (global.get 0)))"""
    ending = machine(text).run(Goal()).ending
    assert ending is not None and ending.results == (0, 2, 0)
    owner = machine('(module (memory 1) (data (i32.const 0) "\\07") (func (export "main")))')
    module = module_of(text)
    program = Program(module, (Invocation(0),))
    imports = Imports(memories=owner.memories, tables=[[None] * 5], globals=[9])
    ending = Interpreter(program, RuleHost(module=module), imports).run(Goal()).ending
    assert ending is not None and ending.results == (7, 5, 9)
    with pytest.raises(LinkError, match="1 imports of kind table, but 0 supplied"):
        Interpreter(program, RuleHost(), Imports(memories=owner.memories))


def test_a_64_bit_memory_takes_64_bit_addresses() -> None:
    text = """(module (memory i64 1 3) (table i64 1 funcref)
      (func (export "main") (result i32 i64 i64 i64)
        (i32.store offset=8 (i64.const 16) (i32.const 77))
        (i32.load (i64.const 24)) (memory.grow (i64.const 1)) (memory.grow (i64.const 9))
        (table.grow (ref.null func) (i64.const 0xffffffffff))))"""
    ending = machine(text).run(Goal()).ending
    minus_one = (1 << 64) - 1
    assert ending is not None and ending.results == (77, 1, minus_one, minus_one)
    beyond = '(module (memory i64 1) (func (export "main") (drop (i32.load (i64.const 0x7fffffffffffffff)))))'
    ending = machine(beyond).run(Goal()).ending
    assert ending is not None and ending.trap is not None
    assert ending.trap.kind is TrapKind.MEMORY_OUT_OF_BOUNDS
