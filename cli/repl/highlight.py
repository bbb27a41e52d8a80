"""Source text with colours, through Pygments, a whole file at a time: comments span lines.

May import Pygments (late: it costs start-up time).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.lexer import Lexer

LARGEST = 1 << 20
"""Characters of source above which a file is shown without colours."""


def highlight(path: str, text: str) -> tuple[str, ...]:
    """The lines of `text`, the file at `path`, with ANSI colours if its language is known."""
    lines = tuple(text.split("\n"))
    if len(text) > LARGEST:
        return lines
    return _highlight(path, text, lines)


@lru_cache(maxsize=16)
def _highlight(path: str, text: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    from pygments import highlight as render
    from pygments.formatters import TerminalFormatter

    lexer = _lexer(path)
    if lexer is None:
        return lines
    rendered: str = render(text, lexer, TerminalFormatter())
    coloured = tuple(rendered.split("\n"))
    return coloured if len(coloured) == len(lines) else lines


def _lexer(path: str) -> Lexer | None:
    from pygments.lexers import get_lexer_for_filename
    from pygments.util import ClassNotFound

    try:
        lexer: Lexer = get_lexer_for_filename(path, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    return lexer
