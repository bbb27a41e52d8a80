"""From the state of a program to a core dump, and back.

The sections of the format hold numbers and memory. What else ttd's state consists of goes into its own
section, as JSON (`CoreDump.extra`):

    version       1
    ttd           the version that wrote it
    position      [tick, step]
    event         the number of the next host call
    invocation    the number of the invocation under way
    trap          [kind, detail] if the program trapped here
    entries       [tick, step] of each frame's entry, innermost first
    values        [frame, place, value]: locals and operands (counted behind the locals) that are no numbers
                  of at most 64 bits
    globals       [index, value]: as well
    tables        the elements of each table: function indices, null
    dropped       the numbers of the data segments and of the element segments that were dropped

A dump that somebody else wrote has none of it: positions are then made up, and tables are as the module's
element segments make them.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ttd.coredump.format import CoreDump, CoreFrame, CoreInstance, TypedBits
from ttd.errors import InvalidCoreDump
from ttd.state import Frame, MemoryImage, Snapshot, State
from ttd.types import START, Position, Trap, TrapKind, Value
from ttd.version import VERSION
from ttd.wasm.leb128 import read_u32
from ttd.wasm.model import Function, Instruction, Module, SegmentMode, ValType
from ttd.wasm.typing import type_function

LAYOUT = 1
"""The version of ttd's own section."""

_NUMBERS = (ValType.I32, ValType.I64, ValType.F32, ValType.F64)
MOST_ELEMENTS = 10_000_000
"""Elements that all tables may have together."""

_Json: TypeAlias = "Mapping[str, object]"


# --- to a dump ---------------------------------------------------------------------------------------


def capture(
    state: State,
    module: Module,
    program: str,
    trap: Trap | None = None,
    sources: Mapping[str, bytes] | None = None,
    debug_info: bytes | None = None,
) -> CoreDump:
    """The dump of a stopped program. Locals that are not known (None) are marked as missing in it."""
    starts = function_starts(module)
    frames = [_captured(module, frame, starts) for frame in reversed(state.frames)]
    memories = tuple(MemoryImage.capture(memory) for memory in state.memories)
    globals_ = [
        TypedBits(entry.type.type, _bits(value))
        for entry, value in zip(module.globals, state.globals, strict=True)
    ]
    instance = CoreInstance(0, tuple(range(len(memories))), tuple(range(len(globals_))))
    return CoreDump(
        program, (program,), (instance,), tuple(frames), memories, tuple(globals_),
        is64=tuple(memory.is64 for memory in module.memories),
        extra=_extra(state, module, trap), module=module.data, debug_info=debug_info,
        sources=sources or {},
    )  # fmt: skip


def function_starts(module: Module) -> dict[int, int]:
    """Where each function begins in the file, by index: behind the size of its entry in the code section."""
    bodies = sorted((f.body.start, f.body.end, f.index) for f in module.functions if f.body is not None)
    starts: dict[int, int] = {}
    at = read_u32(module.data, module.code_offset)[1] if bodies else 0
    for _, end, index in bodies:
        starts[index] = read_u32(module.data, at)[1]
        at = end
    return starts


def _captured(module: Module, frame: Frame, starts: Mapping[int, int]) -> CoreFrame:
    function = module.functions[frame.function]
    types = _operand_types(module, function, frame)
    return CoreFrame(
        0,
        frame.function,
        frame.pc - starts[frame.function],
        tuple(TypedBits(t, _bits(v)) for t, v in zip(function.local_types, frame.locals, strict=True)),
        tuple(TypedBits(t, _bits(v)) for t, v in zip(types, frame.operands, strict=True)),
    )


def _operand_types(module: Module, function: Function, frame: Frame) -> tuple[ValType, ...]:
    """Types of the operands of a frame: those on the stack before its instruction, less what it took."""
    typing = type_function(module, function)
    index = next((at for at, i in enumerate(typing.instructions) if i.offset == frame.pc), None)
    types = typing.operands(index) if index is not None else ()
    count = len(frame.operands)
    return types[:count] if len(types) >= count else (ValType.I64,) * count


