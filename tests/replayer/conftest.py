"""Recordings of the guests, made once for all tests of the replayer, by each of the engines.

Every test here runs with both engines: recorded and replayed by the interpreter, and by the compiled engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.replayer.model import Run
from tests.replayer.recordings import record_module
from tests.support import GUESTS, Guests
from ttd.debuginfo.framebases import always_live
from ttd.engine.compiled import CompiledEngine
from ttd.engine.protocol import Engine, Host, Program
from ttd.recorder.options import RecordOptions, WasiOptions
from ttd.recorder.session import record
from ttd.replayer import session as session_module
from ttd.replayer.debugger import Debugger
from ttd.store.manifest import StdinKind
from ttd.store.trace import Trace

Recorded = Callable[[str], Path]


def always_compiled(program: Program, host: Host) -> Engine:
    """The compiled engine, for the shortest ways too: it would leave guests as small as ours to the
    interpreter."""
    return CompiledEngine(program, host, near=0, always_live=always_live(program.module))


@pytest.fixture(scope="session", params=session_module.ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that records and replays, by name."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def replayed(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay with `engine` unless told otherwise."""
    monkeypatch.setitem(session_module.ENGINES, "compiled", always_compiled)
    monkeypatch.setattr(session_module, "DEFAULT_ENGINE", engine)


@pytest.fixture(scope="session")
def recorded(engine: str, guest: Guests, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """``recorded("calls")`` is the path of a trace of a guest; ``"wat:tail"`` of a module of `recordings`.

    ``"origins -O2"`` is a guest compiled so. One with a file NAME.stdin beside its source reads that.
    """
    folder = tmp_path_factory.mktemp("recorded")
    known: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in known:
            path = folder / f"{re.sub('[: ]', '-', name)}.trace"
            if name.startswith("wat:"):
                record_module(name.removeprefix("wat:"), path, engine)
            elif name == "library":
                reactor = guest(name, "-O0", "-mexec-model=reactor")
                record(RecordOptions(reactor, output=path, invoke=("scale", "5"), engine=engine))
            else:
                program, *flags = name.split()
                stdin = GUESTS / f"{program}.stdin"
                wasi = WasiOptions(argv=(program,), stdin=StdinKind.NULL)
                if stdin.exists():
                    wasi = replace(wasi, stdin=StdinKind.FILE, stdin_file=stdin)
                record(RecordOptions(guest(program, *flags), output=path, wasi=wasi, engine=engine))
            known[name] = path
        return known[name]

    return make


@pytest.fixture(scope="session")
def runs(recorded: Recorded) -> Callable[[str], Run]:
    """``runs("calls")``: every rest of a recorded run, found by single steps. The oracle."""
    known: dict[str, Run] = {}

    def make(name: str) -> Run:
        if name not in known:
            with Trace.open(recorded(name)) as trace:
                known[name] = Run.walk(trace)
        return known[name]

    return make


@pytest.fixture
def debug(recorded: Recorded) -> Iterator[Callable[[str], Debugger]]:
    """``debug("calls")``: a debugger on a recorded guest, closed after the test."""
    opened: list[tuple[Debugger, Trace]] = []

    def make(name: str) -> Debugger:
        trace = Trace.open(recorded(name))
        debugger = Debugger(trace)
        opened.append((debugger, trace))
        return debugger

    yield make
    for debugger, trace in opened:
        debugger.close()
        trace.close()
