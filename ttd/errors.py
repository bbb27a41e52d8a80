"""Every error that ttd raises on purpose, in one hierarchy.

A front end catches `TtdError` once, at its edge, prints ``str(error)`` as one line and exits with
``error.exit_code``. A message says what is wrong and, where there is one, the next step to take.

Imports nothing of ttd but types.
"""

from __future__ import annotations

from typing import NoReturn

from ttd.types import Position


class TtdError(Exception):
    """Root of the hierarchy: something the user should be told in one line."""

    exit_code = 1


class UsageError(TtdError):
    """The user asked for something that cannot be: a bad argument, a missing file, an unknown command."""

    exit_code = 2


class InvalidModule(TtdError):
    """The bytes are not a valid WebAssembly module.

    `offset` is the byte offset in the file at which decoding failed, or None where it is not known.
    """

    advice = "; build or copy it again"
    """What to do about a file with such bytes."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte offset {offset:#x})")
        self.offset = offset

    def of_file(self, name: str) -> InvalidModule:
        """The same error, naming the file and what to do about it."""
        error = InvalidModule(f"{name}: {self}{self.advice}")
        error.offset = self.offset
        return error


class NotAModule(InvalidModule):
    """The bytes are something else than a module: `kind`, which says what to do about that too."""

    advice = ""

    def __init__(self, kind: str) -> None:
        super().__init__(f"not a WebAssembly module, but {kind}")
        self.offset = 0  # which the message need not spell out


class UnsupportedFeature(TtdError):
    """The module is valid WebAssembly, but uses a feature that ttd does not support.

    `feature` is the name of the WebAssembly proposal; the message says how to rebuild without it.
    """

    def __init__(self, feature: str, advice: str, offset: int | None = None) -> None:
        place = "" if offset is None else f" (at byte offset {offset:#x})"
        super().__init__(f"the module uses {feature}, which ttd does not support{place}; {advice}")
        self.feature = feature
        self.offset = offset


class EngineUnusable(TtdError):
    """An engine cannot run a program that another one can; the message names that one."""


class LinkError(TtdError):
    """An import of the module cannot be satisfied, or instantiation failed before any code ran."""


class DamagedTrace(TtdError):
    """A trace file cannot be opened, or a part of it that is needed is damaged."""


class InvalidCoreDump(TtdError):
    """A file is no core dump that can be read, or none of the module that it is to be looked at with."""


class TraceVersionError(TtdError):
    """The trace was written by a version of ttd whose format this one does not read."""


class Divergence(TtdError):
    """A replay did something else than its recording: the recording, or ttd, is not deterministic.

    `position` is where, `expected` what the log holds, `actual` what the replay did.
    """

    def __init__(self, position: Position, expected: str, actual: str) -> None:
        super().__init__(
            f"replay diverged from the recording at {position}: recorded {expected}, replayed {actual}"
        )
        self.position = position
        self.expected = expected
        self.actual = actual


class ExpressionError(TtdError):
    """An expression does not parse or cannot be evaluated here; `column` counts from 0 where known."""

    def __init__(self, message: str, column: int | None = None) -> None:
        super().__init__(message)
        self.column = column
        self.text: str | None = None
        """The expression that the column is of, where known."""


class InternalError(TtdError):
    """A bug in ttd: an invariant does not hold."""

    exit_code = 70

    def __init__(self, message: str) -> None:
        super().__init__(f"internal error: {message}; this is a bug in ttd, please report it")


def check(condition: bool, message: str) -> None:
    """Raise `InternalError` unless `condition` holds. Where others would `assert`; never compiled out."""
    if not condition:
        raise InternalError(message)


def unreachable(message: str) -> NoReturn:
    """Raise `InternalError`: control came to a place that it cannot come to."""
    raise InternalError(message)
