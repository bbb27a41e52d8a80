"""An instrumented program as Wasmtime's modules: itself, its continuations, entrances, patches and gates.

Each is made when it is first asked for, and kept in the cache of the user. Instances of them are `native`'s.
What writes code is imported where it is needed: a program that is in the cache needs none of it.

May import base, `ttd.wasm`, `ttd.instrument`, `ttd.engine.cache` and wasmtime.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable

import wasmtime
from wasmtime import _ffi as ffi

from ttd.engine.cache import Cache, program_key
from ttd.errors import EngineUnusable
from ttd.instrument.facts import Facts
from ttd.instrument.program import Instrumented
from ttd.instrument.site import NOWHERE, Places, Site
from ttd.instrument.sitetable import SiteTable
from ttd.wasm.leb128 import write_unsigned
from ttd.wasm.predicate import Predicate

_STACK = 1 << 20
"""Bytes of native stack for the guest: twice what Wasmtime gives, since frames of instrumented code are up to
twice as large, and a program that does not overflow its stack should not do so because it is recorded. The
main thread has 8 MiB of stack on Linux and macOS, and 2 MB under Python for Windows."""


def new_engine() -> wasmtime.Engine:
    """The Wasmtime engine for instrumented programs. The NaN rule is not its business: the code keeps it."""
    config = wasmtime.Config()
    config.wasm_exceptions = True
    config.wasm_gc = True
    config.wasm_function_references = True
    config.wasm_memory64 = True
    config.wasm_multi_memory = True
    config.wasm_tail_call = True
    config.wasm_relaxed_simd = True
    config.wasm_relaxed_simd_deterministic = True
    config.memory_may_move = False
    config.max_wasm_stack = _STACK
    ffi.wasmtime_config_wasm_branch_hinting_set(config.ptr(), True)  # wasmtime-py has no name for it yet
    return wasmtime.Engine(config)


class Compiled:
    """An instrumented module and the continuations made of it so far, compiled: shared by instances.

    What is in `cache` is not compiled, and what is compiled goes into it.
    """

    def __init__(
        self,
        engine: wasmtime.Engine,
        instrumented: Instrumented,
        cache: Cache | None = None,
        like: Compiled | None = None,
    ) -> None:
        """`like` is another build of the same program."""
        self.engine = engine
        self.instrumented = instrumented
        self._cache = cache
        self._key = program_key(instrumented.module.data, instrumented.variant) if cache is not None else ""
        self._makers: dict[str, Callable[[], bytes]] = {}
        self._gates: dict[str, wasmtime.Module] = {}
        self._continuations: dict[tuple[int, int], wasmtime.Module] = {}
        self._noting: dict[tuple[int, int, Places], wasmtime.Module] = {}
        self._patches: dict[tuple[int, Places], wasmtime.Module] = {}
        self._questions: dict[str, wasmtime.Module] = {}
        self._tables: dict[int, SiteTable] = like._tables if like is not None else {}
        self._share_facts()
        self.main = self._module("main", instrumented.encode)

    def _share_facts(self) -> None:
        if self._cache is None:
            return
        stored = self._cache.get(self._key, "facts")
        if stored is not None:
            self.instrumented.adopt(Facts.from_json(stored))
        else:
            self._cache.put(self._key, "facts", self.instrumented.facts.to_json())

    def table(self, function: int) -> SiteTable:
        """The sites of a function that ticks."""
        if function not in self._tables:
            self._tables[function] = self._find_table(function)
        return self._tables[function]

    def _find_table(self, function: int) -> SiteTable:
        part = f"sites-{function}"
        stored = self._cache.get(self._key, part) if self._cache is not None else None
        if stored is not None:
            types = self.instrumented.module.functions[function].local_types
            return SiteTable.from_json(function, types, stored)
        table = SiteTable.of(self.instrumented.plans[function])
        if self._cache is not None:
            self._cache.put(self._key, part, table.to_json())
        return table

    def patch(self, function: int, places: Places) -> wasmtime.Module:
        """What stands in for a function to note the tick at `places`.

        It is kept for later processes unless it asks something, which the user then has thought of just now.
        """

        def make() -> bytes:
            from ttd.instrument.continuation import patch

            return patch(self.instrumented, function, places)

        key = function, places
        if key not in self._patches:
            asks = any(predicate is not None for _, predicate in places)
            text = " ".join(str(offset) for offset in sorted(offset for offset, _ in places))
            made = self._compile(make()) if asks else self._module(f"patch-{function}-{_digest(text)}", make)
            self._patches[key] = made
        return self._patches[key]

    def question(self, predicate: Predicate) -> wasmtime.Module:
        """What answers a predicate."""
        from ttd.instrument.continuation import question

        if predicate.key not in self._questions:
            self._questions[predicate.key] = self._compile(question(self.instrumented, predicate))
        return self._questions[predicate.key]

    def thaw(self, site: Site, places: Places = NOWHERE) -> wasmtime.Module:
        """The continuation of a site; one that notes the tick at `places`."""

        def make() -> bytes:
            from ttd.instrument.continuation import continuation

            return continuation(self.instrumented, site, places)

        if places:
            noting = site.function, site.number, places
            if noting not in self._noting:
                self._noting[noting] = self._compile(make())
            return self._noting[noting]
        return self._entrance(site.function, site.number, "thaw", make)

    def gates(self, text: str) -> wasmtime.Module:
        """The gates whose module has this text."""
        part = f"gates-{_digest(text)}"
        if part not in self._gates:
            self._gates[part] = self._module(part, lambda: bytes(wasmtime.wat2wasm(text)))
        return self._gates[part]

    def enter(self, function: int) -> wasmtime.Module:
        """What calls a function from outside."""

        def make() -> bytes:
            from ttd.instrument.continuation import entry

            return entry(self.instrumented, function)

        return self._entrance(function, -1, "enter", make)

    def _entrance(self, function: int, site: int, kind: str, make: Callable[[], bytes]) -> wasmtime.Module:
        key = function, site
        if key not in self._continuations:
            self._continuations[key] = self._module(f"{kind}-{function}-{abs(site)}", make)
        return self._continuations[key]

    def _module(self, part: str, make: Callable[[], bytes]) -> wasmtime.Module:
        """A part of the program, from the cache or compiled."""
        self._makers[part] = make
        stored = self._cache.get(self._key, part) if self._cache is not None else None
        if stored is not None:
            with contextlib.suppress(wasmtime.WasmtimeError):  # it may be of another processor
                return wasmtime.Module.deserialize(self.engine, stored)
        module = self._compile(make() + _name_section(part))
        if self._cache is not None:
            self._cache.put(self._key, part, bytes(module.serialize()))
        return module

    def _compile(self, code: bytes) -> wasmtime.Module:
        """EngineUnusable where Wasmtime refuses: instrumented code may exceed limits that its original does
        not."""
        try:
            return wasmtime.Module(self.engine, code)
        except wasmtime.WasmtimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise EngineUnusable(
                f"the compiled engine cannot run this program ({reason}); use --engine interpreter"
            ) from error

    def opcode_at_trap(self, trap: wasmtime.Trap) -> int | None:
        """The first byte of the instruction that trapped, as far as Wasmtime tells where that was."""
        frames = trap.frames
        make = self._makers.get(frames[0].module_name or "") if frames else None
        if make is None:
            return None
        code, offset = make(), frames[0].module_offset
        return code[offset] if offset < len(code) else None


def _digest(text: str) -> str:
    """What tells texts apart, and may be part of a name in the cache."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _name_section(name: str) -> bytes:
    """The custom section that names a module (core, appendix "Name Section"), so that a trap can tell it."""
    text = name.encode()
    subsection = write_unsigned(len(text)) + text
    contents = b"\x04name\x00" + write_unsigned(len(subsection)) + subsection
    return b"\x00" + write_unsigned(len(contents)) + contents