def _bits(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _extra(state: State, module: Module, trap: Trap | None) -> _Json:
    values = [
        [number, place, value]
        for number, frame in enumerate(reversed(state.frames))
        for place, (type_, value) in enumerate(_typed(module, frame))
        if type_ not in _NUMBERS and isinstance(value, int)
    ]
    extra: dict[str, object] = {
        "version": LAYOUT,
        "ttd": VERSION,
        "position": [state.position.tick, state.position.step],
        "event": state.next_event,
        "invocation": state.invocation,
        "entries": [[frame.entry.tick, frame.entry.step] for frame in reversed(state.frames)],
        "values": values,
        "globals": [
            [index, value]
            for index, (entry, value) in enumerate(zip(module.globals, state.globals, strict=True))
            if entry.type.type not in _NUMBERS and isinstance(value, int)
        ],
        "tables": [[_bits(value) for value in table] for table in state.tables],
        "dropped": [sorted(state.dropped_data), sorted(state.dropped_elements)],
    }
    if trap is not None:
        extra["trap"] = [trap.kind.value, trap.detail]
    return extra


def _typed(module: Module, frame: Frame) -> list[tuple[ValType, Value]]:
    """Locals and operands of a frame with their types."""
    function = module.functions[frame.function]
    types = (*function.local_types, *_operand_types(module, function, frame))
    return list(zip(types, (*frame.locals, *frame.operands), strict=True))


# --- from a dump -------------------------------------------------------------------------------------


def restore(dump: CoreDump, module: Module) -> Snapshot:
    """The state that a dump of `module` holds: of the instance that its innermost frame belongs to.

    Raises InvalidCoreDump if it is of another module, or damaged.
    """
    number = dump.frames[0].instance if dump.frames else 0
    if number >= len(dump.instances):
        raise InvalidCoreDump(f"the core dump has no instance {number}, to which its first frame belongs")
    instance = dump.instances[number]
    if len(instance.globals) != len(module.globals) or len(instance.memories) != len(module.memories):
        raise InvalidCoreDump(
            f"the core dump is not of this module: it has {len(instance.memories)} memories and "
            f"{len(instance.globals)} globals, the module {len(module.memories)} and {len(module.globals)}"
        )
    extra = _Extra(dump.extra or {})
    starts = function_starts(module)
    frames = [
        _restored(module, frame, starts, extra.entry(level))
        for level, frame in enumerate(dump.frames)
        if frame.instance == number
    ]
    globals_: list[Value] = [
        dump.globals[index].bits if dump.globals[index].type is entry.type.type else None
        for index, entry in zip(instance.globals, module.globals, strict=True)
    ]
    extra.put_values(frames, globals_)
    return Snapshot(
        position=extra.position("position"),
        frames=tuple(reversed(frames)),
        globals=tuple(globals_),
        tables=extra.tables(module) if dump.extra is not None else _initial_tables(module),
        memories=tuple(dump.memories[index] for index in instance.memories),
        dropped_data=extra.dropped(0),
        dropped_elements=extra.dropped(1),
        next_event=extra.number("event"),
        invocation=extra.number("invocation"),
    )


def foreign_frames(dump: CoreDump) -> int:
    """How many frames of a dump belong to other instances than its innermost frame does."""
    return sum(frame.instance != dump.frames[0].instance for frame in dump.frames)


def trap_of(dump: CoreDump) -> Trap | None:
    """The trap that made the dump, if it says."""
    found = (dump.extra or {}).get("trap")
    if not isinstance(found, list) or len(found) != 2 or not all(isinstance(part, str) for part in found):
        return None
    kinds = {kind.value: kind for kind in TrapKind}
    return Trap(kinds[found[0]], found[1]) if found[0] in kinds else None


def _restored(module: Module, frame: CoreFrame, starts: Mapping[int, int], entry: Position) -> Frame:
    if frame.function not in starts:
        raise InvalidCoreDump(f"the core dump is not of this module: that has no function {frame.function}")
    function = module.functions[frame.function]
    types = function.local_types
    known = frame.locals[: len(types)]
    if any(value.bits is not None and value.type is not t for value, t in zip(known, types, strict=False)):
        raise InvalidCoreDump(
            f"the core dump is not of this module: function {frame.function} has other locals"
        )
    locals_: list[Value] = [value.bits for value in known]
    locals_ += [None] * (len(types) - len(known))
    pc = _instruction(function, starts[frame.function] + frame.offset)
    return Frame(frame.function, pc, locals_, [value.bits for value in frame.operands], entry)


def _instruction(function: Function, pc: int) -> int:
    """The instruction of a function that holds byte offset `pc`; its first one for a place before that."""
    body = function.code
    if pc >= body.end:
        raise InvalidCoreDump(
            f"the core dump is not of this module: function {function.index} is shorter there"
        )
    behind = [instruction.offset for instruction in body.instructions if instruction.offset <= pc]
    return behind[-1] if behind else body.start


def _initial_tables(module: Module) -> tuple[tuple[Value, ...], ...]:
    """The tables as element segments with constant places make them."""
    _check_elements(sum(table.type.minimum for table in module.tables))
    tables: list[list[Value]] = [[None] * table.type.minimum for table in module.tables]
    for element in module.elements:
        offset = element.offset[0].immediates[:1] if element.offset and len(element.offset) == 2 else ()
        if element.mode is SegmentMode.ACTIVE and offset and isinstance(offset[0], int):
            start, table = offset[0], tables[element.table]
            items = [_function(item) for item in element.items]
            if start + len(items) <= len(table):
                table[start : start + len(items)] = items
    return tuple(tuple(table) for table in tables)


def _function(item: Sequence[Instruction]) -> Value:
    index = item[0].immediates[0] if item[0].op.mnemonic == "ref.func" else None
    return index if isinstance(index, int) else None


def _check_elements(count: int) -> None:
    if count > MOST_ELEMENTS:
        raise InvalidCoreDump(f"the tables have {count} elements, more than {MOST_ELEMENTS}")


class _Extra:
    """Reads what ttd adds to a dump; whatever is not as it is written is an InvalidCoreDump."""

    def __init__(self, extra: _Json) -> None:
        self._extra = extra
        version = extra.get("version", LAYOUT)
        if version != LAYOUT:
            raise InvalidCoreDump(f"the core dump was written by a later version of ttd (format {version!r})")

    def _list(self, name: str) -> Sequence[object]:
        found = self._extra.get(name, [])
        if not isinstance(found, list):
            raise InvalidCoreDump(f"ttd's own section of the core dump is damaged: {name}")
        return found

    def _numbers(self, item: object, count: int, name: str) -> list[int]:
        if not isinstance(item, list) or len(item) != count:
            raise InvalidCoreDump(f"ttd's own section of the core dump is damaged: {name}")
        if not all(isinstance(part, int) and 0 <= part < 1 << 128 for part in item):
            raise InvalidCoreDump(f"ttd's own section of the core dump is damaged: {name}")
        return item

    def number(self, name: str) -> int:
        """A number that is 0 where it is missing."""
        return self._numbers([self._extra.get(name, 0)], 1, name)[0]

    def position(self, name: str) -> Position:
        if name not in self._extra:
            return START
        return Position(*self._numbers(self._extra[name], 2, name))

    def entry(self, level: int) -> Position:
        """The entry of a frame; one that no other frame has, where it is not known."""
        entries = self._list("entries")
        if level >= len(entries):
            return Position(0, (1 << 32) - level)
        return Position(*self._numbers(entries[level], 2, "entries"))

    def dropped(self, kind: int) -> frozenset[int]:
        """The segments that were dropped: 0 data, 1 elements."""
        lists = _lists(self._list("dropped"))
        if kind >= len(lists):
            return frozenset()
        return frozenset(self._numbers(lists[kind], len(lists[kind]), "dropped"))

    def put_values(self, frames: Sequence[Frame], globals_: list[Value]) -> None:
        """Put the values that are no numbers into frames (innermost first) and globals."""
        for item in self._list("values"):
            number, place, value = self._numbers(item, 3, "values")
            frame = frames[number] if number < len(frames) else None
            if frame is None or place >= len(frame.locals) + len(frame.operands):
                raise InvalidCoreDump("ttd's own section of the core dump is damaged: values")
            if place < len(frame.locals):
                frame.locals[place] = value
            else:
                frame.operands[place - len(frame.locals)] = value
        for item in self._list("globals"):
            index, value = self._numbers(item, 2, "globals")
            if index >= len(globals_):
                raise InvalidCoreDump("ttd's own section of the core dump is damaged: globals")
            globals_[index] = value

    def tables(self, module: Module) -> tuple[tuple[Value, ...], ...]:
        tables = self._list("tables")
        if len(tables) != len(module.tables) or not all(isinstance(table, list) for table in tables):
            raise InvalidCoreDump("ttd's own section of the core dump is damaged: tables")
        return tuple(tuple(self._element(value) for value in table) for table in _lists(tables))

    def _element(self, value: object) -> Value:
        if value is not None and not isinstance(value, int):
            raise InvalidCoreDump("ttd's own section of the core dump is damaged: tables")
        return value


def _lists(items: Sequence[object]) -> list[list[object]]:
    return [item for item in items if isinstance(item, list)]
