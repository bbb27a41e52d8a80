"""Programs that exercise the rules of time, by name; and random ones with their time foretold.

`RANDOM_PROGRAMS` draws a program as a tree of statements. From the tree come the module's text and,
by walking the tree as the program would be executed, the list of events (an instruction is about to execute,
a tick happens) that the interpreter must agree with. The walk knows nothing of bytes, offsets or stacks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from hypothesis import strategies as st

from ttd.types import Position

PROGRAMS = {
    "straight line": """(func (export "main") (result i32) nop (i32.add (i32.const 1) (i32.const 2)))""",
    "no instruction at all": """(func (export "main"))""",
    "an empty loop": """(func (export "main") (loop))""",
    "loops in loops": """
      (func (export "main") (local i32 i32) (local.set 0 (i32.const 3))
        (loop $a (loop $b (local.set 1 (i32.const 2))
          (loop $c (br_if $c (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
          (br_if $a (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))""",
    "empty functions and loops at ends": """
      (func $nothing) (func $loops (loop (loop))) (func $nop nop)
      (func $last (call $nothing) (loop (block (loop))))
      (func (export "main") (call $nothing) (call $loops) (call $nop) (call $last) (loop) (call $last)
        (loop (call $nothing)) (call $loops))""",
    "recursion": """
      (func $fib (export "fib") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
        (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                       (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
      (func (export "main") (result i32) (call $fib (i32.const 6)))""",
    "several values, branch tables": """
      (func $swap (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
      (func $pick (param i32) (result i32)
        (block $b (block $a (loop $l (br_table $a $b $l (local.get 0)) ) ) (return (i32.const 10)))
        (i32.const 20))
      (func $carry (param i32) (result i32 i32)
        (i32.const 99) (i32.const 1) (i32.const 2)
        (br_table 0 0 (local.get 0)))
      (func (export "main") (result i32 i64 i32) (local i32)
        (call $swap (i32.const 7) (i64.const 8)) (local.set 0)
        (i64.add (i64.const 1)) (local.get 0) (call $pick (i32.const 0)) (call $pick (i32.const 1))
        (call $carry (i32.const 3)) drop i32.add i32.add
        (block (param i64 i32 i32) (result i32 i64 i32) (local.set 0) drop drop
          (local.get 0) (i64.const 5) (i32.const 6) (br_if 0 (i32.const 1)))
      )""",
    "tail calls": """
      (type $t (func (param i32 i32) (result i32)))
      (table funcref (elem $even $odd))
      (func $even (param i32 i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
        (return_call $odd (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) (i32.const 2))))
      (func $odd (param i32 i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
        (return_call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (local.get 1) (i32.const 0)))
      (func (export "main") (result i32) (i32.add (i32.const 1) (call $even (i32.const 9) (i32.const 0))))""",
    "exceptions": """
      (tag $e (param i32)) (tag $f)
      (func $throw (param i32) (if (local.get 0) (then (throw $e (local.get 0)))) (throw $f))
      (func $deep (param i32) (call $throw (local.get 0)) unreachable)
      (func $catch (param i32) (result i32)
        (block $all (block $h (result i32)
          (try_table (catch $e $h) (catch_all $all) (call $deep (local.get 0)))
          (return (i32.const -1)))
          (return))
        (i32.const 50))
      (func $again (result i32) (local exnref)
        (block $out (result i32 exnref)
          (try_table (result i32 exnref) (catch_ref $e $out)
            (block $r (result exnref)
              (try_table (catch_all_ref $r) (call $deep (i32.const 5))) unreachable)
            (local.tee 0) (throw_ref)))
        (local.set 0))
      (func (export "main") (result i32) (local i32)
        (local.set 0 (i32.add (call $catch (i32.const 3)) (call $catch (i32.const 0))))
        (block $done (loop $l (try_table (catch_all $l)
          (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (br_if $done (i32.gt_u (local.get 0) (i32.const 55))) (call $throw (i32.const 0)))))
        (i32.add (local.get 0) (call $again)))""",
    "memory": """
      (memory 1 3) (data "abc")
      (func (export "main") (result i32) (local i32)
        (loop $l
          (i32.store (i32.mul (local.get 0) (i32.const 3)) (i32.mul (local.get 0) (i32.const 0x1010101)))
          (i64.store8 offset=64 (local.get 0) (i64.const 0x1ff))
          (br_if $l (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 12))))
        (memory.fill (i32.const 10) (i32.const 7) (i32.const 6))
        (memory.fill (i32.const 10) (i32.const 7) (i32.const 6))
        (memory.copy (i32.const 12) (i32.const 0) (i32.const 9))
        (memory.init 0 (i32.const 20) (i32.const 0) (i32.const 3)) (data.drop 0)
        (i32.add (memory.grow (i32.const 1)) (i32.load (i32.const 13))))""",
}
"""All of them export ``main`` without parameters and use no import."""


# --- random programs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bump:
    """global 0 += amount, and a store of it: 8 instructions without control."""

    amount: int


@dataclass(frozen=True)
class Block:
    """A block that is left early if `mask` has a bit in common with global 0."""

    mask: int
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Repeat:
    """A loop that runs its body `count` times, counting in a local of its own."""

    count: int
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Choose:
    """An if with two arms; the second one may be empty and is left out then."""

    mask: int
    yes: tuple[Statement, ...]
    no: tuple[Statement, ...]


@dataclass(frozen=True)
class Call:
    """A call of a function further on: number `ahead`, counted from the next; none there, no call."""

    ahead: int


@dataclass(frozen=True)
class EmptyLoop:
    depth: int


@dataclass(frozen=True)
class Return:
    mask: int
    """Return if global 0 has a bit in common with it."""


Statement: TypeAlias = "Bump | Block | Repeat | Choose | Call | EmptyLoop | Return"
Function: TypeAlias = "tuple[Statement, ...]"

_masks = st.integers(0, 7)
_leaves: st.SearchStrategy[Statement] = st.one_of(
    st.builds(Bump, st.integers(0, 5)),
    st.builds(Call, st.integers(0, 2)),
    st.builds(EmptyLoop, st.integers(1, 3)),
    st.builds(Return, _masks),
)


def _nested(inner: st.SearchStrategy[Statement]) -> st.SearchStrategy[Statement]:
    bodies = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Block, _masks, bodies),
        st.builds(Repeat, st.integers(1, 3), bodies),
        st.builds(Choose, _masks, bodies, bodies),
    )


_statements = st.recursive(_leaves, _nested, max_leaves=6)
RANDOM_PROGRAMS = st.lists(st.lists(_statements, max_size=4).map(tuple), min_size=1, max_size=4)


def text_of(functions: list[Function]) -> str:
    parts = [_function(functions, number) for number in range(len(functions))]
    return f"(module (memory 1) (global (mut i32) (i32.const 1)) {' '.join(parts)})"


def _function(functions: list[Function], number: int) -> str:
    counters: list[None] = []
    body = " ".join(_text(functions, number, statement, counters) for statement in functions[number])
    export = '(export "main")' if number == 0 else ""
    return f"(func $f{number} {export} {'(local i32)' * len(counters)} {body})"


def _test(mask: int) -> str:
    return f"global.get 0 i32.const {mask} i32.and"


def _text(functions: list[Function], number: int, statement: Statement, counters: list[None]) -> str:
    def body(statements: tuple[Statement, ...]) -> str:
        return " ".join(_text(functions, number, inner, counters) for inner in statements)

    if isinstance(statement, Bump):
        add = f"global.get 0 i32.const {statement.amount} i32.add global.set 0"
        return f"{add} i32.const 8 global.get 0 i32.store nop"
    if isinstance(statement, Block):
        return f"block {_test(statement.mask)} br_if 0 {body(statement.body)} end"
    if isinstance(statement, Repeat):
        counter = len(counters)
        counters.append(None)
        count = f"local.get {counter} i32.const 1 i32.sub local.tee {counter} br_if 0"
        return f"i32.const {statement.count} local.set {counter} loop {body(statement.body)} {count} end"
    if isinstance(statement, Choose):
        no = f"else {body(statement.no)}" if statement.no else ""
        return f"{_test(statement.mask)} if {body(statement.yes)} {no} end"
    if isinstance(statement, EmptyLoop):
        return "loop " * statement.depth + "end " * statement.depth
    if isinstance(statement, Return):
        return f"{_test(statement.mask)} if return end"
    target = number + 1 + statement.ahead
    return f"call $f{target}" if target < len(functions) else ""


class _Returning(Exception):
    pass


class _Walk:
    """The events of a program: "i" before each instruction, "t" at each tick."""

    def __init__(self, functions: list[Function]) -> None:
        self.functions = functions
        self.value = 1

    def call(self, number: int) -> Iterator[str]:
        if any(self._ticks(number, statement) for statement in self.functions[number]):
            yield "t"
        with contextlib.suppress(_Returning):
            yield from self.body(number, self.functions[number])

    def _ticks(self, number: int, statement: Statement) -> bool:
        """Whether there is a call or a loop in the text of `statement`."""
        if isinstance(statement, Call):
            return number + 1 + statement.ahead < len(self.functions)
        if isinstance(statement, (Repeat, EmptyLoop)):
            return True
        inner: tuple[Statement, ...] = ()
        if isinstance(statement, Block):
            inner = statement.body
        elif isinstance(statement, Choose):
            inner = statement.yes + statement.no
        return any(self._ticks(number, each) for each in inner)

    def body(self, number: int, statements: tuple[Statement, ...]) -> Iterator[str]:
        for statement in statements:
            yield from self.one(number, statement)

    def one(self, number: int, statement: Statement) -> Iterator[str]:
        if isinstance(statement, Bump):
            yield from "iiiiiiii"
            self.value += statement.amount
        elif isinstance(statement, Block):
            yield from "iiii"
            if not self.value & statement.mask:
                yield from self.body(number, statement.body)
        elif isinstance(statement, Repeat):
            yield from "ii"
            for _ in range(statement.count):
                yield "t"
                yield from self.body(number, statement.body)
                yield from "iiiii"
        elif isinstance(statement, Choose):
            yield from "iiii"
            yield from self.body(number, statement.yes if self.value & statement.mask else statement.no)
        elif isinstance(statement, EmptyLoop):
            yield from "t" * statement.depth
        elif isinstance(statement, Return):
            yield from "iiii"
            if self.value & statement.mask:
                yield "i"
                raise _Returning
        elif number + 1 + statement.ahead < len(self.functions):
            yield "i"
            yield from self.call(number + 1 + statement.ahead)


def positions_of(functions: list[Function]) -> list[Position]:
    """Every position that the program rests at, and the one that it ends at."""
    tick = step = 0
    rests: list[Position] = []
    for event in _Walk(functions).call(0):
        if event == "t":
            tick, step = tick + 1, 0
        rests.append(Position(tick, step))
        if event == "i":
            step += 1
    rests.append(Position(tick, step))
    return list(dict.fromkeys(rests))  # a tick and the instruction behind it are one rest
