"""The sites of a function as they are asked for while it runs.

They are kept in the cache: a function in which a program was frozen before need not be analysed again.

May import base, `ttd.wasm` and `site`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ttd.instrument.site import Site, SiteKind
from ttd.wasm.model import ValType

if TYPE_CHECKING:
    from ttd.instrument.sites import FunctionPlan

Value = tuple[bool, int, ValType]
"""A value of a record, as in `SiteGroup.values`."""


class SiteTable:
    """The sites of one ticking function, by number, and what their records consist of."""

    def __init__(
        self, types: Sequence[ValType], sites: Sequence[Site], groups: Sequence[tuple[list[int], list[Value]]]
    ) -> None:
        """`types` are those of the function's locals; `groups` the numbers of the sites of each group, and
        what a record of it consists of."""
        self._types = types
        self.sites = sites
        self._groups = groups
        self._group_of = {number: values for numbers, values in groups for number in numbers}
        self.loops = {site.pc: site for site in sites if site.kind is SiteKind.LOOP}
        """By pc. Several loops may come to rest at one instruction. Which of them is thawed makes no
        difference: between each and the instruction nothing is done."""
        self.calls = {site.pc: site for site in sites if site.kind is SiteKind.CALL}
        """By pc."""

    @staticmethod
    def of(plan: FunctionPlan) -> SiteTable:
        """The table of a function that was analysed."""
        members: dict[int, list[int]] = {}
        for number, group in plan.groups.items():
            members.setdefault(group.number, []).append(number)
        groups = [(numbers, list(plan.groups[numbers[0]].values)) for numbers in members.values()]
        return SiteTable(plan.function.local_types, plan.sites, groups)

    def record_types(self, site: Site) -> tuple[ValType, ...]:
        """Types of the values of a frame frozen at `site`: live locals, then operands."""
        return tuple(self._types[i] for i in site.locals) + site.operands

    def spilled(self, site: Site) -> tuple[tuple[ValType, ...], list[int] | None]:
        """Types of the values in the record that a freeze at `site` spills; and, if that record is one of a
        group, where in it the values of the site are."""
        group = self._group_of.get(site.number)
        if group is None:
            return self.record_types(site), None
        places = {value: place for place, value in enumerate(group)}
        picks = [places[False, index, self._types[index]] for index in site.locals]
        picks += [places[True, height, type_] for height, type_ in enumerate(site.operands)]
        return tuple(type_ for _, _, type_ in group), picks

    def to_json(self) -> bytes:
        rows = [
            [site.kind.value, site.index, site.pc, site.locals, site.operands, site.results]
            for site in self.sites
        ]
        return json.dumps([rows, self._groups]).encode()

    @staticmethod
    def from_json(function: int, types: Sequence[ValType], data: bytes) -> SiteTable:
        """What `to_json` has written, of nothing else, for a function whose locals have `types`."""
        rows, groups = json.loads(data)
        sites = [
            Site(
                function, number, SiteKind(kind), index, pc, tuple(locals_), _types(operands), _types(results)
            )
            for number, (kind, index, pc, locals_, operands, results) in enumerate(rows)
        ]
        return SiteTable(
            types,
            sites,
            [
                (numbers, [(is_operand, index, ValType(type_)) for is_operand, index, type_ in values])
                for numbers, values in groups
            ],
        )


def _types(codes: Sequence[int]) -> tuple[ValType, ...]:
    return tuple(ValType(code) for code in codes)
