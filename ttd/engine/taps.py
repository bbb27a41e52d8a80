"""Listening to the calls of some functions at compiled speed: their arguments, and their results.

A probe brings the machine to a stop at each hit, which takes a millisecond. Who wants to know of a million
calls of `malloc` wants no stops, only values. So each tapped function is given a patch
(`ttd.instrument.probes`) that calls a copy of it and logs the call when it has returned. Calls that tapped
functions make of each other are told apart by their depth:

    f(x...):  if depth == 0: under way = f, tick, x...
              depth += 1
              r = body(x...)
              if count == 0: return r        frozen: its return is not seen here
              depth -= 1
              if depth == 0: append (under way, tick, r, [x0] or size of the string r) to the log
              return r

The log lies in a memory of its own, and Python empties it when it is full. An exception that leaves the
function counts as a return without a result.

    memory    0   u32  where the log ends            8  u64  what to add to the clock for the number of a tick
              4   u32  depth                        16  a record (`engine.protocol.Call`): the call under way
              88  ..   the log: records

May import base, `ttd.wasm`, `ttd.instrument.abi`, the engine protocol, `native` and wasmtime.
"""

from __future__ import annotations

import struct

import wasmtime

from ttd.engine.native import Native
from ttd.engine.protocol import MOST_TAPPED, Call, Pointed, Taps
from ttd.engine.stores import weakly
from ttd.instrument import abi
from ttd.wasm.model import Function, ValType

_PAGES = 16
_RECORD = struct.Struct("<9Q")
_UNDER_WAY = 16
_LOG = _UNDER_WAY + _RECORD.size
_FULL = (_PAGES << 16) - _RECORD.size
_M64 = (1 << 64) - 1


class Tap:
    """Some functions of an instrumented program of the probing build, being listened to until `close`.

    Its clock must have been set already. Functions are such as `can_tap` says.
    """

    def __init__(self, native: Native, store: wasmtime.Store, taps: Taps) -> None:
        self._native = native
        self._store = store
        self._functions = tuple(taps)
        self._calls: list[Call] = []
        self._log = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(_PAGES, _PAGES)))
        self._log.write(store, struct.pack("<IIQ", _LOG, 0, native.limit & _M64))
        drain = wasmtime.Func(store, wasmtime.FuncType([], []), weakly(self._drain))
        for function, pointed in taps.items():
            text = _wrapper(native.module.functions[function], pointed, bool(native.module.tags))
            native.put_wrapper(function, text, {"log": self._log, "drain": drain})
            native.at_entry(function, abi.ENTRY_PATCHED)

    def close(self) -> tuple[list[Call], Call | None]:
        """Stop listening: all calls that have returned, in order, and the one that has not, if any."""
        for function in self._functions:
            self._native.at_entry(function, abi.ENTRY_PLAIN)
        self._drain()
        (depth,) = struct.unpack("<I", self._log.read(self._store, 4, 8))
        under_way = Call._make(_RECORD.unpack(self._log.read(self._store, _UNDER_WAY, _LOG)))
        return self._calls, under_way if depth else None

    def _drain(self) -> None:
        (end,) = struct.unpack("<I", self._log.read(self._store, 0, 4))
        self._calls.extend(map(Call._make, _RECORD.iter_unpack(self._log.read(self._store, _LOG, end))))
        self._log.write(self._store, struct.pack("<I", _LOG))


