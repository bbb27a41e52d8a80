"""A value is followed back to where it was computed or came in, by hops that happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import Guests
from ttd.engine.protocol import Goal
from ttd.errors import ExpressionError
from ttd.replayer import gather
from ttd.replayer.debugger import Debugger, ToEnd, ToPosition
from ttd.replayer.session import Session, interpreter
from ttd.replayer.views import Hop, HopKind, StopKind
from ttd.state import Snapshot
from ttd.store.trace import Trace
from ttd.types import Position

Debug = Callable[[str], Debugger]
Recorded = Callable[[str], Path]

W, C, P, R, X = HopKind.WRITTEN, HopKind.COPIED, HopKind.PASSED, HopKind.RETURNED, HopKind.CONVERTED


def stopped_at(debugger: Debugger, guest: Guests, name: str, marker: str) -> Debugger:
    file, line = guest.place(name, marker)
    debugger.break_(f"{file.name}:{line}", temporary=True)
    assert debugger.continue_().reason is StopKind.BREAKPOINT
    return debugger


def markers(hops: list[Hop], guest: Guests, name: str) -> list[str]:
    """The marked lines that hops of the guest's own code are on, repetitions left out."""
    file = guest.source(name)
    names = {}
    for line in file.read_text().splitlines():
        if "@" in line:
            marker = line.split("@")[1].split()[0]
            names[guest.line(name, marker)] = marker
    found: list[str] = []
    for hop in hops:
        if hop.location is not None and hop.location.path.endswith(file.name):
            marker = names.get(hop.location.line, f"line {hop.location.line}")
            if marker not in found[-1:]:
                found.append(marker)
    return found


ENDS = {
    "product": (["stored", "product", "computed"], HopKind.COMPUTED),
    "received.id": (["memcpy"], HopKind.HOST),
    "kept": (["assigned"], HopKind.HOST),
    "kept.weight": (["assigned", "memcpy"], HopKind.HOST),
    "shelf.parcels[0].id": (["put", "assigned", "memcpy"], HopKind.HOST),
    "shelf.parcels[4].weight": (["put", "assigned", "memcpy"], HopKind.HOST),
    "chosen": (["chosen", "stored", "product", "computed"], HopKind.COMPUTED),
    "real": (["real", "stored", "product", "computed"], HopKind.COMPUTED),
    "byte": (["byte", "assigned", "memcpy"], HopKind.HOST),
    "wide_low": (["bytewise", "narrow", "stored", "computed"], HopKind.COMPUTED),
    "incoming": ([], HopKind.HOST),
    "initial": ([], HopKind.INITIAL),
}
"""For each expression the lines that its value must have passed, and how its way ends."""


@pytest.mark.parametrize("flags", ["", " -O2"])
def test_values_are_followed_through_copies_of_every_kind(debug: Debug, guest: Guests, flags: str) -> None:
    debugger = stopped_at(debug(f"origins{flags}"), guest, "origins", "end")
    here = debugger.position
    for expression, (expected, end) in ENDS.items():
        trail = debugger.origin(expression)
        hops = list(trail)
        assert debugger.position == here
        assert (trail.ending, trail.interrupted) == ("", False)
        assert [hop.kind.is_end for hop in hops] == [False] * (len(hops) - 1) + [True]
        assert hops[-1].kind is end
        assert hops[0].value == debugger.print_(expression)
        met = iter(markers(hops, guest, "origins"))
        assert [marker for marker in expected if marker in met] == expected, (expression, hops)
        positions = [hop.position for hop in hops]
        assert positions == sorted(positions, reverse=True)


