"""The quick ways through .debug_abbrev and .debug_info find what pyelftools finds."""

from __future__ import annotations

import contextlib

import pytest
from elftools.dwarf.abbrevtable import AbbrevTable

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo.entries import walk
from ttd.debuginfo.sections import open_dwarf


@pytest.mark.parametrize("name", ["structs", "containers"])
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
def test_they_agree_with_pyelftools(guest: Guests, name: str, dwarf: str) -> None:
    module = load(guest(name, "-O1", dwarf))
    section, info = module.custom(".debug_info"), open_dwarf(module)
    assert section is not None
    assert info is not None
    assert info.debug_abbrev_sec is not None
    for unit in info.iter_CUs():
        quick = info.get_abbrev_table(unit["debug_abbrev_offset"])
        slow = AbbrevTable(info.structs, info.debug_abbrev_sec.stream, unit["debug_abbrev_offset"])
        assert quick._abbrev_map.keys() == slow._abbrev_map.keys()
        for code, declared in slow._abbrev_map.items():
            assert quick.get_abbrev(code)["tag"] == declared["tag"]
            assert quick.get_abbrev(code).has_children() == declared.has_children()
            specs = zip(quick.get_abbrev(code)["attr_spec"], declared["attr_spec"], strict=True)
            assert all((one.name, one.form, one.value) == (other.name, other.form, other.value)
                       for one, other in specs)  # fmt: skip
        if unit["version"] == int(dwarf[-1]) and unit.size < 200_000:
            found = [(e.offset, e.tag, e.has_children, e.attributes) for e in walk(unit, section.data)]
            assert found == [
                (die.offset, die.tag or "", bool(die.has_children), frozenset(die.attributes))
                for die in unit.iter_DIEs()
            ]


@pytest.mark.parametrize("size", [0, 1, 60])
def test_what_is_cut_off_ends_after_what_is_there(guest: Guests, size: int) -> None:
    module = load(guest("structs", "-O1"))
    section, info = module.custom(".debug_info"), open_dwarf(module)
    assert section is not None
    assert info is not None
    unit = next(info.iter_CUs())
    whole = list(walk(unit, section.data))
    cut: list[object] = []
    with contextlib.suppress(IndexError):
        cut.extend(walk(unit, section.data[: unit.cu_die_offset + size]))
    assert cut == whole[: len(cut)]
    assert len(cut) < len(whole)
