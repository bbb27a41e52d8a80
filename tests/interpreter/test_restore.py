"""Restoring: memory that shrank, results that come back, and snapshots that no trace should hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.interpreter.programs import PROGRAMS
from tests.interpreter.rig import all_rests, machine, rest_of
from ttd.engine.protocol import Goal
from ttd.errors import DamagedTrace, InternalError
from ttd.state import Frame, MemoryImage, Snapshot
from ttd.types import ExceptionValue, Position, Value

GROWING = """(module (memory 1) (func (export "main") (result i32)
  (drop (memory.grow (i32.const 2))) (i32.store (i32.const 131072) (i32.const 8))
  (i32.load (i32.const 131072))))"""


def test_going_back_to_before_a_growth_makes_the_memory_smaller_again() -> None:
    engine = machine(GROWING)
    rests = all_rests(engine)
    memory = engine.state.memories[0]
    for _ in range(3):
        engine.restore(rests[0].snapshot)
        assert memory.pages == 1 and engine.state.memories[0] is memory
        ending = engine.run(Goal()).ending
        assert ending is not None and ending.results == (8,)
        assert memory.pages == 3
        assert rest_of(engine).digest == rests[-1].digest


def test_a_restored_end_is_an_end_with_the_results_known_so_far() -> None:
    engine = machine(GROWING)
    rests = all_rests(engine)
    ended = engine.run(Goal())
    engine.restore(rests[1].snapshot)
    assert engine.step().ending is None
    engine.restore(rests[-1].snapshot)
    assert engine.run(Goal()) == ended


def test_restoring_tells_the_host_which_event_comes_next() -> None:
    text = """(module (import "env" "f" (func $f))
      (func (export "main") (call $f) (call $f) (call $f)))"""
    from tests.interpreter.rig import RuleHost

    host = RuleHost({"f": lambda arguments, memories: ()})
    engine = machine(text, host=host)
    rests = all_rests(engine)
    engine.restore(rests[1].snapshot)
    assert host.next_event == 1
    host.calls.clear()
    engine.run(Goal())
    assert [number for number, *_ in host.calls] == [1, 2]


def test_snapshots_of_one_machine_fit_another_of_the_same_program() -> None:
    text = f"(module {PROGRAMS['exceptions']})"
    rests = all_rests(machine(text))
    for rest in rests:
        other = machine(text)
        other.restore(rest.snapshot)
        other.run(Goal())
        assert rest_of(other).digest == rests[-1].digest


DAMAGED = """(module (memory 1 2) (table 2 funcref) (global (mut i64) (i64.const 0)) (tag $e)
  (func $f (param i32 exnref) (result i32) (local.get 0))
  (func (export "main") (result i32) (i32.const 5) (call $f (i32.const 1) (ref.null exn)) i32.add))"""


def with_frame(change: Callable[[Frame], object], number: int = -1) -> Callable[[Snapshot], Snapshot]:
    def damage(snapshot: Snapshot) -> Snapshot:
        frames = [frame.copy() for frame in snapshot.frames]
        change(frames[number])
        return replace(snapshot, frames=tuple(frames))

    return damage


def set_in(field: str, index: int, value: Value) -> Callable[[Frame], object]:
    return lambda frame: getattr(frame, field).__setitem__(index, value)


DAMAGE: dict[str, Callable[[Snapshot], Snapshot]] = {
    "no globals": lambda s: replace(s, globals=()),
    "a global too large": lambda s: replace(s, globals=(1 << 64,)),
    "a null number": lambda s: replace(s, globals=(None,)),
    "no tables": lambda s: replace(s, tables=()),
    "a function that is not there": lambda s: replace(s, tables=((None, 2),)),
    "no memories": lambda s: replace(s, memories=()),
    "half a page": lambda s: replace(s, memories=(MemoryImage(1000, {}),)),
    "a memory too large": lambda s: replace(s, memories=(MemoryImage(3 << 16, {}),)),
    "a negative position": lambda s: replace(s, position=Position(-1, 0)),
    "a negative event": lambda s: replace(s, next_event=-1),
    "an endless stack": lambda s: replace(s, frames=s.frames * 20_000),
    "a frame of nothing": with_frame(lambda frame: setattr(frame, "function", 9)),
    "a pc between instructions": with_frame(lambda frame: setattr(frame, "pc", frame.pc + 1)),
    "a caller that does not call": with_frame(lambda frame: setattr(frame, "pc", frame.pc + 2), 0),
    "a local too few": with_frame(lambda frame: frame.locals.pop()),
    "a local of the wrong type": with_frame(set_in("locals", 0, None)),
    "an exception that is a number": with_frame(set_in("locals", 1, 3)),
    "an exception of no tag": with_frame(set_in("locals", 1, ExceptionValue(7, ()))),
    "an operand too many": with_frame(lambda frame: frame.operands.append(1)),
    "an operand too large": with_frame(set_in("operands", 0, 1 << 32), 0),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_snapshot_that_does_not_fit_the_module_is_refused_and_changes_nothing(damage: str) -> None:
    engine = machine(DAMAGED)
    engine.run(Goal(until=Position(1, 4)))
    here = rest_of(engine)
    assert len(here.snapshot.frames) == 2
    with pytest.raises(DamagedTrace, match="a snapshot does not fit the module"):
        engine.restore(DAMAGE[damage](here.snapshot))
    assert rest_of(engine).digest == here.digest
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.results == (6,)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_machine_goes_on_with_frames_that_it_was_handed(name: str) -> None:
    engine = machine(f"(module {PROGRAMS[name]})")
    rests = all_rests(machine(f"(module {PROGRAMS[name]})"), most=300)
    for rest in rests[:-1]:
        state = engine.state
        engine.resume(state.position, state.frames, state.next_event, state.invocation)
        assert rest_of(engine).digest == rest.digest
        assert engine.top.frames == engine.state.frames[-1:]
        engine.step()
    assert rest_of(engine).digest == rests[-1].digest


def test_handed_frames_are_looked_at_before_they_are_run() -> None:
    engine = machine(DAMAGED)
    engine.run(Goal(until=Position(1, 4)))
    state = engine.state
    state.frames[0].pc += 1
    engine.resume(state.position, state.frames, state.next_event, state.invocation)
    with pytest.raises(InternalError, match="an impossible stack"):
        engine.step()
