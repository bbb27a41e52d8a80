"""`ttd info`: all about one recording, or one module.

May import click; `ttd.store` late.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.describe import invocation_text, values_text
from ttd.cli.files import debug_info_option, is_module, json_option, naming, open_module, open_trace
from ttd.cli.group import Command
from ttd.cli.output import Json, moment, place, plain, size, write_fields, write_json
from ttd.errors import DamagedTrace, UsageError

if TYPE_CHECKING:
    from ttd.store.trace import Trace


@click.command(cls=Command)
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[TRACE|MODULE]")
@debug_info_option
@json_option
def command(file: Path | None, debug_info: Path | None, as_json: bool) -> None:
    """Tell about a recording, or about a module: a .wasm file.

    Of a recording (the latest, if nothing is named): program, surroundings, end, size. Of a module:
    sections with their sizes, features that its code uses, imports, exports, and what debug information
    there is.

    \b
    Examples:
      ttd info
      ttd info traces/hello-1.trace --json
      ttd info hello.wasm
    """
    if file is not None and is_module(file):
        _tell_module(file, debug_info, as_json)
    elif debug_info is not None:
        raise UsageError("--debug-info is for modules; 'ttd replay' takes it with a recording")
    else:
        _tell_trace(file, as_json)


def _tell_module(path: Path, debug_info: Path | None, as_json: bool) -> None:
    from ttd.cli import moduleinfo

    module = open_module(path, debug_info)
    with naming(path):
        if as_json:
            write_json(moduleinfo.as_json(str(path), module))
        else:
            moduleinfo.write(str(path), module)


def _tell_trace(trace: Path | None, as_json: bool) -> None:
    with open_trace(trace) as opened:
        if as_json:
            write_json(_json(opened))
        else:
            write_fields(_fields(opened))


def _fields(trace: Trace) -> Iterator[tuple[str, str]]:
    from ttd.wasm.decode import decode

    manifest, ending = trace.manifest, trace.ending
    yield "trace", plain(str(trace.path))
    yield "program", plain(manifest.program)
    yield "arguments", plain(shlex.join(manifest.argv[1:])) or "none"
    for name, value in manifest.env:
        yield "variable", plain(f"{name}={value}")
    for preopen in manifest.preopens:
        same = preopen.host == preopen.guest
        yield "directory", plain(preopen.host if same else f"{preopen.host} as {preopen.guest}")
    yield "standard input", plain(manifest.stdin_path or manifest.stdin.value)
    module = decode(trace.module)
    for call in manifest.invocations:
        yield "called", invocation_text(module, call.function, call.export, call.arguments)
    yield "recorded", f"{moment(manifest.created)} by ttd {plain(manifest.ttd_version)}"
    yield "engine", plain(f"{manifest.engine}, NaNs {manifest.nan_rule}")
    yield "ended", plain(f"{ending.describe()} at {place(ending.position)}")
    if ending.results:
        types = module.functions[manifest.invocations[-1].function].type.results
        yield "returned", values_text(types, ending.results)
    yield "events", str(trace.event_count)
    yield "snapshots", str(len(trace.snapshots))
    yield "source files", str(len(trace.source_names()))
    yield "module", size(len(trace.module))
    apart = _debug_info_size(trace)
    if apart:
        yield "debug information", f"{size(apart)}, kept apart from the module"
    yield "file size", size(trace.path.stat().st_size)
    yield "format", f"version {manifest.format_version}, tick rule {manifest.tick_rule}"
    for damage in trace.damage:
        yield "damaged", plain(damage)


def _debug_info_size(trace: Trace) -> int:
    """Bytes of what is kept apart from the module; 0 also where it is damaged."""
    try:
        return len(trace.debug_info or b"")
    except DamagedTrace:
        return 0


def _json(trace: Trace) -> Json:
    manifest, ending = trace.manifest, trace.ending
    return {
        "path": str(trace.path),
        "size": trace.path.stat().st_size,
        "program": manifest.program,
        "argv": list(manifest.argv),
        "env": dict(manifest.env),
        "preopens": [{"host": p.host, "guest": p.guest} for p in manifest.preopens],
        "stdin": manifest.stdin_path or manifest.stdin.value,
        "invocations": [
            {"function": call.function, "export": call.export or None, "arguments": _values(call.arguments)}
            for call in manifest.invocations
        ],
        "created": manifest.created.isoformat(),
        "ttd_version": manifest.ttd_version,
        "format_version": manifest.format_version,
        "tick_rule": manifest.tick_rule,
        "engine": manifest.engine,
        "nan_rule": manifest.nan_rule,
        "settings": dict(manifest.settings),
        "ending": {
            "kind": ending.kind.value,
            "position": str(ending.position),
            "code": ending.code,
            "trap": str(ending.trap) if ending.trap else None,
            "results": _values(ending.results),
            "text": ending.describe(),
        },
        "events": trace.event_count,
        "snapshots": [
            {"number": s.number, "position": str(s.position), "next_event": s.next_event, "size": s.size}
            for s in trace.snapshots
        ],
        "sources": trace.source_names(),
        "module_size": len(trace.module),
        "debug_info_size": _debug_info_size(trace),
        "damage": list(trace.damage),
    }


def _values(values: tuple[object, ...]) -> list[Json]:
    return [value if isinstance(value, int) else None for value in values]
