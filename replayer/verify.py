"""Replaying a whole trace and comparing everything that it holds with what the replay does.

Host calls are compared by the replaying host, the ending by the session, snapshots here. The store's own
verification, of checksums, stands before this: a damaged part cannot be compared.

May import base, engine, store and this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ttd.engine.protocol import Goal
from ttd.errors import DamagedTrace, Divergence
from ttd.replayer.session import EngineFactory, Session
from ttd.state import ZERO_PAGE, Snapshot, State
from ttd.store.trace import SnapshotInfo, Trace
from ttd.types import Ending, Position, StopReason


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found. `is_good` is what counts."""

    events: int
    """How many host calls were compared."""
    snapshots: int
    """How many snapshots were compared."""
    end: Position
    """How far the replay got."""
    ending: Ending
    """How the recording ended."""
    divergence: str = ""
    """The first difference, with its position; "" if there is none."""
    divergence_position: Position | None = None
    damage: tuple[str, ...] = ()
    """Parts of the trace that could not be read, and so not be compared."""

    @property
    def is_good(self) -> bool:
        """Whether the whole trace was replayed without any difference."""
        return not self.divergence and not self.damage


def verify(
    trace: Trace,
    engine: EngineFactory | None = None,
    progress: Callable[[Position, Position], None] | None = None,
) -> VerifyReport:
    """Replay all of `trace`. `progress` is given the present and the last position, some ten times a second.

    Raises what opening the program raises; differences and damage are results.
    """
    session = Session(trace, engine)
    try:
        return _Verification(session, progress).run()
    finally:
        session.close()


class _Verification:
    """One replay from begin to end, stopping at each snapshot."""

    def __init__(self, session: Session, progress: Callable[[Position, Position], None] | None) -> None:
        self._session = session
        self._progress = progress
        self._compared = 0
        self._damage = list(session.trace.damage)
        self._divergence: tuple[str, Position] | None = None

    def run(self) -> VerifyReport:
        """Compare until the first difference, or to the end."""
        session = self._session
        try:
            for info in sorted(session.trace.snapshots, key=lambda info: info.position):
                self._compare(info)
            session.run(Goal(), self._tell)
            self._check_log()
        except Divergence as error:
            self._divergence = str(error), error.position
        message, position = self._divergence or ("", None)
        return VerifyReport(
            events=session.host.answered,
            snapshots=self._compared,
            end=session.position,
            ending=session.trace.ending,
            divergence=message,
            divergence_position=position,
            damage=tuple(self._damage),
        )

    def _check_log(self) -> None:
        """At the end of the run, no event may be left over."""
        session = self._session
        answered, recorded = session.host.answered, session.trace.event_count
        if session.complete and answered != recorded:
            raise Divergence(session.position, f"{recorded} host calls", f"{answered}")

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._session.position, self._session.end)

    def _compare(self, info: SnapshotInfo) -> None:
        try:
            recorded = self._session.trace.load_snapshot(info)
        except DamagedTrace as error:
            self._damage.append(str(error))
            return
        stop = self._session.run(Goal(until=recorded.position), self._tell)
        if self._session.position == self._session.end and stop.reason is StopReason.LIMIT:
            self._session.run(Goal(), self._tell)
        difference = _difference(self._session.comparable(recorded), self._session.state)
        if difference is not None:
            raise Divergence(recorded.position, *difference)
        self._compared += 1


def _difference(recorded: Snapshot, state: State) -> tuple[str, str] | None:
    """What differs between a recorded state and the replayed one, (recorded, replayed); None if nothing."""
    replayed = Snapshot.capture(state)
    if recorded.position.agrees(replayed.position) and not recorded.position.is_exact:
        # The end of a run of compiled code, which knows neither step nor frames there.
        replayed = replace(replayed, position=recorded.position, frames=())
    if recorded.digest() == replayed.digest():
        return None
    simple = (
        ("position", recorded.position, replayed.position),
        ("next event", recorded.next_event, replayed.next_event),
        ("invocation", recorded.invocation, replayed.invocation),
        ("call stack", _stack(recorded), _stack(replayed)),
        ("globals", recorded.globals, replayed.globals),
        ("tables", recorded.tables, replayed.tables),
        ("dropped data segments", sorted(recorded.dropped_data), sorted(replayed.dropped_data)),
        ("dropped element segments", sorted(recorded.dropped_elements), sorted(replayed.dropped_elements)),
        ("memory sizes", [m.size for m in recorded.memories], [m.size for m in replayed.memories]),
    )
    for name, old, new in simple:
        if old != new:
            return f"{name} {_short(old)}", f"{name} {_short(new)}"
    return _memory_difference(recorded, replayed)


def _memory_difference(recorded: Snapshot, replayed: Snapshot) -> tuple[str, str]:
    for number, (old, new) in enumerate(zip(recorded.memories, replayed.memories, strict=True)):
        for page in sorted(old.pages.keys() | new.pages.keys()):
            before, after = old.pages.get(page, ZERO_PAGE), new.pages.get(page, ZERO_PAGE)
            if before != after:
                offset = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
                address = page * len(before) + offset
                place = f"at address {address:#x}" + (f" of memory {number}" if number else "")
                return f"byte {before[offset]:#04x} {place}", f"byte {after[offset]:#04x} {place}"
    return "another state", "this state"


def _stack(snapshot: Snapshot) -> list[tuple[int, int, list[object], list[object]]]:
    return [(f.function, f.pc, list(f.locals), list(f.operands)) for f in snapshot.frames]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:97] + "..."
