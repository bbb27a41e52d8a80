"""Debug information: from WebAssembly offsets to source lines, functions, variables and types, and back.

Owns pyelftools, and imports it only when a module with DWARF is looked at. May import base and `ttd.wasm`.
Values, their formatting and backtraces stand above it, in `ttd.expr`.

What the package exports comes in when it is first asked for: a recording only needs `framebases`, and starts
sooner without the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttd.debuginfo.info import DebugInfo
    from ttd.debuginfo.inlining import SourceFrame
    from ttd.debuginfo.scopes import Variable

__all__ = ["DebugInfo", "SourceFrame", "Variable"]

_PLACES = {
    "DebugInfo": "ttd.debuginfo.info",
    "SourceFrame": "ttd.debuginfo.inlining",
    "Variable": "ttd.debuginfo.scopes",
}


def __getattr__(name: str) -> object:
    """The export called `name`; AttributeError if there is none (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_PLACES[name]), name)
