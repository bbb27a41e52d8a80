"""Probes on the compiled engine: the brute force of the interpreter's tests, and a long run with few hits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interpreter.programs import PROGRAMS, RANDOM_PROGRAMS, Function, text_of
from tests.interpreter.rig import RuleHost, all_rests, machine, module_of
from tests.interpreter.test_probes import Trail, as_set, every_probe
from ttd.engine.compiled import CompiledEngine
from ttd.engine.protocol import Goal, Hit, Invocation, Probe, Program
from ttd.interpreter import Interpreter
from ttd.types import Position, StopReason

SLOW_IS_FINE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def compiled(text: str, near: int = 0) -> CompiledEngine:
    module = module_of(text)
    host = RuleHost(module=module)
    invocation = Invocation(module.exports_by_name["main"].index)
    return CompiledEngine(Program(module, (invocation,)), host, near=near)


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
