"""What a trace says about its recording: the manifest, and the version of the format.

The store sits below the engines, so an invocation and the limits have types of their own here; the
recorder fills them in and the replayer makes a `Program` of them again.

May import base modules only.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath

from ttd.errors import DamagedTrace
from ttd.types import ExceptionValue, Value

APPLICATION_ID = 0x54544454
"""What an SQLite trace file has as its application_id (byte 68 of the file): ``TTDT``."""

FORMAT_VERSION = 1
"""Version of the trace format. A reader refuses a later one; a change that an older reader would
misunderstand needs a new number. History:

1. The first: events in chunks, snapshots over content-addressed pages, a checksum on everything.
"""


class StdinKind(enum.Enum):
    """Where the guest's standard input came from."""

    INHERIT = "inherit"
    FILE = "file"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Preopen:
    """A directory that the guest was given: its path on the host, and the name the guest knew it by."""

    host: str
    guest: str


@dataclass(frozen=True, slots=True)
class RecordedInvocation:
    """A call from outside: function index and arguments; `export` is the name it was asked for by."""

    function: int
    arguments: tuple[Value, ...] = ()
    export: str = ""


@dataclass(frozen=True, slots=True)
class RecordedLimits:
    """Resource limits of the run: as `ttd.engine.protocol.Limits`."""

    call_depth: int
    memory_pages: int
    table_elements: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """All about a recording that is known before it starts.

    `program` is the path of the module as the user gave it. `tick_rule` is the version of the tick rule
    (`ttd.engine.protocol.TICK_RULE`); whoever replays must compare it. `settings` has room for what only
    some recordings have, such as ``host`` (the file of host functions).
    """

    program: str
    invocations: tuple[RecordedInvocation, ...]
    limits: RecordedLimits
    tick_rule: int
    ttd_version: str
    engine: str
    nan_rule: str = "canonical"
    argv: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    preopens: tuple[Preopen, ...] = ()
    stdin: StdinKind = StdinKind.INHERIT
    stdin_path: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    format_version: int = FORMAT_VERSION

    @property
    def name(self) -> str:
        """The program's file name without its extension."""
        return PurePath(self.program).stem or "program"

    def to_plain(self) -> dict[str, object]:
        """The manifest as maps, lists, texts and numbers, for the codec; `from_plain` is the inverse."""
        return {
            "program": self.program,
            "invocations": [[call.function, call.arguments, call.export] for call in self.invocations],
            "limits": [self.limits.call_depth, self.limits.memory_pages, self.limits.table_elements],
            "tick_rule": self.tick_rule,
            "ttd_version": self.ttd_version,
            "engine": self.engine,
            "nan_rule": self.nan_rule,
            "argv": self.argv,
            "env": self.env,
            "preopens": [[preopen.host, preopen.guest] for preopen in self.preopens],
            "stdin": self.stdin.value,
            "stdin_path": self.stdin_path,
            "settings": dict(self.settings),
            "created": self.created.astimezone(UTC).isoformat(),
            "format_version": self.format_version,
        }

    @classmethod
    def from_plain(cls, plain: object) -> Manifest:
        """The manifest that `to_plain` made `plain` of; raises DamagedTrace for anything else."""
        if not isinstance(plain, dict):
            raise DamagedTrace("the trace's manifest is damaged: it is not a map")
        try:
            return _manifest(plain)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedTrace(f"the trace's manifest is damaged: {error}") from error


def _manifest(plain: Mapping[object, object]) -> Manifest:
    call_depth, memory_pages, table_elements = _items(plain["limits"], 3)
    return Manifest(
        program=_text(plain["program"]),
        invocations=tuple(_invocation(item) for item in _items(plain["invocations"])),
        limits=RecordedLimits(_number(call_depth), _number(memory_pages), _number(table_elements)),
        tick_rule=_number(plain["tick_rule"]),
        ttd_version=_text(plain["ttd_version"]),
        engine=_text(plain["engine"]),
        nan_rule=_text(plain["nan_rule"]),
        argv=tuple(_text(item) for item in _items(plain["argv"])),
        env=tuple(_pair(item) for item in _items(plain["env"])),
        preopens=tuple(Preopen(*_pair(item)) for item in _items(plain["preopens"])),
        stdin=StdinKind(plain["stdin"]),
        stdin_path=_text(plain["stdin_path"]),
        settings=_settings(plain["settings"]),
        created=_moment(plain["created"]),
        format_version=_number(plain["format_version"]),
    )


def _invocation(plain: object) -> RecordedInvocation:
    function, arguments, export = _items(plain, 3)
    return RecordedInvocation(_number(function), tuple(_value(v) for v in _items(arguments)), _text(export))


def _settings(plain: object) -> dict[str, str]:
    if not isinstance(plain, dict):
        raise TypeError(f"a map was expected, not {type(plain).__name__}")
    return {_text(key): _text(value) for key, value in plain.items()}


def _moment(plain: object) -> datetime:
    moment = datetime.fromisoformat(_text(plain))
    if moment.tzinfo is None:
        raise ValueError("the time of creation has no time zone")
    return moment


def _pair(plain: object) -> tuple[str, str]:
    first, second = _items(plain, 2)
    return _text(first), _text(second)


def _items(plain: object, count: int | None = None) -> tuple[object, ...]:
    if not isinstance(plain, (list, tuple)):
        raise TypeError(f"a list was expected, not {type(plain).__name__}")
    if count is not None and len(plain) != count:
        raise ValueError(f"{count} items were expected, not {len(plain)}")
    return tuple(plain)


def _text(plain: object) -> str:
    if not isinstance(plain, str):
        raise TypeError(f"a text was expected, not {type(plain).__name__}")
    return plain


def _number(plain: object) -> int:
    if type(plain) is not int or plain < 0:
        raise TypeError(f"a number from 0 up was expected, not {plain!r:.40}")
    return plain


def _value(plain: object) -> Value:
    return plain if plain is None or isinstance(plain, ExceptionValue) else _number(plain)