def _wrapper(function: Function, asked: Pointed, throws: bool) -> str:
    """The module of what stands in for a function."""
    params, results = function.type.params, function.type.results
    signature = "".join(f" (param {type_})" for type_ in params)
    signature += "".join(f" (result {type_})" for type_ in results)
    given = [_wide(f"(local.get {number})", type_) for number, type_ in enumerate(params)][:MOST_TAPPED]
    given += ["(i64.const 0)"] * (MOST_TAPPED - len(given))
    arguments = "".join(f"(local.get {number})" for number in range(len(params)))
    result = f"(local.get {len(params)})"
    call = f"(local.set {len(params)} (call $body {arguments}))" if results else f"(call $body {arguments})"
    value = _wide(result, results[0]) if results else "(i64.const 0)"
    pointed = _POINTED[asked].format(result=result)
    left = f"(if (i64.ne (global.get $count) (i64.const 0)) (then (call $leave {value} {pointed})))"
    back = result if results else ""
    body = f"{call} {left} {back}"
    if throws:
        tried = f"(try_table (catch_all_ref $thrown) {call})"
        body = f"(block $thrown (result exnref) {tried} {left} {back} (return))"
        body += " (call $leave (i64.const 0) (i64.const 0)) (throw_ref)"
    guest = "" if asked is Pointed.NOTHING else '(import "" "guest" (memory $guest 0))'
    length = _LENGTH if asked is Pointed.STRING else ""
    local = f"(local {results[0]})" if results else ""
    return f"""(module
  (import "" "body" (func $body{signature})) (import "" "drain" (func $drain))
  (import "" "log" (memory $log {_PAGES} {_PAGES})) {guest} (import "" "count" (global $count (mut i64)))
  {_HELPERS} {length}
  (func (export "{abi.GO}"){signature} {local}
    (call $enter (i64.const {function.index}) {" ".join(given)})
    {body}))"""


def _wide(value: str, type_: ValType) -> str:
    return f"(i64.extend_i32_u {value})" if type_ is ValType.I32 else value


_POINTED = {
    Pointed.NOTHING: "(i64.const 0)",
    Pointed.WORD: "(i64.extend_i32_u (i32.load $guest (local.get 0)))",
    Pointed.STRING: "(i64.extend_i32_u (call $length {result}))",
}
_LENGTH = """
  (func $length (param $string i32) (result i32) (local $at i32)
    (if (i32.eqz (local.tee $at (local.get $string))) (then (return (i32.const 0))))
    (loop $on
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $on (i32.load8_u $guest (i32.sub (local.get $at) (i32.const 1)))))
    (i32.sub (local.get $at) (local.get $string)))"""

_TICK = "(i64.add (global.get $count) (i64.load $log (i32.const 8)))"
_DEPTH = "(i32.load $log (i32.const 4))"
_HELPERS = f"""
  (func $enter (param $function i64) (param $a i64) (param $b i64) (param $c i64) (param $d i64)
    (if (i32.eqz {_DEPTH}) (then
      (i64.store $log (i32.const {_UNDER_WAY}) (local.get $function))
      (i64.store $log (i32.const {_UNDER_WAY + 8}) {_TICK})
      (i64.store $log (i32.const {_UNDER_WAY + 24}) (local.get $a))
      (i64.store $log (i32.const {_UNDER_WAY + 32}) (local.get $b))
      (i64.store $log (i32.const {_UNDER_WAY + 40}) (local.get $c))
      (i64.store $log (i32.const {_UNDER_WAY + 48}) (local.get $d))))
    (i32.store $log (i32.const 4) (i32.add {_DEPTH} (i32.const 1))))
  (func $leave (param $result i64) (param $pointed i64) (local $at i32)
    (i32.store $log (i32.const 4) (i32.sub {_DEPTH} (i32.const 1)))
    (if {_DEPTH} (then (return)))
    (local.set $at (i32.load $log (i32.const 0)))
    (memory.copy $log $log (local.get $at) (i32.const {_UNDER_WAY}) (i32.const {_RECORD.size}))
    (i64.store $log offset=16 (local.get $at) {_TICK})
    (i64.store $log offset=56 (local.get $at) (local.get $result))
    (i64.store $log offset=64 (local.get $at) (local.get $pointed))
    (local.set $at (i32.add (local.get $at) (i32.const {_RECORD.size})))
    (i32.store $log (i32.const 0) (local.get $at))
    (if (i32.gt_u (local.get $at) (i32.const {_FULL})) (then (call $drain))))"""
