"""The heap of a program: what is allocated here, by whom, and what was freed.

An allocator keeps no names. So its functions are listened to from the begin of the recording on
(`calltrace`): which functions those are is told by their names, in C (malloc and its kin), C++ (operator new
and delete) and Rust.

May import base, wasm, debuginfo and this package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.stack import SourceStack
from ttd.engine.protocol import Call, Pointed, can_tap
from ttd.errors import UsageError
from ttd.replayer.calltrace import CallTrace
from ttd.replayer.session import Interrupted, Session
from ttd.replayer.timeline import Timeline
from ttd.types import Location, Position
from ttd.wasm.model import Function, ValType

MOST_FRAMES = 16
"""How many callers the origin of a call has at most."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a function does to the heap. Arguments by number."""

    size: tuple[int, ...] = ()
    """It allocates as many bytes as these multiplied; nothing if there are none."""
    frees: int | None = None
    """It frees what this one points at (if it allocates too: only if that succeeds)."""
    pointed: Pointed = Pointed.NOTHING
    """WORD: the allocation is stored where the first argument points; the result is 0 if that succeeded.
    STRING: it allocates as much as the string takes that it returns."""

    @property
    def allocates(self) -> bool:
        """Whether it allocates anything."""
        return bool(self.size) or self.pointed is Pointed.STRING


_EFFECTS = {
    **dict.fromkeys(("malloc", "valloc", "pvalloc", "__rust_alloc", "__rust_alloc_zeroed"), Effect((0,))),
    **dict.fromkeys(("aligned_alloc", "memalign"), Effect((1,))),
    **dict.fromkeys(("free", "cfree", "free_sized", "free_aligned_sized", "__rust_dealloc"), Effect(frees=0)),
    "calloc": Effect((0, 1)),
    "realloc": Effect((1,), frees=0),
    "reallocarray": Effect((1, 2), frees=0),
    "posix_memalign": Effect((2,), pointed=Pointed.WORD),
    **dict.fromkeys(("strdup", "strndup"), Effect(pointed=Pointed.STRING)),  # zig's have malloc inlined
    "__rust_realloc": Effect((3,), frees=0),
}
"""By name; Rust's are as `alloc::alloc` declares them (size, align; pointer, size, align, new size)."""

_SIZE = r"unsigned (?:int|long|long long)"
_MANGLED = r"(?:St11align_val_t)?(?:RKSt9nothrow_t)?$"
_PLAIN = r"(?:, std::align_val_t)?(?:, std::nothrow_t const&)?\)$"
_OPERATOR = re.compile(
    rf"_Z(?:(?P<mangled>n)[wa][jmy]|d[la]Pv[jmy]?){_MANGLED}"
    rf"|operator (?:(?P<plain>new)(?:\[\])?\({_SIZE}|delete(?:\[\])?\(void\*(?:, {_SIZE})?){_PLAIN}"
)
"""operator new and delete, mangled (Itanium C++ ABI 5.1.3) or as linkers write them in the name section. Only
the replaceable ones (C++20, 17.6.3): in others (placement new) the caller says what memory it is."""
_RUST = re.compile(r"(?:^|\d_?)__r(?:ust|dl|g)_(alloc|alloc_zeroed|realloc|dealloc)$")
"""Rust's allocator, the default one and one that the program brings; names may be mangled (RFC 2603)."""
_PREFIX = re.compile(r"^(?:c\.(?:malloc|string)\.|__libc_|dl|emscripten_builtin_|je_|mi_)")
"""What C libraries put before the names of their own allocators: zig's, wasi-libc's, Emscripten's."""


def effect_of(name: str) -> Effect | None:
    """What the function with this name in the name section does to the heap; None for any other function."""
    operator, rust = _OPERATOR.match(name), _RUST.search(name)
    if operator is not None:
        return Effect((0,)) if operator["mangled"] or operator["plain"] else Effect(frees=0)
    if rust is not None:
        return _EFFECTS[f"__rust_{rust[1]}"]
    return _EFFECTS.get(_PREFIX.sub("", name))


class Allocation(NamedTuple):
    """A piece of the heap; `freed` is the call that freed it, None while it lives."""

    address: int
    size: int
    made: Call
    freed: Call | None = None

    def holds(self, address: int) -> bool:
        """Whether a byte belongs to it; the first one does even of an empty one."""
        return self.address <= address < self.address + max(self.size, 1)


