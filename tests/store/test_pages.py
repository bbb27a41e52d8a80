"""The page store against a dict, and snapshots of a memory that changes at random."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.store import samples
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, Memory, MemoryImage, Snapshot, State
from ttd.store import pages as pages_module
from ttd.store.database import Database, create_tables, open_for_reading, open_for_writing
from ttd.store.pages import ContentReader, ContentWriter
from ttd.store.trace import Trace, TraceWriter
from ttd.types import Ending, EndKind, Position

CONTENTS = st.binary(max_size=20).map(
    lambda seed: (seed * SNAPSHOT_PAGE + bytes(SNAPSHOT_PAGE))[:SNAPSHOT_PAGE]
)


class PageStore(RuleBasedStateMachine):
    """Whatever is put under a number stays there; equal bytes have one number. The model is a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "pages.trace"
        self.path.touch()
        create_tables(self.path)
        self.model: dict[int, bytes] = {}
        self.databases: list[Database] = []

    @initialize()
    def begin(self) -> None:
        self.another_writer()

    def another_writer(self) -> None:
        """As a second recording into the same database: it remembers nothing of what the first stored."""
        self.databases.append(open_for_writing(self.path))
        self.writer = ContentWriter()

    @rule(datas=st.lists(CONTENTS, max_size=40))
    def put(self, datas: list[bytes]) -> None:
        with self.databases[-1].engine.begin() as connection:
            numbers = self.writer.put(connection, datas)
        assert len(numbers) == len(datas)
        for number, data in zip(numbers, datas, strict=True):
            assert self.model.setdefault(number, data) == data

    @rule()
    @precondition(lambda self: len(self.databases) < 4)
    def change_the_writer(self) -> None:
        self.another_writer()

    @rule()
    def forget(self) -> None:
        self.writer = ContentWriter()

    @rule(data=st.data(), cached=st.integers(1, 8))
    @precondition(lambda self: self.model)
    def read(self, data: st.DataObject, cached: int) -> None:
        wanted = data.draw(st.lists(st.sampled_from(sorted(self.model))))
        database = open_for_reading(self.path)
        reader = ContentReader(cached)
        with database.engine.connect() as connection:
            for _ in range(2):
                found = reader.pages(connection, wanted)
                assert found == {number: self.model[number] for number in wanted}
            for number in wanted:
                assert reader.blob(connection, number)[0] == self.model[number]
        database.close()

    @invariant()
    def equal_bytes_have_one_number(self) -> None:
        assert len(set(self.model.values())) == len(self.model)

    def teardown(self) -> None:
        for database in self.databases:
            database.close()
        shutil.rmtree(self.directory)


TestPageStore = PageStore.TestCase
TestPageStore.settings = settings(max_examples=25, stateful_step_count=15)


class Bytes(Memory):
    """A memory of plain bytes."""

    def __init__(self) -> None:
        self.bytes = bytearray(WASM_PAGE)

    def view(self) -> memoryview:
        return memoryview(self.bytes)

    @property
    def pages(self) -> int:
        return len(self.bytes) // WASM_PAGE

    def grow(self, delta: int) -> int:
        before = self.pages
        self.bytes += bytes(delta * WASM_PAGE)
        return before


class ChangingMemory(RuleBasedStateMachine):
    """Snapshots of a memory that is written to and grows; read back, each is what the memory was then."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "memory.trace"
        self.writer = TraceWriter.create(self.path, samples.manifest(), samples.MODULE)
        self.memory = Bytes()
        self.taken: list[Snapshot] = []
        self.seen: list[bytes] = []

    @rule(
        at=st.integers(0, 4 * WASM_PAGE),
        what=st.binary(min_size=1, max_size=9)
        | st.just(bytes(2 * SNAPSHOT_PAGE))
        | st.just(b"\1" * 3 * SNAPSHOT_PAGE),
    )
    def store(self, at: int, what: bytes) -> None:
        at %= len(self.memory.bytes)
        what = what[: len(self.memory.bytes) - at]
        self.memory.bytes[at : at + len(what)] = what

    @rule()
    @precondition(lambda self: self.memory.pages < 4)
    def grow(self) -> None:
        self.memory.grow(1)

    @rule(share=st.booleans())
    def snapshot(self, share: bool) -> None:
        state = State(Position(len(self.taken)), [], [], [], [self.memory])
        previous = self.taken[-1] if share and self.taken else None
        self.taken.append(Snapshot.capture(state, previous))
        self.seen.append(bytes(self.memory.bytes))
        self.writer.snapshot(self.taken[-1])

    def teardown(self) -> None:
        self.writer.finish(Ending(EndKind.EXIT, Position(len(self.taken))))
        with Trace.open(self.path) as trace:
            assert len(trace.snapshots) == len(self.taken)
            for info, seen in reversed(list(zip(trace.snapshots, self.seen, strict=True))):
                memory = Bytes()
                memory.bytes = bytearray(b"\xee" * info.size)
                image: MemoryImage = trace.load_snapshot(info).memories[0]
                image.restore(memory)
                assert bytes(memory.bytes) == seen
        shutil.rmtree(self.directory)


TestChangingMemory = ChangingMemory.TestCase
TestChangingMemory.settings = settings(max_examples=25, stateful_step_count=20)


def test_many_contents_at_once_are_all_stored(tmp_path: Path) -> None:
    path = tmp_path / "many.trace"
    path.touch()
    create_tables(path)
    database = open_for_writing(path)
    datas = [n.to_bytes(4, "little") * (SNAPSHOT_PAGE // 4) for n in range(3 * pages_module.ROWS + 7)]
    with database.engine.begin() as connection:
        numbers = ContentWriter().put(connection, [*datas, *reversed(datas)])
    assert numbers == [*range(1, len(datas) + 1), *range(len(datas), 0, -1)]
    with database.engine.connect() as connection:
        found = ContentReader().pages(connection, numbers)
    assert [found[number] for number in range(1, len(datas) + 1)] == datas
    database.close()
