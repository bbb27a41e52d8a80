"""Loading modules: what ttd supports is accepted, everything else is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import Guests
from tests.wasm.corpus import assemble, suite_rejects
from ttd.engine.validate import load_module
from ttd.errors import InvalidModule, UnsupportedFeature

SUPPORTED = {
    "multi-value": "(module (func (result i32 i64) (i32.const 1) (i64.const 2)))",
    "bulk memory": """(module (memory 1) (data "x")
        (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))))""",
    "reference types": "(module (table 1 externref) (func (result externref) (table.get 0 (i32.const 0))))",
    "SIMD": "(module (func (param v128) (result v128) (i8x16.abs (local.get 0))))",
    "sign extension": "(module (func (param i32) (result i32) (i32.extend8_s (local.get 0))))",
    "saturating conversions": "(module (func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0))))",
    "relaxed SIMD": """(module (func (param v128 v128) (result v128)
        (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))""",
    "tail calls": "(module (func $f (return_call $f)))",
    "extended constants": "(module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
    "exceptions": "(module (tag) (func (block (try_table (catch 0 0) (throw 0)))))",
    "exnref": """(module (table 1 exnref) (global (mut exnref) (ref.null exn))
        (func (param exnref) (throw_ref (local.get 0))))""",
    "memory64": "(module (memory i64 1) (table i64 1 funcref))",
    "multi-memory": "(module (memory 1) (memory 1))",
    "constants of earlier globals": "(module (global i32 (i32.const 1)) (global i32 (global.get 0)))",
    "table initialisers": "(module (table 3 funcref (ref.func 0)) (func))",
}

# Each needs the switches that also allow table initialisers, so the decoder alone stands in its way.
SMUGGLED = {
    "typed function references": """(module (table 1 funcref (ref.func 0))
        (func (drop (ref.as_non_null (ref.null func)))))""",
    "GC": """(module (global i32 (i32.const 1)) (global i32 (global.get 0))
        (func (drop (ref.i31 (i32.const 0)))))""",
}


@pytest.mark.parametrize("feature", SUPPORTED)
def test_supported_features_are_accepted(feature: str) -> None:
    data = assemble(SUPPORTED[feature])
    assert load_module(data).data == data


@pytest.mark.parametrize("feature", SMUGGLED)
def test_unsupported_features_do_not_slip_in_beside_supported_ones(feature: str) -> None:
    with pytest.raises(UnsupportedFeature, match=feature):
        load_module(assemble(SMUGGLED[feature]))


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        ("threads", "(module (memory 1 1 shared))"),
        ("threads", "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))"),
        ("legacy exception handling", "(module (tag) (func try catch 0 end))"),
        ("GC", "(module (type (struct)))"),
        ("component model", "(component)"),
    ],
)
def test_unsupported_features_are_named(feature: str, text: str) -> None:
    with pytest.raises(UnsupportedFeature, match=feature):
        load_module(assemble(text))


def test_invalid_modules_are_refused_in_one_line_with_the_offset() -> None:
    with pytest.raises(InvalidModule) as caught:
        load_module(assemble("(module (func (result i32) (i64.const 1)))"))
    assert "type mismatch" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.offset is not None
    assert str(caught.value).count("offset") == 1


def test_files_that_are_no_modules_are_refused() -> None:
    with pytest.raises(InvalidModule, match="not a WebAssembly module"):
        load_module(b"#!/bin/sh\n")


def test_truncated_modules_are_refused(guest: Guests) -> None:
    data = guest("hello").read_bytes()
    for length in (0, 3, 9, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(InvalidModule):
            load_module(data[:length])


def test_a_compiled_program_is_accepted(guest: Guests) -> None:
    module = load_module(guest("hello").read_bytes())
    assert "_start" in module.exports_by_name


def test_nothing_that_the_suite_calls_invalid_is_accepted(shared_dir: Path) -> None:
    refused = 0
    for place, data in suite_rejects(shared_dir / "spec-testsuite"):
        try:
            load_module(data)
        except (InvalidModule, UnsupportedFeature) as error:
            assert "\n" not in str(error), place
            refused += 1
        else:
            pytest.fail(f"{place} was accepted")
    assert refused > 3000
