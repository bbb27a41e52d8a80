"""What is encoded decodes to the same; what is not ours is told, whatever the bytes."""

from __future__ import annotations

import msgpack
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ttd.errors import DamagedTrace, TtdError
from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, Frame, MemoryImage, Snapshot
from ttd.store import codec
from ttd.store.codec import (
    checksum,
    compress,
    compress_many,
    content_hash,
    decompress,
    pack,
    pack_log,
    unpack,
)
from ttd.store.manifest import Manifest
from ttd.store.records import (
    OUTLINE,
    decode_ending,
    decode_events,
    decode_snapshot,
    encode_ending,
    encode_events,
    encode_snapshot,
    large_parts,
)
from ttd.types import Ending, EndKind, ExceptionValue, Position, Trap, TrapKind, Value

NUMBERS = st.integers(0, (1 << 128) - 1) | st.integers(0, 1 << 65) | st.integers(0, 300)
POSITIONS = st.builds(Position, st.integers(0, 1 << 62), st.integers(0, 1 << 40))
WRITES = st.builds(
    MemoryWrite, st.integers(0, 3), st.integers(0, 1 << 63), st.binary(max_size=40) | st.just(b"x" * OUTLINE)
)
TEXTS = st.text(st.characters(codec=None), max_size=10).filter(lambda text: _encodable(text))


def _encodable(text: str) -> bool:
    try:
        return codec.decode_text(codec.encode_text(text)) == text
    except UnicodeError:
        return False


@st.composite
def value_lists(draw: st.DrawFn) -> list[tuple[Value, ...]]:
    """Several lists of values in which the same exceptions turn up again and again, some inside others."""
    exceptions: list[ExceptionValue] = []
    for tag in range(draw(st.integers(0, 4))):
        known = st.sampled_from(exceptions) if exceptions else st.none()
        payload = draw(st.lists(NUMBERS | st.none() | known, max_size=3))
        exceptions.append(ExceptionValue(tag, tuple(payload)))
    value = NUMBERS | st.none()
    if exceptions:
        value = value | st.sampled_from(exceptions)
    return [tuple(draw(st.lists(value, max_size=5))) for _ in range(5)]


def shape(values: object, seen: dict[int, int]) -> object:
    """`values` with exceptions numbered in the order in which they turn up: equal if identities agree."""
    if isinstance(values, (list, tuple)):
        return [shape(item, seen) for item in values]
    if not isinstance(values, ExceptionValue):
        return values
    if id(values) in seen:
        return ("exception", seen[id(values)])
    seen[id(values)] = len(seen)
    return ("exception", seen[id(values)], values.tag, shape(values.payload, seen))


@st.composite
def events(draw: st.DrawFn) -> list[HostCall]:
    first = draw(st.integers(0, 1 << 40))
    positions = sorted(draw(st.lists(POSITIONS, min_size=1, max_size=6)))
    values = draw(value_lists())
    return [
        HostCall(
            first + index,
            position,
            draw(st.integers(0, 1000)),
            draw(st.sampled_from(values)),
            draw(st.sampled_from(values)),
            tuple(draw(st.lists(WRITES, max_size=3))),
            draw(st.sampled_from(Outcome)),
            draw(st.integers(0, 1 << 32)),
            draw(TEXTS),
            tuple(draw(st.lists(WRITES, max_size=2))),
        )
        for index, position in enumerate(positions)
    ]


@given(value_lists())
def test_values_come_back_with_their_identities(values: list[tuple[Value, ...]]) -> None:
    assert shape(unpack(pack(values)), {}) == shape(values, {})


def test_a_long_chain_of_exceptions_comes_back() -> None:
    chain: ExceptionValue | None = None
    for tag in range(50_000):
        chain = ExceptionValue(tag, (chain,))
    found = unpack(pack(chain))
    for tag in reversed(range(50_000)):
        assert isinstance(found, ExceptionValue) and found.tag == tag
        found = found.payload[0]
    assert found is None


