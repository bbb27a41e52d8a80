"""Emission of instrumented code: a function's own, and that of the continuations of its sites.

In pseudo-code, `f(x) { while (…) { a + g(b) } }` becomes

    f(x):
        count += 1; entry = count                        tick at entry
        if count == 0: spill(site 0; x); return 0
        loop
            count += 1; if count == 0: spill(site 1; …); return 0
            …
            t = a                                         operand that must survive the call
            r = g(b); if count == 0: spill(site 2; …, t); return 0
            … r …

A freeze so passes through the callers as a return does: `count` is 0 behind a call only if the callee was
frozen, and then its results mean nothing. (To unwind by an exception looks cheaper, as nothing is tested, and
is not: a call that may throw keeps no value in a register over it, which made a recursive function take
1.5 times as long where the test takes 1.02, and the code for the edges took most of the compile time.)

and the continuation of site 2, which starts behind the call, in the middle of the loop:

    block exit
        block again
            <load locals, entry and t from the thaw area>
            t + <result of g>  … the rest of the iteration …
            br exit
        end
        count += 1; spill(site 1; …); return 0            leave to the continuation of site 1
    end
    … what follows the loop …

The continuation of site 1 has the whole loop: it begins with its header, having taken the tick back that will
be counted there. (With a copy of each loop around a site, a frame in the program's main loop would bring all
of it along for every such site.)

Everything that needs no change is copied byte by byte from the original. In a function itself the depth of
labels never changes, because what surrounds a call closes right behind it; in a continuation every branch is
written anew.

Operands that must survive a freeze are in locals ("slots": one for each stack height and type) while a
site is passed: those of the innermost construct are put there just before the site, those below an
enclosing construct on entry to that construct, if it contains a site.

A large function spills by calls of small ones, the spillers, with a few values each. There is one for each
sequence of types that occurs; it adds what it is given to the end of the spill area. That compiles faster
than stores in place, and to less code. A spiller can be called where no native stack is left: it calls
nothing, and all it handles fits the registers, so it has no frame, and does not ask whether there is room for
one. Its sites share code, too (`sharing`). Other functions have stores in place, as have loops with few
values.

Known limits: a record must fit the thaw area (65,000 locals do).

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from ttd.errors import InternalError
from ttd.instrument import abi
from ttd.instrument.bytecode import (
    ELSE_BYTE,
    END_BYTE,
    LOAD,
    RETURN_BYTE,
    STORE,
    branch,
    call,
    global_get,
    global_set,
    i32_const,
    i64_const,
    local_get,
    local_set,
    local_tee,
    shadow_memarg,
    zero,
)
from ttd.instrument.readings import Mending
from ttd.instrument.sharing import Shared
from ttd.instrument.site import Site, SiteKind
from ttd.instrument.sites import CALL, CALL_INDIRECT, LOOP, RETURN_CALL, FunctionPlan
from ttd.wasm.leb128 import write_unsigned
from ttd.wasm.model import FuncType, Instruction, ValType
from ttd.wasm.opcodes import BY_MNEMONIC, Catch, Opcode
from ttd.wasm.typing import Control

_BR, _BR_IF, _BR_TABLE = BY_MNEMONIC["br"], BY_MNEMONIC["br_if"], BY_MNEMONIC["br_table"]
_BLOCK, _IF, _END = (BY_MNEMONIC[name] for name in ("block", "if", "end"))
_REF_FUNC = BY_MNEMONIC["ref.func"]
TRY_TABLE = BY_MNEMONIC["try_table"]
_OPENERS = frozenset((_BLOCK, LOOP, _IF, TRY_TABLE))
_BRANCHES = frozenset((_BR, _BR_IF, _BR_TABLE))
DROPS = frozenset((BY_MNEMONIC["data.drop"], BY_MNEMONIC["elem.drop"]))
"""What drops a segment."""
SEGMENTS = DROPS | {BY_MNEMONIC["memory.init"], BY_MNEMONIC["table.init"], _REF_FUNC}
"""What a continuation module has to ask a function of the instrumented one for. It has no segments; and its
own references to functions would be different ones for Wasmtime, which the driver does not know."""
NOTHING: frozenset[Opcode] = frozenset()
_FLOAT_STORES = frozenset((BY_MNEMONIC["f32.store"], BY_MNEMONIC["f64.store"]))
_HANDLED_PLAINLY = SEGMENTS | _OPENERS | _FLOAT_STORES | {CALL, CALL_INDIRECT, RETURN_CALL}
"""What may be written differently where labels stay as they are."""
_HANDLED = _HANDLED_PLAINLY | _BRANCHES | {_END}

_BLOCK_VOID, _IF_VOID = b"\x02\x40", b"\x04\x40"
_I64_1_ADD, _I64_EQZ = b"\x42\x01\x7c", b"\x50"
_UNREACHABLE = b"\x00"

_MOVED = {
    ValType.I32: (b"\xac", ValType.I64),  # i64.extend_i32_s
    ValType.I64: (b"\xbf", ValType.F64),  # f64.reinterpret_i64
    ValType.F32: (b"\xbc", ValType.I32),
    ValType.F64: (b"\xbd", ValType.I64),
    ValType.V128: (b"", ValType.V128),
}
"""How a value is handed to a spiller: by an instruction that makes another one of the same bits. Arguments
belong in certain registers, and the compiler would keep the value itself there, also where that is in the way
(which cost 2 to 5 % of the time of real programs)."""

PRIVATE = -1
"""A label, in `BodyEmitter.labels`, that no branch of the guest means."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Indices of the injected entities in the module that is being written."""

    shadow: int
    count: int
    spill: int
    references: int
    exception: int
    reference_tables: dict[ValType, int]
    function: Callable[[int], int]
    """Where an original function is to be called: itself, or the gate of an import."""
    segment_helper: Callable[[Instruction], int]
    """The function that stands in for an instruction on a segment."""
    spiller: Callable[[tuple[ValType, ...]], int]
    """The function that adds values of these types to the record being spilled."""
    note: Callable[[], int]
    """The function that notes a tick at which something was looked for (`probes`)."""
    watching: Watching | None = None
    """What writes the checks of writes to memory, in a build that has them."""

    def store(self, type_: ValType, offset: int) -> bytes:
        """Store a value to the shadow memory: (address, value) -> ()."""
        return STORE[type_] + shadow_memarg(self.shadow, offset)

    def load(self, type_: ValType, offset: int) -> bytes:
        """Load a value from the shadow memory: (address) -> (value)."""
        return LOAD[type_] + shadow_memarg(self.shadow, offset)

    def append(self, address: int, values: Sequence[tuple[bytes, ValType]]) -> bytes:
        """Add values, each pushed by its code, to the end of the spill area; `address` is a local."""
        places, size = abi.offsets((type_ for _, type_ in values), 0)
        here = local_get(address)
        out = global_get(self.spill) + local_set(address)
        for (code, type_), place in zip(values, places, strict=True):
            out += here + code + self.store(type_, place)
        return out + here + i32_const(size) + b"\x6a" + global_set(self.spill)


