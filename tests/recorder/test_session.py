"""Recording real C programs from end to end, and the errors that come before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from tests.recorder.replaying import replay
from tests.support import Guests
from ttd.errors import EngineUnusable, InvalidModule, LinkError, TtdError, UnsupportedFeature, UsageError
from ttd.recorder.options import PreopenedDirectory, RecordOptions, WasiOptions
from ttd.recorder.session import RecordResult, record
from ttd.replayer.session import ENGINES
from ttd.replayer.verify import verify
from ttd.store.directory import latest
from ttd.store.manifest import StdinKind
from ttd.store.trace import Trace
from ttd.types import EndKind, Position
from ttd.wasi import describe_call
from ttd.wasm.decode import decode

NULL = StdinKind.NULL


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "run.trace"


def wat(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "module.wasm"
    path.write_bytes(bytes(wasmtime.wat2wasm(text)))
    return path


def listing(path: Path) -> list[str]:
    """The events of a trace as `ttd events` shows them."""
    with Trace.open(path) as trace:
        module = decode(trace.module)
        lines = []
        for event in trace.events():
            function = module.functions[event.function]
            assert function.imported is not None
            names = function.imported.module, function.imported.name
            lines.append(describe_call(event, *names, function.type.params, function.type.results))
        return lines


def verified(result: RecordResult) -> RecordResult:
    """`result`, after its trace has been replayed and found equal."""
    with Trace.open(result.path) as trace:
        assert trace.event_count == result.events
        assert trace.ending == result.ending
        assert replay(trace) == result.snapshots
    return result


def test_a_program_runs_untouched_and_its_trace_replays(
    guest: Guests, output: Path, capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    wasi = WasiOptions(argv=("hello", "x"), stdin=NULL)
    print("before", end=" ")
    result = verified(record(RecordOptions(guest("hello"), output, wasi, engine=engine)))
    assert capfd.readouterr().out == "before hello from hello, 2 arguments\n"
    assert result.exit_code == 3
    assert result.ending.kind is EndKind.EXIT
    assert result.path == output and result.size > 0
    assert any(line.startswith('fd_write(1, [{"hello from') for line in listing(output))
    assert listing(output)[-1] == "proc_exit(3) = ? (exit 3)"


def test_files_environment_and_stdin(
    guest: Guests, tmp_path: Path, output: Path, capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    box = tmp_path / "box"
    box.mkdir()
    line = tmp_path / "line"
    line.write_text("a line\n")
    wasi = WasiOptions(
        argv=("files", "/box/inner"),
        env=(("TTD_USER", "somebody"),),
        preopens=(PreopenedDirectory.parse(f"{box}::/box"),),
        stdin=StdinKind.FILE,
        stdin_file=line,
    )
    result = verified(record(RecordOptions(guest("files"), output, wasi, engine=engine)))
    out = capfd.readouterr().out
    assert result.exit_code == 0, out
    assert "44 bytes read, 44 by stat" in out
    assert "stdin says a line" in out
    assert "user somebody" in out
    assert (box / "inner").is_dir()
    text = "\n".join(listing(output))
    assert 'path_open(3, SYMLINK_FOLLOW, "inner/data.txt", CREAT|TRUNC, FD_WRITE|..., ' in text
    assert 'fd_readdir(4, [".", "..", "data.txt"], ' in text
    with Trace.open(output) as trace:
        assert trace.manifest.env == (("TTD_USER", "somebody"),)
        assert trace.manifest.preopens[0].guest == "/box"
        assert trace.manifest.stdin is StdinKind.FILE


def test_a_trap_has_a_backtrace_with_lines(
    guest: Guests, output: Path, capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    result = verified(record(RecordOptions(guest("trap"), output, WasiOptions(stdin=NULL), engine=engine)))
    assert capfd.readouterr().out == "dividing\n"
    assert result.exit_code == 134
    assert str(result.ending.trap) == "integer divide by zero"
    assert result.ending.position.is_exact
    lines = result.backtrace.splitlines()
    assert f"trap.c:{guest.line('trap', 'trap')}" in lines[0]
    assert f"trap.c:{guest.line('trap', 'call')}" in lines[1]
    assert f"trap.c:{guest.line('trap', 'process')}" in lines[2]


def test_sources_go_into_the_trace(guest: Guests, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record(RecordOptions(guest("hello"), output, WasiOptions(stdin=NULL)))
    with Trace.open(output) as trace:
        (name,) = [path for path in trace.sources if path.endswith("/hello.c")]
        assert trace.sources[name] == guest.source("hello").read_bytes()
    assert capfd.readouterr().out


def test_snapshots_are_taken(
    guest: Guests, output: Path, capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    rounds = {"interpreter": "150", "compiled": "200000"}[engine]  # a second or two of either
    wasi = WasiOptions(("work", rounds), stdin=NULL)
    result = record(RecordOptions(guest("wasi_work"), output, wasi, engine=engine))
    assert result.snapshots >= 1  # how many, and what they may cost: see test_snapshots
    assert 0 < result.snapshot_seconds < result.seconds
    assert capfd.readouterr().out.startswith("0 ")
    with Trace.open(output) as trace:
        report = verify(trace)
        assert report.is_good, report
        assert report.snapshots == result.snapshots


def test_all_four_clocks_run(
    guest: Guests, output: Path, capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    result = verified(
        record(RecordOptions(guest("wasi_clocks"), output, WasiOptions(stdin=NULL), engine=engine))
    )
    assert result.exit_code == 0, capfd.readouterr().out


def test_without_an_output_the_trace_goes_to_the_default_place(
    guest: Guests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTD_TRACE_DIR", str(tmp_path / "traces"))
    options = RecordOptions(guest("hello"), wasi=WasiOptions(stdin=NULL), embed_sources=False)
    first, second = record(options), record(options)
    assert first.path != second.path
    assert latest() == second.path
    assert "hello from" in capfd.readouterr().out


# --- invocations ---------------------------------------------------------------------------------------

LIBRARY = """(module
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (func $start (global.set $calls (i32.add (global.get $calls) (i32.const 100))))
  (func (export "_initialize") (global.set $calls (i32.add (global.get $calls) (i32.const 10))))
  (func (export "gcd") (param $a i32) (param $b i32) (result i32)
    (local $t i32)
    (loop $again
      (if (local.get $b)
        (then (local.set $t (i32.rem_u (local.get $a) (local.get $b)))
              (local.set $a (local.get $b))
              (local.set $b (local.get $t))
              (br $again))))
    (local.get $a))
  (func (export "calls") (result i32) (global.get $calls))
  (func (export "scale") (param f64 f32 i64) (result f64)
    (f64.mul (local.get 0) (f64.add (f64.promote_f32 (local.get 1)) (f64.convert_i64_s (local.get 2)))))
  (start $start))"""


@pytest.mark.parametrize(
    ("invoke", "results"),
    [
        (("gcd", "12", "18"), (6,)),
        (("gcd", "0xffffffff", "-1"), (0xFFFFFFFF,)),
        (("calls",), (110,)),
        (("scale", "2.5", "1.5", "-3"), (0xC00E000000000000,)),
    ],
)
def test_an_export_is_invoked_after_start_function_and_initializer(
    tmp_path: Path, output: Path, invoke: tuple[str, ...], results: tuple[int, ...], engine: str
) -> None:
    result = verified(record(RecordOptions(wat(tmp_path, LIBRARY), output, invoke=invoke, engine=engine)))
    assert result.ending.results == results
    assert result.exit_code == 0
    with Trace.open(output) as trace:
        assert [item.export for item in trace.manifest.invocations] == ["(start)", "_initialize", invoke[0]]


@pytest.mark.parametrize(
    ("invoke", "message"),
    [
        ((), "the module exports no _start, so it is not a program; choose what to call with --invoke"),
        (
            ("gdc", "1", "2"),
            "the module exports no function 'gdc'; it exports _initialize, gcd, calls, scale",
        ),
        (("memory",), "the module exports no function 'memory'"),
        (("gcd", "1"), r"gcd takes 2 arguments \(i32 i32\), but was given 1"),
        (("calls", "1"), "calls takes no arguments"),
        (("gcd", "1", "two"), "'two' is not an argument of type i32: expected a whole number"),
        (("gcd", "1", "4294967296"), "does not fit into 32 bits"),
        (("scale", "x", "1", "1"), "'x' is not an argument of type f64"),
    ],
)
def test_what_cannot_be_invoked(tmp_path: Path, output: Path, invoke: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        record(RecordOptions(wat(tmp_path, LIBRARY), output, invoke=invoke))
    assert not output.exists()


# --- errors before anything runs -----------------------------------------------------------------------


def refused(options: RecordOptions, kind: type[TtdError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        record(options)
    assert "\n" not in str(caught.value)
    assert options.output is not None and not options.output.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '(module (import "env" "f" (func)) (func (export "_start")))',
            "imports env.f, which nothing provides",
        ),
        (
            '(module (import "env" "g" (global i32)) (func (export "_start")))',
            "imports the global env.g, which nothing provides",
        ),
        (
            '(module (import "wasi_snapshot_preview1" "fd_frob" (func)) (func (export "_start")))',
            "imports wasi_snapshot_preview1.fd_frob",
        ),
        (
            '(module (import "wasi_snapshot_preview1" "fd_close" (func (param i64) (result i32)))'
            ' (func (export "_start")))',
            r"fd_close with the wrong type; it should be \(i32\) -> \(i32\)",
        ),
        (
            '(module (import "wasi_unstable" "fd_close" (func (param i32) (result i32)))'
            ' (func (export "_start")))',
            "wasi_unstable, the WASI of 2019; rebuild it",
        ),
        (
            '(module (memory 1) (data (i32.const 65536) "x") (func (export "_start")))',
            "out of bounds",
        ),
    ],
)
def test_what_cannot_be_linked(tmp_path: Path, output: Path, text: str, message: str) -> None:
    refused(RecordOptions(wat(tmp_path, text), output), LinkError, message)


def test_missing_and_damaged_programs(tmp_path: Path, output: Path) -> None:
    refused(RecordOptions(tmp_path / "none.wasm", output), UsageError, "there is no file .*none.wasm")
    refused(RecordOptions(tmp_path, output), UsageError, "cannot read")
    text = tmp_path / "text.wasm"
    text.write_text("hello")
    refused(RecordOptions(text, output), InvalidModule, "Wasm|wasm|WebAssembly|magic")
    good = wat(tmp_path, '(module (func (export "_start")))')
    refused(RecordOptions(good, output, engine="magic"), UsageError, "there is no engine 'magic'")
    good.write_bytes(good.read_bytes()[:-3])
    refused(RecordOptions(good, output), InvalidModule, "offset")


def test_an_unsupported_feature(tmp_path: Path, output: Path) -> None:
    text = '(module (memory 1 1 shared) (func (export "_start")))'
    refused(RecordOptions(wat(tmp_path, text), output), UnsupportedFeature, "thread")


def test_a_program_that_only_the_interpreter_can_run(tmp_path: Path, output: Path) -> None:
    """Instrumented, its function has more locals than Wasmtime takes."""
    locals_ = "i32 " * 50_000
    program = wat(tmp_path, f'(module (func (export "_start") (local {locals_}) (loop (nop))))')
    message = "cannot run this program .*too many locals.*; use --engine interpreter"
    refused(RecordOptions(program, output), EngineUnusable, message)
    verified(record(RecordOptions(program, output, engine="interpreter")))
    with Trace.open(output) as trace:
        with pytest.raises(EngineUnusable, match=message):
            verify(trace)
        assert verify(trace, ENGINES["interpreter"]).is_good


def test_missing_surroundings(guest: Guests, tmp_path: Path, output: Path) -> None:
    program = guest("hello")

    def options(**wasi: object) -> RecordOptions:
        return RecordOptions(program, output, WasiOptions(**wasi))  # type: ignore[arg-type]

    gone = PreopenedDirectory(tmp_path / "gone", "/")
    refused(options(preopens=(gone,)), UsageError, "--dir: .*gone does not exist")
    refused(
        options(stdin=StdinKind.FILE, stdin_file=tmp_path / "gone"),
        UsageError,
        "--stdin: .*gone is not a file",
    )
    refused(options(argv=("a\0b",)), UsageError, "zero character")
    refused(options(argv=("a\udcff",)), UsageError, "not valid UTF-8")
    refused(options(preopens=(PreopenedDirectory(tmp_path, "\udcff"),)), UsageError, "not valid UTF-8")
    refused(options(env=(("A=B", "c"),)), UsageError, "--env")
    with pytest.raises(UsageError, match="is not a directory"):
        PreopenedDirectory.parse(str(program))
    with pytest.raises(UsageError, match="expected HOST or HOST::GUEST"):
        PreopenedDirectory.parse("::")


def test_a_directory_that_cannot_be_opened(
    guest: Guests, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is there and refuses: the superuser cannot make one, so the check before is left out."""
    monkeypatch.setattr(PreopenedDirectory, "check", lambda self: None)
    wasi = WasiOptions(preopens=(PreopenedDirectory(tmp_path / "gone", "/"),))
    refused(RecordOptions(guest("hello"), output, wasi), UsageError, "surroundings cannot be set up: ")


