"""Which pages have changed, and that a trace made of changes alone gives back every memory as it was."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.store import samples
from ttd.recorder.changes import Changes
from ttd.recorder.snapshots import SnapshotPolicy
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, ZERO_PAGE, MemoryImage, Snapshot, State
from ttd.store.trace import Trace, TraceWriter
from ttd.types import Ending, EndKind, Position


class Bytes:
    """A memory of plain bytes."""

    def __init__(self, pages: int = 1) -> None:
        self.bytes = bytearray(pages * WASM_PAGE)

    def view(self) -> memoryview:
        return memoryview(self.bytes)

    @property
    def pages(self) -> int:
        return len(self.bytes) // WASM_PAGE

    def grow(self, delta: int) -> int:
        self.bytes += bytes(delta * WASM_PAGE)
        return self.pages - delta


def test_what_changed_is_told_against_what_was_accepted() -> None:
    memories = [Bytes(2), Bytes(0), Bytes(1)]
    changes = Changes()
    assert changes.survey(memories).count == 0
    memories[0].bytes[SNAPSHOT_PAGE] = 1
    memories[2].bytes[5] = 1
    first = changes.survey(memories)
    assert [list(numbers) for numbers in first.changed] == [[1], [], [0]]
    memories[0].bytes[WASM_PAGE] = 1
    second = changes.survey(memories)
    assert [list(numbers) for numbers in second.changed] == [[1, 16], [], [0]]
    changes.accept(first)
    assert [list(numbers) for numbers in changes.survey(memories).changed] == [[16], [], []]
    memories[0].bytes[SNAPSHOT_PAGE] = 0
    memories[1].grow(1)
    third = changes.survey(memories)
    assert [list(numbers) for numbers in third.changed] == [[1, 16], [], []]
    assert third.copies(0, 1)[1] is ZERO_PAGE
    assert [third.locate(at) for at in range(third.count)] == [(0, 1), (0, 16)]


def test_portions_hold_every_page_once() -> None:
    memories = [Bytes(2), Bytes(1)]
    for memory in memories:
        memory.bytes[::SNAPSHOT_PAGE] = b"x" * (len(memory.bytes) // SNAPSHOT_PAGE)
    survey = Changes().survey(memories)
    portions = list(survey.portions(5))
    assert max(len(pages) for _, pages in portions) == 5
    got = [(index, number) for index, pages in portions for number in pages]
    assert got == [(0, n) for n in range(32)] + [(1, n) for n in range(16)]


class Recorded(RuleBasedStateMachine):
    """A run whose policy takes some snapshots and refuses others, as the clock and the size of what changed
    will have it. Whichever it takes holds the memories as they were at its position."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.writer = TraceWriter.create(self.directory / "memory.trace", samples.manifest(), samples.MODULE)
        self.memories = [Bytes(1)]
        self.time = 0.0
        self.policy = SnapshotPolicy(self.writer, lambda: self.time, 2)
        self.seen: dict[int, list[bytes]] = {}
        self.tick = 0

    @rule(
        memory=st.integers(0, 1),
        at=st.integers(0, 4 * WASM_PAGE),
        what=st.binary(min_size=1, max_size=9)
        | st.just(bytes(2 * SNAPSHOT_PAGE))
        | st.just(b"\1" * 3 * SNAPSHOT_PAGE),
    )
    def store(self, memory: int, at: int, what: bytes) -> None:
        data = self.memories[memory % len(self.memories)].bytes
        at %= len(data)
        data[at : at + len(what)] = what[: len(data) - at]

    @rule(seed=st.integers(0, 1000))
    def churn(self, seed: int) -> None:
        """Change so much, in a way that cannot be compressed, that it cannot always be paid."""
        data = self.memories[0].bytes
        data[:] = random.Random(seed).randbytes(len(data))

    @rule()
    @precondition(lambda self: self.memories[0].pages < 8)
    def grow(self) -> None:
        self.memories[0].grow(1)

    @rule()
    @precondition(lambda self: len(self.memories) == 1)
    def another(self) -> None:
        self.memories.append(Bytes(2))

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.0]))
    def offer(self, seconds: float) -> None:
        self.time += seconds
        self.tick += 1
        if self.tick % 3:
            self.writer.flush()
        state = State(Position(self.tick), [], [], [], list(self.memories))
        if self.policy.offer(lambda: state):
            self.seen[self.tick] = [bytes(memory.bytes) for memory in self.memories]

    def teardown(self) -> None:
        self.writer.finish(Ending(EndKind.EXIT, Position(self.tick + 1)))
        with Trace.open(self.writer.path) as trace:
            assert [info.position.tick for info in trace.snapshots] == list(self.seen)
            for info in trace.snapshots:
                loaded: Snapshot = trace.load_snapshot(info)
                assert [_content(image) for image in loaded.memories] == self.seen[info.position.tick]
        shutil.rmtree(self.directory)


def _content(image: MemoryImage) -> bytes:
    memory = Bytes(image.size // WASM_PAGE)
    image.restore(memory)
    return bytes(memory.bytes)


TestRecorded = Recorded.TestCase
TestRecorded.settings = settings(max_examples=25, stateful_step_count=25)
