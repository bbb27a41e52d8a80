"""What memory holds at the beginning of a run, before anything is written: data segments, and zeros.

May import wasm and this package.
"""

from __future__ import annotations

from ttd.replayer.places import InMemory
from ttd.wasm.model import Data, Module, SegmentMode
from ttd.wasm.names import Names


def initial_contents(module: Module, place: InMemory) -> str:
    """Where the first contents of a place come from, in words: ``from data segment 1 (.data)``."""
    names = Names(module)
    segments = [
        index
        for index, data in enumerate(module.datas)
        if data.memory == place.memory and _covers(data, place)
    ]
    if any(data.mode is SegmentMode.ACTIVE and _start(data) is None for data in module.datas):
        return "as the module and its host laid it out"
    if not segments:
        return "memory is zero until it is written"
    index = segments[-1]  # they are copied in order
    name = names.data(index)
    part = "" if _holds(module.datas[index], place) else "in part "
    return f"{part}from data segment {index}" + ("" if name.startswith("data[") else f" ({name})")


def _covers(data: Data, place: InMemory) -> bool:
    """Whether a segment is copied over some of the place when the module is instantiated."""
    start = _start(data)
    if data.mode is not SegmentMode.ACTIVE or start is None:
        return False
    return start < place.address + place.length and place.address < start + len(data.data)


def _holds(data: Data, place: InMemory) -> bool:
    """Whether a segment is copied over all of the place."""
    start = _start(data) or 0
    return start <= place.address and place.address + place.length <= start + len(data.data)


def _start(data: Data) -> int | None:
    """The address an active segment is copied to; None if that is no constant."""
    first = data.offset[0] if data.offset is not None and len(data.offset) == 2 else None
    if first is None or first.op.mnemonic not in ("i32.const", "i64.const"):
        return None
    value = first.immediates[0]
    return value if isinstance(value, int) else None