def test_hops_say_what_happened(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    hops = list(debugger.origin("product"))
    told = [(hop.kind, hop.function, hop.text) for hop in hops]
    assert told[0] == (W, "store", "written to product")
    assert (P, "main", "passed to store as argument 2") in told
    assert (R, "through", "returned by through") in told
    assert told[-1] == (HopKind.COMPUTED, "multiply", "computed by i32.mul: 1 * 21")
    assert {hop.value for hop in hops} == {"21"}
    for hop in hops:
        debugger.goto(ToPosition(hop.position))
        assert debugger.where().pc == hop.pc


def test_the_host_call_is_named_that_a_value_came_from(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    last = list(debugger.origin("kept.height"))[-1]
    assert last.call is not None
    assert last.text == f"written by the host, in host call {last.call.number}"
    debugger.goto(ToPosition(last.position))
    call = debugger.call_here()
    assert call is not None and call.number == last.call.number
    assert last.call.writes[0].data[6:8] == b"\x05\0"


def test_at_most_so_many_hops_are_told_as_asked_for(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    trail = debugger.origin("product", most=2)
    assert list(trail) == list(debugger.origin("product"))[:2]
    assert trail.ending == "The way goes on; ask for more than 2 to see it."


def test_an_interrupt_ends_the_way_where_it_is(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    here = debugger.position
    trail = debugger.origin("product")
    next(trail)
    debugger.interrupt()
    assert list(trail) == []
    assert trail.interrupted
    assert debugger.position == here


def test_a_copy_of_which_a_piece_is_another_value_is_not_told_as_one(
    debug: Debug, guest: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    whole = next(debugger.origin("wide_low"))
    assert (whole.kind, whole.text) == (C, "copied in 4 pieces to wide_low")
    monkeypatch.setattr(gather, "MOST_PIECES", 3)
    newest = next(debugger.origin("wide_low"))
    assert newest.kind is W
    assert newest.text == "written to wide_low (last write of several: 1 byte of 4, from byte 3)"


def test_what_is_computed_has_no_origin_to_follow(debug: Debug, guest: Guests) -> None:
    debugger = stopped_at(debug("origins"), guest, "origins", "end")
    with pytest.raises(ExpressionError, match="computed"):
        debugger.origin("product + 1")


CONSTANT, COMPUTED, INITIAL, LOST = HopKind.CONSTANT, HopKind.COMPUTED, HopKind.INITIAL, HopKind.LOST

MOVES = {
    "0, 4": ([W, R], (COMPUTED, "computed by i32.add: 3 + 4")),
    "4, 4": ([W], (CONSTANT, "the constant 22")),
    "8, 4": ([W], (CONSTANT, "the constant 77")),
    "12, 4": ([W], (CONSTANT, "the constant 66")),
    "16, 4": ([W], (CONSTANT, "the constant 9")),
    "20, 4": ([C, W, R], (COMPUTED, "computed by i32.add: 3 + 4")),
    "24, 4": ([W], (CONSTANT, "the constant 7")),
    "28, 4": ([], (INITIAL, "from data segment 1, by memory.init")),
    "32, 4": ([W, R, P], (CONSTANT, "the constant 8")),
    "36, 4": ([C, W, R], (COMPUTED, "computed by i32.add: 3 + 4")),
    "40, 8": ([W, X, W, R], (COMPUTED, "computed by i32.add: 3 + 4")),
    "44, 4": ([W], (COMPUTED, "computed by i64.extend_i32_u: 7")),
    "48, 4": ([W], (LOST, "it came with an exception that was caught")),
    "56, 8": ([W, X, W], (CONSTANT, "the constant 22")),
    "64, 4": ([W], (INITIAL, "WebAssembly local 0 is 0 until it is set")),
    "68, 4": ([W, R, P], (CONSTANT, "the constant 33")),
    "72, 4": ([W], (CONSTANT, "the constant 44")),
    "76, 4": ([W], (COMPUTED, "computed by memory.grow")),
    "80, 4": ([W, X], (INITIAL, "from data segment 0")),
    "254, 4": ([], (INITIAL, "in part from data segment 0")),
    "258, 4": ([C], (INITIAL, "from data segment 0")),
    "261, 1": ([C], (INITIAL, "from data segment 0")),
    "256, 1": ([], (INITIAL, "from data segment 0")),
    "300, 2": ([], (INITIAL, "memory is zero until it is written")),
}
"""For each place of the module the hops of its value, those in registers left out, and their end."""


def test_every_instruction_that_moves_values_is_followed(debug: Debug) -> None:
    debugger = debug("wat:moves")
    debugger.goto(ToEnd())
    for place, (kinds, end) in MOVES.items():
        hops = list(debugger.origin(place))
        assert [hop.kind for hop in hops[:-1]] == kinds, place
        assert (hops[-1].kind, hops[-1].text) == end, place


def test_an_operand_is_followed_too(debug: Debug) -> None:
    debugger = debug("wat:moves")
    debugger.goto(ToEnd())
    stored, *before = debugger.origin("0, 4")
    debugger.goto(ToPosition(stored.position))
    hops = list(debugger.origin("$operand1"))
    assert [(hop.kind, hop.position) for hop in hops] == [(hop.kind, hop.position) for hop in before]
    assert {hop.value for hop in hops} == {"7"}
    (end,) = debugger.origin("$operand0")
    assert (end.kind, end.text) == (CONSTANT, "the constant 0")
    (pushed,) = debugger.history("$operand1")
    assert (pushed.old, pushed.new) == (None, "7")
    assert pushed.position < debugger.position


def with_another_value(recording: Path, made: Position, until: Position, address: int) -> tuple[int, int]:
    """What would have been if the instruction at `made` had pushed another value: that value's lowest byte,
    and the byte at `address` at `until`."""
    with Trace.open(recording) as trace:
        session = Session(trace, interpreter)
        session.slice(Goal(until=made))
        session.step()
        snapshot = Snapshot.capture(session.state)
        frames = [frame.copy() for frame in snapshot.frames]
        pushed = frames[-1].operands[-1]
        assert isinstance(pushed, int)
        frames[-1].operands[-1] = other = pushed ^ 0x15
        session.restore(replace(snapshot, frames=tuple(frames)))
        session.slice(Goal() if until >= session.end else Goal(until=until))
        found = session.state.memories[0].view()[address]
        session.close()
        return other & 0xFF, found


@pytest.mark.parametrize("name", ["wat:moves", "origins -O2"])
def test_another_value_at_the_origin_would_be_another_value_here(
    debug: Debug, recorded: Recorded, guest: Guests, name: str
) -> None:
    debugger = debug(name)
    if name == "wat:moves":
        debugger.goto(ToEnd())
        places = [place for place in MOVES if place != "24, 4"]
    else:
        debugger = stopped_at(debugger, guest, "origins", "print")
        places = ["product", "chosen", "wide", "narrow", "wide_low"]
    tried = 0
    for place in places:
        hops = list(debugger.origin(place))
        is_number = all(hop.kind is not X or "i64" in hop.text or "i32.wrap" in hop.text for hop in hops)
        if hops[-1].kind in (CONSTANT, COMPUTED) and "extend" not in hops[-1].text and is_number:
            address = int(place.split(",")[0]) if "," in place else debugger.watch(place).address
            made = hops[-1].position
            expected, found = with_another_value(recorded(name), made, debugger.position, address)
            assert found == expected, place
            tried += 1
    assert tried >= 5


def test_an_argument_of_the_run_comes_from_outside(debug: Debug) -> None:
    debugger = debug("library")
    debugger.break_("scale")
    debugger.continue_()
    last = list(debugger.origin("$local0"))[-1]
    assert last.kind is HopKind.INVOKED
    assert "called from outside" in last.text
