"""Linear memory as a whole: regions, addresses, searching, the stack by frame; recorded by each engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.support import Guests
from ttd.errors import UsageError
from ttd.replayer.debugger import Debugger
from ttd.replayer.views import StopKind
from ttd.static.layout import RegionKind

Debug = Callable[[str], Debugger]


@pytest.fixture
def filling(debug: Debug, guest: Guests) -> Debugger:
    """Standing at @fill of the guest heap."""
    debugger = debug("heap")
    debugger.break_(f"heap.c:{guest.line('heap', 'fill')}")
    assert debugger.continue_().reason is StopKind.BREAKPOINT
    return debugger


def address(debugger: Debugger, expression: str) -> int:
    return debugger.evaluate(expression).as_int()


def test_frames_share_the_stack_without_gaps(filling: Debugger) -> None:
    frames = filling.memory.stack()
    assert [frame.function for frame in frames] == [frame.function for frame in filling.frames()]
    assert frames[0].low == filling.memory.stack_pointer()
    for inner, outer in itertools.pairwise(frames):
        assert inner.high == outer.low
    (stack,) = [region for region in filling.memory.map() if region.kind is RegionKind.STACK]
    assert frames[-1].high == stack.end


def test_a_frame_is_made_of_its_variables_and_gaps(filling: Debugger) -> None:
    fill, main = filling.memory.stack()[:2]
    for frame in (fill, main):
        at = frame.low
        for slot in frame.slots:
            assert slot.address == at
            at += slot.size
        assert at == frame.high
    named = {slot.name: slot for slot in fill.slots if slot.name}
    assert set(named) == {"local", "small", "count", "text"}
    assert named["local"].address == address(filling, "&local[0]")
    assert (named["count"].size, named["count"].value) == (4, "20")
    assert {slot.name for slot in main.slots} >= {"grown", "stale", ""}


def test_before_the_prologue_a_frame_has_no_stack(debug: Debug) -> None:
    debugger = debug("heap")
    debugger.break_("*push")
    debugger.continue_()
    push, main = debugger.memory.stack()[:2]
    assert (push.function, push.size, main.low) == ("push", 0, push.high)


def test_about_an_address(filling: Debugger) -> None:
    view = filling.memory.about(address(filling, "&numbers[2]"))
    assert view.symbol is not None and view.region is not None
    assert (view.symbol.name, view.address - view.symbol.address, view.region.name) == ("numbers", 8, ".data")
    view = filling.memory.about(address(filling, "&local[3]"))
    assert view.frame is not None and view.slot is not None
    assert (view.frame.level, view.slot.name, view.address - view.slot.address) == (0, "local", 3)
    with pytest.raises(UsageError, match="ends at"):
        filling.memory.about(filling.memory.size())


def test_find_gives_all_places_in_order_even_overlapping(filling: Debugger) -> None:
    start = address(filling, "&local[0]")
    assert list(filling.memory.find(b"aaa", start, start + 32)) == [start + i for i in range(30)]
    assert list(filling.memory.find(b"aaa", start, start + 2)) == []
    assert list(filling.memory.find(b"needle in")) == [address(filling, "greeting")]


def test_find_sees_what_lies_across_its_chunks(filling: Debugger, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(filling.memory.find(b"needle"))
    for chunk in (5, 6, 7, 4096):
        monkeypatch.setattr("ttd.replayer.memory.CHUNK", chunk)
        start = expected[0] - 20
        assert list(filling.memory.find(b"needle", start, start + 60)) == expected


@pytest.mark.parametrize(
    ("pattern", "start", "end", "error"),
    [(b"", 0, 4, "empty"), (b"a", 0, 1 << 40, "ends at"), (b"a", 9, 4, "cannot search")],
)
def test_what_cannot_be_searched(filling: Debugger, pattern: bytes, start: int, end: int, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        filling.memory.find(pattern, start, end)
