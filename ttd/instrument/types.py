"""The types of a module that is being written: those of the original, at their indices, and what is added.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ttd.wasm.leb128 import write_signed
from ttd.wasm.model import FuncType


class TypeTable:
    """Function types by index. Equal types are one type in WebAssembly, so the first serves for all."""

    def __init__(self, types: Sequence[FuncType]) -> None:
        self.types = list(types)
        self._indices: dict[FuncType, int] = {}
        for index, type_ in enumerate(types):
            self._indices.setdefault(type_, index)

    def index(self, type_: FuncType) -> int:
        """The index of `type_`, which is added when it is new."""
        if type_ not in self._indices:
            self._indices[type_] = len(self.types)
            self.types.append(type_)
        return self._indices[type_]

    def block(self, type_: FuncType) -> bytes:
        """The encoding of `type_` as a block type (core 5.4.1)."""
        if not type_.params and len(type_.results) < 2:
            return bytes([type_.results[0]]) if type_.results else b"\x40"
        return write_signed(self.index(type_))
