"""What an engine is: the small protocol that the interpreter and the compiled engine both offer.

Everything symbolic (lines, variables, conditions) and everything that goes backward stands above this
protocol, in `ttd.replayer`; everything real (files, clocks) stands behind `Host`.

**Rest.** An engine rests at every tick and before every instruction. Completing an instruction
includes walking over the structure markers behind it (`block`, `end`, …, the end of a function and so
the return to its caller, the entry into a callee) until the next instruction or the next tick. So a
call instruction at ``t:s`` whose callee ticks at its entry leads straight to ``t+1:0``.
At a tick the `pc` of the innermost frame is where execution would go on: the next instruction, or the
next `loop` opcode when that ticks again before any instruction.

**Everything stands before it happens.** A breakpoint stops before its instruction, a host call's
event has the position of its call instruction, a trap leaves the machine before the trapping
instruction, and a watchpoint's hit has the position of the instruction that writes. One rule for both
directions of time.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from ttd.events import MemoryWrite
from ttd.state import Memory, Snapshot, State
from ttd.types import Ending, Position, StopReason, Value
from ttd.wasm.model import Function, Module, ValType
from ttd.wasm.predicate import Predicate

TICK_RULE = 1
"""Version of the tick rule (docs/ARCHITECTURE.md, "Words"): a trace's clock. Change it only with the rule."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call of an export (or of the start function) from outside, with its arguments."""

    function: int
    arguments: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits that the outcome of a run can depend on; fixed at record time, kept in the trace."""

    call_depth: int = 20_000
    """How many frames may be on the stack before a call traps with *call stack exhausted*."""
    memory_pages: int = 65_536
    """How many pages any one memory may grow to, whatever the module declares."""
    table_elements: int = 10_000_000
    """How many elements any one table may grow to."""

    def exceeded(self, most: Limits) -> str | None:
        """What asks for more than `most` allows, in words; None if nothing does."""
        wishes = (
            ("frames on the stack", self.call_depth, most.call_depth),
            ("pages in a memory", self.memory_pages, most.memory_pages),
            ("elements in a table", self.table_elements, most.table_elements),
        )
        found = (f"{wish:,} {what}, more than {bound:,}" for what, wish, bound in wishes if wish > bound)
        return next(found, None)


MOST = Limits(call_depth=1 << 22)
"""The highest limits that can be recorded, and so the highest that a trace may ask for."""


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """Where a recorded run used up its stack: at the first call at tick `tick` behind `events` host calls.

    How deep a native stack reaches nobody can tell beforehand, nor how often an engine began with a fresh
    one; so a replay does not find out anew, it is told.
    """

    tick: int
    events: int


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: a module, the invocations made of it in order, and its limits.

    The invocations run one after the other: as one returns the next one is entered, and after the last
    one the run has ended with exit code 0. The module's start function, if any, is the first invocation.
    """

    module: Module
    invocations: tuple[Invocation, ...]
    limits: Limits = field(default_factory=Limits)
    exhaustion: Exhaustion | None = None
    """Where a call traps with *call stack exhausted*, besides where the limits say so."""


