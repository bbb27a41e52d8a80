"""`ttd record`: run a program and write down everything that its run depends on.

May import click; `ttd.recorder` and `ttd.store` late.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ttd.cli.files import ENGINES, debug_info_option, write_core_dump
from ttd.cli.group import Command
from ttd.cli.output import Progress, plain
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.coredump.format import CoreDump
    from ttd.recorder.options import WasiOptions
    from ttd.recorder.session import RecordResult


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@click.argument("program", type=click.Path(path_type=Path), metavar="PROGRAM.wasm")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARG]...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the recording there, not to traces/PROGRAM-N.trace.",
)  # fmt: skip
@click.option(
    "--dir", "directories", multiple=True, metavar="HOST[::GUEST]",
    help="Let the program use a directory; may be repeated.",
)  # fmt: skip
@click.option(
    "--env", "variables", multiple=True, metavar="NAME[=VALUE]",
    help="Set a variable for the program, or pass ours on; may be repeated.",
)  # fmt: skip
@click.option("--stdin", metavar="FILE|null", help="Its standard input; else it is ours.")
@click.option("--invoke", metavar="EXPORT", help="Call this export with the ARGs, not _start.")
@click.option(
    "--host", "host_file", type=click.Path(path_type=Path), metavar="FILE.py",
    help="Python functions for imports outside WASI.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(ENGINES), default=ENGINES[0], show_default=True,
    help="What runs the program.",
)  # fmt: skip
@click.option(
    "--sources/--no-sources", default=True, help="Keep the program's source files in the recording (default)."
)
@debug_info_option
@click.option(
    "--core-dump", type=click.Path(path_type=Path), metavar="FILE",
    help="If the program traps, write a WebAssembly core dump there, too.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Do not tell where the recording is.")
def command(
    program: Path,
    arguments: tuple[str, ...],
    output: Path | None,
    directories: tuple[str, ...],
    variables: tuple[str, ...],
    stdin: str | None,
    invoke: str | None,
    host_file: Path | None,
    engine: str,
    sources: bool,
    debug_info: Path | None,
    core_dump: Path | None,
    quiet: bool,
) -> int:
    """Run a WebAssembly program and record the run.

    Options before PROGRAM.wasm are ttd's; everything behind it goes to the program. The program sees
    only the directories, variables and arguments it is given; its output goes through untouched.

    Debug information and source files are kept in the recording. That of a stripped program is looked for
    where the program says, and in PROGRAM.debug.wasm.

    The exit code is the program's own: 134 if it trapped (a backtrace says where), 130 if Ctrl-C
    stopped it. Mistakes in the command exit with 2 before anything runs.

    \b
    Examples:
      ttd record hello.wasm
      ttd record -o run.trace hello.wasm --verbose input.txt
      ttd record --dir .::/data --env LANG=C --stdin null files.wasm /data/new
      ttd record --core-dump prog.coredump prog.wasm
      ttd record --invoke gcd numbers.wasm 12 18
    """
    from ttd.recorder.options import RecordOptions
    from ttd.recorder.session import record

    options = RecordOptions(
        program=program,
        output=output,
        wasi=_surroundings(program, () if invoke else arguments, directories, variables, stdin),
        invoke=(invoke, *arguments) if invoke else (),
        host_file=host_file,
        engine=engine,
        debug_info=debug_info,
        embed_sources=sources,
        core_dump=core_dump is not None,
    )
    with _progress(quiet) as progress:
        result = record(options, progress)
    if invoke and not quiet and result.ending.results:
        click.echo(f"ttd: {invoke} returned {_returned(program, invoke, result)}", err=True)
    if core_dump is not None and result.core_dump is not None:
        _write_core_dump(core_dump, result.core_dump, quiet)
    return _report(result, options.output is None, quiet)


def _write_core_dump(path: Path, dump: CoreDump, quiet: bool) -> None:
    """Write it; that it cannot be written is told, and does not change how the recording ended."""
    from ttd.coredump.format import write

    try:
        write_core_dump(path, write(dump))
    except UsageError as error:
        click.echo(f"ttd: {plain(str(error))}", err=True)
        return
    if not quiet:
        click.echo(f"ttd: dumped core to {plain(str(path))}", err=True)


def _progress(quiet: bool) -> Progress:
    """A line that shows how far the program is; none if nobody wants it, or the terminal cannot."""
    unwanted = quiet or os.environ.get("TERM") == "dumb"
    return Progress("recording", patience=float("inf") if unwanted else 1.0)


def _returned(program: Path, export: str, result: RecordResult) -> str:
    from ttd.cli.describe import values_text
    from ttd.wasm.decode import decode

    module = decode(program.read_bytes())
    function = module.functions[module.exports_by_name[export].index]
    return values_text(function.type.results, result.ending.results)


def _surroundings(
    program: Path,
    arguments: tuple[str, ...],
    directories: tuple[str, ...],
    variables: tuple[str, ...],
    stdin: str | None,
) -> WasiOptions:
    from ttd.recorder.options import PreopenedDirectory, WasiOptions
    from ttd.store.manifest import StdinKind

    kinds = {None: StdinKind.INHERIT, "null": StdinKind.NULL}
    return WasiOptions(
        argv=(program.name, *arguments),
        env=tuple(_variable(text) for text in variables),
        preopens=tuple(PreopenedDirectory.parse(text) for text in directories),
        stdin=kinds.get(stdin, StdinKind.FILE),
        stdin_file=Path(stdin) if stdin not in kinds and stdin is not None else None,
    )


def _variable(text: str) -> tuple[str, str]:
    """``NAME=VALUE``, or ``NAME`` for the value that the variable has here; raises UsageError."""
    name, separator, value = text.partition("=")
    if not name:
        raise UsageError(f"--env {text}: expected NAME=VALUE or NAME")
    if not separator:
        if name not in os.environ:
            raise UsageError(f"--env {name}: there is no such variable here to pass on; give NAME=VALUE")
        value = os.environ[name]
    return name, value


def _report(result: RecordResult, is_latest: bool, quiet: bool) -> int:
    """Tell where the recording is, on stderr: stdout is the program's."""
    from ttd.types import EndKind

    if result.ending.kind is EndKind.TRAP:
        click.echo(f"ttd: the program trapped: {plain(str(result.ending.trap))}", err=True)
        for line in result.backtrace.splitlines():
            click.echo(plain(line), err=True)
    for note in result.notes:
        click.echo(f"ttd: {plain(note)}", err=True)
    if not quiet:
        how = "" if result.ending.kind is EndKind.TRAP else f" ({result.ending.describe()})"
        path = plain(str(result.path))
        replay = "ttd replay" if is_latest else f"ttd replay {path}"
        click.echo(f"ttd: recorded {path}{how}; '{replay}' opens it", err=True)
    return result.exit_code
