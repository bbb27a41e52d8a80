"""Which pages of the memories are not as they were in the snapshot before, told by hashes of them.

Keeping the pages themselves to compare with would be quicker (0.6 µs for each instead of 1.05), but takes
as much memory again as the program has; a hash takes 8 bytes. It is the one that Python has for its
dictionaries, SipHash, over a secret and the page: two unlike pages have the same with a chance of 2^-64, and
no program can bring that about, as none can know the secret. Each cryptographic hash that Python has takes
more than twice as long.

Imports base modules only.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ttd.errors import check
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, ZERO_PAGE, Memory

check(
    sys.hash_info.width == 64 and sys.hash_info.algorithm.startswith("siphash"),
    "this Python has no hashes by which changes of memory can be told",
)

_ZEROS = bytes(WASM_PAGE)
_HASHES = "q"
_EACH = WASM_PAGE // SNAPSHOT_PAGE


@dataclass(frozen=True, slots=True)
class Survey:
    """What has changed. Good until the program runs on."""

    memories: Sequence[Memory]
    hashes: Sequence[array[int]]
    """By memory, of all its pages."""
    changed: Sequence[Sequence[int]]
    """By memory, the numbers of the pages that have changed."""

    @property
    def count(self) -> int:
        """How many pages have changed."""
        return sum(map(len, self.changed))

    def copies(self, index: int, *numbers: int) -> dict[int, bytes]:
        """Copies of pages of memory `index`."""
        view = self.memories[index].view()
        copies = {}
        for number in numbers:
            page = bytes(view[number * SNAPSHOT_PAGE : (number + 1) * SNAPSHOT_PAGE])
            copies[number] = ZERO_PAGE if page == ZERO_PAGE else page
        return copies

    def portions(self, size: int) -> Iterator[tuple[int, Mapping[int, bytes]]]:
        """Copies of all pages that have changed, at most `size` at once, with the index of their memory."""
        for index, numbers in enumerate(self.changed):
            rest = iter(numbers)
            while some := list(islice(rest, size)):
                yield index, self.copies(index, *some)

    def locate(self, at: int) -> tuple[int, int]:
        """Memory and number of the `at`-th page that has changed."""
        for index, numbers in enumerate(self.changed):
            if at < len(numbers):
                return index, numbers[at]
            at -= len(numbers)
        raise IndexError(at)


class Changes:
    """Compares memories with what they were at the last survey that was accepted: before it, zero."""

    def __init__(self) -> None:
        self._secret = os.urandom(16)
        self._zeros = array(_HASHES, [hash(self._secret + ZERO_PAGE)]) * _EACH
        self._before: Sequence[array[int]] = ()

    def survey(self, memories: Sequence[Memory]) -> Survey:
        """Find what has changed."""
        hashes = [self._hash(memory) for memory in memories]
        changed = []
        for index, now in enumerate(hashes):
            before = self._before[index] if index < len(self._before) else array(_HASHES)
            before = before + self._zeros * ((len(now) - len(before)) // _EACH)
            changed.append(
                [at for at, (one, other) in enumerate(zip(now, before, strict=False)) if one != other]
            )
        return Survey(memories, hashes, changed)

    def accept(self, survey: Survey) -> None:
        """Compare with the memories as `survey` found them, from now on."""
        self._before = survey.hashes

    def _hash(self, memory: Memory) -> array[int]:
        view, secret, hashes = memory.view(), self._secret, array(_HASHES)
        for start in range(0, len(view), WASM_PAGE):
            chunk = bytes(view[start : start + WASM_PAGE])
            if chunk == _ZEROS:
                hashes.extend(self._zeros)
            else:
                pages = range(0, WASM_PAGE, SNAPSHOT_PAGE)
                hashes.extend([hash(secret + chunk[at : at + SNAPSHOT_PAGE]) for at in pages])
        return hashes
