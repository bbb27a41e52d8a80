"""Every example of docs/expressions.md does what the page says."""

from __future__ import annotations

import re

from tests.debuginfo.program import Stopped
from tests.support import ROOT, Guests
from ttd.errors import ExpressionError
from ttd.expr import FORMATS, ValueHistory, evaluate, format_value, parse

PAGE = ROOT / "docs" / "expressions.md"


def test_every_example_does_what_the_page_says(guest: Guests) -> None:
    stopped = Stopped(guest, "expressions", "inner")
    examples = re.findall(r"^\(ttd\) print(?:/(\w))? (.+)\n(.+)$", PAGE.read_text(), re.MULTILINE)
    assert len(examples) == PAGE.read_text().count("\n(ttd) ") > 15
    history = ValueHistory()
    for fmt, text, shown in examples:
        assert _printed(stopped, text, fmt, history) == shown, text
    stopped.engine.close()


def _printed(stopped: Stopped, text: str, fmt: str, history: ValueHistory) -> str:
    """What `print` writes: ``$1 = value``, or why there is no value."""
    value = evaluate(parse(text), stopped.context())
    try:
        value.require_memory()
    except ExpressionError as error:
        return str(error)
    return f"${history.add(value)} = {format_value(value, fmt)}"


def test_every_format_is_described() -> None:
    described = re.findall(r"^\| ((?:`\w` ?)+)\|", PAGE.read_text(), re.MULTILINE)
    assert set("".join(described)) - set("` ") == set(FORMATS)
