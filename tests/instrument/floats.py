"""Random programs that do with floats whatever WebAssembly can, for the tests of the NaN rule.

They end, do not trap, and are full of NaNs of all kinds. A program is a function of the random numbers
that it is made with: of `random.Random(seed)`, or of those that hypothesis draws (which can shrink it).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.model import ExternKind, FuncType, GlobalType, MemoryType, SegmentMode, ValType
from ttd.wasm.opcodes import OPCODES, Catch, CatchKind, Immediates, Opcode

I32, I64, F32, F64, V128 = ValType.I32, ValType.I64, ValType.F32, ValType.F64, ValType.V128
TYPES = (I32, I64, F32, F64, V128)
FLOATS = (F32, F64, V128)

_TRAPPING = ("div_s", "div_u", "rem_s", "rem_u", "i32.trunc_f", "i64.trunc_f")
NUMERIC = [
    op
    for op in OPCODES
    if op.params
    and op.results
    and not op.access
    and op.immediates in (Immediates.NONE, Immediates.LANE)
    and not any(name in op.mnemonic for name in _TRAPPING)
]
"""Every instruction on numbers that cannot trap."""

_FLOATING = [op for op in NUMERIC if op.mnemonic[0] == "f"]
_LOADS = {I32: "i32.load", I64: "i64.load", F32: "f32.load", F64: "f64.load", V128: "v128.load"}
_STORES = {I32: "i32.store", I64: "i64.store", F32: "f32.store", F64: "f64.store", V128: "v128.store"}
_SPECIAL_32 = (
    *(0, 1 << 31, 0x3F800000, 0xBFC00000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000),
    *(0x7FC00001, 0xFFC12345, 0x7FA00000, 0xFF800001, 0x00000001, 0x7F7FFFFF),
)
_SPECIAL_64 = (
    *(0, 1 << 63, 0x3FF0000000000000, 0xBFF8000000000000, 0x7FF0000000000000, 0xFFF0000000000000),
    *(0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001, 0xFFF8123456789ABC),
    *(0x7FF4000000000000, 0xFFF0000000000001, 1, 0x7FEFFFFFFFFFFFFF),
)
_PAGE = 65536
_USED = 1024
"""Bytes of memory that programs read and write."""


def lane_count(op: Opcode) -> int:
    shape = op.mnemonic.partition(".")[0]
    return int(shape.partition("x")[2])


class Programs:
    """Makes one program."""

    def __init__(self, choose: random.Random) -> None:
        self.random = choose
        self.builder = ModuleBuilder()
        self.functions: list[tuple[int, FuncType]] = []

    def make(self) -> bytes:
        """A module that exports `main`, of no parameters, which returns a value of each float type."""
        builder = self.builder
        builder.memory(MemoryType(1, 1, False))
        contents = b"".join(self.bits(F32).to_bytes(4, "little") for _ in range(_USED // 4))
        builder.data(SegmentMode.ACTIVE, contents, 0, Code().emit("i32.const", 0))
        for type_ in FLOATS:
            builder.global_(GlobalType(type_, True), Code().emit(f"{type_}.const", self.bits(type_)))
        builder.tag(FuncType((F64, F32), ()))
        for ticking in (False, True):
            type_ = FuncType(self.some_types(3), self.some_types(2))
            self.functions.append((_Function(self, type_, ticking).define(), type_))
        main = _Function(self, FuncType((), FLOATS), True).define()
        builder.export("main", ExternKind.FUNCTION, main)
        builder.export("memory", ExternKind.MEMORY, 0)
        return builder.encode()

    def some_types(self, most: int) -> tuple[ValType, ...]:
        return tuple(self.random.choice(TYPES) for _ in range(self.random.randint(0, most)))

    def bits(self, type_: ValType) -> int:
        if type_ is V128:
            if self.random.random() < 0.5:
                return sum(self.bits(F32) << 32 * lane for lane in range(4))
            return sum(self.bits(F64) << 64 * lane for lane in range(2))
        if type_ in (F32, I32):
            return self.random.choice(_SPECIAL_32)
        return self.random.choice(_SPECIAL_64)


class _Function:
    """Makes the body of one function."""

    def __init__(self, program: Programs, type_: FuncType, ticking: bool) -> None:
        self.program = program
        self.random = program.random
        self.type = type_
        self.ticking = ticking
        self.code = Code()
        self.locals: list[ValType] = [t for t in TYPES for _ in range(2)]
        self.first = len(type_.params)
        self.fuel = 40
        self.loops = 0

    def define(self) -> int:
        for _ in range(self.random.randint(1, 5)):
            self.statement(3)
        for type_ in self.type.results:
            self.value(type_, 3)
        return self.program.builder.function(self.type, self.code, self.locals)

    def local(self, type_: ValType) -> int:
        own = [self.first + i for i, t in enumerate(self.locals[: 2 * len(TYPES)]) if t is type_]
        return self.random.choice(own + [i for i, t in enumerate(self.type.params) if t is type_])

    # --- statements -------------------------------------------------------------------------------

    def statement(self, depth: int) -> None:
        self.fuel -= 1
        simple = [self.assign, self.assign, self.store, self.set_global, self.drop, self.store_lane]
        nested = [self.if_, self.block, self.block, self.if_with_parameter]
        if self.ticking:
            nested += [self.loop, self.loop, self.loop_with_parameter, self.attempt, self.call]
        choices: list[Callable[[int], None]] = simple if depth <= 0 or self.fuel < 0 else simple + nested
        self.random.choice(choices)(depth)

    def statements(self, depth: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.statement(depth - 1)

    def assign(self, depth: int) -> None:
        type_ = self.random.choice(TYPES if self.random.random() < 0.2 else FLOATS)
        self.value(type_, depth)
        self.code.emit("local.set", self.local(type_))

    def address(self) -> int:
        """Push an address; the offset to go with it. Accesses may overlap."""
        offset = self.random.choice((0, 0, 4, 5, 8))
        step = self.random.choice((16, 16, 4, 1))
        self.code.emit("i32.const", self.random.randrange((_USED - 32) // step) * step)
        return offset

    def store(self, depth: int) -> None:
        type_ = self.random.choice(FLOATS)
        offset = self.address()
        self.value(type_, depth)
        self.code.access(_STORES[type_], offset)

    def store_lane(self, depth: int) -> None:
        width = self.random.choice((8, 16, 32, 64))
        offset = self.address()
        self.value(V128, depth)
        self.code.emit(f"v128.store{width}_lane", 0, 0, offset, self.random.randrange(128 // width))

    def set_global(self, depth: int) -> None:
        index = self.random.randrange(3)
        self.value(FLOATS[index], depth)
        self.code.emit("global.set", index)

    def drop(self, depth: int) -> None:
        self.value(self.random.choice(FLOATS), depth)
        self.code.emit("drop")

    def if_(self, depth: int) -> None:
        self.value(I32, 1)
        self.code.block("if")
        self.statements(depth)
        if self.random.random() < 0.5:
            self.code.emit("else")
            self.statements(depth)
        self.code.emit("end")

    def if_with_parameter(self, depth: int) -> None:
        """An `if` without `else` that passes a value through."""
        type_ = self.random.choice(FLOATS)
        self.value(type_, depth - 1)
        self.value(I32, 1)
        self.code.block("if", (type_,), (type_,))
        self.code.emit("drop")
        self.value(type_, depth - 1)
        self.code.emit("end").emit("local.set", self.local(type_))

    def block(self, depth: int) -> None:
        self.code.block("block")
        self.statements(depth)
        self.value(I32, 1)
        self.code.emit("br_if", 0)
        self.statements(depth)
        self.code.emit("end")

    def counter(self) -> int:
        self.locals.append(I32)
        return self.first + len(self.locals) - 1

    def loop(self, depth: int) -> None:
        self.counted(depth, ())

    def loop_with_parameter(self, depth: int) -> None:
        self.counted(depth, tuple(self.random.choice(FLOATS) for _ in range(self.random.randint(1, 2))))

    def counted(self, depth: int, types: tuple[ValType, ...]) -> None:
        """A loop of a few rounds, which takes and gives values of `types`."""
        if self.loops > 1:
            return
        self.loops += 1
        counter = self.counter()
        self.code.emit("i32.const", self.random.randint(1, 4)).emit("local.set", counter)
        for type_ in types:
            self.value(type_, depth - 1)
        self.code.block("loop", types, types)
        for type_ in reversed(types):
            self.code.emit("local.set", self.local(type_))
        self.statements(depth)
        for type_ in types:
            self.value(type_, depth - 1)
        self.code.emit("local.get", counter).emit("i32.const", 1).emit("i32.sub")
        self.code.emit("local.tee", counter).emit("br_if", 0).emit("end")
        for type_ in reversed(types):
            self.code.emit("local.set", self.local(type_))
        self.loops -= 1

    def attempt(self, depth: int) -> None:
        """A try_table that catches what it throws, or does not throw."""
        code = self.code
        code.block("block", (), (F64, F32))
        code.emit("try_table", FuncType((), ()), (Catch(CatchKind.CATCH, 0, 0),))
        self.statements(depth)
        self.value(I32, 1)
        code.block("if")
        self.value(F64, depth - 1)
        self.value(F32, depth - 1)
        code.emit("throw", 0).emit("end")
        self.statements(depth)
        code.emit("end")
        self.value(F64, depth - 1)
        self.value(F32, depth - 1)
        code.emit("end").emit("local.set", self.local(F32)).emit("local.set", self.local(F64))

    def call(self, depth: int) -> None:
        if self.program.functions:
            index, type_ = self.random.choice(self.program.functions)
            for parameter in type_.params:
                self.value(parameter, depth - 1)
            self.code.emit("call", index)
            for result in reversed(type_.results):
                self.code.emit("local.set", self.local(result))

    # --- values -----------------------------------------------------------------------------------

    def value(self, type_: ValType, depth: int) -> None:
        self.fuel -= 1
        leaves = [self.constant, self.get, self.get, self.load]
        if type_ in FLOATS:
            leaves.append(self.get_global)
        inner = [self.operate] * 6 + [self.select, self.tee, self.choice, self.leave_early, self.table]
        if self.ticking:
            inner += [self.loop_value, self.call_value]
        choices: list[Callable[[ValType, int], None]] = leaves if depth <= 0 or self.fuel < 0 else inner
        self.random.choice(choices)(type_, depth - 1)

    def constant(self, type_: ValType, depth: int) -> None:
        self.code.emit(f"{type_}.const", self.program.bits(type_))

    def get(self, type_: ValType, depth: int) -> None:
        self.code.emit("local.get", self.local(type_))

    def get_global(self, type_: ValType, depth: int) -> None:
        self.code.emit("global.get", FLOATS.index(type_))

    def load(self, type_: ValType, depth: int) -> None:
        offset = self.address()
        self.code.access(_LOADS[type_], offset)

    def operate(self, type_: ValType, depth: int) -> None:
        fitting = [op for op in NUMERIC if op.results == (type_,)]
        floating = [op for op in _FLOATING if op.results == (type_,)]
        self.operation(
            self.random.choice(floating if floating and self.random.random() < 0.8 else fitting), depth
        )

    def operation(self, op: Opcode, depth: int) -> None:
        for parameter in op.params or ():
            self.value(parameter, depth)
        if op.immediates is Immediates.LANE:
            self.code.emit(op, self.random.randrange(lane_count(op)))
        else:
            self.code.emit(op)

    def select(self, type_: ValType, depth: int) -> None:
        self.value(type_, depth)
        self.value(type_, depth)
        self.value(I32, min(depth, 1))
        self.code.emit("select")

    def tee(self, type_: ValType, depth: int) -> None:
        self.value(type_, depth)
        self.code.emit("local.tee", self.local(type_))

    def choice(self, type_: ValType, depth: int) -> None:
        self.value(I32, min(depth, 1))
        self.code.block("if", (), (type_,))
        self.value(type_, depth)
        self.code.emit("else")
        self.value(type_, depth)
        self.code.emit("end")

    def leave_early(self, type_: ValType, depth: int) -> None:
        """A block with two values that may be left with a branch."""
        other = self.random.choice(FLOATS)
        self.code.block("block", (), (type_, other))
        self.value(type_, depth)
        self.value(other, depth - 1)
        self.value(I32, 1)
        self.code.emit("br_if", 0).emit("drop")
        self.value(other, depth - 1)
        self.code.emit("end").emit("local.set", self.local(other))

    def table(self, type_: ValType, depth: int) -> None:
        """A br_table between an inner and an outer block."""
        self.code.block("block", (), (type_,)).block("block", (), (type_,))
        self.value(type_, depth)
        self.value(I32, 0)
        self.code.emit("br_table", (0, 1), 0).emit("end")
        self.code.emit("local.tee", self.local(type_)).emit("end")

    def loop_value(self, type_: ValType, depth: int) -> None:
        """A tick while operands wait."""
        self.code.block("loop", (), (type_,))
        self.value(type_, depth)
        self.code.emit("end")

    def call_value(self, type_: ValType, depth: int) -> None:
        self.call(depth)
        self.value(type_, depth)


def program(choose: random.Random) -> bytes:
    """A random program."""
    return Programs(choose).make()


def operands(op: Opcode, choose: random.Random) -> list[int]:
    """Values for an operation, NaNs of all kinds among them."""
    programs = Programs(choose)
    return [programs.bits(type_) for type_ in op.params or ()]


def every_use() -> bytes:
    """A module whose `main` gives computed NaNs to each instruction on numbers, at each operand.

    The results go to memory, 16 bytes for each.
    """
    code, address = Code(), 64
    shapes = {F32: ("f32",), F64: ("f64",), V128: ("f32x4", "f64x2")}
    for op in NUMERIC:
        params = op.params or ()
        for place, type_ in enumerate(params):
            for shape, then in itertools.product(shapes.get(type_, ()), ("", "neg", "abs", "ceil")):
                code.emit("i32.const", address)
                for other, parameter in enumerate(params):
                    if other == place:
                        computed_nan(code, parameter, shape, then)
                    else:
                        loaded(code, parameter)
                code.emit(op, *((1,) if op.immediates is Immediates.LANE else ()))
                code.access(_STORES[(op.results or ())[0]])
                address += 16
    builder = ModuleBuilder()
    builder.memory(MemoryType(2, 2, False))
    builder.data(SegmentMode.ACTIVE, bytes(range(16, 32)), 0, Code().emit("i32.const", 16))
    main = builder.function(FuncType((), ()), Code().block("loop").emit("end").extend(code))
    builder.export("main", ExternKind.FUNCTION, main)
    return builder.encode()


def loaded(code: Code, type_: ValType) -> None:
    """Some value that no compiler knows."""
    code.emit("i32.const", 16).access(_LOADS[type_])


def computed_nan(code: Code, type_: ValType, shape: str, then: str) -> None:
    """0 / 0, which on some processors is another NaN than the canonical one; `then` one more operation."""
    for _ in range(2):
        code.emit("i32.const", 0).access(_LOADS[type_])
    code.emit(f"{shape}.div")
    if then:
        code.emit(f"{shape}.{then}")


def one_operation(op: Opcode, operands: Sequence[int], lane: int = 0) -> bytes:
    """A module whose `main` gives the result of one operation on constants, and which ticks."""
    builder = ModuleBuilder()
    code = Code().block("loop").emit("end")
    for type_, bits in zip(op.params or (), operands, strict=True):
        code.emit(f"{type_}.const", bits)
    code.emit(op, *((lane,) if op.immediates is Immediates.LANE else ()))
    main = builder.function(FuncType((), op.results or ()), code)
    builder.export("main", ExternKind.FUNCTION, main)
    return builder.encode()


def one_store(op: Opcode, rounds: Sequence[Sequence[int]], lane: int = 0) -> bytes:
    """A module whose `main` stores the results of an operation on all kinds of operands, which are loaded."""
    builder = ModuleBuilder()
    contents, code = bytearray(), Code().block("loop").emit("end")
    (result,) = op.results or ()
    for round_, values in enumerate(rounds):
        code.emit("i32.const", _PAGE // 2 + 16 * round_)
        for type_, bits in zip(op.params or (), values, strict=True):
            code.emit("i32.const", len(contents)).access(_LOADS[type_])
            contents += bits.to_bytes(16, "little")
        code.emit(op, *((lane,) if op.immediates is Immediates.LANE else ()))
        code.access(_STORES[result])
    builder.memory(MemoryType(1, 1, False))
    builder.data(SegmentMode.ACTIVE, bytes(contents), 0, Code().emit("i32.const", 0))
    builder.export("main", ExternKind.FUNCTION, builder.function(FuncType((), ()), code))
    return builder.encode()
