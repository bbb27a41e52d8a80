"""Evaluation, against the compiler's own results and in every kind of context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.debuginfo.program import Stopped
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.errors import ExpressionError
from ttd.expr import (
    StateContext,
    TypedValue,
    check_names,
    describe_type,
    evaluate,
    lvalue_range,
    parse,
    parse_type,
)


@pytest.fixture(scope="module")
def inner(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "expressions", "inner")
    yield stopped
    stopped.engine.close()


@pytest.fixture(scope="module")
def counting(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "expressions", "counting")
    yield stopped
    stopped.engine.close()


def value_of(stopped: Stopped, text: str, frame: int = 0) -> int | float:
    return evaluate(text, stopped.context(frame)).number()


def test_every_expression_has_the_value_that_the_compiler_computed(inner: Stopped) -> None:
    context = inner.context()
    checked = 0
    for number in range(200):
        address = evaluate(f"expectations[{number}].text", context).as_int()
        if address == 0:
            break
        text = context.read_memory(address, 200).partition(b"\0")[0].decode()
        value = evaluate(text, context).number()
        if isinstance(value, float):
            assert value == value_of(inner, f"expectations[{number}].real"), text
        else:
            assert value & (1 << 64) - 1 == value_of(inner, f"expectations[{number}].bits"), text
        checked += 1
    assert checked == 139


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nosuch", "no symbol 'nosuch'"),
        ("locl", "did you mean 'local'"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("1 << 32", "cannot shift 32 bits by 32"),
        ("1 >> -1", "cannot shift"),
        ("1.5 & 1", "needs integers"),
        ("~1.5", "needs an integer"),
        ("1.5 % 2", "needs integers"),
        ("all + 1", "does not apply"),
        ("!all", "no number"),
        ("all.nosuch", "has no member nosuch; it has shape, packed"),
        ("local.x", "has no members"),
        ("local->x", "left side of -> is no pointer"),
        ("all.opaque->x", "incomplete type"),
        ("local[0]", "cannot be indexed"),
        ("*1.5", "no pointer"),
        ("*all.anything", "void \\* cannot be dereferenced"),
        ("&1", "has no address"),
        ("&all.packed.mid", "bit field has no address"),
        ("pointer + pointer", "cannot be added"),
        ("(struct nosuch *)0", "no type 'struct nosuch'"),
        ("(struct list)1", "cannot be cast"),
        ("sizeof(struct opaque)", "incomplete"),
        ("$nosuch", r"there is no \$nosuch"),
        ("$local999", "there is no local 999"),
        ("$1", "no values yet"),
        ("local@0", "must be between"),
        ("1@2", "must be in memory"),
        ("*(int *)0xfffffff0 + 1", "cannot access memory at address 0xfffffff0"),
        ("third[1.5]", "cannot be indexed"),
        ("table[1.5]", "expected an integer"),
    ],
)
def test_errors_are_one_line_and_say_what(inner: Stopped, text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        evaluate(text, inner.context()).number()
    assert "\n" not in str(caught.value)


def test_the_innermost_scope_wins(inner: Stopped) -> None:
    assert value_of(inner, "shadow") == 77
    assert value_of(inner, "::global") == 42


def test_arrays_of_variable_length_have_their_length(inner: Stopped) -> None:
    assert value_of(inner, "sizeof variable") == 16
    assert value_of(inner, "variable[3]") == 9


def test_other_frames_have_other_variables(counting: Stopped, inner: Stopped) -> None:
    assert [inner.debug.function_name(frame.function) for frame in inner.state.frames][-2:] == [
        "main",
        "check",
    ]
    with pytest.raises(ExpressionError, match="no symbol 'handle'"):
        value_of(inner, "handle", frame=1)
    assert value_of(inner, "local", frame=0) == 13


def test_static_variables_are_known_inside_their_function_and_by_its_name(
    counting: Stopped, inner: Stopped
) -> None:
    assert value_of(counting, "calls") == 5
    assert value_of(counting, "counting::calls") == 5
    assert value_of(inner, "counting::calls") == 5
    with pytest.raises(ExpressionError, match="no symbol"):
        value_of(inner, "calls")


def test_the_machine_is_visible(inner: Stopped) -> None:
    state, frame = inner.state, inner.state.frames[-1]
    assert value_of(inner, "$pc") == frame.pc
    assert value_of(inner, "$tick") == state.position.tick
    assert value_of(inner, "$step") == state.position.step
    assert value_of(inner, "$event") == state.next_event
    assert value_of(inner, "$local0") == frame.locals[0]
    assert value_of(inner, "$global0") == state.globals[0]
    context = StateContext(state, inner.debug, 0, {"bpnum": 3})
    assert evaluate("$bpnum", context).as_int() == 3


def test_without_debug_information_the_machine_is_all_there_is(inner: Stopped) -> None:
    customs = tuple(section for section in inner.module.customs if not section.name.startswith(".debug"))
    context = StateContext(inner.state, DebugInfo(replace(inner.module, customs=customs)))
    assert evaluate("$local0 + 1", context).as_int() == value_of(inner, "$local0 + 1")
    assert evaluate("*(unsigned char *)($local0 + 3) & 0", context).as_int() == 0
    with pytest.raises(ExpressionError, match=r"no debug information .*-g"):
        evaluate("local", context)


def test_without_frames_globals_remain(inner: Stopped) -> None:
    context = StateContext(inner.state, inner.debug, level=99)
    assert context.frame is None
    assert evaluate("global", context).as_int() == 42
    with pytest.raises(ExpressionError):
        evaluate("variable", context)
    with pytest.raises(ExpressionError, match=r"no \$pc"):
        evaluate("$pc", context)


def test_a_watch_names_the_memory_of_an_object(inner: Stopped) -> None:
    address = evaluate("&table[2]", inner.context()).as_int()
    watch = lvalue_range("table[2]", inner.context())
    assert (watch.memory, watch.address, watch.length, watch.frame_local) == (0, address, 4, False)
    assert lvalue_range("*pointer@3", inner.context()).length == 12
    packed = evaluate("&all.packed", inner.context()).as_int()
    wide = lvalue_range("all.packed.wide", inner.context())
    assert (wide.address, wide.length) == (packed + 1, 6)


@pytest.mark.parametrize(
    ("text", "frame_local"),
    [
        ("local", True),
        ("variable[1]", True),
        ("shadow", True),
        ("*pointer", False),
        ("node->next->value", False),
        ("(*node).name", False),
        ("global", False),
        ("counting::calls", False),
        ("*(int *)0x1000", False),
    ],
)
def test_a_watch_dies_with_the_frame_only_if_its_storage_does(
    inner: Stopped, text: str, frame_local: bool
) -> None:
    assert lvalue_range(parse(text), inner.context()).frame_local is frame_local


@pytest.mark.parametrize(
    "text", ["1", "local + 1", "$local0", "add", "&local", "*(int *)0xfffffffe", "all.trailing"]
)
def test_what_is_no_place_in_memory_cannot_be_watched(inner: Stopped, text: str) -> None:
    with pytest.raises(ExpressionError):
        lvalue_range(text, inner.context())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("struct list *", "struct list *"),
        ("node->next", "struct list *"),
        ("unsigned", "unsigned int"),
        ("byte_t", "byte_t"),
        ("all.matrix", "int [2][3]"),
        ("&all.matrix", "int (*)[2][3]"),
        ("words", "const char *const [3]"),
        ("add", "int (int, int)"),
        ("&add", "int (*)(int, int)"),
        ("local + 1.0f", "float"),
        ("sizeof local", "unsigned long"),
        ("local == 1", "int"),
        ("pointer - 1", "int *"),
        ("pointer - pointer", "long"),
    ],
)
def test_types_of_expressions(inner: Stopped, text: str, name: str) -> None:
    assert parse_type(text, inner.context()).name == name


def test_values_know_whether_they_are_true(inner: Stopped) -> None:
    def truth(text: str) -> bool:
        return evaluate(text, inner.context()).is_true()

    assert truth("local") and truth("pointer") and truth("table") and truth("0.5")
    assert not truth("all.opaque") and not truth("local - 13") and not truth("0.0")


def test_an_expression_is_parsed_once_and_looked_up_each_time(inner: Stopped, counting: Stopped) -> None:
    expression = parse("(byte_t)-1 + global")
    assert evaluate(expression, inner.context()).as_int() == 255 + 42
    assert evaluate(expression, counting.context()).as_int() == 255 + 42


OPERATORS = st.sampled_from(["+", "-", "*", "&", "|", "^", "<", "==", ">="])
INTS = st.integers(0, (1 << 31) - 1)


@given(INTS, OPERATORS, INTS, st.sampled_from(["", "u"]))
def test_integer_arithmetic_wraps_as_in_c(inner: Stopped, a: int, operator: str, b: int, suffix: str) -> None:
    value = evaluate(f"{a}{suffix} {operator} {b}{suffix}", inner.context())
    exact = eval(f"{a} {operator} {b}")
    if isinstance(exact, bool):
        assert value.number() == int(exact)
        return
    wrapped = exact & 0xFFFFFFFF
    assert value.as_int() == (wrapped if suffix or wrapped < 1 << 31 else wrapped - (1 << 32))


@given(st.binary(min_size=4, max_size=4))
def test_bytes_are_read_as_their_type_says(inner: Stopped, data: bytes) -> None:
    for name, signed in (("int", True), ("unsigned int", False)):
        type_ = parse_type(name, inner.context())
        value = TypedValue.of_bytes(type_, data, inner.context())
        assert value.as_int() == int.from_bytes(data, "little", signed=signed)


@pytest.fixture(scope="module")
def method(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "methods", "area", "-O0", "-x", "c++", "-fno-exceptions", "-fno-rtti")
    yield stopped
    stopped.engine.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("side", "3"),
        ("::side", "99"),
        ("id", "7"),
        ("result", "9"),
        ("ok == true", "1"),
        ("false", "false"),
        ("this != nullptr", "1"),
        ("nullptr", "(void *) 0x0"),
    ],
)
def test_a_method_has_the_members_of_its_object(method: Stopped, text: str, shown: str) -> None:
    assert method.show(text) == shown


def test_a_class_is_written_out_with_its_bases(method: Stopped) -> None:
    text = describe_type(parse_type("Square", method.context()))
    assert text == "struct Square : Shape {\n    double side;\n    bool ok;\n}"


def test_names_are_checked_however_deep_they_are_without_reading_values(inner: Stopped) -> None:
    context = inner.context()
    check_names(parse("expectations[1 + sizeof expectations].bits ? 1 : *(char *)0"), context)
    for text in ("nothing", "expectations[1 + nothing]", "1 ? 2 : (int)-nothing"):
        with pytest.raises(ExpressionError, match="nothing"):
            check_names(parse(text), context)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('all.text == "hello"', 1),
        ('all.text == "hell"', 0),
        ('all.text != "hello, world"', 1),
        ('"zero" == words[0]', 1),
        ('node->name == "first" && node->next->name != "first"', 1),
        ('all.letters == "letters"', 1),
        ('all.letters == ""', 0),
        ('unterminated == "full"', 1),
        ('unterminated == "fullness"', 0),
        ('utf8 == "na\\303\\257ve"', 1),
        ('utf8 == "na\u00efve"', 1),
        ('dirty == "ab"', 1),
    ],
)
def test_strings_are_compared_by_their_characters(inner: Stopped, text: str, expected: int) -> None:
    assert evaluate(text, inner.context()).as_int() == expected


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ('"text"', "can only be compared", 0),
        ('node->name + "text"', "can only be compared", 13),
        ('local == "text"', "a value of type int is no string", 6),
        ('(char *)0xfffffff0 == "text"', "cannot access memory", 19),
    ],
)
def test_strings_elsewhere_are_refused(inner: Stopped, text: str, message: str, column: int) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        evaluate(text, inner.context())
    assert caught.value.column == column
