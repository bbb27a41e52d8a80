"""Replays against the log: divergence, recordings that end early, interrupts."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import wasmtime

from tests.replayer.model import Run
from tests.replayer.rewriting import rewrite
from ttd.engine.protocol import TICK_RULE, CodeProbe, Goal, Hit
from ttd.errors import DamagedTrace, Divergence, TraceVersionError
from ttd.events import HostCall, MemoryWrite
from ttd.replayer.session import Interrupted, Session, program_of
from ttd.state import Snapshot
from ttd.store.manifest import Manifest
from ttd.store.trace import Trace
from ttd.types import Ending, EndKind, Position, StopReason
from ttd.wasm.names import Names

Recorded = Callable[[str], Path]
Runs = Callable[[str], Run]


def replay_all(path: Path) -> Session:
    with Trace.open(path) as trace:
        session = Session(trace)
        session.run(Goal())
        session.close()
        return session


def changed(index: int, **changes: object) -> Callable[[list[HostCall]], list[HostCall]]:
    """Event number `index` with other attributes."""

    def change(events: list[HostCall]) -> list[HostCall]:
        events[index] = replace(events[index], **changes)  # type: ignore[arg-type]
        return events

    return change


def test_a_recording_replays_to_its_end(recorded: Recorded) -> None:
    session = replay_all(recorded("calls"))
    assert session.ended is not None and session.ended.ending == session.ending
    assert session.position == session.end


def test_other_arguments_are_a_divergence_with_both_sides(
    recorded: Recorded, runs: Runs, tmp_path: Path
) -> None:
    path = rewrite(recorded("calls"), tmp_path / "t", changed(1, arguments=(77, 78)))
    with pytest.raises(Divergence, match=r"\(77, 78\)") as caught:
        replay_all(path)
    assert caught.value.position == runs("calls").events[1]


def test_another_position_is_a_divergence(recorded: Recorded, tmp_path: Path) -> None:
    path = rewrite(recorded("calls"), tmp_path / "t", changed(0, position=Position(3, 3)))
    with pytest.raises(Divergence, match="at 3:3"):
        replay_all(path)


def test_a_call_that_is_not_in_a_complete_log_is_a_divergence(recorded: Recorded, tmp_path: Path) -> None:
    path = rewrite(recorded("calls"), tmp_path / "t", lambda events: events[:-1])
    with pytest.raises(Divergence, match="no further host call"):
        replay_all(path)


def test_another_ending_is_a_divergence(recorded: Recorded, tmp_path: Path) -> None:
    with Trace.open(recorded("calls")) as trace:
        ending = replace(trace.ending, code=3)
    path = rewrite(recorded("calls"), tmp_path / "t", ending=ending)
    with pytest.raises(Divergence, match="exit code 3"):
        replay_all(path)


def test_a_run_that_goes_on_behind_its_end_is_a_divergence(recorded: Recorded, tmp_path: Path) -> None:
    with Trace.open(recorded("loops")) as trace:
        ending = replace(trace.ending, position=Position(50, 1))
    path = rewrite(recorded("loops"), tmp_path / "t", ending=ending)
    with pytest.raises(Divergence, match="still running"):
        replay_all(path)


@pytest.mark.parametrize(
    "write",
    [
        MemoryWrite(0, 1 << 40, b"x"),
        MemoryWrite(0, 0xFFFF_FFF0, b"a little too long"),
        MemoryWrite(0, -1, b"x"),
        MemoryWrite(7, 0, b"x"),
    ],
)
def test_a_log_that_writes_outside_of_memory_is_damaged(
    write: MemoryWrite, recorded: Recorded, runs: Runs, tmp_path: Path
) -> None:
    path = rewrite(recorded("calls"), tmp_path / "t", changed(0, writes=(write,)))
    with Trace.open(path) as trace:
        session = Session(trace)
        with pytest.raises(DamagedTrace, match=r"events? 0"):
            session.run(Goal())
        assert session.position == runs("calls").events[0]
        session.close()


def test_results_of_the_wrong_number_are_damage(recorded: Recorded, tmp_path: Path) -> None:
    path = rewrite(recorded("calls"), tmp_path / "t", changed(0, results=(1, 2, 3)))
    with pytest.raises(DamagedTrace, match="3 results"):
        replay_all(path)


@pytest.mark.parametrize("result", [None, 1 << 32, 1 << 100])
def test_results_of_the_wrong_type_are_damage(result: int | None, recorded: Recorded, tmp_path: Path) -> None:
    path = rewrite(recorded("calls"), tmp_path / "t", changed(0, results=(result,)))
    with pytest.raises(DamagedTrace, match="event 0 of the trace has a result of the wrong type"):
        replay_all(path)


@pytest.mark.parametrize(
    "changes", [{"function": 1 << 40}, {"arguments": (1,)}], ids=["function", "arguments"]
)
def test_a_call_that_the_module_does_not_have_is_damage(
    changes: dict[str, object], recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Trace.open(recorded("calls")) as trace:
        call = replace(trace.manifest.invocations[0], **changes)  # type: ignore[arg-type]
        monkeypatch.setattr(trace, "manifest", replace(trace.manifest, invocations=(call,)))
        with pytest.raises(DamagedTrace, match="the trace calls function"):
            Session(trace)


def test_a_run_that_ends_before_it_was_interrupted_is_a_divergence(
    recorded: Recorded, tmp_path: Path
) -> None:
    ending = Ending(EndKind.INTERRUPTED, Position(1 << 40, 3))
    path = rewrite(recorded("calls"), tmp_path / "t", ending=ending)
    with pytest.raises(Divergence, match=r"recorded interrupted at 1099511627776:3, replayed exit code"):
        replay_all(path)


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_recording_that_was_broken_off_ends_there(
    recorded: Recorded, tmp_path: Path, is_finished: bool
) -> None:
    ending = Ending(EndKind.INTERRUPTED, Position(120, 3))
    path = rewrite(
        recorded("loops"),
        tmp_path / "t",
        lambda events: [e for e in events if e.position <= ending.position],
        lambda snapshots: [],
        ending,
        is_finished,
    )
    with Trace.open(path) as trace:
        session = Session(trace)
        assert not session.complete
        assert session.run(Goal()).reason is StopReason.END_OF_TRACE
        assert session.position == session.end == ending.position
        assert session.run(Goal()).reason is StopReason.END_OF_TRACE
        session.close()


def test_a_log_that_ends_before_the_recording_ends_the_replay(
    recorded: Recorded, runs: Runs, tmp_path: Path
) -> None:
    last = runs("loops").events[-1]
    with Trace.open(recorded("loops")) as trace:
        ending = Ending(EndKind.INTERRUPTED, trace.ending.position)
    path = rewrite(recorded("loops"), tmp_path / "t", lambda events: events[:-1], lambda s: [], ending)
    with Trace.open(path) as trace:
        session = Session(trace)
        stop = session.run(Goal())
        assert (stop.reason, stop.position) == (StopReason.END_OF_TRACE, last)
        assert session.end == last
        session.close()


def test_another_tick_rule_is_refused(recorded: Recorded, tmp_path: Path) -> None:
    path = rewrite(recorded("calls"), tmp_path / "t", manifest=lambda m: replace(m, tick_rule=TICK_RULE + 1))
    with Trace.open(path) as trace, pytest.raises(TraceVersionError, match="tick rule"):
        Session(trace)


@pytest.mark.parametrize("what", ["call_depth", "memory_pages", "table_elements"])
def test_limits_that_no_recording_has_are_refused(what: str, recorded: Recorded, tmp_path: Path) -> None:
    """A trace is untrusted: it must not be able to ask for all memory there is."""

    def hostile(manifest: Manifest) -> Manifest:
        return replace(manifest, limits=replace(manifest.limits, **{what: 1 << 50}))

    path = rewrite(recorded("calls"), tmp_path / "t", manifest=hostile)
    with Trace.open(path) as trace, pytest.raises(DamagedTrace, match="which no recording does"):
        program_of(trace)


def test_what_is_native_goes_when_nobody_needs_it_anymore(recorded: Recorded) -> None:
    """Each store holds mappings, of which the system allows a process some tens of thousands."""

    def stores() -> int:
        gc.collect()
        return sum(isinstance(thing, wasmtime.Store) for thing in gc.get_objects())

    before = stores()
    for _ in range(3):
        replay_all(recorded("calls"))
    assert stores() == before
    with Trace.open(recorded("calls")) as trace:
        session = Session(trace)
        start = Snapshot.capture(session.engine.state)
        session.run(Goal())
        open_now = stores()
        for _ in range(3):  # each of them starts the program afresh
            session.engine.restore(start)
            session.engine.run(Goal(until=Position(20)))
        assert stores() == open_now
        session.close()


def test_slices_do_not_become_short_because_a_deep_stack_takes_long_to_hand_over(recorded: Recorded) -> None:
    with Trace.open(recorded("loops")) as trace:
        session = Session(trace)
        session._slice = 10_000
        session._tune(10_000, running=0.001, handover=1.0)
        assert session._slice == 80_000
        session._tune(80_000, running=1.0, handover=0.0)
        assert session._slice < 10_000
        session.close()


def test_an_interrupt_stops_a_run_between_slices(recorded: Recorded) -> None:
    with Trace.open(recorded("loops")) as trace:
        session = Session(trace)
        session._slice = 1
        session.interrupt()
        with pytest.raises(Interrupted):
            session.run(Goal())
        assert session.begin < session.position < session.end
        session.run(Goal())
        assert session.position == session.end
        session.close()


def test_nothing_is_asked_anymore_when_a_search_backward_is_given_up(recorded: Recorded) -> None:
    with Trace.open(recorded("loops")) as trace:
        session = Session(trace)
        asked: list[Hit] = []

        def accept(hit: Hit) -> bool:
            asked.append(hit)
            session.interrupt()
            return True

        cell = next(f for f in session.module.functions if Names(session.module).function(f.index) == "cell")
        probe = CodeProbe(cell.index, min(cell.code.rests))
        with pytest.raises(Interrupted):
            session.run(Goal(until=session.end, probes=(probe,), remember=True, accept=accept))
        assert len(asked) == 1
        session.close()
