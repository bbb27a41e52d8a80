"""The cache of compiled programs: what it keeps, what it refuses to believe, and what it forgets."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from tests.support import ROOT
from ttd.engine.builds import Compiled, new_engine
from ttd.engine.cache import Cache, CacheUnusable, open_user_cache, program_key, user_cache
from ttd.instrument.program import Instrumented
from ttd.wasm.decode import decode

KEY = program_key(b"one")
OTHER = program_key(b"two")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def opened(folder: Path, tmp_path: Path) -> Callable[..., Cache]:
    """Opens the cache of the test; `state` names the directory of the secret."""

    def open_(state: str = "state", limit: int = 1 << 20) -> Cache:
        return Cache(folder, tmp_path / state, limit)

    return open_


@pytest.fixture
def cache(opened: Callable[..., Cache]) -> Cache:
    return opened()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- keeping --------------------------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was_put_also_in_a_later_session(opened: Callable[..., Cache]) -> None:
    cache = opened()
    for data in (b"", b"x", os.urandom(100_000)):
        cache.put(KEY, "main", data)
        assert cache.get(KEY, "main") == data
        assert opened().get(KEY, "main") == data


def test_there_is_nothing_under_other_names(cache: Cache) -> None:
    cache.put(KEY, "main", b"data")
    assert cache.get(KEY, "facts") is None
    assert cache.get(OTHER, "main") is None


def test_the_key_tells_modules_and_variants_apart() -> None:
    keys = {program_key(b"one"), program_key(b"two"), program_key(b"one", "watching")}
    assert len(keys) == 3
    assert program_key(b"one") == KEY


def test_directories_and_files_are_for_the_user_only(cache: Cache, folder: Path, tmp_path: Path) -> None:
    cache.put(KEY, "main", b"data")
    paths = (folder, tmp_path / "state", *folder.iterdir(), tmp_path / "state" / "cache.key")
    assert [path.stat().st_mode & 0o077 for path in paths] == [0] * 4


# --- not believing --------------------------------------------------------------------------------------


def entry(folder: Path, key: str = KEY, part: str = "main") -> Path:
    return folder / f"{key}.{part}"


def test_damage_anywhere_is_a_miss(cache: Cache, folder: Path) -> None:
    cache.put(KEY, "main", b"some data that is long enough")
    path = entry(folder)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.get(KEY, "main") is None
        path.write_bytes(whole[:place])
        assert cache.get(KEY, "main") is None
    path.write_bytes(whole + b"\0")
    assert cache.get(KEY, "main") is None
    path.write_bytes(whole)
    assert cache.get(KEY, "main") is not None


def test_an_entry_is_not_believed_under_another_name(cache: Cache, folder: Path) -> None:
    cache.put(KEY, "main", b"data")
    entry(folder).rename(entry(folder, OTHER))
    assert cache.get(OTHER, "main") is None
    entry(folder, OTHER).rename(entry(folder, KEY, "facts"))
    assert cache.get(KEY, "facts") is None


def test_an_entry_of_another_user_or_machine_is_not_believed(opened: Callable[..., Cache]) -> None:
    opened("elsewhere").put(KEY, "main", b"evil")
    cache = opened()
    assert cache.get(KEY, "main") is None
    cache.put(KEY, "main", b"good")
    assert cache.get(KEY, "main") == b"good"


def test_a_file_that_others_can_write_is_not_read(cache: Cache, folder: Path) -> None:
    cache.put(KEY, "main", b"data")
    entry(folder).chmod(0o620)
    assert cache.get(KEY, "main") is None


def test_links_and_pipes_are_not_followed(cache: Cache, folder: Path, tmp_path: Path) -> None:
    cache.put(KEY, "main", b"data")
    entry(folder).rename(tmp_path / "elsewhere")
    entry(folder).symlink_to(tmp_path / "elsewhere")
    assert cache.get(KEY, "main") is None
    entry(folder).unlink()
    os.mkfifo(entry(folder), 0o600)
    assert cache.get(KEY, "main") is None


def test_a_directory_that_others_can_write_is_no_cache(
    cache: Cache, opened: Callable[..., Cache], folder: Path
) -> None:
    cache.put(KEY, "main", b"data")
    folder.chmod(0o770)
    assert cache.get(KEY, "main") is None
    cache.put(OTHER, "main", b"data")
    assert not entry(folder, OTHER).exists()
    with pytest.raises(CacheUnusable, match="writable to you only"):
        opened()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_not_believed(
    cache: Cache, opened: Callable[..., Cache], folder: Path
) -> None:
    cache.put(KEY, "main", b"data")
    os.chown(entry(folder), 12345, -1)
    assert cache.get(KEY, "main") is None
    os.chown(folder, 12345, -1)
    with pytest.raises(CacheUnusable):
        opened()


@pytest.mark.parametrize("spoil", [lambda p: p.chmod(0o644), lambda p: p.write_bytes(b"short")])
def test_a_secret_that_is_none_is_replaced(
    spoil: Callable[[Path], object], cache: Cache, opened: Callable[..., Cache], tmp_path: Path
) -> None:
    cache.put(KEY, "main", b"data")
    secret = tmp_path / "state" / "cache.key"
    old = secret.read_bytes()
    spoil(secret)
    again = opened()
    assert secret.read_bytes() != old and secret.stat().st_mode & 0o077 == 0
    assert again.get(KEY, "main") is None


# --- never in the way -----------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_written_is_silent(cache: Cache, folder: Path) -> None:
    folder.rmdir()
    folder.write_text("not a directory")
    cache.put(KEY, "main", b"data")
    assert cache.get(KEY, "main") is None


def test_there_is_none_where_none_is_wanted_or_possible(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TTD_CACHE_DIR", "")
    assert user_cache() is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TTD_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert user_cache() is None


def test_it_lies_where_the_xdg_specification_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TTD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    assert open_user_cache().directory == tmp_path / "c" / "ttd"
    assert (tmp_path / "s" / "ttd" / "cache.key").is_file()
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in open_user_cache().directory.parents


HAMMER = """
import os, random, sys
from pathlib import Path
from ttd.engine.cache import Cache
cache = Cache(Path(sys.argv[1]), Path(sys.argv[2]), 200_000)
right = 0
for turn in range(300):
    number = random.randrange(40)
    key = f"{number:064x}-{number:032x}"
    data = bytes([number]) * 3000 + random.Random(number).randbytes(20_000)
    found = cache.get(key, "main")
    assert found is None or found == data
    right += found is not None
    cache.put(key, "main", data)
    if turn % 100 == 50:
        cache.clear()
