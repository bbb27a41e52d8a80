"""The heap as recorded, held against what single steps show; recorded and replayed by each engine."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import Guests
from ttd.engine.protocol import Call, Pointed
from ttd.errors import UsageError
from ttd.replayer import session as session_module
from ttd.replayer.debugger import Debugger, ToEnd, ToPosition
from ttd.replayer.heap import Effect, effect_of
from ttd.replayer.views import StopKind
from ttd.store.trace import Trace
from ttd.types import Position

Debug = Callable[[str], Debugger]
Live = tuple[tuple[int, int], ...]


def oracle(trace: Trace) -> list[tuple[Position, Live, int]]:
    """At each rest of a run: what lives (address, size), and how many allocations were freed. By single
    steps."""
    seen: list[tuple[Position, Live, int]] = []
    with Debugger(trace, session_module.interpreter) as debugger:
        session, effects = debugger._session, debugger.heap.allocators
        live: dict[int, int] = {}
        freed, under_way = 0, None
        while session.ended is None:
            frames = session.state.frames
            found = next((f for f in frames if f.function in effects), None)
            if under_way is not None and (found is None or found.entry != under_way[0]):
                _, function, arguments, caller, height = under_way
                effect, result = effects[function], 0
                top = frames[-1] if frames else None
                if debugger.module.functions[function].type.results and top and top.entry == caller:
                    result = top.operands[-1] if len(top.operands) > height else 0
                view = session.state.memories[0].view()
                size = 0
                if effect.pointed is Pointed.WORD:
                    result = 0 if result else int.from_bytes(view[arguments[0] : arguments[0] + 4], "little")
                elif effect.pointed is Pointed.STRING and result:
                    size = bytes(view[result : result + 100]).index(0) + 1
                if effect.size:
                    size = 1
                    for number in effect.size:
                        size *= arguments[number]
                old = arguments[effect.frees] if effect.frees is not None else 0
                if old in live and (result or not size):
                    del live[old]
                    freed += 1
                if result and (effect.size or effect.pointed is Pointed.STRING):
                    live[result] = size
                under_way = None
            if found is not None and under_way is None:
                caller_frame = frames[frames.index(found) - 1]
                under_way = (
                    found.entry, found.function, list(found.locals[:4]), caller_frame.entry,
                    len(caller_frame.operands),
                )  # fmt: skip
            seen.append((session.position, tuple(live.items()), freed))
            session.step()
    return seen


@pytest.mark.parametrize("name", ["heap", "wat:allocators"])
@pytest.mark.parametrize("first_slice", [1, session_module.FIRST_SLICE])
def test_what_lives_is_what_single_steps_show(
    name: str, first_slice: int, recorded: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "FIRST_SLICE", first_slice)
    with Trace.open(recorded(name)) as trace:
        expected = oracle(trace)
    chosen = random.Random(4).sample(expected, 12)
    with Trace.open(recorded(name)) as trace, Debugger(trace) as debugger:
        for position, live, freed in chosen:
            debugger.goto(ToPosition(position))
            view = debugger.heap.view()
            assert debugger.position == position
            assert tuple((each.address, each.size) for each in view.live) == live, position
            assert len(view.freed) == freed


def test_origins_are_where_a_breakpoint_stops(debug: Debug, guest: Guests) -> None:
    debugger = debug("heap")
    debugger.break_("malloc")
    stops = []
    while debugger.continue_().reason is StopKind.BREAKPOINT:
        frames = [frame for frame in debugger.frames() if frame.function != "malloc"]
        stops.append((debugger.frames()[0].entry, [(f.function, f.location) for f in frames]))
    debugger.goto(ToEnd())
    view = debugger.heap.view()
    calls = [each.made for each in sorted((*view.live, *view.freed), key=lambda each: each.made.entered)]
    origins = [debugger.heap.origin(call) for call in calls]
    made = [(o.position, list(o.callers)) for o in origins if o.function == "malloc"]
    assert made == stops[: len(made)] and len(made) == 4
    assert made[0][1][0] == ("push", made[0][1][0][1])
    assert debugger.position == debugger.end


def test_calls_without_a_tick_of_their_own_are_found(debug: Debug) -> None:
    """`free` of this module does not tick: several calls may have the same tick before them."""
    debugger = debug("wat:allocators")
    debugger.goto(ToEnd())
    for each in debugger.heap.view().freed:
        assert each.freed is not None
        origin = debugger.heap.origin(each.freed)
        debugger.goto(ToPosition(origin.position))
        (frame,) = [f for f in debugger._session.state.frames if f.entry == origin.position]
        effect = debugger.heap.allocators[frame.function]
        assert frame.locals[effect.frees or 0] == each.address
        debugger.goto(ToEnd())


def test_strays_and_failures_are_told(debug: Debug) -> None:
    debugger = debug("wat:allocators")
    debugger.goto(ToEnd())
    view = debugger.heap.view()
    (stray,) = view.strays  # freed a second time
    assert stray.first in {each.address for each in view.freed}
    assert view.failed == 11  # 6000 bytes by realloc (4) and by new (1), alignments of 0 (5), no string (1)


def test_an_address_tells_who_freed_it(debug: Debug, guest: Guests) -> None:
    debugger = debug("heap")
    debugger.break_(f"heap.c:{guest.line('heap', 'print')}")
    debugger.continue_()
    found = debugger.heap.view().find(debugger.evaluate("list").as_int() + 4)
    assert found is not None and found.freed is not None
    origin = debugger.heap.origin(found.freed)
    assert origin.callers[0][1] is not None
    assert (origin.function, origin.callers[0][1].line) == ("free", guest.line("heap", "free"))
    assert debugger.heap.view().find(3) is None


def test_leaks_are_what_lives_at_the_end(debug: Debug) -> None:
    debugger = debug("heap")
    here = debugger.position
    assert [each.size for each in debugger.heap.view(at_end=True).live] == [8, 8, 8]
    assert debugger.position == here
    assert debugger.heap.view().live == ()


def test_an_interrupt_gives_up_and_keeps_what_was_found(
    debug: Debug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "FIRST_SLICE", 16)
    debugger = debug("heap")
    debugger.goto(ToEnd())
    debugger.progress = lambda _: debugger.interrupt()
    with pytest.raises(UsageError, match="interrupted"):
        debugger.heap.view()
    assert debugger.position == debugger.end
    debugger.progress = None
    assert len(debugger.heap.view().live) == 3


def test_a_name_alone_makes_no_allocator(debug: Debug) -> None:
    """There is no memory at which this posix_memalign could store anything, and this free does nothing."""
    debugger = debug("wat:imitations")
    debugger.goto(ToEnd())
    assert [(each.address, each.size) for each in debugger.heap.view().live] == [(5, 8)]


def test_a_program_without_allocator_says_so(debug: Debug) -> None:
    debugger = debug("wat:tail")
    assert not debugger.heap.is_known
    with pytest.raises(UsageError, match="no function called malloc"):
        debugger.heap.view()


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("malloc", Effect((0,))),
        ("c.malloc.calloc", Effect((0, 1))),
        ("dlfree", Effect(frees=0)),
        ("c.string.strdup", Effect(pointed=Pointed.STRING)),
        ("_Znwm", Effect((0,))),
        ("_Znaj", Effect((0,))),
        ("_ZnwmSt11align_val_t", Effect((0,))),
        ("_ZnwmRKSt9nothrow_t", Effect((0,))),
        ("_ZdaPvm", Effect(frees=0)),
        ("_ZdlPv", Effect(frees=0)),
        ("operator new(unsigned long)", Effect((0,))),
        ("operator new[](unsigned long, std::align_val_t)", Effect((0,))),
        ("operator new(unsigned long, std::nothrow_t const&)", Effect((0,))),
        ("operator delete(void*)", Effect(frees=0)),
        ("operator delete[](void*, unsigned long)", Effect(frees=0)),
        ("_ZnwmPv", None),  # placement
        ("_ZdlPvS_", None),
        ("operator new(unsigned long, void*)", None),
        ("operator delete(void*, void*)", None),
        ("Pool::operator new(unsigned long)", None),
        ("_ZnwmSt11align_val_tRKSt9nothrow_t", Effect((0,))),
        ("_ZdlPvmSt11align_val_t", Effect(frees=0)),
        ("_ZnwmR5Arena", None),
        ("_ZdlPvR5Arena", None),
        ("operator new(unsigned long, Arena&)", None),
        ("__rust_alloc_zeroed", Effect((0,))),
        ("__rdl_realloc", Effect((3,), frees=0)),
        ("_RNvCs5QKde7ScR4H_7___rustc14___rust_dealloc", Effect(frees=0)),
        ("mallocate", None),
        ("_ZN5alloc5alloc7dealloc17h42c86520443445d4E", None),
    ],
)
def test_allocators_go_by_their_names(name: str, effect: Effect | None) -> None:
    assert effect_of(name) == effect


def test_a_call_knows_its_arguments() -> None:
    assert Call(7, 1, 2, 10, 11, 12, 13, 99).arguments == (10, 11, 12, 13)
