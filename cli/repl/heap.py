"""The command about the heap: what is allocated, by whom, and what was freed.

May import `ttd.replayer` (types only) and the session's parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ttd.cli.output import plain, size
from ttd.cli.repl.command import Call, Command, Complete, Group, number
from ttd.cli.repl.console import Style
from ttd.cli.repl.examine import address_of
from ttd.cli.repl.render import display_path

if TYPE_CHECKING:
    from ttd.cli.repl.session import Session
    from ttd.engine.protocol import Call as RecordedCall
    from ttd.replayer.heap import Allocation, HeapView

PAGE = 10
"""How many allocations are listed unless told."""
MOST_STRAYS = 3

ORDERS: dict[str, Callable[[Allocation], tuple[int, ...]]] = {
    "biggest": lambda allocation: (-allocation.size, allocation.made.entered),
    "newest": lambda allocation: (-allocation.made.returned,),
    "leaks": lambda allocation: (-allocation.size, allocation.made.entered),
}
"""By what `heap` sorts; leaks are what lives at the end of the recording."""


def heap(session: Session, call: Call) -> None:
    """Show what is allocated here, and where that was done.

    The biggest allocations first, or the newest; COUNT tells how many. 'heap leaks'
    lists what lives at the end of the recording. 'heap ADDRESS' tells which allocation
    an address belongs to, or belonged to before it was freed, and by whom.

    It comes from the calls of malloc, calloc, realloc, free and their kin, of C++'s
    operators new and delete, and of Rust's allocator, from the beginning of the
    recording on; so the first time takes about as long as the program ran.
    """
    word, _, rest = call.arguments.partition(" ")
    most = number(rest, f"heap {word}") if rest and word in ORDERS else PAGE
    if not session.debugger.heap.is_known:
        session.console.write(f"Nothing is known of the heap: {session.debugger.heap.why_not}")
        return
    if word in ORDERS or not word:
        _list(session, session.debugger.heap.view(at_end=word == "leaks"), word or "biggest", most)
    else:
        _explain(session, address_of(session.debugger.evaluate(call.arguments)))


def _list(session: Session, view: HeapView, order: str, most: int) -> None:
    write = session.console.write
    where = " at the end of the recording" if order == "leaks" else ""
    live = _count(len(view.live), "live allocation")
    write(f"{live}{where}, {size(view.size)}; {len(view.freed)} freed before.")
    if view.failed:
        write(f"{_count(view.failed, 'allocation')} failed.")
    for stray in view.strays[:MOST_STRAYS]:
        write(f"Freed, but not seen to be allocated: {stray.first:#x}, by {_origin(session, stray)}")
    if len(view.strays) > MOST_STRAYS:
        write(f"({len(view.strays) - MOST_STRAYS} more were freed and not seen to be allocated)")
    shown = sorted(view.live, key=ORDERS[order])[:most]
    origins = {
        each.made: _origin(session, each.made) for each in sorted(shown, key=lambda each: each.made.entered)
    }
    for allocation in shown:
        write(f"{_address(session, allocation.address)} {allocation.size:8}  {origins[allocation.made]}")
    if len(view.live) > len(shown):
        write(f"({len(view.live) - len(shown)} more; 'heap {order} {len(view.live)}' lists all)")


def _explain(session: Session, address: int) -> None:
    for line in _explanation(session, address, session.debugger.heap.view().find(address)):
        session.console.write(line)


def _explanation(session: Session, address: int, found: Allocation | None) -> Iterator[str]:
    shown = _address(session, address)
    if found is None:
        yield f"{shown} belongs to nothing that was allocated up to here."
        return
    state = "freed" if found.freed is not None else "live"
    offset = f"{address - found.address} bytes into " if address > found.address else ""
    yield f"{shown} is {offset}{found.size} bytes at {_address(session, found.address)}, {state}"
    yield f"  allocated by {_origin(session, found.made)}"
    if found.freed is not None:
        yield f"  freed by {_origin(session, found.freed)}"


def _origin(session: Session, call: RecordedCall) -> str:
    """``malloc at 11:0: push at heap.c:18, main at heap.c:41``."""
    origin = session.debugger.heap.origin(call)
    callers = [
        plain(name)
        + (f" at {display_path(session, location)}:{location.line}" if location is not None else "")
        for name, location in origin.callers
    ]
    name = session.console.paint(plain(origin.function), Style.FUNCTION)
    return f"{name} at {origin.position}: {', '.join(callers)}"


def _address(session: Session, address: int) -> str:
    return session.console.paint(f"{address:#x}", Style.ADDRESS)


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


ROWS = (
    Command(
        "heap", (), Group.DATA, Complete.TOPIC, heap, "[biggest | newest | leaks] [COUNT] | ADDRESS",
        ("heap", "heap newest 3", "heap leaks", "heap 16842768"), topics=tuple(ORDERS),
    ),
)  # fmt: skip
