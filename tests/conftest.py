"""Fixtures of all tests: the guest programs, and the shared test data beside the work tree."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import Guests, shared_folder

# Times vary too much between machines for hypothesis to judge by them. Everything else stays as it is
# chosen for the place, which on a CI server means the same examples every time.
settings.register_profile("ttd", settings.default, deadline=None)
settings.load_profile("ttd")


@pytest.fixture(scope="session", autouse=True)
def tests_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tests neither use nor fill the user's cache of compiled programs, in this process and in others.

    They share one of their own, empty at first: many run the same programs.
    """
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTD_CACHE_DIR", str(folder))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def control_c() -> Iterator[None]:
    """Let Ctrl-C reach the programs that tests start.

    Whoever is started in the background (``./dev test &``) is made to ignore it, and so are its children: a
    recording rightly leaves it at that, and tests that press it would wait for ever.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def guest() -> Guests:
    """The guests: ``guest("hello")`` is the path of hello.wasm, ``guest.line("hello", "bug")`` a line of it.

    Flags replace ``-O0``: ``guest("hello", "-O2")``. See `tests.support.Guests`.
    """
    return Guests()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of shared test data; tests that ask for it are skipped where it is missing."""
    folder = shared_folder()
    if not folder.is_dir():
        pytest.skip(f"needs the shared test data in {folder.name}/ beside the work tree, which is not there")
    return folder
