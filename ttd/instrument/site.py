"""What a site is: a place where a function can be frozen. `sites` finds them. And what is noted where.

Apart from how sites are found, since a program that was analysed before needs none of that.

May import `ttd.wasm`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from ttd.wasm.model import ValType
from ttd.wasm.predicate import Predicate


class SiteKind(enum.Enum):
    ENTRY = "entry"
    """The tick at entry; arguments in their locals, nothing executed."""
    LOOP = "loop"
    """The tick at a loop header; the loop's parameters are on the operand stack."""
    CALL = "call"
    """A call that has not returned; its arguments are off the operand stack, its results not yet on it."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place where a function can be frozen. `number` counts from 0 in each function."""

    function: int
    number: int
    kind: SiteKind
    index: int
    """Index of the call or loop instruction in the body; -1 at the entry."""
    pc: int
    """Of the frame while it is frozen here, as `ttd.state.Frame.pc`. At a tick that nothing follows but the
    end of the function, that of the final `end`."""
    locals: tuple[int, ...]
    """Indices of the live locals, ascending."""
    operands: tuple[ValType, ...]
    """The operand stack, outermost first."""
    results: tuple[ValType, ...] = ()
    """CALL: what the callee will push."""


Places: TypeAlias = "frozenset[tuple[int, Predicate | None]]"
"""Offsets of instructions before which a tick is to be noted, with what has to be true for that."""

NOWHERE: Places = frozenset()
