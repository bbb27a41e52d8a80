"""Small modules in the text format, for what C does not do: tail calls, exceptions, several invocations."""

from __future__ import annotations

from pathlib import Path

from ttd.recorder.options import RecordOptions
from ttd.recorder.session import record

TAIL = """
(module
  (memory 1)
  (func $swap (param i32 i32) (result i32)
    (i32.store (i32.const 8) (local.get 1))
    (if (result i32) (i32.eqz (local.get 0))
      (then (local.get 1))
      (else (return_call $other (i32.sub (local.get 0) (i32.const 1)) (local.get 1)))))
  (func $other (param i32 i32) (result i32)
    (i32.store (i32.const 8) (i32.add (local.get 1) (i32.const 3)))
    (return_call $swap (local.get 0) (i32.mul (local.get 1) (i32.const 2))))
  (func $outer (param i32) (result i32)
    (i32.add (call $swap (local.get 0) (i32.const 1)) (i32.const 5)))
  (func (export "main") (result i32)
    (i32.add (call $outer (i32.const 3)) (call $outer (i32.const 0)))))
"""

THROW = """
(module
  (memory 1)
  (tag $error (param i32))
  (func $fail (param i32) (result i32)
    (i32.store (i32.const 16) (local.get 0))
    (if (i32.and (local.get 0) (i32.const 1))
      (then (throw $error (i32.add (local.get 0) (i32.const 100)))))
    (i32.mul (local.get 0) (i32.const 2)))
  (func $between (param i32) (result i32)
    (i32.add (call $fail (local.get 0)) (i32.const 1)))
  (func $guard (param i32) (result i32)
    (block $caught (result i32)
      (try_table (result i32) (catch $error $caught)
        (call $between (local.get 0)))))
  (func (export "main") (result i32)
    (local $n i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (call $guard (local.get $n))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $n) (i32.const 5))))
    (local.get $sum)))
"""

CASCADE = """
(module
  (memory 1)
  (func $leaf (param i32) (result i32)
    (i32.store (i32.const 4) (local.get 0))
    (i32.store (i32.const 4) (i32.add (local.get 0) (i32.const 1)))
    (local.get 0))
  (func $a (param i32) (result i32) (call $leaf (local.get 0)))
  (func $b (param i32) (result i32) (block (result i32) (call $a (local.get 0))))
  (func $empty)
  (func $start (i32.store (i32.const 0) (i32.const 7)) (call $empty))
  (start $start)
  (func (export "_initialize") (drop (call $b (i32.const 5))))
  (func (export "main") (result i32)
    (local $n i32)
    (loop $outer
      (loop $inner
        (drop (call $b (local.get $n)))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $inner (i32.and (local.get $n) (i32.const 3))))
      (br_if $outer (i32.lt_u (local.get $n) (i32.const 8))))
    (call $b (local.get $n))))
"""

TRAP = """
(module
  (memory 1)
  (func $deeper (param i32)
    (i32.store (local.get 0) (i32.const 1))
    (call $deeper (i32.add (local.get 0) (i32.const 16384))))
  (func (export "main") (call $deeper (i32.const 0))))
"""

DEEP = """
(module
  (memory 1)
  (func $deeper (param i32) (result i32)
    (call $deeper (i32.add (local.get 0) (i32.const 1))))
  (func (export "main") (result i32) (call $deeper (i32.const 0))))
"""

MODULES = {"tail": TAIL, "throw": THROW, "cascade": CASCADE, "trap": TRAP, "deep": DEEP}


def record_module(name: str, path: Path, engine: str) -> None:
    """Record ``main`` of one of `MODULES` into `path`, with `engine`."""
    import wasmtime

    program = path.with_suffix(".wasm")
    program.write_bytes(wasmtime.wat2wasm(MODULES[name]))
    record(RecordOptions(program, output=path, invoke=("main",), engine=engine))
