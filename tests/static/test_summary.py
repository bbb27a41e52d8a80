"""The summary of a module: sections, features, what tools wrote into it, debug information."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import wat2wasm

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.static import summary
from ttd.static.features import features_used
from ttd.wasm.decode import decode
from ttd.wasm.model import CustomSection, Module

EMPTY = decode(bytes(wat2wasm("(module)")))


def with_custom(name: str, data: bytes) -> Module:
    return replace(EMPTY, customs=(CustomSection(name, 10, data),))


# --- features ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, features",
    [
        ("", []),
        ("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))", []),
        ("(func (drop (i32.extend8_s (i32.const 1))))", ["sign-extension"]),
        ("(func (drop (i32.trunc_sat_f32_s (f32.const 1))))", ["nontrapping-fptoint"]),
        ("(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))", ["bulk-memory"]),
        ('(data "passive")', ["bulk-memory"]),
        ("(table 1 externref)", ["reference-types"]),
        ("(table 1 funcref) (table 1 funcref)", ["reference-types"]),
        ("(func $f (return_call $f))", ["tail-call"]),
        ("(tag)", ["exception-handling"]),
        ("(memory 1) (memory 1)", ["multimemory"]),
        ("(memory i64 1)", ["memory64"]),
        ("(func (result i32 i32) (i32.const 1) (i32.const 2))", ["multivalue"]),
        ("(func (i32.const 1) (block (param i32) (drop)))", ["multivalue"]),
        ("(func (drop (v128.const i64x2 1 2)))", ["simd128"]),
        ('(import "a" "b" (global (mut i32)))', ["mutable-globals"]),
        ('(global (export "g") (mut i32) (i32.const 1))', ["mutable-globals"]),
        ("(global (mut i32) (i32.const 1))", []),
        ("(global i32 (i32.add (i32.const 1) (i32.const 2)))", ["extended-const"]),
    ],
)
def test_features_are_those_that_are_used(text: str, features: list[str]) -> None:
    assert features_used(decode(bytes(wat2wasm(f"(module {text})")))) == features


def test_features_that_ttd_does_not_support_say_so() -> None:
    module = decode(bytes(wat2wasm("(module (func (atomic.fence)))")))
    assert features_used(module) == ["threads (not supported by ttd)"]


# --- sections ----------------------------------------------------------------------------------------


def test_sections_are_those_of_llvm_objdump(guest: Guests) -> None:
    tool = shutil.which("llvm-objdump")
    if tool is None:
        pytest.skip("llvm-objdump is not installed (Debian: llvm)")
    path = guest("calls")
    text = subprocess.run([tool, "-h", path], capture_output=True, text=True, check=True).stdout
    expected = [
        (match[1].lower(), int(match[2], 16))
        for match in re.finditer(r"^ +\d+ (\S+) +([0-9a-f]{8}) ", text, re.MULTILINE)
    ]
    names = {"elem": "element", "datacount": "data count", "func": "function"}
    module = load(path)
    found = []
    for section in summary.sections(module):
        custom = next((c for c in module.customs if section.id == 0 and c.name == section.name), None)
        found.append((section.name, len(custom.data) if custom is not None else section.size))
    assert found == [(names.get(name, name), size) for name, size in expected]


def test_sections_fill_the_file(guest: Guests) -> None:
    module = load(guest("calls"))
    end = 8
    for section in summary.sections(module):
        assert 2 <= section.offset - end <= 6  # an id and a size
        end = section.offset + section.size
    assert end == len(module.data)


def test_sections_count_what_they_list(guest: Guests) -> None:
    module = load(guest("calls"))
    items = {section.name: section.items for section in summary.sections(module)}
    assert items["code"] == items["function"] == sum(f.body is not None for f in module.functions)
    assert (items["import"], items["type"]) == (len(module.imports), len(module.types))
    assert items["name"] is None


# --- what tools write --------------------------------------------------------------------------------


def test_producers_and_target_features_are_read(guest: Guests) -> None:
    module = load(guest("calls"))
    tools = {(producer.role, producer.name) for producer in summary.producers(module)}
    assert ("processed-by", "clang") in tools and ("language", "C11") in tools
    assert "+mutable-globals" in summary.target_features(module)


def test_notes_lead_to_what_is_kept_elsewhere() -> None:
    assert summary.notes(with_custom("build_id", b"\x03\xab\xcd\xef")) == [("build_id", "abcdef")]
    assert summary.notes(with_custom("external_debug_info", b"\x06a.wasm")) == [
        ("external_debug_info", "a.wasm")
    ]
    assert summary.notes(with_custom("sourceMappingURL", b"\x05a.map")) == [("sourceMappingURL", "a.map")]
    assert summary.notes(EMPTY) == []


@given(
    name=st.sampled_from(["producers", "target_features", "build_id", "sourceMappingURL"]), data=st.binary()
)
def test_whatever_such_a_section_holds_it_is_no_error(name: str, data: bytes) -> None:
    module = with_custom(name, data)
    texts = [*summary.target_features(module), *(text for _, text in summary.notes(module))]
    texts += [text for producer in summary.producers(module) for text in producer]
    assert all(text.isprintable() for text in texts)


# --- debug information -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 5])
def test_debug_summary_counts_units(guest: Guests, version: int) -> None:
    path = guest("calls", "-O0", f"-gdwarf-{version}")
    debug = DebugInfo(load(path))
    found = summary.debug_summary(debug)
    assert found is not None
    assert version in found.versions and "C11" in found.languages
    assert any("clang" in compiler for compiler in found.compilers)
    assert 0 < found.units_with_code <= found.units == len(debug.compile_units())
    (own,) = [unit for unit in debug.compile_units() if unit.name == "calls.c"]
    assert (own.language, own.version, own.has_code) == ("C11", version, True)
    assert own.directory == str(guest.source("calls").parent)


def test_without_dwarf_there_is_nothing_to_sum_up() -> None:
    assert summary.debug_summary(DebugInfo(EMPTY)) is None
    assert DebugInfo(EMPTY).compile_units() == []
