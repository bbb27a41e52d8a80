"""Values as text."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.debuginfo.program import Stopped
from tests.support import Guests
from ttd.debuginfo.types import AliasType, ArrayType, BaseType, Encoding, PointerType, QualifiedType
from ttd.errors import ExpressionError
from ttd.expr import Limits, TypedValue, describe_type, evaluate, format_bytes, format_value, parse_type
from ttd.expr.arithmetic import read_float, write_number
from ttd.expr.format import _run_length as run_length
from ttd.expr.format import float_text, quote


@pytest.fixture(scope="module")
def inner(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "expressions", "inner")
    yield stopped
    stopped.engine.close()


@pytest.fixture(scope="module")
def ready(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "structs", "ready")
    yield stopped
    stopped.engine.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("local", "13"),
        ("other", "-29"),
        ("big", "-9007199254740993"),
        ("huge", "18364758544493064720"),
        ("port", "65535"),
        ("yes", "true"),
        ("(_Bool)0", "false"),
        ("minus", r"-1 '\377'"),
        ("(unsigned char)200", r"200 '\310'"),
        ("'q'", "113 'q'"),
        ("'\\''", r"39 '\''"),
        ("quarter", "0.25"),
        ("tenth", "0.1"),
        ("third", "0.3333333333333333"),
        ("million", "1000000"),
        ("tiny", "5e-324"),
        ("wide", "1.5"),
        ("1.0 / 0", "inf"),
        ("-1.0 / 0", "-inf"),
        ("all.suit", "SPADES"),
        ("(enum suit)7", "7"),
        ("all.access", "(READ | EXECUTE)"),
        ("(enum access)2", "WRITE"),
        ("(enum access)9", "(READ | unknown: 0x8)"),
        ("(enum access)0", "0"),
        ("(enum level)-1", "LOW"),
        ("table", "{1, 1, 2, 3, 5, 8}"),
        ("all.matrix", "{{1, 2, 3}, {4, 5, 6}}"),
        ("variable", "{0, 1, 4, 9}"),
        ("*pointer@3", "{2, 3, 5}"),
        ("unterminated", '"full"'),
        ("dirty", r'"ab\000cd\n\"\\\377"'),
        ("utf8", '"naïve"'),
        ("all.letters", '"letters"'),
        ("first.name", '"first"'),
        ("all.packed", "{small = -2, mid = 100, wide = 737894404660, on = true}"),
        ("all.shape.paint", "{red = 5, green = 6}"),
        (
            "all.shape",
            "{kind = 7, {{width = 3, height = 4}, radius = 8.4879831653e-314}, paint = {red = 5, green = 6}}",
        ),
        ("all.opaque", "(struct opaque *) 0x0"),
        ("*all.opaque", "<incomplete type>"),
        ("add", "{int (int, int)} <add>"),
        ("*all.operation", "{int (int, int)} <subtract>"),
        ("*(int *)0xfffffff0", "<error: cannot access memory at address 0xfffffff0>"),
        ("(char *)0xfffffff0", "0xfffffff0 <error: cannot access memory at address 0xfffffff0>"),
        ("(char *)0", "0x0"),
        ("(void)local", "void"),
    ],
)
def test_values(inner: Stopped, text: str, shown: str) -> None:
    assert inner.show(text) == shown


def test_pointers_show_their_type_and_their_symbol(inner: Stopped) -> None:
    address = evaluate("&table", inner.context()).as_int()
    assert inner.show("pointer") == f"(int *) {address + 8:#x} <table+8>"
    assert inner.show("&table") == f"(int (*)[6]) {address:#x} <table>"
    index = evaluate("all.operation", inner.context()).as_int()
    assert inner.show("all.operation") == f"(operation_t) {index:#x} <subtract>"
    local = evaluate("&local", inner.context()).as_int()
    assert inner.show("&local") == f"(int *) {local:#x}"


def test_pointers_to_characters_show_the_string(inner: Stopped) -> None:
    address = evaluate("all.text", inner.context()).as_int()
    assert inner.show("all.text") == f'{address:#x} "hello"'
    assert inner.show("&first").endswith("<first>")


def test_strings_are_marked_as_cut_only_if_there_is_more(inner: Stopped) -> None:
    text = evaluate("all.text", inner.context())
    characters = ArrayType(parse_type("wchar_t", inner.context()), 9)
    wide = TypedValue.of_bytes(characters, "wide".encode("utf-32-le") + bytes(20), inner.context())
    assert format_value(text, limits=Limits(elements=5)).endswith(' "hello"')
    assert format_value(text, limits=Limits(elements=4)).endswith(' "hell"…')
    assert format_value(wide, limits=Limits(elements=4)) == 'L"wide"'
    assert format_value(wide, limits=Limits(elements=3)) == 'L"wid"…'


def test_structs_nest_and_circles_end_at_pointers(inner: Stopped) -> None:
    address = evaluate("&ring", inner.context()).as_int()
    assert inner.show("ring") == f'{{value = 9, next = {address:#x} <ring>, name = "ring"}}'
    assert inner.show("*first.next").startswith("{value = 2, next = 0x")


def test_a_struct_of_everything_from_the_shared_guest(ready: Stopped) -> None:
    shown = ready.show("*a")
    assert shown.startswith(
        '{name = "alpha", colour = RED, handle = 12648423, '
        "corner = {{x = 0, y = 0}, {x = 1, y = -1}, {x = 2, y = -2}}, weight = 2.5, flags = 5, kind = 17, "
        "next = 0x0, compare = 0x"
    )
    assert " <by_weight>, number = {bits = 1069547520, real = 1.5}, label = 0x" in shown
    assert shown.endswith(' "alpha"}')


@pytest.mark.parametrize(
    ("text", "fmt", "shown"),
    [
        ("255", "x", "0xff"),
        ("-1", "x", "0xffffffff"),
        ("(char)-1", "x", "0xff"),
        ("-1", "u", "4294967295"),
        ("3000000000u", "d", "-1294967296"),
        ("10", "t", "1010"),
        ("0", "t", "0"),
        ("8", "o", "010"),
        ("0", "o", "0"),
        ("10", "z", "0x0000000a"),
        ("65", "c", "65 'A'"),
        ("1078530011", "f", "3.1415927"),
        ("third", "x", "0x3fd5555555555555"),
        ("all.suit", "d", "11"),
        ("all.packed", "x", "{small = 0x6, mid = 0x64, wide = 0xabcdef1234, on = 0x1}"),
        ("all.packed.small", "d", "-2"),
        ("table", "x", "{0x1, 0x1, 0x2, 0x3, 0x5, 0x8}"),
        ("all.letters", "d", "{108, 101, 116, 116, 101, 114, 115, 0, 0, 0, 0, 0}"),
        ("all.letters", "s", '"letters"'),
        ("all.opaque", "d", "0"),
    ],
)
def test_formats(inner: Stopped, text: str, fmt: str, shown: str) -> None:
    assert inner.show(text, fmt) == shown


def test_addresses_show_their_symbol(inner: Stopped) -> None:
    address = evaluate("&table[1]", inner.context()).as_int()
    assert inner.show("pointer - 1", "a") == f"{address:#x} <table+4>"
    assert inner.show(str(address), "a") == f"{address:#x} <table+4>"
    pc = inner.state.frames[-1].pc
    start = inner.module.functions[inner.state.frames[-1].function].code.start
    assert inner.show("$pc") == f"{pc:#x} <check+{pc - start}>"


@pytest.mark.parametrize("fmt", ["q", "xx", "X"])
def test_unknown_formats_are_refused(inner: Stopped, fmt: str) -> None:
    with pytest.raises(ExpressionError, match="no format"):
        inner.show("1", fmt)


def test_long_arrays_are_cut_and_repeats_counted(inner: Stopped) -> None:
    value = evaluate("expectations", inner.context())
    assert format_value(value, limits=Limits(elements=4)).endswith("…}")
    assert format_value(evaluate("table", inner.context()), limits=Limits(elements=3)) == "{1, 1, 2…}"
    assert inner.show("bytes").startswith(r"""'\a' <repeats 100 times>, "defgh""")
    assert inner.show("bytes").endswith('"…')
    assert inner.show("*(int *)0x100@50") == "{0 <repeats 50 times>}"
    assert inner.show("*(int *)0x100@200000") == "{0 <repeats 200000 times>}"
    assert inner.show("*(char *)0x100@100000") == '""'
    assert inner.show("*(int *)0x100@9") == "{" + ", ".join(["0"] * 9) + "}"