class HostExit(Exception):
    """Raised by a host call that ends the program (proc_exit)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class HostTrap(Exception):
    """Raised by a host call that traps the program; the message goes into the trap."""


class EndOfLog(Exception):
    """Raised by a replaying host: the log ends before this call."""


class Host(Protocol):
    """The other side of the imports. It does the logging (recording) or the answering (replaying)."""

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        """Perform import number `function`; its results.

        Raises HostExit, HostTrap, EndOfLog, and `ttd.errors.Divergence` when the call is not the recorded
        one. After HostExit and HostTrap the engine has ended; after EndOfLog it rests before the call.
        """
        ...

    def seek(self, event: int) -> None:
        """The next call is event number `event`: the engine was restored to another time."""
        ...


@runtime_checkable
class WriteReporting(Protocol):
    """What a host may offer besides: the memory writes of its last call, in order.

    Engines need it for watches that count writes which change nothing (`WatchProbe.only_changes` False).
    """

    @property
    def last_writes(self) -> Sequence[MemoryWrite]: ...


# --- probes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CodeProbe:
    """Hits whenever function `function` is about to execute the instruction at byte offset `pc`.

    `pc` must be an instruction, not a structure marker; `ttd.wasm` has the function that lands a marker.
    """

    function: int
    pc: int


@dataclass(frozen=True, slots=True)
class FunctionProbe:
    """Hits as a `CodeProbe` would at one place in each function, if it has one.

    To find all these places takes long in a large program. So an engine asks for the place in a function that
    it comes to, and for all of them only where it has to know them beforehand.
    """

    place: Callable[[int], int | None]
    """The place in a function: an instruction, as that of a `CodeProbe`."""
    places: Callable[[], Mapping[int, int]]
    """Those in all functions that can come to theirs before the probe is to hit, by function."""


@dataclass(frozen=True, slots=True)
class FrameProbe:
    """Hits in one activation only, the one entered at `entry`.

    It hits whenever that frame is the innermost and about to execute an instruction at one of `pcs`; and,
    with `on_exit`, at the first rest after that frame is gone (returned, unwound or replaced by a tail
    call). With `pcs` None it hits at every instruction of the frame.
    """

    entry: Position
    pcs: frozenset[int] | None
    on_exit: bool = False


@dataclass(frozen=True, slots=True)
class WatchProbe:
    """Hits at each instruction that writes to bytes [address, address + length) of a memory.

    With `only_changes`, writes that leave those bytes as they were do not count. Host calls write too.
    """

    memory: int
    address: int
    length: int
    only_changes: bool = True


Probe: TypeAlias = CodeProbe | FunctionProbe | FrameProbe | WatchProbe


@dataclass(frozen=True, slots=True)
class Hit:
    """A probe hit at `position`. For a `WatchProbe`, the watched bytes before and after the write."""

    probe: Probe
    position: Position
    old: bytes = b""
    new: bytes = b""


@dataclass(frozen=True, slots=True)
class Goal:
    """How far to run.

    until
        Stop on reaching this position (or the first rest past it). None: to the end. Hits at `until`
        itself are not reported: it is reached first.
    probes
        What to look for.
    after
        Hits at or before this position do not count (going on from a breakpoint must not hit it again).
    remember
        False: stop at the first hit. True: run on to `until` and report the last hit: what running
        backward needs.
    event
        Stop before host call number `event` is made, too. Nobody knows how far away that is, so an engine may
        go there in its smallest steps: bring it to the tick of the event first.
    accept
        Called at a code or frame hit while the machine rests there, so `Engine.state` may be read; the
        hit counts only if it returns True. Watch hits are offered too, after the write was made.
    sieve
        For code probes: what can be asked in compiled code. A hit at which the predicate says no does not
        count, as if `accept` had said so; an engine may leave it to `accept`.
    unordered
        In remember mode: `accept` may be asked in any order, and only about some of the hits.
    """

    until: Position | None = None
    probes: tuple[Probe, ...] = ()
    after: Position | None = None
    remember: bool = False
    accept: Callable[[Hit], bool] | None = None
    event: int | None = None
    sieve: Mapping[CodeProbe, Predicate] = field(default_factory=dict)
    unordered: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Where and why an engine stopped.

    `hits` are all the probes that hit at one position: the first such position (the last, in remember
    mode). An engine may have run on past a watch hit, at most to the next tick, before it could stop:
    `position` is where the machine is, `hits[0].position` where the hit was, and never later.
    """

    reason: StopReason
    position: Position
    hits: tuple[Hit, ...] = ()
    ending: Ending | None = None


class Engine(Protocol):
    """An executor of one program. Not thread-safe; `close` frees native resources."""

    @property
    def state(self) -> State:
        """The state now. Live: valid until the engine runs again."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Make the state equal to `snapshot`."""
        ...

    def run(self, goal: Goal) -> Stop:
        """Run until the goal is reached, a probe hits, or the run ends.

        Calling it again after the end returns the same ENDED stop. Raises what `Host.call` raises as
        `ttd.errors.TtdError`; the state then is that before the host call.
        """
        ...

    def step(self) -> Stop:
        """Go to the next rest: one instruction, or to the next tick if that comes before any."""
        ...

    def close(self) -> None: ...


# --- listening to calls --------------------------------------------------------------------------------

MOST_TAPPED = 4
"""How many arguments of a call are told, from the first on."""


class Call(NamedTuple):
    """A call of a function that has returned. Values are bit patterns of integers, as unsigned; 0 where there
    is none.

    Flat, and made as it is from what compiled code logs: there may be millions.
    """

    function: int
    entered: int
    """The last tick before it was entered; to enter the function may be the next one itself."""
    returned: int
    """The last tick before it returned."""
    first: int = 0
    """The first MOST_TAPPED arguments."""
    second: int = 0
    third: int = 0
    fourth: int = 0
    result: int = 0
    """0 also if it threw."""
    pointed: int = 0
    """What is asked for of that which is pointed at as it returns (`Pointed`)."""

    @property
    def arguments(self) -> tuple[int, ...]:
        """The first MOST_TAPPED arguments; 0 for those that the function does not have."""
        return self[3:7]


class Pointed(Enum):
    """What to tell of a call besides its values."""

    NOTHING = 0
    WORD = 1
    """The 32 bits that the first argument points at."""
    STRING = 2
    """The size of the string that the result points at, with the zero at its end; 0 if the result is 0."""


Taps: TypeAlias = "Mapping[int, Pointed]"
"""The functions to listen to, by index, and what to tell of each. If it is something, memory 0 is there,
and what points to it is an i32."""


def can_tap(function: Function) -> bool:
    """Whether a function has code to stop at, and all that would have to be told of its calls is integers."""
    types = (*function.type.params[:MOST_TAPPED], *function.type.results)
    integers = all(type_ in (ValType.I32, ValType.I64) for type_ in types)
    has_code = function.body is not None and bool(function.code.rests)
    return has_code and len(function.type.results) <= 1 and integers


@runtime_checkable
class Tapping(Protocol):
    """What an engine may offer besides: to tell of calls without stopping at them."""

    def tap(self, taps: Taps, tick: int) -> tuple[list[Call], Call | None] | None:
        """Run to tick `tick`; the calls of these functions on the way, in order, and the one under way at its
        end.

        Functions must be such as `can_tap` says, and none of them on the stack at the start. Calls that they
        make of each other do not count. None where the engine cannot do that from here to there: it is where
        it was."""
        ...
