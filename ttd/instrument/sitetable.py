"""The sites of a function as they are asked for while it runs.

They are kept in the cache: a function in which a program was frozen before need not be analysed again.

May import base, `ttd.wasm` and `site`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ttd.instrument.site import Site, SiteKind
from ttd.wasm.model import ValType

if TYPE_CHECKING:
    from ttd.instrument.sites import FunctionPlan


class SiteTable:
    """The sites of one ticking function, by number, and what their records consist of."""

    def __init__(
        self, types: Sequence[ValType], sites: Sequence[Site], shared: Mapping[int, tuple[int, ...]]
    ) -> None:
        """`types` are those of the function's locals; `shared` tells by number of the site which
        of its locals shared code spills, behind all that the site spills itself."""
        self._types = types
        self.sites = sites
        self._shared = shared
        self.loops = {site.pc: site for site in sites if site.kind is SiteKind.LOOP}
        """By pc. Several loops may come to rest at one instruction. Which of them is thawed makes no
        difference: between each and the instruction nothing is done."""
        self.calls = {site.pc: site for site in sites if site.kind is SiteKind.CALL}
        """By pc."""

    @staticmethod
    def of(plan: FunctionPlan) -> SiteTable:
        """The table of a function that was analysed."""
        chains = ((number, shared.chain()) for number, shared in plan.shared.items())
        spilled = {number: tuple(i for each in chain for i in each.locals) for number, chain in chains}
        return SiteTable(plan.function.local_types, plan.sites, spilled)

    def record_types(self, site: Site) -> tuple[ValType, ...]:
        """Types of the values of a frame frozen at `site`: live locals, then operands."""
        return tuple(self._types[i] for i in site.locals) + site.operands

    def spilled(self, site: Site) -> tuple[tuple[ValType, ...], list[int] | None]:
        """Types of the values in the record that a freeze at `site` spills; and, if they are in another order
        there, where in it the values of the site are."""
        shared = self._shared.get(site.number)
        if shared is None:
            return self.record_types(site), None
        count, last = len(site.locals), set(shared)
        order = [place for place, index in enumerate(site.locals) if index not in last]
        order += range(count, count + len(site.operands))
        place_of = {index: place for place, index in enumerate(site.locals)}
        order += [place_of[index] for index in shared]
        types, picks = self.record_types(site), [0] * len(order)
        for position, place in enumerate(order):
            picks[place] = position
        return tuple(types[place] for place in order), picks

    def to_json(self) -> bytes:
        rows = [
            [site.kind.value, site.index, site.pc, site.locals, site.operands, site.results]
            for site in self.sites
        ]
        return json.dumps([rows, list(self._shared.items())]).encode()

    @staticmethod
    def from_json(function: int, types: Sequence[ValType], data: bytes) -> SiteTable:
        """What `to_json` has written, of nothing else, for a function whose locals have `types`."""
        rows, shared = json.loads(data)
        sites = [
            Site(
                function, number, SiteKind(kind), index, pc, tuple(locals_), _types(operands), _types(results)
            )
            for number, (kind, index, pc, locals_, operands, results) in enumerate(rows)
        ]
        return SiteTable(types, sites, {number: tuple(locals_) for number, locals_ in shared})


def _types(codes: Sequence[int]) -> tuple[ValType, ...]:
    return tuple(ValType(code) for code in codes)
