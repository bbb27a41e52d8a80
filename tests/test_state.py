"""Images of memory: what they hold, what they share, and what restoring them leaves alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, MemoryImage


@dataclass
class Plain:
    """A `ttd.state.Memory` over bytes that may be read-only."""

    data: bytes | bytearray

    def view(self) -> memoryview:
        return memoryview(self.data)

    @property
    def pages(self) -> int:
        return len(self.data) // WASM_PAGE

    def grow(self, delta: int) -> int:
        raise NotImplementedError


PAGES = 3 * WASM_PAGE // SNAPSHOT_PAGE
contents = st.dictionaries(st.integers(0, PAGES * SNAPSHOT_PAGE - 1), st.integers(0, 255), max_size=8)


def filled(content: dict[int, int]) -> Plain:
    data = bytearray(PAGES * SNAPSHOT_PAGE)
    for address, value in content.items():
        data[address] = value
    return Plain(data)


@given(contents, contents)
def test_an_image_restores_what_was_captured_over_anything(
    content: dict[int, int], other: dict[int, int]
) -> None:
    image = MemoryImage.capture(filled(content))
    assert set(image.pages) == {address // SNAPSHOT_PAGE for address, value in content.items() if value}
    memory = filled(other)
    image.restore(memory)
    assert memory == filled(content)


@given(contents, contents)
def test_pages_that_did_not_change_are_shared(content: dict[int, int], changes: dict[int, int]) -> None:
    first = MemoryImage.capture(filled(content))
    second = MemoryImage.capture(filled(content | changes), first)
    assert second == MemoryImage.capture(filled(content | changes))
    for number, page in second.pages.items():
        assert (page is first.pages.get(number)) == (page == first.pages.get(number))


@pytest.mark.parametrize("size", [SNAPSHOT_PAGE, WASM_PAGE, 4 * WASM_PAGE])
def test_zeros_over_zeros_are_not_written(size: int) -> None:
    read_only = Plain(bytes(size))
    MemoryImage(size, {}).restore(read_only)
    with pytest.raises(TypeError):
        MemoryImage(size, {0: b"x" * SNAPSHOT_PAGE}).restore(read_only)
