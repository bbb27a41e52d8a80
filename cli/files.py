"""Opening what the user named on the command line: traces and modules.

May import `ttd.store`, `ttd.replayer`, `ttd.debuginfo` and `ttd.engine` (late), and the base.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.output import plain
from ttd.errors import DamagedTrace, InvalidCoreDump, InvalidModule, TtdError, UsageError

if TYPE_CHECKING:
    from ttd.replayer.recording import Recording
    from ttd.replayer.session import EngineFactory
    from ttd.static.listing import SourceReader
    from ttd.store.trace import Trace
    from ttd.wasm.model import Module

LARGEST_MODULE = 1 << 30
"""Bytes of a module above which it is refused unread (Wasm 32-bit section sizes end at 4 GiB)."""

MODULE_MAGIC = b"\0asm"

SQLITE_MAGIC = b"SQLite format 3\0"

trace_argument = click.argument("trace", required=False, type=click.Path(path_type=Path), metavar="[TRACE]")
"""The optional TRACE of a command; without it the latest recording is meant."""

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
"""`--json`, the same for every command that has it."""

debug_info_option = click.option(
    "--debug-info",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the debug information of a stripped program is.",
)
"""`--debug-info`, the same for every command that has it."""

module_argument = click.argument("module", type=click.Path(path_type=Path))
"""The MODULE of a command: a .wasm file, or a recording, which holds its program."""

ENGINES = ("compiled", "interpreter")
"""The engines that can record and replay, the default first."""

engine_option = click.option(
    "--engine", type=click.Choice(ENGINES), help="What runs the program.  [default: compiled]"
)
"""`--engine` of the commands that replay."""


def replaying_engine(name: str | None) -> EngineFactory | None:
    """The engine called `name`; None, which stands for the default, for None."""
    from ttd.replayer.session import ENGINES

    return None if name is None else ENGINES[name]


def open_trace(path: Path | None) -> Trace:
    """Open the trace at `path`, or the latest one; to be closed by the caller. Raises TtdError."""
    from ttd.store.trace import Trace

    if path is not None and _is_core_dump(path):
        raise UsageError(f"{path} is a core dump, not a trace; `ttd replay {path}` opens it")
    return Trace.open(path)


@contextlib.contextmanager
def open_recording(
    path: Path | None, module: Path | None, engine: str | None
) -> Iterator[tuple[Recording, EngineFactory | None]]:
    """A trace (None: the latest) or a core dump, and what replays it; `module` is that of a core dump.

    Raises TtdError.
    """
    from ttd.replayer.postmortem import CoreRecording

    if path is not None and is_module(path):
        with naming(path):
            code = read_bytes(module) if module is not None else None
            core = CoreRecording.read(read_bytes(path), code, path)
        yield core, core.engine
        return
    if module is not None:
        raise UsageError("--module goes with a core dump; a recording holds its program")
    with open_trace(path) as trace:
        yield trace, replaying_engine(engine)


def read_bytes(path: Path) -> bytes:
    """The contents of a module file; raises UsageError if it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_MODULE + 1)
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a directory; name a .wasm file") from error
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {path}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > LARGEST_MODULE:
        raise UsageError(f"{path} is larger than 1 GiB; is it a module?")
    return data


def write_core_dump(path: Path, data: bytes) -> None:
    """Write a core dump; one that is there is replaced. Raises UsageError if that cannot be done, and for a
    file that is anything else."""
    try:
        if path.exists() and not _is_core_dump(path):
            raise UsageError(f"{path} exists and is no core dump; it is not replaced, choose another name")
        path.write_bytes(data)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', error)}") from error


def _is_core_dump(path: Path) -> bool:
    from ttd.coredump.format import is_core_dump

    try:
        return is_module(path) and is_core_dump(read_bytes(path))
    except TtdError:
        return False


def is_module(path: Path) -> bool:
    """Whether a file starts as a module does; False for one that cannot be read, too."""
    try:
        with path.open("rb") as file:
            return file.read(len(MODULE_MAGIC)) == MODULE_MAGIC
    except OSError:
        return False


def module_bytes(path: Path) -> tuple[bytes, bytes | None]:
    """The module at `path`: a .wasm file, or the one that a trace holds; and its debug information there.

    That is what the trace has apart from the module, or None.
    """
    data = read_bytes(path)
    if not data.startswith(SQLITE_MAGIC):
        return data, None
    with open_trace(path) as trace:
        try:
            return trace.module, trace.debug_info
        except DamagedTrace as error:
            click.echo(f"ttd: no debug information: {plain(str(error))}", err=True)
            return trace.module, None


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors about the bytes of a module or dump name its file: code is decoded when it is needed."""
    try:
        yield
    except InvalidModule as error:
        raise error.of_file(str(path)) from error
    except InvalidCoreDump as error:
        raise InvalidCoreDump(f"{path}: {error}") from error


@contextlib.contextmanager
def source_reader(path: Path) -> Iterator[SourceReader]:
    """What reads the sources of the module at `path`: from the recording if it is one, else from disk."""
    from ttd.debuginfo.sourcefile import read_source

    if is_module(path):
        yield read_source
        return
    with open_trace(path) as trace:
        yield lambda name: _recorded_source(trace, name) or read_source(name)


def _recorded_source(trace: Trace, name: str) -> bytes | None:
    try:
        return trace.sources[name]
    except (KeyError, DamagedTrace):
        return None


def open_module(path: Path, debug_info: Path | None = None) -> Module:
    """The module at `path`, decoded, with the debug information that is kept apart from it: in file
    `debug_info`, in the trace, or where it is found. Says on stderr if it is not where it should be.

    Raises InvalidModule with the name of the file; UsageError if `debug_info` cannot be used.
    """
    from ttd.debuginfo.separate import find_debug_info, rejoin
    from ttd.wasm.decode import decode

    data, kept = module_bytes(path)
    with naming(path):
        module = decode(data)
    if kept is not None and debug_info is None:
        return rejoin(module, kept)
    joined = find_debug_info(module, path, debug_info)
    if joined.note:
        click.echo(f"ttd: {plain(joined.note)}", err=True)
    return joined.module
