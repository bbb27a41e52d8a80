"""What is known about a program that is instrumented: what its code tells, and what is where in the result.

Finding that out takes a look at all of the code, and so do the modules that write code (`module`,
`continuation`). What was instrumented and compiled before needs neither: they are imported late.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from ttd.instrument import abi
from ttd.instrument.facts import Facts, Plans
from ttd.types import Value
from ttd.wasm.model import ExternKind, Function, FuncType, GlobalType, Instruction, Module, ValType
from ttd.wasm.opcodes import BY_MNEMONIC
from ttd.wasm.ticks import ticks_at_entry

if TYPE_CHECKING:
    from ttd.instrument.sites import FunctionPlan

_THROWING = frozenset(BY_MNEMONIC[name] for name in ("throw", "throw_ref", "try_table"))
_TABLE_WRITERS = frozenset(BY_MNEMONIC[f"table.{name}"] for name in ("set", "grow", "fill", "copy", "init"))


class Instrumented:
    """A module and all that its instrumentation and its continuations need to know."""

    def __init__(
        self,
        module: Module,
        always_live: Callable[[int], int] | None = None,
        probing: bool = False,
        watching: bool = False,
    ) -> None:
        """`always_live` gives, by function, the mask of locals that debug information needs. `probing` makes
        a build in which functions can be patched, and with `watching` memory be watched, too (`probes`)."""
        self.module = module
        self.probing = probing or watching
        self.watching = watching
        self.variant = "watching" if watching else "probing" if probing else ""
        self.variant += "+bases" + module.apart if always_live is not None else ""
        """Names all choices that the emitted code depends on, besides the module; part of its key in the
        cache (`ttd.engine.cache`)."""
        self._find_always_live = always_live
        self.plans = Plans(lambda: self.ticking, self._plan)
        self.imported = sum(function.imported is not None for function in module.functions)
        """How many functions are imported: the first ones."""
        self.imported_tables = sum(entry.kind is ExternKind.TABLE for entry in module.imports)

    def with_probes(self, watching: bool) -> Instrumented:
        """A build with probes of the same module; it shares what was found out about it."""
        build = Instrumented(self.module, self._find_always_live, True, watching)
        build.adopt(self.facts)
        build.plans = self.plans
        return build

    def plan(self, index: int) -> FunctionPlan:
        """The plan of any function of the guest's own. One that does not tick has no sites in truth."""
        return self.plans[index] if index in self.ticking else self._plan(index)

    def _plan(self, index: int) -> FunctionPlan:
        from ttd.instrument.sites import FunctionPlan

        always = self.always_live.get(index, 0)
        return FunctionPlan(self.module, self.module.functions[index], self.ticking, always)

    # --- facts: what a look at all of the code tells --------------------------------------------------

    @property
    def facts(self) -> Facts:
        """What is worth remembering, for `adopt` in another process."""
        with _uncollected():
            return Facts(
                self.ticking, self.exceptions, self.reference_types, self.writes_tables, self.always_live
            )

    def adopt(self, facts: Facts) -> None:
        """Take over what another instance has found out about the same module."""
        self.ticking, self.exceptions, self.reference_types, self.writes_tables, self.always_live = facts

    @cached_property
    def ticking(self) -> frozenset[int]:
        """The functions that tick at entry: those that can be frozen."""
        return frozenset(f.index for f in self.own() if ticks_at_entry(f))

    @cached_property
    def always_live(self) -> Mapping[int, int]:
        """The masks of locals that are kept for debugging, of the functions that tick and have any."""
        if self._find_always_live is None:
            return {}
        masks = {index: self._find_always_live(index) for index in self.ticking}
        return {index: mask for index, mask in masks.items() if mask}

    @cached_property
    def exceptions(self) -> bool:
        """Whether there can be exceptions."""
        return bool(self.module.tags) or any(
            not _THROWING.isdisjoint(self.module.functions[index].code.opcodes) for index in self.ticking
        )

    @cached_property
    def reference_types(self) -> tuple[ValType, ...]:
        """The types of references that records and transfers need tables for."""
        types: set[ValType] = set()
        for function in self.module.functions:
            types.update(function.type.params, function.type.results)
        for plan in self.plans.values():
            referring = any(type_.is_reference for type_ in set(plan.function.local_types))
            for site in plan.sites:
                types.update(site.operands, site.results)
                if referring:
                    types.update(plan.record_types(site))
        types.update(entry.type.type for entry in self.module.globals)
        return tuple(sorted(type_ for type_ in types if type_.is_reference))

    @cached_property
    def writes_tables(self) -> bool:
        """Whether the tables may come to differ from what the segments put there."""
        return any(not _TABLE_WRITERS.isdisjoint(function.code.opcodes) for function in self.own())

    def own(self) -> list[Function]:
        """The functions that have bodies."""
        return [function for function in self.module.functions if function.body is not None]

    # --- what is where ---------------------------------------------------------------------------

    def gate(self, function: int) -> int:
        """Where function `function` is called in the instrumented module: an import through its gate."""
        return function if function >= self.imported else len(self.module.functions) + function

    def injected_globals(self) -> list[tuple[str, GlobalType]]:
        """Names and types of the globals that are added, in their order."""
        injected = [
            (abi.COUNT, GlobalType(ValType.I64, True)),
            (abi.SPILL, GlobalType(ValType.I32, True)),
            (abi.REFERENCES, GlobalType(ValType.I32, True)),
        ]
        if self.exceptions:
            injected.append((abi.EXCEPTION, GlobalType(ValType.EXNREF, True)))
        if self.watching:
            for i, memory in enumerate(self.module.memories):
                address = GlobalType(ValType.I64 if memory.is64 else ValType.I32, True)
                injected += [(abi.watch_low(i), address), (abi.watch_span(i), address)]
        return injected

    def encode(self) -> bytes:
        """The instrumented module in binary form."""
        from ttd.instrument.module import ModuleWriter

        with _uncollected():
            return ModuleWriter(self).encode()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection. Analysis makes objects by the million, which stay, and hardly any of them
    lie in cycles: to look for those again and again took a quarter of its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def gate_type(type_: FuncType) -> FuncType:
    """The type of an import of the instrumented module: that of the host function, and `count` behind."""
    host = host_type(type_)
    return FuncType((*host.params, ValType.I64), host.results)


def host_type(type_: FuncType) -> FuncType:
    """The type of a host function as Python sees it: integers for numbers, two of them for a v128."""
    return FuncType(_host_values(type_.params), _host_values(type_.results))


def _host_values(types: tuple[ValType, ...]) -> tuple[ValType, ...]:
    return tuple(host for type_ in types for host in HOST_VALUES.get(type_, (type_,)))


HOST_VALUES = {
    ValType.F32: (ValType.I32,),
    ValType.F64: (ValType.I64,),
    ValType.V128: (ValType.I64, ValType.I64),
}


def constant(type_: ValType, value: Value = None) -> tuple[Instruction]:
    """The instruction for a constant, or for the default value of a type; of references, only that."""
    if type_.is_reference:
        return (Instruction(0, BY_MNEMONIC["ref.null"], (type_,)),)
    return (Instruction(0, BY_MNEMONIC[f"{type_}.const"], (value or 0,)),)


def mutable_globals(module: Module) -> list[tuple[int, ValType]]:
    """Index and type of the globals that a transfer of state has to carry: all but the constants."""
    return [(index, entry.type.type) for index, entry in enumerate(module.globals) if entry.type.mutable]
