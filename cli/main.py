"""The entry point `ttd`, and the one edge at which errors become a line on stderr and an exit code.

May import click and `ttd.errors`; the commands come in late, through `ttd.cli.group`.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from ttd.cli.exitcodes import BROKEN_PIPE, FAILURE, INTERRUPTED, USAGE
from ttd.cli.group import CommandGroup
from ttd.errors import InternalError, TtdError

TRACEBACK_VARIABLE = "TTD_TRACEBACK"
"""Environment variable that, when set, lets Python's traceback of an error through (for bug reports)."""

COMPLETION_VARIABLE = "_TTD_COMPLETE"
"""Environment variable by which a shell asks for completions: ``eval "$(_TTD_COMPLETE=bash_source ttd)"``."""


_ALLOCATIONS = 20_000
"""New objects after which Python is to look for garbage in cycles; by itself it does so after some hundreds.
Modules, line tables and debug information are objects by the million, which stay and make no cycles: looking
at them again and again took up to a third of the time of a command."""


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from ttd.version import VERSION

        click.echo(f"ttd {VERSION}")
        ctx.exit()


@click.group(cls=CommandGroup, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and leave.",
)
@click.pass_context
def ttd(ctx: click.Context) -> None:
    """ttd, a time-travel debugger for WebAssembly: record a run once, then walk through it both ways.

    \b
    Examples:
      ttd record hello.wasm          # record a run into traces/
      ttd replay                     # debug the latest recording
      ttd replay -e 'goto end' -e bt # without a terminal
      ttd replay --help              # more about a command
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run `ttd ARGUMENTS` and return its exit code; an error has been told in one line on stderr."""
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.ClickException as error:
        return _complain(_usage_message(error), USAGE, error)
    except TtdError as error:
        return _complain(_one_line(str(error)), error.exit_code, error)
    except OSError as error:
        return _complain(_system_message(error), FAILURE, error)
    except MemoryError as error:
        return _complain("out of memory", FAILURE, error)
    except Exception as error:
        bug = InternalError(_one_line(f"{type(error).__name__}: {error}"))
        hint = f" ({TRACEBACK_VARIABLE}=1 shows where)"
        return _complain(str(bug) + hint, bug.exit_code, error)


def main() -> NoReturn:
    """The console script."""
    gc.set_threshold(_ALLOCATIONS)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed (``>&-``)
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show must not end the program
            stream.reconfigure(errors="backslashreplace")
    _leave(run(sys.argv[1:]))


def _leave(code: int) -> NoReturn:
    """Leave at once.

    Python's own way out takes all of its objects apart, which takes a tenth of a second and so is felt after
    Ctrl-C; and it may wait for the thread of a guest that is inside a host call which does not come back.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # who read it has gone
            stream.flush()
    os._exit(code)


def _invoke(arguments: Sequence[str]) -> int:
    """What click's own `main` does, without its handling of errors: that is ours."""
    instruction = os.environ.get(COMPLETION_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(ttd, {}, "ttd", COMPLETION_VARIABLE, instruction)
    try:
        with ttd.make_context("ttd", list(arguments)) as context:
            result: object = ttd.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int, error: BaseException) -> int:
    """Tell the user `message` on stderr; `code`, to be returned."""
    if os.environ.get(TRACEBACK_VARIABLE):
        raise error
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print(f"ttd: {message}", file=sys.stderr)
    return code


def _usage_message(error: click.ClickException) -> str:
    message = _one_line(error.format_message()).rstrip(".")
    message = re.sub(r"\. (Did you mean .*)\?$", lambda hint: f" ({hint[1].lower()}?)", message)
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "ttd"
    return f"{message[:1].lower()}{message[1:]}; see '{path} --help'"


def _system_message(error: OSError) -> str:
    if error.strerror is None:
        return _one_line(str(error) or type(error).__name__)
    name = f"{error.filename}: " if error.filename is not None else ""
    return _one_line(f"{name}{error.strerror}")


def _one_line(message: str) -> str:
    """`message` with line breaks and control characters made harmless."""
    flat = " ".join(part.strip() for part in message.splitlines() if part.strip())
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in flat)


def _silence_stdout() -> None:
    """Whoever read our output has gone: let the interpreter's last flush write into nothing."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
