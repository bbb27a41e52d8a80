"""What a program says on terminals, as far as others must know who want to say something there, too.

The program writes natively. So somebody else may write only while it stands still, and where it has ended a
line; and what is not to stay must be cleared before it goes on talking: then its next call to do so comes
through Python.

Imports base modules and `ttd.engine.bulk`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from ttd.engine.bulk import RunningCalls
from ttd.state import Memory
from ttd.types import Value
from ttd.wasi import STANDARD, TALKING

_NEWLINE = 10


class Terminals:
    """The terminals of one recording. Used on the engine's thread."""

    def __init__(self, functions: Mapping[int, str], memory: int | None) -> None:
        """`functions` are the program's imports from WASI, by function index; `memory` is the number of the
        memory that they work on, if there is one."""
        self._functions = functions
        self._memory = memory
        self._are = sum(os.isatty(descriptor) << descriptor for descriptor in range(STANDARD))
        self._running: RunningCalls | None = None
        self._tail = _NEWLINE
        self._before: Callable[[], None] | None = None

    def attend(self, calls: RunningCalls) -> None:
        """`calls` are made without Python from now on."""
        calls.set_terminals(self._are)
        calls.tail = self._tail
        self._running = calls

    @property
    def is_line_ended(self) -> bool:
        """Whether the program has written nothing yet, or a whole line last."""
        return (self._tail if self._running is None else self._running.tail) == _NEWLINE

    def before_talking(self, do: Callable[[], None] | None) -> None:
        """Call `do`, once, before the program talks to a terminal again."""
        self._before = do
        if self._running is not None:
            self._running.set_aside(do is not None)

    def before_call(self, function: int, arguments: Sequence[Value], memories: Sequence[Memory]) -> None:
        """The program calls import number `function` through Python; any but one of WASI may talk."""
        name = self._functions.get(function)
        if name is not None and (name not in TALKING or not self._is_terminal(name, arguments)):
            return
        if self._before is not None:
            self._before()
            self.before_talking(None)
        if name == "fd_write" and self._memory is not None:
            self._keep_tail(cast(int, arguments[1]), cast(int, arguments[2]), memories[self._memory])

    def _is_terminal(self, name: str, arguments: Sequence[Value]) -> bool:
        descriptor = 0 if name == "poll_oneoff" else cast(int, arguments[0])
        return descriptor < STANDARD and bool(self._are >> descriptor & 1)

    def _keep_tail(self, array: int, count: int, memory: Memory) -> None:
        """Note the last byte of `count` buffers. Where they are not in memory, nothing will be written."""
        view = memory.view()
        for at in reversed(range(array, min(array + 8 * count, len(view) - 7), 8)):
            address, length = struct.unpack_from("<II", view, at)
            if length:
                self._tail = view[address + length - 1] if address + length <= len(view) else 0
                if self._running is not None:
                    self._running.tail = self._tail
                return
