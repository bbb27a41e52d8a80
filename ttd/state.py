"""The state of a stopped program, in terms that belong to no engine.

`State` is live: its memories are the engine's own, and running the engine changes them. `Snapshot` is
a copy that nothing changes; pages that did not change between two snapshots are one and the same
object, which is what makes many snapshots cheap in memory and in the trace.

Imports base modules only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ttd.types import ExceptionValue, Position, Value

WASM_PAGE = 65536
"""Bytes in a page of linear memory (core specification 4.2.8)."""

SNAPSHOT_PAGE = 4096
"""Bytes in a page of a snapshot: the unit that is compared, shared and stored."""

ZERO_PAGE = bytes(SNAPSHOT_PAGE)

_ZEROS = bytes(WASM_PAGE)


class Memory(Protocol):
    """A linear memory of a live program."""

    def view(self) -> memoryview:
        """All bytes, writable. The view goes stale when the memory grows: never keep it over a run."""
        ...

    @property
    def pages(self) -> int:
        """Size now, in pages of 64 KiB."""
        ...

    def grow(self, delta: int) -> int:
        """Grow by `delta` pages; the old size, or -1 where the limits forbid it."""
        ...


@dataclass(slots=True)
class Frame:
    """One activation of a function.

    `pc` is a byte offset in the original module file. For the innermost frame it is the instruction that
    executes next; for every other frame it is the call instruction that has not returned yet, whose
    arguments are already off `operands`. `entry` is the position at which the frame was entered, and so
    its identity: no two frames of a run share it. `operands` is the operand stack, outermost block first.
    `locals` holds parameters first, then declared locals.
    """

    function: int
    pc: int
    locals: list[Value]
    operands: list[Value]
    entry: Position

    def copy(self) -> Frame:
        return Frame(self.function, self.pc, list(self.locals), list(self.operands), self.entry)


@dataclass(slots=True)
class State:
    """All that a run's future depends on. `frames` is outermost first and empty once the run is over."""

    position: Position
    frames: list[Frame]
    globals: list[Value]
    tables: list[list[Value]]
    memories: list[Memory]
    dropped_data: set[int] = field(default_factory=set)
    dropped_elements: set[int] = field(default_factory=set)
    next_event: int = 0
    """Number of the event that comes next: how many are behind us."""
    invocation: int = 0
    """Number of the invocation under way (`engine.protocol.Program.invocations`)."""


@dataclass(frozen=True, slots=True)
class MemoryImage:
    """A copy of a linear memory: `size` bytes, of which `pages` (by page number) are not all zero."""

    size: int
    pages: dict[int, bytes]

    @classmethod
    def capture(cls, memory: Memory, previous: MemoryImage | None = None) -> MemoryImage:
        """Copy `memory`, sharing every page that is equal to that of `previous`."""
        before = previous.pages if previous is not None else {}
        view = memory.view()
        pages: dict[int, bytes] = {}
        for start in range(0, len(view), WASM_PAGE):
            chunk = bytes(view[start : start + WASM_PAGE])
            if chunk == _ZEROS:
                continue
            for offset in range(0, len(chunk), SNAPSHOT_PAGE):
                number = (start + offset) // SNAPSHOT_PAGE
                page = chunk[offset : offset + SNAPSHOT_PAGE]
                known = before.get(number)
                if known is not None and known == page:
                    pages[number] = known
                elif page != ZERO_PAGE:
                    pages[number] = page
        return cls(len(view), pages)

    def restore(self, memory: Memory) -> None:
        """Make `memory`, which must have this image's size, equal to the image.

        What is zero and is to be zero is not written: the system gives no real memory for what was only read.
        """
        view = memory.view()
        used = {number * SNAPSHOT_PAGE // WASM_PAGE for number in self.pages}
        for start in range(0, len(view), WASM_PAGE):
            end = min(start + WASM_PAGE, len(view))
            if start // WASM_PAGE in used:
                for offset in range(start, end, SNAPSHOT_PAGE):
                    page = self.pages.get(offset // SNAPSHOT_PAGE, ZERO_PAGE)
                    view[offset : offset + SNAPSHOT_PAGE] = page
            elif bytes(view[start:end]) != _ZEROS[: end - start]:
                view[start:end] = _ZEROS[: end - start]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of a `State`. Treat every part of it as immutable."""

    position: Position
    frames: tuple[Frame, ...]
    globals: tuple[Value, ...]
    tables: tuple[tuple[Value, ...], ...]
    memories: tuple[MemoryImage, ...]
    dropped_data: frozenset[int]
    dropped_elements: frozenset[int]
    next_event: int
    invocation: int

    @classmethod
    def capture(cls, state: State, previous: Snapshot | None = None) -> Snapshot:
        """Copy `state`, sharing unchanged pages with `previous`."""
        earlier = previous.memories if previous is not None else ()
        return cls(
            position=state.position,
            frames=tuple(frame.copy() for frame in state.frames),
            globals=tuple(state.globals),
            tables=tuple(tuple(table) for table in state.tables),
            memories=tuple(
                MemoryImage.capture(memory, earlier[i] if i < len(earlier) else None)
                for i, memory in enumerate(state.memories)
            ),
            dropped_data=frozenset(state.dropped_data),
            dropped_elements=frozenset(state.dropped_elements),
            next_event=state.next_event,
            invocation=state.invocation,
        )

    def digest(self) -> bytes:
        """A hash over everything in the snapshot: equal states have equal digests, on every machine."""
        digest = hashlib.blake2b(digest_size=16)
        for part in self._parts():
            digest.update(part if isinstance(part, bytes) else repr(part).encode())
            digest.update(b"\0")
        return digest.digest()

    def _parts(self) -> Iterator[object]:
        yield (self.position.tick, self.position.step, self.next_event, self.invocation)
        numbering: dict[int, int] = {}
        for frame in self.frames:
            yield (frame.function, frame.pc, frame.entry.tick, frame.entry.step)
            yield [_plain(value, numbering) for value in (*frame.locals, *frame.operands)]
        yield [_plain(value, numbering) for value in self.globals]
        for table in self.tables:
            yield [_plain(value, numbering) for value in table]
        yield (sorted(self.dropped_data), sorted(self.dropped_elements))
        for image in self.memories:
            yield (image.size, len(image.pages))
            for number in sorted(image.pages):
                yield number
                yield image.pages[number]


def _plain(value: Value, numbering: dict[int, int]) -> object:
    """`value` without object identities: exceptions are numbered in the order in which they turn up."""
    if not isinstance(value, ExceptionValue):
        return value
    first_time = id(value) not in numbering
    number = numbering.setdefault(id(value), len(numbering))
    if not first_time:
        return ("exn", number)
    return ("exn", number, value.tag, [_plain(item, numbering) for item in value.payload])
