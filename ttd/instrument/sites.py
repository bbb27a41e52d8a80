"""The sites of a function: every place where it can be frozen, and what a frozen frame consists of there.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from ttd.instrument.liveness import Liveness
from ttd.instrument.nan import NanPlan, nan_plan
from ttd.instrument.readings import Mending
from ttd.instrument.site import Site, SiteKind
from ttd.wasm.model import Function, FuncType, Instruction, Module, ValType
from ttd.wasm.opcodes import BY_MNEMONIC, OPCODES
from ttd.wasm.typing import Control, Typing, type_function

CALL, CALL_INDIRECT = BY_MNEMONIC["call"], BY_MNEMONIC["call_indirect"]
RETURN_CALL = BY_MNEMONIC["return_call"]
ELSE, LOOP = BY_MNEMONIC["else"], BY_MNEMONIC["loop"]
TRY_TABLE = BY_MNEMONIC["try_table"]
_PASSED = frozenset(op for op in OPCODES if op.is_marker and op is not LOOP)
"""The markers at which no machine comes to rest: all but that of a loop, which ticks."""


@dataclass(frozen=True, slots=True)
class SiteGroup:
    """Sites of a large function that share the code which spills their frames; it spills what any needs."""

    number: int
    values: tuple[tuple[bool, int, ValType], ...]
    """What is spilled: (False, index, type) for a local, (True, height, type) for an operand."""
    mendings: tuple[Mending | None, ...]
    """How each value is made right by the NaN rule (`nan`)."""


def callee_type(module: Module, instruction: Instruction) -> FuncType:
    """Type of what a call or call_indirect calls."""
    index = cast(int, instruction.immediates[0])
    return module.functions[index].type if instruction.op is CALL else module.types[index]


class FunctionPlan:
    """A ticking function, analysed."""

    share_from = 30_000
    """How many values the sites of a function may spill together before they share the code that does."""

    def __init__(self, module: Module, function: Function, ticking: frozenset[int], always: int = 0) -> None:
        """`ticking` are the indices of all functions that tick; `always` locals to keep live."""
        self.module = module
        self.function = function
        self.typing: Typing = type_function(module, function)
        self.instructions = self.typing.instructions
        self._ticking = ticking
        self._always = always
        self.has_loops = LOOP in function.code.opcodes
        self.has_tries = TRY_TABLE in function.code.opcodes
        self.sites: list[Site] = []
        self.site_at: dict[int, Site] = {}
        self._find_sites()

    def _find_sites(self) -> None:
        landings = self._landings()
        parameters = tuple(range(len(self.function.type.params)))
        self._add(SiteKind.ENTRY, -1, landings[0], parameters, ())
        liveness = Liveness(self.typing, self._always).live
        for index in sorted(liveness):
            instruction = self.instructions[index]
            if not self.typing.is_reachable(index):
                continue
            if instruction.op is LOOP:
                pc, locals_ = landings[index + 1], _bits(liveness[index])
                self._add(SiteKind.LOOP, index, pc, locals_, self.typing.operands(index))
            elif self._may_freeze(instruction):
                type_ = callee_type(self.module, instruction)
                below = len(type_.params) + (instruction.op is CALL_INDIRECT)
                operands = self.typing.operands(index)
                operands = operands[: len(operands) - below]
                locals_ = _bits(liveness[index])
                self._add(SiteKind.CALL, index, instruction.offset, locals_, operands, type_.results)

    def _may_freeze(self, instruction: Instruction) -> bool:
        """Whether it is a call during which a tick may happen. Host calls do not tick."""
        if instruction.op is CALL:
            return instruction.immediates[0] in self._ticking
        return instruction.op is CALL_INDIRECT

    def _add(
        self,
        kind: SiteKind,
        index: int,
        pc: int,
        locals_: tuple[int, ...],
        operands: tuple[ValType, ...],
        results: tuple[ValType, ...] = (),
    ) -> None:
        site = Site(self.function.index, len(self.sites), kind, index, pc, locals_, operands, results)
        self.sites.append(site)
        self.site_at[index] = site

    def _landings(self) -> list[int]:
        """For each instruction the pc that control which arrives there comes to rest at, if that is a tick.

        That is the next instruction, or the next loop, which ticks before any; or the final `end`, where no
        machine rests: the frame returns within the tick.
        """
        typing, instructions = self.typing, self.instructions
        landings = [instruction.offset for instruction in instructions]
        landings[-1] = self.function.code.end - 1
        markers = [index for index, (_, op, _) in enumerate(instructions[:-1]) if op in _PASSED]
        for index in reversed(markers):
            if instructions[index].op is ELSE:  # the end of the first arm leads behind the second
                landings[index] = landings[typing.controls[typing.control_of[index]].end]
            else:
                landings[index] = landings[index + 1]
        return landings

    @cached_property
    def nan(self) -> NanPlan:
        """Where the NaN rule takes something to be done."""
        return nan_plan(self.module, self.typing, {site.index: site.locals for site in self.sites})

    @cached_property
    def control_opened(self) -> dict[int, Control]:
        """Each construct by the index of the instruction that opens it."""
        return {control.opener: control for control in self.typing.controls}

    @cached_property
    def constructs_with_sites(self) -> frozenset[int]:
        """Numbers of the controls that contain a site, if only that of a loop's own header."""
        return self._around_sites | {self.control_opened[site.index].number for site in self._loop_sites}

    @cached_property
    def counting_loops(self) -> frozenset[int]:
        """Numbers of the loops in which `count` is kept in a local.

        An exception may come out of a call that has ticked, and then the local would be out of date; so in a
        function that catches any these are only the loops in which nothing else ticks.
        """
        loops = (self.control_opened[site.index].number for site in self._loop_sites)
        return frozenset(n for n in loops if not self.has_tries or n not in self._around_sites)

    def counts_at(self, index: int) -> bool:
        """Whether instruction `index` lies in a loop in which `count` is kept in a local."""
        number = self.typing.control_of[index]
        while number >= 0 and number not in self.counting_loops:
            number = self.typing.controls[number].parent
        return number >= 0

    @property
    def _loop_sites(self) -> Iterator[Site]:
        return (site for site in self.sites if site.kind is SiteKind.LOOP)

    @cached_property
    def _around_sites(self) -> frozenset[int]:
        """Numbers of the controls around sites; the header of a loop is outside of it."""
        found: set[int] = set()
        for site in self.sites[1:]:
            number = self.typing.control_of[site.index]
            while number >= 0 and number not in found:
                found.add(number)
                number = self.typing.controls[number].parent
        return frozenset(found)

    @cached_property
    def groups(self) -> dict[int, SiteGroup]:
        """The groups of a function that is too large for code of its own at each site, by number of the site.

        Code that spills at each site takes room and time by sites times live values, which grows with the
        square of the function. A group spills a little more at each site than is needed, so it is not
        for functions of ordinary size.
        """
        if sum(len(site.locals) + len(site.operands) for site in self.sites) <= self.share_from:
            return {}
        gathering = _Gathering(self)
        for site in self.sites[1:]:
            gathering.add(site)
        gathering.close()
        return gathering.groups

    def record_values(self, site: Site) -> list[tuple[bool, int, ValType]]:
        """What the record of a frame frozen at `site` consists of, as `SiteGroup.values`."""
        types = self.function.local_types
        values = [(False, index, types[index]) for index in site.locals]
        return values + [(True, height, type_) for height, type_ in enumerate(site.operands)]

    def record_types(self, site: Site) -> tuple[ValType, ...]:
        """Types of the values in the record of a frame frozen at `site`: live locals, then operands."""
        types = self.function.local_types
        return tuple(types[i] for i in site.locals) + site.operands


