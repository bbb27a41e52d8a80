"""Writing a core dump of where the machine stands.

May import base, coredump, the store and this package.
"""

from __future__ import annotations

from collections.abc import Iterator

from ttd.coredump.capture import capture
from ttd.coredump.format import write
from ttd.errors import DamagedTrace
from ttd.replayer.session import Session
from ttd.types import EndKind


def core_dump(session: Session) -> bytes:
    """The dump of the present state, with the module and the sources of the recording."""
    state, ending = session.known, session.ending
    is_trap = ending.kind is EndKind.TRAP and state.position == ending.position
    return write(
        capture(
            state,
            session.module,
            session.trace.manifest.program,
            ending.trap if is_trap else None,
            dict(_sources(session)),
            _debug_info(session),
        )
    )


def _debug_info(session: Session) -> bytes | None:
    try:
        return session.trace.debug_info
    except DamagedTrace:
        return None


def _sources(session: Session) -> Iterator[tuple[str, bytes]]:
    """The sources in the recording, as far as they are not damaged."""
    for name in session.trace.sources:
        try:
            yield name, session.trace.sources[name]
        except DamagedTrace:
            continue