def test_a_trace_is_not_written_over_something_else(guest: Guests, output: Path) -> None:
    output.write_text("precious")
    with pytest.raises(UsageError):
        record(RecordOptions(guest("hello"), output, WasiOptions(stdin=NULL)))
    assert output.read_text() == "precious"


# --- small modules -------------------------------------------------------------------------------------

WASI = "wasi_snapshot_preview1"


def test_a_host_call_that_traps_is_in_the_log_with_what_it_wrote(
    tmp_path: Path, output: Path, engine: str
) -> None:
    """The data is read before the place for their number turns out to lie out of bounds."""
    program = wat(
        tmp_path,
        f"""(module (import "{WASI}" "fd_read" (func $f (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 8) "\\10\\00\\00\\00\\04\\00\\00\\00")
          (func (export "_start")
            (drop (call $f (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 65536)))))""",
    )
    line = tmp_path / "line"
    line.write_bytes(b"abc")
    wasi = WasiOptions(stdin=StdinKind.FILE, stdin_file=line)
    result = verified(record(RecordOptions(program, output, wasi, engine=engine)))
    assert result.exit_code == 134
    assert "out of bounds" in str(result.ending.trap)
    with Trace.open(output) as trace:
        (event,) = trace.events()
        assert [(write.address, write.data) for write in event.writes] == [(16, b"abc\0")]


