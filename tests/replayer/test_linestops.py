"""The places at which steps stop, read off optimised code."""

from __future__ import annotations

import pytest

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.replayer.lines import Lines
from ttd.replayer.linestops import Places, SourceLine
from ttd.replayer.resolve import Here, Resolver


@pytest.fixture(scope="module", params=["inlines", "inlined", "inlinedloop"])
def debug(guest: Guests, request: pytest.FixtureRequest) -> DebugInfo:
    return DebugInfo(load(guest(request.param, "-O2")))


def places_of(debug: DebugInfo, name: str) -> Places:
    (index,) = debug.find_functions(name)
    return Places(debug.module, debug, index)


def test_every_stop_is_at_the_line_of_its_frame(debug: DebugInfo) -> None:
    hidden = 0
    for function in debug.module.functions:
        places = Places(debug.module, debug, function.index)
        statements = {pc for pc, _, _ in debug.statements(function.index)} if function.body else set()
        for pc in places.arrivals:
            frames = debug.source_frames(pc)
            stops = places.lines_at(pc)
            assert [stop.hidden for stop in stops] == sorted({stop.hidden for stop in stops}, reverse=True)
            assert stops[-1].hidden == 0 and stops[0].hidden < len(frames)
            hidden += stops[0].hidden > 0
            assert pc in statements or pc == debug.breakpoint_pc(function.index)
            for stop in stops:
                frame = frames[stop.hidden]
                location = frame.location
                assert location is not None
                assert stop.line == SourceLine(frame.entry, location.path, location.line)
    assert hidden > 0


def test_who_was_last_in_a_line_is_not_stopped_where_it_goes_on(guest: Guests) -> None:
    debug = DebugInfo(load(guest("inlines", "-O2")))
    places = places_of(debug, "work")
    path = str(guest.source("inlines"))
    line = guest.line("inlines", "norm")
    work = next(
        stop.line
        for pc in places.arrivals
        for stop in places.lines_at(pc)
        if (stop.line.line, stop.is_start) == (line, True)
    )
    assert work.path == path
    (again,) = [
        pc for pc in places.arrivals if (places.lines_at(pc)[-1].line, pc in places.starts) == (work, False)
    ]
    assert again not in places.after(work) and again not in places.over_calls(work)
    assert again in places.after(None)
    assert [stop.line for stop in places.stops_at(again)] == [work]


def test_the_top_of_a_functions_own_loop_is_no_call_of_it(guest: Guests) -> None:
    debug = DebugInfo(load(guest("inlinedloop", "-O2")))
    places = places_of(debug, "main")
    (call,) = debug.calls_of("drain")
    assert places.call_of(call.entry) is None
    assert all(places.lines_at(pc)[0].hidden == 0 for pc in places.inside(call.entry))


def test_a_breakpoint_at_a_function_stops_before_what_is_inlined_first(guest: Guests) -> None:
    debug = DebugInfo(load(guest("inlined", "-O2")))
    resolver = Resolver(debug.module, debug, Lines(debug.module, debug))
    (place,), _ = resolver.resolve("report", Here(None, None))
    assert (place.function_name, place.hidden) == ("report", 1)
    (inner,), _ = resolver.resolve("average", Here(None, None))
    assert (inner.function_name, inner.hidden, inner.pc) == ("average", 0, place.pc)
