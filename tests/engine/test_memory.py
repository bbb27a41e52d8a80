"""Linear memory: limits, views, growth and shrinking."""

from __future__ import annotations

import pytest

from ttd.engine.memory import LinearMemory
from ttd.errors import LinkError
from ttd.state import MemoryImage
from ttd.wasm.model import MemoryType


def test_a_memory_starts_zeroed_at_its_minimum() -> None:
    memory = LinearMemory(MemoryType(2, None, False), 65536)
    assert (memory.pages, memory.size) == (2, 131072)
    assert bytes(memory.view()) == bytes(131072)


def test_a_memory_without_pages_has_an_empty_view_and_can_grow() -> None:
    memory = LinearMemory(MemoryType(0, 1, False), 65536)
    assert len(memory.view()) == 0
    with pytest.raises(IndexError):
        memory.u32[0]
    assert memory.grow(1) == 0
    assert memory.u32[16383] == 0


@pytest.mark.parametrize(("declared", "limit"), [(3, 65536), (None, 3), (5, 3)])
def test_growth_ends_at_the_declared_maximum_or_the_limit(declared: int | None, limit: int) -> None:
    memory = LinearMemory(MemoryType(1, declared, False), limit)
    assert [memory.grow(2), memory.grow(1), memory.grow(0), memory.grow(1 << 40)] == [1, -1, 3, -1]


def test_more_than_the_limit_is_refused() -> None:
    with pytest.raises(LinkError, match="asks for a memory of 4 pages, more than the limit of 3"):
        LinearMemory(MemoryType(4, None, True), 3)


def test_all_views_show_the_same_bytes_also_after_growth() -> None:
    memory = LinearMemory(MemoryType(1, None, False), 65536)
    memory.grow(1)
    memory.u64[8192] = 0x8877665544332211
    assert (memory.u8[65536], memory.u16[32769], memory.u32[16385]) == (0x11, 0x4433, 0x88776655)
    assert (memory.s8[65543], memory.s16[32771], memory.s32[16385]) == (-0x78, -0x7789, -0x7788_99AB)
    assert memory.load(65537, 4) == 0x55443322
    assert bytes(memory.view()[65536:65538]) == b"\x11\x22"


def test_unaligned_writes_at_the_very_end_fit_and_beyond_it_write_nothing() -> None:
    memory = LinearMemory(MemoryType(1, None, False), 65536)
    memory.store_bytes(65533, 3, 0xAABBCCDD)
    assert bytes(memory.view()[65532:]) == b"\x00\xdd\xcc\xbb"
    with pytest.raises(IndexError):
        memory.store_bytes(65534, 3, 0)
    with pytest.raises(IndexError):
        memory.load(65534, 3)
    assert bytes(memory.view()[65532:]) == b"\x00\xdd\xcc\xbb"


def test_what_the_native_memory_does_is_seen() -> None:
    memory = LinearMemory(MemoryType(1, None, False), 65536)
    memory.native.write(memory.store, bytearray(b"xyz"), 5)
    assert bytes(memory.view()[5:8]) == b"xyz"
    memory.native.grow(memory.store, 1)
    assert len(memory.view()) == 131072
    memory.refresh()
    assert memory.size == 131072


def test_an_image_restores_a_memory_that_has_grown_since() -> None:
    memory = LinearMemory(MemoryType(1, None, False), 65536)
    memory.u8[100] = 9
    image = MemoryImage.capture(memory)
    memory.grow(4)
    memory.u8[200_000] = 1
    memory.resize(image.size // 65536)
    image.restore(memory)
    assert (memory.pages, memory.u8[100]) == (1, 9)
    memory.resize(2)
    assert memory.pages == 2
    with pytest.raises(LinkError):
        memory.resize(70_000)
