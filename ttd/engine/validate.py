"""Loading a module that is going to be run: decoded by ttd, validated by Wasmtime with ttd's features.

What passes is exactly what ttd supports: WebAssembly 2.0, tail calls, extended constants, exceptions (with
exnref), memory64 with 64-bit tables, multiple memories and relaxed SIMD; and, from WebAssembly 3.0, table
initialisers and constant expressions that read any earlier immutable global.

Those last two belong, for Wasmtime, to the switches of typed function references and GC. A module is
therefore validated without these switches first: that accepts nearly all modules, and nothing that
ttd lacks. Only one that fails is tried again with them, and then every body is decoded, because the
decoder refuses by name whatever else the two switches let in.

May import base, `ttd.wasm` and wasmtime (late: it is slow to import).
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from ttd.errors import InvalidModule
from ttd.wasm.decode import decode
from ttd.wasm.model import Module

if TYPE_CHECKING:
    import wasmtime


def load_module(data: bytes) -> Module:
    """The module in `data`, valid and within what ttd supports.

    Raises InvalidModule (malformed or invalid, with the byte offset where known) and UnsupportedFeature
    (valid perhaps, but using a feature that ttd does not have; the message names it).
    """
    module = decode(data)
    if _invalidity(module.data, lenient=False) is None:
        return module
    failure = _invalidity(module.data, lenient=True)
    try:
        _decode_all(module)
    except InvalidModule:
        # Wasmtime's message is the better one, and both mean the same.
        if failure is None:
            raise
    if failure is not None:
        raise failure
    return module


def _decode_all(module: Module) -> None:
    """Decode every body; raises what decoding raises."""
    for function in module.functions:
        if function.body is not None:
            _ = function.body.instructions


def _invalidity(data: bytes, *, lenient: bool) -> InvalidModule | None:
    """What Wasmtime has against the module, None if it is valid."""
    import wasmtime

    try:
        wasmtime.Module.validate(_engine(lenient), data)
    except wasmtime.WasmtimeError as error:
        return _translate(str(error))
    return None


@cache
def _engine(lenient: bool) -> wasmtime.Engine:
    """An engine that validates with ttd's features; `lenient`: also GC and typed function references."""
    import wasmtime

    from ttd.engine.stores import new_engine

    config = wasmtime.Config()
    config.wasm_bulk_memory = True
    config.wasm_exceptions = True
    config.wasm_memory64 = True
    config.wasm_multi_memory = True
    config.wasm_multi_value = True
    config.wasm_reference_types = True
    config.wasm_relaxed_simd = True
    config.wasm_simd = True
    config.wasm_tail_call = True
    config.wasm_component_model = False
    config.wasm_custom_page_sizes = False
    config.wasm_stack_switching = False
    config.wasm_threads = False
    config.wasm_wide_arithmetic = False
    config.wasm_function_references = lenient
    config.wasm_gc = lenient
    return new_engine(config)


_OFFSET = re.compile(r"\s*\(at offset 0x([0-9a-f]{1,16})\)")


def _translate(message: str) -> InvalidModule:
    """Wasmtime's error as ours: in one line, the offset taken out of its text."""
    offset = _OFFSET.search(message)
    text = " ".join(_OFFSET.sub("", message, count=1).split())
    return InvalidModule(f"invalid module: {text}", int(offset[1], 16) if offset else None)
