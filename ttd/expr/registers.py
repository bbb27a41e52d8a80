"""WebAssembly's own values as values of expressions: ``$local0``, ``$operand0``, ``$global0``.

May import base, `ttd.wasm`, `ttd.debuginfo.types` and this package.
"""

from __future__ import annotations

from collections.abc import Sequence

from ttd.debuginfo.types import BaseType
from ttd.errors import ExpressionError
from ttd.expr.arithmetic import WIDE, number_type
from ttd.expr.values import Context, TypedValue
from ttd.types import Value
from ttd.wasm.model import ValType

WASM_TYPES = {ValType.I32: "int", ValType.I64: "long long", ValType.F32: "float", ValType.F64: "double"}
"""The types of C that WebAssembly's are shown as."""


def register(context: Context, kind: str, values: Sequence[Value], index: int) -> TypedValue:
    """Number `index` of the values of a kind: local, operand or global. Raises ExpressionError if none."""
    if index >= len(values):
        raise ExpressionError(f"there is no {kind} {index} here ({len(values)} in all)")
    value, types = values[index], _types(context, kind)
    type_ = types[index] if index < len(types) else None
    shown = _shown_as(type_)
    if not isinstance(value, int):
        return TypedValue(shown, context, unavailable=_missing(type_, value))
    if value >> (8 * shown.byte_size):
        shown = WIDE
    return TypedValue(shown, context, immediate=value.to_bytes(shown.byte_size, "little"))


def _types(context: Context, kind: str) -> Sequence[ValType]:
    """The declared types; of operands they are not known."""
    frame, module = context.frame, context.debug.module
    if kind == "local" and frame is not None:
        return module.functions[frame.function].local_types
    return [entry.type.type for entry in module.globals] if kind == "global" else ()


def _shown_as(type_: ValType | None) -> BaseType:
    if type_ is None:
        return number_type("unsigned long long")
    return WIDE if type_ is ValType.V128 else number_type(WASM_TYPES.get(type_, "int"))


def _missing(type_: ValType | None, value: Value) -> str:
    """What stands for a value that is no number."""
    if value is not None:
        return "exception"
    return "null reference" if type_ is None or type_.is_reference else "optimized out"
