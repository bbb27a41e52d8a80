"""A guest run up to a marked line, for tests of debug information and expressions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.engine.protocol import CodeProbe, Goal, Invocation, Program
from ttd.expr import StateContext, evaluate, format_value
from ttd.interpreter import Interpreter
from ttd.state import Memory, State
from ttd.types import Position, StopReason, Value
from ttd.wasm.decode import decode
from ttd.wasm.model import Module


class Silence:
    """A host for which every call succeeds and does nothing."""

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        return (0,)

    def seek(self, event: int) -> None:
        pass


def load(path: Path) -> Module:
    """The module of a file."""
    return decode(path.read_bytes())


class Stopped:
    """A guest that stands at a marked line."""

    def __init__(self, guest: Guests, name: str, marker: str, *flags: str) -> None:
        self.module = load(guest(name, *flags))
        self.debug = DebugInfo(self.module)
        self.line = guest.line(name, marker)
        _, pcs = self.debug.pcs_for_line(guest.source(name).name, self.line)
        start = self.module.exports_by_name["_start"].index
        self.engine = Interpreter(Program(self.module, (Invocation(start),)), Silence())
        functions = [(self.module.function_at(pc), pc) for pc in pcs]
        probes = tuple(CodeProbe(function.index, pc) for function, pc in functions if function is not None)
        stop = self.engine.run(Goal(probes=probes))
        assert stop.reason is StopReason.PROBE, f"{name} never comes to @{marker}"

    @property
    def state(self) -> State:
        return self.engine.state

    def context(self, frame_number: int = 0) -> StateContext:
        return StateContext(self.state, self.debug, frame_number)

    def show(self, expression: str, fmt: str = "") -> str:
        """The expression's value as ``print`` shows it."""
        return format_value(evaluate(expression, self.context()), fmt)
