"""Bytes and back: msgpack, zstd and checksums, with every size bounded before it is allocated.

Nothing here trusts its input: whatever the bytes, a reader returns a value or raises `DamagedTrace`.

May import base modules, and owns msgpack and zstandard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from threading import local

import msgpack
import zstandard

from ttd.errors import DamagedTrace, TtdError
from ttd.types import ExceptionValue

MAX_BLOB = 1 << 30
"""Most bytes that one compressed part of a trace may expand to."""

MAX_PACKED = 1 << 28
"""Most bytes of msgpack in one part; fewer, because as objects they take a multiple of that."""

MAX_RATIO = 1 << 15
"""Most bytes that one byte of a zstd frame can expand to: a run of 128 KiB takes a block of 4 bytes."""

HASH_SIZE = 16
"""Bytes of a checksum or content address: BLAKE2b-128."""

_ROW = 56
"""Bytes that a row of content takes beside its data: twice its hash, and some numbers."""

_V128 = 1
_EXCEPTION = 2
_LEVEL = 3
_FAST_LEVEL = 2
_BIN32 = b"\xc6"
_PAIR, _NOTHING = b"\x92", b"\x90"
_NO_GIL_SWITCH = 2047
_thread = local()


def content_hash(data: bytes) -> bytes:
    """The content address of `data`.

    Fed in pieces that hashlib hashes without giving up the interpreter lock: winning it back from a busy
    main thread takes a whole switch interval (5 ms), which for thousands of pages would be seconds.
    """
    if len(data) > 16 * _NO_GIL_SWITCH:
        return hashlib.blake2b(data, digest_size=HASH_SIZE).digest()
    digest = hashlib.blake2b(data[:_NO_GIL_SWITCH], digest_size=HASH_SIZE)
    for start in range(_NO_GIL_SWITCH, len(data), _NO_GIL_SWITCH):
        digest.update(data[start : start + _NO_GIL_SWITCH])
    return digest.digest()


def checksum(data: bytes, *key: object) -> bytes:
    """The checksum of a row: over its key columns (as texts, each behind it a 0 byte), then its data."""
    digest = hashlib.blake2b(digest_size=HASH_SIZE)
    for part in key:
        digest.update(encode_text(str(part)) + b"\0")
    digest.update(data)
    return digest.digest()


def encode_text(text: str) -> bytes:
    """`text` as UTF-8; bytes of a file name that are not UTF-8 survive, as in `os.fsencode`."""
    return text.encode("utf-8", "surrogateescape")


def decode_text(data: bytes) -> str:
    """What `encode_text` encoded."""
    return data.decode("utf-8", "surrogateescape")


def compress(data: bytes) -> bytes:
    """`data` as one zstd frame that tells its content's size."""
    return _compressor(_LEVEL).compress(data)


def compress_many(datas: Sequence[bytes]) -> list[bytes]:
    """Compress each of `datas` on its own, giving up the interpreter lock once for all of them."""
    if len(datas) < 2 or any(not data for data in datas):  # the batch call refuses empty ones
        return [compress(data) for data in datas]
    frames = _compressor(_LEVEL).multi_compress_to_buffer(list(datas), threads=1)
    return [frames[index].tobytes() for index in range(len(frames))]


def stored_size(frame: bytes) -> int:
    """About how many bytes of a trace a compressed part of a few KB takes, as a row with its hash.

    What is left at the end of one of the database's pages of 4 KB, too small for another row, stays empty.
    """
    return (len(frame) + _ROW) * 5 // 4


def decompress(frame: bytes, limit: int = MAX_BLOB) -> bytes:
    """The content of a zstd frame, of at most `limit` bytes; raises DamagedTrace."""
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        if size > min(limit, len(frame) * MAX_RATIO):
            raise DamagedTrace(f"a compressed part claims an impossible size ({size} bytes)")
        return _decompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedTrace(f"a compressed part is damaged: {error}") from error


def pack(plain: object) -> bytes:
    """`plain` as compressed msgpack.

    Beyond what msgpack has there may be 128-bit unsigned numbers and `ExceptionValue`s, whose identity
    is kept: what was one exception in two places will be one exception in two places again.
    Raises TtdError if it is too large for a trace.
    """
    exceptions = _ExceptionTable()
    body = _packb(plain, exceptions)
    packed = _packb([body, exceptions.rows()], exceptions)
    if len(packed) > MAX_PACKED:
        raise TtdError(f"a part of the recording is too large for a trace ({len(packed)} bytes)")
    return compress(packed)


