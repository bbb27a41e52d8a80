"""Gates: host calls without Python on the way.

The instrumented module calls each import through a gate. Here are the gates that need no Python for the
common case: small modules that stand between the instrumented one and its imports, so that the instrumented
module is the same whether it records, replays, or runs with Python alone. Both kinds work on a buffer, a
memory of their own, whose records have the form of `ttd.calllog`.

Recording, for a function of WASI whose effects the table of `ttd.wasi` tells:

    gate(arguments…, count):
        if anything is unusual: return slow(arguments…, count)
        if the buffer has no room for the largest record of this call: drain(count)
        append arguments, and what a listing shows of the memory (reads)
        PENDING = 1; errno = wasi(arguments…); PENDING = 0
        append errno; on success append the bytes that the call has written
        return errno

Unusual is all that a program rarely does and that has rules of its own: addresses out of bounds or not
aligned (Wasmtime's WASI traps), many or very large buffers, clocks of CPU time. Python does it, after the
records before it were drained, so that all events are in order. Should a call trap after all, PENDING tells
Python that the record at END is one of a call that never returned.

Replaying, for any function that takes and gives integers:

    gate(arguments…, count):
        if the buffer has no more records: fill()
        if the next record is missing, or not of this function, tick and arguments:
            return slow(arguments…, count)
        write its writes to memory
        return its results

So every difference, the end of the log, and every error is Python's to tell.

WASI finds the guest's memory as the export ``memory`` of the instance that calls it, which is the gates'.

    buffer
        offset END      u32  recording: where the next record goes; replaying: where the last one ends
        offset NEXT     u32  replaying: where the next record begins; recording: PENDING
        offset LAST     i64  `count` (see `abi`) of the last record
        offset CALLS    u64  how many records have been written or read
        offset WATCHED  u64  replaying: the first watched address of the memory, and the one behind the last
        offset ASIDE    u32  recording: 1 if Python is to make the next call that talks to a terminal
        offset TERMINALS u32 recording: which of the descriptors 0 to 2 are terminals, as bits
        offset TAIL     u32  recording: the last byte that was written to one
        RECORDS ..           the records

Known limits: guests whose memory has 64-bit addresses are served by Python alone.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ttd.calllog import FUNCTION, HEADER, MAX_VALUES, PIECE, ROOM, SIZE, TICKS, WORD, shape
from ttd.errors import check
from ttd.wasi import FUNCTIONS
from ttd.wasi.effects import SHOWN_BYTES, SHOWN_ITEMS, SHOWN_PATH
from ttd.wasi.table import (
    EVENT,
    IOVEC,
    STANDARD,
    SUBSCRIPTION,
    TALKING,
    Buffer,
    Gather,
    Parameter,
    Path,
    Result,
    Scatter,
    Subscriptions,
    pairs,
)
from ttd.wasi.table import Function as WasiFunction
from ttd.wasm.model import FuncType, ValType

END, NEXT, LAST, CALLS, WATCHED = 0, 4, 8, 16, 24
ASIDE, TERMINALS, TAIL = 40, 44, 48
PENDING = NEXT
RECORDS = 64
PAGES = 16
"""Pages of the buffer: 1 MiB, about 16,000 small calls."""
BYTES = RECORDS + ROOM
check(BYTES == PAGES << 16, "a log is not as large as the buffer")

BUFFER, SKIP = "buffer", "skip"
"""Exports of a gates module: the buffer, and the function that checks records and skips some."""
WASI, SLOW, TTD = "wasi", "slow", "ttd"
"""Modules from which a gates module imports: functions of WASI and of Python, by their function index; and
`DRAIN` or `FILL`, and `MEMORY`."""
DRAIN, FILL, MEMORY = "drain", "fill", "memory"

_LARGEST = 1 << 16
"""Most bytes of one buffer that a native call may fill."""
_PYTHON_ONLY = frozenset(("proc_exit", "proc_raise", "args_get", "environ_get"))
_CLOCKS = frozenset(("clock_res_get", "clock_time_get"))
_INTEGERS = frozenset((ValType.I32, ValType.I64))


def can_record(name: str) -> bool:
    """Whether the function of WASI called `name` can have a native gate while recording."""
    return name in FUNCTIONS and name not in _PYTHON_ONLY and not name.startswith("sock_")


def can_replay(type_: FuncType) -> bool:
    """Whether a function of this type (as Python sees it) can have a native gate while replaying."""
    values = (*type_.params, *type_.results)
    return max(len(type_.params), len(type_.results)) <= MAX_VALUES and _INTEGERS.issuperset(values)


def gate_name(function: int) -> str:
    """Name of the gate of import number `function` in the exports."""
    return f"f{function}"


# --- what both have ----------------------------------------------------------------------------------


def _const(value: int) -> str:
    return f"(i32.const {value})"


def _get(name: str | int) -> str:
    return f"(local.get ${name})"


def _set(name: str, value: str) -> str:
    return f"(local.set ${name} {value})"


def _i32(offset: int, address: str) -> str:
    return f"(i32.load $log offset={offset} {address})"


def _i64(offset: int, address: str) -> str:
    return f"(i64.load $log offset={offset} {address})"


def _put32(offset: int, address: str, value: str) -> str:
    return f"(i32.store $log offset={offset} {address} {value})"


def _put64(offset: int, address: str, value: str) -> str:
    return f"(i64.store $log offset={offset} {address} {value})"


def _add(*terms: str) -> str:
    text = terms[0]
    for term in terms[1:]:
        text = f"(i32.add {text} {term})"
    return text


def _sub(left: str, right: str) -> str:
    return f"(i32.sub {left} {right})"


def _times(value: str, factor: int) -> str:
    return f"(i32.mul {value} {_const(factor)})"


def _field(value: str, bit: int) -> str:
    """A number of 32 bits at its place in the shape."""
    return f"(i64.shl {_wide(value)} (i64.const {bit}))"


def _from_field(bit: int) -> str:
    return f"(i32.wrap_i64 (i64.shr_u {_get('shape')} (i64.const {bit})))"


def _wide(value: str) -> str:
    return f"(i64.extend_i32_u {value})"


def _slow_if(condition: str) -> str:
    return f"(br_if $slow {condition})"


_STATE = _const(0)
_GUEST_SIZE = f"(i64.shl {_wide('(memory.size $guest)')} (i64.const 16))"
_LAST = _i64(LAST, _STATE)


def _word(value: str, type_: str) -> str:
    return _wide(value) if type_ == "i32" else value


def _types(keyword: str, types: Iterable[str]) -> str:
    listed = " ".join(types)
    return f"({keyword} {listed})" if listed else ""


def _parameters(types: Sequence[str]) -> str:
    named = [f"(param ${index} {type_})" for index, type_ in enumerate(types)]
    return " ".join([*named, "(param $count i64)"])


def _slow_import(function: int, params: Sequence[str], results: Sequence[str]) -> str:
    type_ = f"{_types('param', [*params, 'i64'])} {_types('result', results)}"
    return f'(import "{SLOW}" "{function}" (func $slow{function} {type_}))'


def _function(
    function: int, params: Sequence[str], results: Sequence[str], locals_: str, lines: Iterable[str]
) -> str:
    """A gate: `lines` return, or leave the block $slow."""
    arguments = " ".join(_get(index) for index in range(len(params)))
    head = f'(func (export "{gate_name(function)}") {_parameters(params)} {_types("result", results)}'
    body = "\n  ".join(lines)
    return (
        f"{head} {locals_}\n (block $slow\n  {body})\n (call $slow{function} {arguments} {_get('count')}))\n"
    )


def _module(imports: Iterable[str], functions: Iterable[str]) -> str:
    memories = [
        f'(import "{TTD}" "{MEMORY}" (memory $guest 0))',
        f'(memory $log (export "{BUFFER}") {PAGES} {PAGES})',
        '(export "memory" (memory $guest))',
    ]
    return "\n".join(["(module", *imports, *memories, *functions, ")"])


_COPY = """(local $copied i32)
 (if (i32.le_u (local.get $length) (i32.const 64)) (then
  (loop $words
   (if (i32.le_u (i32.add (local.get $copied) (i32.const 8)) (local.get $length)) (then
    (i64.store {to} (i32.add (local.get $to) (local.get $copied))
     (i64.load {source} (i32.add (local.get $from) (local.get $copied))))
    (local.set $copied (i32.add (local.get $copied) (i32.const 8)))
    (br $words))))
  (loop $bytes
   (if (i32.lt_u (local.get $copied) (local.get $length)) (then
    (i32.store8 {to} (i32.add (local.get $to) (local.get $copied))
     (i32.load8_u {source} (i32.add (local.get $from) (local.get $copied))))
    (local.set $copied (i32.add (local.get $copied) (i32.const 1)))
    (br $bytes))))
  (return)))
 (memory.copy {to} {source} (local.get $to) (local.get $from) (local.get $length))"""
"""The code of functions that copy from one memory to another: little by themselves, much by the runtime."""


def _copier(name: str, source: str, to: str) -> str:
    parameters = "(param $to i32) (param $from i32) (param $length i32)"
    return f"(func ${name} {parameters} {_COPY.format(source=source, to=to)})"


# --- recording ---------------------------------------------------------------------------------------


def recording_gates(functions: Sequence[tuple[int, str]], memory: int) -> str:
    """The text of a module with gates for `functions`, (index, name in WASI), all of them `can_record`.

    `memory` is the number of the guest's memory that WASI works on.
    """
    imports = [f'(import "{TTD}" "{DRAIN}" (func $drain (param i64)))']
    for index, name in functions:
        params = FUNCTIONS[name].params
        imports.append(
            f'(import "{WASI}" "{index}" (func $wasi{index} {_types("param", params)} (result i32)))'
        )
        imports.append(_slow_import(index, params, ("i32",)))
    gates = [_Recorder(index, FUNCTIONS[name], memory).text() for index, name in functions]
    return _module(imports, [_copier("copy", "$guest", "$log"), _APPEND, *gates])


_APPEND = f"""(func $append (param $to i32) (param $address i32) (param $length i32) (result i32)
 {_put32(0, _get("to"), _get("address"))}
 {_put32(4, _get("to"), _get("length"))}
 (call $copy {_add(_get("to"), _const(PIECE.size))} {_get("address")} {_get("length")})
 {_add(_get("to"), _get("length"), _const(PIECE.size))})"""
"""Appends a read or a write: where it goes, its address and length; where it ends."""

_LOCALS = (
    "(local $p i32) (local $q i32) (local $room i32) (local $ticks i64) (local $size i64) (local $errno i32) "
    "(local $reads i32) (local $writes i32) (local $vectors i32) (local $i i32) (local $left i32) "
    "(local $length i32) (local $results i32)"
)


class _Recorder:
    """Writes the recording gate of one function: checks, reads, call, writes."""

    def __init__(self, index: int, function: WasiFunction, memory: int) -> None:
        self._index = index
        self._function = function
        self._memory = memory
        # By parameter: itself, and the numbers of its first core parameter and of those that follow.
        self._places = list(pairs(function, range(len(function.params))))

    def text(self) -> str:
        """The gate."""
        return _function(self._index, self._function.params, ("i32",), _LOCALS, self._lines())

    def _lines(self) -> Iterator[str]:
        if self._function.name in TALKING:
            yield _slow_if(f"(i32.and {_i32(ASIDE, _STATE)} {self._on_terminal()})")
        yield _set("size", _GUEST_SIZE)
        yield _set("room", _const(HEADER + WORD * (len(self._function.params) + 1)))
        if self._function.name in _CLOCKS:
            yield _slow_if(f"(i32.gt_u {_get(0)} {_const(1)})")
        for parameter, at in self._places:
            yield from self._check(parameter, at)
        yield from self._begin()
        for parameter, at in self._places:
            yield from self._read(parameter, at)
        yield from self._call()
        yield from self._after()
        yield from self._finish()

    # --- before the call ------------------------------------------------------------------------------

    def _check(self, parameter: Parameter, at: Sequence[int]) -> Iterator[str]:
        """Leave to Python what is unusual, and find out how much room the record may take."""
        match parameter:
            case Result(size=size):
                alignment = size & -size if size < WORD else WORD
                yield _slow_if(f"(i32.and {_get(at[0])} {_const(alignment - 1)})")
                yield self._outside(_get(at[0]), _const(size))
                yield self._more_room(_const(PIECE.size + size))
            case Path():
                yield from self._check_buffer(at, SHOWN_PATH)
            case Buffer():
                yield from self._check_buffer(at, _LARGEST)
            case Scatter() | Gather():
                yield from self._check_vectors(at, isinstance(parameter, Scatter))
            case Subscriptions():
                yield _slow_if(f"(i32.gt_u {_get(at[2])} {_const(SHOWN_ITEMS)})")
                yield self._outside(_get(at[0]), _times(_get(at[2]), SUBSCRIPTION))
                yield self._outside(_get(at[1]), _times(_get(at[2]), EVENT))
                yield self._more_room(_const(2 * PIECE.size + SHOWN_ITEMS * (SUBSCRIPTION + EVENT)))

    def _check_buffer(self, at: Sequence[int], largest: int) -> Iterator[str]:
        yield _slow_if(f"(i32.gt_u {_get(at[1])} {_const(largest)})")
        yield self._outside(_get(at[0]), _get(at[1]))
        yield self._more_room(_add(_get(at[1]), _const(PIECE.size)))

    def _check_vectors(self, at: Sequence[int], filled: bool) -> Iterator[str]:
        """A list of buffers: few, all inside the memory, and aligned; those that are filled not large."""
        yield _slow_if(f"(i32.gt_u {_get(at[1])} {_const(SHOWN_ITEMS)})")
        yield _slow_if(f"(i32.and {_get(at[0])} {_const(3)})")
        yield self._outside(_get(at[0]), _times(_get(at[1]), IOVEC))
        yield self._more_room(_const(PIECE.size + SHOWN_ITEMS * IOVEC))
        check = [
            _set("length", self._vector(at[0], 4)),
            self._outside(self._vector(at[0], 0), _get("length")),
        ]
        if filled:
            check += [
                _slow_if(f"(i32.gt_u {_get('length')} {_const(_LARGEST)})"),
                self._more_room(_add(_get("length"), _const(PIECE.size))),
            ]
        else:
            check.append(self._more_room(_const(PIECE.size + SHOWN_BYTES)))
        yield from self._each(_get(at[1]), check)

    @staticmethod
    def _vector(array: int, offset: int) -> str:
        """Address (offset 0) or length (4) of vector number $i of the guest's array."""
        place = _add(_get(array), _times(_get("i"), IOVEC))
        return f"(i32.load $guest offset={offset} {place})"

    @staticmethod
    def _each(count: str, lines: Iterable[str]) -> Iterator[str]:
        """Do `lines` with $i from 0 to `count`; leaving the block $done ends it."""
        yield _set("i", _const(0))
        yield f"(block $done (loop $next (br_if $done (i32.ge_u {_get('i')} {count}))"
        yield from lines
        yield _set("i", _add(_get("i"), _const(1))) + " (br $next)))"

    @staticmethod
    def _outside(address: str, length: str) -> str:
        end = f"(i64.add {_wide(address)} {_wide(length)})"
        return _slow_if(f"(i64.gt_u {end} {_get('size')})")

    @staticmethod
    def _more_room(size: str) -> str:
        return _set("room", _add(_get("room"), size))

    def _begin(self) -> Iterator[str]:
        """The record up to the arguments; $q then is where the reads go."""
        params = self._function.params
        yield _set("ticks", f"(i64.sub {_get('count')} {_LAST})")
        yield _slow_if(f"(i64.ne (i64.const 0) (i64.shr_u {_get('ticks')} (i64.const 32)))")
        yield _set("p", _i32(END, _STATE))
        free = _sub(_const(BYTES), _get("p"))
        yield f"(if (i32.gt_u {_get('room')} {free}) (then"
        yield f"(call $drain {_get('count')})"
        yield _set("ticks", f"(i64.sub {_get('count')} {_LAST})")
        yield _set("p", _i32(END, _STATE)) + "))"
        yield f"(i64.store32 $log offset={TICKS} {_get('p')} {_get('ticks')})"
        for number, type_ in enumerate(params):
            yield _put64(HEADER + WORD * number, _get("p"), _word(_get(number), type_))
        yield _set("q", _add(_get("p"), _const(HEADER + WORD * len(params))))

    def _read(self, parameter: Parameter, at: Sequence[int]) -> Iterator[str]:
        match parameter:
            case Path():
                yield from self._append("reads", _get(at[0]), _get(at[1]))
            case Scatter() | Gather():
                yield _set("vectors", _add(_get("q"), _const(PIECE.size)))
                yield from self._append("reads", _get(at[0]), _times(_get(at[1]), IOVEC))
                if isinstance(parameter, Gather):
                    shown = [_set("length", self._vector(at[0], 4))]
                    if self._function.name == "fd_write":
                        shown.append(self._keep_tail(at[0]))
                    shown.append(self._at_most("length", SHOWN_BYTES))
                    yield from self._each(
                        _get(at[1]), [*shown, *self._append("reads", self._vector(at[0], 0), _get("length"))]
                    )
            case Subscriptions():
                length = _times(_get(at[2]), SUBSCRIPTION)
                yield from self._append("reads", _get(at[0]), length)

    def _on_terminal(self) -> str:
        """Whether the call is about a terminal; one that waits may be about standard input."""
        if self._function.name == "poll_oneoff":
            return _i32(TERMINALS, _STATE)
        is_standard = f"(i32.lt_u {_get(0)} {_const(STANDARD)})"
        return f"(i32.and {is_standard} (i32.shr_u {_i32(TERMINALS, _STATE)} {_get(0)}))"

    def _keep_tail(self, array: int) -> str:
        """Note the last byte of vector number $i, whose length is $length, if it goes to a terminal."""
        last = _sub(_add(self._vector(array, 0), _get("length")), _const(1))
        wanted = f"(i32.and (i32.ne {_get('length')} {_const(0)}) {self._on_terminal()})"
        return f"(if {wanted} (then {_put32(TAIL, _STATE, f'(i32.load8_u $guest {last})')}))"

    @staticmethod
    def _at_most(name: str, limit: int) -> str:
        over = f"(i32.gt_u {_get(name)} {_const(limit)})"
        return f"(if {over} (then {_set(name, _const(limit))}))"

    @staticmethod
    def _append(counter: str, address: str, length: str) -> list[str]:
        """Append a piece to the record, unless it is empty, and count it."""
        append = _set("q", f"(call $append {_get('q')} {address} {length})")
        count = _set(counter, _add(_get(counter), _const(1)))
        return [f"(if {length} (then {append} {count}))"]

    # --- the call, and after it -----------------------------------------------------------------------

    def _call(self) -> Iterator[str]:
        arguments = " ".join(_get(index) for index in range(len(self._function.params)))
        counts = len(self._function.params), len(self._function.results)
        fixed = shape(self._index, 0, counts, self._memory, 0, 0)
        results_at = _field(_sub(_get("q"), _get("p")), 16)
        reads = _field(_get("reads"), 48)
        shaped = f"(i64.or (i64.or (i64.const {fixed}) {results_at}) {reads})"
        yield _put64(FUNCTION, _get("p"), shaped)
        yield _set("results", _get("q"))
        # What the stack has no room for must show before the call is made: afterwards it has to be logged.
        yield f"(drop (call $append {_get('q')} {_const(0)} {_const(0)}))"
        yield _put32(PENDING, _STATE, _const(1))
        yield _set("errno", f"(call $wasi{self._index} {arguments})")
        yield _put32(PENDING, _STATE, _const(0))
        yield _put64(0, _get("results"), _wide(_get("errno")))
        yield _set("q", _add(_get("q"), _const(WORD)))

    def _after(self) -> Iterator[str]:
        """What the call has written, in the order of `ttd.wasi.Effects.written`."""
        success = [line for parameter, at in self._places for line in self._filled(parameter, at)]
        for parameter, at in self._places:
            match parameter:
                case Result(size=size):
                    success += self._append("writes", _get(at[0]), _const(size))
                case Buffer(counted=False):
                    success += self._append("writes", _get(at[0]), _get(at[1]))
        failure: list[str] = []
        for parameter, at in self._places:
            if isinstance(parameter, Subscriptions):
                length = _times(_get(at[2]), EVENT)
                failure += self._append("writes", _get(at[1]), length)
        if success or failure:
            yield f"(if {_get('errno')} (then {' '.join(failure)}) (else"
            yield from success
            yield "))"

    def _filled(self, parameter: Parameter, at: Sequence[int]) -> Iterator[str]:
        """The data that the call has filled in, as much as its result called size tells."""
        if not (isinstance(parameter, (Scatter, Subscriptions)) or _is_counted(parameter)):
            return
        yield _set("left", f"(i32.load $guest {self._size_address()})")
        if isinstance(parameter, Scatter):
            place = _add(_get("vectors"), _times(_get("i"), IOVEC))
            ended = f"(br_if $done (i32.eqz {_get('left')}))"
            rest = _set("left", _sub(_get("left"), _get("length")))
            lines = [ended, _set("length", _i32(4, place)), self._clip("length", _get("left"))]
            lines += [*self._append("writes", _i32(0, place), _get("length")), rest]
            yield from self._each(_get(at[1]), lines)
            return
        capacity = _get(at[1])
        if isinstance(parameter, Subscriptions):
            capacity = _times(_get(at[2]), EVENT)
            yield self._clip("left", _get(at[2]))
            yield _set("left", _times(_get("left"), EVENT))
        yield self._clip("left", capacity)
        address = _get(at[1]) if isinstance(parameter, Subscriptions) else _get(at[0])
        yield from self._append("writes", address, _get("left"))

    @staticmethod
    def _clip(name: str, limit: str) -> str:
        return f"(if (i32.gt_u {_get(name)} {limit}) (then {_set(name, limit)}))"

    def _size_address(self) -> str:
        """The address of the result called size."""
        for parameter, at in self._places:
            if isinstance(parameter, Result) and parameter.name == "size":
                return _get(at[0])
        raise ValueError(f"{self._function.name} has no result called size")

    @staticmethod
    def _finish() -> Iterator[str]:
        """Complete the header, and let the record count."""
        yield f"(i32.store8 $log offset={FUNCTION + 7} {_get('p')} {_get('writes')})"
        yield _put32(SIZE, _get("p"), _sub(_get("q"), _get("p")))
        yield _put64(LAST, _STATE, _get("count"))
        yield _put64(CALLS, _STATE, f"(i64.add {_i64(CALLS, _STATE)} (i64.const 1))")
        yield _put32(END, _STATE, _get("q"))
        yield f"(return {_get('errno')})"


