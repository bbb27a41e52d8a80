"""The NaN rule, lazily: where a function's code has to make a NaN canonical, so that nobody sees another.

The rule (DESIGN, section 8): a NaN that floating-point arithmetic produces is the canonical one, positive
and quiet; loads, constants, neg, abs and copysign keep bits. Arithmetic does not care which NaN it
is given, and neither do comparisons and conversions to integers. So most results are never looked at as
bits, and are left as the processor makes them; a value is mended where its bits may become visible.

**Readings.** What the code has in hand may differ from the value that the rule demands. A *reading* says how
to get from one to the other:

    AS_IS       it is the right value, bit by bit
    CANON       if it is a NaN, the right value is the canonical NaN; else it is the right value
    NEGATED     likewise, with the canonical NaN's sign set: what `neg` makes of CANON
    CANON32 … NEGATED64     the same for each lane of a vector, read as f32x4 or as f64x2

    LOOSE32, LOOSE64        of a vector: no more than that the same lanes are NaNs, and the others right

Several readings may hold of one value: all of them hold of 1.0. Arithmetic makes values of which only
CANON holds; a loaded value has only AS_IS. Where control flow or a `select` joins two values, what holds
of both holds of the result. If nothing does, it can no more be mended, but is still good for arithmetic;
if more is asked of it, both values must have been mended to AS_IS before.

**The analysis** is one walk over the typed body, which links values into a graph (`_Node`), with locals in
SSA form: what a local.get gives depends on the assignments that reach it, not on the local (compilers
reuse locals for unrelated values). Then readings are narrowed to a fixpoint, and last, those who need
AS_IS demand it: a value without it is mended right behind the instruction that pushed it, or in memory if it
is stored. A value that flows through a join without an instruction is mended at all its sources.

So a loop that sums products has nothing to mend, one that stores a result in each round has one mending
per round. Wasmtime's own switch mends after every operation and costs 4x in a tight loop.

**Mending** a scalar is a test whether it is ordered with itself, and a branch to code out of the way that
puts the NaN there; a vector is blended with NaNs without a branch. That hides behind anything slower, but not
in a loop that does little more than store. So a scalar that is stored goes to memory as it is; then the half
of it that has the exponent is loaded, as an integer, and if it is a NaN's, the right NaN is stored over it.
Nobody can look in between: a store that traps has written nothing, and what was written can be read. This
is two instructions more than the test of the value, but keeps the units for floats free, which such a loop
waits for. Only in 32-bit memories: in others every access has a test of its bounds.

Thirteen scalar loops that store results, on an AMD Zen 5: the geometric mean of least times, and five bodies
and y = a x + b y among them:

    ticks, and nothing mended                            1.03   1.05   1.16
    stored, and the upper half loaded                    1.18   1.34   1.56
    every value tested before it is stored               1.22   1.63   1.85
    stored, tested as a float, the NaN stored over it    1.22   1.60   1.89
    stored, and its bits tested, but not loaded          1.26   1.61   2.00
    a blend of vectors, which has no branch              1.32   1.84   1.88
    a select, which Wasmtime makes a branch              1.43   1.64   2.12
    to add up what a block stores, and test the sum      1.19   1.35   1.84   (and a load between may read
                                                         what is not mended)

To leave the sign on, and so the shift away, would make it 1.27 for five bodies, but miss positive NaNs. For
vectors a branch was no better (1.41 at best, instead of 1.17, on a Zen 4).

**Freezing** makes bits visible too: a record of a frame holds the right values, mended as they are spilled
(`NanPlan.spilled`). A thawed frame then has values of which AS_IS holds as well as the reading that its
code goes by: all readings agree on a value that is right.

May import base, `ttd.wasm` and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from ttd.instrument.readings import (
    ALL,
    AS_IS,
    CANON,
    CANON32,
    CANON64,
    FLOATS,
    MENDABLE,
    PRODUCERS,
    RIGHT,
    RULES,
    Mending,
    Transform,
    constant_readings,
)
from ttd.wasm.model import Body, FuncType, Instruction, Module, ValType
from ttd.wasm.opcodes import BY_MNEMONIC, Catch, Opcode
from ttd.wasm.typing import Control, Typing

# --- the graph of values ----------------------------------------------------------------------------------


class _Node:
    """A value: its readings, what it is made of, and where it is pushed."""

    __slots__ = ("inputs", "pushed_by", "readings", "type", "users")

    def __init__(self, readings: int, type_: ValType, pushed_by: int = -1) -> None:
        """`pushed_by` is the index of the instruction that leaves it on top of the stack; -1 for joins."""
        self.readings = readings
        self.type = type_
        self.pushed_by = pushed_by
        self.inputs: list[tuple[_Node, Transform]] = []
        self.users: list[_Node] = []

    def narrow(self) -> bool:
        """Make the readings those that follow from the inputs; whether they changed."""
        readings = ALL
        for node, transform in self.inputs:
            readings &= node.readings if transform is None else transform[node.readings]
        changed = readings != self.readings
        self.readings = readings
        return changed


_PLAIN = _Node(RIGHT, ValType.I32)
"""Whatever is right as it is: every integer, and floats that were loaded or passed."""


class NanPlan:
    """Where the code of one function has to mend values."""

    def __init__(self) -> None:
        self.behind: dict[int, Mending] = {}
        """Mendings of the value on top of the stack, by the index of the instruction that they follow."""
        self.stored: dict[int, Mending] = {}
        """Mendings of what a store has put into memory, by the index of the store."""
        self.spilled: dict[int, dict[tuple[bool, int], Mending]] = {}
        """Mendings in the record of a frame, by the index of the call or loop at which it is frozen: of local
        i under (False, i), of the operand at height i under (True, i)."""

    def of_record(self, index: int, locals_: Sequence[int], operands: int) -> list[Mending | None]:
        """The mendings of a whole record: of `locals_`, then of so many operands."""
        spilled = self.spilled.get(index)
        if not spilled:
            return [None] * (len(locals_) + operands)
        keys = [(False, local) for local in locals_] + [(True, height) for height in range(operands)]
        return [spilled.get(key) for key in keys]


def _mending(node: _Node) -> Mending | None:
    readings = node.readings & MENDABLE
    return None if readings & AS_IS else Mending(node.type, readings & -readings)


NOTHING = NanPlan()
"""The plan of a function without floating-point arithmetic."""


_FARTHEST = (1 << 32) - 5
"""The largest offset of a store whose last four bytes have one, too."""

LARGEST = 300_000
"""Float locals times constructs and sites (which is what the analysis costs, in microseconds) up to which a
function is analysed."""


def _eager_plan(typing: Typing) -> NanPlan:
    """The plan that mends each value where it is computed: for functions too large for anything better."""
    plan = NanPlan()
    for index, instruction in enumerate(typing.instructions):
        if instruction.op in PRODUCERS and typing.is_reachable(index):
            (type_,) = instruction.op.results or ()
            readings = RULES[instruction.op].results & MENDABLE
            plan.behind[index] = Mending(type_, readings & -readings)
    return plan


def makes_nans(body: Body) -> bool:
    """Whether there is anything in a function that the NaN rule is about."""
    return not PRODUCERS.isdisjoint(body.opcodes)


def nan_plan(module: Module, typing: Typing, sites: Mapping[int, Sequence[int]]) -> NanPlan:
    """Analyse a function. `sites` gives the locals to be spilled by index of the call or loop."""
    if not makes_nans(typing.function.code):
        return NOTHING
    floats = sum(type_ in FLOATS for type_ in typing.function.local_types)
    if floats * (len(typing.controls) + len(sites)) > LARGEST:
        return _eager_plan(typing)
    return _Analysis(module, typing, sites).run()


class _Analysis:
    """The walk, and what follows from it."""

    def __init__(self, module: Module, typing: Typing, sites: Mapping[int, Sequence[int]]) -> None:
        self.module = module
        self.typing = typing
        self.sites = sites
        self.types = typing.function.local_types
        self.plan = NanPlan()
        self.stack: list[_Node] = []
        parameters = len(typing.function.type.params)
        self.locals = [
            _PLAIN if index < parameters or type_ not in FLOATS else _Node(ALL, type_)
            for index, type_ in enumerate(self.types)
        ]
        self.float_locals = [index for index, type_ in enumerate(self.types) if type_ in FLOATS]
        self.made: list[_Node] = []
        self.demands: list[tuple[_Node, int]] = []
        self.stores: list[tuple[_Node, int]] = []
        self.spilled: dict[int, list[tuple[tuple[bool, int], _Node]]] = {}
        self.opened = {control.opener: control for control in typing.controls}
        self.assigned = self._find_assigned()
        # By construct: the stack and the locals as it opened, its label's values, its label's locals.
        self.entered: dict[int, tuple[list[_Node], list[_Node]]] = {}
        self.label_values: dict[int, list[_Node]] = {}
        self.label_locals: dict[int, list[_Node]] = {}
        self.owned: dict[int, set[_Node]] = {}
        self._label_of_body()

    def _label_of_body(self) -> None:
        self.label_values[0] = self.joins(self.typing.function.type.results)
        self.demand(self.label_values[0])

    def _find_assigned(self) -> list[int]:
        """The masks of locals that are assigned in each construct or in one inside of it."""
        controls = self.typing.controls
        masks = [0] * len(controls)
        for instruction, number in zip(self.typing.instructions, self.typing.control_of, strict=True):
            if instruction.op in _ASSIGN:
                masks[number] |= 1 << cast(int, instruction.immediates[0])
        for control in reversed(controls[1:]):
            masks[control.parent] |= masks[control.number]
        return masks

    def run(self) -> NanPlan:
        heights = self.typing.heights
        for index, instruction in enumerate(self.typing.instructions):
            handler = _HANDLERS.get(instruction.op)
            if heights[index] < 0 and instruction.op not in _STRUCTURE:
                continue
            if handler is not None:
                handler(self, index, instruction)
            elif instruction.op.params is None:
                self.adjust(heights[index + 1])
            else:
                self.operate(index, instruction.op)
        self.solve()
        self.mend()
        for index, values in self.spilled.items():
            self.plan.spilled[index] = {key: mending for key, node in values if (mending := _mending(node))}
        for node in self.made:  # which lie in cycles, and would wait for the collector
            node.inputs, node.users = [], []
        return self.plan

    # --- straight code ----------------------------------------------------------------------------

    def adjust(self, height: int) -> None:
        """After an instruction that neither takes nor makes floats."""
        del self.stack[height:]
        self.stack += [_PLAIN] * (height - len(self.stack))

    def pop(self, count: int) -> list[_Node]:
        if not count:
            return []
        operands = self.stack[-count:]
        del self.stack[-count:]
        return operands

    def demand(self, nodes: Sequence[_Node], accepts: int = AS_IS) -> None:
        for node in nodes:
            if node is not _PLAIN:
                self.demands.append((node, accepts))

    def operate(self, index: int, op: Opcode) -> None:
        """An instruction that has a signature of its own."""
        operands = self.pop(len(op.params or ()))
        rule = RULES.get(op)
        if rule is None:
            self.demand(operands)
            self.stack += [_PLAIN] * len(op.results or ())
            return
        type_ = (op.results or (ValType.I32,))[0]
        if rule.accepts:
            self.demand([node for node in operands if node.type is ValType.V128], rule.accepts)
        if rule.carries:
            self.push_made(index, type_, list(zip(operands, rule.carries, strict=True)))
        else:
            self.stack.append(_PLAIN if rule.results == RIGHT else _Node(rule.results, type_, index))

    def push_made(self, index: int, type_: ValType, inputs: list[tuple[_Node, Transform]]) -> None:
        """Push a value that is made of others."""
        if all(node is _PLAIN for node, _ in inputs):
            self.stack.append(_PLAIN)
            return
        node = _Node(ALL, type_, index)
        node.inputs = inputs
        self.made.append(node)
        self.stack.append(node)

    def constant(self, index: int, instruction: Instruction) -> None:
        bits = cast(int, instruction.immediates[0])
        kind = (instruction.op.results or ())[0]
        if kind is ValType.V128:
            readings = constant_readings(bits, 32, CANON32) | constant_readings(bits, 64, CANON64)
        else:
            readings = constant_readings(bits, 32 if kind is ValType.F32 else 64, CANON)
        self.stack.append(_Node(readings, kind, index))

    def copysign(self, index: int, instruction: Instruction) -> None:
        """The first operand's NaN stays a NaN, so it is CANON or NEGATED by chance: both must be right."""
        self.demand(self.pop(2))
        self.stack.append(_PLAIN)

    def select(self, index: int, instruction: Instruction) -> None:
        first, second, _ = self.pop(3)
        type_ = first.type if first is not _PLAIN else second.type
        self.push_made(index, type_, [(first, None), (second, None)])

    def get_local(self, index: int, instruction: Instruction) -> None:
        local = cast(int, instruction.immediates[0])
        self.push_made(index, self.types[local], [(self.locals[local], None)])

    def set_local(self, index: int, instruction: Instruction) -> None:
        self.locals[cast(int, instruction.immediates[0])] = self.stack.pop()

    def tee_local(self, index: int, instruction: Instruction) -> None:
        local = cast(int, instruction.immediates[0])
        value = self.stack.pop()
        self.locals[local] = value
        self.push_made(index, self.types[local], [(value, None)])

    def store(self, index: int, instruction: Instruction) -> None:
        """A store of a scalar, which may be mended where it lies."""
        _, value = self.pop(2)
        memory, _, offset = cast("tuple[int, int, int]", instruction.immediates)
        if self.module.memories[memory].is64 or offset > _FARTHEST:
            self.demand([value])
        elif value is not _PLAIN:
            self.stores.append((value, index))

    def set_global(self, index: int, instruction: Instruction) -> None:
        self.demand(self.pop(1))

    # --- calls --------------------------------------------------------------------------------------

    def call(self, index: int, instruction: Instruction) -> None:
        type_, indirect = self.callee(instruction)
        self.pop(indirect)
        self.demand(self.pop(len(type_.params)))
        self.note_site(index)
        self.throw_from(index)
        self.stack += [_PLAIN] * len(type_.results)

    def tail_call(self, index: int, instruction: Instruction) -> None:
        type_, indirect = self.callee(instruction)
        self.pop(indirect)
        self.demand(self.pop(len(type_.params)))

    def callee(self, instruction: Instruction) -> tuple[FuncType, int]:
        """The type of what is called, and how many operands say which function it is."""
        index = cast(int, instruction.immediates[0])
        if instruction.op.mnemonic.endswith("indirect"):
            return self.module.types[index], 1
        return self.module.functions[index].type, 0

    def note_site(self, index: int) -> None:
        """Remember what is spilled if the frame is frozen here."""
        if index in self.sites:
            locals_ = [((False, i), self.locals[i]) for i in self.sites[index]]
            operands = [((True, height), node) for height, node in enumerate(self.stack)]
            values = [(key, node) for key, node in locals_ + operands if node is not _PLAIN]
            self.demand([node for _, node in values], MENDABLE)
            self.spilled[index] = values

    def throw(self, index: int, instruction: Instruction) -> None:
        tag = self.module.tags[cast(int, instruction.immediates[0])]
        self.demand(self.pop(len(tag.type.params)))
        self.throw_from(index)

    def throw_again(self, index: int, instruction: Instruction) -> None:
        self.throw_from(index)

    def throw_from(self, index: int) -> None:
        """An exception may go from here to the handlers around."""
        number = self.typing.control_of[index]
        while number > 0:
            control = self.typing.controls[number]
            if control.op is _TRY:
                clauses = self.typing.instructions[control.opener].immediates[1]
                for catch in cast("tuple[Catch, ...]", clauses):
                    self.merge_locals(self.typing.label(control.opener, catch.depth))
            number = control.parent

    # --- structure ----------------------------------------------------------------------------------

    def open(self, index: int, instruction: Instruction) -> None:
        control = self.opened[index]
        if self.typing.heights[index] < 0:
            return
        if control.op is _IF:
            self.stack.pop()
        self.entered[control.number] = list(self.stack), list(self.locals)
        if control.op is _LOOP:
            self.open_loop(index, control)
            return
        self.label_values[control.number] = self.joins(control.type.results)
        if control.op is _TRY:
            for catch in cast("tuple[Catch, ...]", instruction.immediates[1]):
                label = self.typing.label(index, catch.depth)
                self.flow(self.label_values[label.number], [_PLAIN] * label.arity)

    def joins(self, types: Sequence[ValType]) -> list[_Node]:
        nodes = [_Node(ALL, type_) if type_ in FLOATS else _PLAIN for type_ in types]
        self.made += [node for node in nodes if node is not _PLAIN]
        return nodes

    def open_loop(self, index: int, control: Control) -> None:
        parameters = self.joins(control.type.params)
        self.label_values[control.number] = parameters
        self.flow(parameters, self.pop(len(parameters)))
        self.stack += parameters
        assigned = self.assigned[control.number]
        for local in self.float_locals:
            if assigned >> local & 1:
                (node,) = self.joins((self.types[local],))
                node.inputs.append((self.locals[local], None))
                self.locals[local] = node
        self.label_locals[control.number] = list(self.locals)
        self.note_site(index)
        self.pushed_alone(index, parameters)

    def pushed_alone(self, index: int, values: list[_Node]) -> None:
        """A single value that a join leaves on the stack can be mended there."""
        if len(values) == 1:
            self.stack.pop()
            self.push_made(index, values[0].type, [(values[0], None)])

    def flow(self, to: Sequence[_Node], values: Sequence[_Node]) -> None:
        """Values arrive at a join."""
        for node, value in zip(to, values, strict=True):
            if node is not _PLAIN:
                node.inputs.append((value, None))

    def merge_locals(self, label: Control) -> None:
        """The locals arrive at a label."""
        number = label.number
        if not number:
            return
        there = self.label_locals.get(number)
        if there is None:
            self.label_locals[number] = list(self.locals)
            self.owned[number] = set()
        elif label.is_loop:
            for local in self.float_locals:
                node, value = there[local], self.locals[local]
                if node is not value:
                    node.inputs.append((value, None))
        elif there != self.locals:
            self.join_locals(there, self.owned[number])

    def join_locals(self, there: list[_Node], owned: set[_Node]) -> None:
        for local in self.float_locals:
            node, value = there[local], self.locals[local]
            if node is value:
                continue
            if node not in owned:
                (join,) = self.joins((self.types[local],))
                join.inputs.append((node, None))
                owned.add(join)
                there[local] = node = join
            node.inputs.append((value, None))

    def arrive(self, label: Control) -> None:
        """A branch to a label, or the end of a construct: values and locals flow there."""
        values = self.label_values[label.number]
        if values:
            self.flow(values, self.stack[-len(values) :])
        self.merge_locals(label)

    def branch(self, index: int, instruction: Instruction) -> None:
        self.arrive(self.typing.label(index, cast(int, instruction.immediates[0])))

    def branch_if(self, index: int, instruction: Instruction) -> None:
        self.stack.pop()
        self.branch(index, instruction)

    def branch_table(self, index: int, instruction: Instruction) -> None:
        self.stack.pop()
        depths, default = cast("tuple[tuple[int, ...], int]", instruction.immediates)
        for depth in {*depths, default}:
            self.arrive(self.typing.label(index, depth))

    def leave(self, index: int, instruction: Instruction) -> None:
        values = self.label_values[0]
        if values:
            self.flow(values, self.stack[-len(values) :])

    def otherwise(self, index: int, instruction: Instruction) -> None:
        control = self.typing.controls[self.typing.control_of[index]]
        if self.typing.heights[index] >= 0:
            self.arrive(control)
        if control.number in self.entered:
            stack, locals_ = self.entered[control.number]
            self.stack, self.locals = list(stack), list(locals_)

    def close(self, index: int, instruction: Instruction) -> None:
        control = self.typing.controls[self.typing.control_of[index]]
        live = self.typing.heights[index] >= 0
        if not control.number:
            if live:
                self.arrive(control)
            return
        if control.number not in self.entered:
            return
        stack, locals_ = self.entered.pop(control.number)
        below = stack[: len(stack) - len(control.type.params)]
        if control.is_loop:
            del self.label_locals[control.number]
            results = self.pop(len(control.type.results)) if live else [_PLAIN] * len(control.type.results)
            self.stack = below + results
            return
        if live:
            self.arrive(control)
        if control.op is _IF and control.otherwise is None:
            self.stack, self.locals = list(stack), list(locals_)
            self.arrive(control)
        self.locals = self.label_locals.pop(control.number, locals_)
        self.owned.pop(control.number, None)
        results = self.label_values[control.number]
        self.stack = below + results
        self.pushed_alone(index, results)

    # --- what follows -------------------------------------------------------------------------------

    def solve(self) -> None:
        """Narrow all readings to a fixpoint."""
        for node in self.made:
            for source, _ in node.inputs:
                if source is not _PLAIN:
                    source.users.append(node)
        pending = list(reversed(self.made))
        waiting = set(pending)
        while pending:
            node = pending.pop()
            waiting.discard(node)
            if not node.narrow():
                continue
            for user in node.users:
                if user not in waiting:
                    waiting.add(user)
                    pending.append(user)

    def mend(self) -> None:
        """Mend what is demanded and not right; then, in memory, what was stored and is not right yet."""
        self.demand([node for node, _ in self.stores if not node.readings & MENDABLE])
        while self.demands:
            node, accepts = self.demands.pop()
            if node.readings & (accepts | AS_IS):
                continue
            readings = node.readings & MENDABLE
            if node.pushed_by >= 0 and readings:
                self.plan.behind[node.pushed_by] = Mending(node.type, readings & -readings)
            else:
                self.demands += [(source, AS_IS) for source, _ in node.inputs]
            node.readings |= RIGHT
        self.plan.stored = {index: mending for node, index in self.stores if (mending := _mending(node))}


