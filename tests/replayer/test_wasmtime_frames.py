"""Frames at every host call, against the backtraces of Wasmtime, which runs the same module by itself."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.replayer.wasmtime_frames import backtraces
from ttd.replayer.debugger import Debugger, ToEvent
from ttd.store.trace import Trace


@pytest.fixture(scope="session")
def engine() -> str:
    """The compiled engine only: the frames of the interpreter are compared with its frames elsewhere."""
    return "compiled"


BUILDS = ["tour", "tour -O1", "tour -O2 -gdwarf-5", "voyage -O2", "journey -O0", "journey -O2"]


@pytest.mark.parametrize("name", BUILDS)
def test_frames_are_those_of_wasmtime(recorded: Callable[[str], Path], name: str) -> None:
    with Trace.open(recorded(name)) as trace, Debugger(trace) as debugger:
        events = list(trace.events())
        expected = backtraces(trace.module, events)
        assert len(expected) == len(events) > 5
        for event, wasm_frames in zip(events, expected, strict=True):
            debugger.goto(ToEvent(event.number))
            frames = debugger.frames(None)
            inner = [(frame.function_index, frame.pc) for frame in frames if not frame.is_inlined]
            assert inner == [(frame.function, frame.pc) for frame in wasm_frames]
            places = [(frame.pc, place) for frame in wasm_frames for place in frame.places]
            assert len(frames) == len(places)
            for frame, (pc, place) in zip(frames, places, strict=True):
                assert frame.pc == pc
                assert plain_name(frame.function) in place.name
                if place.line:
                    assert frame.location is not None
                    assert frame.location.line == place.line
                    assert frame.location.path == posixpath.normpath(place.path)


def plain_name(function: str) -> str:
    """The last part of a function's name, without parameters of types: Rust's symbols have none."""
    return function.partition("<")[0].rpartition("::")[2].replace("{closure#0}", "{{closure}}")