def test_depth_is_limited(inner: Stopped) -> None:
    value = evaluate("all", inner.context())
    shown = format_value(value, limits=Limits(depth=1))
    assert shown.startswith("{shape = {…}, packed = {…}, suit = SPADES")


def test_huge_arrays_take_no_time(inner: Stopped) -> None:
    integer = parse_type("int", inner.context())
    huge = TypedValue(ArrayType(ArrayType(integer, 1 << 20), 1 << 40), inner.context(), 0x1000)
    assert len(format_value(huge)) < 10_000
    assert format_value(TypedValue(ArrayType(integer, 1 << 40), inner.context(), 0x1000)).startswith(
        "{0 <repeats"
    )
    assert format_value(TypedValue(ArrayType(integer, 0), inner.context(), 0)) == "{}"


def test_bytes_of_another_time_are_formatted_alike(inner: Stopped) -> None:
    value = evaluate("first", inner.context())
    assert format_bytes(value.type, value.data, inner.context()) == format_value(value)
    assert format_bytes(parse_type("int", inner.context()), b"\1\0\0\0", inner.context()) == "1"
    partly = format_bytes(value.type, b"\1\0\0\0", inner.context())
    assert partly.startswith("{value = 1, next = <error: the value is only partly known>")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("struct list", "struct list {\n    int value;\n    struct list *next;\n    char name[8];\n}"),
        ("node", "struct list {\n    int value;\n    struct list *next;\n    char name[8];\n} *"),
        ("enum suit", "enum suit {CLUBS, DIAMONDS, HEARTS = 10, SPADES}"),
        ("operation_t", "int (*)(int, int)"),
        ("byte_t", "unsigned char"),
        ("all.opaque", "struct opaque * (incomplete)"),
        ("local", "int"),
    ],
)
def test_types_are_written_out(inner: Stopped, text: str, shown: str) -> None:
    assert describe_type(parse_type(text, inner.context())) == shown


