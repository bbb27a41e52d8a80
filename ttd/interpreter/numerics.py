"""Floats, SIMD and conversions: executed by Wasmtime, one tiny compiled function for each instruction.

Of each instruction that a program uses, a module is generated with one function that has its operands as
parameters and consists of just this instruction. Wasmtime compiles it with NaN canonicalisation and
deterministic relaxed SIMD, so that results are bit-exact on every machine by construction, with no numerics
written here. Compiling one takes about 0.4 ms and is done at the instruction's first use, once per process.

A call through wasmtime-py's `Func` takes 30 µs, most of it spent on types and conversions. So the C function
below it, ``wasmtime_func_call_unchecked``, is called here directly, with operands and results in one
array of 16-byte cells: 0.6 µs. What is unchecked there, the types of the arguments, is right by construction:
both come from the same row of the instruction table.

May import base, `ttd.wasm`, `ttd.engine.stores`, `code` and wasmtime.
"""

from __future__ import annotations

import atexit
import ctypes
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import wasmtime
from wasmtime import _ffi as ffi

from ttd.engine.stores import new_engine, new_store
from ttd.errors import check, unreachable
from ttd.interpreter.code import Op, Registers, Trapped
from ttd.types import TrapKind
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.model import ExternKind, FuncType, ValType
from ttd.wasm.opcodes import Opcode

Immediates: TypeAlias = "tuple[object, ...]"
"""As `model.Instruction.immediates` has them."""

_CELL = 16
_MAX_OPERANDS = 3
_LOW64 = (1 << 64) - 1
_MASK = {ValType.I32: (1 << 32) - 1, ValType.F32: (1 << 32) - 1, ValType.I64: _LOW64, ValType.F64: _LOW64}
_TRAPS = {
    wasmtime.TrapCode.INTEGER_OVERFLOW: TrapKind.INTEGER_OVERFLOW,
    wasmtime.TrapCode.BAD_CONVERSION_TO_INTEGER: TrapKind.INVALID_CONVERSION,
}
_CALL_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)
_CALL = _CALL_TYPE(
    ctypes.cast(ffi.dll.wasmtime_func_call_unchecked, ctypes.c_void_p).value or unreachable("no C function")
)


@cache
def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.cranelift_nan_canonicalization = True
    config.wasm_relaxed_simd = True
    config.wasm_relaxed_simd_deterministic = True
    return new_engine(config)


def helper_module(op: Opcode, immediates: Immediates) -> bytes:
    """A module that exports, as "f", a function of the operands of `op` that gives its result."""
    params, results = op.params, op.results
    if params is None or results is None:
        unreachable(f"{op.mnemonic} has no signature of its own")
    code = Code()
    for index in range(len(params)):
        code.emit("local.get", index)
    code.emit(op, *immediates)
    builder = ModuleBuilder()
    builder.export("f", ExternKind.FUNCTION, builder.function(FuncType(params, results), code))
    return builder.encode()


@cache
def _compiled(op: Opcode, immediates: Immediates) -> wasmtime.Module:
    return wasmtime.Module(_engine(), helper_module(op, immediates))


@atexit.register
def _forget() -> None:
    """Free what is shared while wasmtime's own modules are still whole."""
    _compiled.cache_clear()
    _engine.cache_clear()


class Numerics:
    """The compiled functions of one interpreter, and the array that their operands go through.

    Not thread-safe, as an interpreter is not; the compiled modules behind it are shared by all.
    """

    def __init__(self) -> None:
        self._store = new_store(_engine())
        self._context = ctypes.cast(self._store._context(), ctypes.c_void_p)
        self._functions: dict[tuple[Opcode, Immediates], wasmtime.Func] = {}
        self._array = (ctypes.c_uint64 * (_MAX_OPERANDS * _CELL // 8))()
        self._cells = memoryview(self._array).cast("B").cast("Q")
        self._trap = ctypes.c_void_p()

    def close(self) -> None:
        self._functions.clear()
        self._store.close()

    def make(self, op: Opcode, immediates: Immediates, a: int, then: int) -> Op:
        """The operation of a numeric instruction: operands in registers from `a` on, the result in `a`."""
        params, results = op.params, op.results
        if params is None or results is None or len(results) != 1:
            unreachable(f"{op.mnemonic} is not a numeric instruction")
        call = self._caller(op, immediates)
        vectors = ValType.V128 in params or ValType.V128 in results
        if vectors or len(params) > 2:
            return self._vector(call, params, results[0], a, then)
        if len(params) == 2:
            return self._binary(call, a, _MASK[results[0]], then)
        return self._unary(call, a, _MASK[results[0]], then)

    def _caller(self, op: Opcode, immediates: Immediates) -> Callable[[], None]:
        """A function without arguments that performs `op` on the array; raises Trapped."""
        context, cells = self._context, ctypes.c_void_p(ctypes.addressof(self._array))
        function = ctypes.c_void_p(ctypes.addressof(self._function(op, immediates)._func))
        length, trap = ctypes.c_size_t(max(1, len(op.params or ()))), self._trap
        trap_address = ctypes.c_void_p(ctypes.addressof(trap))

        def call() -> None:
            if _CALL(context, function, cells, length, trap_address) or trap.value:
                self._raise(op)

        return call

    def _function(self, op: Opcode, immediates: Immediates) -> wasmtime.Func:
        key = (op, immediates)
        if key not in self._functions:
            instance = wasmtime.Instance(self._store, _compiled(op, immediates), [])
            function = instance.exports(self._store)["f"]
            if not isinstance(function, wasmtime.Func):
                unreachable("a numeric helper exports no function")
            self._functions[key] = function
        return self._functions[key]

    def _raise(self, op: Opcode) -> None:
        pointer = ctypes.cast(self._trap, ctypes.POINTER(ffi.wasm_trap_t))
        self._trap.value = None
        check(bool(pointer), f"the helper for {op.mnemonic} failed")
        code = wasmtime.Trap._from_ptr(pointer).trap_code
        kind = _TRAPS.get(code) if code is not None else None
        if kind is None:
            unreachable(f"the helper for {op.mnemonic} trapped with {code}")
        raise Trapped(kind)

    # --- operations, by shape ---------------------------------------------------------------------------

    def _unary(self, call: Callable[[], None], a: int, mask: int, then: int) -> Op:
        cells = self._cells

        def op(r: Registers) -> int:
            cells[0] = r[a]
            call()
            r[a] = cells[0] & mask
            return then

        return op

    def _binary(self, call: Callable[[], None], a: int, mask: int, then: int) -> Op:
        cells, b = self._cells, a + 1

        def op(r: Registers) -> int:
            cells[0] = r[a]
            cells[2] = r[b]
            call()
            r[a] = cells[0] & mask
            return then

        return op

    def _vector(
        self, call: Callable[[], None], params: tuple[ValType, ...], result: ValType, a: int, then: int
    ) -> Op:
        cells, operands = self._cells, tuple(enumerate(range(a, a + len(params))))
        is_vector = result is ValType.V128
        mask = _MASK.get(result, 0)

        def op(r: Registers) -> int:
            for number, register in operands:
                value = r[register]
                cells[2 * number] = value & _LOW64
                cells[2 * number + 1] = value >> 64
            call()
            r[a] = cells[0] | cells[1] << 64 if is_vector else cells[0] & mask
            return then

        return op
