"""Positions: where the machine rests, and that the state at a position does not depend on the way to it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interpreter.programs import PROGRAMS, RANDOM_PROGRAMS, Function, positions_of, text_of
from tests.interpreter.rig import Rest, RuleHost, all_rests, machine, rest_of
from ttd.engine.protocol import Goal
from ttd.interpreter import Interpreter
from ttd.state import Snapshot
from ttd.types import EndKind, Position, StopReason

SLOW_IS_FINE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def path(rests: list[Rest]) -> list[str]:
    """Position, depth, function and pc of each rest, as text."""
    out = []
    for rest in rests:
        frames = rest.snapshot.frames
        place = f"f{frames[-1].function}@{frames[-1].pc:#x} depth {len(frames)}" if frames else "end"
        out.append(f"{rest.position} {place}")
    return out


def offsets(engine: Interpreter, function: int) -> list[tuple[str, int]]:
    code = engine._module.functions[function].code
    return [(instruction.op.mnemonic, instruction.offset) for instruction in code.instructions]


@pytest.mark.parametrize("name", PROGRAMS)
def test_positions_advance_by_one_step_or_one_tick(name: str) -> None:
    positions = [rest.position for rest in all_rests(machine(f"(module {PROGRAMS[name]})"))]
    if name == "no instruction at all":  # ended before it rested
        assert positions == [Position(0, 0)] * 2
        return
    for before, after in pairwise(positions):
        assert after in (Position(before.tick, before.step + 1), Position(before.tick + 1))


@SLOW_IS_FINE
@given(RANDOM_PROGRAMS)
def test_random_programs_rest_exactly_where_their_structure_says(functions: list[Function]) -> None:
    engine = machine(text_of(functions))
    if engine.state.frames:
        stepped = list(dict.fromkeys(rest.position for rest in all_rests(engine)))
    else:
        stepped = [engine.position]
    expected = positions_of(functions)
    assert stepped == expected


def test_a_run_starts_at_tick_one_if_its_function_ticks() -> None:
    assert machine('(module (func (export "main") (loop)))').position == Position(1, 0)
    assert machine('(module (func (export "main") nop))').position == Position(0, 0)


def test_functions_tick_if_a_call_or_loop_is_in_their_text_even_out_of_reach() -> None:
    for body in ("return (loop)", "return (call 0)", "return (call_indirect (i32.const 0))"):
        assert machine(f'(module (table 1 funcref) (func (export "main") {body}))').position == Position(1)


def test_at_a_tick_before_another_loop_the_pc_is_that_loop() -> None:
    engine = machine('(module (func (export "main") (loop (loop nop))))')
    outer, inner, nop = (offset for _, offset in offsets(engine, 0)[:3])
    rests = all_rests(engine)
    assert path(rests) == [
        f"1:0 f0@{outer:#x} depth 1",
        f"2:0 f0@{inner:#x} depth 1",
        f"3:0 f0@{nop:#x} depth 1",
        "3:1 end",
    ]


def test_a_loop_at_the_end_of_a_callee_rests_in_the_caller_at_its_last_tick() -> None:
    engine = machine('(module (func $f (loop)) (func (export "main") (call $f) nop (call $f) (loop)))')
    (_, loop), *_ = offsets(engine, 0)
    (_, first), (_, nop), (_, second), (_, last), *_ = offsets(engine, 1)
    assert path(all_rests(engine)) == [
        f"1:0 f1@{first:#x} depth 1",
        f"2:0 f0@{loop:#x} depth 2",
        f"3:0 f1@{nop:#x} depth 1",
        f"3:1 f1@{second:#x} depth 1",
        f"4:0 f0@{loop:#x} depth 2",
        f"5:0 f1@{last:#x} depth 1",
        "6:0 end",
    ]


def test_an_empty_function_has_no_observable_frame() -> None:
    engine = machine('(module (func $f) (func (export "main") (call $f) nop))')
    assert [len(rest.snapshot.frames) for rest in all_rests(engine)] == [1, 1, 0]


def test_frames_are_identified_by_the_position_of_their_entry() -> None:
    text = (
        '(module (func $leaf nop nop) (func $loops (loop)) (func (export "main") (call $leaf) (call $loops)))'
    )
    rests = all_rests(machine(text))
    entries = [[str(frame.entry) for frame in rest.snapshot.frames] for rest in rests]
    assert entries == [["1:0"], ["1:0", "1:1"], ["1:0", "1:1"], ["1:0"], ["1:0", "2:0"], []]


def test_callers_stand_at_their_call_without_its_arguments() -> None:
    text = """(module (func $f (param i32 i32) (result i32) (local.get 1))
      (func (export "main") (result i32) (i32.const 5) (call $f (i32.const 6) (i32.const 7)) i32.add))"""
    engine = machine(text)
    engine.run(Goal(until=Position(1, 4)))
    caller, callee = engine.state.frames
    assert (caller.operands, callee.locals, callee.operands) == ([5], [6, 7], [])
    assert ("call", caller.pc) in offsets(engine, 1)


# --- any way to a position leads to the same state ---------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_running_to_any_position_equals_stepping_there(name: str) -> None:
    text = f"(module {PROGRAMS[name]})"
    rests = all_rests(machine(text))
    start = rests[0]
    engine = machine(text)
    for rest in rests[:-1]:
        engine.restore(start.snapshot)
        stop = engine.run(Goal(until=rest.position))
        assert (stop.reason, stop.position) == (StopReason.LIMIT, rest.position)
        assert rest_of(engine).digest == rest.digest


@pytest.mark.parametrize("name", PROGRAMS)
def test_going_on_from_any_snapshot_equals_running_straight(name: str) -> None:
    text = f"(module {PROGRAMS[name]})"
    rests = all_rests(machine(text))
    straight = machine(text)
    expected = straight.run(Goal())
    engine = machine(text)
    for rest in reversed(rests):
        engine.restore(rest.snapshot)
        assert rest_of(engine).digest == rest.digest
        assert engine.step().position == rests[min(rests.index(rest) + 1, len(rests) - 1)].position
        ended = engine.run(Goal())
        assert (ended.reason, ended.position) == (expected.reason, expected.position)
        assert rest_of(engine).digest == rests[-1].digest


@SLOW_IS_FINE
@given(RANDOM_PROGRAMS, st.data())
def test_random_walks_reach_states_that_depend_on_the_position_alone(
    functions: list[Function], data: st.DataObject
) -> None:
    engine = machine(text_of(functions))
    rests = all_rests(engine)
    for _ in range(8):
        origin = data.draw(st.integers(0, len(rests) - 1))
        target = data.draw(st.integers(origin, len(rests) - 1))
        engine.restore(rests[origin].snapshot)
        engine.run(Goal(until=rests[target].position))
        assert rest_of(engine).digest == rests[target].digest


def test_a_position_that_does_not_exist_stops_at_the_first_rest_past_it() -> None:
    text = '(module (func (export "main") nop nop (loop nop) nop))'
    assert machine(text).run(Goal(until=Position(1, 50))).position == Position(2, 0)
    assert machine(text).run(Goal(until=Position(1, 2))).position == Position(2, 0)
    assert machine(text).run(Goal(until=Position(0, 0))).position == Position(1, 0)


def test_after_the_end_the_same_stop_comes_again() -> None:
    engine = machine('(module (func (export "main") (result i32) (i32.const 9)))')
    stop = engine.run(Goal())
    assert stop.ending is not None
    assert (stop.ending.kind, stop.ending.results, stop.ending.position) == (
        EndKind.EXIT,
        (9,),
        Position(0, 1),
    )
    assert engine.run(Goal()) == stop
    assert engine.step() == stop
    assert engine.state.frames == []


def test_a_run_can_stop_before_any_host_call() -> None:
    host = RuleHost({"f": lambda arguments, memories: (arguments[0] + 1,)})
    engine = machine(
        """(module (import "env" "f" (func $f (param i32) (result i32))) (table funcref (elem $f))
          (func (export "main") (result i32) (local i32)
            (loop (local.set 0 (call $f (local.get 0)))
                  (local.set 0 (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0)))
                  (br_if 0 (i32.lt_u (local.get 0) (i32.const 6))))
            (return_call $f (local.get 0))))""",
        host=host,
    )
    begin = Snapshot.capture(engine.state)
    engine.run(Goal())
    places = [position for _, _, _, position in host.calls]
    assert len(places) == 7
    engine.restore(begin)
    for number, place in enumerate(places):
        for _ in range(2):  # going on from there to there does nothing
            stop = engine.run(Goal(event=number))
            assert (stop.reason, stop.position, engine.state.next_event) == (StopReason.LIMIT, place, number)
    assert engine.run(Goal(event=7)).reason is StopReason.ENDED
