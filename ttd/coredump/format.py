"""The bytes of a core dump: a WebAssembly module that is never run (tool-conventions, Coredump.md).

    core            ::= 0x00 executable-name
    coremodules     ::= vec(0x00 module-name)
    coreinstances   ::= vec(0x00 moduleidx vec(memoryidx) vec(globalidx))
    corestack       ::= 0x00 thread-name vec(frame)                          innermost first
    frame           ::= 0x00 instanceidx funcidx codeoffset vec(value) vec(value)    locals, operands
    value           ::= 0x01 | 0x7F i32 | 0x7E i64 | 0x7D f32 | 0x7C f64     0x01: not known

are custom sections. Memories, their contents and the globals are the module's own sections of these names.
Before it had `coreinstances`, the format had frames without `instanceidx`; those are read, too.

What ttd knows besides stands in custom sections that others pass over:

    ttd:core        JSON: see `Extra`
    ttd:module      the module that ran
    ttd:debug       debug information that is kept apart from that module
    ttd:source      name, contents: a source file; one section for each

A dump is untrusted input: whatever is wrong with it is an `InvalidCoreDump`, and sizes are bounded before
anything is allocated for them.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ttd.errors import InvalidCoreDump, InvalidModule
from ttd.state import SNAPSHOT_PAGE, WASM_PAGE, ZERO_PAGE, MemoryImage
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.decode import decode
from ttd.wasm.expression import read_count
from ttd.wasm.leb128 import read_signed, read_u32, write_signed, write_unsigned
from ttd.wasm.model import GlobalType, Instruction, MemoryType, Module, SegmentMode, ValType

MOST_PAGES = 1 << 16
"""Pages that all memories of a dump may have together: 4 GiB."""
MOST_SEGMENTS = 50_000
"""Data segments that are written at most; engines allow 100,000 in a module."""
_SCOPE = 1 << 26
"""Characters of ttd's own section that are read as JSON at most."""

_TYPES = {0x7F: ValType.I32, 0x7E: ValType.I64, 0x7D: ValType.F32, 0x7C: ValType.F64}
_CODES = {type_: code for code, type_ in _TYPES.items()}
_MISSING = 0x01
_WIDTHS = {ValType.I32: 32, ValType.I64: 64, ValType.F32: 32, ValType.F64: 64}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TypedBits:
    """A value as a dump has it: its type, and its bits (None: not known; the type then means nothing)."""

    type: ValType
    bits: int | None


@dataclass(frozen=True, slots=True)
class CoreFrame:
    """An activation. `offset` counts bytes from the function's entry in the code section, behind its size; 0
    stands for an unknown place, too."""

    instance: int
    function: int
    offset: int
    locals: tuple[TypedBits, ...] = ()
    operands: tuple[TypedBits, ...] = ()


@dataclass(frozen=True, slots=True)
class CoreInstance:
    """An instance: which module it is of, which memories and globals of the dump are its own, in its
    order."""

    module: int
    memories: tuple[int, ...]
    globals: tuple[int, ...]


@dataclass(frozen=True)
class CoreDump:
    """A core dump. `frames` are those of the first thread, innermost first."""

    program: str
    modules: tuple[str, ...]
    instances: tuple[CoreInstance, ...]
    frames: tuple[CoreFrame, ...]
    memories: tuple[MemoryImage, ...]
    globals: tuple[TypedBits, ...]
    is64: tuple[bool, ...] = ()
    """Of each memory, whether its addresses have 64 bits; missing ones do not."""
    thread: str = "main"
    extra: Mapping[str, object] | None = None
    """What ttd adds; None in a dump that somebody else wrote."""
    module: bytes | None = field(default=None, repr=False)
    debug_info: bytes | None = field(default=None, repr=False)
    sources: Mapping[str, bytes] = field(default_factory=dict, repr=False)


# --- writing -----------------------------------------------------------------------------------------