def _is_counted(parameter: Parameter) -> bool:
    return isinstance(parameter, Buffer) and parameter.counted


# --- replaying ---------------------------------------------------------------------------------------


def replaying_gates(functions: Sequence[tuple[int, FuncType]], memory: int) -> str:
    """The text of a module with gates for `functions`, (index, type as Python sees it), all of them
    `can_replay`.

    `memory` is the number of the memory that the gates can write.
    """
    imports, gates = [f'(import "{TTD}" "{FILL}" (func $fill))'], []
    for index, type_ in functions:
        params, results = [str(t) for t in type_.params], [str(t) for t in type_.results]
        imports.append(_slow_import(index, params, results))
        lines = _replayer(index, params, results, memory)
        gates.append(_function(index, params, results, _REPLAY_LOCALS, lines))
    return _module(imports, [_copier("copy", "$log", "$guest"), _SKIP, *gates])


_REPLAY_LOCALS = (
    "(local $p i32) (local $q i32) (local $end i32) (local $shape i64) (local $n i32) (local $address i32) "
    "(local $length i32) (local $results i32)"
)

_FIXED = shape(0xFFFF, 0, (MAX_VALUES, MAX_VALUES), 0, 0, 0)
_RESULTS_AT = f"(i32.and {_from_field(16)} {_const(0xFFFF)})"
_MEMORY_OF = f"(i32.and {_from_field(40)} {_const(255)})"


