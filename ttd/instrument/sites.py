"""The sites of a function: every place where it can be frozen, and what a frozen frame consists of there.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import cast

from ttd.instrument.liveness import Liveness
from ttd.instrument.nan import NanPlan, nan_plan
from ttd.instrument.sharing import Shared, bits, share
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


def callee_type(module: Module, instruction: Instruction) -> FuncType:
    """Type of what a call or call_indirect calls."""
    index = cast(int, instruction.immediates[0])
    return module.functions[index].type if instruction.op is CALL else module.types[index]


class FunctionPlan:
    """A ticking function, analysed."""

    large_from = 1000
    """How many values the sites of a function may spill together before they do so by calls and share code.
    Below, stores in place run faster; above, they take too long to compile."""

    in_registers = 12
    """How many values a loop may keep in registers. Up to so many are spilled in place at its header in any
    function: what has to survive a call belongs in other registers, or in memory, and the compiler moved it
    there on the way through the loop (a loop of vector instructions took twice the time)."""

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
        liveness = self._live = Liveness(self.typing, self._always).live
        for index in sorted(liveness):
            instruction = self.instructions[index]
            if not self.typing.is_reachable(index):
                continue
            if instruction.op is LOOP:
                pc, locals_ = landings[index + 1], bits(liveness[index])
                self._add(SiteKind.LOOP, index, pc, locals_, self.typing.operands(index))
            elif self._may_freeze(instruction):
                type_ = callee_type(self.module, instruction)
                below = len(type_.params) + (instruction.op is CALL_INDIRECT)
                operands = self.typing.operands(index)
                operands = operands[: len(operands) - below]
                locals_ = bits(liveness[index])
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
    def shared(self) -> dict[int, Shared]:
        """What the sites of a large function share of the code that spills, by number of the site."""
        return share(self, self._live) if self._is_large else {}

    @cached_property
    def _is_large(self) -> bool:
        return sum(len(site.locals) + len(site.operands) for site in self.sites) > self.large_from

    def spills_by_calls(self, site: Site) -> bool:
        """Whether a frame is spilled by calls of spillers there, and not in place."""
        few = len(site.locals) + len(site.operands) <= self.in_registers
        return self._is_large and (site.kind is SiteKind.CALL or not few)

    def own_locals(self, site: Site) -> tuple[int, ...]:
        """The live locals of a site that code of its own spills."""
        shared = self.shared.get(site.number)
        if shared is None:
            return site.locals
        return bits(self._live[site.index] & ~shared.covers)

    def record_types(self, site: Site) -> tuple[ValType, ...]:
        """Types of the values in the record of a frame frozen at `site`: live locals, then operands."""
        types = self.function.local_types
        return tuple(types[i] for i in site.locals) + site.operands