def test_the_memory_of_wasi_is_the_one_exported_as_memory(tmp_path: Path, output: Path, engine: str) -> None:
    program = wat(
        tmp_path,
        f"""(module (import "{WASI}" "random_get" (func $f (param i32 i32) (result i32)))
          (memory 1) (memory (export "memory") 1)
          (func (export "_start") (drop (call $f (i32.const 8) (i32.const 4)))))""",
    )
    verified(record(RecordOptions(program, output, engine=engine)))
    with Trace.open(output) as trace:
        (event,) = trace.events()
        assert [(write.memory, write.address, len(write.data)) for write in event.writes] == [(1, 8, 4)]


def test_an_imported_memory_is_provided(tmp_path: Path, output: Path, engine: str) -> None:
    program = wat(
        tmp_path,
        f"""(module (import "{WASI}" "random_get" (func $f (param i32 i32) (result i32)))
          (import "env" "memory" (memory 1)) (export "memory" (memory 0))
          (func (export "_start") (drop (call $f (i32.const 8) (i32.const 4)))))""",
    )
    assert verified(record(RecordOptions(program, output, engine=engine))).events == 1


def test_memory_that_has_grown_since_the_last_call(tmp_path: Path, output: Path, engine: str) -> None:
    program = wat(
        tmp_path,
        f"""(module (import "{WASI}" "random_get" (func $f (param i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start")
            (drop (call $f (i32.const 8) (i32.const 4)))
            (drop (memory.grow (i32.const 3)))
            (drop (call $f (i32.const 200000) (i32.const 4)))))""",
    )
    result = verified(record(RecordOptions(program, output, engine=engine)))
    assert result.events == 2
    assert result.ending == type(result.ending)(EndKind.EXIT, result.ending.position)


def test_an_exit_code_beyond_a_byte_is_cut_as_the_system_does(
    tmp_path: Path, output: Path, engine: str
) -> None:
    program = wat(
        tmp_path,
        f"""(module (import "{WASI}" "proc_exit" (func $f (param i32)))
          (memory (export "memory") 1) (func (export "_start") (call $f (i32.const -1))))""",
    )
    result = verified(record(RecordOptions(program, output, engine=engine)))
    assert (result.ending.code, result.exit_code) == (0xFFFFFFFF, 255)
    assert result.ending.position.agrees(Position(1, 1))