_Handler: TypeAlias = Callable[[_Analysis, int, Instruction], None]

_HANDLER_NAMES: dict[str, _Handler] = {
    **dict.fromkeys(("block", "loop", "if", "try_table"), _Analysis.open),
    "else": _Analysis.otherwise,
    "end": _Analysis.close,
    "return": _Analysis.leave,
    "br": _Analysis.branch,
    "br_if": _Analysis.branch_if,
    "br_table": _Analysis.branch_table,
    **dict.fromkeys(("call", "call_indirect"), _Analysis.call),
    **dict.fromkeys(("return_call", "return_call_indirect"), _Analysis.tail_call),
    "throw": _Analysis.throw,
    "throw_ref": _Analysis.throw_again,
    **dict.fromkeys(("select", "select_t"), _Analysis.select),
    "local.get": _Analysis.get_local,
    "local.set": _Analysis.set_local,
    "local.tee": _Analysis.tee_local,
    "global.set": _Analysis.set_global,
    **dict.fromkeys(("f32.store", "f64.store"), _Analysis.store),
    **dict.fromkeys(("f32.const", "f64.const", "v128.const"), _Analysis.constant),
    **dict.fromkeys(("f32.copysign", "f64.copysign"), _Analysis.copysign),
    "unreachable": lambda analysis, index, instruction: None,
}
_HANDLERS = {BY_MNEMONIC[name]: handler for name, handler in _HANDLER_NAMES.items()}
_STRUCTURE = frozenset(BY_MNEMONIC[name] for name in ("block", "loop", "if", "try_table", "else", "end"))
_ASSIGN = frozenset((BY_MNEMONIC["local.set"], BY_MNEMONIC["local.tee"]))
_LOOP, _IF, _TRY = BY_MNEMONIC["loop"], BY_MNEMONIC["if"], BY_MNEMONIC["try_table"]
