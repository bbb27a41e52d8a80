"""Events and frames as text and as JSON, for commands and the prompt alike.

May import click, `ttd.wasi` and `ttd.replayer` (late), base, `ttd.wasm` and `ttd.debuginfo`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ttd.cli.output import Json, plain

if TYPE_CHECKING:
    from ttd.debuginfo import DebugInfo
    from ttd.debuginfo.inlining import SourceFrame
    from ttd.events import HostCall
    from ttd.replayer.recording import Recording
    from ttd.types import Value
    from ttd.wasm.model import Module, ValType


def event_line(module: Module, event: HostCall) -> str:
    """The call in strace's manner: ``fd_write(1, [{"hi", 2}], [2]) = 0``."""
    from ttd.wasi import describe_call

    function = module.functions[event.function] if event.function < len(module.functions) else None
    if function is None or function.imported is None:
        return f"<function {event.function}, which the module does not import>"
    imported, type_ = function.imported, function.type
    return plain(describe_call(event, imported.module, imported.name, type_.params, type_.results))


def event_json(module: Module, event: HostCall) -> Json:
    """The event with all that the log holds; values are exact unsigned integers, whatever their width."""
    known = event.function < len(module.functions)
    imported = module.functions[event.function].imported if known else None
    return {
        "number": event.number,
        "position": str(event.position),
        "module": imported.module if imported else None,
        "name": imported.name if imported else None,
        "arguments": [_value(value) for value in event.arguments],
        "results": [_value(value) for value in event.results],
        "outcome": event.outcome.value,
        "code": event.code,
        "message": event.message,
        "writes": [
            {"memory": write.memory, "address": write.address, "data": write.data.hex()}
            for write in event.writes
        ],
        "text": event_line(module, event),
    }


def values_text(types: Sequence[ValType], values: Sequence[Value]) -> str:
    """WebAssembly values as people write them: ``12, -5, 2.5``."""
    from ttd.replayer.inspect import wasm_text

    return ", ".join(wasm_text(type_, value) for type_, value in zip(types, values, strict=False))


def invocation_text(module: Module, function: int, export: str, arguments: Sequence[Value]) -> str:
    """A call from outside: ``gcd(12, 18)``."""
    known = function < len(module.functions)
    types = module.functions[function].type.params if known else ()
    return plain(f"{export or function}({values_text(types, arguments)})")


def _value(value: Value) -> Json:
    return value if value is None or isinstance(value, int) else "exception"


def frame_json(frame: SourceFrame) -> Json:
    """A function of the source, and where in it the instruction stands that was asked about."""
    location = frame.location
    return {
        "function": frame.name,
        "inlined": frame.is_inlined,
        "file": location.path if location is not None else None,
        "line": location.line if location is not None else None,
        "column": (location.column or None) if location is not None else None,
    }


def warn_of_damaged_trace(trace: Recording) -> None:
    """Say on stderr what is known to be damaged in a recording, if anything: a part of it may be missing."""
    if trace.damage:
        problems = "; ".join(trace.damage)
        click.echo(plain(f"ttd: {trace.path} is damaged: {problems}"), err=True)


def warn_of_damage(debug: DebugInfo) -> None:
    """Say on stderr that debug information was found damaged, if so: what has been told may be incomplete."""
    if debug.problems:
        first = plain(debug.problems[0])
        click.echo(f"ttd: some debug information is damaged or missing: {first}", err=True)
