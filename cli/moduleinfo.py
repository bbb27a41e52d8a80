"""What `ttd info` tells about a module: as text, and as JSON.

May import click; base, `ttd.wasm`, `ttd.debuginfo` and `ttd.static`.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from ttd.cli.output import Json, Progress, plain, size, write_fields, write_table
from ttd.debuginfo import DebugInfo
from ttd.static import summary
from ttd.static.features import features_used
from ttd.wasm.disasm import type_use
from ttd.wasm.model import (
    ExternKind,
    FuncType,
    GlobalType,
    ImportType,
    MemoryType,
    Module,
    TableType,
    TagType,
)


def write(name: str, module: Module) -> None:
    """Write all about the module at `name`."""
    write_fields(_fields(name, module))
    click.echo()
    write_table(
        ("SECTION", "OFFSET", "SIZE", "ITEMS"),
        [
            (plain(section.name), f"{section.offset:#08x}", str(section.size), _count(section.items))
            for section in summary.sections(module)
        ],
        "SIZE ITEMS",
    )
    for title, rows in (("IMPORT", _imports(module)), ("EXPORT", _exports(module))):
        if rows:
            click.echo()
            write_table((title, "KIND", "TYPE"), rows)


def as_json(name: str, module: Module) -> Json:
    """The same, for programs."""
    dwarf = summary.debug_summary(DebugInfo(module))
    return {
        "path": name,
        "size": len(module.data),
        "functions": sum(function.body is not None for function in module.functions),
        "imported_functions": sum(function.body is None for function in module.functions),
        "start": module.start,
        "features": _features(module),
        "target_features": list(summary.target_features(module)),
        "producers": [producer._asdict() for producer in summary.producers(module)],
        "notes": dict(summary.notes(module)),
        "dwarf": dwarf._asdict() if dwarf is not None else None,
        "sections": [section._asdict() for section in summary.sections(module)],
        "imports": [
            {"module": i.module, "name": i.name, "kind": i.kind.name.lower(), "type": type_text(i.type)}
            for i in module.imports
        ],
        "exports": [
            {"name": export.name, "kind": export.kind.name.lower(), "index": export.index, "type": text}
            for export, (_, _, text) in zip(module.exports, _exports(module), strict=True)
        ],
    }


def _fields(name: str, module: Module) -> Iterator[tuple[str, str]]:
    yield "module", plain(name)
    yield "size", size(len(module.data))
    own = sum(function.body is not None for function in module.functions)
    yield "functions", f"{own} and {len(module.functions) - own} imported"
    if module.start is not None:
        yield "start", f"function {module.start}"
    for memory in module.memories:
        yield "memory", type_text(memory)
    yield "features used", ", ".join(_features(module)) or "none beyond WebAssembly 1.0"
    yield "features targeted", ", ".join(summary.target_features(module)) or "not said"
    for producer in summary.producers(module):
        yield producer.role, plain(f"{producer.name} {producer.version}".rstrip())
    yield from summary.notes(module)
    yield from _dwarf_fields(DebugInfo(module))


def _features(module: Module) -> list[str]:
    with Progress("reading code") as progress:
        return features_used(module, progress.update)


def _dwarf_fields(debug: DebugInfo) -> Iterator[tuple[str, str]]:
    dwarf = summary.debug_summary(debug)
    if dwarf is None:
        yield "debug information", "none"
        return
    versions = " and ".join(map(str, dwarf.versions))
    units = f"{dwarf.units} compile units ({dwarf.units_with_code} with code)"
    yield (
        "debug information",
        f"DWARF {versions}, {size(dwarf.size)}, {units}{', kept apart' if debug.module.apart else ''}",
    )
    yield "languages", ", ".join(dwarf.languages) or "not said"
    for compiler in dwarf.compilers:
        yield "compiler", compiler
    for problem in debug.problems:
        yield "damaged", plain(problem)


def _count(items: int | None) -> str:
    return "" if items is None else str(items)


def _imports(module: Module) -> list[tuple[str, str, str]]:
    return [(plain(f"{i.module}.{i.name}"), i.kind.name.lower(), type_text(i.type)) for i in module.imports]


def _exports(module: Module) -> list[tuple[str, str, str]]:
    return [
        (plain(e.name), e.kind.name.lower(), type_text(_exported(module, e.kind, e.index)))
        for e in module.exports
    ]


def _exported(module: Module, kind: ExternKind, index: int) -> ImportType | None:
    """The type of what is exported; None for an index that is not there."""
    spaces: dict[ExternKind, list[ImportType]] = {
        ExternKind.FUNCTION: [function.type for function in module.functions],
        ExternKind.TABLE: [table.type for table in module.tables],
        ExternKind.MEMORY: list(module.memories),
        ExternKind.GLOBAL: [item.type for item in module.globals],
        ExternKind.TAG: list(module.tags),
    }
    return spaces[kind][index] if index < len(spaces[kind]) else None


def type_text(type_: ImportType | None) -> str:
    """The type of an import or export: ``(param i32) (result i32)``, ``2 pages of 64 KiB, at most 4``."""
    match type_:
        case FuncType():
            return type_use(type_).strip() or "no parameters, no results"
        case TagType():
            return type_use(type_.type).strip() or "no parameters"
        case GlobalType():
            return f"mutable {type_.type}" if type_.mutable else str(type_.type)
        case MemoryType():
            wide = ", 64-bit addresses" if type_.is64 else ""
            pages = "1 page" if type_.minimum == 1 else f"{type_.minimum} pages"
            return f"{pages} of 64 KiB{_at_most(type_.maximum)}{wide}"
        case TableType():
            return f"{type_.minimum} of {type_.element}{_at_most(type_.maximum)}"
        case _:
            return "unknown"


def _at_most(maximum: int | None) -> str:
    return "" if maximum is None else f", at most {maximum}"
