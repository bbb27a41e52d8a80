"""Rust: structs, tuples, enums with data, and the library's types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.debuginfo.program import Stopped
from tests.support import Guests
from ttd.expr import describe_type, evaluate, format_value, parse_type


@pytest.fixture(scope="module")
def ready(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "rust", "ready")
    yield stopped
    stopped.engine.close()


@pytest.mark.parametrize(
    ("text", "type_", "shown"),
    [
        ("owned", "alloc::string::String", '"héllo"'),
        ("empty", "alloc::string::String", '""'),
        ("numbers", "alloc::vec::Vec<i32>", "[1, 2, 3]"),
        ("numbers[2]", "i32", "3"),
        ("words", "alloc::vec::Vec<alloc::string::String>", '["one", "two"]'),
        ("some", "core::option::Option<i32>", "Some(5)"),
        ("none", "core::option::Option<i32>", "None"),
        ("*boxed", "rust::Point", "Point {x: 1, y: 2}"),
        ("boxed->y", "i32", "2"),
        ("nothing", "core::option::Option<alloc::boxed::Box<rust::Point>>", "None"),
        ("shapes[0]", "rust::Shape", "Empty"),
        ("shapes[1]", "rust::Shape", "Circle(1.5)"),
        ("shapes[2]", "rust::Shape", "Rect {w: 1, h: 2}"),
        ("shapes[3]", "rust::Shape", "At(Point {x: 5, y: 6})"),
        ("tuple", "(u8, char, bool)", "(1, 99 'c', true)"),
        ("good", "core::result::Result<i32, alloc::string::String>", "Ok(7)"),
        ("bad", "core::result::Result<i32, alloc::string::String>", 'Err("bad")'),
        ("length", "rust::Metres", "Metres(2.5)"),
        ("unit", "rust::Unit", "Unit"),
        ("suit", "rust::Suit", "Hearts"),
        ("maybe", "core::option::Option<&str>", 'Some("text")'),
        ("slice", "alloc::boxed::Box<[u16]>", "[7, 8]"),
        ("slice[1]", "u16", "8"),
        ("shared->x", "i32", "3"),
        ("wide", "i128", "-5"),
        ("VISITS", "u32", "0"),
        ("rust::VISITS", "u32", "0"),
    ],
)
def test_values(ready: Stopped, text: str, type_: str, shown: str) -> None:
    value = evaluate(text, ready.context())
    assert (value.type.name, format_value(value)) == (type_, shown)


def test_what_is_owned_shows_behind_its_address(ready: Stopped) -> None:
    address = evaluate("boxed", ready.context()).as_int()
    assert ready.show("boxed") == f"(alloc::boxed::Box<rust::Point>) {address:#x} Point {{x: 1, y: 2}}"
    assert ready.show("shared").endswith(" Point {x: 3, y: 4}")
    inner = evaluate("list", ready.context())
    assert format_value(inner).startswith("Node {value: 1, next: Some(0x")
    assert format_value(inner).endswith(" Node {value: 2, next: None})}")


def test_arguments_of_every_slice_type(guest: Guests) -> None:
    stopped = Stopped(guest, "rust", "look")
    assert stopped.show("text") == '"héllo"'
    assert stopped.show("part") == "[2, 3]"
    assert stopped.show("words") == '["one", "two"]'
    stopped.engine.close()


def test_self_is_a_reference(guest: Guests) -> None:
    stopped = Stopped(guest, "rust", "area")
    assert stopped.show("*self") == "Empty"
    assert stopped.show("self").endswith(" Empty")
    assert stopped.debug.function_name(stopped.state.frames[-1].function) == "rust::Shape::area"
    stopped.engine.close()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("*boxed", "struct rust::Point {\n    x: i32,\n    y: i32,\n}"),
        (
            "shapes[0]",
            "enum rust::Shape {\n    Empty,\n    Circle(f64),\n"
            "    Rect {w: u32, h: u32},\n    At(rust::Point),\n}",
        ),
        ("some", "enum core::option::Option<i32> {\n    None,\n    Some(i32),\n}"),
        ("length", "struct rust::Metres(f64)"),
        ("suit", "enum rust::Suit {Clubs, Hearts}"),
    ],
)
def test_types_are_written_out(ready: Stopped, text: str, lines: str) -> None:
    assert describe_type(parse_type(text, ready.context())) == lines


def test_a_discriminant_that_means_nothing_is_no_variant(ready: Stopped) -> None:
    shape = evaluate("shapes[0]", ready.context())
    damaged = replace(shape, address=None, immediate=b"\x09" + bytes(15))
    assert format_value(damaged) == "<error: 9 is no form of rust::Shape: it is not initialised>"


@pytest.mark.parametrize("name", ["owned", "numbers", "words", "bad", "maybe", "list", "shapes", "shared"])
@given(data=st.binary(min_size=64, max_size=64))
def test_garbage_shows_quickly_and_as_text(ready: Stopped, name: str, data: bytes) -> None:
    value = evaluate(name, ready.context())
    assert len(format_value(replace(value, address=None, immediate=data))) < 100_000
