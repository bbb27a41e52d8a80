"""Module instances for the test scripts: an engine each, linked to one another as the scripts ask.

ttd runs one module; the scripts link several. What can be linked through an engine's own doors is linked:
functions through its host, memories and externref tables as shared objects, globals by copying them over
whenever control crosses. What cannot is refused with `OutOfScope` and a reason: function references of one
instance mean nothing in another, because ttd knows them by index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ttd.engine.protocol import Engine, Goal, Host, HostTrap, Invocation, Program
from ttd.state import Memory
from ttd.types import EndKind, Position, StopReason, Trap, TrapKind, Value
from ttd.wasm.model import ExternKind, GlobalType, Import, Module, TableType, ValType

TICK_LIMIT = 20_000_000
"""How many ticks a call may take before it counts as one that does not end."""


class OutOfScope(Exception):
    """What the script asks for is nothing that ttd does; the message is the reason, made to be counted."""


class Unlinkable(Exception):
    """An import of a script's module cannot be found: a mistake of the script, or of this harness."""


class Trapped(Exception):
    """A call, or the start function, ended in a trap."""

    def __init__(self, trap: Trap) -> None:
        super().__init__(str(trap))
        self.trap = trap


class SpecEngine(Engine, Protocol):
    """An engine that can be asked for further calls on the instance that it runs."""

    def begin(self, invocation: Invocation) -> None:
        """Enter another invocation, whatever became of the last one."""
        ...


@dataclass(frozen=True)
class Supplied:
    """What the imports of a module are satisfied with, in the order of their index spaces."""

    memories: tuple[Memory, ...] = ()
    tables: tuple[list[Value], ...] = ()
    globals: tuple[Value, ...] = ()


EngineFactory = Callable[[Program, Host, Supplied], SpecEngine]


@dataclass(frozen=True, eq=False)
class Extern:
    """Something that an instance offers: `index` in the index space of `kind` of `owner`, its definer."""

    owner: Instance
    kind: ExternKind
    index: int

    def is_same(self, other: Extern) -> bool:
        return (self.owner, self.kind, self.index) == (other.owner, other.kind, other.index)


Finder = Callable[[Import], Extern]
"""Finds what satisfies an import; raises `Unlinkable` or `OutOfScope`."""


