"""Backtraces of other engines: as the engines write them, where they are installed, and in all spellings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.static.symbolize import MAX_LINE, Symbolizer
from ttd.wasm.decode import decode

RUN_IN_WASMTIME = """
import sys, wasmtime
engine = wasmtime.Engine()
store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
linker.define_wasi()
wasi = wasmtime.WasiConfig()
wasi.argv = ["guest"]
store.set_wasi(wasi)
instance = linker.instantiate(store, wasmtime.Module.from_file(engine, sys.argv[1]))
try:
    instance.exports(store)["_start"](store)
except wasmtime.Trap as trap:
    print(trap)
"""

RUN_IN_NODE = """
const {WASI} = require("wasi");
const wasi = new WASI({version: "preview1", args: ["guest"]});
const module = new WebAssembly.Module(require("fs").readFileSync(process.argv[1]));
try {
    wasi.start(new WebAssembly.Instance(module, {wasi_snapshot_preview1: wasi.wasiImport}));
} catch (error) {
    console.log(error.stack);
}
"""


@cache
def debug_of(path: Path) -> DebugInfo:
    return DebugInfo(decode(path.read_bytes()))


def symbolized(path: Path, text: str) -> str:
    return Symbolizer(debug_of(path)).text(text)


def stripped(path: Path, target: Path) -> Path:
    """A copy without what is behind the last standard section: debug information and names."""
    module = debug_of(path).module
    last = max((section for section in module.sections if section.id), key=lambda section: section.offset)
    target.write_bytes(module.data[: last.offset + last.size])
    return target


def backtrace_of_wasmtime(path: Path, details: bool) -> str:
    environment = {**os.environ, "WASMTIME_BACKTRACE_DETAILS": "1" if details else "0"}
    done = subprocess.run(
        [sys.executable, "-c", RUN_IN_WASMTIME, str(path)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def frames_only(backtrace: str, also: tuple[str, ...] = ()) -> list[str]:
    """The lines of a Wasmtime backtrace up to `main`, which the debug information calls by its symbol."""
    lines = backtrace.replace("__main_argc_argv", "main").splitlines()
    (behind_main,) = [number for number, line in enumerate(lines) if line.endswith(" main")]
    return lines[1 : behind_main + 2]


# --- Wasmtime ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_frames_of_wasmtime_become_what_wasmtime_itself_says_with_details(guest: Guests, level: str) -> None:
    path = guest("inlined", level)
    mine = symbolized(path, backtrace_of_wasmtime(path, details=False))
    theirs = backtrace_of_wasmtime(path, details=True)
    assert frames_only(mine) == frames_only(theirs)
    assert f"at {guest.source('inlined')}:{guest.line('inlined', 'average')}:" in mine


def test_backtraces_of_a_stripped_copy_get_their_lines_back(guest: Guests, tmp_path: Path) -> None:
    path = guest("inlined", "-O2")
    bare = backtrace_of_wasmtime(stripped(path, tmp_path / "bare.wasm"), details=False)
    assert "!<wasm function " in bare and "report" not in bare
    whole = backtrace_of_wasmtime(path, details=False)
    assert frames_only(symbolized(path, bare)) == frames_only(symbolized(path, whole))


def test_frames_with_details_stay_as_they_are(guest: Guests) -> None:
    path = guest("inlined", "-O2")
    text = backtrace_of_wasmtime(path, details=True)
    lines = [line for line in text.splitlines() if "__main_void" not in line]  # it has no details to show
    assert symbolized(path, "\n".join(lines)) == "\n".join(lines)


def test_what_stands_before_a_frame_of_wasmtime_stays_before_it(guest: Guests) -> None:
    path = guest("inlined", "-O2")
    (division,) = pcs_of(path, "i32.div_s", "report")
    out = symbolized(path, f"12:00:01 [error]   10: {division:#8x} - inlined.wasm!report\r\n")
    first, second, third, *_ = out.splitlines(keepends=True)
    assert first == f"12:00:01 [error]   10: {division:#8x} - ratio\r\n"
    assert second.strip().startswith("at /") and second.endswith("\r\n")
    assert third.strip() == "- average"
    assert second.index("at") == first.index("10:") + 17


def pcs_of(path: Path, mnemonic: str, function: str) -> list[int]:
    debug = debug_of(path)
    (index,) = debug.find_functions(function)
    return [i.offset for i in debug.module.functions[index].code.instructions if i.op.mnemonic == mnemonic]


# --- JavaScript engines ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_frames_of_node_become_frames_of_the_source(guest: Guests, level: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed (Debian: nodejs)")
    path = guest("inlined", level)
    done = subprocess.run(
        [node, "--no-warnings", "-e", RUN_IN_NODE, str(path)], capture_output=True, text=True, check=True
    )
    before, after = done.stdout.splitlines(), symbolized(path, done.stdout).splitlines()
    source = guest.source("inlined")
    expected = [("ratio", "ratio"), ("average", "average"), ("report", "report"), ("main", "main")]
    for line, (function, marker) in zip(after[1:], expected, strict=False):
        assert line.startswith(f"    at {function} ({source}:{guest.line('inlined', marker)}:")
    javascript = [line for line in before if "wasm-function" not in line]
    assert len(javascript) > 2
    assert [line for line in after if line in javascript] == javascript


@pytest.mark.parametrize(
    "line, expected",
    [
        ("    at report (wasm://wasm/inlined-003aac9e:wasm-function[{f}]:{pc})", "    at {name} ({place})"),
        ("    at wasm://wasm/003aac9e:wasm-function[{f}]:{pc}", "    at {name} ({place})"),
        ("    at async h(int, x) (http://a/b.wasm:wasm-function[{f}]:{pc})", "    at async {name} ({place})"),
        ("    at report (<anonymous>:wasm-function[{f}]:{pc})", "    at {name} ({place})"),
        ("report@http://localhost:80/p.wasm:wasm-function[{f}]:{pc}", "{name}@{place}"),
        ("@http://host/p.js line 1 > WebAssembly.Module:wasm-function[{f}]:{pc}", "{name}@{place}"),
        ("wasm-function[{f}]@http://host/p.wasm:wasm-function[{f}]:{pc}", "{name}@{place}"),
        ("  async*report@http://host/p.wasm:wasm-function[{f}]:{pc}", "  async*{name}@{place}"),
        ("setTimeout handler*f@http://h/p.wasm:wasm-function[{f}]:{pc}", "setTimeout handler*{name}@{place}"),
        ("<?>.wasm-function[report]@[wasm code]", "report@[wasm code, declared at {declared}]"),
        ("<?>.wasm-function[{f}]@[wasm code]", "report@[wasm code, declared at {declared}]"),
        ("wasm-function[{f}]@[wasm code]", "report@[wasm code, declared at {declared}]"),
    ],
)  # fmt: skip
def test_spellings_of_the_javascript_engines(guest: Guests, line: str, expected: str) -> None:
    path = guest("inlined", "-O2")
    debug = debug_of(path)
    (report,) = debug.find_functions("report")
    (pc,) = pcs_of(path, "i32.div_s", "report")
    frames = debug.source_frames(pc)
    line = line.format(f=report, pc=hex(pc))
    lines = [
        expected.format(name=frame.name, place=frame.location.exact, declared=debug.function_location(report))
        for frame in frames
        if frame.location is not None
    ]
    assert symbolized(path, line) == "\n".join(lines if "@[" not in expected else lines[:1])
    assert symbolized(path, f"before\n{line}\nafter\n") == "\n".join(
        ["before", *(lines if "@[" not in expected else lines[:1]), "after\n"]
    )


def test_without_debug_information_a_frame_gets_the_name_and_keeps_its_place(guest: Guests) -> None:
    path = guest("inlined", "-O2", "-g0")
    (report,) = debug_of(path).find_functions("report")
    start = debug_of(path).module.functions[report].code.start
    place = f"wasm://wasm/003aac9e:wasm-function[{report}]:{start:#x}"
    assert symbolized(path, f"    at {place}") == f"    at report ({place})"
    assert symbolized(path, f"@http://h/{place}") == f"report@http://h/{place}"
    assert symbolized(path, f"wasm-function[{report}]@[wasm code]") == "report@[wasm code]"


# --- what is no frame of the module ------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "    at report (wasm://wasm/003aac9e:wasm-function[1]:{pc})",  # another module's
        "    at report (wasm://wasm/003aac9e:wasm-function[{f}]:0x1)",
        "    at report (wasm://wasm/003aac9e:wasm-function[{f}]:{pc}",
        "    at wasm-function[{f}]",
        "    at wasm://wasm/003aac9e:wasm-function[99999999999999999999]:{pc}",
        "    0:    {pc} - prog.wasm!<wasm function 1>",
        "    0:    0xffffffffffffffff - prog.wasm!report",
        "    0:    {pc} - no module",
        "    0:    {pc}",
        "<?>.wasm-function[99999]@[wasm code]",
        "<?>.wasm-function[nosuch]@[wasm code]",
        "<?>.wasm-function[²]@[wasm code]",
        "f@http://localhost/prog.js:3:5",
        "x" * MAX_LINE + " 0: {pc} - prog.wasm!report",
        "",
    ],
)
def test_what_names_no_place_in_the_module_stays(guest: Guests, line: str) -> None:
    path = guest("inlined", "-O2")
    (report,) = debug_of(path).find_functions("report")
    (pc,) = pcs_of(path, "i32.div_s", "report")
    text = line.format(f=report, pc=hex(pc))
    assert symbolized(path, text) == text
    assert symbolized(path, text + "\r\n") == text + "\r\n"


PIECES = st.sampled_from(
    [" 0: ", "0x6", "0x61d", " - ", "m!f", "    at ", "async ", "(", ")", "wasm-function[", "16", "1", "]",
     ":", "@", "[wasm code]", "<wasm function ", ">", "\n", "\r\n", "\x0b", "*", "/a.c:3:4", "<?>.", "\ud800"]
)  # fmt: skip


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_is_taken_and_what_was_rewritten_stays(guest: Guests, text: str) -> None:
    path = guest("inlined", "-O2")
    once = symbolized(path, text)
    assert symbolized(path, once) == once


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_characters="[!")))
def test_text_without_frames_passes_through(guest: Guests, text: str) -> None:
    assert symbolized(guest("inlined", "-O2"), text) == text


def test_json_of_a_crash_report_passes_through(guest: Guests) -> None:
    report = json.dumps({"at": "wasm", "stack": ["a@[wasm code]"]}, indent=2)
    assert symbolized(guest("inlined", "-O2"), report) == report
