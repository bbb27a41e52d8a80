"""Probes, held against a brute force: the list of all rests, and what hits at each by definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interpreter.programs import PROGRAMS, RANDOM_PROGRAMS, Function, text_of
from tests.interpreter.rig import Rest, RuleHost, all_rests, machine, rest_of
from ttd.engine.protocol import CodeProbe, FrameProbe, FunctionProbe, Goal, Hit, Probe, WatchProbe
from ttd.interpreter import Interpreter
from ttd.state import SNAPSHOT_PAGE, ZERO_PAGE, Memory, Snapshot
from ttd.types import Position, StopReason, Value
from ttd.wasm.model import Module

SLOW_IS_FINE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- the brute force -------------------------------------------------------------------------------------


def memory_bytes(snapshot: Snapshot, address: int, length: int) -> bytes:
    pages = snapshot.memories[0].pages
    size = snapshot.memories[0].size
    return bytes(
        pages.get(at // SNAPSHOT_PAGE, ZERO_PAGE)[at % SNAPSHOT_PAGE]
        for at in range(address, min(address + length, size))
    )


@dataclass
class Trail:
    """A whole run, one rest at a time, and what its instructions write: (address, length) by position."""

    module: Module
    rests: list[Rest]
    host_writes: dict[Position, list[tuple[int, int]]] = field(default_factory=dict)

    def mnemonic(self, rest: Rest) -> str:
        frame = rest.innermost
        for instruction in self.module.functions[frame.function].code.instructions:
            if instruction.offset == frame.pc:
                return instruction.op.mnemonic
        raise AssertionError(f"no instruction at {frame.pc:#x}")

    def written(self, rest: Rest) -> list[tuple[int, int]]:
        """What the instruction at `rest` writes to, read off its operands."""
        frame, mnemonic = rest.innermost, self.mnemonic(rest)
        numbers = [value for value in frame.operands if isinstance(value, int)]
        if mnemonic in ("memory.fill", "memory.copy", "memory.init"):
            return [(numbers[-3], numbers[-1])]
        if ".store" in mnemonic:
            body = self.module.functions[frame.function].code.instructions
            instruction = next(each for each in body if each.offset == frame.pc)
            offset = instruction.immediates[2]
            assert isinstance(offset, int)
            return [(numbers[-2] + offset, instruction.op.access)]
        return self.host_writes.get(rest.position, [])

    def hits(self, probes: tuple[Probe, ...]) -> dict[Position, list[Hit]]:
        found: dict[Position, list[Hit]] = {}
        for number, rest in enumerate(self.rests[:-1]):
            after = self.rests[number + 1]
            before = self.rests[number - 1] if number else None
            for probe in probes:
                hit = self.hit(probe, before, rest, after)
                if hit is not None:
                    found.setdefault(hit.position, []).append(hit)
        return found

    def hit(self, probe: Probe, before: Rest | None, rest: Rest, after: Rest) -> Hit | None:
        frame = rest.innermost
        if isinstance(probe, CodeProbe):
            here = (frame.function, frame.pc) == (probe.function, probe.pc)
            return Hit(probe, rest.position) if here and self.mnemonic(rest) != "loop" else None
        if isinstance(probe, FunctionProbe):
            return Hit(probe, rest.position) if probe.place(frame.function) == frame.pc else None
        if isinstance(probe, FrameProbe):
            if before is not None and probe.on_exit and probe.entry in before.entries - rest.entries:
                return Hit(probe, rest.position)
            inside = frame.entry == probe.entry and (probe.pcs is None or frame.pc in probe.pcs)
            return Hit(probe, rest.position) if inside and self.mnemonic(rest) != "loop" else None
        old = memory_bytes(rest.snapshot, probe.address, probe.length)
        new = memory_bytes(after.snapshot, probe.address, probe.length)
        touched = any(
            length and at < probe.address + probe.length and probe.address < at + length
            for at, length in self.written(rest)
        )
        assert touched or old == new[: len(old)]
        if not touched or (old == new and probe.only_changes):
            return None  # (growing makes bytes, but writes none)
        return Hit(probe, rest.position, old, new)


def as_set(hits: list[Hit] | tuple[Hit, ...]) -> set[tuple[object, ...]]:
    return {(hit.probe, hit.position, hit.old, hit.new) for hit in hits}


def check_all_stops(engine: Interpreter, trail: Trail, probes: tuple[Probe, ...]) -> None:
    """Go from hit to hit, to the end; each stop must have exactly the hits of the brute force."""
    expected = trail.hits(probes)
    at_rest = {rest.position: rest for rest in trail.rests}
    engine.restore(trail.rests[0].snapshot)
    after: Position | None = None
    for position in sorted(expected):
        stop = engine.run(Goal(probes=probes, after=after))
        assert stop.reason is StopReason.PROBE
        assert as_set(stop.hits) == as_set(expected[position])
        assert len(stop.hits) == len(expected[position])
        assert position <= stop.position <= Position(position.tick + 1)
        assert rest_of(engine).digest == at_rest[stop.position].digest
        after = position
    assert engine.run(Goal(probes=probes, after=after)).reason is StopReason.ENDED


def check_remembering(engine: Interpreter, trail: Trail, probes: tuple[Probe, ...], until: int) -> None:
    """The last hit before rest number `until`, from the begin."""
    end = trail.rests[until].position
    before_end = [item for item in trail.hits(probes).items() if item[0] < end]
    engine.restore(trail.rests[0].snapshot)
    stop = engine.run(Goal(until=end, probes=probes, remember=True))
    assert as_set(stop.hits) == as_set(max(before_end, key=lambda item: item[0])[1] if before_end else [])
    if trail.rests[0].position < end < trail.rests[-1].position:
        assert (stop.reason, stop.position) == (StopReason.LIMIT, end)
        assert rest_of(engine).digest == trail.rests[until].digest


def trail_of(text: str) -> tuple[Interpreter, Trail]:
    engine = machine(text)
    return engine, Trail(engine._module, all_rests(machine(text)))


def every_probe(trail: Trail) -> list[Probe]:
    """A code probe for every place, frame probes for every frame, watches all over the written memory."""
    rests = trail.rests[:-1]
    places = sorted({(rest.innermost.function, rest.innermost.pc) for rest in rests})
    code: list[Probe] = [CodeProbe(function, pc) for function, pc in places]
    real = [(f, pc) for f, pc in places if pc in trail.module.functions[f].code.rests]
    for chosen in (dict(real), dict(reversed(real)), dict(real[: len(real) // 2])):
        code.append(FunctionProbe(chosen.get, chosen.copy))
    entries = sorted({entry for rest in rests for entry in rest.entries})
    frames: list[Probe] = [FrameProbe(entry, None) for entry in entries]
    frames += [FrameProbe(entry, frozenset(), on_exit=True) for entry in entries]
    frames += [FrameProbe(entry, frozenset(pc for _, pc in places[::2]), on_exit=True) for entry in entries]
    watches: list[Probe] = []
    if trail.module.memories:
        for address, length in ((0, 4), (8, 1), (8, 4), (10, 8), (64, 2), (65534, 4), (90, 3)):
            watches += [WatchProbe(0, address, length, changes) for changes in (True, False)]
    return [*code, *frames, *watches]


# --- tests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "no instruction at all"])
def test_each_probe_alone_hits_where_the_rests_say(name: str) -> None:
    engine, trail = trail_of(f"(module {PROGRAMS[name]})")
    for probe in every_probe(trail):
        check_all_stops(engine, trail, (probe,))
        check_remembering(engine, trail, (probe,), len(trail.rests) - 1)
        check_remembering(engine, trail, (probe,), len(trail.rests) // 2)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "no instruction at all"])
def test_all_probes_at_once_hit_where_the_rests_say(name: str) -> None:
    engine, trail = trail_of(f"(module {PROGRAMS[name]})")
    probes = tuple(every_probe(trail))
    check_all_stops(engine, trail, probes)
    for until in range(0, len(trail.rests), 5):
        check_remembering(engine, trail, probes, until)


@SLOW_IS_FINE
@given(RANDOM_PROGRAMS, st.data())
def test_random_probes_in_random_programs(functions: list[Function], data: st.DataObject) -> None:
    engine, trail = trail_of(text_of(functions))
    if len(trail.rests) < 3:
        return
    candidates = every_probe(trail)
    chosen = tuple(data.draw(st.lists(st.sampled_from(candidates), min_size=1, max_size=4, unique=True)))
    check_all_stops(engine, trail, chosen)
    check_remembering(engine, trail, chosen, data.draw(st.integers(0, len(trail.rests) - 1)))


def counting(text: str, pc_of: Callable[[Interpreter], int]) -> tuple[Interpreter, CodeProbe]:
    engine = machine(text)
    return engine, CodeProbe(0, pc_of(engine))


LOOP = """(module (memory 1) (func (export "main") (local i32)
  (loop $l (i32.store (i32.const 4) (local.get 0))
    (br_if $l (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 5))))))"""


def store_pc(engine: Interpreter) -> int:
    body = engine._module.functions[0].code.instructions
    return next(each.offset for each in body if each.op.mnemonic == "i32.store")


def test_a_condition_is_asked_at_each_hit_and_sees_the_state_there() -> None:
    engine, probe = counting(LOOP, store_pc)
    seen: list[Value] = []

    def accept(hit: Hit) -> bool:
        assert engine.state.position == hit.position
        seen.append(engine.state.frames[-1].operands[-1])
        return seen[-1] == 3

    stop = engine.run(Goal(probes=(probe,), accept=accept))
    assert seen == [0, 1, 2, 3]
    assert stop.hits[0].position == stop.position
    seen.clear()
    assert engine.run(Goal(probes=(probe,), accept=accept, after=stop.position)).reason is StopReason.ENDED
    assert seen == [4]


def test_conditions_in_remember_mode_leave_the_last_accepted_hit() -> None:
    engine, probe = counting(LOOP, store_pc)
    stop = engine.run(
        Goal(
            probes=(probe,),
            remember=True,
            accept=lambda hit: engine.state.frames[-1].operands[-1] in (1, 3),
        )
    )
    assert stop.reason is StopReason.ENDED
    assert [hit.position for hit in stop.hits] == [Position(5, 2)]


def test_a_watch_is_offered_when_the_write_was_made_and_the_machine_stands_at_it() -> None:
    engine, _ = counting(LOOP, store_pc)
    offered: list[tuple[Hit, bytes]] = []

    def accept(hit: Hit) -> bool:
        assert engine.state.position == hit.position
        assert engine.state.frames[-1].pc == store_pc(engine)
        offered.append((hit, bytes(engine.state.memories[0].view()[4:8])))
        return hit.new[0] == 3

    stop = engine.run(Goal(probes=(WatchProbe(0, 4, 1),), accept=accept))
    assert [(hit.old, hit.new) for hit, _ in offered] == [(b"\0", b"\1"), (b"\1", b"\2"), (b"\2", b"\3")]
    assert [memory[0] for _, memory in offered] == [1, 2, 3]
    assert stop.reason is StopReason.PROBE
    assert stop.position == Position(stop.hits[0].position.tick, stop.hits[0].position.step + 1)


def test_a_breakpoint_on_a_writing_instruction_reports_the_watch_too_and_stands_before_the_write() -> None:
    engine, probe = counting(LOOP, store_pc)
    watch = WatchProbe(0, 4, 4)
    engine.run(Goal(until=Position(3)))
    stop = engine.run(Goal(probes=(probe, watch)))
    assert [hit.probe for hit in stop.hits] == [probe, watch]
    assert stop.position == stop.hits[0].position == stop.hits[1].position == engine.state.position
    assert bytes(engine.state.memories[0].view()[4:8]) == b"\0\0\0\0"  # 0 and 1 were stored; not yet...


def test_a_hit_at_the_goal_itself_is_not_reported() -> None:
    engine, probe = counting(LOOP, store_pc)
    first = engine.run(Goal(probes=(probe,))).position
    engine, probe = counting(LOOP, store_pc)
    stop = engine.run(Goal(probes=(probe,), until=first))
    assert (stop.reason, stop.hits, stop.position) == (StopReason.LIMIT, (), first)


def test_probes_in_code_that_is_never_reached_or_not_there_never_hit() -> None:
    text = '(module (func (export "main") (return) (drop (i32.const 1))) (func nop))'
    engine = machine(text)
    body = engine._module.functions[0].code.instructions
    probes = (
        CodeProbe(0, body[1].offset),
        CodeProbe(1, engine._module.functions[1].code.start),
        CodeProbe(0, 2),
        CodeProbe(77, 2),
        FrameProbe(Position(9, 9), None, on_exit=True),
    )
    assert engine.run(Goal(probes=probes)).reason is StopReason.ENDED


def test_a_probe_set_for_one_run_is_gone_in_the_next() -> None:
    engine, probe = counting(LOOP, store_pc)
    assert engine.run(Goal(probes=(probe,))).reason is StopReason.PROBE
    assert engine.run(Goal()).reason is StopReason.ENDED


# --- host calls ------------------------------------------------------------------------------------------

HOSTED = """(module (import "env" "poke" (func $poke (param i32 i32) (result i32)))
  (import "env" "touch" (func $touch (param i32)))
  (memory 1) (type $t (func (param i32 i32) (result i32))) (table funcref (elem $poke))
  (func $tail (param i32) (result i32) (return_call $poke (local.get 0) (i32.const 9)))
  (func (export "main") (result i32) (local i32)
    (call $touch (i32.const 16))
    (local.set 0 (call $poke (i32.const 16) (i32.const 1)))
    (call $touch (i32.const 16))
    (local.set 0 (call_indirect (type $t) (i32.const 18) (local.get 0) (i32.const 0)))
    (i32.add (call $tail (i32.const 17)) (local.get 0))))"""


def poking_host() -> RuleHost:
    host = RuleHost()

    def poke(arguments: tuple[Value, ...], memories: object) -> tuple[Value, ...]:
        address, value = arguments
        assert isinstance(address, int) and isinstance(value, int)
        host.write(memories, address, bytes([value]))  # type: ignore[arg-type]
        return (value + 1,)

    def touch(arguments: tuple[Value, ...], memories: object) -> tuple[Value, ...]:
        (address,) = arguments
        assert isinstance(address, int)
        now: Memory = memories[0]  # type: ignore[index]
        host.write(memories, address, bytes(now.view()[address : address + 2]))  # type: ignore[arg-type]
        return ()

    host.answers = {"poke": poke, "touch": touch}
    return host


def test_host_calls_write_to_what_is_watched() -> None:
    host = poking_host()
    rests = all_rests(machine(HOSTED, host=host))
    trail = Trail(host.module or pytest.fail("no module"), rests)
    lengths = {"poke": 1, "touch": 2}
    for _, name, arguments, position in host.calls:
        assert isinstance(arguments[0], int)
        trail.host_writes[position] = [(arguments[0], lengths[name])]
    engine = machine(HOSTED, host=poking_host())
    probes = every_probe(trail)
    for address in (16, 17, 18):
        probes += [WatchProbe(0, address, 1, changes) for changes in (True, False)]
    for probe in probes:
        check_all_stops(engine, trail, (probe,))
        check_remembering(engine, trail, (probe,), len(rests) - 1)
    check_all_stops(engine, trail, tuple(probes))
    check_remembering(engine, trail, tuple(probes), len(rests) - 1)