class Instance:
    """One module instance. What goes wrong in instantiation is raised by its constructor."""

    lends_tables = True
    """Whether an importer shares our tables. If not, each one gets a copy of its own."""

    def __init__(self, module: Module, find: Finder, make_engine: EngineFactory) -> None:
        self.module = module
        self._unknowable: OutOfScope | None = None
        self._links = {(item.kind, item.index): find(item) for item in module.imports}
        try:
            self._refuse_what_cannot_be_linked()
        except OutOfScope as reason:
            self._give_up_on_sharers(reason)
            raise
        self._host = LinkedHost(self)
        self._engine = make_engine(Program(module, ()), self._host, self._supplied())
        if module.start is not None:
            self.call(module.start, ())

    def close(self) -> None:
        self._engine.close()

    # --- what it offers ---

    def export(self, name: str, kind: ExternKind) -> Extern:
        """The export called `name`, at the instance that defines it."""
        export = self.module.exports_by_name.get(name)
        if export is None or export.kind is not kind:
            raise Unlinkable(f"no {kind.name.lower()} is exported as {name!r}")
        return self.link(kind, export.index) or Extern(self, kind, export.index)

    def link(self, kind: ExternKind, index: int) -> Extern | None:
        """What an import is linked to; None for what this instance defines itself."""
        return self._links.get((kind, index))

    def invoke(self, name: str, arguments: tuple[Value, ...]) -> tuple[Value, ...]:
        """Call an exported function. Raises `Trapped`, and `OutOfScope` for what cannot be carried over."""
        extern = self.export(name, ExternKind.FUNCTION)
        return extern.owner.call(extern.index, arguments)

    def get(self, name: str) -> Value:
        """The value of an exported global."""
        extern = self.export(name, ExternKind.GLOBAL)
        return extern.owner.globals[extern.index]

    @property
    def globals(self) -> list[Value]:
        return self._engine.state.globals

    @property
    def memories(self) -> list[Memory]:
        return self._engine.state.memories

    @property
    def tables(self) -> list[list[Value]]:
        return self._engine.state.tables

    def call(self, function: int, arguments: tuple[Value, ...]) -> tuple[Value, ...]:
        """Call function number `function`, imported or not; its results, or `Trapped`."""
        if self._unknowable is not None:
            raise self._unknowable
        self._host.refused = None
        self.take_globals()
        self._engine.begin(Invocation(function, arguments))
        limit = Position(self._engine.state.position.tick + TICK_LIMIT)
        stop = self._engine.run(Goal(until=limit))
        self.give_globals()
        if self._host.refused is not None:
            raise self._host.refused
        if stop.reason is not StopReason.ENDED or stop.ending is None:
            raise TimeoutError(f"no end after {TICK_LIMIT} ticks ({stop.reason.value})")
        if stop.ending.kind is EndKind.TRAP and stop.ending.trap is not None:
            raise Trapped(stop.ending.trap)
        return stop.ending.results

    # --- linking ---

    def take_globals(self) -> None:
        """Bring our copies of other instances' mutable globals up to date."""
        for index, extern in self._cells():
            self.globals[index] = extern.owner.globals[extern.index]

    def give_globals(self) -> None:
        """Bring other instances' mutable globals up to date with our copies."""
        for index, extern in self._cells():
            extern.owner.globals[extern.index] = self.globals[index]

    def _imports(self, kind: ExternKind) -> Iterator[tuple[int, Extern]]:
        return ((index, extern) for (its, index), extern in self._links.items() if its is kind)

    def _cells(self) -> Iterator[tuple[int, Extern]]:
        for index, extern in self._imports(ExternKind.GLOBAL):
            if self.module.globals[index].type.mutable:
                yield index, extern

    def _supplied(self) -> Supplied:
        return Supplied(
            memories=tuple(x.owner.memories[x.index] for _, x in self._imports(ExternKind.MEMORY)),
            tables=tuple(_table(x) for _, x in self._imports(ExternKind.TABLE)),
            globals=tuple(x.owner.globals[x.index] for _, x in self._imports(ExternKind.GLOBAL)),
        )

    def _refuse_what_cannot_be_linked(self) -> None:
        for item in self.module.imports:
            extern = self._links[item.kind, item.index]
            of_functions = isinstance(item.type, TableType) and item.type.element is not ValType.EXTERNREF
            if of_functions and extern.owner.lends_tables:
                raise OutOfScope("a table of functions shared between instances")
            if isinstance(item.type, GlobalType):
                refuse_references([item.type.type], [extern.owner.globals[extern.index]])
        self._refuse_aliases(ExternKind.TAG, list(self._imports(ExternKind.TAG)))
        self._refuse_aliases(ExternKind.GLOBAL, list(self._cells()))

    def _give_up_on_sharers(self, reason: OutOfScope) -> None:
        """We shall not be: what we would have written to others' tables and memories, nobody knows."""
        for extern in self._links.values():
            if extern.kind in (ExternKind.TABLE, ExternKind.MEMORY) and extern.owner.lends_tables:
                extern.owner._unknowable = reason

    def _refuse_aliases(self, kind: ExternKind, imported: list[tuple[int, Extern]]) -> None:
        for position, (_, extern) in enumerate(imported):
            if any(extern.is_same(other) for _, other in imported[:position]):
                raise OutOfScope(f"one {kind.name.lower()} imported twice by a module")


def _table(extern: Extern) -> list[Value]:
    table = extern.owner.tables[extern.index]
    return table if extern.owner.lends_tables else list(table)


class SpecTest(Instance):
    """The instance that every script may import from as ``spectest``.

    Its tables are of functions, and so cannot be shared. Scripts use them as scratch space: a copy will do.
    """

    lends_tables = False


class LinkedHost:
    """The other side of an instance's imports: an `engine.protocol.Host` that calls where they lead."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.refused: OutOfScope | None = None
        """Why the call under way cannot be judged: engines see a trap in its place."""

    def call(
        self, function: int, arguments: tuple[Value, ...], position: Position, memories: Sequence[Memory]
    ) -> tuple[Value, ...]:
        target = self._instance.link(ExternKind.FUNCTION, function)
        if target is None:
            raise HostTrap(f"function {function} is not an import")
        self._instance.give_globals()
        try:
            results = self._cross(target, arguments)
        except OutOfScope as reason:
            self.refused = reason
            raise HostTrap(str(reason)) from None
        except Trapped as error:
            raise HostTrap(error.trap.detail or error.trap.kind.value) from None
        self._instance.take_globals()
        return results

    def _cross(self, target: Extern, arguments: tuple[Value, ...]) -> tuple[Value, ...]:
        function = target.owner.module.functions[target.index]
        refuse_references(function.type.params, arguments)
        try:
            results = target.owner.call(target.index, arguments)
        except Trapped as error:
            if error.trap.kind is TrapKind.UNCAUGHT_EXCEPTION:
                raise OutOfScope("an exception that passes from one instance into another") from None
            raise
        refuse_references(function.type.results, results)
        return results

    def seek(self, event: int) -> None:
        """Nothing to do: every call is made, none is replayed."""


def refuse_references(types: Sequence[ValType], values: Sequence[Value]) -> None:
    """Raise `OutOfScope` if a function reference or an exception would pass between instances."""
    for type_, value in zip(types, values, strict=True):
        if value is not None and type_ in (ValType.FUNCREF, ValType.EXNREF):
            raise OutOfScope(f"a {type_} that passes from one instance into another")
