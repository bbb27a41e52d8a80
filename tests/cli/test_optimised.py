"""The session in docs/optimised-code.md, word for word."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.cli.conftest import Ran
from tests.support import ROOT, Guests

PAGE = (ROOT / "docs" / "optimised-code.md").read_text()


def test_the_session_on_the_page_is_what_is_printed(ttd: Callable[..., Ran], guest: Guests) -> None:
    (text,) = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    commands = [part for command in re.findall(r"(?m)^\(ttd\) (.*)$", text) for part in ("-e", command)]
    assert ttd("record", "-o", "it.trace", str(guest("inlines", "-O2"))).code == 0
    ran = ttd("replay", "it.trace", *commands)
    assert (ran.out, ran.err) == (text, "")


def test_a_trap_in_inlined_code_is_told_with_all_its_frames(ttd: Callable[..., Ran], guest: Guests) -> None:
    ran = ttd("record", "-o", "it.trace", str(guest("inlined", "-O2")))
    lines = [line for line in ran.err.splitlines() if line.lstrip().startswith("#")]
    names = [(number, name) for number, name in re.findall(r"#(\d+) +(\w+) \(", "\n".join(lines))]
    assert names[:4] == [("0", "ratio"), ("1", "average"), ("2", "report"), ("3", "main")]
    assert f"inlined.c:{guest.line('inlined', 'average')}" in lines[1]
