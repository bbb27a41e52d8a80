"""Dead locals: those whose values nothing will ever read and no engine need know (`kept`).

Compiled code does not keep them over a freeze; the interpreter does. States become comparable, and depend on
their position alone, if all of them are cleared.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from ttd.instrument.kept import Kept
from ttd.state import Frame
from ttd.wasm.model import Module
from ttd.wasm.typing import type_function


class DeadLocals:
    """Knows which locals are dead where. Functions are analysed when they are first asked about."""

    def __init__(self, module: Module, always_live: Callable[[int], int] = lambda function: 0) -> None:
        """`always_live` gives, by function, the mask of locals that never count as dead."""
        self._module = module
        self._always_live = always_live
        self._functions: dict[int, _Lives] = {}
        self._found: dict[tuple[int, int, bool], tuple[int, ...]] = {}

    def of(self, frame: Frame, innermost: bool) -> tuple[int, ...]:
        """Indices of the dead locals of a frame: the innermost, or one that waits for its callee."""
        return self._at(frame.function, frame.pc, innermost)

    def _at(self, function: int, pc: int, innermost: bool) -> tuple[int, ...]:
        key = function, pc, innermost
        if key not in self._found:
            mask = self._lives(function).at(pc, innermost)
            count = len(self._module.functions[function].local_types)
            self._found[key] = tuple(index for index in range(count) if not mask >> index & 1)
        return self._found[key]

    def at(self, function: int, pc: int) -> tuple[int, ...]:
        """Indices of the dead locals of an innermost frame of a function that stands at `pc`."""
        return self._at(function, pc, True)

    def clear(self, frames: Sequence[Frame], to_none: bool = False) -> None:
        """Make all dead locals of a stack, the innermost frame last, zero or null; or None all of them."""
        for depth, frame in enumerate(frames, 1):
            types = self._module.functions[frame.function].local_types
            for index in self.of(frame, depth == len(frames)):
                frame.locals[index] = None if to_none or types[index].is_reference else 0

    def _lives(self, function: int) -> _Lives:
        if function not in self._functions:
            self._functions[function] = _Lives(self._module, function, self._always_live(function))
        return self._functions[function]


class _Lives:
    """The known locals of one function, by byte offset."""

    def __init__(self, module: Module, function: int, always: int) -> None:
        typing = type_function(module, module.functions[function])
        self._kept = Kept(module, typing, always)
        self._offsets = [instruction.offset for instruction in typing.instructions]

    def at(self, pc: int, innermost: bool) -> int:
        """The mask of locals known before the instruction at `pc`, or while the call there is under way."""
        index = bisect_left(self._offsets, pc)
        return self._kept.before[index] if innermost else self._kept.waiting(index)
