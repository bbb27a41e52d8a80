"""Fixtures of the command-line tests: `ttd` in this process, in a folder of its own with small programs."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from tests.support import Guests
from ttd.cli import main

NUMBERS = """
(module (memory (export "memory") 1)
  (func (export "gcd") (param $a i32) (param $b i32) (result i32) (local $t i32)
    (block $done (loop $again
      (br_if $done (i32.eqz (local.get $b)))
      (local.set $t (i32.rem_u (local.get $a) (local.get $b)))
      (local.set $a (local.get $b)) (local.set $b (local.get $t))
      (br $again)))
    (local.get $a)))
"""
"""A library module: greatest common divisor."""

ENDLESS = """
(module (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\08\\00\\00\\00\\03\\00\\00\\00hi\\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (loop $forever (br $forever))))
"""
"""A program that says hi and runs for ever."""

TEXTS = {"numbers": NUMBERS, "endless": ENDLESS}


@dataclass(frozen=True, slots=True)
class Ran:
    """What `ttd ARGUMENTS` came to."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error."""
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err and "internal error" not in self.err
        return self.err.removeprefix("ttd: ").rstrip("\n")


@pytest.fixture
def ttd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Runs ``ttd ARGUMENTS`` in an empty folder, without a terminal; `input` is its standard input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TTD_TRACE_DIR", raising=False)
    monkeypatch.delenv(main.TRACEBACK_VARIABLE, raising=False)

    def run(*arguments: str, input: str = "") -> Ran:
        monkeypatch.setattr(
            sys, "stdin", io.TextIOWrapper(io.BytesIO(input.encode("utf-8", "surrogateescape")))
        )
        capfd.readouterr()
        code = main.run(arguments)
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def recorded(guest: Guests, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A recording of a guest, made once; only to be read."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp("recorded")
            shutil.copy(guest(name), folder / f"{name}.wasm")
            with contextlib.chdir(folder):
                main.run(["record", "-q", "-o", f"{name}.trace", f"{name}.wasm"])
            made[name] = folder / f"{name}.trace"
        return made[name]

    return make


@pytest.fixture
def program(tmp_path: Path, guest: Guests) -> Callable[[str], str]:
    """Puts a guest, or one of `TEXTS`, into the folder; its file name."""

    def place(name: str) -> str:
        file = tmp_path / f"{name}.wasm"
        if name in TEXTS:
            file.write_bytes(bytes(wat2wasm(TEXTS[name])))
        else:
            shutil.copy(guest(name), file)
        return file.name

    return place
