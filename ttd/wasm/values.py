"""Whether a run-time value is one of a WebAssembly type: asked of every value that comes out of a trace.

May import base and this package.
"""

from __future__ import annotations

from collections.abc import Sequence

from ttd.types import ExceptionValue, Value
from ttd.wasm.model import Module, ValType

_BITS = {ValType.I32: 32, ValType.I64: 64, ValType.F32: 32, ValType.F64: 64, ValType.V128: 128}


def is_of_type(module: Module, value: Value, type_: ValType) -> bool:
    """Whether `value` is one of `type_`, as `ttd.types.Value` defines it."""
    bits = _BITS.get(type_)
    if bits is not None:
        return isinstance(value, int) and 0 <= value < 1 << bits
    if value is None:
        return True
    if type_ is ValType.EXNREF:
        return isinstance(value, ExceptionValue) and 0 <= value.tag < len(module.tags)
    return isinstance(value, int) and (type_ is ValType.EXTERNREF or 0 <= value < len(module.functions))


def are_of_types(module: Module, values: Sequence[Value], types: Sequence[ValType]) -> bool:
    """Whether there are as many `values` as `types`, each one of its type."""
    return len(values) == len(types) and all(
        is_of_type(module, value, type_) for value, type_ in zip(values, types, strict=True)
    )
