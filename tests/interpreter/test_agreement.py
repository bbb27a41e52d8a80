"""The interpreter against plain Wasmtime: results, memory and output of whole programs."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings

from tests.interpreter.programs import PROGRAMS, RANDOM_PROGRAMS, Function, text_of
from tests.interpreter.rig import machine
from tests.support import Guests
from ttd.engine.protocol import Goal, Program
from ttd.interpreter import Interpreter
from ttd.recorder.host import RecordingHost
from ttd.recorder.options import WasiOptions, plan_invocations
from ttd.types import EndKind
from ttd.wasm.decode import decode
from ttd.wasm.model import ValType

SLOW_IS_FINE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BITS = {ValType.I32: 32, ValType.I64: 64}


def run_by_wasmtime(text: str) -> tuple[list[int], bytes]:
    """What ``main`` gives (as signed numbers) and the first memory afterwards."""
    config = wasmtime.Config()
    config.wasm_exceptions = True
    config.wasm_tail_call = True
    store = wasmtime.Store(wasmtime.Engine(config))
    exporting = text.replace("(memory 1", '(memory (export "memory") 1')
    exports = wasmtime.Instance(store, wasmtime.Module(store.engine, exporting), []).exports(store)
    main = exports["main"]
    assert isinstance(main, wasmtime.Func)
    result = main(store)
    memory = exports.get("memory")
    contents = bytes(memory.read(store)) if isinstance(memory, wasmtime.Memory) else b""
    return result if isinstance(result, list) else [] if result is None else [result], contents


def run_by_interpreter(text: str) -> tuple[list[int], bytes]:
    engine = machine(text)
    ending = engine.run(Goal()).ending
    assert ending is not None and ending.kind is EndKind.EXIT
    types = engine._module.functions[engine._module.exports_by_name["main"].index].type.results
    results = []
    for value, type_ in zip(ending.results, types, strict=True):
        assert isinstance(value, int)
        results.append(value - (value >> (BITS[type_] - 1) << BITS[type_]))
    memories = engine.state.memories
    return results, bytes(memories[0].view()) if memories else b""


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_give_the_same_results_and_memory(name: str) -> None:
    text = f"(module {PROGRAMS[name]})"
    assert run_by_interpreter(text) == run_by_wasmtime(text)


@SLOW_IS_FINE
@given(RANDOM_PROGRAMS)
def test_random_programs_leave_the_same_memory(functions: list[Function]) -> None:
    text = text_of(functions)
    assert run_by_interpreter(text) == run_by_wasmtime(text)


@pytest.mark.parametrize("flags", [("-O0",), ("-O2",)])
@pytest.mark.parametrize("name", ["hello", "structs", "loops", "calls"])
def test_c_programs_print_the_same(
    guest: Guests, name: str, flags: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = guest(name, *flags).read_bytes()
    module = decode(data)
    host = RecordingHost(module, WasiOptions(argv=(name, "an argument")), {})
    plan = tuple(entry.invocation for entry in plan_invocations(module, ()))
    engine = Interpreter(Program(module, plan), host)
    ending = engine.run(Goal()).ending
    engine.close()
    expected = tmp_path / "output"
    store = wasmtime.Store()
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    wasi = wasmtime.WasiConfig()
    wasi.argv = [name, "an argument"]
    wasi.stdout_file = str(expected)
    store.set_wasi(wasi)
    start = linker.instantiate(store, wasmtime.Module(store.engine, data)).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    code = 0
    try:
        start(store)
    except wasmtime.ExitTrap as exit_:
        code = exit_.code
    assert ending is not None and (ending.kind, ending.code) == (EndKind.EXIT, code)
    assert capfd.readouterr().out == expected.read_text()
