"""The exact interpreter: one instruction of the original code at a time.

`machine` runs; `translate` makes of a function body a list of Python closures, one for each instruction,
from the tables of `integers`, `access`, `references` and `numerics`; `instance` holds memories, tables and
globals; `probes` watches.

May import base, `ttd.wasm`, and `protocol`, `memory` and `stores` of `ttd.engine`.
"""

from __future__ import annotations

from ttd.interpreter.instance import Imports
from ttd.interpreter.machine import Interpreter

__all__ = ["Imports", "Interpreter"]
