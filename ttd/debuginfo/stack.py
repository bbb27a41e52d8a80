"""The call stack as the source has it: the one model of frames that everything which shows them uses.

A frame of the source is an activation of a function of the source. Either it is a WebAssembly frame, or the
function was inlined where a WebAssembly frame stands. So a frame of the source is told by the WebAssembly
frame that has its code, and by how many functions are inlined inside it there: its *depth*.

    level   WebAssembly frame   depth
    #0      0                   0      square, inlined into norm
    #1      0                   1      norm, inlined into work
    #2      0                   2      work
    #3      1                   0      main

Who stands at the first instruction of an inlined function may as well be said to stand at its call, in the
function around it: the innermost `hidden` frames then have not been entered yet, and are left out.

May import base, `ttd.wasm` and the rest of `ttd.debuginfo`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ttd.debuginfo.info import DebugInfo
from ttd.debuginfo.inlining import SourceFrame
from ttd.debuginfo.scopes import FunctionScope
from ttd.state import Frame
from ttd.types import Location
from ttd.wasm.tailcalls import TailCall


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A frame of the source."""

    code: Frame
    """The WebAssembly frame that has its code."""
    number: int
    """The number of that frame, 0 = innermost."""
    depth: int
    """How many functions are inlined inside it where it stands, hidden ones included."""
    source: SourceFrame
    scope: FunctionScope | None
    """What its variables are; None without debug information."""
    tail_call: TailCall | None = None
    """The tail call by which it was entered, so far as the code tells: the frame of its caller is gone."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.source.name

    @property
    def location(self) -> Location | None:
        """Where it stands: at its next instruction, or at the call that it has made."""
        return self.source.location

    @property
    def is_inlined(self) -> bool:
        """Whether its function was put into that of the frame around it."""
        return self.source.is_inlined


class SourceStack:
    """The frames of the source of a stopped program, by level: 0 = innermost.

    Looks no further out than it is asked to.
    """

    def __init__(self, frames: Sequence[Frame], debug: DebugInfo, hidden: int = 0) -> None:
        """`frames` are WebAssembly's, outermost first; `hidden` as the module says."""
        self._frames = frames
        self._debug = debug
        self._hidden = min(hidden, debug.inlining_depth(frames[-1].pc)) if frames else 0
        self._firsts = [0]
        """The level at which each WebAssembly frame begins, and that behind the last one that is counted."""

    def __len__(self) -> int:
        self._count()
        return self._firsts[-1]

    def __bool__(self) -> bool:
        return bool(self._frames)

    def __iter__(self) -> Iterator[LiveFrame]:
        level = 0
        while self.has(level):
            yield self[level]
            level += 1

    def __getitem__(self, level: int) -> LiveFrame:
        """Frame `level`; raises IndexError if there is none such."""
        if not self.has(level):
            raise IndexError(f"no frame {level}")
        number = bisect_right(self._firsts, level) - 1
        depth = level - self._firsts[number] + (self._hidden if number == 0 else 0)
        code = self._frames[-1 - number]
        scopes = self._debug.scopes(code.pc)
        scope = scopes[depth] if depth < len(scopes) else None
        source = self._debug.source_frames(code.pc)[depth]
        return LiveFrame(code, number, depth, source, scope, self._tail_call(number, source.is_inlined))

    def _tail_call(self, number: int, is_inlined: bool) -> TailCall | None:
        """How WebAssembly frame `number` was entered, if by a tail call."""
        if is_inlined or number + 1 >= len(self._frames):
            return None
        callee, caller = self._frames[-1 - number], self._frames[-2 - number]
        function = self._debug.module.functions[caller.function]
        return self._debug.tail_calls.into(callee.function, function, caller.pc)

    def has(self, level: int) -> bool:
        """Whether there is a frame `level`."""
        self._count(level)
        return 0 <= level < self._firsts[-1]

    def is_outermost(self, level: int) -> bool:
        """Whether frame `level` is the last one."""
        return self.has(level) and not self.has(level + 1)

    def _count(self, level: int | None = None) -> None:
        """Count the frames, up to `level` or (None) all."""
        while len(self._firsts) <= len(self._frames) and (level is None or self._firsts[-1] <= level):
            number = len(self._firsts) - 1
            depth = self._debug.inlining_depth(self._frames[-1 - number].pc)
            self._firsts.append(self._firsts[-1] + depth + 1 - (self._hidden if number == 0 else 0))
