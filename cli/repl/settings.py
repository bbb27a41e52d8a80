"""What `set` changes and `show` shows. Imports nothing of ttd but `ttd.errors` and the command helpers."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ttd.cli.repl.command import choose, number
from ttd.errors import UsageError


@dataclass(slots=True)
class Settings:
    """The settings of a session, with their defaults."""

    listsize: int = 10
    """How many lines `list` shows."""
    highlight: bool = True
    """Whether source text is coloured, where there are colours at all."""
    disassemble_next_line: bool = False
    """Whether every stop also shows the instruction that comes next."""
    print_elements: int = 200
    """How many elements, members and characters of a value are shown."""
    print_depth: int = 20
    """How deep structs and arrays within one another are shown."""
    print_repeats: int = 10
    """From how many equal elements in a row on they are counted."""

    def names(self) -> tuple[str, ...]:
        """The settings as they are typed: ``disassemble-next-line``."""
        return tuple(field.name.replace("_", "-") for field in fields(self))

    def find(self, word: str) -> str:
        """The setting that `word` is, or is the prefix of; raises UsageError.

        ``print elements`` is ``print-elements``, and ``print max-depth`` gdb's name of ``print-depth``.
        """
        name = "-".join(word.split()).replace("print-max-depth", "print-depth")
        return choose(name, self.names(), "setting")

    def change(self, name: str, value: str) -> None:
        """Set setting `name` from text; raises UsageError."""
        attribute = name.replace("-", "_")
        if isinstance(getattr(self, attribute), bool):
            setattr(self, attribute, _switch(name, value))
        else:
            most = LARGEST.get(name, 10_000)
            unlimited = name in LARGEST and value in ("0", "unlimited")
            setattr(self, attribute, most if unlimited else min(number(value, f"set {name}"), most))

    def describe(self, name: str) -> str:
        """The value of setting `name`, as it would be typed."""
        value = getattr(self, name.replace("-", "_"))
        return ("on" if value else "off") if isinstance(value, bool) else str(value)


LARGEST = {"print-elements": 1 << 20, "print-depth": 100, "print-repeats": 1 << 20}
"""What ``unlimited`` means."""


def _switch(name: str, value: str) -> bool:
    if value in ("on", "1", "yes", ""):
        return True
    if value in ("off", "0", "no"):
        return False
    raise UsageError(f"'set {name}' takes 'on' or 'off', not {value!r}")
