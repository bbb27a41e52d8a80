"""What was instrumented and compiled before, in the user's cache directory, so that a second start is quick.

An entry belongs to a program and is a part of it: ``main`` (the instrumented module), ``facts``
(`ttd.instrument.facts`), ``sources`` (`ttd.recorder.sources`), or one continuation. It is a file, since that
is all it takes for several processes to share the directory without locks: written under another name, then
renamed; whoever loses a race has written the same. Nothing is compressed, since expanding it would take
longer than reading it. A program's key is made of all that its code depends on (`program_key`), so entries
are never changed and never outdated, only forgotten: when `LIMIT` is passed, the programs unused for longest
go. One entry takes a few kilobytes and about 0.1 ms.

**Trust.** An entry is native code, and Wasmtime runs what it is given. Whoever can put an entry where we
look can therefore run code as us, out of the guest's sandbox. So:

- The directory must belong to us and be writable to us only, and so must each file; otherwise there is
  no cache. All access goes through a descriptor of the directory that was checked.
- Each entry carries a keyed checksum (BLAKE2b) over its name and its contents, checked before anything
  else is done with it. The key is a secret of this user on this machine, and lies outside of the cache: in
  the state directory. So an entry that arrived by other ways is not trusted: from a restored backup, from the
  saved cache of a CI service, which other people's branches may have filled, or from a guest that
  was given a directory around the cache. (A guest that can read *both* directories, or write to the user's
  whole home, is as good as the user. That is not ours to mend.)
- What fails any test is a miss: it is compiled again, and replaced.

Nothing here fails a run: a full disk, or a place that cannot be written, only costs time.

May import base. Knows nothing of Wasmtime: entries are bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import platform
import random
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

DIRECTORY_VARIABLE = "TTD_CACHE_DIR"
"""Environment variable that names the cache directory; empty for no cache at all."""

LIMIT = 512 << 20
"""How many bytes the cache may hold."""

_LARGEST = 256 << 20
"""Bytes of an entry above which it is neither kept nor read."""
_ABANDONED = 3600.0
"""Seconds after which an unfinished file has nobody who would finish it."""
_MAC_SIZE = 32
_NAME = re.compile(r"([0-9a-f]{64}-[0-9a-f]{32})\.([a-z0-9-]+)")
_UNFINISHED = re.compile(r"\.unfinished-[0-9a-f]{16}")
_SOURCES = ("instrument", "wasm", "engine", "debuginfo")
"""Packages of ttd whose sources decide how a program is compiled, and what else is kept of it."""


class CacheUnusable(Exception):
    """There can be no cache here; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class CachedProgram:
    """What the cache holds of one program."""

    key: str
    """As from `program_key`."""
    size: int
    """Bytes of all its entries."""
    entries: int
    used: float
    """When it was last used, in seconds since the epoch."""

    @property
    def module(self) -> str:
        """The SHA-256 of the module, in hexadecimal digits."""
        return self.key[:64]


def program_key(module: bytes, variant: str = "") -> str:
    """The key of a program: its module, and everything else that its compiled form depends on.

    `variant` names what the caller has chosen about it. The processor needs no naming: Wasmtime refuses what
    was compiled for another one.
    """
    surroundings = hashlib.blake2b(f"{_tool()} {variant}".encode(), digest_size=16)
    return f"{hashlib.sha256(module).hexdigest()}-{surroundings.hexdigest()}"


@cache
def _tool() -> str:
    """Names ttd, as it is now, not only its version, and Wasmtime, and the machine."""
    digest = hashlib.blake2b(digest_size=16)
    base = Path(__file__).parent.parent
    for file in sorted(file for package in _SOURCES for file in (base / package).glob("*.py")):
        digest.update(f"{file.name}\0".encode() + hashlib.blake2b(file.read_bytes()).digest())
    return f"{digest.hexdigest()} {_wasmtime()} {platform.machine()} {sys.platform}"


