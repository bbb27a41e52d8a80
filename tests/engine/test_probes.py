"""Probes on the compiled engine: the brute force of the interpreter's tests, and a long run with few hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interpreter.programs import PROGRAMS, RANDOM_PROGRAMS, Function, text_of
from tests.interpreter.rig import RuleHost, all_rests, machine, module_of
from tests.interpreter.test_probes import HOSTED, Trail, as_set, every_probe, poking_host
from ttd.engine.compiled import CompiledEngine
from ttd.engine.protocol import (
    CodeProbe,
    FrameProbe,
    FunctionProbe,
    Goal,
    Hit,
    Invocation,
    Probe,
    Program,
    Stop,
    WatchProbe,
)
from ttd.engine.scout import Sighting
from ttd.events import MemoryWrite
from ttd.interpreter import Interpreter
from ttd.state import Frame, Snapshot
from ttd.types import Position, StopReason

SLOW_IS_FINE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class PlainHost:
    """A host by rule that offers nothing but what it must, and reports what it wrote."""

    def __init__(self, rules: RuleHost) -> None:
        self.call, self.seek, self._rules = rules.call, rules.seek, rules

    @property
    def last_writes(self) -> Sequence[MemoryWrite]:
        return self._rules.last_writes


def compiled(text: str, near: int = 0, host: RuleHost | None = None) -> CompiledEngine:
    host = host or RuleHost()
    host.module = module = module_of(text)
    invocation = Invocation(module.exports_by_name["main"].index)
    return CompiledEngine(Program(module, (invocation,)), PlainHost(host), near=near)


def check_all_stops(engine: CompiledEngine, trail: Trail, probes: tuple[Probe, ...]) -> None:
    """Go from hit to hit, to the end, as in the interpreter's tests."""
    expected = trail.hits(probes)
    engine.restore(trail.rests[0].snapshot)
    after: Position | None = None
    for position in sorted(expected):
        stop = engine.run(Goal(probes=probes, after=after))
        assert stop.reason is StopReason.PROBE
        assert as_set(stop.hits) == as_set(expected[position])
        assert len(stop.hits) == len(expected[position])
        assert position <= stop.position <= Position(position.tick + 1)
        after = position
    assert engine.run(Goal(probes=probes, after=after)).reason is StopReason.ENDED


def check_remembering(
    engine: CompiledEngine, trail: Trail, probes: tuple[Probe, ...], until: int, asking: bool
) -> None:
    end = trail.rests[until].position
    before_end = [item for item in trail.hits(probes).items() if item[0] < end]
    engine.restore(trail.rests[0].snapshot)
    asked: list[Hit] = []

    def accept(hit: Hit) -> bool:
        asked.append(hit)
        return True

    stop = engine.run(Goal(until=end, probes=probes, remember=True, accept=accept if asking else None))
    assert as_set(stop.hits) == as_set(max(before_end, key=lambda item: item[0])[1] if before_end else [])
    if asking:
        assert as_set(asked) == as_set([hit for _, hits in before_end for hit in hits])
        assert [hit.position for hit in asked] == sorted(hit.position for hit in asked)
    if trail.rests[0].position < end < trail.rests[-1].position:
        assert (stop.reason, stop.position) == (StopReason.LIMIT, end)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "no instruction at all"])
