"""The commands that tell about a module without running it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import golden
from tests.cli.conftest import Ran
from tests.support import GUESTS, Guests
from ttd.debuginfo import DebugInfo
from ttd.wasm.decode import decode

Ttd = Callable[..., Ran]
Program = Callable[[str], str]


def division(path: Path) -> tuple[int, int]:
    """Function and pc of the division in the guest inlined.c, and what DWARF's addresses count from."""
    debug = DebugInfo(decode(path.read_bytes()))
    (report,) = debug.find_functions("report")
    body = debug.module.functions[report].code
    (pc,) = [i.offset for i in body.instructions if i.op.mnemonic == "i32.div_s"]
    return report, pc


# --- addr2line ---------------------------------------------------------------------------------------


def test_addr2line_tells_inlined_functions_too(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    name = program("inlined")
    _, pc = division(tmp_path / name)
    ran = ttd("addr2line", name, hex(pc), f"{pc:X}", "5")
    assert ran.code == 0
    golden.check("addr2line.txt", ran.out, guests=str(GUESTS))


def test_addr2line_reads_addresses_from_standard_input(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    name = program("inlined")
    _, pc = division(tmp_path / name)
    typed = ttd("addr2line", name, "--json", input=f"{pc:x}\n 0x5\n\n")
    assert typed.out == ttd("addr2line", name, "--json", hex(pc), "5").out
    here, outside = json.loads(typed.out)
    assert [frame["function"] for frame in here["frames"]] == ["ratio", "average", "report"]
    assert [frame["inlined"] for frame in here["frames"]] == [True, True, False]
    assert outside == {"address": 5, "frames": []}


def test_addr2line_takes_the_addresses_of_dwarf(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    name = program("inlined")
    report, pc = division(tmp_path / name)
    module = decode((tmp_path / name).read_bytes())
    absolute = ttd("addr2line", name, hex(pc)).out.partition(" ")[2]
    relative = ttd("addr2line", name, "--code-relative", hex(pc - module.code_offset)).out.partition(" ")[2]
    assert absolute == relative
    head = module.functions[report].code.start - module.code_offset - 1  # where its locals are declared
    assert ": report at " in ttd("addr2line", name, "--code-relative", hex(head)).out


def test_addr2line_knows_names_where_there_are_no_lines(ttd: Ttd, program: Program, tmp_path: Path) -> None:
    module = decode((tmp_path / program("numbers")).read_bytes())
    start = module.functions[0].code.start
    assert ttd("addr2line", "numbers.wasm", hex(start)).out == f"{start:#08x}: gcd at ??:0\n"


@pytest.mark.parametrize("address", ["main", "0x", "-1", "0x11112222333344445", "1.5"])
def test_addr2line_refuses_what_is_no_address(ttd: Ttd, program: Program, address: str) -> None:
    ran = ttd("addr2line", program("numbers"), "--", address)
    assert (ran.code, ran.error) == (
        2, f"{address!r} is no address; write it in hexadecimal, as in 0x2f5",
    )  # fmt: skip


# --- symbols -----------------------------------------------------------------------------------------


def test_symbols_lists_functions_and_data(ttd: Ttd, program: Program) -> None:
    name = program("structs")
    listed = json.loads(ttd("symbols", name, "--json").out)
    assert {row["kind"] for row in listed} == {"function", "data"}
    places = [(row["kind"], row["address"]) for row in listed]
    assert places == sorted(places)
    lines = ttd("symbols", name).out.splitlines()
    assert lines[0].split() == ["ADDRESS", "SIZE", "KIND", "UNIT", "NAME"]
    cells = [line.split(maxsplit=4) for line in lines[1:]]
    shown = [(int(cell[0], 16), int(cell[1]), cell[4]) for cell in cells]
    assert shown == [(row["address"], row["size"], row["name"]) for row in listed]


def test_symbols_can_be_sorted_and_chosen(ttd: Ttd, program: Program) -> None:
    name = program("structs")
    listed = json.loads(ttd("symbols", name, "--json", "--sort", "size", "--kind", "function").out)
    sizes = [row["size"] for row in listed]
    assert sizes == sorted(sizes, reverse=True) and {row["kind"] for row in listed} == {"function"}
    names = [
        row["name"] for row in json.loads(ttd("symbols", name, "--json", "-s", "name", "-k", "data").out)
    ]
    assert names == sorted(names) and "banner" in names and "main" not in names


def test_symbols_add_up_by_unit(ttd: Ttd, program: Program) -> None:
    name = program("structs")
    listed = json.loads(ttd("symbols", name, "--json").out)
    units = json.loads(ttd("symbols", name, "--by-unit", "--json").out)
    (own,) = [row for row in units if row["unit"] == "structs.c"]
    for kind, count, total in (("function", "functions", "code"), ("data", "objects", "data")):
        rows = [row for row in listed if row["unit"] == "structs.c" and row["kind"] == kind]
        assert (own[count], own[total]) == (len(rows), sum(row["size"] for row in rows))
    table = ttd("symbols", name, "-u").out.splitlines()
    assert table[0].split() == ["FUNCTIONS", "CODE", "OBJECTS", "DATA", "UNIT"]
    assert len(table) == len(units) + 1


def test_symbols_of_a_module_without_names(ttd: Ttd, program: Program) -> None:
    (line,) = ttd("symbols", program("endless")).out.splitlines()[1:]
    assert line.split()[2:] == ["function", "-", "_start"]


# --- info --------------------------------------------------------------------------------------------


def test_info_knows_a_module_from_a_recording(ttd: Ttd, program: Program) -> None:
    golden.check("info_module.txt", ttd("info", program("endless")).out)
    golden.check("info_module.json", ttd("info", "--json", "endless.wasm").out)


def test_info_tells_about_debug_information(ttd: Ttd, program: Program) -> None:
    out = ttd("info", program("inlined")).out
    assert "debug information  DWARF " in out and " compile units (" in out
    told = json.loads(ttd("info", "--json", "inlined.wasm").out)
    assert "C11" in told["dwarf"]["languages"]
    assert [section["name"] for section in told["sections"] if section["id"] == 10] == ["code"]


@pytest.mark.parametrize("command", ["info", "dis"])
def test_damaged_code_is_told_in_one_line(ttd: Ttd, program: Program, tmp_path: Path, command: str) -> None:
    path = tmp_path / program("numbers")
    data = bytearray(path.read_bytes())
    data[decode(bytes(data)).functions[0].code.start] = 0xFF
    path.write_bytes(data)
    assert ttd(command, path.name).error.startswith("numbers.wasm: illegal opcode 0xff")


# --- dis ---------------------------------------------------------------------------------------------


def test_dis_tells_the_source_lines_between_the_instructions(ttd: Ttd, program: Program) -> None:
    golden.check("dis_source.txt", ttd("dis", program("inlined"), "report").out)
    bare = ttd("dis", "inlined.wasm", "report", "--no-source").out.splitlines()
    assert bare == [
        line for line in ttd("dis", "inlined.wasm", "report").out.splitlines() if line[:2] != ";;"
    ]


def test_dis_takes_the_sources_of_a_recording(
    ttd: Ttd, program: Program, guest: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    ttd("record", "-q", "-o", "run.trace", program("hello"))
    monkeypatch.setattr("ttd.debuginfo.sourcefile.read_source", lambda path: None)
    line = f";; hello.c:{guest.line('hello', 'print')}"
    assert f'{line}  printf("hello from' in ttd("dis", "run.trace", "main").out
    assert f"{line}\n" in ttd("dis", "hello.wasm", "main").out


def test_dis_in_json_has_what_the_text_has(ttd: Ttd, program: Program) -> None:
    (function,) = json.loads(ttd("dis", program("inlined"), "report", "--json").out)
    head, *lines = ttd("dis", "inlined.wasm", "report", "--no-source").out.splitlines()
    assert (function["name"], function["text"]) == ("report", head)
    shown = [line.partition("  ;; ") for line in lines]
    assert [(f"{i['offset']:#08x}", i["text"], i["comment"] or "") for i in function["instructions"]] == [
        (text.split()[0], text.split(maxsplit=1)[1], comment) for text, _, comment in shown
    ]
    depths = {len(instruction["source"]) for instruction in function["instructions"]}
    assert depths == {1, 2, 3}
    listed = json.loads(ttd("dis", "inlined.wasm", "--list", "--json").out)
    assert len(listed) > 10 and not any(function["instructions"] for function in listed)


# --- symbolize ---------------------------------------------------------------------------------------


def test_symbolize_rewrites_what_comes_from_standard_input(
    ttd: Ttd, program: Program, tmp_path: Path, guest: Guests
) -> None:
    name = program("inlined")
    report, pc = division(tmp_path / name)
    text = f"RuntimeError: divide by zero\n    at report (wasm://wasm/1:wasm-function[{report}]:{pc:#x})\n"
    ran = ttd("symbolize", name, input=text)
    (tmp_path / "crash.txt").write_text(text)
    assert ttd("symbolize", name, "crash.txt").out == ran.out
    lines = ran.out.splitlines()
    assert lines[0] == "RuntimeError: divide by zero"
    assert lines[1].startswith(f"    at ratio ({guest.source('inlined')}:{guest.line('inlined', 'ratio')}:")
    assert [line.split()[1] for line in lines[1:]] == ["ratio", "average", "report"]


def test_symbolize_passes_bytes_through_that_are_no_text(ttd: Ttd, program: Program) -> None:
    text = "caf\udce9 \x1b[31m\r\n\udcff\udcfe no newline"
    assert (
        ttd("symbolize", program("numbers"), input=text).out.encode()
        == text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
    )


@pytest.mark.parametrize(
    "arguments", [["addr2line", "inlined.wasm", "{pc}"], ["symbolize", "inlined.wasm", "crash.txt"],
                  ["symbols", "inlined.wasm"], ["dis", "inlined.wasm", "{f}"]]
)  # fmt: skip
def test_damaged_debug_information_is_pointed_out(
    ttd: Ttd, program: Program, tmp_path: Path, arguments: list[str]
) -> None:
    path = tmp_path / program("inlined")
    function, pc = division(path)
    (tmp_path / "crash.txt").write_text(f"  0: {pc:#x} - inlined.wasm!report\n")
    arguments = [argument.format(f=function, pc=hex(pc)) for argument in arguments]
    assert ttd(*arguments).err == ""
    data = bytearray(path.read_bytes())
    section = decode(bytes(data)).custom(".debug_abbrev")
    assert section is not None
    data[section.offset : section.offset + len(section.data)] = bytes(len(section.data))
    path.write_bytes(data)
    ran = ttd(*arguments)
    assert ran.code == 0 and ran.out
    assert ran.error.startswith("some debug information is damaged or missing: ")


@pytest.mark.parametrize("command", ["addr2line", "symbolize", "symbols"])
def test_what_is_no_module_is_told_in_one_line(ttd: Ttd, tmp_path: Path, command: str) -> None:
    (tmp_path / "text.wasm").write_text("no module")
    assert ttd(command, "text.wasm").error.startswith("text.wasm: ")
    assert ttd(command, "nosuch.wasm").error == "no such file: nosuch.wasm"
    assert ttd(command).code == 2
