"""Tables of sites: what is read from a cache says the same as the analysis did."""

from __future__ import annotations

import pytest
import wasmtime

from ttd.instrument.program import Instrumented
from ttd.instrument.sharing import Shared
from ttd.instrument.site import Site
from ttd.instrument.sites import FunctionPlan
from ttd.instrument.sitetable import SiteTable
from ttd.wasm.decode import decode

TEXT = """(module (type $f (func (param i32) (result v128 f64)))
  (func $callee (export "f") (type $f) (loop) (v128.const i64x2 1 2) (f64.const 3))
  (func (export "main") (param i32 externref) (local i64 f32 funcref v128)
    (local.set 2 (i64.const 5)) (local.set 5 (v128.const i64x2 7 8))
    (i64.const 1) (local.get 3)
    (loop (param i64 f32) (result i64 f32)
      (local.get 0) (call $callee) (drop) (local.set 5)
      (local.get 2) (local.get 0) (call $callee) (drop) (local.set 5) (local.set 2)
      (br_if 0 (local.get 0)))
    (drop) (drop) (drop (ref.is_null (local.get 1)))
    (i32.const 6) (drop (call $callee (local.get 0))) (local.set 5) (drop)
    (drop (call $callee (local.get 0))) (drop) (f32.const 0) (drop (call $callee (local.get 0))) (drop) (drop)
    (drop (local.get 2)) (drop (local.get 5))))"""


def chain_of(plan: FunctionPlan, site: Site) -> list[Shared]:
    return plan.shared[site.number].chain() if site.number in plan.shared else []


@pytest.mark.parametrize("grouped", [False, True])
def test_a_table_survives_being_stored(grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if grouped:
        monkeypatch.setattr(FunctionPlan, "large_from", 0)
    instrumented = Instrumented(decode(wasmtime.wat2wasm(TEXT)))
    for function in instrumented.ticking:
        plan = instrumented.plans[function]
        table = SiteTable.of(plan)
        again = SiteTable.from_json(function, plan.function.local_types, table.to_json())
        assert list(again.sites) == plan.sites and len(plan.sites) > 1
        assert again.loops == table.loops and again.calls == table.calls
        for site in plan.sites:
            assert again.record_types(site) == plan.record_types(site)
            assert again.spilled(site) == table.spilled(site)
            types, picks = again.spilled(site)
            assert grouped or picks is None
            places = range(len(types)) if picks is None else picks
            assert tuple(types[place] for place in places) == plan.record_types(site)
            shared = {local for each in chain_of(plan, site) for local in each.locals}
            assert shared.isdisjoint(plan.own_locals(site)) and shared | {*plan.own_locals(site)} == {
                *site.locals
            }
    assert not grouped or any(instrumented.plans[f].shared for f in instrumented.ticking)
