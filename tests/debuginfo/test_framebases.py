"""The quick way to the frame bases finds what the thorough one finds, and survives damage."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.debuginfo.framebases import always_live, frame_bases
from ttd.engine.validate import load_module
from ttd.replayer import session
from ttd.wasm.model import Module


@pytest.fixture(scope="module", params=["-O0", "-O2", "-gdwarf-5"])
def module(guest: Guests, request: pytest.FixtureRequest) -> Module:
    return load_module(guest("structs", request.param).read_bytes())


def thorough(module: Module) -> dict[int, int]:
    """The same by pyelftools."""
    found = {}
    units = DebugInfo(module)._units
    assert units is not None
    for unit in units.all:
        for function, entry in unit.index.functions.items():
            attribute = entry.die.attributes.get("DW_AT_frame_base")
            if attribute is not None and list(attribute.value[:2]) == [0xED, 0]:
                assert attribute.value[3:] in ([0x9F], [])
                found[function] = 1 << attribute.value[2]
    return found


def test_all_frame_bases_are_found(module: Module) -> None:
    found = frame_bases(module)
    assert found == thorough(module)
    assert len(found) > 5


def test_functions_without_one_have_an_empty_mask(module: Module) -> None:
    mask = always_live(module)
    found = frame_bases(module)
    assert [mask(function.index) for function in module.functions] == [
        found.get(function.index, 0) for function in module.functions
    ]


def test_damage_only_loses_what_is_damaged(module: Module) -> None:
    generator = random.Random(1)
    for name in (".debug_info", ".debug_abbrev", ".debug_addr"):
        for _ in range(20):
            frame_bases(_damaged(module, name, generator))


def _damaged(module: Module, name: str, generator: random.Random) -> Module:
    def change(data: bytes) -> bytes:
        if not data:
            return data
        cut = generator.randrange(len(data)) if generator.random() < 0.3 else len(data)
        noisy = bytearray(data[:cut])
        for _ in range(min(generator.randrange(1, 20), len(noisy))):
            noisy[generator.randrange(len(noisy))] = generator.randrange(256)
        return bytes(noisy)

    customs = tuple(
        section._replace(data=change(section.data)) if section.name == name else section
        for section in module.customs
    )
    return replace(module, customs=customs)


def test_a_module_without_debug_information_has_none(module: Module) -> None:
    assert frame_bases(replace(module, customs=())) == {}


def test_a_replay_remembers_them(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(session.remembered_bases(module))
    assert found == dict(frame_bases(module)) != {}
    monkeypatch.setattr(session, "frame_bases", lambda module: {})
    assert session.remembered_bases(module) == found
