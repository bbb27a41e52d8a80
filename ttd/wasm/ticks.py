"""Which functions tick when they are entered: the static half of the tick rule.

Every engine goes by this predicate; `ttd.engine.protocol.TICK_RULE` is its version. The other half of the
rule is dynamic: every arrival at a loop header ticks.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from ttd.wasm.model import Function
from ttd.wasm.opcodes import BY_MNEMONIC

_TICKING = frozenset(
    BY_MNEMONIC[name] for name in ("loop", "call", "call_indirect", "return_call", "return_call_indirect")
)


def ticks_at_entry(function: Function) -> bool:
    """Whether entering `function` is a tick: its body contains a call or a loop, reachable or not.

    InternalError for an imported function, which has no body.
    """
    return not _TICKING.isdisjoint(function.code.opcodes)
