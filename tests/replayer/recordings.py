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

MOVES = """
(module
  (memory 1)
  (data (i32.const 256) "\\01\\02\\03\\04")
  (data $passive "\\2a\\00\\00\\00")
  (table 2 funcref)
  (elem (i32.const 0) $add $second)
  (tag $error (param i32))
  (global $g (mut i32) (i32.const 5))
  (type $two (func (param i32 i32) (result i32)))
  (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func $second (param i32 i32) (result i32) (local.get 1))
  (func $tail (param i32 i32) (result i32) (return_call $add (local.get 0) (local.get 1)))
  (func $early (param i32) (result i32)
    (i32.const 1) (i32.const 2) (return (local.get 0)))
  (func $copy (param $to i32) (param $from i32) (param $count i32)
    (loop $more
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (i32.store8 (i32.add (local.get $to) (local.get $count))
        (i32.load8_u (i32.add (local.get $from) (local.get $count))))
      (br_if $more (local.get $count))))
  (func $fail (result i32) (throw $error (i32.const 90)))
  (func (export "main") (local $unset i32) (local $i i32)
    (i32.store (i32.const 0) (call $tail (i32.const 3) (i32.const 4)))
    (i32.store (i32.const 4) (select (i32.const 11) (i32.const 22) (i32.const 0)))
    (i32.store (i32.const 8) (block (result i32) (i32.const 1) (i32.const 77) (br 0)))
    (i32.store (i32.const 12)
      (block (result i32) (i32.const 5) (br_if 0 (i32.const 55) (i32.const 0)) (drop) (drop) (i32.const 66)))
    (global.set $g (i32.const 9))
    (i32.store (i32.const 16) (global.get $g))
    (memory.copy (i32.const 20) (i32.const 0) (i32.const 4))
    (memory.fill (i32.const 24) (i32.const 7) (i32.const 4))
    (memory.init $passive (i32.const 28) (i32.const 0) (i32.const 4))
    (i32.store (i32.const 32) (call_indirect (type $two) (i32.const 1) (i32.const 8) (i32.const 1)))
    (call $copy (i32.const 36) (i32.const 0) (i32.const 4))
    (i64.store (i32.const 40) (i64.extend_i32_u (i32.load (i32.const 0))))
    (i32.store (i32.const 48)
      (block $caught (result i32) (try_table (result i32) (catch $error $caught) (call $fail))))
    (f64.store (i32.const 56) (f64.convert_i32_s (i32.load (i32.const 4))))
    (i32.store (i32.const 64) (local.get $unset))
    (i32.store (i32.const 68) (call $early (i32.const 33)))
    (i32.store (i32.const 72) (block $a (result i32) (block $b (result i32)
      (br_table $a $b (i32.const 44) (i32.const 0))) (drop) (i32.const 45)))
    (i32.store (i32.const 76) (memory.grow (i32.const 0)))
    (i32.store (i32.const 80) (i32.load8_s (i32.const 256)))
    (memory.copy (i32.const 258) (i32.const 256) (i32.const 4))
    (loop $again
      (i32.store (i32.const 84) (i32.and (local.get $i) (i32.const 2)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 6))))))
"""

