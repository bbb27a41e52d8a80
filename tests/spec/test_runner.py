"""The runner of test scripts counts every command, and can say no: wrong expectations are failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.spec.engines import ENGINES
from tests.spec.runner import Report, run_script
from tests.spec.table import recorded_rows, row, table, totals

Run: TypeAlias = Callable[[str], Report]

MODULE = """(module
  (func (export "seven") (result i32) (i32.const 7))
  (func (export "nan") (result f32) (f32.const nan:0x200000))
  (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
  (func $deep (export "deep") (call $deep))
  (tag $tag)
  (func (export "throw") (throw $tag))
  (global (export "count") (mut i32) (i32.const 0))
  (func (export "increment") (global.set 0 (i32.add (global.get 0) (i32.const 1)))))
"""


@pytest.fixture(params=sorted(ENGINES))
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs the text of a script on an engine."""

    def run_text(text: str) -> Report:
        path = tmp_path / "script.wast"
        path.write_text(text, encoding="utf-8")
        return run_script(path, ENGINES[request.param])

    return run_text


GOOD = [
    '(assert_return (invoke "seven") (i32.const 7))',
    '(assert_return (invoke "nan") (f32.const nan:0x200000))',
    '(assert_trap (invoke "divide" (i32.const 0)) "integer divide by zero")',
    '(assert_exhaustion (invoke "deep") "call stack exhausted")',
    '(assert_exception (invoke "throw"))',
    '(invoke "increment") (invoke "increment") (assert_return (get "count") (i32.const 2))',
    '(assert_trap (invoke "divide" (i32.const 0)) "integer") (assert_return (invoke "seven") (i32.const 7))',
    '(assert_invalid (module (func (result i32))) "type mismatch")',
    '(assert_malformed (module binary "\\00asm") "unexpected end")',
    '(assert_trap (module (func $f unreachable) (start $f)) "unreachable")',
    '(assert_trap (module (memory 1) (data (i32.const 65536) "x")) "out of bounds memory access")',
]

BAD = [
    '(assert_return (invoke "seven") (i32.const 8))',
    '(assert_return (invoke "seven"))',
    '(assert_return (invoke "seven") (i32.const 7) (i32.const 7))',
    '(assert_return (invoke "nan") (f32.const nan:canonical))',
    '(assert_return (invoke "divide" (i32.const 0)) (i32.const 1))',
    '(assert_trap (invoke "divide" (i32.const 0)) "integer overflow")',
    '(assert_trap (invoke "seven") "unreachable")',
    '(assert_exhaustion (invoke "seven") "call stack exhausted")',
    '(assert_exception (invoke "seven"))',
    '(assert_exception (invoke "divide" (i32.const 0)))',
    '(assert_return (get "count") (i32.const 1))',
    '(assert_invalid (module) "type mismatch")',
    '(assert_return (invoke "missing"))',
    '(assert_return (invoke $unknown "seven") (i32.const 7))',
    '(assert_nonsense (invoke "seven"))',
]


@pytest.mark.parametrize("text", GOOD)
def test_what_holds_passes(run: Run, text: str) -> None:
    report = run(MODULE + text)
    assert report.failures == []
    assert report.passed == 1 + text.count("(assert_") + text.count(") (invoke") + text.startswith("(invoke")
    assert not report.out_of_scope


@pytest.mark.parametrize("text", BAD)
def test_what_does_not_hold_fails(run: Run, text: str) -> None:
    report = run(MODULE + text)
    assert (report.passed, len(report.failures)) == (1, 1)
    assert "script.wast:10:" in report.failures[0]


def test_a_module_that_fails_takes_what_needs_it_along(run: Run) -> None:
    report = run('(module (func (result i32))) (assert_return (invoke "f")) (module)')
    assert (report.passed, len(report.failures)) == (1, 2)


def test_unsupported_features_are_counted_by_name(run: Run) -> None:
    report = run('(module (type (struct)) (func (export "f"))) (assert_return (invoke "f"))')
    assert dict(report.out_of_scope) == {"garbage-collected types (GC)": 2}


def test_a_few_typed_functions_do_not_lose_the_rest_of_a_module(run: Run) -> None:
    report = run(
        '(module (func (export "f") (result i32) (i32.const 1)) (func (export "g") (param (ref func))))'
        '(assert_return (invoke "f") (i32.const 1)) (assert_return (invoke "g" (ref.null func)))'
    )
    assert report.failures == []
    assert (report.passed, dict(report.out_of_scope)) == (1, {"typed function references": 2})


def test_instances_share_functions_memories_and_globals(run: Run) -> None:
    report = run(
        """
        (module $a
          (memory (export "memory") 1) (global $g (export "global") (mut i32) (i32.const 1))
          (func (export "add") (param i32 i32) (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (i32.add (local.get 0) (local.get 1)))
          (func (export "peek") (result i32) (i32.load8_u (i32.const 5)))
          (func (export "fail") (unreachable)))
        (register "a" $a)
        (module $b
          (import "a" "memory" (memory 1)) (import "a" "global" (global $g (mut i32)))
          (import "a" "add" (func $add (param i32 i32) (result i32)))
          (import "a" "fail" (func $fail))
          (import "spectest" "print_i32" (func $print (param i32)))
          (func (export "run") (result i32)
            (call $print (i32.const 3))
            (i32.store8 (i32.const 5) (i32.const 77))
            (global.set $g (i32.const 40))
            (i32.add (call $add (i32.const 1) (i32.const 2)) (global.get $g)))
          (func (export "fail") (call $fail)))
        (assert_return (invoke $b "run") (i32.const 44))
        (assert_return (invoke $a "peek") (i32.const 77))
        (assert_return (get $a "global") (i32.const 41))
        (assert_trap (invoke $b "fail") "unreachable")
        """
    )
    assert report.failures == []
    assert (report.passed, report.out_of_scope.total()) == (6, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('(import "a" "table" (table 1 funcref))', "a table of functions shared between instances"),
        ('(import "a" "f" (global funcref))', "a funcref that passes from one instance into another"),
        (
            '(import "a" "throw" (func $throw)) (start $throw)',
            "an exception that passes from one instance into another",
        ),
        ('(import "a" "tag" (tag)) (import "a" "tag" (tag))', "one tag imported twice by a module"),
        (
            '(import "a" "global" (global (mut i32))) (import "a" "global" (global (mut i32)))',
            "one global imported twice by a module",
        ),
    ],
)
def test_what_cannot_be_linked_is_out_of_scope(run: Run, text: str, reason: str) -> None:
    report = run(
        '(module (table (export "table") 1 funcref) (global (export "f") funcref (ref.func 0))'
        '(global (export "global") (mut i32) (i32.const 0))'
        f'(tag (export "tag"))(func (export "throw") (throw 0))) (register "a") (module {text})'
    )
    assert report.failures == []
    assert dict(report.out_of_scope) == {reason: 1}


