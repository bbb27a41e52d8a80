"""Runs a generated program on Wasmtime without any of ttd, and says what anybody could see of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias, cast

import wasmtime

from tests.engine.vocabulary import DUMP_ADDRESS, DUMPED, HOSTS, Program, host_answer
from ttd.engine.protocol import HostExit, HostTrap
from ttd.types import TrapKind
from ttd.wasm.model import FuncType, ValType

Call: TypeAlias = tuple[str, tuple[int, ...]]
"""A call of the host: the function's name and its arguments."""

_TRAPS = {
    "unreachable": TrapKind.UNREACHABLE,
    "integer divide by zero": TrapKind.DIVIDE_BY_ZERO,
    "integer overflow": TrapKind.INTEGER_OVERFLOW,
    "invalid conversion to integer": TrapKind.INVALID_CONVERSION,
    "out of bounds memory access": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "uninitialized element": TrapKind.UNINITIALIZED_ELEMENT,
    "indirect call type mismatch": TrapKind.INDIRECT_CALL_TYPE,
    "null reference": TrapKind.NULL_REFERENCE,
    "undefined element: out of bounds table access": TrapKind.TABLE_OUT_OF_BOUNDS,
}
"""By what Wasmtime's messages contain. The last one is also that of a call through a short table."""


@dataclass(frozen=True)
class Seen:
    """What anybody can see of a program's state at its end."""

    memories: tuple[bytes, ...]
    globals: tuple[int, ...]
    """As bits; of references only whether they are null."""


@dataclass(frozen=True)
class Outcome:
    """What anybody can see of a finished run."""

    end: TrapKind | int
    """A trap, or the exit code."""
    calls: tuple[Call, ...]
    """Of the host."""
    seen: Seen | None
    """None if the start function trapped, since then nobody has the instance."""


@cache
def _plain_engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_exceptions = True
    config.wasm_gc = True
    config.wasm_function_references = True
    config.wasm_memory64 = True
    config.wasm_multi_memory = True
    config.wasm_tail_call = True
    config.wasm_relaxed_simd = True
    config.wasm_relaxed_simd_deterministic = True
    config.cranelift_nan_canonicalization = True
    return wasmtime.Engine(config)


def run_plain(program: Program) -> Outcome:
    """Run it without any of ttd."""
    store = wasmtime.Store(_plain_engine())
    module = wasmtime.Module(store.engine, program.binary)
    calls: list[Call] = []
    imports = [_plain_host(store, name, type_, calls) for name, type_ in HOSTS.items()]
    exports = None
    end: TrapKind | int = 0
    try:
        exports = wasmtime.Instance(store, module, imports).exports(store)
        for name, arguments in program.calls:
            signed = [value - (value >> 31 << 32) for value in arguments]
            cast(wasmtime.Func, exports[name])(store, *signed)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        end = _plain_trap(error)
    except HostTrap:
        end = TrapKind.HOST
    except HostExit as exit_:
        end = exit_.code
    return Outcome(end, tuple(calls), _plainly_seen(store, exports) if exports is not None else None)


def _plainly_seen(store: wasmtime.Store, exports: wasmtime.InstanceExports) -> Seen:
    memories = [item for item in exports.values() if isinstance(item, wasmtime.Memory)]
    contents = tuple(bytes(memory.read(store)) for memory in memories)
    cast(wasmtime.Func, exports["dump"])(store)
    dump = memories[0].read(store, DUMP_ADDRESS, DUMP_ADDRESS + 16 * len(DUMPED))
    cells = (bytes(dump[place : place + 16]) for place in range(0, 16 * len(DUMPED), 16))
    return Seen(contents, tuple(int.from_bytes(cell, "little") for cell in cells))


def _plain_host(store: wasmtime.Store, name: str, type_: FuncType, calls: list[Call]) -> wasmtime.Func:
    def call(caller: wasmtime.Caller, *signed: int) -> int | list[int] | None:
        arguments = tuple(_unsigned(value, t) for value, t in zip(signed, type_.params, strict=True))
        calls.append((name, arguments))
        answer = host_answer(name, arguments)
        if answer.write is not None:
            cast(wasmtime.Memory, caller["m0"]).write(caller, answer.write[1], answer.write[0])
        results = [_signed(value, t) for value, t in zip(answer.results, type_.results, strict=True)]
        return results if len(results) > 1 else results[0] if results else None

    native = {ValType.I32: wasmtime.ValType.i32(), ValType.I64: wasmtime.ValType.i64()}
    signature = wasmtime.FuncType([native[t] for t in type_.params], [native[t] for t in type_.results])
    return wasmtime.Func(store, signature, call, access_caller=True)


def _unsigned(value: int, type_: ValType) -> int:
    return value & ((1 << 64) - 1 if type_ is ValType.I64 else (1 << 32) - 1)


def _signed(value: int, type_: ValType) -> int:
    bits = 64 if type_ is ValType.I64 else 32
    return value - (value >> bits - 1 << bits)


def _plain_trap(error: Exception) -> TrapKind:
    message = str(error)
    return next((kind for text, kind in _TRAPS.items() if text in message), TrapKind.UNCAUGHT_EXCEPTION)