def _replayer(index: int, params: Sequence[str], results: Sequence[str], memory: int) -> Iterator[str]:
    is_empty = f"(i32.ge_u {_get('p')} {_i32(END, _STATE)})"
    yield _set("p", _i32(NEXT, _STATE))
    yield f"(if {is_empty} (then (call $fill) {_set('p', _i32(NEXT, _STATE))}))"
    yield _slow_if(is_empty)
    yield _set("shape", _i64(FUNCTION, _get("p")))
    expected = shape(index, 0, (len(params), len(results)), 0, 0, 0)
    yield _slow_if(f"(i64.ne (i64.and {_get('shape')} (i64.const {_FIXED})) (i64.const {expected}))")
    ticks = f"(i64.load32_u $log offset={TICKS} {_get('p')})"
    yield _slow_if(f"(i64.ne (i64.add {_LAST} {ticks}) {_get('count')})")
    for number, type_ in enumerate(params):
        argument = _i64(HEADER + WORD * number, _get("p"))
        yield _slow_if(f"(i64.ne {argument} {_word(_get(number), type_)})")
    yield _set("end", _add(_get("p"), _i32(SIZE, _get("p"))))
    yield _set("results", _add(_get("p"), _RESULTS_AT))
    yield _set("q", _add(_get("results"), _const(WORD * len(results))))
    yield _slow_if(f"(i32.gt_u {_get('q')} {_get('end')})")
    for number, type_ in enumerate(results):
        if type_ in ("i32", "f32"):  # Python tells that the log has none of that type
            yield _slow_if(_i32(WORD * number + 4, _get("results")))
    yield from _writes(memory)
    yield _put32(NEXT, _STATE, _get("end"))
    yield _put64(LAST, _STATE, _get("count"))
    yield _put64(CALLS, _STATE, f"(i64.add {_i64(CALLS, _STATE)} (i64.const 1))")
    values = [f"({t}.load $log offset={WORD * n} {_get('results')})" for n, t in enumerate(results)]
    yield f"(return {' '.join(values)})"


