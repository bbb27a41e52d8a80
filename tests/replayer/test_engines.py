"""One trace on both engines: whichever has recorded it, and wherever one stands, they show the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.replayer.model import Run
from tests.support import Guests
from ttd.engine.protocol import Goal
from ttd.recorder.options import RecordOptions
from ttd.recorder.session import record
from ttd.replayer.debugger import Debugger, ToEnd, ToPosition
from ttd.replayer.session import ENGINES, Session
from ttd.replayer.verify import verify
from ttd.state import Snapshot
from ttd.store.trace import Trace

Recorded = Callable[[str], Path]


@pytest.fixture(scope="module")
def optimised(engine: str, guest: Guests, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of a guest whose locals die early."""
    path = tmp_path_factory.mktemp("optimised") / "optimised.trace"
    record(RecordOptions(guest("optimised", "-O2"), path, engine=engine))
    return path


@pytest.mark.parametrize("name", ["optimised", "wat:throw", "wat:cascade", "calls"])
def test_states_are_equal_at_every_position(recorded: Recorded, optimised: Path, name: str) -> None:
    """Each engine comes to each position straight from the begin."""
    with Trace.open(optimised if name == "optimised" else recorded(name)) as trace:
        positions = Run.walk(trace).positions
        sessions = [Session(trace, factory) for factory in ENGINES.values()]
        begins = [Snapshot.capture(session.state) for session in sessions]
        for position in positions[:: max(1, len(positions) // 150)]:
            found = []
            for session, begin in zip(sessions, begins, strict=True):
                session.restore(begin)
                session.run(Goal(until=position))
                found.append([(f.function, f.pc, f.locals, f.operands) for f in session.known.frames])
                assert session.position == position
            # The interpreter's own recording forgets nothing when it replays it.
            if trace.manifest.engine == "compiled":
                assert found[0] == found[1], position
            else:
                assert _agree(found[0], found[1]), position
        for session in sessions:
            session.close()


def _agree(ours: list[tuple[object, ...]], theirs: list[tuple[object, ...]]) -> bool:
    """Whether two stacks are equal but for locals that one of them does not know."""

    def same(a: object, b: object) -> bool:
        if isinstance(a, list) and isinstance(b, list):
            return len(a) == len(b) and all(
                x == y or x is None or y is None for x, y in zip(a, b, strict=True)
            )
        return a == b

    return len(ours) == len(theirs) and all(
        same(a, b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("name", ["calls", "loops", "trap", "library", "wat:tail", "wat:throw", "wat:deep"])
def test_a_recording_verifies_with_either_engine(recorded: Recorded, name: str) -> None:
    with Trace.open(recorded(name)) as trace:
        reports = [verify(trace, factory) for factory in ENGINES.values()]
        assert all(report.is_good for report in reports), reports
        assert reports[0] == reports[1]


@pytest.mark.parametrize(("name", "spec"), [("calls", "factorial"), ("loops", "cell"), ("wat:tail", "swap")])
def test_the_other_engine_stops_at_the_same_places(
    recorded: Recorded, engine: str, name: str, spec: str
) -> None:
    with Trace.open(recorded(name)) as trace:
        found = []
        for factory in ENGINES.values():
            with Debugger(trace, factory) as debugger:
                debugger.goto(ToEnd())
                debugger.goto(ToPosition(debugger.begin))
                debugger.break_(spec)
                debugger.catch("call")
                stops = [debugger.continue_() for _ in range(12)]
                stops += [debugger.continue_(reverse=True) for _ in range(13)]
                found.append([(stop.reason, stop.where, stop.breakpoints) for stop in stops])
        assert found[0] == found[1]