def _wasmtime() -> str:
    """Names the Wasmtime that is installed, by its files: asking for its version takes 30 ms."""
    found = find_spec("wasmtime")
    if found is None or found.origin is None:
        return ""
    folders = (entry for entry in os.scandir(Path(found.origin).parent) if entry.is_dir())
    files = [file for folder in folders for file in os.scandir(folder) if "wasmtime" in file.name]
    return " ".join(sorted(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files))


class Cache:
    """The entries in one directory. Use `user_cache` to get the one that belongs to the user."""

    def __init__(self, directory: Path, state: Path, limit: int = LIMIT) -> None:
        """`state` is the directory of the secret. Both are made if need be. Raises CacheUnusable."""
        if not hasattr(os, "geteuid") or os.open not in os.supports_dir_fd:
            raise CacheUnusable("this system cannot tell whose files they are")
        self.directory = directory
        self.limit = limit
        # By chance, so that processes which put little each do not sweep more often than one that puts all.
        self._unswept = random.randrange(limit // 16 + 1)
        with _opened(directory):
            self._secret = _secret(state)

    # --- entries ----------------------------------------------------------------------------------

    def get(self, key: str, part: str) -> bytes | None:
        """An entry, exactly as it was put there by this user on this machine; None if there is none."""
        name = f"{key}.{part}"
        try:
            with _opened(self.directory) as folder:
                stored = _read(folder, name, used=part == "main")
        except (OSError, CacheUnusable):
            return None
        mac, data = stored[:_MAC_SIZE], stored[_MAC_SIZE:]
        return data if hmac.compare_digest(mac, self._mac(name, data)) else None

    def put(self, key: str, part: str, data: bytes) -> None:
        """Keep an entry, if that is possible."""
        name = f"{key}.{part}"
        size = _MAC_SIZE + len(data)
        if size > min(_LARGEST, self.limit):
            return
        with contextlib.suppress(OSError, CacheUnusable), _opened(self.directory) as folder:
            _write(folder, name, self._mac(name, data) + data)
            self._unswept += size
            if self._unswept > self.limit // 16:
                self._unswept = 0
                _sweep(folder, self.limit)

    def _mac(self, name: str, data: bytes) -> bytes:
        mac = hashlib.blake2b(name.encode() + b"\0", key=self._secret, digest_size=_MAC_SIZE)
        mac.update(data)
        return mac.digest()

    # --- the whole --------------------------------------------------------------------------------

    def programs(self) -> list[CachedProgram]:
        """What is there, that used last first. Raises OSError and CacheUnusable."""
        with _opened(self.directory) as folder:
            return _programs(folder)

    def clear(self) -> int:
        """Remove all entries, and nothing else; how many bytes that were. Raises OSError, CacheUnusable."""
        with _opened(self.directory) as folder:
            return sum(_remove(folder, name, found.st_size) for name, found in _files(folder))


def user_cache() -> Cache | None:
    """The user's cache; None where there can be none, or none is wanted."""
    try:
        return open_user_cache()
    except (CacheUnusable, OSError):
        return None


def open_user_cache() -> Cache:
    """The user's cache. Raises CacheUnusable and OSError where there is none."""
    return Cache(cache_directory(), _state_directory())


def cache_directory() -> Path:
    """Where the user's cache is: as DIRECTORY_VARIABLE or the XDG specification says.

    Raises CacheUnusable.
    """
    named = os.environ.get(DIRECTORY_VARIABLE)
    if named is None:
        return _user_directory("XDG_CACHE_HOME", ".cache", "Library/Caches")
    if not named:
        raise CacheUnusable(f"{DIRECTORY_VARIABLE} is empty, so there is no cache")
    return Path(named).absolute()


def _state_directory() -> Path:
    return _user_directory("XDG_STATE_HOME", ".local/state", "Library/Application Support")


def _user_directory(variable: str, usual: str, on_mac: str) -> Path:
    """A directory of ttd's own (XDG base directories: a value that is not absolute does not count)."""
    named = Path(os.environ.get(variable, ""))
    if named.is_absolute():
        return named / "ttd"
    try:
        return Path.home() / (on_mac if sys.platform == "darwin" else usual) / "ttd"
    except RuntimeError as error:
        raise CacheUnusable(f"there is no home directory; set {DIRECTORY_VARIABLE}") from error


# --- directories and files that are ours alone ------------------------------------------------------------


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """A descriptor of `directory`, made if it was not there, and known to be safe."""
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_ours(os.fstat(folder), 0o022):
            raise CacheUnusable(f"{directory} must belong to you and be writable to you only")
        yield folder
    finally:
        os.close(folder)


def _is_ours(found: os.stat_result, forbidden: int) -> bool:
    """Whether it belongs to us and grants others nothing that is `forbidden`."""
    return found.st_uid == os.geteuid() and not found.st_mode & forbidden


def _read(folder: int, name: str, used: bool = False, forbidden: int = 0o022) -> bytes:
    """The contents of a file that is ours; OSError if there is none. `used`: note that it is used now."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or not _is_ours(found, forbidden) or found.st_size > _LARGEST:
            raise PermissionError(f"{name} is not ours")
        if used:
            os.utime(file.fileno())
        return file.read(_LARGEST)


def _write(folder: int, name: str, data: bytes) -> None:
    """Make a file, all of it at once for whoever looks."""
    unfinished = f".unfinished-{secrets.token_hex(8)}"
    descriptor = os.open(
        unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode=0o600, dir_fd=folder
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        _remove(folder, unfinished, 0)
        raise


def _remove(folder: int, name: str, size: int) -> int:
    """Remove a file; `size`, or 0 if somebody else was quicker."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return 0
    return size


_SECRET_FILE = "cache.key"


def _secret(state: Path) -> bytes:
    """The key of the checksums; made when there is none, or none that can be trusted.

    Two processes that make one at the same time may end with different ones; then what one of them writes
    is not believed later, and compiled again.
    """
    with _opened(state) as folder:
        for _ in range(2):
            with contextlib.suppress(OSError):
                secret = _read(folder, _SECRET_FILE, forbidden=0o077)
                if len(secret) == _MAC_SIZE:
                    return secret
            _write(folder, _SECRET_FILE, secrets.token_bytes(_MAC_SIZE))
        return _read(folder, _SECRET_FILE, forbidden=0o077)


# --- what is there ----------------------------------------------------------------------------------------


def _files(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """Every file that is the cache's, finished or not."""
    for name in os.listdir(folder):
        if _NAME.fullmatch(name) or _UNFINISHED.fullmatch(name):
            with contextlib.suppress(FileNotFoundError):
                yield name, os.stat(name, dir_fd=folder, follow_symlinks=False)


def _programs(folder: int) -> list[CachedProgram]:
    programs: dict[str, CachedProgram] = {}
    for name, found in _files(folder):
        if match := _NAME.fullmatch(name):
            key = match[1]
            old = programs.get(key, CachedProgram(key, 0, 0, 0.0))
            programs[key] = CachedProgram(
                key, old.size + found.st_size, old.entries + 1, max(old.used, found.st_mtime)
            )
    return sorted(programs.values(), key=lambda program: program.used, reverse=True)


def _sweep(folder: int, limit: int) -> None:
    """Forget the programs unused for longest, down to three quarters of the limit if it is passed."""
    for name, found in list(_files(folder)):
        if _UNFINISHED.fullmatch(name) and time.time() - found.st_mtime > _ABANDONED:
            _remove(folder, name, 0)
    programs = _programs(folder)
    kept = sum(program.size for program in programs)
    if kept <= limit:
        return
    doomed = set()
    while programs and kept > limit * 3 // 4:
        program = programs.pop()
        doomed.add(program.key)
        kept -= program.size
    for name, _ in list(_files(folder)):
        if (match := _NAME.fullmatch(name)) and match[1] in doomed:
            _remove(folder, name, 0)
