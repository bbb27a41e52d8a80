"""A bench for WASI calls: a memory full of noise, and a check that the log tells every byte that changed."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ttd.engine.memory import LinearMemory
from ttd.events import HostCall, MemoryWrite, Outcome
from ttd.recorder.options import PreopenedDirectory, WasiOptions
from ttd.recorder.wasihost import Performed, WasiHost
from ttd.types import Position
from ttd.wasi import ERRNO, FUNCTIONS, MODULE, describe_call
from ttd.wasm.model import MemoryType

ERROR = {name: number for number, name in enumerate(ERRNO)}

PAGES = 2
SIZE = PAGES * 65536
DIR = 3
"""The file descriptor of the first preopened directory."""
ALL_RIGHTS = (1 << 30) - 1

OUT = 0x1000
"""Where calls put their results, in these tests."""
OUT2 = 0x1100
TEXT = 0x2000
BUFFER = 0x4000
IOVS = 0x8000
NOISE = 0xA5


def apply(image: bytearray, writes: Sequence[MemoryWrite]) -> bytes:
    """What `image` becomes by the logged writes: what a replay will make of it."""
    for write in writes:
        image[write.address : write.address + len(write.data)] = write.data
    return bytes(image)


@dataclass
class Rig:
    """All 46 functions over one memory. `call` checks the log against the memory each time."""

    options: WasiOptions
    memory: LinearMemory = field(default_factory=lambda: LinearMemory(MemoryType(PAGES, PAGES, False), PAGES))
    last: Performed = field(default_factory=Performed)
    shown: str = ""

    def __post_init__(self) -> None:
        self._free = TEXT
        self.host = WasiHost(self.options, list(FUNCTIONS), 0)
        self.memory.view()[:] = bytes([NOISE]) * SIZE

    @classmethod
    def over(cls, folder: Path, **options: object) -> Rig:
        """A rig whose guest has `folder` as its directory ``box``."""
        return cls(WasiOptions(preopens=(PreopenedDirectory(folder, "box"),), **options))  # type: ignore[arg-type]

    def call(self, name: str, *arguments: int) -> str:
        """Perform a call; the name of its error number, or ``trap``. Fails if the log is not exact."""
        before = bytes(self.memory.view())
        unsigned = tuple(
            value % (1 << (64 if core == "i64" else 32))
            for value, core in zip(arguments, FUNCTIONS[name].params, strict=True)
        )
        self.last = self.host.call(name, unsigned, [self.memory])
        after = bytes(self.memory.view())
        assert apply(bytearray(before), self.last.writes) == after, f"{name}: the log misses a write"
        for read in self.last.reads:
            assert before[read.address : read.address + len(read.data)] == read.data
        self.shown = self._describe(name, unsigned)
        if self.last.outcome is not Outcome.RETURNED:
            return "trap" if self.last.outcome is Outcome.TRAPPED else f"exit {self.last.code}"
        (errno,) = self.last.results
        assert isinstance(errno, int)
        return ERRNO[errno]

    def _describe(self, name: str, arguments: tuple[int, ...]) -> str:
        last = self.last
        call = HostCall(
            0, Position(1), 0, arguments, last.results, last.writes, last.outcome, last.code, last.message,
            last.reads,
        )  # fmt: skip
        text = describe_call(call, MODULE, name)
        assert text.startswith(f"{name}(") and "\n" not in text
        return text

    @property
    def logged(self) -> dict[int, int]:
        """Address and length of every write of the last call."""
        return {write.address: len(write.data) for write in self.last.writes}

    # --- the guest's side of memory ---------------------------------------------------------------------

    def put(self, address: int, data: bytes) -> int:
        self.memory.view()[address : address + len(data)] = data
        return address

    def text(self, text: str | bytes) -> tuple[int, int]:
        """Put a string into memory, not over the one before; address and length, as calls want them."""
        data = text.encode() if isinstance(text, str) else text
        self._free = TEXT if self._free + len(data) > BUFFER else self._free
        address, self._free = self._free, self._free + len(data)
        return self.put(address, data), len(data)

    def iovs(self, *buffers: tuple[int, int]) -> tuple[int, int]:
        """Put a list of buffers into memory; address and length, as calls want them."""
        self.put(IOVS, b"".join(struct.pack("<II", *buffer) for buffer in buffers))
        return IOVS, len(buffers)

    def data(self, address: int, length: int) -> bytes:
        return bytes(self.memory.view()[address : address + length])

    def number(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.data(address, size), "little")

    def open(self, path: str, oflags: int = 0, *, rights: int = ALL_RIGHTS, fdflags: int = 0) -> int:
        """Open `path` in the directory; its file descriptor."""
        assert (
            self.call("path_open", DIR, 1, *self.text(path), oflags, rights, rights, fdflags, OUT)
            == "SUCCESS"
        )
        return self.number(OUT)


def noise(length: int, seed: int = 1) -> bytes:
    """Random bytes none of which is the filling of the memory."""
    generator = random.Random(seed)
    return bytes(generator.choice([byte for byte in range(256) if byte != NOISE]) for _ in range(length))


def closed_descriptor() -> int:
    """A file descriptor that is not open, neither here nor in any guest."""
    return 1000 + os.getpid() % 1000
