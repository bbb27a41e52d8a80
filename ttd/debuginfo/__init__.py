"""Debug information: from WebAssembly offsets to source lines, functions, variables and types, and back.

Owns pyelftools, and imports it only when a module with DWARF is looked at. May import base and `ttd.wasm`.
Values, their formatting and backtraces stand above it, in `ttd.expr`.
"""

from ttd.debuginfo.info import DebugInfo
from ttd.debuginfo.scopes import Variable

__all__ = ["DebugInfo", "Variable"]
