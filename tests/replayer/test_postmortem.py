"""Core dumps under the debugger: they show what the live replay shows, and do not move."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import wasmtime

from tests.support import Guests
from ttd.coredump.capture import function_starts
from ttd.coredump.format import CoreFrame, read, write
from ttd.errors import InvalidCoreDump, UsageError
from ttd.replayer.debugger import Debugger, ToBegin, ToEnd, ToPercent
from ttd.replayer.postmortem import NO_PAST, CoreRecording
from ttd.state import Snapshot
from ttd.types import TrapKind

Debug = Callable[[str], Debugger]


def opened(data: bytes, module: bytes | None = None) -> Debugger:
    core = CoreRecording.read(data, module)
    return Debugger(core, core.engine)


def everything(debugger: Debugger) -> list[object]:
    """All that can be seen without running."""
    seen: list[object] = [debugger.position, debugger.frame_count, debugger.wasm_globals()]
    for view in debugger.frames():
        debugger.select_frame(view.level)
        seen += [replace(view, selected=False), debugger.locals(), debugger.arguments()]
        seen += [debugger.wasm_locals(), debugger.wasm_operands(), debugger.where(), debugger.disassemble()]
        seen.append(debugger.source())
    debugger.select_frame(0)
    memory = debugger.memory
    return [*seen, memory.map(), memory.stack(), memory.size(), list(memory.find(b"haystack"))]


@pytest.mark.parametrize("percent", [20, 80])
def test_a_dump_shows_what_the_live_replay_shows(debug: Debug, percent: float) -> None:
    live = debug("heap")
    live.goto(ToPercent(percent))
    live.stepi(3)
    with opened(live.core_dump()) as core:
        assert [_comparable(each) for each in everything(core)] == [
            _comparable(each) for each in everything(live)
        ]
        assert live.read_memory(0, 1 << 20) == core.read_memory(0, 1 << 20)
        states = [Snapshot.capture(each._session.known) for each in (live, core)]
        assert states[0].digest() == states[1].digest()


def _comparable(item: object) -> object:
    """Without how much of the run is behind: a dump knows nothing of the run."""
    return re.sub(r"percent=[\d.]+", "", repr(item))


def test_a_dump_of_a_trap_says_so(debug: Debug) -> None:
    live = debug("trap")
    live.goto(ToEnd())
    with opened(live.core_dump()) as core:
        assert core.ending.trap is not None and core.ending.trap.kind is TrapKind.DIVIDE_BY_ZERO
        assert core.frames() == live.frames()


MOTIONS: list[Callable[[Debugger], object]] = [
    lambda d: d.step(), lambda d: d.stepi(reverse=True), lambda d: d.next(), lambda d: d.continue_(),
    lambda d: d.continue_(reverse=True), lambda d: d.goto(ToBegin()), lambda d: d.until("heap.c:51"),
    lambda d: d.finish(), lambda d: d.advance("push", reverse=True), lambda d: d.until(),
    lambda d: d.history("head"), lambda d: d.last_write("head"), lambda d: d.origin("head"),
]  # fmt: skip


def test_motions_say_that_there_is_no_past(debug: Debug) -> None:
    live = debug("heap")
    live.break_("push")
    live.continue_()
    with opened(live.core_dump()) as core:
        for move in MOTIONS:
            with pytest.raises(UsageError, match=re.escape(NO_PAST)):
                move(core)
        assert core.position == live.position


# --- dumps of others ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trapped(guest: Guests) -> list[wasmtime.Frame]:
    """The frames of a real trap of the guest trap in plain Wasmtime."""
    engine = wasmtime.Engine()
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    linker.define_wasi()
    store.set_wasi(wasmtime.WasiConfig())
    module = wasmtime.Module(engine, guest("trap").read_bytes())
    start = linker.instantiate(store, module).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    with pytest.raises(wasmtime.Trap) as caught:
        start(store)
    return caught.value.frames


def test_places_are_written_as_wasmtime_writes_them(debug: Debug, trapped: list[wasmtime.Frame]) -> None:
    live = debug("trap")
    live.goto(ToEnd())
    frames = read(live.core_dump()).frames
    assert [(f.function, f.offset) for f in frames] == [(f.func_index, f.func_offset) for f in trapped]
    starts = function_starts(live.module)
    assert [starts[f.func_index] + f.func_offset for f in trapped] == [f.module_offset for f in trapped]


def as_wasmtime(live: Debugger, trapped: list[wasmtime.Frame]) -> bytes:
    """The dump that Wasmtime writes of a trap: no locals, no operands, none of ttd's sections."""
    frames = tuple(CoreFrame(0, f.func_index, f.func_offset) for f in trapped)
    return write(replace(read(live.core_dump()), frames=frames, extra=None, module=None, sources={}))


def test_a_dump_of_wasmtime_opens_with_its_module(debug: Debug, trapped: list[wasmtime.Frame]) -> None:
    live = debug("trap")
    live.goto(ToEnd())
    data = as_wasmtime(live, trapped)
    with pytest.raises(UsageError, match="--module MODULE"):
        CoreRecording.read(data)
    with opened(data, live.module.data) as core:
        assert [(v.function, v.location) for v in core.frames()] == [
            (v.function, v.location) for v in live.frames()
        ]
        assert {variable.value for variable in core.arguments()} == {"<optimized out>"}
        assert core.wasm_globals() == live.wasm_globals()
        assert core.read_memory(0, 1 << 16) == live.read_memory(0, 1 << 16)
        table = [state.tables for state in (core._session.state, live._session.state)]
        assert table[0] == table[1]


def test_a_dump_of_another_module_is_refused(
    debug: Debug, guest: Guests, trapped: list[wasmtime.Frame]
) -> None:
    data = as_wasmtime(debug("trap"), trapped)
    with pytest.raises(InvalidCoreDump, match="not of this module"):
        CoreRecording.read(data, bytes(wasmtime.wat2wasm("(module (func))")))


def test_frames_of_other_instances_are_left_out_and_counted(debug: Debug) -> None:
    live = debug("trap")
    live.goto(ToEnd())
    dump = read(live.core_dump())
    others = replace(dump, instances=(*dump.instances, dump.instances[0]), extra=None)
    others = replace(others, frames=(*dump.frames, replace(dump.frames[0], instance=1)))
    core = CoreRecording(others)
    assert core.damage == ["1 frames belong to other instances, and are left out"]
    assert len(core.snapshot.frames) == len(dump.frames)
