"""How a typed line finds its command, and how its pieces are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd.cli.repl.command import choose, number, numbers, parse, resolve
from ttd.cli.repl.table import TABLE
from ttd.errors import TtdError, UsageError

GDB = {
    "s": "step", "n": "next", "si": "stepi", "c": "continue", "fg": "continue", "b": "break", "br": "break",
    "tb": "tbreak", "p": "print", "inspect": "print", "bt": "backtrace", "where": "backtrace", "f": "frame",
    "l": "list", "i": "info", "inf": "info", "u": "until", "fin": "finish", "rs": "reverse-step",
    "rsi": "reverse-stepi", "rn": "reverse-next", "rc": "reverse-continue", "reverse-f": "reverse-finish",
    "d": "delete", "dis": "disable", "disa": "disable", "disas": "disassemble", "en": "enable", "h": "help",
    "q": "quit", "x": "x", "r": "run", "wa": "watch", "cond": "condition", "ig": "ignore", "adv": "advance",
    "cat": "catch", "unt": "until", "dow": "down", "ni": "nexti", "rni": "reverse-nexti", "dele": "delete",
    "e": "events", "g": "goto",
}  # fmt: skip
"""What gdb's users type, and what it means there (or would)."""


@pytest.mark.parametrize("word, name", GDB.items())
def test_abbreviation_means_what_it_means_in_gdb(word: str, name: str) -> None:
    assert resolve(word, TABLE).name == name


SUMMARY_WIDTH = 56
"""What is left of 80 columns in the overview of `help`."""


def test_names_and_aliases_are_unique() -> None:
    names = [name for command in TABLE for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))


def test_every_command_has_help_and_a_full_name_that_resolves_to_it() -> None:
    for command in TABLE:
        assert resolve(command.name, TABLE) is command
        assert command.summary.endswith("."), command.name
        assert len(command.summary) <= SUMMARY_WIDTH, command.name


def test_ambiguous_prefix_names_its_candidates() -> None:
    with pytest.raises(UsageError, match=r"ambiguous command 'ste': step, stepi"):
        resolve("ste", TABLE)


def test_unknown_command_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no command 'contniue' \(did you mean 'continue'\?\)"):
        resolve("contniue", TABLE)


@pytest.mark.parametrize(
    "line, expected",
    [
        ("x/4xw &q", ("x", "4xw", "&q")),
        ("x /2i $pc", ("x", "2i", "$pc")),
        ("p/x a->b", ("print", "x", "a->b")),
        ("p  *head ", ("print", "", "*head")),
        ("p(1+2)", ("print", "", "(1+2)")),
        ("p $pc", ("print", "", "$pc")),
        ("x/4", ("x", "4", "")),
        ("list /src/a.c:3", ("list", "", "/src/a.c:3")),
        ("  break queue.c:41 if n > 3", ("break", "", "queue.c:41 if n > 3")),
    ],
)
def test_line_is_taken_apart(line: str, expected: tuple[str, str, str]) -> None:
    command, call = parse(line, TABLE)
    assert (command.name, call.modifier, call.arguments) == expected


@pytest.mark.parametrize("line", ["", "42", "/x", "$pc", "→", "\0"])
def test_line_without_a_command_word_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="not a command"):
        parse(line, TABLE)


@given(st.text(max_size=40))
def test_any_line_parses_or_is_refused_in_one_line(line: str) -> None:
    try:
        parse(line, TABLE)
    except TtdError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "", "9" * 40, "0x"])
def test_bad_count_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="takes a count"):
        number(text, "step")


def test_counts_are_decimal_or_hexadecimal() -> None:
    assert (number("12", "step"), number("0x10", "step")) == (12, 16)


def test_number_lists_have_ranges() -> None:
    assert numbers("1 3-5,7", "delete") == [1, 3, 4, 5, 7]


@pytest.mark.parametrize("text", ["x", "5-3", "1-99999999", "-2"])
def test_bad_number_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="takes numbers"):
        numbers(text, "delete")


def test_choice_by_unique_prefix() -> None:
    assert choose("loc", ("locals", "line", "args"), "topic") == "locals"
    assert choose("line", ("lines", "line"), "topic") == "line"
    with pytest.raises(UsageError, match="ambiguous topic 'l': it is one of locals, line"):
        choose("l", ("locals", "line", "args"), "topic")
    with pytest.raises(UsageError, match="no topic 'x': it is one of locals, line, args"):
        choose("x", ("locals", "line", "args"), "topic")
