"""What is true of a whole module and takes a look at all of its code: found once, and kept in the cache.

With it, a program that was instrumented before can run without any of its functions being analysed again,
but for those in which it is frozen.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ttd.wasm.model import ValType

if TYPE_CHECKING:
    from ttd.instrument.sites import FunctionPlan


class Facts(NamedTuple):
    """See `program.Instrumented`, which has them as its attributes."""

    ticking: frozenset[int]
    exceptions: bool
    reference_types: tuple[ValType, ...]
    writes_tables: bool
    always_live: Mapping[int, int]

    def to_json(self) -> bytes:
        return json.dumps(
            [
                sorted(self.ticking),
                self.exceptions,
                list(self.reference_types),
                self.writes_tables,
                list(self.always_live.items()),
            ]
        ).encode()

    @staticmethod
    def from_json(data: bytes) -> Facts:
        """What `to_json` has written; of nothing else (the cache tells its own files from others)."""
        ticking, exceptions, reference_types, writes_tables, always_live = json.loads(data)
        references = tuple(ValType(code) for code in reference_types)
        return Facts(frozenset(ticking), exceptions, references, writes_tables, dict(always_live))


class Plans(Mapping[int, "FunctionPlan"]):
    """The plans of all ticking functions, by function index; each is made when it is first asked for."""

    def __init__(self, indices: Callable[[], frozenset[int]], make: Callable[[int], FunctionPlan]) -> None:
        """`indices` gives those of the functions that tick; it is not called before it is needed."""
        self._indices = indices
        self._make = make
        self._made: dict[int, FunctionPlan] = {}

    def __getitem__(self, function: int) -> FunctionPlan:
        if function not in self._made:
            if function not in self._indices():
                raise KeyError(function)
            self._made[function] = self._make(function)
        return self._made[function]

    def __contains__(self, function: object) -> bool:
        return function in self._indices()

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._indices()))

    def __len__(self) -> int:
        return len(self._indices())
