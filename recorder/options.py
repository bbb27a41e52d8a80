"""What a recording is asked to do, checked before anything runs.

Imports base modules, `ttd.wasm`, `ttd.engine.protocol` and the store's manifest.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ttd.engine.protocol import Invocation, Limits
from ttd.errors import UsageError
from ttd.store.manifest import StdinKind
from ttd.types import Value
from ttd.wasm.model import ExternKind, FuncType, Module, ValType


def _check_text(text: str) -> None:
    """UsageError for a text that no WASI program can be given: WASI has UTF-8 and C strings."""
    if "\0" in text:
        raise UsageError(f"{text!r} holds a zero character, which no program can be given")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{text!r} is not valid UTF-8, which is all that WASI programs can be given"
        ) from None


@dataclass(frozen=True, slots=True)
class PreopenedDirectory:
    """A directory that the guest may use, and the name by which it knows it."""

    host: Path
    guest: str

    @classmethod
    def parse(cls, text: str) -> PreopenedDirectory:
        """The directory written as ``HOST`` or ``HOST::GUEST``; UsageError unless HOST is a directory."""
        host, separator, guest = text.rpartition("::")
        if not separator:
            host = guest = text
        if not host or not guest:
            raise UsageError(f"--dir {text}: expected HOST or HOST::GUEST")
        directory = cls(Path(host), guest)
        directory.check()
        return directory

    def check(self) -> None:
        """UsageError unless the directory is there."""
        _check_text(str(self.host))
        if not self.host.is_dir():
            what = "is not a directory" if self.host.exists() else "does not exist"
            raise UsageError(f"--dir: {self.host} {what}; name a directory that the program may use")


@dataclass(frozen=True, slots=True)
class WasiOptions:
    """The surroundings of a WASI program. Standard output and error always are the recorder's own."""

    argv: tuple[str, ...] = ()
    """The arguments, the program's name first."""
    env: tuple[tuple[str, str], ...] = ()
    preopens: tuple[PreopenedDirectory, ...] = ()
    stdin: StdinKind = StdinKind.INHERIT
    stdin_file: Path | None = None
    """With `StdinKind.FILE`: the file."""

    def check(self) -> None:
        """UsageError where a directory or file is missing, or a string cannot be given to a program."""
        guests = (directory.guest for directory in self.preopens)
        for text in (*self.argv, *(part for pair in self.env for part in pair), *guests):
            _check_text(text)
        for name, _ in self.env:
            if not name or "=" in name:
                raise UsageError(f"--env: {name!r} is no name for a variable; expected NAME=VALUE")
        for directory in self.preopens:
            directory.check()
        if self.stdin is StdinKind.FILE and (self.stdin_file is None or not self.stdin_file.is_file()):
            raise UsageError(f"--stdin: {self.stdin_file} is not a file")


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """A recording to be made: of which program, called how, in which surroundings, into which file.

    `invoke` names the export to call, with its arguments as text (``("gcd", "12", "18")``); empty means
    ``_start``. `host_file` is a Python file with host functions (see docs/host-functions.md).
    """

    program: Path
    output: Path | None = None
    """The trace to write; None for a new one in the default directory, which becomes the latest."""
    wasi: WasiOptions = field(default_factory=WasiOptions)
    invoke: tuple[str, ...] = ()
    host_file: Path | None = None
    engine: str = "compiled"
    limits: Limits = field(default_factory=Limits)
    debug_info: Path | None = None
    """The file with the debug information of a stripped program; None: looked for (`debuginfo.separate`)."""
    embed_sources: bool = True
    """Keep the source files that the debug information names, where they are found on this machine."""
    core_dump: bool = False
    """If the program traps, capture a core dump there (`RecordResult.core_dump`)."""


class Entry(NamedTuple):
    """An invocation and the name of what it calls: that of the export, or ``(start)``."""

    invocation: Invocation
    name: str


def plan_invocations(module: Module, invoke: Sequence[str]) -> tuple[Entry, ...]:
    """What to call in which order: start function, ``_initialize`` of a reactor, then the entry.

    Without `invoke` the entry is ``_start``. UsageError if there is no such export, or if the arguments
    do not fit its parameters.
    """
    entries: list[Entry] = []
    if module.start is not None:
        entries.append(Entry(Invocation(module.start), "(start)"))
    if not invoke:
        return (*entries, Entry(_exported(module, "_start", ()), "_start"))
    name, *texts = invoke
    if "_initialize" in module.exports_by_name and name not in ("_initialize", "_start"):
        entries.append(Entry(_exported(module, "_initialize", ()), "_initialize"))
    return (*entries, Entry(_exported(module, name, texts), name))


def _exported(module: Module, name: str, texts: Sequence[str]) -> Invocation:
    export = module.exports_by_name.get(name)
    if export is None or export.kind is not ExternKind.FUNCTION:
        raise UsageError(_no_such_export(module, name))
    type_ = module.functions[export.index].type
    if len(texts) != len(type_.params):
        raise UsageError(f"{name} takes {_signature(type_)}, but was given {len(texts)}")
    arguments = tuple(parse_value(text, kind) for text, kind in zip(texts, type_.params, strict=True))
    return Invocation(export.index, arguments)


def _no_such_export(module: Module, name: str) -> str:
    names = [export.name for export in module.exports if export.kind is ExternKind.FUNCTION]
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    if name == "_start":
        message = "the module exports no _start, so it is not a program"
        return f"{message}; choose what to call with --invoke ({listed})" if names else message
    return f"the module exports no function {name!r}" + (f"; it exports {listed}" if names else "")


def _signature(type_: FuncType) -> str:
    if not type_.params:
        return "no arguments"
    return f"{len(type_.params)} arguments ({' '.join(map(str, type_.params))})"


_BITS = {ValType.I32: 32, ValType.I64: 64, ValType.V128: 128}


def parse_value(text: str, kind: ValType) -> Value:
    """The value of type `kind` that `text` stands for; UsageError if it stands for none.

    Integers are decimal or ``0x``, signed or unsigned, within the type's range. Floats are as Python's
    ``float`` reads them (``1e9``, ``-inf``), or ``0x`` and the bit pattern. References can be ``null`` only.
    """
    try:
        if kind in _BITS:
            return _parse_integer(text, _BITS[kind])
        if kind in (ValType.F32, ValType.F64):
            return _parse_float(text, 32 if kind is ValType.F32 else 64)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is not an argument of type {kind}: {error}") from None
    if text == "null":
        return None
    raise UsageError(f"{text!r} is not an argument of type {kind}: only null can be given")


def _parse_integer(text: str, bits: int) -> int:
    if not re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]{1,32}|\d{1,40})", text):
        raise ValueError("expected a whole number, such as 12, -3 or 0xff")
    value = int(text, 16 if "x" in text.lower() else 10)
    if not -(1 << bits - 1) <= value < 1 << bits:
        raise ValueError(f"it does not fit into {bits} bits")
    return value & (1 << bits) - 1


def _parse_float(text: str, bits: int) -> int:
    if text.lower().startswith("0x"):
        return _parse_integer(text, bits)
    code = "<f" if bits == 32 else "<d"
    value = float(text)
    if value != value:  # The sign and payload that Python would make up are not to be relied on.
        return 0x7FC00000 if bits == 32 else 0x7FF8000000000000
    return int.from_bytes(struct.pack(code, value), "little")
