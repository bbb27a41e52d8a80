"""How the sites of a large function share the code that spills.

Code that spills at each site takes room and time by sites times live values, which grows with the square of
the function. But most of what is live at a site is live at the next one too, with the same value. So sites
that follow each other share the code for what is live at all of them, and such groups again:

    site 1:  spill what only it needs ─┐
    site 2:  spill what only it needs ─┴─ spill what both need ─┐
    site 3:  spill what only it needs ─┐                        ├─ spill what all four need; return
    site 4:  spill what only it needs ─┴─ spill what both need ─┘

A local that is assigned between two sites is another value at the second. Shared code could spill it as well,
but the compiler would have to move both values to one place first, and that takes it longer than two spills.
Sites that spill in place share nothing.

May import `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, cast

from ttd.wasm.opcodes import BY_MNEMONIC

if TYPE_CHECKING:
    from ttd.instrument.sites import FunctionPlan

_SETS = frozenset((BY_MNEMONIC["local.set"], BY_MNEMONIC["local.tee"]))
SIZES = (3, 3)
"""How many sites share code, how many of these groups share code again, and so on."""


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Code that several sites lead to, or several groups of them."""

    number: int
    locals: tuple[int, ...]
    """What is spilled."""
    then: Shared | None
    """What spills the rest; None if that was all."""
    covers: int
    """The mask of the locals that are spilled by this and by the rest."""

    def chain(self) -> Iterator[Shared]:
        """This, and what spills the rest."""
        shared: Shared | None = self
        while shared is not None:
            yield shared
            shared = shared.then


class _Item(NamedTuple):
    """A site, or what some share."""

    live: int
    assigned: int
    """The locals that are assigned between the one before and its (last) site."""
    sites: tuple[int, ...]
    """Their numbers."""


def share(plan: FunctionPlan, live: Mapping[int, int]) -> dict[int, Shared]:
    """What the sites of a function share, by number of the site. `live` has the masks of their locals, by
    index of the instruction."""
    items = _items(plan, live)
    rows: list[list[_Item]] = []
    for size in SIZES:
        items = [_common(items[start : start + size]) for start in range(0, len(items), size)]
        rows.append(items)
    found: dict[int, Shared] = {}
    number = 0
    for item in chain(*reversed(rows)):
        then = found.get(item.sites[0])
        covered = then.covers if then is not None else 0
        fresh = item.live & ~covered
        if fresh and len(item.sites) > 1:
            found.update(dict.fromkeys(item.sites, Shared(number, bits(fresh), then, covered | fresh)))
            number += 1
    return found


def _items(plan: FunctionPlan, live: Mapping[int, int]) -> list[_Item]:
    """The sites; of what they spill only what needs no mending, which may differ from site to site."""
    items, assigned = [], 0
    for index, instruction in enumerate(plan.instructions):
        if instruction.op in _SETS:
            assigned |= 1 << cast(int, instruction.immediates[0])
        site = plan.site_at.get(index)
        if site is not None and plan.spills_by_calls(site):
            mended = sum(
                1 << local for is_operand, local in plan.nan.spilled.get(index, ()) if not is_operand
            )
            items.append(_Item(live[index] & ~mended, assigned, (site.number,)))
            assigned = 0
    return items


def _common(items: Sequence[_Item]) -> _Item:
    live, assigned, sites = items[0]
    for item in items[1:]:
        live &= item.live & ~item.assigned
        assigned |= item.assigned
        sites += item.sites
    return _Item(live, assigned, sites)


def bits(mask: int) -> tuple[int, ...]:
    """Which bits of a mask are set, ascending. (To take them from the mask one by one is slower.)"""
    digits = f"{mask:b}"[::-1]
    found = []
    place = digits.find("1")
    while place >= 0:
        found.append(place)
        place = digits.find("1", place + 1)
    return tuple(found)
