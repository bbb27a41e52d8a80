"""Random walks through recorded runs: the state depends on the position alone, and reverse-X undoes X."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.replayer.model import Digests, Run, spot
from ttd.errors import ExpressionError, UsageError
from ttd.replayer.debugger import Debugger, ToPercent, ToPosition
from ttd.replayer.lines import Lines
from ttd.replayer.stepping import Spot
from ttd.replayer.views import StopKind, StopReport
from ttd.state import Snapshot
from ttd.store.trace import Trace
from ttd.types import Position


class Walk(RuleBasedStateMachine):
    """A user who goes about in a recording. `path` and `run` are set by the test."""

    path: ClassVar[Path]
    run: ClassVar[Run]
    digests: ClassVar[Digests]
    breaks: ClassVar[tuple[str, ...]]

    @initialize()
    def open(self) -> None:
        self.trace = Trace.open(self.path)
        self.debugger = Debugger(self.trace)
        lines = Lines(self.debugger.module, self.debugger.debug)
        self.stops = set(self.run.step_stops(lines))
        self.starts = {
            Spot(rest.position, stop.hidden)
            for rest in self.run.rests
            for stop in lines.places(rest.function).lines_at(rest.pc)
            if stop.is_start
        }

    def teardown(self) -> None:
        if hasattr(self, "debugger"):
            self.debugger.close()
            self.trace.close()

    @property
    def here(self) -> Position:
        return self.debugger.position

    @property
    def spot(self) -> Spot:
        return Spot(self.here, self.debugger.where(0).hidden)

    @property
    def at_end(self) -> bool:
        return self.here == self.debugger.end

    # --- going about ---------------------------------------------------------------------------------

    @rule(percent=st.floats(0, 100))
    def go_to_percent(self, percent: float) -> None:
        self.debugger.goto(ToPercent(percent))

    @rule(data=st.data())
    def go_to_position(self, data: st.DataObject) -> None:
        position = data.draw(st.sampled_from([*self.run.positions, self.run.end]))
        assert self.debugger.goto(ToPosition(position)).where.position == position

    @rule(count=st.integers(1, 40), reverse=st.booleans())
    def stepi(self, count: int, reverse: bool) -> None:
        places = [*self.run.positions, self.run.end]
        index = places.index(self.here) + (-count if reverse else count)
        self.debugger.delete()
        self.debugger.stepi(count, reverse)
        assert self.here == places[max(0, min(index, len(places) - 1))]

    @rule(motion=st.sampled_from(["step", "next", "until", "continue_"]), reverse=st.booleans())
    def move(self, motion: str, reverse: bool) -> None:
        before, is_hidden = self.here, self.spot.hidden
        report: StopReport = getattr(self.debugger, motion)(reverse=reverse)
        if self.here == before and (is_hidden or self.spot.hidden):  # into an inlined call, or out to it
            assert (self.spot.hidden > is_hidden) == reverse
        elif reverse:
            assert self.here < before or before == self.debugger.begin
            assert (report.reason is StopKind.BEGIN) <= (self.here == self.debugger.begin)
        else:
            assert self.here > before or before == self.debugger.end
            assert self.at_end == (report.ending is not None)

    @rule(reverse=st.booleans(), level=st.integers(0, 4))
    def finish(self, reverse: bool, level: int) -> None:
        try:
            self.debugger.select_frame(level)
            self.debugger.finish(reverse)
        except UsageError:
            assert level >= self.debugger.frame_count - 1

    @rule(data=st.data(), temporary=st.booleans())
    def set_breakpoint(self, data: st.DataObject, temporary: bool) -> None:
        self.debugger.break_(data.draw(st.sampled_from(self.breaks)), temporary)

    @rule(data=st.data())
    def watch_a_local(self, data: st.DataObject) -> None:
        assume(not self.at_end)
        names = [variable.name for variable in self.debugger.locals()]
        if names:
            with contextlib.suppress(ExpressionError):  # what is optimised out cannot be watched
                self.debugger.watch(data.draw(st.sampled_from(names)))

    @rule()
    def delete_breakpoints(self) -> None:
        self.debugger.delete()

    # --- what must hold ------------------------------------------------------------------------------

    @rule()
    def a_step_back_undoes_a_step(self) -> None:
        self.debugger.delete()
        before = self.spot
        assume(before in self.stops and not self.at_end)
        if self.debugger.step().reason is StopKind.MOVED:
            assert spot(self.debugger.step(reverse=True)) == before

    @rule()
    def a_next_back_undoes_a_next_in_its_frame(self) -> None:
        self.debugger.delete()
        before = self.spot
        assume(before in self.starts)
        frame = self.debugger.frames(1)[0]
        report = self.debugger.next()
        after = self.debugger.frames(1)
        if report.reason is StopKind.MOVED and (after[0].entry, after[0].scope) == (frame.entry, frame.scope):
            assert spot(self.debugger.next(reverse=True)) == before

    @rule(reverse=st.booleans())
    def going_on_and_back_leads_to_the_same_stop(self, reverse: bool) -> None:
        first = self.debugger.continue_(reverse=reverse)
        second = self.debugger.continue_(reverse=reverse)
        ways_out = (StopKind.BEGIN, StopKind.ENDED)
        if first.reason not in ways_out and first.where.position != second.where.position:
            kept = set(first.breakpoints) & {view.number for view in self.debugger.breakpoints}
            back = self.debugger.continue_(reverse=not reverse)
            if kept:
                assert back.where.position == first.where.position

    @invariant()
    def state_depends_on_the_position_alone(self) -> None:
        if hasattr(self, "debugger"):
            state = self.debugger._session.state
            assert Snapshot.capture(state).digest() == self.digests(self.here)


@pytest.mark.parametrize(
    ("guest_name", "breaks"),
    [
        ("calls", ("factorial", "leaf", "is_odd", "calls.c:12")),
        ("loops", ("cell", "sum", "loops.c:24")),
        ("trap", ("main",)),
        ("inlines -O2", ("square", "once", "norm", "leaf", "inlines.c:30")),
    ],
)
def test_random_walks(
    recorded: Callable[[str], Path], runs: Callable[[str], Run], guest_name: str, breaks: tuple[str, ...]
) -> None:
    with Trace.open(recorded(guest_name)) as trace:
        digests = Digests(trace)

        class GuestWalk(Walk):
            path = recorded(guest_name)
            run = runs(guest_name)

        GuestWalk.digests, GuestWalk.breaks = digests, breaks
        run_state_machine_as_test(
            GuestWalk,
            settings=settings(
                max_examples=6,
                stateful_step_count=25,
                phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking these takes minutes
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
        digests.close()