@given(events())
def test_events_come_back(made: list[HostCall]) -> None:
    large = large_parts(made)
    contents = {data: number for number, data in enumerate(large)}
    packed = encode_events(made, contents)
    loaded = decode_events(
        packed,
        made[0].number,
        len(made),
        (made[0].position.tick, made[-1].position.tick),
        {n: d for d, n in contents.items()}.__getitem__,
    )
    seen: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for before, after in zip(made, loaded, strict=True):
        assert shape((before.arguments, before.results), seen[0]) == shape(
            (after.arguments, after.results), seen[1]
        )
        for name in ("number", "position", "function", "writes", "outcome", "code", "message", "reads"):
            assert getattr(before, name) == getattr(after, name)


@given(value_lists(), POSITIONS, st.lists(st.integers(0, 1 << 40), max_size=3), st.data())
def test_snapshots_come_back(
    values: list[tuple[Value, ...]], position: Position, ids: list[int], data: st.DataObject
) -> None:
    snapshot = Snapshot(
        position=position,
        frames=(
            Frame(1, 99, list(values[0]), list(values[1]), Position(0, 3)),
            Frame(2, 7, [], [], position),
        ),
        globals=values[2],
        tables=(values[3], values[4]),
        memories=(
            MemoryImage(WASM_PAGE, {n: bytes([n]) * SNAPSHOT_PAGE for n in range(len(ids)) if ids[n]}),
        ),
        dropped_data=frozenset(data.draw(st.sets(st.integers(0, 100), max_size=3))),
        dropped_elements=frozenset(data.draw(st.sets(st.integers(0, 100), max_size=3))),
        next_event=data.draw(st.integers(0, 1 << 40)),
        invocation=data.draw(st.integers(0, 5)),
    )
    page_map = ids + [0] * (WASM_PAGE // SNAPSHOT_PAGE - len(ids))
    stored = decode_snapshot(encode_snapshot(snapshot, [page_map]), position, snapshot.next_event)
    assert stored.page_maps == (tuple(page_map),)
    pages = {number: bytes([n]) * SNAPSHOT_PAGE for n, number in enumerate(ids)}
    if len(set(ids)) == len(ids):
        assert stored.with_pages(pages).digest() == snapshot.digest()


@given(
    st.sampled_from(EndKind),
    POSITIONS,
    st.integers(0, 1 << 32),
    st.none() | st.builds(Trap, st.sampled_from(TrapKind), TEXTS),
    st.lists(NUMBERS | st.none(), max_size=3).map(tuple),
)
def test_endings_come_back(
    kind: EndKind, position: Position, code: int, trap: Trap | None, results: tuple[Value, ...]
) -> None:
    ending = Ending(kind, position, code, trap, results)
    assert decode_ending(encode_ending(ending)) == ending


@given(st.lists(st.binary(max_size=5000), max_size=5))
def test_compressed_together_or_alone_is_the_same(datas: list[bytes]) -> None:
    assert [decompress(frame) for frame in compress_many(datas)] == datas
    assert [decompress(compress(data)) for data in datas] == datas


@given(st.binary(max_size=70_000))
def test_a_content_hash_is_the_blake2b_of_the_content(data: bytes) -> None:
    import hashlib

    assert content_hash(data) == hashlib.blake2b(data, digest_size=16).digest()


def test_a_checksum_depends_on_every_key_and_on_its_place() -> None:
    keys = [("a", 1, 2), ("a", 12), ("a", 2, 1), ("b", 1, 2), ("a", 1)]
    assert len({checksum(b"2", *key) for key in keys} | {checksum(b"", *key) for key in keys}) == 10


# --- nonsense ----------------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 1 << 64)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=30,
)


def read_every_way(frame: bytes) -> None:
    """Hand `frame` to every reader there is; each may raise DamagedTrace, and nothing else."""
    for read in (
        lambda: list(decode_events(frame, 0, 1, (0, 0), lambda number: b"")),
        lambda: decode_snapshot(frame, Position(0), 0).with_pages(_Anything()),
        lambda: decode_ending(frame),
        lambda: Manifest.from_plain(unpack(frame)),
    ):
        try:
            read()
        except DamagedTrace as error:
            assert str(error)


