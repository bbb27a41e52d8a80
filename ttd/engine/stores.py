"""Wasmtime engines and stores, made so that they do not get in the way when Python shuts down.

wasmtime-py frees what is native when its Python object dies. For objects that are still alive at exit that is
when wasmtime-py's own modules may be gone already, which it reports on stderr; and a thread that was
abandoned in a host call (`ttd.recorder`) may be using a store even then. So what is alive at exit is left
to the operating system.

A store keeps its host functions for as long as it lives, and Python's collector does not see into it: a host
function that holds on to what holds the store keeps both for good. So it must hold on weakly (`weakly`).

May import base and wasmtime.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakMethod, WeakSet

import wasmtime

from ttd.errors import unreachable

_T = TypeVar("_T")

_engines: WeakSet[wasmtime.Engine] = WeakSet()
_stores: WeakSet[wasmtime.Store] = WeakSet()


def new_engine(config: wasmtime.Config) -> wasmtime.Engine:
    """An engine with `config`, which it uses up."""
    engine = wasmtime.Engine(config)
    _engines.add(engine)
    return engine


def new_store(engine: wasmtime.Engine) -> wasmtime.Store:
    """A store of `engine`. Close it when it is done with; at exit nobody needs to."""
    store = wasmtime.Store(engine)
    _stores.add(store)
    return store


def weakly(method: Callable[..., _T]) -> Callable[..., _T]:
    """A bound method, to be called by the host functions of a store that its object holds."""
    alive = WeakMethod(method)

    def call(*arguments: Any) -> _T:
        bound = alive()
        if bound is None:
            unreachable("a program runs, and nobody holds what its host functions belong to")
        return bound(*arguments)

    return call


@atexit.register
def _abandon() -> None:
    natives: list[wasmtime.Store | wasmtime.Engine] = [*_stores, *_engines]
    for native in natives:
        with contextlib.suppress(ValueError):  # it was closed
            native._consume()
