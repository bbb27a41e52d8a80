"""Continuations: small modules that enter a function, or thaw a frame in the middle of one.

Each imports what it needs of the instrumented module (under the names of `abi`) and exports one function,
GO, of type () -> i32: it takes its input from the thaw area, calls, and says how that ended: RETURNED
(results are in the thaw area, from offset 0), FROZEN (records are in the spill area), THREW (the
exception is in a global), LEFT (a record is in the spill area, to be thawed at once).

Memories, tables, globals and tags are imported in their order, so their indices are those of the instrumented
module and code that uses them is copied as it is. Functions are imported as they are used.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ttd.instrument import abi
from ttd.instrument.bytecode import (
    END_BYTE,
    RETURN_BYTE,
    branch,
    call,
    global_get,
    global_set,
    i32_const,
    local_get,
    local_set,
)
from ttd.instrument.emit import PRIVATE, TRY_TABLE, BodyEmitter
from ttd.instrument.hints import Hints, shifted, with_hints
from ttd.instrument.module import ModuleWriter, declarations
from ttd.instrument.probes import NOTE_TYPE, WROTE_TYPE, note_before
from ttd.instrument.program import Instrumented
from ttd.instrument.site import NOWHERE, Places, Site, SiteKind
from ttd.instrument.sites import LOOP
from ttd.instrument.types import TypeTable
from ttd.wasm.encode import encode
from ttd.wasm.leb128 import write_unsigned
from ttd.wasm.model import Body, Export, ExternKind, Function, FuncType, Import, Instruction, Module, ValType
from ttd.wasm.opcodes import BY_MNEMONIC, Catch
from ttd.wasm.predicate import Predicate
from ttd.wasm.typing import Control

_IF = BY_MNEMONIC["if"]
_GO_TYPE = FuncType((), (ValType.I32,))


def continuation(instrumented: Instrumented, site: Site, places: Places = NOWHERE) -> bytes:
    """The module that thaws a frame frozen at `site`; it notes the tick before instructions at `places`."""
    return _Continuation(instrumented).thaw(site, places)


def patch(instrumented: Instrumented, function: int, places: Places) -> bytes:
    """The module with a function (under the name of GO) that stands in for `function`, and notes the tick
    before the instructions at `places`."""
    return _Continuation(instrumented).patch(function, places)


def question(instrumented: Instrumented, predicate: Predicate) -> bytes:
    """The module with a function (under the name of GO) that answers `predicate`."""
    return _Continuation(instrumented).question(predicate)


def entry(instrumented: Instrumented, function: int) -> bytes:
    """The module that calls a function, with arguments from the thaw area (from offset HEADER on)."""
    return _Continuation(instrumented).enter(function)


class _Continuation:
    """A continuation module under construction."""

    def __init__(self, instrumented: Instrumented) -> None:
        self.instrumented = instrumented
        self.module = instrumented.module
        self.types = TypeTable(self.module.types)
        self.functions: dict[str, tuple[int, FuncType]] = {}
        self.hints: Hints = ()
        """Those of the first function of the module."""
        self.leaves = False
        """Whether what GO calls may leave to another continuation."""
        self._writer = ModuleWriter(instrumented)
        self.layout = self._writer.layout(
            self._import_original,
            self._import_segment_helper,
            self._import_spiller,
            self._import_note,
            self._import_watcher,
        )

    def _use(self, name: str, type_: FuncType) -> int:
        index, _ = self.functions.setdefault(name, (len(self.functions), type_))
        return index

    def _import_original(self, index: int) -> int:
        return self._use(abi.function(index), self.module.functions[index].type)

    def _import_segment_helper(self, instruction: Instruction) -> int:
        helper = self._writer.segment_helper(instruction)
        return self._use(helper.name, helper.type)

    def _import_spiller(self, types: tuple[ValType, ...]) -> int:
        return self._use(abi.spiller(types), FuncType(types, ()))

    def _import_note(self) -> int:
        return self._use(abi.NOTE, NOTE_TYPE)

    def _import_predicate(self, predicate: Predicate) -> int:
        return self._use(abi.predicate(predicate.key), predicate.type)

    def _import_watcher(self, name: str) -> int:
        return self._use(name, WROTE_TYPE)

    # --- the kinds -----------------------------------------------------------------------------------

    def enter(self, function: int) -> bytes:
        type_ = self.module.functions[function].type
        code = bytearray()
        places, _ = abi.offsets(type_.params)
        for parameter, place in zip(type_.params, places, strict=True):
            code += self._load(parameter, place)
        code += call(self._import_original(function))
        return self._finish(bytes(code), type_.results, [])

    def _load(self, type_: ValType, place: int) -> bytes:
        if type_.is_reference:
            return i32_const(place) + b"\x25" + write_unsigned(self.layout.reference_tables[type_])
        return i32_const(0) + self.layout.load(type_, place)

    def question(self, predicate: Predicate) -> bytes:
        return self._assemble([(predicate.type, predicate.temporaries, predicate.code)])

    def _notes(self, places: Places) -> dict[int, bytes]:
        """The code that notes the tick, by the offset of the instruction before which it belongs."""
        return {
            offset: note_before(self.layout, predicate, self._import_predicate)
            for offset, predicate in places
        }

    def patch(self, function: int, places: Places) -> bytes:
        plan = self.instrumented.plan(function)
        emitter = BodyEmitter(plan, self.layout, self.types.block, len(plan.function.local_types))
        emitter.remapping, emitter.before = True, self._notes(places)
        emitter.emit_function(ticks=function in self.instrumented.ticking)
        self.hints = emitter.hints
        locals_ = (*plan.function.code.locals, *emitter.added_locals)
        return self._assemble([(plan.function.type, locals_, bytes(emitter.out))])

    def thaw(self, site: Site, places: Places) -> bytes:
        plan = self.instrumented.plans[site.function]
        local_types = plan.function.local_types
        emitter = _Thaw(plan, self.layout, self.types.block, len(local_types))
        emitter.before = self._notes(places)
        emitter.emit(site)
        self.hints = emitter.hints
        self.leaves = emitter.leaves
        body = (tuple(local_types) + tuple(emitter.added_locals), bytes(emitter.out))
        results = plan.function.type.results
        return self._finish(None, results, [(FuncType((), results), *body)])

    # --- the module -------------------------------------------------------------------------------

    def _finish(
        self,
        code: bytes | None,
        results: Sequence[ValType],
        bodies: list[tuple[FuncType, tuple[ValType, ...], bytes]],
    ) -> bytes:
        """The module with GO, which runs `code`, or without it calls the first of `bodies`."""
        count = len(self.functions)
        go = self._go(code if code is not None else call(count), tuple(results))
        return self._assemble([*bodies, (_GO_TYPE, tuple(results), go)])

    def _assemble(self, bodies: list[tuple[FuncType, tuple[ValType, ...], bytes]]) -> bytes:
        """The module of these functions (type, locals, code), of which the last one is exported."""
        imports = [
            Import(abi.SHADOW, name, ExternKind.FUNCTION, type_, index, self.types.index(type_))
            for name, (index, type_) in self.functions.items()
        ]
        functions = [
            Function(entry.index, cast(int, entry.type_index), cast(FuncType, entry.type), None, entry)
            for entry in imports
        ]
        encoded: dict[int, bytes] = {}
        first = {len(functions): shifted(self.hints, len(declarations(bodies[0][1])))}
        for type_, locals_, body in bodies:
            index = len(functions)
            dummy = Body(locals_, 0, 0, lambda: ())
            functions.append(Function(index, self.types.index(type_), type_, dummy, None))
            encoded[index] = declarations(locals_) + body
        module = self._shell(imports, functions)
        return encode(with_hints(module, first), encoded)

    def _go(self, code: bytes, results: tuple[ValType, ...]) -> bytes:
        """The body of GO; its locals are one for each result."""
        layout = self.layout
        block = self.types.block
        throwing = layout.exception >= 0
        out = bytearray()
        if throwing:  # try_table with the clause: catch_all_ref, to the block around it
            out += b"\x02" + block(FuncType((), (ValType.EXNREF,)))
            out += b"\x1f" + block(FuncType((), results)) + b"\x01\x03\x00"
        out += code + (END_BYTE if throwing else b"")
        for local in reversed(range(len(results))):
            out += local_set(local)
        out += global_get(layout.count) + b"\x50" + _return_if(abi.FROZEN)
        if self.leaves:
            out += i32_const(0) + layout.load(ValType.I32, 0) + i32_const(abi.LEAVING) + b"\x46"
            out += _return_if(abi.LEFT)
        places, _ = abi.offsets(results, 0)
        for local, (type_, place) in enumerate(zip(results, places, strict=True)):
            if type_.is_reference:
                out += (
                    i32_const(place)
                    + local_get(local)
                    + b"\x26"
                    + write_unsigned(layout.reference_tables[type_])
                )
            else:
                out += i32_const(0) + local_get(local) + layout.store(type_, place)
        out += i32_const(abi.RETURNED)
        if throwing:
            out += RETURN_BYTE + END_BYTE + global_set(layout.exception) + i32_const(abi.THREW)
        return bytes(out + END_BYTE)

    def _shell(self, imports: list[Import], functions: list[Function]) -> Module:
        """The module around the functions: everything that is not a function is imported."""
        shared = self._writer.shared_imports()
        go = Export(abi.GO, ExternKind.FUNCTION, len(functions) - 1)
        return self._writer.continuation_shell(
            tuple(self.types.types), tuple(imports + shared), tuple(functions), (go,)
        )


def _return_if(status: int) -> bytes:
    """Code that returns `status` from GO if what is on the stack is not 0."""
    return b"\x04\x40" + i32_const(status) + RETURN_BYTE + END_BYTE


class _Thaw(BodyEmitter):
    """Writes the rest of a function's body from one of its sites on."""

    leaves = False
    """Whether it may leave to another continuation."""

    def emit(self, site: Site) -> None:
        self.remapping = True
        self._open_body()
        self._restore(site)
        levels = self._levels(site)
        self._reopen(levels, site)
        if site.kind is SiteKind.CALL:
            self._return_into(site)
        self._tails(levels, site)
        self._close_body()

    def _restore(self, site: Site) -> None:
        count = self.layout.count
        if site.kind is SiteKind.LOOP:  # the header, where execution goes on, counts the tick once more
            self.out += global_get(count) + b"\x42\x7f\x7c" + global_set(count)
        self.out += global_get(count) + local_set(self.count)
        self.out += i32_const(0) + self.layout.load(ValType.I64, 8) + local_set(self.entry)
        self.load_values(self.record_locals(site), abi.HEADER, 0)

    def _levels(self, site: Site) -> list[Control]:
        """The constructs around the place where execution goes on, the function first."""
        typing = self.plan.typing
        if site.kind is SiteKind.ENTRY:
            return [typing.controls[0]]
        control = typing.controls[typing.control_of[site.index]]
        levels = [control]
        while control.parent >= 0:
            control = typing.controls[control.parent]
            levels.append(control)
        return levels[::-1]

    def _reopen(self, levels: list[Control], site: Site) -> None:
        """Open the constructs again, each with the operands that wait in it."""
        for depth, control in enumerate(levels):
            if depth:
                self._open(control)
            last = depth + 1 == len(levels)
            top = len(site.operands) if last else levels[depth + 1].height
            for height in range(control.height, top):
                self.out += local_get(self.slot(height, site.operands[height]))

    def _open(self, control: Control) -> None:
        results = self.block_type(FuncType((), control.type.results))
        if control.op is TRY_TABLE:
            instruction = self.plan.instructions[control.opener]
            catches = cast("tuple[Catch, ...]", instruction.immediates[1])
            self.out += self._try_table(control.opener, results, catches)
        else:
            self.out += b"\x02" + results
            if control.op is LOOP:
                self.labels.append(PRIVATE)
                self.out += b"\x02" + self.block_type(FuncType((), control.type.params))
        self.labels.append(control.number)

    def _return_into(self, site: Site) -> None:
        """What the callee did: push its results, or throw on what it threw."""
        types = [type_ for _, type_ in self.record_locals(site)]
        _, end = abi.offsets(types)
        if self.layout.exception >= 0:
            self.out += i32_const(0) + self.layout.load(ValType.I32, 0) + b"\x04\x40"
            self.out += global_get(self.layout.exception) + b"\x0a" + END_BYTE
        results = [(self.new_local(type_), type_) for type_ in site.results]
        self.load_values(results, end, sum(type_.is_reference for type_ in types))
        for local, _ in results:
            self.out += local_get(local)

    def _tails(self, levels: list[Control], site: Site) -> None:
        """The rest of each construct, from the innermost outward."""
        cursor = site.index + (site.kind is not SiteKind.LOOP)
        for control in reversed(levels[1:]):
            in_then = control.op is _IF and control.otherwise is not None and cursor <= control.otherwise
            self.emit_range(cursor, cast(int, control.otherwise) if in_then else control.end)
            if control.op is LOOP:
                self._come_round(control)
            else:
                self.out += END_BYTE
                self.labels.pop()
                self.mend_behind(control.end)
            cursor = control.end + 1
        self.emit_range(cursor, len(self.plan.instructions) - 1)

    def _come_round(self, control: Control) -> None:
        """Behind the rest of an iteration: go on behind the loop; or come here by a branch to it, and leave
        to the continuation of its header."""
        self.leaves = True
        self.out += branch(1) + END_BYTE
        self.labels.pop()
        self.leave_to_loop(control.opener)
        self.out += END_BYTE
        self.labels.pop()