ALLOCATORS = """
(module
  (memory 2)
  (data (i32.const 600) "abc\\00")
  (tag $no_memory)
  (global $top (mut i32) (i32.const 1024))
  (func $malloc (param $size i32) (result i32)
    (local $n i32) (local $at i32)
    (loop $think
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $think (i32.lt_u (local.get $n) (i32.const 9))))
    (local.set $at (global.get $top))
    (global.set $top (i32.add (global.get $top) (i32.add (local.get $size) (i32.const 16))))
    (local.get $at))
  (func $free (param $at i32)
    (if (local.get $at) (then (i32.store (local.get $at) (i32.const 0)))))
  (func $realloc (param $at i32) (param $size i32) (result i32)
    (local $new i32)
    (if (i32.gt_u (local.get $size) (i32.const 5000)) (then (return (i32.const 0))))
    (local.set $new (call $malloc (local.get $size)))
    (call $free (local.get $at))
    (local.get $new))
  (func $posix_memalign (param $out i32) (param $alignment i32) (param $size i32) (result i32)
    (if (i32.eqz (local.get $alignment)) (then (return (i32.const 22))))
    (i32.store (local.get $out) (call $malloc (local.get $size)))
    (i32.const 0))
  (func $strdup (param $string i32) (result i32)
    (local $at i32) (local $n i32)
    (if (i32.eqz (i32.load8_u (local.get $string))) (then (return (i32.const 0))))
    (local.set $at (global.get $top))
    (loop $copy
      (i32.store8 (i32.add (local.get $at) (local.get $n))
        (i32.load8_u (i32.add (local.get $string) (local.get $n))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $copy (i32.load8_u (i32.sub (i32.add (local.get $string) (local.get $n)) (i32.const 1)))))
    (global.set $top (i32.add (global.get $top) (i32.const 32)))
    (local.get $at))
  (func $_Znwm (param $size i32) (result i32)
    (if (i32.gt_u (local.get $size) (i32.const 5000)) (then (throw $no_memory)))
    (call $malloc (local.get $size)))
  (func $_ZdlPv (param $at i32) (call $free (local.get $at)))
  (func $__rust_realloc (param i32 i32 i32 i32) (result i32) (call $realloc (local.get 0) (local.get 3)))
  (func $try_new (param $size i32) (result i32)
    (block $none (try_table (catch $no_memory $none) (return (call $_Znwm (local.get $size)))))
    (i32.const 0))
  (func $step (param $k i32)
    (local $p i32) (local $q i32)
    (local.set $p (call $malloc (i32.add (local.get $k) (i32.const 1))))
    (local.set $q (call $try_new (i32.mul (local.get $k) (i32.const 2000))))
    (drop (call $strdup (i32.add (i32.const 600) (local.get $k))))
    (call $free (call $strdup (i32.const 600)))
    (local.set $p (call $realloc (local.get $p) (i32.const 40)))
    (drop (call $realloc (local.get $p) (i32.const 6000)))
    (drop (call $posix_memalign (i32.const 512) (local.get $k) (i32.const 24)))
    (drop (call $posix_memalign (i32.const -2) (i32.const 0) (i32.const 24)))
    (drop (call $__rust_realloc (local.get $q) (i32.const 1) (i32.const 8) (i32.const 48)))
    (call $free (local.get $p))
    (call $free (i32.const 0))
    (call $_ZdlPv (i32.load (i32.const 512)))
    (if (i32.eq (local.get $k) (i32.const 2)) (then (call $free (local.get $p)))))
  (func (export "main")
    (local $k i32)
    (loop $again
      (call $step (local.get $k))
      (local.set $k (i32.add (local.get $k) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $k) (i32.const 4))))))
"""

IMITATIONS = """
(module
  (func $posix_memalign (param i32 i32 i32) (result i32) (i32.const 0))
  (func $malloc (param i64) (result i64) (i64.const 5))
  (func $free (param i32))
  (func (export "main")
    (drop (call $malloc (i64.const 8)))
    (drop (call $posix_memalign (i32.const 8) (i32.const 8) (i32.const 8)))
    (call $free (i32.const 5))))
"""

MODULES = {
    "tail": TAIL,
    "throw": THROW,
    "cascade": CASCADE,
    "trap": TRAP,
    "deep": DEEP,
    "moves": MOVES,
    "allocators": ALLOCATORS,
    "imitations": IMITATIONS,
}


def record_module(name: str, path: Path, engine: str) -> None:
    """Record ``main`` of one of `MODULES` into `path`, with `engine`."""
    import wasmtime

    program = path.with_suffix(".wasm")
    program.write_bytes(wasmtime.wat2wasm(MODULES[name]))
    record(RecordOptions(program, output=path, invoke=("main",), engine=engine))
