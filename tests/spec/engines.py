"""The engines that the suite runs over, by name. A new engine gets a row here, and nothing else changes."""

from __future__ import annotations

from tests.spec.instance import EngineFactory, SpecEngine, Supplied
from ttd.engine.memory import LinearMemory
from ttd.engine.protocol import Host, Program
from ttd.interpreter import Imports, Interpreter


def interpreter(program: Program, host: Host, supplied: Supplied) -> SpecEngine:
    """The exact interpreter."""
    memories = [memory for memory in supplied.memories if isinstance(memory, LinearMemory)]
    imports = Imports(memories=memories, tables=supplied.tables, globals=supplied.globals)
    return Interpreter(program, host, imports)


ENGINES: dict[str, EngineFactory] = {"interpreter": interpreter}
