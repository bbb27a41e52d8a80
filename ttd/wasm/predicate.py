"""Yes-or-no questions about a running function, as Wasm code: what may be asked where a probe is.

May import `ttd.wasm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

from ttd.wasm.model import FuncType, ValType


@dataclass(frozen=True)
class Predicate:
    """The body of a function whose arguments are locals of the function in which it is asked.

    It gives an i32, 0 for no. It reads memories and globals by the indices of the module; it writes nothing,
    calls nothing, has no loops and never traps.
    """

    arguments: tuple[tuple[int, ValType], ...]
    """The locals that it looks at, with their types, in the order of its parameters."""
    temporaries: tuple[ValType, ...]
    """Its own locals, behind the parameters."""
    code: bytes
    """Its instructions, the final `end` included."""
    is_complete: bool = True
    """Whether it decides all that was asked. One that does not says yes where others have to go on asking."""

    @property
    def type(self) -> FuncType:
        """Its type as a function."""
        return FuncType(tuple(type_ for _, type_ in self.arguments), (ValType.I32,))

    @cached_property
    def key(self) -> str:
        """What tells it from all others."""
        text = repr((self.arguments, self.temporaries)).encode()
        return blake2b(text + self.code, digest_size=16).hexdigest()
