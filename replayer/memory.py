"""Linear memory of a stopped program as a whole: its map, what lies at an address, searching it, the stack in
it.

Nothing here runs the machine. May import base, wasm, debuginfo, static, expr and this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from ttd.debuginfo import DebugInfo
from ttd.errors import UsageError
from ttd.replayer.inspect import Inspector
from ttd.replayer.session import Session
from ttd.replayer.shadowstack import StackFrame, StackSlot, stack_frames
from ttd.static.layout import MemoryLayout, Region, RegionKind
from ttd.static.symbols import Symbol

MOST_READ = 64 << 20
"""Bytes that one read may return."""

CHUNK = 16 << 20
"""Bytes that are searched at once."""


@dataclass(frozen=True, slots=True)
class AddressView:
    """What a byte of memory 0 belongs to, as far as that is known."""

    address: int
    region: Region | None
    symbol: Symbol | None
    """The variable with a fixed address that it is part of."""
    frame: StackFrame | None
    """The call whose part of the stack it lies in."""
    slot: StackSlot | None
    """The piece of that frame."""


class MemoryInspector:
    """The memories of a session as they are now. `Debugger.memory` is one."""

    def __init__(self, session: Session, debug: DebugInfo, inspector: Inspector) -> None:
        self._session = session
        self._inspector = inspector
        self._debug = debug

    @cached_property
    def layout(self) -> MemoryLayout:
        """How memory 0 is laid out."""
        return MemoryLayout(self._debug)

    def size(self, memory: int = 0) -> int:
        """Bytes of a memory now. Raises UsageError if there is no such memory."""
        return len(self._view(memory))

    def read(self, address: int, length: int, memory: int = 0) -> bytes:
        """Bytes [address, address + length). Raises UsageError if they do not all lie inside the memory."""
        view = self._view(memory)
        if length > MOST_READ:
            raise UsageError(f"cannot read {length} bytes at once; read at most {MOST_READ}")
        if not 0 <= address <= address + length <= len(view):
            raise UsageError(f"cannot access memory at {address:#x}: it ends at {len(view):#x}")
        return bytes(view[address : address + length])

    def _view(self, memory: int) -> memoryview:
        memories = self._session.state.memories
        if not 0 <= memory < len(memories):
            raise UsageError(f"the program has no memory {memory}")
        return memories[memory].view()

    def find(self, pattern: bytes, start: int = 0, end: int | None = None, memory: int = 0) -> Iterator[int]:
        """The addresses at which `pattern` lies within [start, end) (None: to the end of memory), in order.

        They may overlap, as in gdb. Raises UsageError for an empty pattern and a range that is not all
        memory."""
        size = self.size(memory)
        end = size if end is None else end
        if not pattern:
            raise UsageError("an empty pattern is everywhere; give at least one byte to find")
        if not 0 <= start <= end <= size:
            raise UsageError(f"cannot search {start:#x} to {end:#x}: the memory ends at {size:#x}")
        return self._find(pattern, start, end, memory)

    def _find(self, pattern: bytes, start: int, end: int, memory: int) -> Iterator[int]:
        while start + len(pattern) <= end:
            chunk = bytes(self._view(memory)[start : min(end, start + CHUNK + len(pattern) - 1)])
            at = chunk.find(pattern)
            while at >= 0:
                yield start + at
                at = chunk.find(pattern, at + 1)
            start += CHUNK

    def map(self) -> list[Region]:
        """The regions of memory 0, by address. Raises UsageError for a program without memory."""
        return self.layout.regions(self.size())

    def symbols(self) -> Sequence[Symbol]:
        """The variables with a fixed address, by address."""
        return self.layout.objects

    def stack_pointer(self) -> int | None:
        """The value of the stack pointer now; None for a program without one."""
        index = self.layout.stack_pointer
        value = self._session.state.globals[index] if index is not None else None
        return value if isinstance(value, int) else None

    def stack(self, most: int | None = None) -> list[StackFrame]:
        """The stack in linear memory by frame, at most `most` of them, innermost first.

        Empty for a program without a stack pointer.
        """
        return list(islice(self._frames(), most))

    def _frames(self) -> Iterator[StackFrame]:
        return stack_frames(self._session.known, self._debug, self.layout, self._inspector.stack)

    def about(self, address: int) -> AddressView:
        """What a byte of memory 0 belongs to. Raises UsageError if there is no such byte."""
        self.read(address, 1)
        region = next((r for r in self.map() if r.start <= address < r.end), None)
        on_stack = region is not None and region.kind is RegionKind.STACK
        frame = self._frame_of(address) if on_stack else None
        slots = frame.slots if frame is not None else ()
        slot = next((s for s in slots if s.address <= address < s.address + s.size), None)
        return AddressView(address, region, self.layout.object_at(address), frame, slot)

    def _frame_of(self, address: int) -> StackFrame | None:
        """The frame that a byte of the stack belongs to. Frames further out lie higher."""
        for frame in self._frames():
            if frame.low is not None and frame.high is not None and address < frame.high:
                return frame if frame.low <= address else None
        return None