_GROUP_SIZE = 8
"""Sites of a group at most: what changes from site to site costs the compiler sites times changes."""


class _Gathering:
    """Puts sites that follow each other, and need about the same, into groups."""

    def __init__(self, plan: FunctionPlan) -> None:
        self._plan = plan
        self._sites: list[Site] = []
        self._values: dict[tuple[bool, int, ValType], Mending | None] = {}
        self._first = 0
        self._closed = 0
        self.groups: dict[int, SiteGroup] = {}

    def add(self, site: Site) -> None:
        """The next site. One whose operands are to be mended stays alone: others' may not be."""
        mendings = self._plan.nan.of_record(site.index, site.locals, len(site.operands))
        if any(mendings[len(site.locals) :]):
            return
        values = self._plan.record_values(site)
        fresh = len(values) - sum(map(self._values.__contains__, values))
        if len(self._sites) == _GROUP_SIZE or len(self._values) + fresh > 2 * self._first + 64:
            self.close()
        if not self._sites:
            self._first = len(values)
        self._sites.append(site)
        for value, mending in zip(values, mendings, strict=True):
            if mending is not None or value not in self._values:
                self._values[value] = mending

    def close(self) -> None:
        """Make a group of what was added since the last one."""
        if self._sites:
            group = SiteGroup(self._closed, tuple(self._values), tuple(self._values.values()))
            self.groups.update((site.number, group) for site in self._sites)
            self._closed += 1
        self._sites, self._values = [], {}


def _bits(mask: int) -> tuple[int, ...]:
    """Which bits of a mask are set, ascending. (To take them from the mask one by one is slower.)"""
    digits = f"{mask:b}"[::-1]
    bits = []
    place = digits.find("1")
    while place >= 0:
        bits.append(place)
        place = digits.find("1", place + 1)
    return tuple(bits)
