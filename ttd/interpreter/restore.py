"""From a snapshot back to a running machine. A snapshot may come from a trace, so nothing in it is trusted.

May import base, `ttd.wasm`, `code` and `instance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from ttd.errors import DamagedTrace
from ttd.interpreter.code import Activation, Code, Registers
from ttd.interpreter.instance import Instance
from ttd.state import WASM_PAGE, Frame, Snapshot
from ttd.types import Value
from ttd.wasm.model import Module, ValType
from ttd.wasm.values import is_of_type


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise DamagedTrace(f"a snapshot does not fit the module: {what}")


def _require_types(module: Module, values: Sequence[Value], types: Iterable[ValType], what: str) -> None:
    types = tuple(types)
    _require(len(values) == len(types), f"wrong number of {what}")
    for value, type_ in zip(values, types, strict=True):
        _require(is_of_type(module, value, type_), f"a value of the wrong type in its {what}")


def check_snapshot(instance: Instance, snapshot: Snapshot) -> None:
    """Raise DamagedTrace unless memories, tables, globals and numbers of `snapshot` fit the module."""
    module, limits = instance.module, instance.limits
    _require_types(module, snapshot.globals, [g.type.type for g in module.globals], "globals")
    _require(len(snapshot.tables) == len(module.tables), "wrong number of tables")
    for elements, table in zip(snapshot.tables, module.tables, strict=True):
        _require(len(elements) <= limits.table_elements, "a table is too long")
        element = table.type.element
        _require(all(is_of_type(module, value, element) for value in elements), "a wrong table element")
    _require(len(snapshot.memories) == len(module.memories), "wrong number of memories")
    for image, memory in zip(snapshot.memories, instance.memories, strict=True):
        _require(image.size % WASM_PAGE == 0, "a memory is no multiple of the page size")
        _require(image.size // WASM_PAGE <= memory.limit, "a memory is larger than its limit")
    _require(snapshot.position.tick >= 0 and snapshot.position.step >= 0, "a position before the begin")
    _require(len(snapshot.frames) <= limits.call_depth, "more frames than its limit")
    _require(snapshot.next_event >= 0 and snapshot.invocation >= 0, "a negative count")


def restore_instance(instance: Instance, snapshot: Snapshot) -> None:
    """Make everything but the stack equal to `snapshot`, which was checked."""
    instance.globals[:] = snapshot.globals
    for table, elements in zip(instance.tables, snapshot.tables, strict=True):
        table[:] = elements
    for memory, image in zip(instance.memories, snapshot.memories, strict=True):
        memory.resize(image.size // WASM_PAGE)
        image.restore(memory)
    for dropped, now in (
        (instance.dropped_data, snapshot.dropped_data),
        (instance.dropped_elements, snapshot.dropped_elements),
    ):
        dropped.clear()
        dropped.update(now)


def activations(
    module: Module,
    code_of: Callable[[int], Code | None],
    frames: Sequence[Frame],
    may_be_at_end: bool = False,
) -> tuple[list[Activation], int]:
    """Activations equal to `frames`, and the entry that executes next. Raises DamagedTrace.

    `may_be_at_end`: the innermost frame may stand at the end of its function, where no machine rests.
    """
    stack: list[Activation] = []
    index = 0
    for number, frame in enumerate(frames):
        _require(0 <= frame.function < len(module.functions), "a frame of a function that does not exist")
        code = code_of(frame.function)
        _require(code is not None, "a frame of an imported function")
        code = cast(Code, code)
        is_innermost = number == len(frames) - 1
        found = code.indices.get(frame.pc, -1)
        fits = found >= 0 and (found != code.end or (may_be_at_end and is_innermost))
        _require(fits, f"a frame at {frame.pc:#x}, where no instruction starts")
        stack.append(_activation(module, code, frame, found, is_innermost))
        index = found
    return stack, index


def _activation(module: Module, code: Code, frame: Frame, index: int, is_innermost: bool) -> Activation:
    _require_types(module, frame.locals, code.function.local_types, "locals")
    types = code.operand_types(index)
    site = None
    if not is_innermost:
        site = code.sites.get(index)
        _require(site is not None and site.thrown is None and not site.is_tail, "a caller that does not call")
        types = types[: site.base - code.locals] if site is not None else types
    _require_types(module, frame.operands, types, "operands")
    registers = cast(Registers, [*frame.locals, *frame.operands])
    room = code.parameters + len(code.fresh) - len(registers)
    activation = Activation(code, registers + [0] * room, frame.entry.tick, frame.entry.step)
    activation.site = site
    return activation
