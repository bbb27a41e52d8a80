"""Compiled conditions answer as the evaluator does, and say yes where it has an error to tell."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.debuginfo.program import Stopped
from tests.support import Guests
from ttd.errors import ExpressionError
from ttd.expr import Expression, compile_any, evaluate, parse
from ttd.state import State
from ttd.types import StopReason, Value
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.expression import decode_body
from ttd.wasm.model import ExternKind, GlobalType, MemoryType, ValType
from ttd.wasm.predicate import Predicate

VALUES = [
    text.strip()
    for text in """
    local; count; pointer; node; global; huge; yes; negative; port; minus; wide_letter; big; table; all.opaque
    0; 1; 'a'; 2147483648; 4000000000u; 0xffffffffffffffff; -1; -129; 2147483647; 31; 64; 1.5; 2.5f; 1e300
    pointer[1]; *pointer; **handle; node->next->value; node->name[0]; ring.next->next->value; table[local]
    bytes[port]; all.matrix[1][count - 3]; all.shape.width; all.shape.radius; all.suit; all.access; HEARTS
    LOW; all.packed.small; all.packed.mid; all.packed.wide; all.packed.on; all.text[1]; *words[2]
    all.anything; third; quarter; tenth; million; tiny; &global; &node->next; &all.matrix[1]
    node[count].value
    *(long long *)(pointer + 100000000); ((struct list *)all.list)->value; *(int *)local; *(short *)0xffffffff
    sizeof all; sizeof(short); sizeof *node; counting::calls; true; nullptr; $local0; $local1; $global0; $pc
    *(double *)&big; *(float *)&global; *(unsigned char *)&huge; node->next->next->next->next->value
    all.text == "hello"; "hell" == all.text; all.text != "hello "; node->name == "first"; words[2] == "two"
    all.letters == "letters"; all.letters == "letter"; unterminated == "full"; unterminated == "ful"
    all.text == ""; (char *)0x7fffffff == "x"; dirty != "ab\\0cd"; utf8 == "na\\303\\257ve"; dirty == "ab"
    all.packed; wide; all.operation; variable[1]
    """.replace("\n", ";").split(";")
    if text.strip()
]
OPERATORS = ["==", "!=", "<", ">", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]
TYPES = (
    "int", "unsigned", "short", "unsigned char", "long long", "unsigned long long", "float", "double",
    "_Bool", "enum suit", "char *", "struct list *",
)  # fmt: skip


def expressions() -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(VALUES),
        lambda parts: st.one_of(
            st.tuples(parts, st.sampled_from(OPERATORS), parts).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
            st.tuples(st.sampled_from(("!", "-", "~", "+")), parts).map(lambda p: f"({p[0]} {p[1]})"),
            st.tuples(st.sampled_from(TYPES), parts).map(lambda p: f"(({p[0]}){p[1]})"),
            st.tuples(parts, parts, parts).map(lambda p: f"({p[0]} ? {p[1]} : {p[2]})"),
        ),
        max_leaves=6,
    )


class Asked:
    """Predicates run over what a stopped program has in memory and in its globals."""

    def __init__(self, stopped: Stopped) -> None:
        self.stopped = stopped
        self._store = wasmtime.Store()
        data = bytes(stopped.state.memories[0].view())
        limits = wasmtime.Limits(len(data) >> 16, None)
        self._memory = wasmtime.Memory(self._store, wasmtime.MemoryType(limits))
        self._memory.write(self._store, data)
        self._functions: dict[str, wasmtime.Func] = {}

    def catch_up(self) -> None:
        """The program has run on."""
        self._memory.write(self._store, bytes(self.stopped.state.memories[0].view()))
        self._functions.clear()

    def ask(self, predicate: Predicate, state: State) -> bool:
        if predicate.key not in self._functions:
            self._functions[predicate.key] = self._function(predicate, state)
        arguments = [_signed(state.frames[-1].locals[local], type_) for local, type_ in predicate.arguments]
        return bool(self._functions[predicate.key](self._store, *arguments))

    def _function(self, predicate: Predicate, state: State) -> wasmtime.Func:
        builder = ModuleBuilder()
        builder.import_memory("", "", MemoryType(1, None, False))
        for global_, value in zip(self.stopped.module.globals, state.globals, strict=True):
            builder.global_(GlobalType(global_.type.type, False), Code().emit("i32.const", value))
        body = Code(decode_body(predicate.code, 0, len(predicate.code), ())[:-1])
        index = builder.function(predicate.type, body, predicate.temporaries)
        builder.export("ask", ExternKind.FUNCTION, index)
        module = wasmtime.Module(self._store.engine, builder.encode())
        function = wasmtime.Instance(self._store, module, [self._memory]).exports(self._store)["ask"]
        assert isinstance(function, wasmtime.Func)
        return function


def _signed(value: Value, type_: ValType) -> int | float:
    """A value as wasmtime-py takes it."""
    assert isinstance(value, int)
    size = {ValType.I32: 4, ValType.F32: 4}.get(type_, 8)
    formats = {ValType.F32: "<f", ValType.F64: "<d"}
    data = value.to_bytes(size, "little")
    if type_ in formats:
        return float(struct.unpack(formats[type_], data)[0])
    return int.from_bytes(data, "little", signed=True)


@pytest.fixture(scope="module")
def asked(guest: Guests) -> Iterator[Asked]:
    stopped = Stopped(guest, "expressions", "inner")
    yield Asked(stopped)
    stopped.engine.close()


def compiled(stopped: Stopped, *expressions: Expression, known: bool = True) -> Predicate | None:
    frame = stopped.state.frames[-1]
    return compile_any(
        [(expression, 0) for expression in expressions],
        stopped.debug,
        frame.function,
        frame.pc,
        lambda local: known,
    )


def equal_to(text: str, value: int | float) -> Expression:
    """Whether `text` is `value`."""
    suffix = "" if isinstance(value, float) else "ll" if value < 1 << 63 else "ull"
    return parse(f"({text}) == {value!r}{suffix}")


def holds(stopped: Stopped, expression: Expression) -> bool:
    """As the evaluator has it; what cannot be told counts as true."""
    try:
        return evaluate(expression, stopped.context()).is_true()
    except ExpressionError:
        return True


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=expressions())
def test_compiled_conditions_answer_as_the_evaluator_does(asked: Asked, text: str) -> None:
    expression = parse(text)
    predicate = compiled(asked.stopped, expression)
    if predicate is not None:
        answer, expected = asked.ask(predicate, asked.stopped.state), holds(asked.stopped, expression)
        assert answer == expected if predicate.is_complete else answer >= expected


@pytest.mark.parametrize("text", VALUES)
def test_every_value_is_right_in_code(asked: Asked, text: str) -> None:
    """Compared with what it is, bit by bit as far as that is possible."""
    try:
        value = evaluate(text, asked.stopped.context()).number()
    except ExpressionError:
        value = 0
    for other in (value, value ^ 1 if isinstance(value, int) else value * 2):
        expression = equal_to(text, other)
        predicate = compiled(asked.stopped, expression)
        if predicate is not None:
            assert asked.ask(predicate, asked.stopped.state) == holds(asked.stopped, expression)


NOT_COMPILED = {"all.packed", "wide", "variable[1]"}
"""A struct (an error at each hit), 128 bits, an array of variable length."""


def test_what_is_not_compiled_is_left_to_others_where_it_matters(asked: Asked) -> None:
    """`variable[1]` is 1."""
    for text, is_noted in (
        ("local == 13 && variable[1] == 2", True),
        ("local == 12 && variable[1] == 2", False),
        ("local == 12 && variable[1] == 1 || count == 3", False),
        ("!(local == 13 && variable[1] == 2)", True),
        ("count == 4 && (local == 1 && wide > 1 || !count)", False),
    ):
        predicate = compiled(asked.stopped, parse(text))
        assert predicate is not None and not predicate.is_complete, text
        assert asked.ask(predicate, asked.stopped.state) == is_noted, text
    for text in ("variable[1] == 1 && local == 12", "local == 13 || variable[1] == 1"):
        assert compiled(asked.stopped, parse(text)) is None


def test_nearly_everything_is_compiled(asked: Asked) -> None:
    left = {text for text in VALUES if compiled(asked.stopped, parse(text)) is None}
    assert left == NOT_COMPILED


STEPS = 3
"""Of so many positions in optimised code one is looked at: so that each of a loop comes by."""


@pytest.mark.parametrize("level", ["-O1", "-O2"])
def test_variables_of_optimised_code_are_right_in_code(guest: Guests, level: str) -> None:
    """In registers, in inlined functions, and where they are not available."""
    stopped = Stopped(guest, "registers", "begin", level)
    asked, compared, registers = Asked(stopped), 0, 0
    while stopped.state.frames and compared < 160:
        frame = stopped.state.frames[-1]
        scopes = stopped.debug.scopes(frame.pc)
        asked.catch_up()
        for variable in scopes[0].visible(frame.pc) if scopes else ():
            try:
                value = evaluate(variable.name, stopped.context()).number()
            except ExpressionError:
                continue
            for other in (value, value ^ 1 if isinstance(value, int) else value + 1):
                expression = equal_to(variable.name, other)
                predicate = compiled(stopped, expression)
                if predicate is not None:
                    assert asked.ask(predicate, stopped.state) == holds(stopped, expression), (
                        frame,
                        expression,
                    )
                    compared += 1
                    registers += bool(predicate.arguments)
        if any(stopped.engine.step().reason is StopReason.ENDED for _ in range(STEPS)):
            break
    stopped.engine.close()
    assert compared > 100 and registers > 40
