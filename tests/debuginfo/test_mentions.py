"""The units that have a name: none is missed, and those without it need not be read."""

from __future__ import annotations

import random

import pytest

from tests.debuginfo.program import load
from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.lines import FunctionMap
from ttd.debuginfo.mentions import Mentions
from ttd.debuginfo.sections import Problems, open_dwarf
from ttd.debuginfo.units import Units, qualified_name


@pytest.mark.parametrize("flags", [("tour", "-gdwarf-4"), ("twins", "-gdwarf-5"), ("rust",)], ids=" ".join)
def test_every_name_is_found_in_the_units_that_have_it(guest: Guests, flags: tuple[str, ...]) -> None:
    module = load(guest(*flags))
    dwarf = open_dwarf(module)
    assert dwarf is not None
    units = Units(dwarf, FunctionMap(module), Problems())
    mentions = Mentions(module, units.all)
    named = [
        (unit, qualified_name(entry))
        for unit in units.all
        if "zigc" not in unit.name  # the C library, with thousands
        for entry in unit.index.entries.values()
        if "DW_AT_name" in entry.die.attributes and entry.parent is not None
    ]
    assert len(named) > 50
    for unit, name in random.Random(1).sample(named, 50):
        assert unit in mentions.units_with(name), name


def test_units_without_it_are_not_read(guest: Guests) -> None:
    debug = DebugInfo(load(guest("tour")))
    assert debug.find_type("struct node") is not None
    assert debug.find_global("sightings") is not None
    assert debug.find_functions("nosuch") == [] and debug.find_type("struct nosuch") is None
    read = [unit.name for unit in debug._all_units if "index" in unit.__dict__]
    assert "tour.c" in read and len(read) < len(debug._all_units) / 4
