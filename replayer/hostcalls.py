"""Which host call a machine stands at, read off its state.

The log cannot always tell: of calls of compiled code it knows the tick only.

May import base and wasm.
"""

from __future__ import annotations

from typing import cast

from ttd.state import State
from ttd.wasm.model import Instruction, Module
from ttd.wasm.opcodes import BY_MNEMONIC

_CALLS = frozenset(BY_MNEMONIC[name] for name in ("call", "return_call"))
_INDIRECT_CALLS = frozenset(BY_MNEMONIC[name] for name in ("call_indirect", "return_call_indirect"))


def called_import(module: Module, state: State) -> int | None:
    """The import that the next instruction calls, as a function index; None if it does not call one."""
    if not state.frames:
        return None
    frame = state.frames[-1]
    instruction = _instruction_at(module, frame.function, frame.pc)
    if instruction is None:
        return None
    callee = None
    if instruction.op in _CALLS:
        callee = cast(int, instruction.immediates[0])
    elif instruction.op in _INDIRECT_CALLS and frame.operands:
        table = state.tables[cast(int, instruction.immediates[1])]
        index = cast(int, frame.operands[-1])
        callee = cast("int | None", table[index]) if index < len(table) else None
    return callee if callee is not None and module.functions[callee].imported is not None else None


def _instruction_at(module: Module, function: int, pc: int) -> Instruction | None:
    body = module.functions[function].body
    found = (i for i in body.instructions if i.offset == pc) if body is not None else iter(())
    return next(found, None)
