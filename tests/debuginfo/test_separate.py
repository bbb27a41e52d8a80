"""Debug information that is kept apart from the code is found, checked, and as good as the module's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.debuginfo.program import load
from tests.debuginfo.splitting import HEADER, custom, only_debug, sized, stripped
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.separate import build_id, debug_sections, find_debug_info, join, rejoin
from ttd.errors import UsageError
from ttd.wasm.decode import decode
from ttd.wasm.model import Module

PADDING = custom("padding", b"x" * 300)
"""Moves the code of a stripped module to other offsets than it has in the module with debug information."""


@pytest.fixture(scope="module", params=["-gdwarf-4", "-gdwarf-5"])
def whole(guest: Guests, request: pytest.FixtureRequest) -> bytes:
    return guest("structs", "-O1", request.param).read_bytes()


def knowledge(module: Module) -> list[object]:
    """All that a debugger shows of lines and variables, by offsets that do not depend on the file."""
    debug = DebugInfo(module)
    found: list[object] = []
    for function in module.functions:
        starts = sorted(debug.line_starts(function.index)) if function.body is not None else []
        if starts:
            base = module.code_offset
            found.append((debug.function_name(function.index), [pc - base for pc in starts]))
            found += [debug.source_frames(pc) for pc in starts]
            found += [[(v.name, v.type.name) for v in debug.variables(function.index, pc)] for pc in starts]
    return found


@pytest.mark.parametrize("file", [bytes, only_debug], ids=["whole", "sections only"])
def test_it_is_as_good_as_the_modules_own(whole: bytes, file: Callable[[bytes], bytes]) -> None:
    bare = decode(stripped(whole, PADDING))
    assert bare.code_offset != decode(whole).code_offset
    joined = join(bare, file(whole), Path("debug.wasm"))
    assert joined.note == ""
    assert knowledge(joined.module) == knowledge(decode(whole))
    assert knowledge(joined.module) != knowledge(bare)


def test_what_is_kept_of_it_is_as_good_again(whole: bytes) -> None:
    bare = decode(stripped(whole))
    joined = join(bare, whole, Path("debug.wasm")).module
    kept = debug_sections(joined)
    assert decode(kept).functions == ()
    again = rejoin(bare, kept)
    assert (again.apart, knowledge(again)) == (joined.apart, knowledge(joined))


def test_names_of_the_program_itself_come_first(whole: bytes) -> None:
    (names,) = [s for s in decode(whole).customs if s.name == "name"]
    mine = names.data.replace(b"by_weight", b"by_height")
    joined = join(decode(stripped(whole, custom("name", mine))), whole, Path("debug.wasm"))
    assert DebugInfo(joined.module).functions_by_symbol("by_height")


# --- whether it belongs to the program ---------------------------------------------------------------


def with_id(data: bytes, identity: bytes) -> bytes:
    return data + custom("build_id", sized(identity))


def test_equal_build_ids_belong_together(whole: bytes) -> None:
    bare = decode(with_id(stripped(whole), b"\1\2\3"))
    assert build_id(bare) == b"\1\2\3"
    assert join(bare, only_debug(with_id(whole, b"")) + custom("build_id", sized(b"\1\2\3")), Path("d")).file


def refusal(module: bytes, debug: bytes) -> str:
    with pytest.raises(UsageError) as caught:
        join(decode(module), debug, Path("other.debug.wasm"))
    message = str(caught.value)
    assert message.startswith("other.debug.wasm ")
    assert "\n" not in message
    return message.removeprefix("other.debug.wasm ")


def test_another_build_id_is_refused(whole: bytes) -> None:
    assert refusal(with_id(stripped(whole), b"\1\2"), with_id(whole, b"\xab\xcd")) == (
        "is not the debug information of this program: its build id is abcd, that of the program 0102; "
        "use the file that was made together with it"
    )


def test_other_code_is_refused_even_under_the_same_build_id(whole: bytes, guest: Guests) -> None:
    other = with_id(guest("structs", "-O0").read_bytes(), b"\1")
    assert "functions, the program " in refusal(with_id(stripped(whole), b"\1"), other)
    body = decode(whole).functions[-1].code
    changed = bytearray(whole)
    changed[body.start] ^= 1
    number = sum(function.body is not None for function in decode(whole).functions) - 1
    assert f": the code of its function {number} differs;" in refusal(stripped(whole), bytes(changed))


def test_a_layout_that_does_not_fit_is_refused(whole: bytes, guest: Guests) -> None:
    for name, level in (("structs", "-O0"), ("calls", "-O1")):
        other = only_debug(guest(name, level).read_bytes())
        assert ": the functions that it describes lie elsewhere;" in refusal(stripped(whole), other)


@pytest.mark.parametrize(
    ("debug", "reason"),
    [
        (b"\x7fELF\2\1\1", "is an ELF file, perhaps split DWARF (.dwo), which ttd does not read"),
        (HEADER + custom(".debug_info.dwo", b"x"), "is split DWARF (.dwo), which ttd does not read"),
        (HEADER, "holds no debug information"),
    ],
)  # fmt: skip
def test_what_holds_none_is_refused(whole: bytes, debug: bytes, reason: str) -> None:
    assert refusal(stripped(whole), debug).startswith(reason)


def test_what_is_no_module_is_refused(whole: bytes) -> None:
    with pytest.raises(UsageError, match=r"^text\.txt: .*; name a \.wasm file with debug information$"):
        join(decode(stripped(whole)), b"some text", Path("text.txt"))


def test_split_dwarf_is_told_by_name(guest: Guests) -> None:
    data = guest("hello").read_bytes()
    module = decode(data)
    assert not DebugInfo(module).problems
    # A skeleton unit: DWARF 4 with DW_AT_GNU_dwo_name (0x2130) as a string.
    abbreviations = bytes([1, 0x11, 0, 0x03, 0x08, 0xB0, 0x42, 0x08, 0, 0, 0])
    entry = b"\1main.c\0main.dwo\0"
    unit = (4).to_bytes(2, "little") + bytes(4) + b"\4" + entry
    info = len(unit).to_bytes(4, "little") + unit
    skeleton = stripped(data) + custom(".debug_abbrev", abbreviations) + custom(".debug_info", info)
    debug = DebugInfo(decode(skeleton))
    assert debug.compile_units()[0].name == "main.c"
    assert list(debug.problems) == [
        "the debug information of main.c is in main.dwo (split DWARF), which ttd does not read; "
        "build without -gsplit-dwarf"
    ]


# --- where it is looked for --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prog.debug.wasm", "prog.wasm.debug.wasm"])
def test_it_is_found_beside_the_module(whole: bytes, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(whole)
    joined = find_debug_info(decode(stripped(whole)), tmp_path / "prog.wasm")
    assert (joined.file, joined.note) == (tmp_path / name, "")
    assert DebugInfo(joined.module).has_dwarf


@pytest.mark.parametrize("link", ["sub/the%20info.wasm", "file://{folder}/sub/the%20info.wasm"])
def test_the_module_says_where_it_is(whole: bytes, tmp_path: Path, link: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "the info.wasm").write_bytes(whole)
    where = custom("external_debug_info", sized(link.format(folder=tmp_path).encode()))
    joined = find_debug_info(decode(stripped(whole, where)), tmp_path / "prog.wasm")
    assert joined.file is not None
    assert DebugInfo(joined.module).has_dwarf


def test_what_is_not_there_is_told(whole: bytes, tmp_path: Path) -> None:
    where = custom("external_debug_info", sized(b"https://example.org/prog.debug.wasm"))
    joined = find_debug_info(decode(stripped(whole, where)), tmp_path / "prog.wasm")
    assert (joined.file, joined.note) == (
        None,
        "the debug information is not here, but kept at 'https://example.org/prog.debug.wasm'; "
        "name it with --debug-info FILE",
    )
    assert find_debug_info(decode(stripped(whole)), tmp_path / "prog.wasm").note == ""


def test_what_does_not_fit_is_not_used_but_told(whole: bytes, guest: Guests, tmp_path: Path) -> None:
    (tmp_path / "prog.debug.wasm").write_bytes(guest("structs", "-O0").read_bytes())
    joined = find_debug_info(decode(stripped(whole)), tmp_path / "prog.wasm")
    assert joined.file is None
    assert joined.note.startswith("no debug information: ")
    with pytest.raises(UsageError, match="is not the debug information of this program"):
        find_debug_info(decode(stripped(whole)), tmp_path / "prog.wasm", tmp_path / "prog.debug.wasm")


def test_a_module_with_its_own_looks_nowhere(guest: Guests) -> None:
    module = load(guest("hello"))
    assert find_debug_info(module, guest("hello")).module is module
