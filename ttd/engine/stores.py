"""Wasmtime engines and stores, made so that they do not get in the way when Python shuts down.

wasmtime-py frees what is native when its Python object dies. For objects that are still alive at exit that is
when wasmtime-py's own modules may be gone already, which it reports on stderr; and a thread that was
abandoned in a host call (`ttd.recorder`) may be using a store even then. So what is alive at exit is left
to the operating system.

May import wasmtime.
"""

from __future__ import annotations

import atexit
import contextlib
from weakref import WeakSet

import wasmtime

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


@atexit.register
def _abandon() -> None:
    natives: list[wasmtime.Store | wasmtime.Engine] = [*_stores, *_engines]
    for native in natives:
        with contextlib.suppress(ValueError):  # it was closed
            native._consume()
