"""Rebuild the guests in Rust, which are kept built because ziglang has no Rust.

    apt-get install rustc libstd-rust-dev-wasm32 lld-14 llvm-14
    python tests/guests/rust/build.py [NAME...]

The debug information of Rust's library would make the files sixteen times as large, and is left out. The
paths in what is left are relative, so that they name nothing of the machine. Imports nothing of ttd.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

GUESTS = Path(__file__).resolve().parent.parent
RUSTC = ("rustc", "--target", "wasm32-wasi", "-g", "-C", "panic=abort", "-C", "codegen-units=1")
BUILDS = {
    "rust/rust.wasm": (),
    "journey/journey-O0.wasm": ("-C", "opt-level=0"),
    "journey/journey-O1.wasm": ("-C", "opt-level=1"),
    "journey/journey-O2.wasm": ("-C", "opt-level=2"),
}


def build(target: Path, flags: tuple[str, ...]) -> None:
    """Compile the source in the folder of `target`, which has the folder's name."""
    source = target.parent / f"{target.parent.name}.rs"
    with tempfile.TemporaryDirectory() as scratch:
        linker = Path(scratch, "linker")
        linker.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" --link "$@"\n')
        linker.chmod(0o755)
        paths = ("--remap-path-prefix", f"{source.parent}=.", "-C", f"linker={linker}")
        command = [*RUSTC, *flags, *paths, "-o", str(target), source.name]
        subprocess.run(command, cwd=source.parent, check=True)
        target.chmod(0o644)


def link(arguments: list[str]) -> None:
    """What rustc calls as its linker: the library's objects lose their debug information first."""
    libraries = [argument for argument in arguments if argument.endswith(".rlib")]
    with tempfile.TemporaryDirectory() as scratch:
        for library in libraries:
            subprocess.run(["llvm-ar", "x", library], cwd=scratch, check=True)
        objects = sorted(map(str, Path(scratch).glob("*.o")))
        whole = str(Path(scratch, "library.a"))
        subprocess.run(["wasm-ld-14", "-r", "--strip-debug", "-o", whole, *objects], check=True)
        rest = [argument for argument in arguments if argument not in (*libraries, "-flavor", "wasm")]
        subprocess.run(["wasm-ld-14", *rest, whole], check=True)


def main(arguments: list[str]) -> None:
    """Build what is named (all, without a name), or link."""
    if arguments[:1] == ["--link"]:
        link(arguments[1:])
        return
    for name in arguments or BUILDS:
        build(GUESTS / name, BUILDS[name])


if __name__ == "__main__":
    main(sys.argv[1:])
