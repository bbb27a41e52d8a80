"""How the log is cut into chunks of events and chunks of calls in raw form.

A log in raw form costs next to nothing to store, but each chunk is a row. So logs that follow one another
become one, together with the single events between them that have a raw form too (calls that Python made
while compiled code ran); and what is still small then becomes events.

May import base modules only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ttd.calllog import CallLog, Joined, encode_calls
from ttd.errors import InternalError
from ttd.events import HostCall

SMALL_LOG = 16 << 10
"""Logs of calls with fewer bytes, all joined, become events."""


def groups(items: Iterable[HostCall | CallLog], number: int) -> Iterator[list[HostCall] | CallLog]:
    """`items`, of which the first is event `number`, as runs of events and large logs by turns."""
    return _Grouping(number).groups(items)


class _Grouping:
    def __init__(self, number: int) -> None:
        self._next = number
        """The number of the first event that is not in a group yet, nor in the run."""
        self._run: list[HostCall] = []
        self._joined = Joined()

    def groups(self, items: Iterable[HostCall | CallLog]) -> Iterator[list[HostCall] | CallLog]:
        for item in items:
            log = item if isinstance(item, CallLog) else self._raw(item)
            if log is not None and self._joined.add(log):
                continue
            yield from self._close_log()
            if isinstance(item, HostCall):
                self._run.append(item)
                self._next += 1
            elif not self._joined.add(item):
                raise InternalError("a log of calls is larger than any may be")
        yield from self._close_log()
        if self._run:
            yield self._run

    def _raw(self, event: HostCall) -> CallLog | None:
        """An event in raw form, if that tells all of it and there is a log to which it can be joined."""
        if not self._joined.count or event.position.is_exact:
            return None
        return encode_calls([event], self._joined.room)

    def _close_log(self) -> Iterator[list[HostCall] | CallLog]:
        log = self._joined.take()
        if log is None:
            return
        if len(log.data) < SMALL_LOG:
            self._run += log.events(self._next)
        else:
            if self._run:
                yield self._run
            self._run = []
            yield log
        self._next += log.count