@dataclass(frozen=True, slots=True)
class HeapView:
    """The heap at one moment."""

    live: tuple[Allocation, ...]
    """In the order in which they were made."""
    freed: tuple[Allocation, ...]
    """All that were freed, in the order in which that happened."""
    strays: tuple[Call, ...]
    """Calls that freed what no known call had allocated: a double free, a pointer from elsewhere, or one from
    an allocator that is not known, as it was inlined."""
    failed: int
    """How many allocations failed."""

    @property
    def size(self) -> int:
        """Bytes of all that live."""
        return sum(allocation.size for allocation in self.live)

    def find(self, address: int) -> Allocation | None:
        """The allocation that a byte belongs to: one that lives, else the one that was freed last."""
        live = (allocation for allocation in self.live if allocation.holds(address))
        return next(live, None) or next((a for a in reversed(self.freed) if a.holds(address)), None)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call was made: the position of its entry, its name, its callers, innermost first."""

    position: Position
    function: str
    callers: tuple[tuple[str, Location | None], ...]


class HeapInspector:
    """The heap as recorded. `Debugger.heap` is one. The machine goes back and forth, and ends where it was.

    Every method raises UsageError if the program has no allocator that is known by name, if the machine
    cannot move, and if the user interrupts it."""

    def __init__(self, session: Session, timeline: Timeline, debug: DebugInfo) -> None:
        self._session = session
        self._timeline = timeline
        self._debug = debug
        self._views: dict[Position, HeapView] = {}

    @cached_property
    def allocators(self) -> Mapping[int, Effect]:
        """The functions that allocate and free, by index."""
        found: dict[int, Effect] = {}
        for function in self._debug.module.functions:
            effect = effect_of(self._debug.names.function(function.index))
            if effect is not None and self._fits(effect, function):
                found[function.index] = effect
        return found

    def _fits(self, effect: Effect, function: Function) -> bool:
        """Whether a function can be what its name says: it has the arguments, and what they point at."""
        params, results, memories = *function.type[:2], self._debug.module.memories
        if len(params) <= max((*effect.size, effect.frees or 0)) or not can_tap(function):
            return False
        return effect.pointed is Pointed.NOTHING or (
            bool(memories) and not memories[0].is64 and params[0] is ValType.I32 and results == (ValType.I32,)
        )

    why_not = (
        "the program has no function called malloc, operator new or __rust_alloc (they may be inlined, or "
        "the names stripped)"
    )

    @property
    def is_known(self) -> bool:
        """Whether there is an allocator that is known by its name."""
        return any(effect.size for effect in self.allocators.values())

    @cached_property
    def _trace(self) -> CallTrace:
        if not self.is_known:
            raise UsageError(f"nothing is known of the heap: {self.why_not}")
        functions = {index: effect.pointed for index, effect in self.allocators.items()}
        return CallTrace(self._session, self._timeline, functions)

    def view(self, at_end: bool = False) -> HeapView:
        """The heap here, or at the end of the recording."""
        with self._away() as here:
            position = self._session.end if at_end else here
            if position not in self._views:
                self._views = {position: self._view_of(self._trace.before(position))}
            return self._views[position]

    def origin(self, call: Call) -> Origin:
        """Where a call that made or freed an allocation came from."""
        with self._away():
            self._trace.go_to_entry(call)
            state = self._session.known
            entry, name = state.frames[-1].entry, self._debug.function_name(call.function)
            frames = (frame for frame in SourceStack(state.frames, self._debug) if frame.code.entry != entry)
            callers = tuple((frame.name, frame.location) for frame in islice(frames, MOST_FRAMES))
            return Origin(state.position, name, callers)

    @contextmanager
    def _away(self) -> Iterator[Position]:
        """Where the machine may go elsewhere."""
        self._session.require_motion()
        self._session.clear_interrupt()
        here = self._session.position
        try:
            yield here
        except Interrupted:
            self._session.clear_interrupt()
            raise UsageError("interrupted; what was found so far is kept") from None
        finally:
            self._timeline.seek(here)

    def _view_of(self, calls: Sequence[Call]) -> HeapView:
        """What a series of calls makes of an empty heap."""
        live: dict[int, Allocation] = {}
        freed: list[Allocation] = []
        strays: list[Call] = []
        failed = 0
        for call in calls:
            effect = self.allocators[call.function]
            address, size = _made(effect, call), _product(effect, call)
            failed += address == 0 and size > 0
            pointer = call[_FIRST + effect.frees] if effect.frees is not None else 0
            if pointer and (address or not size):
                old = live.pop(pointer, None)
                if old is None:
                    strays.append(call)
                else:
                    freed.append(old._replace(freed=call))
            if address:
                live.pop(address, None)  # who freed it was not seen
                live[address] = Allocation(address, size, call)
        return HeapView(tuple(live.values()), tuple(freed), tuple(strays), failed)


def _made(effect: Effect, call: Call) -> int:
    """The address of what a call has allocated; 0 for nothing."""
    if not effect.allocates:
        return 0
    if effect.pointed is Pointed.WORD:
        return 0 if call.result else call.pointed
    return call.result


def _product(effect: Effect, call: Call) -> int:
    if effect.pointed is Pointed.STRING:
        return max(call.pointed, 1)
    size = 1 if effect.size else 0
    for argument in effect.size:
        size *= call[_FIRST + argument]
    return size


_FIRST = Call._fields.index("first")
