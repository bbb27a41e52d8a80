"""What a user installs: one package `ttd` with all its parts, and nothing else in site-packages.

Builds a real wheel from the tracked files, as a clean checkout has them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT
from ttd.version import VERSION

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["setuptools"]["packages"]


def test_the_version_is_told_alike() -> None:
    assert PROJECT["project"]["version"] == VERSION


def pip(*arguments: str, cwd: Path) -> None:
    """Run pip in `cwd`; it has all it needs, so the test passes without a network."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def source_files() -> list[str]:
    """The files of a checkout: those that git tracks, or all but the ignored ones where this is none."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git checkout to know which files are sources")
    return [name for name in listing.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that no stale build folder gets into it."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in source_files():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    target = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), ".", cwd=checkout)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--no-compile", "--target", str(folder), str(wheel), cwd=folder)
    return folder


def test_the_wheel_holds_ttd_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert top == {"ttd", f"ttd-{PROJECT['project']['version']}.dist-info"}
    assert "ttd/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_every_source_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    expected = {
        f"{package.replace('.', '/')}/{file.relative_to(ROOT / folder).as_posix()}"
        for package, folder in folders.items()
        for file in (ROOT / folder).rglob("*.py")
    }
    present = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    assert present == expected


def test_what_is_installed_imports_from_there(site: Path) -> None:
    """-S -P: neither this environment's own ttd, nor the work tree, is in reach; dependencies are."""
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    code = (
        f"import sys; sys.path[:0] = {[str(site), *dependencies]!r}\n"
        "import importlib\n"
        f"for name in {PACKAGES!r} + ['ttd.cli.main']:\n"
        f"    module = importlib.import_module(name)\n"
        f"    assert module.__file__.startswith({str(site)!r}), module.__file__\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_command_is_installed(site: Path) -> None:
    (metadata,) = site.glob("ttd-*.dist-info")
    assert "ttd = ttd.cli.main:main" in (metadata / "entry_points.txt").read_text(encoding="utf-8")
    assert (site / "bin" / "ttd").is_file() or (site / "Scripts").is_dir()
