"""What is executed of a function in any case: the instructions before the first that may lead elsewhere.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from ttd.wasm.model import Body
from ttd.wasm.opcodes import BY_MNEMONIC

_BLOCK = BY_MNEMONIC["block"]
_PLAIN = frozenset(
    BY_MNEMONIC[name]
    for name in ("local.get", "local.set", "local.tee", "global.get", "global.set", "drop", "select")
)
"""Instructions whose types depend on context and that are not control."""


def straight_from_entry(body: Body) -> frozenset[int]:
    """Offsets of the instructions that are executed first in every activation, and in the tick of its entry;
    never again in that activation."""
    offsets = []
    for instruction in body.instructions:
        op = instruction.op
        if op is _BLOCK:
            continue
        if op.is_marker:
            break
        offsets.append(instruction.offset)
        if op.params is None and op not in _PLAIN:
            break
    return frozenset(offsets)