assert right
"""


def test_processes_share_it_without_getting_in_each_others_way(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HAMMER, str(folder), str(tmp_path / "state")]
    Cache(folder, tmp_path / "state")  # the secret; see `_secret` about making it at the same time
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert not [name for name in names(folder) if name.startswith(".unfinished")]


# --- forgetting -----------------------------------------------------------------------------------------


def numbered(number: int) -> str:
    return program_key(str(number).encode())


def test_it_stays_below_its_limit_and_keeps_what_was_used_last(
    opened: Callable[..., Cache], folder: Path
) -> None:
    cache = opened(limit=100_000)
    for number in range(30):
        cache.put(numbered(number), "main", os.urandom(10_000))
        cache.put(numbered(number), "thaw-0-0", os.urandom(1000))
        past = time.time() - 1000 + number
        os.utime(entry(folder, numbered(number)), (past, past))
        os.utime(entry(folder, numbered(number), "thaw-0-0"), (past, past))
        assert cache.get(numbered(0), "main") is not None  # used again and again
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 100_000 + 12_000
    kept = {program.key for program in cache.programs()}
    assert numbered(0) in kept and numbered(29) in kept and numbered(1) not in kept
    assert all(program.entries == 2 for program in cache.programs())


def test_what_alone_would_fill_it_is_not_kept(opened: Callable[..., Cache]) -> None:
    cache = opened(limit=1000)
    cache.put(KEY, "main", os.urandom(2000))
    assert cache.get(KEY, "main") is None


def test_files_of_killed_processes_go_after_a_while(opened: Callable[..., Cache], folder: Path) -> None:
    cache = opened(limit=1600)
    old, young = folder / ".unfinished-0123456789abcdef", folder / ".unfinished-fedcba9876543210"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache.put(KEY, "main", bytes(150))  # more than a sixteenth of the limit
    assert young.exists() and not old.exists()


def test_processes_that_put_little_seldom_sweep(
    opened: Callable[..., Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps: list[int] = []
    monkeypatch.setattr("ttd.engine.cache._sweep", lambda _, limit: sweeps.append(limit))
    monkeypatch.setattr("ttd.engine.cache.random.randrange", random.Random(1).randrange)
    size = len(b"data") + 32
    for _ in range(1000):
        opened(limit=16 * 10 * size).put(KEY, "main", b"data")
    assert 50 < len(sweeps) < 150  # a tenth of what makes a sweep due, each


def test_clearing_removes_its_own_files_only(cache: Cache, folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    cache.put(KEY, "main", b"data")
    cache.put(OTHER, "enter-3-1", b"data")
    size = sum(path.stat().st_size for path in folder.iterdir()) - 4
    assert cache.clear() == size
    assert names(folder) == {"notes.txt"}
    assert cache.programs() == []


# --- compiled programs ----------------------------------------------------------------------------------

SOURCE = """(module
  (func $f (param i32) (result i32) (loop (result i32)
    (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
    (br_if 0 (i32.gt_s (local.get 0) (i32.const 0)))
    (local.get 0)))
  (func (export "main") (result i32) (call $f (i32.const 5))))"""


def compile_all(cache: Cache | None) -> Compiled:
    """The program, and every continuation of it."""
    compiled = Compiled(new_engine(), Instrumented(decode(bytes(wasmtime.wat2wasm(SOURCE)))), cache)
    for plan in compiled.instrumented.plans.values():
        compiled.enter(plan.function.index)
        for site in plan.sites:
            compiled.thaw(site)
    return compiled


def patch_all(cache: Cache) -> list[wasmtime.Module]:
    """Patches of its functions, with places and without."""
    build = Instrumented(decode(bytes(wasmtime.wat2wasm(SOURCE)))).with_probes(watching=False)
    compiled = Compiled(new_engine(), build, cache)
    found = []
    for function in build.own():
        rests = function.code.rests
        for places in ([], rests[:1], rests[1:]):
            found.append(compiled.patch(function.index, frozenset((pc, None) for pc in places)))
    return found


def interface(compiled: Compiled) -> list[str | None]:
    return [item.name for item in compiled.main.exports]


def forbid_instrumenting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise AssertionError("it was instrumented again")

    monkeypatch.setattr(Instrumented, "encode", refuse)
    monkeypatch.setattr("ttd.instrument.continuation.continuation", refuse)
    monkeypatch.setattr("ttd.instrument.continuation.entry", refuse)
    monkeypatch.setattr("ttd.instrument.continuation.patch", refuse)


def test_the_second_time_nothing_is_instrumented(
    opened: Callable[..., Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compile_all(opened())
    forbid_instrumenting(monkeypatch)
    second = compile_all(opened())
    assert interface(second) == interface(first)
    assert second.instrumented.facts == first.instrumented.facts


def test_patches_are_made_once_for_each_choice_of_places(
    opened: Callable[..., Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [module.serialize() for module in patch_all(opened())]
    assert len(set(map(bytes, first))) == len(first)
    forbid_instrumenting(monkeypatch)
    assert [bytes(module.serialize()) for module in patch_all(opened())] == list(map(bytes, first))


def test_damaged_entries_are_made_anew(cache: Cache, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_all(cache)
    for path in folder.iterdir():
        path.write_bytes(os.urandom(500))
    compile_all(cache)
    forbid_instrumenting(monkeypatch)
    compile_all(cache)


def test_what_wasmtime_refuses_is_made_anew(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """As native code is that was made for another processor, in a home directory shared by machines."""
    key = program_key(bytes(wasmtime.wat2wasm(SOURCE)))
    cache.put(key, "main", b"\x7fELF of another kind")
    compile_all(cache)
    forbid_instrumenting(monkeypatch)
    compile_all(cache)