def test_the_table_adds_up() -> None:
    one, two = Report("a.wast", passed=3), Report("b.wast", passed=2, failures=["b.wast:1: no"])
    two.out_of_scope["threads"] = 4
    lines = table([two, one])
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["a.wast", "3", "0", "0"],
        ["b.wast", "2", "1", "4"],
        ["2", "scripts", "5", "1"],
    ]
    assert totals([one, two])[1].split(None, 4)[3:] == ["4", "threads"]


def test_recorded_rows_are_found_by_name(tmp_path: Path) -> None:
    report = Report("threads/a.wast", passed=1)
    (tmp_path / "results.txt").write_text("\n".join(table([report])))
    assert recorded_rows(tmp_path / "results.txt") == {"threads/a.wast": row(report)}


def test_a_tag_that_is_imported_twice_is_one_tag(run: Run) -> None:
    report = run(
        """
        (module (tag (export "tag"))) (register "a")
        (module
          (tag $one (import "a" "tag")) (tag $other (import "a" "tag")) (tag $otherwise)
          (func (export "caught") (result i32)
            (block $caught (try_table (catch $other $caught) (throw $one)) (return (i32.const 0)))
            (i32.const 1))
          (func (export "missed") (try_table (catch $other 0) (throw $otherwise))))
        (assert_return (invoke "caught") (i32.const 1))
        (assert_exception (invoke "missed"))
        """
    )
    assert report.failures == []
    assert (report.passed, report.out_of_scope.total()) == (4, 0)


def test_what_a_refused_module_would_have_changed_is_not_judged(run: Run) -> None:
    report = run(
        """
        (module $a (table (export "table") 1 funcref) (func (export "f"))) (register "a")
        (module (import "a" "table" (table 1 funcref)))
        (assert_return (invoke $a "f"))
        """
    )
    assert report.failures == []
    assert (report.passed, report.out_of_scope.total()) == (1, 2)