def write(dump: CoreDump) -> bytes:
    """The file. Globals of other types than numbers are written as null."""
    builder = ModuleBuilder()
    builder.custom("core", b"\0" + _name(dump.program))
    builder.custom("coremodules", _vector(dump.modules, lambda name: b"\0" + _name(name)))
    builder.custom("coreinstances", _vector(dump.instances, _instance))
    builder.custom("corestack", b"\0" + _name(dump.thread) + _vector(dump.frames, _frame))
    for number, image in enumerate(dump.memories):
        is64 = number < len(dump.is64) and dump.is64[number]
        builder.memory(MemoryType(image.size // WASM_PAGE, None, is64))
        for start, data in _segments(image):
            place = Code().emit("i64.const" if is64 else "i32.const", start)
            builder.data(SegmentMode.ACTIVE, data, number, place)
    for value in dump.globals:
        builder.global_(GlobalType(value.type, False), _constant(value))
    if dump.extra is not None:
        builder.custom("ttd:core", json.dumps(dump.extra).encode())
    if dump.module is not None:
        builder.custom("ttd:module", dump.module)
    if dump.debug_info is not None:
        builder.custom("ttd:debug", dump.debug_info)
    for name, source in dump.sources.items():
        builder.custom("ttd:source", _name(name) + source)
    return builder.encode()


def _segments(image: MemoryImage) -> Iterator[tuple[int, bytes]]:
    """Address and contents of what is not zero, in at most MOST_SEGMENTS pieces."""
    numbers, gap = sorted(image.pages), 1
    while sum(b - a > gap for a, b in itertools.pairwise(numbers)) >= MOST_SEGMENTS:
        gap *= 2
    run: list[int] = []
    for number in numbers:
        if run and number - run[-1] > gap:
            yield run[0] * SNAPSHOT_PAGE, _contents(image, run[0], run[-1])
            run = []
        run.append(number)
    if run:
        yield run[0] * SNAPSHOT_PAGE, _contents(image, run[0], run[-1])


def _contents(image: MemoryImage, first: int, last: int) -> bytes:
    return b"".join(image.pages.get(number, ZERO_PAGE) for number in range(first, last + 1))


def _constant(value: TypedBits) -> Code:
    if value.type.is_reference:
        return Code().emit("ref.null", value.type)
    return Code().emit(f"{value.type}.const", value.bits or 0)


def _instance(instance: CoreInstance) -> bytes:
    memories = _vector(instance.memories, write_unsigned)
    return b"\0" + write_unsigned(instance.module) + memories + _vector(instance.globals, write_unsigned)


def _frame(frame: CoreFrame) -> bytes:
    head = b"".join(write_unsigned(number) for number in (frame.instance, frame.function, frame.offset))
    return b"\0" + head + _vector(frame.locals, _value) + _vector(frame.operands, _value)


def _value(value: TypedBits) -> bytes:
    code = _CODES.get(value.type)
    if code is None or value.bits is None:
        return bytes((_MISSING,))
    width = _WIDTHS[value.type]
    if value.type in (ValType.F32, ValType.F64):
        return bytes((code,)) + value.bits.to_bytes(width // 8, "little")
    sign = value.bits >> (width - 1)
    return bytes((code,)) + write_signed(value.bits - (sign << width))


def _vector(items: Sequence[T], write_item: Callable[[T], bytes]) -> bytes:
    return write_unsigned(len(items)) + b"".join(write_item(item) for item in items)


def _name(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return write_unsigned(len(data)) + data


# --- reading -----------------------------------------------------------------------------------------


def is_core_dump(data: bytes) -> bool:
    """Whether these bytes are a module with a section that only core dumps have. Raises InvalidModule."""
    return decode(data).custom("corestack") is not None


def read(data: bytes) -> CoreDump:
    """The dump in a file. Raises InvalidCoreDump, and UnsupportedFeature for memories and globals that ttd
    has not."""
    try:
        return _read(decode(data))
    except InvalidModule as error:
        raise InvalidCoreDump(f"not a readable core dump: {error}") from error
    except (IndexError, ValueError, RecursionError) as error:
        raise InvalidCoreDump(f"not a readable core dump: {error}") from error


def _read(module: Module) -> CoreDump:
    stack = module.custom("corestack")
    if stack is None:
        raise InvalidCoreDump(
            "a module, not a trace, and no core dump either; `ttd record` makes a trace of it"
        )
    has_instances = module.custom("coreinstances") is not None
    reader = _Reader(stack.data)
    reader.zero()
    thread = reader.name()
    frames = tuple(reader.vector(lambda: reader.frame(has_instances)))
    memories = _memories(module)
    globals_ = tuple(_global(entry.type.type, entry.init) for entry in module.globals)
    instances = _instances(module, len(memories), len(globals_))
    extra = _contents_of(module, "ttd:core")
    return CoreDump(
        _program(module), _modules(module), instances, frames, memories, globals_,
        tuple(memory.is64 for memory in module.memories), thread,
        _extra(extra) if extra is not None else None, _contents_of(module, "ttd:module"),
        _contents_of(module, "ttd:debug"), dict(_sources(module)),
    )  # fmt: skip


def _contents_of(module: Module, name: str) -> bytes | None:
    section = module.custom(name)
    return section.data if section is not None else None


def _program(module: Module) -> str:
    section = module.custom("core")
    if section is None:
        return ""
    reader = _Reader(section.data)
    reader.zero()
    return reader.name()


def _modules(module: Module) -> tuple[str, ...]:
    section = module.custom("coremodules")
    if section is None:
        return ()
    reader = _Reader(section.data)
    return tuple(reader.vector(reader.tagged_name))


def _instances(module: Module, memories: int, globals_: int) -> tuple[CoreInstance, ...]:
    """The instances; of a dump without any, one that has everything."""
    section = module.custom("coreinstances")
    if section is None:
        return (CoreInstance(0, tuple(range(memories)), tuple(range(globals_))),)
    reader = _Reader(section.data)
    found = tuple(reader.vector(reader.instance))
    for instance in found:
        if any(i >= memories for i in instance.memories) or any(i >= globals_ for i in instance.globals):
            raise InvalidCoreDump("an instance has a memory or a global that the core dump does not have")
    return found


def _memories(module: Module) -> tuple[MemoryImage, ...]:
    if sum(memory.minimum for memory in module.memories) > MOST_PAGES:
        raise InvalidCoreDump("the core dump has more than 4 GiB of memory, which ttd does not open")
    sizes = [memory.minimum * WASM_PAGE for memory in module.memories]
    pages: list[dict[int, bytearray]] = [{} for _ in sizes]
    for data in module.datas:
        start = _global(ValType.I64, data.offset).bits
        if data.mode is not SegmentMode.ACTIVE or start is None or data.memory >= len(sizes):
            raise InvalidCoreDump("the core dump has data that lies nowhere")
        if start + len(data.data) > sizes[data.memory]:
            raise InvalidCoreDump(f"data from {start:#x} on lies behind the end of its memory")
        _put(pages[data.memory], start, data.data)
    return tuple(
        MemoryImage(size, {number: bytes(page) for number, page in found.items() if any(page)})
        for size, found in zip(sizes, pages, strict=True)
    )


def _put(pages: dict[int, bytearray], start: int, data: bytes) -> None:
    at = 0
    while at < len(data):
        number, offset = divmod(start + at, SNAPSHOT_PAGE)
        page = pages.setdefault(number, bytearray(SNAPSHOT_PAGE))
        piece = data[at : at + SNAPSHOT_PAGE - offset]
        page[offset : offset + len(piece)] = piece
        at += len(piece)


def _global(type_: ValType, init: tuple[Instruction, ...] | None) -> TypedBits:
    """The value of a constant expression that is one constant; not known for any other."""
    if init is not None and len(init) == 2 and init[0].op.mnemonic.endswith(".const"):
        value = init[0].immediates[0]
        return TypedBits(type_, value if isinstance(value, int) else None)
    return TypedBits(type_, None)


def _extra(data: bytes) -> Mapping[str, object]:
    if len(data) > _SCOPE:
        raise InvalidCoreDump("ttd's own section of the core dump is too large")
    found = json.loads(data)
    if not isinstance(found, dict):
        raise InvalidCoreDump("ttd's own section of the core dump is damaged")
    return found


def _sources(module: Module) -> Iterator[tuple[str, bytes]]:
    for section in module.customs:
        if section.name == "ttd:source":
            reader = _Reader(section.data)
            yield reader.name(), section.data[reader.at :]


class _Reader:
    """Reads the contents of a custom section. Raises InvalidModule, InvalidCoreDump, IndexError or
    ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def zero(self) -> None:
        """The byte that opens every item; another one stands for something that is not known."""
        if self._data[self.at] != 0:
            raise InvalidCoreDump(f"the core dump has an item of unknown kind {self._data[self.at]:#x}")
        self.at += 1

    def u32(self) -> int:
        value, self.at = read_u32(self._data, self.at)
        return value

    def name(self) -> str:
        size, start = read_count(self._data, self.at, len(self._data))
        self.at = start + size
        return self._data[start : self.at].decode("utf-8", "replace")

    def tagged_name(self) -> str:
        self.zero()
        return self.name()

    def vector(self, item: Callable[[], T]) -> list[T]:
        count, self.at = read_count(self._data, self.at, len(self._data))
        return [item() for _ in range(count)]

    def instance(self) -> CoreInstance:
        self.zero()
        module = self.u32()
        return CoreInstance(module, tuple(self.vector(self.u32)), tuple(self.vector(self.u32)))

    def frame(self, has_instance: bool) -> CoreFrame:
        self.zero()
        instance = self.u32() if has_instance else 0
        function, offset = self.u32(), self.u32()
        return CoreFrame(
            instance, function, offset, tuple(self.vector(self.value)), tuple(self.vector(self.value))
        )

    def value(self) -> TypedBits:
        code = self._data[self.at]
        self.at += 1
        if code == _MISSING:
            return TypedBits(ValType.I32, None)
        type_ = _TYPES.get(code)
        if type_ is None:
            raise InvalidCoreDump(f"the core dump has a value of unknown type {code:#x}")
        width = _WIDTHS[type_]
        if type_ in (ValType.F32, ValType.F64):
            self.at += width // 8
            if self.at > len(self._data):
                raise InvalidCoreDump("the core dump ends within a value")
            return TypedBits(type_, int.from_bytes(self._data[self.at - width // 8 : self.at], "little"))
        number, self.at = read_signed(self._data, self.at, width)
        return TypedBits(type_, number & (1 << width) - 1)
