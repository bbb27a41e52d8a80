"""What a machine is about to call, and which host call that is, read off its state.

The log cannot always tell: of calls of compiled code it knows the tick only.

May import base, wasm, store and this package.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import cast

from ttd.errors import UsageError
from ttd.events import HostCall
from ttd.replayer.host import import_name
from ttd.replayer.recording import Recording
from ttd.state import State
from ttd.wasm.model import Instruction, Module
from ttd.wasm.opcodes import BY_MNEMONIC

_CALLS = frozenset(BY_MNEMONIC[name] for name in ("call", "return_call"))
_INDIRECT_CALLS = frozenset(BY_MNEMONIC[name] for name in ("call_indirect", "return_call_indirect"))

_offset = attrgetter("offset")


def called_import(module: Module, state: State) -> int | None:
    """The import that the next instruction calls, as a function index; None if it does not call one."""
    function = callee(module, state)
    return function if function is not None and module.functions[function].imported is not None else None


def callee(module: Module, state: State) -> int | None:
    """The function that the next instruction calls; None if it is no call, or one that traps."""
    if not state.frames:
        return None
    frame = state.frames[-1]
    instruction = instruction_at(module, frame.function, frame.pc)
    if instruction is None:
        return None
    if instruction.op in _CALLS:
        return cast(int, instruction.immediates[0])
    if instruction.op in _INDIRECT_CALLS and frame.operands:
        table = state.tables[cast(int, instruction.immediates[1])]
        index = cast(int, frame.operands[-1])
        return cast("int | None", table[index]) if index < len(table) else None
    return None


def host_call_here(module: Module, state: State, trace: Recording) -> HostCall | None:
    """The host call whose call instruction comes next, with its exact position; None at anything else."""
    if state.next_event >= trace.event_count:
        return None
    call = trace.event(state.next_event)
    if call.function != called_import(module, state):
        return None
    return replace(call, position=state.position)


def instruction_at(module: Module, function: int, pc: int) -> Instruction | None:
    """The instruction, or structure marker, at byte offset `pc` of a function; None where none begins."""
    body = module.functions[function].body
    if body is None:
        return None
    index = bisect_left(body.instructions, pc, key=_offset)
    found = body.instructions[index] if index < len(body.instructions) else None
    return found if found is not None and found.offset == pc else None


def imports_called(module: Module, names: Sequence[str]) -> frozenset[int]:
    """The function indices of imports by their names; all of them for no names. Raises UsageError."""
    imported = {f.index: f.imported for f in module.functions if f.imported is not None}
    if not names:
        return frozenset(imported)
    found: set[int] = set()
    for name in names:
        indices = {
            index for index, item in imported.items() if name in (item.name, f"{item.module}.{item.name}")
        }
        if not indices:
            known = ", ".join(sorted(import_name(module, index) for index in imported))
            raise UsageError(f"the program imports no {name!r}; it imports {known or 'nothing'}")
        found |= indices
    return frozenset(found)
