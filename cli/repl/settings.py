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

    def names(self) -> tuple[str, ...]:
        """The settings as they are typed: ``disassemble-next-line``."""
        return tuple(field.name.replace("_", "-") for field in fields(self))

    def find(self, word: str) -> str:
        """The setting that `word` is, or is the prefix of; raises UsageError."""
        return choose(word, self.names(), "setting")

    def change(self, name: str, value: str) -> None:
        """Set setting `name` from text; raises UsageError."""
        attribute = name.replace("-", "_")
        if isinstance(getattr(self, attribute), bool):
            setattr(self, attribute, _switch(name, value))
        else:
            setattr(self, attribute, min(number(value, f"set {name}"), 10_000))

    def describe(self, name: str) -> str:
        """The value of setting `name`, as it would be typed."""
        value = getattr(self, name.replace("-", "_"))
        return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _switch(name: str, value: str) -> bool:
    if value in ("on", "1", "yes", ""):
        return True
    if value in ("off", "0", "no"):
        return False
    raise UsageError(f"'set {name}' takes 'on' or 'off', not {value!r}")
