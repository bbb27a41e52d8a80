"""Host functions in Python: what they are given, what they may do, and what is said when they are wrong."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from tests.recorder.replaying import replay
from tests.support import ROOT, Guests
from ttd.engine.memory import LinearMemory
from ttd.errors import LinkError, TtdError, UsageError
from ttd.events import MemoryWrite, Outcome
from ttd.recorder.calls import Performed
from ttd.recorder.hostapi import (
    Declaration,
    Exit,
    Guest,
    HostError,
    HostFunction,
    References,
    f32,
    host_function,
    i64,
    load_host_file,
    u32,
)
from ttd.recorder.options import RecordOptions, WasiOptions
from ttd.recorder.session import RecordResult, record
from ttd.store.manifest import StdinKind
from ttd.store.trace import Trace
from ttd.types import Value
from ttd.wasm.model import FuncType, MemoryType, ValType

EXAMPLES = ROOT / "docs" / "examples"
I32, I64, F32, F64, V128 = ValType.I32, ValType.I64, ValType.F32, ValType.F64, ValType.V128
SIZE = 65536


@pytest.fixture
def memory() -> LinearMemory:
    return LinearMemory(MemoryType(1, 1, False), 1)


def perform(
    function: Callable[..., object],
    arguments: tuple[Value, ...] = (),
    params: tuple[ValType, ...] = (),
    results: tuple[ValType, ...] = (),
    *memories: LinearMemory,
) -> Performed:
    """Bind `function` to an import of that type, and call it."""
    declaration = Declaration("env", "f", function)  # type: ignore[arg-type]
    return HostFunction(declaration, FuncType(params, results), References())(arguments, memories)


# --- arguments and results -----------------------------------------------------------------------------


def test_numbers_are_passed_as_python_numbers() -> None:
    seen: list[object] = []

    def plain(guest: Guest, a, b, c, d):  # type: ignore[no-untyped-def]
        seen.extend((a, b, c, d))

    half, nan = struct.unpack("<I", struct.pack("<f", 0.5))[0], 0x7FF8000000000001
    perform(plain, (0xFFFFFFFF, 1 << 63, half, nan), (I32, I64, F32, F64))
    assert seen[:3] == [-1, -(1 << 63), 0.5]
    assert isinstance(seen[3], float) and math.isnan(seen[3])


def test_annotations_choose_unsigned_numbers() -> None:
    seen: list[object] = []

    def annotated(guest: Guest, a: u32, b: i64, c: int) -> None:
        seen.extend((a, b, c))

    perform(annotated, (0xFFFFFFFF, (1 << 64) - 1, 0xFFFFFFFF), (I32, I64, I32))
    assert seen == [0xFFFFFFFF, -1, -1]


@pytest.mark.parametrize(
    ("returned", "types", "values"),
    [
        (None, (), ()),
        (-1, (I32,), (0xFFFFFFFF,)),
        (0xFFFFFFFF, (I32,), (0xFFFFFFFF,)),
        (True, (I32,), (1,)),
        (-1, (I64,), ((1 << 64) - 1,)),
        (1.5, (F64,), (0x3FF8000000000000,)),
        (2, (F32,), (0x40000000,)),
        (float("nan"), (F32,), (0x7FC00000,)),
        (-float("nan"), (F64,), (0x7FF8000000000000,)),
        (float("-inf"), (F32,), (0xFF800000,)),
        ((1, 2.0), (I32, F64), (1, 0x4000000000000000)),
        (1 << 127, (V128,), (1 << 127,)),
        (None, (ValType.EXTERNREF,), (None,)),
        (None, (ValType.FUNCREF,), (None,)),
    ],
)
def test_results_are_converted(
    returned: object, types: tuple[ValType, ...], values: tuple[Value, ...]
) -> None:
    done = perform(lambda guest: returned, (), (), types)
    assert (done.outcome, done.results) == (Outcome.RETURNED, values)


@pytest.mark.parametrize(
    ("returned", "types", "message"),
    [
        (1, (), "it returned 1; the program expects nothing"),
        (None, (I32,), "it returned None, which is no i32"),
        (1 << 32, (I32,), "which is no i32"),
        (-(1 << 31) - 1, (I32,), "which is no i32"),
        (1.0, (I32,), "it returned 1.0, which is no i32"),
        ("1", (F64,), "which is no f64"),
        (1e300, (F32,), "which is no f32"),
        (1 << 2000, (F64,), "which is no f64"),
        ((1, 2), (I32,), "which is no i32"),
        ((1,), (I32, I32), "the program expects i32, i32"),
        (5, (ValType.FUNCREF,), "which is no funcref"),
    ],
)
def test_results_of_the_wrong_type_trap(returned: object, types: tuple[ValType, ...], message: str) -> None:
    done = perform(lambda guest: returned, (), (), types)
    assert done.outcome is Outcome.TRAPPED
    assert done.message.startswith("env.f: ") and message in done.message


def test_references_stand_for_python_objects() -> None:
    kept: list[object] = []
    references = References()
    externref = (ValType.EXTERNREF,)
    thing = object()
    give = HostFunction(
        Declaration("env", "give", lambda guest: thing),  # type: ignore[arg-type]
        FuncType((), externref),
        references,
    )
    take = HostFunction(
        Declaration("env", "take", lambda guest, it: kept.append(it)),  # type: ignore[arg-type]
        FuncType(externref, ()),
        references,
    )
    first, second = give((), ()).results, give((), ()).results
    assert first == second == (0,)
    take(first, ())
    take((None,), ())
    assert kept == [thing, None]


@pytest.mark.parametrize(
    ("function", "params", "message"),
    [
        (
            lambda guest, a: None,
            (),
            r"takes 1 arguments behind the guest, but the module calls it with 0 \(\)",
        ),
        (lambda guest: None, (I32, F64), r"takes 0 arguments .* with 2 \(i32, f64\)"),
        (lambda: None, (), "takes -1|takes 0 arguments"),
    ],
)
def test_a_function_that_does_not_fit_is_refused_before_anything_runs(
    function: Callable[..., object], params: tuple[ValType, ...], message: str
) -> None:
    with pytest.raises(LinkError, match=message):
        perform(function, (0,) * len(params), params)


def test_an_annotation_that_does_not_fit_is_refused() -> None:
    def wrong(guest: Guest, speed: f32) -> None: ...

    with pytest.raises(LinkError, match="takes its argument speed as f32, but the module passes i32"):
        perform(wrong, (0,), (I32,))


def test_variable_arguments_fit_everything() -> None:
    seen: list[tuple[object, ...]] = []
    perform(lambda guest, *rest: seen.append(rest), (1, 2), (I32, I32))
    assert seen == [(1, 2)]


# --- memory --------------------------------------------------------------------------------------------


def test_writes_are_made_and_logged_in_order(memory: LinearMemory) -> None:
    def write(guest: Guest) -> None:
        guest.write(100, b"hello")
        guest.write_int(102, 0x1234, 2)
        guest.write(-4 + (1 << 16), b"tail")
        guest.write(7, b"")

    done = perform(write, (), (), (), memory)
    assert done.writes == (
        MemoryWrite(0, 100, b"hello"),
        MemoryWrite(0, 102, b"\x34\x12"),
        MemoryWrite(0, SIZE - 4, b"tail"),
    )
    assert bytes(memory.view()[100:105]) == b"he\x34\x12o"


def test_reading(memory: LinearMemory) -> None:
    memory.view()[10:16] = b"abc\0\xff\xff"
    seen: list[object] = []

    def read(guest: Guest) -> None:
        seen.append(guest.read(10, 2))
        seen.append(guest.read_string(10))
        seen.append(guest.read_int(14, 2))
        seen.append(guest.read_int(14, 2, signed=True))
        seen.append(guest.memory_size())

    assert perform(read, (), (), (), memory).writes == ()
    assert seen == [b"ab", "abc", 0xFFFF, -1, SIZE]


@pytest.mark.parametrize(
    "access",
    [
        lambda guest: guest.read(SIZE - 1, 2),
        lambda guest: guest.read(0, -1),
        lambda guest: guest.write(-1, b"x"),
        lambda guest: guest.read(0, 1, memory=1),
        lambda guest: guest.read_string(0, limit=10),
        lambda guest: guest.write(1 << 40, b"x"),
    ],
)
def test_accesses_out_of_bounds_trap(memory: LinearMemory, access: Callable[[Guest], object]) -> None:
    memory.view()[0:20] = b"x" * 20
    done = perform(lambda guest: (access(guest), None)[1], (), (), (), memory)
    assert done.outcome is Outcome.TRAPPED
    assert done.message.startswith("env.f: ")
    assert done.writes == ()


def test_a_guest_that_was_kept_writes_nothing_later(memory: LinearMemory) -> None:
    kept: list[Guest] = []
    perform(lambda guest: kept.append(guest), (), (), (), memory)
    with pytest.raises(RuntimeError, match="only while its call lasts"):
        kept[0].write(0, b"x")
    assert memory.view()[0] == 0


# --- endings -------------------------------------------------------------------------------------------


def test_exit_ends_the_program_and_keeps_what_was_written(memory: LinearMemory) -> None:
    def leave(guest: Guest) -> None:
        guest.write(0, b"bye")
        raise Exit(-1)

    done = perform(leave, (), (), (), memory)
    assert (done.outcome, done.code) == (Outcome.EXITED, 0xFFFFFFFF)
    assert done.writes == (MemoryWrite(0, 0, b"bye"),)


def test_host_errors_trap_with_their_message(memory: LinearMemory) -> None:
    def fail(guest: Guest) -> None:
        guest.write(0, b"half")
        raise HostError("no such\nsensor")

    done = perform(fail, (), (), (), memory)
    assert (done.outcome, done.message) == (Outcome.TRAPPED, "env.f: no such sensor")
    assert done.writes == (MemoryWrite(0, 0, b"half"),)


def test_other_exceptions_trap_and_say_where(tmp_path: Path) -> None:
    path = tmp_path / "host.py"
    path.write_text(
        "from ttd.recorder.hostapi import host_function\n"
        "@host_function('env', 'f')\n"
        "def f(guest):\n"
        "    return {}['x']\n"
    )
    declaration = load_host_file(path)["env", "f"]
    done = HostFunction(declaration, FuncType((), (I32,)), References())((), ())
    assert done.message == "env.f: KeyError: 'x' (host.py:4)"


# --- host files ----------------------------------------------------------------------------------------


def test_the_decorator_leaves_the_function_alone() -> None:
    def function(guest: Guest) -> None: ...

    assert host_function("env", "x")(function) is function


def test_a_host_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_the_host_file.py").write_text("ANSWER = 42\n")
    path = tmp_path / "host.py"
    path.write_text(
        "import beside_the_host_file\nfrom ttd.recorder.hostapi import host_function\n"
        "@host_function('env')\ndef f(guest): return beside_the_host_file.ANSWER\n"
    )
    assert list(load_host_file(path)) == [("env", "f")]


IMPORT = "from ttd.recorder.hostapi import host_function\n"
TWICE = "@host_function('env', 'f')\ndef a(guest): pass\n@host_function('env', 'f')\ndef b(guest): pass\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"failed to load: SyntaxError: .*\(host.py:1\)"),
        ("\n1 / 0\n", r"failed to load: ZeroDivisionError: division by zero \(host.py:2\)"),
        ("import sys\nsys.exit(3)\n", "failed to load: SystemExit: 3"),
        ("import no_such_module_anywhere\n", "failed to load: ModuleNotFoundError"),
        ("x = 1\n", "has no host functions; mark them with @host_function"),
        (IMPORT + TWICE, "has two functions for env.f"),
        (IMPORT + "host_function('env', 'f')(print)\n", "only a Python function can be a host function"),
    ],
)
def test_host_files_that_do_not_work(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "host.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_host_file(path)
    assert "\n" not in str(caught.value)


def test_a_missing_host_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--host: there is no file"):
        load_host_file(tmp_path / "host.py")


# --- whole recordings ----------------------------------------------------------------------------------


def recorded(program: Path, host: Path, output: Path, engine: str) -> RecordResult:
    """A recording with a host file, replayed without it."""
    options = RecordOptions(program, output, WasiOptions(stdin=StdinKind.NULL), host_file=host, engine=engine)
    result = record(options)
    with Trace.open(output) as trace:
        assert trace.manifest.settings["host"] == str(host)
        replay(trace)
    return result


def test_the_sensor_example(tmp_path: Path, capfd: pytest.CaptureFixture[str], engine: str) -> None:
    result = recorded(Guests(EXAMPLES)("sensor"), EXAMPLES / "sensor.py", tmp_path / "run.trace", engine)
    captured = capfd.readouterr()
    assert result.exit_code == 0
    warm = [float(text) for text in re.findall(r"sensor: round \d: (.*)", captured.err)]
    assert len(warm) == 5
    mean = float(captured.out.removeprefix("mean "))
    assert mean == pytest.approx(sum(warm) / 5, abs=0.002)


def test_the_store_example(tmp_path: Path, capfd: pytest.CaptureFixture[str], engine: str) -> None:
    result = recorded(Guests(EXAMPLES)("store"), EXAMPLES / "store.py", tmp_path / "run.trace", engine)
    assert result.exit_code == 7
    assert capfd.readouterr().out == "greeting: hello,  (12 bytes)\nanswer: missing\nanswer: 42 (2 bytes)\n"


def test_what_host_functions_print_keeps_its_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    program = tmp_path / "module.wasm"
    program.write_bytes(
        bytes(
            wasmtime.wat2wasm(
                """(module
                  (import "env" "say" (func $say))
                  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
                  (memory (export "memory") 1)
                  (data (i32.const 0) "\\08\\00\\00\\00\\06\\00\\00\\00guest\\0a")
                  (func (export "_start")
                    (call $say)
                    (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
                    (call $say)))"""
            )
        )
    )
    host = tmp_path / "host.py"
    host.write_text(IMPORT + "@host_function('env')\ndef say(guest): print('host')\n")
    recorded(program, host, tmp_path / "run.trace", engine)
    assert capfd.readouterr().out == "host\nguest\nhost\n"


def test_a_host_file_may_replace_wasi(
    guest: Guests, tmp_path: Path, capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    host = tmp_path / "host.py"
    host.write_text(
        IMPORT + "@host_function('wasi_snapshot_preview1')\ndef fd_write(guest, fd, iovs, count, out):\n"
        "    total = sum(guest.read_int(iovs + 8 * i + 4) for i in range(count))\n"
        "    guest.write_int(out, total)\n    return 0\n"
    )
    assert recorded(guest("hello"), host, tmp_path / "run.trace", engine).exit_code == 0
    assert capfd.readouterr().out == ""


def test_missing_functions_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        TtdError, match=r"imports env\.read_sensor, env\.set_valve, env\.log, .*--host FILE\.py"
    ):
        record(RecordOptions(Guests(EXAMPLES)("sensor"), tmp_path / "run.trace"))


# --- the documentation ---------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "host-functions.md").read_text()


def test_the_python_of_the_documentation_loads(tmp_path: Path) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    path = tmp_path / "host.py"
    path.write_text(text)
    assert list(load_host_file(path)) == [("env", "log")]


def test_the_documentation_has_every_method_and_names_files_that_exist() -> None:
    methods = [name for name in vars(Guest) if not name.startswith("_")]
    assert [name for name in methods if f"`guest.{name}(" not in PAGE] == []
    links = re.findall(r"\]\((examples/[^)]+)\)", PAGE)
    assert len(links) == 4
    assert all((ROOT / "docs" / link).is_file() for link in links)
