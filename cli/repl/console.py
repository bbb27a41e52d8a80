"""Where the prompt writes: a text stream, with colours only where a terminal shows them.

May import `ttd.cli.output`.
"""

from __future__ import annotations

import enum
from typing import TextIO

from ttd.cli.output import colours


class Style(enum.Enum):
    """What a piece of text is; the value is its ANSI rendition (gdb's own choice of colours)."""

    FUNCTION = "33"
    FILE = "32"
    ADDRESS = "34"
    VARIABLE = "36"
    STRONG = "1"
    DIM = "2"


class Console:
    """A stream to write on, and whether it takes colours."""

    def __init__(self, stream: TextIO, colour: bool | None = None) -> None:
        self.stream = stream
        self.colour = colours(stream) if colour is None else colour

    def write(self, text: str = "") -> None:
        """Write a line (or several)."""
        self.stream.write(text + "\n")

    def flush(self) -> None:
        """Hand everything to the terminal now."""
        self.stream.flush()

    def paint(self, text: str, style: Style) -> str:
        """`text` in a style, or as it is where there are no colours."""
        return f"\x1b[{style.value}m{text}\x1b[0m" if self.colour and text else text
