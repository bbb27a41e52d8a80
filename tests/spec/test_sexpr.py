"""The reader of test scripts takes the lexical format of the specification as it is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spec.sexpr import SyntaxProblem, read


def test_nested_forms_with_their_places() -> None:
    source = b'(module $m\n  (func))\n(invoke "f" (i32.const 1))'
    module, invoke = read(source)
    assert module == ["module", "$m", ["func"]]
    assert invoke == ["invoke", b"f", ["i32.const", "1"]]
    assert (module.line, invoke.line) == (1, 3)
    assert source[module.start : module.end] == b"(module $m\n  (func))"


def test_comments_are_no_part_of_anything() -> None:
    assert read(b"(a ;; ) (\n (; (; ) ;) \n ;) b)") == [["a", "b"]]


def test_annotations_are_dropped_at_every_depth() -> None:
    assert read(b'((@x y) module (@"z" , ; ] [) b) (@a (b))') == [["module", "b"]]


def test_strings_with_escapes() -> None:
    (form,) = read(rb'("\00\ff\t\n\"\\\u{e9}\u{1F600}" "(;" ";;")')
    assert form == [b'\x00\xff\t\n"\\' + "é😀".encode(), b"(;", b";;"]


def test_bytes_that_are_no_utf8() -> None:
    assert read(b'("\xff")') == [[b"\xff"]]


@pytest.mark.parametrize("source", [b"(a", b"a)", b"(; ", b'("\\q")', b'("\\u{110000}")', b'("a\n")', b"a"])
def test_what_is_malformed_is_refused(source: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        read(source)


@given(st.binary(max_size=60))
def test_random_bytes_are_read_or_refused(source: bytes) -> None:
    with contextlib.suppress(SyntaxProblem):
        read(source)
