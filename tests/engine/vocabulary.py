"""What generated programs are made of, and what stands around their functions: see `generator`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ttd.engine.protocol import HostExit, HostTrap
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.model import FuncType, ValType
from ttd.wasm.opcodes import OPCODES, Immediates, Opcode

Choose = Callable[[int], int]
"""Picks a number from 0 to below its argument."""

I32, I64, F32, F64, V128 = ValType.I32, ValType.I64, ValType.F32, ValType.F64, ValType.V128
FUNCREF, EXTERNREF, EXNREF = ValType.FUNCREF, ValType.EXTERNREF, ValType.EXNREF
NUMBERS = (I32, I64, F32, F64, V128)
TYPES = (*NUMBERS, FUNCREF, EXTERNREF, EXNREF)
COMMON = (I32, I32, I32, I32, I64, I64, F32, F64, V128, FUNCREF, EXTERNREF, EXNREF)

TAGS = (
    FuncType((), ()),
    FuncType((I32,), ()),
    FuncType((F64, V128, I64), ()),
    FuncType((FUNCREF, EXTERNREF, EXNREF, F32), ()),
)

# --- the host -----------------------------------------------------------------------------------------

HOSTS = {
    "mix": FuncType((I32, I64), (I32,)),
    "poke": FuncType((I32, I64), (I32,)),
    "pair": FuncType((I64,), (I64, I32)),
    "quit": FuncType((I32,), ()),
}
"""The host functions, in the order in which they are imported."""

_EXITS, _TRAPS = 11, 13
"""Of 16 arguments of `quit`, which one exits, and which one traps."""


@dataclass(frozen=True)
class Answer:
    """What a host function gives back, and what it writes to the first memory: address and bytes."""

    results: tuple[int, ...]
    write: tuple[int, bytes] | None = None


def host_answer(name: str, arguments: tuple[int, ...]) -> Answer:
    """What a host function does for its (unsigned) arguments: always the same. `quit` may raise HostExit or
    HostTrap."""
    if name == "quit":
        if arguments[0] % 16 == _EXITS:
            raise HostExit(arguments[0] & 0x7F)
        if arguments[0] % 16 == _TRAPS:
            raise HostTrap("the host gives up")
        return Answer(())
    mixed = (arguments[0] * 0x9E3779B97F4A7C15 + arguments[-1]) & 0xFFFFFFFFFFFFFFFF
    low = mixed >> 32
    if name == "pair":
        return Answer((mixed, low))
    return Answer((low,), (arguments[0] & 0xFFF8, low.to_bytes(4, "little")) if name == "poke" else None)


# --- instructions -------------------------------------------------------------------------------------


def _operations() -> dict[ValType, list[Opcode]]:
    """Instructions of numbers only, by the type of their one result."""
    found: dict[ValType, list[Opcode]] = {type_: [] for type_ in NUMBERS}
    for op in OPCODES:
        if op.params is None or op.results is None or op.access or len(op.results) != 1 or not op.params:
            continue
        if op.immediates in (Immediates.NONE, Immediates.LANE, Immediates.SHUFFLE):
            found[op.results[0]].append(op)
    return found


OPERATIONS = _operations()
LOADS = {type_: [op for op in OPCODES if op.access and op.results == (type_,)] for type_ in NUMBERS}
STORES = [op for op in OPCODES if op.is_store]
_TRAPPING = ("div_s", "div_u", "rem_s", "rem_u", "trunc_f")


def may_trap(op: Opcode) -> bool:
    """Whether an operation traps for some operands."""
    return any(part in op.mnemonic for part in _TRAPPING) and "x" not in op.mnemonic.split(".")[0]


def zero(type_: ValType) -> Code:
    """Code that pushes a constant."""
    return Code().emit("ref.null", type_) if type_.is_reference else Code().emit(f"{type_}.const", 0)


# --- programs -----------------------------------------------------------------------------------------


@dataclass
class Program:
    """A generated module and the calls to make of it: export names with (unsigned) arguments.

    Memories are exported as ``m0`` and so on; ``dump`` writes the globals to DUMP_ADDRESS of the first one.
    """

    binary: bytes
    calls: list[tuple[str, tuple[int, ...]]]


DUMP_ADDRESS = 0xFF00
"""Where `dump` writes the globals, one in each 16 bytes: numbers, and whether a reference is null."""
DUMPED = (*TYPES, I32)
"""Types of the globals. The last one is the fuel."""


@dataclass
class Names:
    """What the functions of a module can refer to."""

    functions: list[FuncType] = field(default_factory=list)
    globals: dict[ValType, int] = field(default_factory=dict)
    fuel: int = 0
    memories: list[bool] = field(default_factory=list)
    """Whether each memory is a 64-bit one."""
    tables: list[tuple[ValType, bool]] = field(default_factory=list)
    """What each table holds, and whether it is a 64-bit one."""
    table: list[int] = field(default_factory=list)
    """The functions in the first table, and in every other one of functions, at first."""
    datas: int = 0
    elements: int = 0
    builder: ModuleBuilder = field(default_factory=ModuleBuilder)

    def tables_of(self, type_: ValType) -> list[int]:
        """The tables that hold this type."""
        return [index for index, (its, _) in enumerate(self.tables) if its is type_]