def test_qualifiers_stay_when_types_are_written_out(inner: Stopped) -> None:
    suit = QualifiedType("const", AliasType("colour", parse_type("enum suit", inner.context())))
    assert describe_type(PointerType(suit)) == "const enum suit {CLUBS, DIAMONDS, HEARTS = 10, SPADES} *"


def test_bit_fields_and_anonymous_members_are_written_out(inner: Stopped) -> None:
    assert "    int small : 3;\n    unsigned int mid : 7;" in describe_type(
        parse_type("all.packed", inner.context())
    )
    shape = describe_type(parse_type("struct shape", inner.context()))
    assert (
        "    union {\n        struct {\n            int width;\n            int height;\n        };\n"
        in shape
    )


@given(st.binary(max_size=60))
def test_quoted_bytes_are_printable(data: bytes) -> None:
    text = quote(data)
    assert text.isprintable()
    assert text[0] in "\"'"


@given(st.floats(width=64))
def test_doubles_read_back(number: float) -> None:
    data = struct.pack("<d", number)
    text = float_text(data)
    if number == number:
        assert float(text) == number
    else:
        assert "nan(0x" in text


@given(st.floats(width=32, allow_nan=False))
def test_singles_read_back(number: float) -> None:
    data = struct.pack("<f", number)
    assert struct.pack("<f", float(float_text(data))) == data


@given(st.floats(allow_nan=False))
def test_quads_hold_every_double(number: float) -> None:
    quad = BaseType("long double", 16, Encoding.FLOAT)
    assert read_float(write_number(quad, number)) == number


@given(st.binary(min_size=16, max_size=16))
def test_any_quad_has_a_text(data: bytes) -> None:
    assert float_text(data)


def test_a_pointer_to_nothing_readable_is_no_failure(inner: Stopped) -> None:
    size = len(inner.state.memories[0].view())
    char = parse_type("char", inner.context())
    data = (size - 2).to_bytes(4, "little")
    inner.state.memories[0].view()[size - 2 :] = b"ok"
    assert format_bytes(PointerType(char), data, inner.context()) == f'{size - 2:#x} "ok"…'
    inner.state.memories[0].view()[size - 1 :] = b"\0"
    data = (size - 3).to_bytes(4, "little")
    inner.state.memories[0].view()[size - 3 : size - 1] = b"ok"
    assert format_bytes(PointerType(char), data, inner.context()) == f'{size - 3:#x} "ok"'


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40)), max_size=12), st.integers(1, 4))
def test_runs_are_counted_exactly(runs: list[tuple[int, int]], step: int) -> None:
    elements = [bytes([value]) * step for value, count in runs for _ in range(count)]
    data = b"".join(elements)
    for index in range(len(elements)):
        expected = next(
            (n for n in range(1, len(elements) - index) if elements[index + n] != elements[index]),
            len(elements) - index,
        )
        assert run_length(data, index, step) == expected
