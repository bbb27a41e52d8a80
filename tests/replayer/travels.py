"""Random motions through recordings of generated programs, on both engines side by side.

Generated programs have no source lines, so they are given some: most functions start a line at some of their
instructions. Then `step`, `next` and `until` have something to go by, in tail calls and exceptions, too.

`travel` is called by a test, and with many more seeds by ``./dev stress``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

from tests.engine.agreement import Disagreement, States, require, size_of
from tests.engine.generator import generate
from tests.support import ROOT
from ttd.debuginfo.framebases import always_live
from ttd.debuginfo.info import DebugInfo
from ttd.debuginfo.lines import Row
from ttd.engine.compiled import CompiledEngine
from ttd.engine.protocol import Engine, Host, Program
from ttd.errors import TtdError
from ttd.instrument.dead import DeadLocals
from ttd.recorder import session as recorder_session
from ttd.recorder.options import RecordOptions
from ttd.replayer.debugger import Debugger, Target, ToBegin, ToEnd, ToEvent, ToPercent, ToPosition
from ttd.replayer.session import interpreter
from ttd.replayer.views import StopReport
from ttd.state import Snapshot
from ttd.store.trace import Trace
from ttd.types import Position
from ttd.wasm.model import Function, Module

HOST = ROOT / "tests" / "recorder" / "generated_host.py"
MOTIONS = 40
LONGEST = 4_000
"""Ticks of a run above which the interpreter would take too long."""


def travel(seed: int, folder: Path) -> None:
    """Record the program of `seed` in `folder` and go about in it. Raises Disagreement."""
    rng = random.Random(seed)
    program = generate(rng.randrange, size_of(rng))
    module, path = folder / f"{seed}.wasm", folder / f"{seed}.trace"
    module.write_bytes(program.binary)
    name, (argument,) = program.calls[0]
    recorder, near = rng.choice(("compiled", "compiled", "interpreter")), rng.choice((0, 0, 2, 300))
    options = RecordOptions(module, path, invoke=(name, str(argument)), host_file=HOST, engine=recorder)
    first = rng.choice((1, 3, 10, 1 << 20))
    with mock.patch.dict(recorder_session.FIRST_SLICE, {recorder: first}):
        recorder_session.record(options)

    def compiled(program: Program, host: Host) -> Engine:
        return CompiledEngine(program, host, near=near, always_live=always_live(program.module))

    with (
        mock.patch.object(DebugInfo, "_line_table", _made_lines(rng.randrange(1000))),
        Trace.open(path) as trace,
        Debugger(trace, compiled) as fast,
        Debugger(trace, interpreter) as exact,
    ):
        if fast.end.tick < LONGEST:
            _Travel(rng, fast, exact).go()


class _MadeLines:
    """In place of a line table (`ttd.debuginfo.lines.LineTable`): the same for the same `salt`."""

    def __init__(self, module: Module, salt: int) -> None:
        self._rows: list[Row] = []
        for function in module.functions:
            if function.body is not None and (function.index * 7 + salt) % 4:
                self._add(function, salt)

    def _add(self, function: Function, salt: int) -> None:
        body = function.code
        rests = sorted(body.rests)
        chosen = [pc for pc in rests if pc == rests[0] or (pc * 2654435761 + salt) % 7 == 0]
        for start, end in zip(chosen, [*chosen[1:], body.end], strict=False):
            line = 1 + (start * 40503 + salt) % 11
            self._rows.append(Row(start, end, "made.c", line, 1, True, start == chosen[0]))

    def row_at(self, pc: int) -> Row | None:
        return next((row for row in self._rows if row.start <= pc < row.end), None)

    def rows_between(self, start: int, end: int) -> list[Row]:
        return [row for row in self._rows if start <= row.start < end]


def _made_lines(salt: int) -> Callable[[DebugInfo, int], _MadeLines]:
    """In place of `DebugInfo._line_table`."""
    made: dict[int, _MadeLines] = {}

    def table(self: DebugInfo, pc: int) -> _MadeLines:
        if id(self.module) not in made:
            made[id(self.module)] = _MadeLines(self.module, salt)
        return made[id(self.module)]

    return table


class _Travel:
    """Two debuggers on one trace, which are told the same."""

    def __init__(self, rng: random.Random, fast: Debugger, exact: Debugger) -> None:
        self._rng = rng
        self._fast = fast
        self._debuggers = fast, exact
        self._dead = DeadLocals(fast.module, always_live(fast.module))
        self._states = States(fast.module)
        self._told: list[str] = []
        length = rng.choice((16, 64, 2000))
        for debugger in self._debuggers:
            debugger._session._slice = length

    def go(self) -> None:
        ways = (
            *(self._jump, self._jump, self._single_steps, self._move, self._move, self._move, self._finish),
            *(self._to_place, self._break, self._break, self._watch, self._catch, self._all_stops),
        )
        for _ in range(MOTIONS):
            self._rng.choice(ways)()
            if self._rng.random() < 0.05:
                self._tell("delete", lambda debugger: debugger.delete())

    def _tell(self, what: str, do: Callable[[Debugger], object]) -> object:
        """Do something with both; they must give the same, and stand in the same state."""
        self._told.append(what)
        found, states = [], []
        for debugger in self._debuggers:
            try:
                found.append(_shown(do(debugger)))
            except TtdError as error:
                found.append((type(error), str(error)))
            states.append(self._state(debugger))
        require(found[0] == found[1], f"after {self._told[-9:]}: {found[0]} and {found[1]}")
        self._states.compare(states[1], states[0], f"after {self._told[-9:]}")
        return found[0]

    def _state(self, debugger: Debugger) -> Snapshot:
        snapshot = Snapshot.capture(debugger._session.state)
        frames = tuple(frame.copy() for frame in snapshot.frames)
        self._dead.clear(frames)
        return replace(snapshot, frames=frames)

    # --- what is told ----------------------------------------------------------------------------------

    def _jump(self) -> None:
        rng, begin, end = self._rng, self._fast.begin, self._fast.end
        tick = rng.randint(begin.tick, max(begin.tick, end.tick))
        targets: list[Target] = [ToPosition(Position(tick, rng.choice((0, 0, rng.randrange(12)))))] * 3
        targets += [ToBegin(), ToEnd(), ToPercent(100 * rng.random())]
        if self._fast.trace.event_count:
            targets += [ToEvent(rng.randrange(self._fast.trace.event_count))] * 2
        target = rng.choice(targets)
        self._tell(f"goto {target}", lambda debugger: debugger.goto(target))

    def _single_steps(self) -> None:
        count, reverse = self._rng.choice((1, 1, 3, 30)), self._rng.random() < 0.5
        self._tell(f"stepi {count} {reverse}", lambda debugger: debugger.stepi(count, reverse))

    def _move(self) -> None:
        motion = self._rng.choice(("step", "next", "until", "continue_"))
        reverse = self._rng.random() < 0.5
        self._tell(f"{motion} {reverse}", lambda debugger: getattr(debugger, motion)(reverse=reverse))

    def _finish(self) -> None:
        level, reverse = self._rng.randrange(max(self._fast.frame_count, 1)), self._rng.random() < 0.5

        def finish(debugger: Debugger) -> StopReport:
            debugger.select_frame(level)
            return debugger.finish(reverse)

        self._tell(f"finish {level} {reverse}", finish)

    def _to_place(self) -> None:
        motion, place = self._rng.choice(("until", "advance")), self._place()
        reverse = self._rng.random() < 0.5
        self._tell(f"{motion} {place} {reverse}", lambda d: getattr(d, motion)(place, reverse=reverse))

    def _place(self) -> str:
        function = self._rng.choice([f for f in self._fast.module.functions if f.body is not None])
        return f"*{self._rng.choice(sorted(function.code.rests) or [function.code.end - 1]):#x}"

    def _break(self) -> None:
        place, temporary = self._place(), self._rng.random() < 0.2
        ignore = self._rng.choice((0, 0, 0, 2))
        self._tell(f"break {place} {temporary} {ignore}", lambda d: d.break_(place, temporary, None, ignore))

    def _watch(self) -> None:
        start = self._rng.choice((self._rng.randrange(0x10000), self._rng.randrange(0x1000)))
        what, any_write = f"{start}, {self._rng.choice((1, 4, 64, 1000))}", self._rng.random() < 0.3
        self._tell(f"watch {what} {any_write}", lambda debugger: debugger.watch(what, any_write))

    def _catch(self) -> None:
        names = self._rng.choice(([], ["mix"], ["poke"], ["pair"], ["quit"]))
        what = "trap" if self._rng.random() < 0.2 else "call"
        self._tell(f"catch {what} {names}", lambda d: d.catch(what, [] if what == "trap" else names))

    def _all_stops(self) -> None:
        """Going on from the begin and back from the end leads to the same stops."""
        if any(view.ignore or view.temporary for view in self._fast.breakpoints):
            return
        ways = [
            self._tell("all stops forward", lambda debugger: _stops(debugger, False)),
            self._tell("all stops backward", lambda debugger: _stops(debugger, True)),
        ]
        if None not in ways and ways[0] != ways[1]:
            raise Disagreement(f"after {self._told[-9:]}: stops {ways[0]} and {ways[1]}")


def _stops(debugger: Debugger, reverse: bool, most: int = 150) -> list[Position] | None:
    """Where a run from one end to the other stops in between, in order; None if that is too often."""
    debugger.goto(ToEnd() if reverse else ToBegin())
    found: list[Position] = []
    end = debugger.begin if reverse else debugger.end
    while len(found) < most:
        position = debugger.continue_(reverse=reverse).where.position
        if position == end:
            return found[::-1] if reverse else found
        found.append(position)
    return None


def _shown(result: object) -> object:
    """What must be equal of what a motion gives."""
    if not isinstance(result, StopReport):
        return result
    ending = result.ending.kind if result.ending is not None else None
    return result.reason, result.where, result.breakpoints, result.message, str(result.returned), ending
