"""Commands about the session itself: help, settings, scripts, leaving.

May import the session's parts and `ttd.errors`.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ttd.cli.files import write_core_dump
from ttd.cli.output import plain, size
from ttd.cli.repl.command import Call, Command, Complete, Group, Repeat, resolve
from ttd.cli.repl.console import Style
from ttd.cli.repl.source_paths import SUBSTITUTE, set_substitution, show_substitutions
from ttd.errors import UsageError

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session

DEEPEST_SOURCE = 16
"""How deeply scripts may `source` each other."""


def help_(session: Session, call: Call) -> None:
    """List the commands, or explain one.

    Names may be shortened as far as they stay unique. An empty line repeats the last
    motion.
    """
    if not call.arguments:
        _overview(session)
        return
    words = call.arguments.split()
    command = resolve(words[0], session.table)
    console = session.console
    console.write(console.paint(synopsis(command), Style.STRONG))
    console.write(command.help_text)
    if command.repeat is Repeat.SAME:
        console.write("An empty line repeats it.")
    if command.examples:
        console.write("Examples:")
    for example in command.examples:
        console.write(f"  {example}")


def synopsis(command: Command) -> str:
    """``step, s [COUNT]``"""
    names = ", ".join((command.name, *command.aliases))
    return f"{names}{'[/FORMAT]' if command.modifier else ''} {command.usage}".rstrip()


def _overview(session: Session) -> None:
    console = session.console
    for group in Group:
        members = [command for command in session.table if command.group is group]
        console.write(console.paint(f"{group.value}:", Style.STRONG))
        for command in members:
            names = ", ".join((command.name, *command.aliases[:1]))
            console.write(f"  {names:24}{command.summary}")
    console.write("'help COMMAND' tells more. Names may be shortened; an empty line repeats the last motion.")


def quit_(session: Session, call: Call) -> None:
    """Leave the debugger."""
    call.no_arguments()
    session.finished = True


def set_(session: Session, call: Call) -> None:
    """Change a setting.

    listsize is how many lines 'list' shows; highlight (on, off) colours source text;
    disassemble-next-line (on, off) shows the next instruction at every stop. Of a
    value 'print elements' says how many elements and characters are shown, 'print
    depth' how deep, 'print repeats' from how many equal elements on they are counted;
    each may be 'unlimited'. With 'set substitute-path FROM TO', source files whose
    path begins with FROM are looked for under TO.
    """
    name, _, value = call.arguments.partition(" ")
    if name == "print" and value.strip():
        word, _, value = value.strip().partition(" ")
        name = f"print {word}"
    if not name:
        raise UsageError("'set' takes a setting and its value, as in 'set listsize 20'; see 'show'")
    if name == SUBSTITUTE:
        set_substitution(session, value)
        return
    if name in ("var", "variable") or "=" in call.arguments:
        raise UsageError(
            "a recording cannot be changed; 'set' is for the debugger's own settings, see 'show'"
        )
    session.settings.change(session.settings.find(name), value.strip().lstrip("=").strip())
    session.obey_settings()


def show(session: Session, call: Call) -> None:
    """Show a setting, or all of them."""
    if call.arguments == SUBSTITUTE:
        show_substitutions(session)
        return
    settings = session.settings
    names = (settings.find(call.arguments),) if call.arguments else settings.names()
    for name in names:
        session.console.write(f"{name}: {settings.describe(name)}")


def source(session: Session, call: Call) -> None:
    """Run the commands in a file.

    One command in each line; empty lines and lines that start with # do nothing. An
    error ends the script.
    """
    from ttd.cli.repl.script import read_script

    if not call.arguments:
        raise UsageError("'source' takes the name of a file of commands")
    lines = read_script(Path(call.arguments).expanduser())
    session.nesting += 1
    try:
        if session.nesting > DEEPEST_SOURCE:
            raise UsageError(f"scripts source each other more than {DEEPEST_SOURCE} deep")
        for line in lines:
            session.execute(line)
            if session.finished:
                break
    finally:
        session.nesting -= 1


def core(session: Session, call: Call) -> None:
    """Write a WebAssembly core dump of this moment.

    To FILE, or to PROGRAM.coredump here. It holds memory, globals, the call stack, and
    the program, too: 'ttd replay FILE' opens it, and other tools for core dumps do.
    """
    program = PurePath(session.debugger.trace.manifest.program)
    path = Path(call.arguments or f"{program.stem or 'program'}.coredump").expanduser()
    data = session.debugger.core_dump()
    write_core_dump(path, data)
    session.console.write(
        f"Wrote {plain(str(path))}, {size(len(data))}; 'ttd replay {plain(str(path))}' opens it."
    )


ROWS = (
    Command("help", ("h", "?"), Group.STATUS, Complete.COMMAND, help_, "[COMMAND]", ("help", "help rc")),
    Command(
        "set",
        (),
        Group.STATUS,
        Complete.TOPIC,
        set_,
        "SETTING VALUE",
        ("set listsize 20", "set print elements 4", "set substitute-path /build /home/me"),
    ),
    Command("show", (), Group.STATUS, Complete.TOPIC, show, "[SETTING]", ("show", "show listsize")),
    Command("source", (), Group.STATUS, Complete.FILE, source, "FILE"),
    Command(
        "core",
        ("gcore", "generate-core-file"),
        Group.STATUS,
        Complete.FILE,
        core,
        "[FILE]",
        ("core", "gcore here.coredump"),
    ),
    Command("quit", ("q", "exit"), Group.STATUS, Complete.NOTHING, quit_),
)