def pack_log(data: bytes) -> bytes:
    """`data` as `pack` packs it, for the megabytes a second that a log of calls can have: msgpack would copy
    it four times. Compressing at a lower level takes two thirds of the time, and such logs hardly need more.
    """
    if (
        len(data) < 1 << 16 or len(data) >= MAX_PACKED >> 1
    ):  # of another form in msgpack; or perhaps too large
        return pack(data)
    body = _BIN32 + len(data).to_bytes(4, "big")
    head = _PAIR + _BIN32 + (len(body) + len(data)).to_bytes(4, "big") + body
    return _compressor(_FAST_LEVEL).compress(b"".join((head, data, _NOTHING)))


def unpack(frame: bytes) -> object:
    """What `pack` packed, with tuples for lists; raises DamagedTrace for anything else."""
    data = decompress(frame, MAX_PACKED)
    try:
        match _unpackb(data, []):
            case (bytes(body), tuple(rows)):
                return _unpackb(body, _exceptions(rows))
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise DamagedTrace(f"a part is not well-formed msgpack: {error}") from error
    raise DamagedTrace("a part is not what it should be: a pair of contents and exceptions was expected")


class _ExceptionTable:
    """Numbers the exceptions met while packing, so that each is written once, payloads first."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[ExceptionValue] = []

    def number(self, exception: ExceptionValue) -> int:
        known = self._numbers.get(id(exception))
        if known is not None:
            return known
        waiting = [exception]  # no recursion: a guest can chain exceptions as deep as it likes
        while waiting:
            inner = [
                value
                for value in waiting[-1].payload
                if isinstance(value, ExceptionValue) and id(value) not in self._numbers
            ]
            if inner:
                waiting += inner
                continue
            done = waiting.pop()
            if id(done) not in self._numbers:
                self._numbers[id(done)] = len(self._kept)
                self._kept.append(done)
        return self._numbers[id(exception)]

    def rows(self) -> list[bytes]:
        return [_packb([exception.tag, exception.payload], self) for exception in self._kept]


def _packb(plain: object, exceptions: _ExceptionTable) -> bytes:
    def default(value: object) -> object:
        if isinstance(value, ExceptionValue):
            return msgpack.ExtType(_EXCEPTION, exceptions.number(value).to_bytes(4, "little"))
        if isinstance(value, int):
            return msgpack.ExtType(_V128, value.to_bytes(16, "little"))
        raise TypeError(f"a trace cannot hold a {type(value).__name__}")

    packed: bytes = msgpack.packb(plain, default=default, unicode_errors="surrogateescape")
    return packed


def _unpackb(data: bytes, exceptions: Sequence[ExceptionValue]) -> object:
    def extension(code: int, raw: bytes) -> object:
        if code == _V128 and len(raw) == 16:
            return int.from_bytes(raw, "little")
        if code == _EXCEPTION and len(raw) == 4:
            number = int.from_bytes(raw, "little")
            if number < len(exceptions):
                return exceptions[number]
        raise ValueError(f"unknown extension {code} of {len(raw)} bytes")

    plain: object = msgpack.unpackb(
        data, ext_hook=extension, use_list=False, unicode_errors="surrogateescape", strict_map_key=True
    )
    return plain


def _exceptions(rows: Iterable[object]) -> list[ExceptionValue]:
    """Rebuild the exceptions; each may refer only to those before it."""
    built: list[ExceptionValue] = []
    for row in rows:
        if not isinstance(row, bytes):
            raise ValueError("an exception is not a packed pair")
        match _unpackb(row, built):
            case (int(tag), tuple(payload)) if tag >= 0 and all(is_value(item) for item in payload):
                built.append(ExceptionValue(tag, payload))
            case _:
                raise ValueError("an exception is not a pair of tag and payload")
    return built


def is_value(plain: object) -> bool:
    """Whether `plain` is a `Value`: an unsigned number of at most 128 bits, None or an exception."""
    if type(plain) is int:
        return 0 <= plain < 1 << 128
    return plain is None or isinstance(plain, ExceptionValue)


def _compressor(level: int) -> zstandard.ZstdCompressor:
    known: dict[int, zstandard.ZstdCompressor] | None = getattr(_thread, "compressors", None)
    if known is None:
        known = _thread.compressors = {}
    if level not in known:
        known[level] = zstandard.ZstdCompressor(level=level, write_content_size=True)
    return known[level]


def _decompressor() -> zstandard.ZstdDecompressor:
    found: zstandard.ZstdDecompressor | None = getattr(_thread, "decompressor", None)
    if found is None:
        found = _thread.decompressor = zstandard.ZstdDecompressor()
    return found