class Watching(Protocol):
    """Writes the checks around instructions that write to memory (`probes`)."""

    @property
    def writers(self) -> frozenset[Opcode]:
        """The instructions that it wants to see."""
        ...

    def begin(self, emitter: BodyEmitter) -> None:
        """Write what comes first in a function, or in what continues one."""
        ...

    def open(self, emitter: BodyEmitter, instruction: Instruction) -> Callable[[], None] | None:
        """Write what comes before the instruction; what is given back writes what comes behind it."""
        ...


class BodyEmitter:
    """Writes the body of one function: of the original index space, or of a continuation."""

    def __init__(
        self, plan: FunctionPlan, layout: Layout, block_type: Callable[[FuncType], bytes], base_locals: int
    ) -> None:
        """`block_type` encodes a block type; `base_locals` locals exist before those that are added here."""
        self.plan = plan
        self.layout = layout
        self.block_type = block_type
        self.out = bytearray()
        self.added_locals: list[ValType] = []
        self._base_locals = base_locals
        self._slots: dict[tuple[int, ValType], int] = {}
        self._address = -1
        self._temporaries: dict[tuple[str, ValType], int] = {}
        self.hints: list[tuple[int, bool]] = []
        """Where in `out` there is an `if` that is hardly ever, or nearly always, entered (`hints`)."""
        self.labels: list[int] = []
        self._shared: dict[int, Shared] = {}
        """What sites share, by number; the block that leads to it is that many labels from the outermost."""
        self._used: set[int] = set()
        """The numbers of those that are needed."""
        self.remapping = False
        self.before: Mapping[int, bytes] = {}
        """Code to be written before the instructions at these offsets."""
        self.count = self.new_local(ValType.I64)
        self.entry = self.new_local(ValType.I64)
        self.data = plan.module.data

    def new_local(self, type_: ValType) -> int:
        self.added_locals.append(type_)
        return self._base_locals + len(self.added_locals) - 1

    def slot(self, height: int, type_: ValType) -> int:
        """The local that keeps the operand of this type that has `height` others below it."""
        key = height, type_
        if key not in self._slots:
            self._slots[key] = self.new_local(type_)
        return self._slots[key]

    def temporary(self, use: str, type_: ValType) -> int:
        """A local whose value nobody needs behind the next instruction of the guest."""
        if (use, type_) not in self._temporaries:
            self._temporaries[use, type_] = self.new_local(type_)
        return self._temporaries[use, type_]

    @property
    def address(self) -> int:
        """An i32 local for addresses in the shadow memory."""
        if self._address < 0:
            self._address = self.new_local(ValType.I32)
        return self._address

    # --- whole functions -----------------------------------------------------------------------------

    def emit_function(self, ticks: bool = True) -> None:
        """The body of the function itself, final `end` included."""
        self._open_body()
        if ticks:
            self._tick(self.plan.sites[0])
        self.emit_range(0, len(self.plan.instructions) - 1)
        self._close_body()

    def _open_body(self) -> None:
        """In a function whose sites share code, the blocks that lead there, and the one that `return`
        means."""
        self.labels = [0]
        if self.layout.watching is not None:
            self.layout.watching.begin(self)
        for first in set(self.plan.shared.values()):
            self._shared.update((shared.number, shared) for shared in first.chain())
        self.labels[:0] = [PRIVATE] * len(self._shared)
        if self._shared:
            self.out += _BLOCK_VOID * len(self._shared)
            self.out += b"\x02" + self.block_type(FuncType((), self.plan.function.type.results))

    def _close_body(self) -> None:
        if self._shared:
            self.out += END_BYTE + RETURN_BYTE
        for number in reversed(range(len(self._shared))):
            self.out += END_BYTE
            if number in self._used:
                self._spill_shared(self._shared[number])
            else:
                self.out += _UNREACHABLE
        self.out += END_BYTE

    # --- ranges of instructions ------------------------------------------------------------------------

    def emit_range(self, start: int, stop: int) -> None:
        """Instructions `start` to before `stop`."""
        instructions = self.plan.instructions
        structured = self.remapping or bool(self._shared)
        before, watching = self.before, self.layout.watching
        writers = watching.writers if watching is not None else NOTHING
        mended = self.plan.nan.behind
        seen = (_HANDLED if structured else _HANDLED_PLAINLY) | writers
        raw = instructions[start].offset
        for index in range(start, stop):
            instruction = instructions[index]
            op = instruction.op
            if op not in seen and index not in mended and instruction.offset not in before:
                continue
            added, watched = before.get(instruction.offset, b""), op in writers
            handler = self._handler(op, index, structured) if op in _HANDLED else None
            if handler is None and not added and not watched and index not in mended:
                continue
            self.out += self.data[raw : instruction.offset]
            raw = instructions[index + 1].offset
            self.out += added
            close = watching.open(self, instruction) if watching is not None and watched else None
            (handler or self._copy)(index, instruction)
            if close is not None:
                close()
            self.mend_behind(index)
        self.out += self.data[raw : instructions[stop].offset]

    def mend_behind(self, index: int) -> None:
        """Make the value right that instruction `index` has pushed, if the NaN rule asks for it here."""
        mending = self.plan.nan.behind.get(index)
        if mending is not None:
            local = self.temporary("nan", mending.type)
            if mending.type is ValType.V128:  # a test of all lanes would cost more than it spares
                self.out += local_set(local) + mending.code(local)
                return
            self.out += local_set(local) + mending.test(local)
            self.hints.append((len(self.out), True))
            self.out += _IF_VOID + ELSE_BYTE + mending.nan() + local_set(local)
            self.out += END_BYTE + local_get(local)

    def _store(self, index: int, instruction: Instruction) -> None:
        """A store of a scalar that may be a NaN, which is then written over with the right one.

        To load the half that tells is cheaper than to test the value: `nan` has the figures.
        """
        mending = self.plan.nan.stored[index]
        value, address = self.temporary("nan", mending.type), self.temporary("stored", ValType.I32)
        memory, _, offset = cast("tuple[int, int, int]", instruction.immediates)
        self.out += local_set(value) + local_tee(address) + local_get(value) + self._raw(index)
        self.out += local_get(address) + LOAD[ValType.I32]
        self.out += shadow_memarg(memory, offset + instruction.op.access - 4) + mending.test_stored()
        self.hints.append((len(self.out), False))
        self.out += _IF_VOID + local_get(address) + mending.nan() + self._raw(index) + END_BYTE

    def _handler(self, op: Opcode, index: int, structured: bool) -> Callable[[int, Instruction], None] | None:
        """What writes instruction `index`; None where it is copied."""
        if op is CALL or op is CALL_INDIRECT:
            return self._call
        if op is LOOP:
            return self._loop
        if op is RETURN_CALL or (op is _REF_FUNC and not self.remapping):
            return self._function_reference
        if op in SEGMENTS:
            return self._segment if self.remapping or op in DROPS else None
        if op in _FLOAT_STORES:
            return self._store if index in self.plan.nan.stored else None
        if op in _OPENERS:
            return self._construct if structured or self._pending(index) else None
        if not structured:
            return None
        if op in _BRANCHES:
            return self._branch if self.remapping else None
        return self._end if op is _END else None

    def _raw(self, index: int) -> bytes:
        instructions = self.plan.instructions
        return self.data[instructions[index].offset : instructions[index + 1].offset]

    def _copy(self, index: int, instruction: Instruction) -> None:
        self.out += self._raw(index)

    def _function_reference(self, index: int, instruction: Instruction) -> None:
        code = bytes([instruction.op.code])
        self.out += code + write_unsigned(self.layout.function(cast(int, instruction.immediates[0])))

    def _segment(self, index: int, instruction: Instruction) -> None:
        self.out += call(self.layout.segment_helper(instruction))

    # --- structure -------------------------------------------------------------------------------------

    def _pending(self, index: int) -> bool:
        """Whether a construct contains a site while operands wait below it in the construct around it."""
        typing = self.plan.typing
        if not typing.is_reachable(index):
            return False
        control = self._opened_by(index)
        outer = typing.controls[control.parent]
        return control.number in self.plan.constructs_with_sites and control.height > outer.height

    def _opened_by(self, index: int) -> Control:
        return self.plan.control_opened[index]

    def _construct(self, index: int, instruction: Instruction) -> None:
        """A block, if or try_table."""
        if self._pending(index):
            outer = self.plan.typing.controls[self.plan.typing.control_of[index]]
            self._save(index, outer.height)
        if instruction.op is TRY_TABLE and self.remapping:
            type_, catches = cast("tuple[FuncType, tuple[Catch, ...]]", instruction.immediates)
            self.out += self._try_table(index, self.block_type(type_), catches)
        else:
            self.out += self._raw(index)
        self.labels.append(self._opened_by(index).number)

    def _try_table(self, index: int, block_type: bytes, catches: Sequence[Catch]) -> bytes:
        """The opener of a guest's try_table. Call it before its own label is pushed."""
        clauses = write_unsigned(len(catches))
        for catch in catches:
            tag = b"" if catch.tag is None else write_unsigned(catch.tag)
            target = self.plan.typing.label(index, catch.depth).number
            clauses += bytes([catch.kind]) + tag + write_unsigned(self._depth(target))
        return b"\x1f" + block_type + clauses

    def _end(self, index: int, instruction: Instruction) -> None:
        self.out += END_BYTE
        self.labels.pop()

    def _depth(self, label: int) -> int:
        """How many labels lie above `label`."""
        for depth, candidate in enumerate(reversed(self.labels)):
            if candidate == label:
                return depth
        raise InternalError(f"label {label} is not open in function {self.plan.function.index}")

    def _branch(self, index: int, instruction: Instruction) -> None:
        if instruction.op is _BR_TABLE:
            depths, default = cast("tuple[tuple[int, ...], int]", instruction.immediates)
            self.out += b"\x0e" + write_unsigned(len(depths))
            for depth in (*depths, default):
                self.out += write_unsigned(self._target(index, depth))
            return
        depth = cast(int, instruction.immediates[0])
        self.out += bytes([instruction.op.code]) + write_unsigned(self._target(index, depth))

    def _target(self, index: int, depth: int) -> int:
        return self._depth(self.plan.typing.label(index, depth).number)

    # --- loops and ticks ---------------------------------------------------------------------------------

    def _loop(self, index: int, instruction: Instruction) -> None:
        if self._pending(index):
            outer = self.plan.typing.controls[self.plan.typing.control_of[index]]
            self._save(index, outer.height)
        if self._opened_by(index).number in self.plan.counting_loops and not self.plan.counts_at(index):
            self.out += global_get(self.layout.count) + local_set(self.count)
        self.out += self._raw(index)
        self.labels.append(self._opened_by(index).number)
        site = self.plan.site_at.get(index)
        if site is None:  # unreachable
            return
        slots = self._take_parameters(index)
        self._tick(site)
        self.out += b"".join(local_get(slot) for slot in slots)

    def _take_parameters(self, index: int) -> list[int]:
        """Put the parameters of a loop from the stack into their slots, which are given back."""
        control = self._opened_by(index)
        parameters = range(control.height, control.height + len(control.type.params))
        slots = [self.slot(h, t) for h, t in zip(parameters, control.type.params, strict=True)]
        self.out += b"".join(local_set(slot) for slot in reversed(slots))
        return slots

    def leave_to_loop(self, index: int) -> None:
        """The tick at the header of a loop whose code is elsewhere: in the continuation of that site."""
        self._take_parameters(index)
        self._count_tick(global_get(self.layout.count), self.count)
        self.out += i32_const(0) + i32_const(abi.LEAVING) + self.layout.store(ValType.I32, 0)
        self._freeze(self.plan.site_at[index], 0)

    def _tick(self, site: Site) -> None:
        """count += 1; freeze if it is 0."""
        before, after = global_get(self.layout.count), self.count
        if site.kind is SiteKind.ENTRY:
            after = self.entry
        elif self._opened_by(site.index).number in self.plan.counting_loops:
            before = local_get(self.count)
        self._count_tick(before, after)
        self.out += local_get(after)
        self._freeze_if_zero(site)

    def _count_tick(self, before: bytes, after: int) -> None:
        """count += 1; `before` is code that pushes it, and local `after` gets the sum, too."""
        self.out += before + _I64_1_ADD + local_tee(after) + global_set(self.layout.count)

    def _freeze_if_zero(self, site: Site) -> None:
        """Test `count`, which is on the stack."""
        self.out += _I64_EQZ
        self.hints.append((len(self.out), False))
        self.out += _IF_VOID
        self._freeze(site, 1)
        self.out += END_BYTE

    # --- calls ------------------------------------------------------------------------------------

    def _call(self, index: int, instruction: Instruction) -> None:
        site = self.plan.site_at.get(index)
        code = self._callee(index, instruction)
        if site is None:
            self.out += code
            return
        typing = self.plan.typing
        base = typing.controls[typing.control_of[index]].height
        if len(site.operands) > base:
            self._save(index, base)
        self.out += code + global_get(self.layout.count)
        if self.plan.counts_at(index):
            self.out += local_tee(self.count)
        self._freeze_if_zero(site)

    def _callee(self, index: int, instruction: Instruction) -> bytes:
        if instruction.op is CALL:
            return call(self.layout.function(cast(int, instruction.immediates[0])))
        return self._raw(index)

    def _save(self, index: int, base: int) -> None:
        """Copy the operands above height `base` to their slots; they stay on the stack."""
        types = self.plan.typing.operands(index)
        slots = [self.slot(height, types[height]) for height in range(base, len(types))]
        self.out += b"".join(local_set(slot) for slot in reversed(slots))
        self.out += b"".join(local_get(slot) for slot in slots)

    # --- freezing and thawing ---------------------------------------------------------------------

    def record_locals(self, site: Site) -> list[tuple[int, ValType]]:
        """The locals that hold the values of a frame frozen at `site`, with their types."""
        return self._locals(site.locals, site.operands)

    def _locals(self, locals_: Sequence[int], operands: Sequence[ValType]) -> list[tuple[int, ValType]]:
        types = self.plan.function.local_types
        values = [(index, types[index]) for index in locals_]
        return values + [(self.slot(height, type_), type_) for height, type_ in enumerate(operands)]

    def _freeze(self, site: Site, depth: int) -> None:
        """Spill this frame's record and return, from inside of `depth` blocks that have no place in
        `labels`."""
        header = i64_const(site.function | site.number << abi.SITE_SHIFT)
        locals_ = self.plan.own_locals(site)
        values = self._locals(locals_, site.operands)
        mendings = self.plan.nan.of_record(site.index, locals_, len(site.operands))
        head = [header, local_get(self.entry)]
        self._spill(head, [ValType.I64, ValType.I64], values, mendings, self.plan.spills_by_calls(site))
        self._then(self.plan.shared.get(site.number), len(self.labels) - 1 + depth)

    def _spill_shared(self, shared: Shared) -> None:
        """Spill what some sites share."""
        types = self.plan.function.local_types
        values = [(index, types[index]) for index in shared.locals]
        self._spill([], [], values, [None] * len(values), True)
        self._then(shared.then, shared.number - 1)

    def _then(self, shared: Shared | None, labels: int) -> None:
        """Go on with what spills the rest of a record, or return; the outermost label is `labels` away."""
        if shared is not None:
            self._used.add(shared.number)
            self.out += branch(labels - shared.number)
        else:
            self.out += b"".join(map(zero, self.plan.function.type.results)) + RETURN_BYTE

    def _spill(
        self,
        codes: list[bytes],
        types: list[ValType],
        values: Sequence[tuple[int, ValType]],
        mendings: Sequence[Mending | None],
        calling: bool,
    ) -> None:
        """Add to the record what `codes` push, of these types, and the values of these locals.

        References first: over a call the compiler has to keep them where a garbage collector finds them.
        """
        references: list[tuple[int, ValType]] = []
        for (local, type_), mending in zip(values, mendings, strict=True):
            if type_.is_reference:
                references.append((local, type_))
            else:
                codes.append(local_get(local) if mending is None else mending.code(local))
                types.append(type_)
        if references:
            self._spill_references(references)
        if calling:
            for place in range(len(types) - len(values) + len(references), len(types)):
                moved, types[place] = _MOVED[types[place]]
                codes[place] += moved
            for start in range(0, len(codes), abi.SPILLED_AT_ONCE):
                end = start + abi.SPILLED_AT_ONCE
                self.out += b"".join(codes[start:end]) + call(self.layout.spiller(tuple(types[start:end])))
        else:
            self.out += self.layout.append(self.address, list(zip(codes, types, strict=True)))

    def _spill_references(self, references: Sequence[tuple[int, ValType]]) -> None:
        layout, out = self.layout, self.out
        for place, (local, type_) in enumerate(references):
            out += global_get(layout.references) + i32_const(place) + b"\x6a" + local_get(local)
            out += b"\x26" + write_unsigned(layout.reference_tables[type_])
        out += global_get(layout.references) + i32_const(len(references)) + b"\x6a"
        out += global_set(layout.references)

    def load_values(self, values: Iterable[tuple[int, ValType]], start: int, first_reference: int) -> None:
        """Set locals from the thaw area, from offset `start` on, and from the reference tables."""
        values = list(values)
        places, _ = abi.offsets((type_ for _, type_ in values), start)
        for (local, type_), place in zip(values, places, strict=True):
            if type_.is_reference:
                self.out += i32_const(first_reference + place)
                self.out += b"\x25" + write_unsigned(self.layout.reference_tables[type_])
            else:
                self.out += i32_const(0) + self.layout.load(type_, place)
            self.out += local_set(local)