def _writes(memory: int) -> Iterator[str]:
    """Perform the writes of the record. To Python is left what is out of bounds, to tell what is wrong, and
    what is watched, to compare it; it does the writes before it a second time."""
    yield f"(if {_set_and_get('n', _from_field(56))} (then"
    yield _slow_if(f"(i32.ne {_MEMORY_OF} {_const(memory)})")
    yield "(loop $next"
    head_end = f"(i64.add {_wide(_get('q'))} (i64.const {PIECE.size}))"
    yield _slow_if(f"(i64.gt_u {head_end} {_wide(_get('end'))})")
    yield _set("address", _i32(0, _get("q")))
    yield _set("length", _i32(4, _get("q")))
    data_end = f"(i64.add {head_end} {_wide(_get('length'))})"
    yield _slow_if(f"(i64.gt_u {data_end} {_wide(_get('end'))})")
    written_end = f"(i64.add {_wide(_get('address'))} {_wide(_get('length'))})"
    yield _slow_if(f"(i64.gt_u {written_end} {_GUEST_SIZE})")
    begins_before = f"(i64.lt_u {_wide(_get('address'))} {_i64(WATCHED + WORD, _STATE)})"
    yield _slow_if(f"(i32.and {begins_before} (i64.gt_u {written_end} {_i64(WATCHED, _STATE)}))")
    yield f"(call $copy {_get('address')} {_add(_get('q'), _const(PIECE.size))} {_get('length')})"
    yield _set("q", _add(_get("q"), _get("length"), _const(PIECE.size)))
    yield f"(br_if $next {_set_and_get('n', _sub(_get('n'), _const(1)))}))))"


