"""WASI preview 1 as data: signatures, what each call writes, how to show a call. Part of the base.

The calls themselves are made by Wasmtime's own WASI (`ttd.recorder`): nothing here does anything.

Imports base modules only.
"""

from ttd.wasi.describe import describe_call
from ttd.wasi.effects import Completion, Effects, Range, StringSizes, inputs
from ttd.wasi.table import (
    ERRNO,
    FUNCTIONS,
    LEGACY_MODULE,
    MODULE,
    STANDARD,
    SUCCESS,
    TALKING,
    Function,
    errno_name,
)

__all__ = [
    "ERRNO",
    "FUNCTIONS",
    "LEGACY_MODULE",
    "MODULE",
    "STANDARD",
    "SUCCESS",
    "TALKING",
    "Completion",
    "Effects",
    "Function",
    "Range",
    "StringSizes",
    "describe_call",
    "errno_name",
    "inputs",
]