class _Anything(dict[int, bytes]):
    def __missing__(self, key: int) -> bytes:
        return b"\1" * SNAPSHOT_PAGE


@given(st.binary(max_size=200))
def test_random_bytes_are_told(data: bytes) -> None:
    read_every_way(data)
    read_every_way(compress(data))
    read_every_way(compress(msgpack.packb([data, []])))


@settings(max_examples=300)
@given(PLAIN)
def test_well_formed_nonsense_is_told(plain: object) -> None:
    read_every_way(pack(plain))


ROWS = {
    "event": (
        [[0, 0, 1, [5, None], [0], [0, 8, b"x"], [], 1, 0, "text"]],
        lambda f: list(decode_events(f, 0, 1, (0, 0), _no)),
    ),
    "snapshot": (
        [[[1, 9, 0, 0, [1], [None]]], [1], [[2]], [0], [], 0, [[1, 1, *[0] * 14]]],
        lambda f: decode_snapshot(f, Position(0), 0),
    ),
    "ending": (["trap", 1, 2, 0, "unreachable", "", [1]], decode_ending),
}


def _no(number: int) -> bytes:
    raise DamagedTrace(f"content {number} is missing")


@pytest.mark.parametrize("name", ROWS)
@given(data=st.data())
def test_a_row_with_one_thing_changed_is_read_or_told(name: str, data: st.DataObject) -> None:
    plain, decode = ROWS[name]
    decode(pack(plain))
    changed = unpack(pack(plain))
    path: list[int] = []
    at: object = changed
    while isinstance(at, tuple) and at and (not path or data.draw(st.booleans())):
        path.append(data.draw(st.integers(0, len(at) - 1)))
        at = at[path[-1]]
    junk = data.draw(st.sampled_from([None, -1, 1 << 70, 1.5, True, "x", b"x", (), (1,), ((),), {}]))
    try:
        decode(pack(_changed(changed, path, junk)))
    except DamagedTrace as error:
        assert str(error)


def _changed(plain: object, path: list[int], junk: object) -> object:
    if not path:
        return junk
    assert isinstance(plain, tuple)
    at = path[0]
    return (*plain[:at], _changed(plain[at], path[1:], junk), *plain[at + 1 :])


def test_a_frame_that_claims_more_than_it_can_hold_is_not_expanded() -> None:
    frame = bytearray(compress(bytes(1 << 20)))
    assert zstandard.get_frame_parameters(bytes(frame)).content_size == 1 << 20
    at = bytes(frame).index((1 << 20).to_bytes(4, "little"))
    frame[at : at + 4] = (1 << 31).to_bytes(4, "little")
    with pytest.raises(DamagedTrace, match="impossible size"):
        decompress(bytes(frame))
    with pytest.raises(DamagedTrace, match="impossible size"):
        decompress(compress(bytes(5000)), 4096)


def test_a_frame_of_unknown_size_is_not_expanded() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 100)
    with pytest.raises(DamagedTrace):
        decompress(frame)


def test_a_part_that_is_too_large_is_refused_when_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_PACKED", 1000)
    with pytest.raises(TtdError, match="too large for a trace"):
        pack(b"x" * 1001)


def test_an_exception_may_not_refer_to_a_later_one() -> None:
    reference = msgpack.ExtType(2, (0).to_bytes(4, "little"))
    row = msgpack.packb([0, [reference]])
    with pytest.raises(DamagedTrace, match="unknown extension"):
        unpack(compress(msgpack.packb([msgpack.packb(reference), [row]])))


@given(st.binary(max_size=200), st.sampled_from([1, 300, 1 << 16]))
def test_a_log_is_packed_as_all_bytes_are(data: bytes, times: int) -> None:
    log = data * times
    assert decompress(pack_log(log)) == decompress(pack(log))
    assert unpack(pack_log(log)) == log


@pytest.mark.parametrize("size", [(1 << 16) - 1, 1 << 16])
def test_logs_of_both_forms_are_packed(size: int) -> None:
    assert decompress(pack_log(bytes(size))) == decompress(pack(bytes(size)))