def _set_and_get(name: str, value: str) -> str:
    return f"(local.tee ${name} {value})"


_SKIP = f"""(func (export "{SKIP}") (param $skipped i32) (result i32)
 (local $p i32) (local $end i32) (local $size i32) (local $n i32)
 {_set("p", _const(RECORDS))}
 {_set("end", _i32(END, _STATE))}
 (block $done (loop $next
  (if (i32.eq {_get("n")} {_get("skipped")}) (then {_put32(NEXT, _STATE, _get("p"))}))
  (br_if $done (i32.ge_u {_get("p")} {_get("end")}))
  (if (i32.gt_u {_const(HEADER)} (i32.sub {_get("end")} {_get("p")})) (then (return {_const(-1)})))
  {_set("size", _i32(SIZE, _get("p")))}
  (if (i32.lt_u {_get("size")} {_const(HEADER)}) (then (return {_const(-1)})))
  (if (i32.gt_u {_get("size")} (i32.sub {_get("end")} {_get("p")})) (then (return {_const(-1)})))
  (if (i32.lt_u {_get("n")} {_get("skipped")}) (then
   {_put64(LAST, _STATE, f"(i64.add {_LAST} (i64.load32_u $log offset={TICKS} {_get('p')}))")}))
  {_set("p", _add(_get("p"), _get("size")))}
  {_set("n", _add(_get("n"), _const(1)))}
  (br $next)))
 {_get("n")})"""
"""Checks that the buffer is full of records, and goes behind the first ones of them: how many there are, or
-1. The clock of the last record is moved on by the ticks of those that are skipped."""
