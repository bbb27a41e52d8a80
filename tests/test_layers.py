"""Imports run one way, and each third-party library has one owner (docs/ARCHITECTURE.md, "Layers").

Read off the syntax trees of all files, imports inside functions included.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import ROOT

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]

BASE = {"errors", "types", "state", "events", "calllog", "version", "wasi"}

MAY_IMPORT: dict[str, set[str]] = {
    "base": set(),
    "wasm": {"base"},
    "engine": {"wasm", "base"},
    "interpreter": {"engine", "wasm", "base"},
    "instrument": {"wasm", "base"},
    "driver": {"instrument", "interpreter", "engine", "wasm", "base"},
    "debuginfo": {"wasm", "base"},
    "expr": {"debuginfo", "wasm", "base"},
    "static": {"debuginfo", "wasm", "base"},
    "coredump": {"wasm", "base"},
    "store": {"base"},
    "recorder": {
        "store",
        "coredump",
        "driver",
        "instrument",
        "interpreter",
        "engine",
        "debuginfo",
        "expr",
        "wasm",
        "base",
    },
    "replayer": {
        "store",
        "coredump",
        "driver",
        "instrument",
        "interpreter",
        "engine",
        "static",
        "debuginfo",
        "expr",
        "wasm",
        "base",
    },
    "cli": {
        "recorder",
        "replayer",
        "store",
        "coredump",
        "interpreter",
        "engine",
        "static",
        "debuginfo",
        "expr",
        "wasm",
        "base",
    },
}

# Places (a package, a module, or a prefix of them) that may import a library. Nobody else may.
OWNERS: dict[str, tuple[str, ...]] = {
    "wasmtime": ("ttd.engine", "ttd.interpreter", "ttd.recorder"),
    "sqlalchemy": ("ttd.store",),
    "zstandard": ("ttd.store",),
    "msgpack": ("ttd.store",),
    "elftools": ("ttd.debuginfo",),
    "prompt_toolkit": ("ttd.cli",),
    "pygments": ("ttd.cli",),
    "click": ("ttd.cli",),
}

DRIVER = {
    f"ttd.engine.{name}" for name in ("builds", "compiled", "gates", "native", "scout", "search", "taps")
}
"""The driver of the compiled engine stands above the interpreter, which takes its steps within a tick."""

COSTLY = ("wasmtime", "sqlalchemy", "prompt_toolkit", "elftools")


class Import(NamedTuple):
    """One imported name: `name` is absolute, and goes down to what a ``from`` import takes out of it."""

    importer: str
    file: Path
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.name}"


def module_files() -> Iterator[tuple[str, Path]]:
    """The dotted name and the file of every module of ttd."""
    for package, folder in FOLDERS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join((package, *parts)).removesuffix(".__init__"), file


def imports_of(module: str, file: Path) -> Iterator[Import]:
    """Every import in `file`; relative ones come out with a leading dot."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                source = "." * node.level + (node.module or "")
                yield Import(module, file, node.lineno, f"{source}.{alias.name}")


def layer(name: str) -> str | None:
    """The layer that a dotted name of ttd belongs to; None for ``ttd`` itself and for other libraries."""
    parts = name.split(".")
    if parts[0] != "ttd" or len(parts) == 1:
        return None
    if ".".join(parts[:3]) in DRIVER:
        return "driver"
    return "base" if parts[1] in BASE else parts[1]


ALL_IMPORTS = [item for module, file in module_files() for item in imports_of(module, file)]


def test_the_walk_sees_every_package() -> None:
    """Guards the tests below against passing because they looked at nothing."""
    assert {layer(item.importer) for item in ALL_IMPORTS} >= {"base", "wasm", "engine", "cli"}
    assert len(ALL_IMPORTS) > 50


def test_imports_run_one_way() -> None:
    offences = []
    for item in ALL_IMPORTS:
        source, target = layer(item.importer), layer(item.name)
        if source is None or target is None or source == target:
            continue
        if target not in MAY_IMPORT.get(source, set()):
            offences.append(f"{item} ({source} may not import {target})")
    assert not offences, "\n".join(offences)


def test_every_layer_is_known() -> None:
    layers = {layer(module) for module, _ in module_files()} - {None}
    assert layers <= set(MAY_IMPORT), "a new package needs its row in MAY_IMPORT"


def test_ttd_itself_imports_nothing_of_ttd() -> None:
    assert not [str(item) for item in ALL_IMPORTS if item.importer == "ttd" and item.name.startswith("ttd")]


def test_engines_are_free_of_the_wasmtime_driver() -> None:
    """The interpreter shares the engine protocol and the memory, and never sees the compiled engine."""
    forbidden = (*DRIVER, "ttd.instrument")
    offences = [
        str(item)
        for item in ALL_IMPORTS
        if layer(item.importer) == "interpreter" and item.name.startswith(forbidden)
    ]
    assert not offences, "\n".join(offences)


def test_each_library_has_one_owner() -> None:
    offences = []
    for item in ALL_IMPORTS:
        owners = OWNERS.get(item.name.split(".")[0])
        if owners is not None and not any(inside(item.importer, owner) for owner in owners):
            offences.append(f"{item} (only {', '.join(owners)} may)")
    assert not offences, "\n".join(offences)


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_every_dependency_is_declared_and_owned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {text.split(">")[0].split("=")[0].strip().lower() for text in project["dependencies"]}
    assert declared == {name if name != "elftools" else "pyelftools" for name in OWNERS}
    foreign = {item.name.split(".")[0] for item in ALL_IMPORTS} - sys.stdlib_module_names - {"ttd"}
    assert {name for name in foreign if not name.startswith("_")} <= set(OWNERS)


def test_imports_are_absolute_and_say_ttd() -> None:
    bare = {folder for package, folder in FOLDERS.items() if package != "ttd"}
    files = [*module_files(), *((f"tests.{path.stem}", path) for path in (ROOT / "tests").rglob("*.py"))]
    offences = [
        str(item)
        for module, file in files
        for item in imports_of(module, file)
        if item.name.startswith(".") or item.name.split(".")[0] in bare
    ]
    assert not offences, "\n".join(offences)


def test_every_package_is_listed_in_pyproject() -> None:
    """setuptools installs exactly what is listed: one that is missing would be missing for users only."""
    present = {module for module, file in module_files() if file.name == "__init__.py"}
    folders = {module.rpartition(".")[0] for module, file in module_files() if file.name != "__init__.py"}
    assert folders <= present, f"without an __init__.py: {sorted(folders - present)}"
    assert set(SETUPTOOLS["packages"]) == present


@pytest.mark.parametrize("module", ["ttd.cli.main"])
def test_starting_the_command_line_imports_nothing_costly(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "ttd" in loaded
    assert not loaded & set(COSTLY)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import wasmtime.loader", "wasmtime.loader"),
        ("def f():\n    from ttd.replayer import host", "ttd.replayer.host"),
        ("from . import x", "..x"),
    ],
)
def test_imports_are_found_wherever_they_stand(text: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(text)
    assert [item.name for item in imports_of("ttd.x", file)] == [name]
