"""Which memory a call of a WASI function writes, and which it must be shown with.

Rows of the table say what the specification says; where that leaves a choice, this is what Wasmtime's WASI
does: after an error number nothing has been written, but for the events of poll_oneoff; after a trap (an
address out of bounds) anything that the call would have written may have been.

Imports base modules only.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ttd.wasi.table import (
    EVENT,
    IOVEC,
    SUBSCRIPTION,
    Buffer,
    Function,
    Gather,
    Parameter,
    Path,
    Result,
    Scatter,
    Strings,
    Subscriptions,
    pairs,
    uint,
)

SHOWN_ITEMS = 8
"""How many buffers, subscriptions or directory entries are kept for, and shown by, a listing."""
SHOWN_BYTES = 32
"""How many bytes of data are kept for, and shown by, a listing (as many as strace shows)."""
SHOWN_PATH = 4096
"""How many bytes of a path are kept and shown (Linux's PATH_MAX)."""

_IOV_MAX = 1024
"""How many buffers of a scattered read are looked at after a trap: POSIX's IOV_MAX."""


class StringSizes(NamedTuple):
    """How much args_get and environ_get write: numbers of strings, and bytes with their final zeros."""

    arguments: int
    argument_bytes: int
    variables: int
    variable_bytes: int

    @classmethod
    def of(cls, arguments: Sequence[str], environment: Sequence[tuple[str, str]]) -> StringSizes:
        """The sizes for these arguments and (name, value) pairs."""
        return cls(
            len(arguments),
            sum(len(text.encode()) + 1 for text in arguments),
            len(environment),
            sum(len(name.encode()) + len(value.encode()) + 2 for name, value in environment),
        )


class Range(NamedTuple):
    """`length` bytes of memory from `address` on."""

    address: int
    length: int


class Completion(enum.Enum):
    """How a call of WASI came back."""

    SUCCESS = "success"
    ERROR = "error"
    """With an error number. Only poll_oneoff may have written by then: some of its events."""
    TRAP = "trap"
    """It trapped, over an address out of bounds. Any of its writes may have been made by then."""


class Effects:
    """What one call may write. Make it before the call; ask `written` after it.

    Addresses come from memory as it was before the call, because what a call writes may lie over its own
    list of buffers.
    """

    __slots__ = ("_arguments", "_data", "_function", "_iovecs", "_results", "_unit")

    def __init__(
        self, function: Function, arguments: Sequence[int], memory: memoryview, strings: StringSizes
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._results: list[Range] = []
        self._data: list[Range] = []
        self._iovecs = b""
        self._unit = 1
        for parameter, values in pairs(function, arguments):
            self._note(parameter, values, memory, strings)

    def _note(
        self, parameter: Parameter, values: Sequence[int], memory: memoryview, strings: StringSizes
    ) -> None:
        match parameter:
            case Result(size=size):
                self._results.append(Range(values[0], size))
            case Scatter():
                self._iovecs = bytes(memory[values[0] : values[0] + values[1] * IOVEC])
            case Buffer(counted=True):
                self._data.append(Range(*values))
            case Buffer():
                self._results.append(Range(*values))
            case Subscriptions():
                self._unit = EVENT
                self._data.append(Range(values[1], values[2] * EVENT))
            case Strings(environment=environment):
                count, size = strings[2:] if environment else strings[:2]
                self._results += [Range(values[0], 4 * count), Range(values[1], size)]

    def written(self, completion: Completion, memory: memoryview) -> list[Range]:
        """The ranges that the call has, or (after an error or a trap) may have, written; all in bounds.

        `memory` is the memory after the call. Log what it holds there now.
        """
        if completion is Completion.SUCCESS:
            ranges = [*self._filled(memory), *self._results]
        elif completion is Completion.TRAP:
            ranges = [*self._data, *islice(self._buffers(), _IOV_MAX), *self._results]
        else:
            ranges = self._data if self._unit == EVENT else []
        return [clipped for item in ranges if (clipped := _clip(item, len(memory))).length > 0]

    def _filled(self, memory: memoryview) -> Iterator[Range]:
        """The first bytes of the data buffers, as many as the result called size tells."""
        if not self._data and not self._iovecs:
            return
        left = self._count(memory) * self._unit
        for buffer in self._data or self._buffers():
            if left <= 0:
                return
            yield Range(buffer.address, min(buffer.length, left))
            left -= buffer.length

    def _count(self, memory: memoryview) -> int:
        for parameter, values in pairs(self._function, self._arguments):
            if isinstance(parameter, Result) and parameter.name == "size":
                return uint(bytes(memory[values[0] : values[0] + parameter.size]))
        return 0

    def _buffers(self) -> Iterator[Range]:
        data = self._iovecs
        for at in range(0, len(data) - IOVEC + 1, IOVEC):
            yield Range(uint(data, at, 4), uint(data, at + 4, 4))


def _clip(item: Range, size: int) -> Range:
    return Range(item.address, max(0, min(item.length, size - item.address)))


def inputs(function: Function, arguments: Sequence[int], memory: memoryview) -> list[Range]:
    """The ranges that a listing needs in order to show the call: paths, lists of buffers, the first data.

    `memory` is the memory before the call; all ranges are in bounds of it, and bounded in size.
    """
    ranges: list[Range] = []
    for parameter, values in pairs(function, arguments):
        match parameter:
            case Path():
                ranges.append(Range(values[0], min(values[1], SHOWN_PATH)))
            case Scatter():
                ranges.append(Range(values[0], min(values[1], SHOWN_ITEMS) * IOVEC))
            case Gather():
                iovecs = Range(values[0], min(values[1], SHOWN_ITEMS) * IOVEC)
                ranges += [iovecs, *_first_data(iovecs, memory)]
            case Subscriptions():
                ranges.append(Range(values[0], min(values[2], SHOWN_ITEMS) * SUBSCRIPTION))
    return [clipped for item in ranges if (clipped := _clip(item, len(memory))).length > 0]


def _first_data(iovecs: Range, memory: memoryview) -> Iterator[Range]:
    data = bytes(memory[iovecs.address : iovecs.address + iovecs.length])
    for at in range(0, len(data) - IOVEC + 1, IOVEC):
        yield Range(uint(data, at, 4), min(uint(data, at + 4, 4), SHOWN_BYTES))