def test_each_probe_alone_hits_where_the_rests_say(name: str) -> None:
    text = f"(module {PROGRAMS[name]})"
    engine, trail = compiled(text), Trail(module_of(text), all_rests(machine(text)))
    for probe in every_probe(trail):
        check_all_stops(engine, trail, (probe,))
        for asking in (False, True):
            check_remembering(engine, trail, (probe,), len(trail.rests) - 1, asking)
            check_remembering(engine, trail, (probe,), len(trail.rests) // 2, asking)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "no instruction at all"])
@pytest.mark.parametrize("near", [0, 3])
def test_all_probes_at_once_hit_where_the_rests_say(name: str, near: int) -> None:
    text = f"(module {PROGRAMS[name]})"
    engine, trail = compiled(text, near), Trail(module_of(text), all_rests(machine(text)))
    probes = tuple(every_probe(trail))
    check_all_stops(engine, trail, probes)
    for until in range(0, len(trail.rests), 7):
        check_remembering(engine, trail, probes, until, asking=until % 2 == 0)


@SLOW_IS_FINE
@given(RANDOM_PROGRAMS, st.integers(0, 3), st.data())
def test_random_probes_in_random_programs(functions: list[Function], near: int, data: st.DataObject) -> None:
    text = text_of(functions)
    trail = Trail(module_of(text), all_rests(machine(text)))
    if len(trail.rests) < 3:
        return
    chosen = tuple(
        data.draw(st.lists(st.sampled_from(every_probe(trail)), min_size=1, max_size=4, unique=True))
    )
    engine = compiled(text, near)
    check_all_stops(engine, trail, chosen)
    until = data.draw(st.integers(0, len(trail.rests) - 1))
    check_remembering(engine, trail, chosen, until, asking=data.draw(st.booleans()))


@SLOW_IS_FINE
@given(RANDOM_PROGRAMS, st.integers(1, 3), st.booleans(), st.data())
def test_hits_do_not_depend_on_how_far_single_runs_go(
    functions: list[Function], ticks: int, remember: bool, data: st.DataObject
) -> None:
    text = text_of(functions)
    trail = Trail(module_of(text), all_rests(machine(text)))
    if len(trail.rests) < 3:
        return
    candidates = [
        probe for probe in every_probe(trail) if not (isinstance(probe, FrameProbe) and probe.on_exit)
    ]
    chosen = tuple(data.draw(st.lists(st.sampled_from(candidates), min_size=1, max_size=3, unique=True)))
    exact, engine = machine(text), compiled(text)
    for each in (exact, engine):
        each.restore(trail.rests[0].snapshot)
    while exact.position < trail.rests[-1].position:
        until = Position(exact.position.tick + ticks)
        goal = Goal(until=until, probes=chosen, remember=remember)
        stops = exact.run(goal), engine.run(goal)
        while stops[0].reason is StopReason.PROBE:
            assert stops[0].hits == stops[1].hits
            goal = replace(goal, after=stops[0].hits[0].position)
            stops = exact.run(goal), engine.run(goal)
        assert as_set(stops[0].hits) == as_set(stops[1].hits)
        assert (stops[0].reason, stops[0].position) == (stops[1].reason, stops[1].position)


# --- writes ----------------------------------------------------------------------------------------------

WRITES = """(module (memory $m 1) (memory $w i64 1) (data $d "abcdefgh")
  (func $leaf (param i32) (i32.store8 offset=3 (i32.const 8) (local.get 0)))
  (func $fill (param i32) (memory.fill (i32.const 4) (local.get 0) (i32.const 9)))
  (func (export "main") (local $i i32)
    (loop $l
      (i32.store offset=8 (i32.const 0) (local.get $i))
      (i32.store16 (i32.const 10) (i32.const 7))
      (i64.store offset=4 (i32.const 1) (i64.const -1))
      (i64.store8 (i32.const 11) (i64.extend_i32_u (local.get $i)))
      (i64.store16 (i32.const 9) (i64.const 0x10203))
      (i64.store32 (i32.const 12) (i64.const 5))
      (f32.store (i32.const 8) (f32.convert_i32_s (local.get $i)))
      (f64.store (i32.const 8) (f64.div (f64.const 0) (f64.const 0)))
      (v128.store (i32.const 3) (i32x4.splat (local.get $i)))
      (v128.store32_lane 1 (i32.const 9) (i32x4.splat (i32.const 3)))
      (call $leaf (i32.div_u (local.get $i) (i32.const 2)))
      (call $fill (i32.shr_u (local.get $i) (i32.const 1)))
      (memory.copy (i32.const 7) (i32.const 6) (i32.and (local.get $i) (i32.const 1)))
      (memory.init $m $d (i32.const 6) (i32.const 1) (i32.const 4))
      (memory.copy $w $m (i64.const 8) (i32.const 8) (i32.const 4))
      (i64.store $w offset=2 (i64.const 7) (i64.extend_i32_u (local.get $i)))
      (i32.store $w (i64.const 9) (i32.const 1))
      (memory.fill $w (i64.const 10) (i32.const 0) (i64.const 2))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 6))))))"""

WATCHED = [
    WatchProbe(memory, address, length, changes)
    for memory in (0, 1)
    for address, length in ((8, 1), (11, 1), (8, 4), (0, 32), (65535, 9))
    for changes in (True, False)
]


def stops_of(engine: CompiledEngine | Interpreter, begin: Snapshot, goal: Goal) -> list[tuple[object, ...]]:
    """All stops of a goal from the begin, with their hits."""
    engine.restore(begin)
    found: list[tuple[object, ...]] = []
    while True:
        stop = engine.run(goal)
        found.append((stop.reason, sorted(as_set(stop.hits), key=str)))
        if stop.reason is not StopReason.PROBE:
            return found
        goal = replace(goal, after=stop.hits[0].position)


def test_every_way_to_write_is_seen_in_every_memory() -> None:
    exact, engine = machine(WRITES), compiled(WRITES)
    begin = Snapshot.capture(exact.state)
    for probes in [*((watch,) for watch in WATCHED), tuple(WATCHED[::3]), tuple(WATCHED)]:
        for goal in (Goal(probes=probes), Goal(probes=probes, remember=True)):
            assert stops_of(engine, begin, goal) == stops_of(exact, begin, goal)


def test_what_host_calls_write_is_seen() -> None:
    exact, engine = machine(HOSTED, host=poking_host()), compiled(HOSTED, host=poking_host())
    begin = Snapshot.capture(exact.state)
    for address, length in ((16, 1), (17, 1), (18, 1), (16, 4)):
        for changes in (True, False):
            for remember in (True, False):
                goal = Goal(probes=(WatchProbe(0, address, length, changes),), remember=remember)
                assert stops_of(engine, begin, goal) == stops_of(exact, begin, goal)


# --- long runs -------------------------------------------------------------------------------------------

LONG = """(module (memory 1) (global $g (mut i32) (i32.const 0))
  (func $rare (param i32) (i32.store (i32.const 64) (local.get 0)))
  (func $same (i32.store (i32.const 128) (i32.const 1)))
  (func $body (param $i i32)
    (i32.store (i32.const 32) (local.get $i))
    (call $same)
    (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 60000))) (then (call $rare (local.get $i)))))
  (func (export "main") (local $i i32)
    (loop $l
      (call $body (local.get $i))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200000))))))"""


def test_a_long_run_is_searched_in_both_directions() -> None:
    engine = compiled(LONG, near=300)
    begin = Snapshot.capture(engine.state)
    rare = CodeProbe(0, module_of(LONG).functions[0].code.rests[2])
    for probe in (WatchProbe(0, 64, 4), rare):
        found = [value for value, _ in hits_of(engine, begin, probe)]
        assert found == ([60_000, 120_000, 180_000] if isinstance(probe, WatchProbe) else [0] * 4)
    positions = [position for _, position in hits_of(engine, begin, rare)]
    end = engine.run(Goal()).position
    for probe in (rare, WatchProbe(0, 64, 4)):
        engine.restore(begin)
        stop = engine.run(Goal(until=Position(end.tick - 1), probes=(probe,), remember=True))
        assert [hit.position for hit in stop.hits] == [positions[-1]]


def test_places_in_all_functions_are_asked_for_when_the_interpreter_has_looked_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = compiled(LONG, near=10)
    begin = Snapshot.capture(engine.state)
    places = {0: module_of(LONG).functions[0].code.rests[2]}
    asked: list[bool] = []

    def all_places() -> Mapping[int, int]:
        asked.append(True)
        return places

    probe = FunctionProbe(places.get, all_places)
    goal = Goal(until=Position(3000), probes=(probe,), remember=True)
    for patience in (1000.0, 0.0):
        monkeypatch.setattr("ttd.engine.search._PATIENCE", patience)
        engine.restore(begin)
        stop = engine.run(goal)
        assert stop.position == Position(3000)
        assert [hit.position for hit in stop.hits] == [Position(3, 16)]
        assert bool(asked) == (patience == 0)


def hits_of(engine: CompiledEngine, begin: Snapshot, probe: Probe) -> list[tuple[int, Position]]:
    engine.restore(begin)
    found: list[tuple[int, Position]] = []
    after = None
    while True:
        stop = engine.run(Goal(probes=(probe,), after=after))
        if stop.reason is not StopReason.PROBE:
            return found
        after = stop.hits[0].position
        found.append((int.from_bytes(stop.hits[0].new, "little"), after))


def test_a_watch_passes_over_writes_that_change_nothing_at_full_speed() -> None:
    engine = compiled(LONG, near=300)
    begin = Snapshot.capture(engine.state)
    watch = WatchProbe(0, 128, 4)
    first = engine.run(Goal(probes=(watch,)))
    assert first.hits[0].new == b"\1\0\0\0"
    scouted: list[Sighting] = []
    scout = engine.scout
    engine.scout = lambda *given: scouted.append(scout(*given)) or scouted[-1]  # type: ignore[method-assign, func-returns-value]
    stop = engine.run(Goal(probes=(watch,), after=first.hits[0].position))
    assert stop.reason is StopReason.ENDED
    assert [seen.ticks for seen in scouted] == [[]]
    engine.restore(begin)
    assert engine.run(Goal(probes=(watch,), remember=True)).hits == first.hits


CALLING = """(module (memory 1)
  (func $leaf (param i32) (i32.store (i32.const 8) (local.get 0)) (loop))
  (func $work (param i32) (loop $l
    (call $leaf (local.get 0)) (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "main") (call $work (i32.const 3)) (call $work (i32.const 200000))
    (i32.store (i32.const 0) (i32.const 1))))"""


def test_stepping_over_a_long_call_leaves_little_of_it_to_the_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walked, run = 0, Interpreter.run

    def counted(self: Interpreter, goal: Goal) -> Stop:
        nonlocal walked
        tick = self.position.tick
        stop = run(self, goal)
        walked += stop.position.tick - tick
        return stop

    engine = compiled(CALLING, near=300)
    start, rests = engine.position, module_of(CALLING).functions[2].code.rests
    first, before, after = rests[2], rests[3], rests[4]
    monkeypatch.setattr(Interpreter, "run", counted)
    engine.run(Goal(probes=(FrameProbe(start, frozenset((before,))),)))
    begin = Snapshot.capture(engine.state)
    over = FrameProbe(start, frozenset((first, before, after)), on_exit=True)
    stop = engine.run(Goal(probes=(over,), after=engine.position))
    assert [engine.state.frames[-1].pc, len(engine.state.frames)] == [after, 1]
    assert stop.position.tick > 400_000
    engine.restore(begin)
    back = engine.run(Goal(until=stop.position, probes=(over,), remember=True))
    assert [hit.position for hit in back.hits] == [begin.position]
    inner = next(frame.entry for frame in _inside(engine, begin) if frame.function == 1)
    engine.restore(begin)
    left = engine.run(Goal(probes=(FrameProbe(inner, frozenset(), on_exit=True),)))
    assert left.position == stop.position
    assert walked < 10_000


def _inside(engine: CompiledEngine, begin: Snapshot) -> list[Frame]:
    engine.restore(begin)
    engine.run(Goal(until=Position(begin.position.tick + 5_000)))
    return engine.state.frames


def test_conditions_are_asked_about_every_hit_in_order() -> None:
    engine = compiled(LONG, near=300)
    watch = WatchProbe(0, 64, 4)
    asked: list[int] = []

    def accept(hit: Hit) -> bool:
        assert engine.state.position == hit.position
        asked.append(int.from_bytes(hit.new, "little"))
        return asked[-1] == 120_000

    stop = engine.run(Goal(probes=(watch,), accept=accept))
    assert asked == [60_000, 120_000]
    assert stop.reason is StopReason.PROBE
    begin = Snapshot.capture(machine(LONG).state)
    engine.restore(begin)
    asked.clear()
    stop = engine.run(Goal(probes=(watch,), accept=accept, remember=True))
    assert asked == [60_000, 120_000, 180_000]
    assert stop.hits[0].new == (120_000).to_bytes(4, "little")


def test_a_breakpoint_at_the_entry_that_a_run_ends_at_is_found_by_the_next_run() -> None:
    exact, engine = machine(LONG), compiled(LONG)
    entry = CodeProbe(2, module_of(LONG).functions[2].code.rests[0])
    for engine_ in (exact, engine):
        found: list[Position] = []
        while len(found) < 4:
            here = engine_.position
            after = found[-1] if found and found[-1] == here else None
            stop = engine_.run(Goal(until=Position(here.tick + 1), probes=(entry,), after=after))
            assert stop.position >= here
            found += [hit.position for hit in stop.hits]
        assert found == [Position(tick) for tick in (3, 5, 7, 9)]
