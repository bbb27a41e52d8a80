"""Which features of WebAssembly a module uses, beyond version 1.0.

Read off what is there, not off what a compiler says: that is in the ``target_features`` section. Features are
called as LLVM's -m options are, and as there is none, as their proposals are.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from ttd.errors import UnsupportedFeature
from ttd.wasm.model import ExternKind, FuncType, GlobalType, Instruction, Module, SegmentMode
from ttd.wasm.opcodes import Immediates
from ttd.wasm.valtype import ValType

_BLOCKS = (Immediates.BLOCK, Immediates.IF, Immediates.TRY_TABLE)


def features_used(module: Module, progress: Callable[[float], None] | None = None) -> list[str]:
    """The features that a module uses, sorted; those that ttd does not support say so.

    Reads all its code, at a second or two a megabyte; `progress` is told the share that has been read, in per
    cent. Raises InvalidModule where code cannot be decoded.
    """
    found = set(_declared(module))
    for function in module.functions:
        if function.body is None:
            continue
        if progress is not None:
            progress(100 * function.index / len(module.functions))
        try:
            found.update(_of_code(function.body.decoder()))  # not `instructions`: that would keep them
        except UnsupportedFeature as error:
            found.add(f"{error.feature} (not supported by ttd)")
    return sorted(found - {"mvp"})


def _of_code(instructions: Iterable[Instruction]) -> set[str]:
    features: set[str] = set()
    for _, op, immediates in instructions:
        features.add(op.feature)
        if op.immediates in _BLOCKS:
            type_ = cast(FuncType, immediates[0])
            if type_.params or len(type_.results) > 1:
                features.add("multivalue")
    return features


def _declared(module: Module) -> Iterator[str]:
    """What shows outside of code."""
    tables = [table.type for table in module.tables]
    if any(memory.is64 for memory in module.memories) or any(table.is64 for table in tables):
        yield "memory64"
    if len(module.memories) > 1:
        yield "multimemory"
    if module.tags:
        yield "exception-handling"
    if any(len(type_.results) > 1 for type_ in module.types):
        yield "multivalue"
    if len(tables) > 1 or any(table.element is not ValType.FUNCREF for table in tables):
        yield "reference-types"
    modes = [data.mode for data in module.datas] + [element.mode for element in module.elements]
    if any(mode is not SegmentMode.ACTIVE for mode in modes):
        yield "bulk-memory"
    if any(section.id == 12 for section in module.sections):  # the count of data segments came with it
        yield "bulk-memory"
    if any(_is_mutable(module, kind, index) for kind, index in _crossing(module)):
        yield "mutable-globals"
    offsets = [data.offset for data in module.datas] + [element.offset for element in module.elements]
    if any(len(code) > 2 for code in (*offsets, *(item.init for item in module.globals)) if code):
        yield "extended-const"


def _crossing(module: Module) -> Iterator[tuple[ExternKind, int]]:
    """Everything that crosses the border of the module."""
    yield from ((imported.kind, imported.index) for imported in module.imports)
    yield from ((export.kind, export.index) for export in module.exports)


def _is_mutable(module: Module, kind: ExternKind, index: int) -> bool:
    type_ = module.globals[index].type if kind is ExternKind.GLOBAL and index < len(module.globals) else None
    return isinstance(type_, GlobalType) and type_.mutable
