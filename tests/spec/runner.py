"""Runs one test script over one engine, and counts what passed, failed, and was out of scope.

Every command of a script is counted exactly once, `register` excepted. Nothing is skipped: what ttd does not
do is out of scope for a stated reason, and whatever depends on a module that is out of scope is so too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import wasmtime

from tests.spec.editing import merge_tags, prune
from tests.spec.instance import EngineFactory, Extern, Instance, OutOfScope, SpecTest, Trapped, Unlinkable
from tests.spec.sexpr import Form, Node, read
from tests.spec.values import Unknown, constant, pattern, show
from ttd.engine.validate import load_module
from ttd.errors import InvalidModule, LinkError, UnsupportedFeature
from ttd.types import TrapKind, Value
from ttd.wasm.model import Import, Module

SPECTEST = """(module
  (global (export "global_i32") i32 (i32.const 666))
  (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6))
  (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref)
  (table (export "table64") i64 10 20 funcref)
  (memory (export "memory") 1 2)
  (func (export "print"))
  (func (export "print_i32") (param i32))
  (func (export "print_i64") (param i64))
  (func (export "print_f32") (param f32))
  (func (export "print_f64") (param f64))
  (func (export "print_i32_f32") (param i32 f32))
  (func (export "print_f64_f64") (param f64 f64)))
"""


class Failed(Exception):
    """An assertion does not hold; the message says how."""


@dataclass
class Report:
    """The outcome of one script: failures as lines for people, what is out of scope counted by reason."""

    name: str
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    out_of_scope: Counter[str] = field(default_factory=Counter)


def run_script(path: Path, make_engine: EngineFactory, name: str = "") -> Report:
    """Run the script in file `path`."""
    script = Script(path.read_bytes(), name or path.name, make_engine)
    try:
        return script.run()
    finally:
        script.close()


class Script:
    """A script under way: the modules it has defined and instantiated so far."""

    def __init__(self, source: bytes, name: str, make_engine: EngineFactory) -> None:
        self._source = source
        self._make_engine = make_engine
        self._report = Report(name)
        self._definitions: dict[str, Module | Exception] = {}
        self._instances: dict[str, Instance | Exception] = {}
        self._registered: dict[str, Instance | Exception] = {}
        self._current: Instance | Exception = Unlinkable("no module yet")
        self._last_definition: Module | Exception = Unlinkable("no module yet")
        self._pruned: dict[int, tuple[Module, OutOfScope]] = {}  # by identity: hashing a module is slow
        self._opened: list[Instance] = []

    def run(self) -> Report:
        """Run all commands, in order."""
        forms = read(self._source)
        if forms and all(form.head not in _COMMANDS for form in forms):
            # A script may be the fields of one module, without the parentheses around them.
            self._run_one(lambda _: self._instantiate("", load_module(assemble(self._source))), forms[0])
            return self._report
        for form in forms:
            self._run_one(_COMMANDS.get(form.head, Script._unknown).__get__(self), form)
        return self._report

    def close(self) -> None:
        """Free the engines."""
        for instance in self._opened:
            instance.close()

    def _run_one(self, command: Callable[[Form], None], form: Form) -> None:
        try:
            command(form)
        except OutOfScope as reason:
            self._report.out_of_scope[str(reason)] += 1
        except Unknown as reason:
            self._report.out_of_scope[str(reason)] += 1
        except Exception as error:  # whatever goes wrong is a failure of this command, and the script goes on
            text = show(form)
            text = text if len(text) < 100 else text[:97] + "..."
            kind = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
            self._report.failures.append(f"{self._report.name}:{form.line}: {text}: {kind}{error}")
        else:
            self._report.passed += form.head != "register"

    # --- modules ---

    def _module(self, form: Form) -> None:
        words = [node for node in form[1:3] if isinstance(node, str)]
        if words[:1] == ["instance"]:
            self._instance(form)
            return
        identifier = next((word for word in words if word.startswith("$")), "")
        try:
            module = self._load(form)
        except Exception as error:
            self._last_definition = self._definitions[identifier] = error
            if "definition" not in words:
                self._current = self._instances[identifier] = _consequence(error)
            raise
        self._last_definition = self._definitions[identifier] = module
        if "definition" not in words:
            self._instantiate(identifier, module)
        if id(module) in self._pruned:
            raise self._pruned[id(module)][1]

    def _instance(self, form: Form) -> None:
        identifiers = [str(node) for node in form[2:]]
        definition = self._definitions[identifiers[1]] if len(identifiers) > 1 else self._last_definition
        if isinstance(definition, Exception):
            raise _consequence(definition)
        self._instantiate(identifiers[0] if identifiers else "", definition)

    def _instantiate(self, identifier: str, module: Module) -> None:
        try:
            self._current = self._instances[identifier] = self._make_instance(module)
        except Exception as error:
            self._current = self._instances[identifier] = _consequence(error)
            raise

    def _make_instance(self, module: Module) -> Instance:
        instance = Instance(module, self._find, self._make_engine)
        self._opened.append(instance)
        return instance

    def _find(self, wanted: Import) -> Extern:
        if wanted.module == "spectest" and wanted.module not in self._registered:
            spectest = SpecTest(_spectest(), self._find, self._make_engine)
            self._opened.append(spectest)
            self._registered["spectest"] = spectest
        owner = self._registered.get(wanted.module, Unlinkable(f"nothing is registered as {wanted.module!r}"))
        if isinstance(owner, Exception):
            raise owner
        return owner.export(wanted.name, wanted.kind)

    def _load(self, form: Form) -> Module:
        """The module that a ``(module …)`` form describes, or what ttd supports of it."""
        binary = self._binary(form)
        try:
            return load_module(binary)
        except UnsupportedFeature as error:
            text = prune(self._source, form) if module_kind(form) == "text" else None
            if text is None:
                raise OutOfScope(error.feature) from None
            return self._load_pruned(text, OutOfScope(error.feature))

    def _load_pruned(self, text: bytes, reason: OutOfScope) -> Module:
        try:
            module = load_module(assemble(text))
        except (UnsupportedFeature, InvalidModule, wasmtime.WasmtimeError):
            raise reason from None
        self._pruned[id(module)] = module, reason
        return module

    def _binary(self, form: Form) -> bytes:
        """The bytes of a module form; WasmtimeError where its text does not parse."""
        kind = module_kind(form)
        if kind == "binary":
            return _strings(form)
        if kind == "quote":
            return bytes(wasmtime.wat2wasm(_strings(form)))
        return assemble(merge_tags(self._source, form))

    def _register(self, form: Form) -> None:
        name = form[1]
        if not isinstance(name, bytes):
            raise Failed("a name is missing")
        # A module that failed is registered too: it is reported where it stands, and at each use.
        self._registered[name.decode()] = self._instances[str(form[2])] if len(form) > 2 else self._current

    # --- actions and assertions ---

    def _act(self, form: Node) -> tuple[Value, ...]:
        """Perform an ``(invoke …)`` or a ``(get …)``; its results."""
        if not isinstance(form, Form):
            raise Failed(f"not an action: {form!r}")
        rest = form[1:]
        instance = self._current
        if isinstance(rest[0], str):
            instance = self._instances[rest[0]]
            rest = rest[1:]
        if isinstance(instance, Exception):
            raise instance
        name = rest[0].decode() if isinstance(rest[0], bytes) else ""
        if id(instance.module) in self._pruned and name not in instance.module.exports_by_name:
            raise self._pruned[id(instance.module)][1]
        if form.head == "get":
            return (instance.get(name),)
        return instance.invoke(name, tuple(constant(argument) for argument in rest[1:]))

    def _action(self, form: Form) -> None:
        self._act(form)

    def _assert_return(self, form: Form) -> None:
        patterns = [pattern(expected) for expected in form[2:]]
        try:
            results = self._act(form[1])
        except Trapped as error:
            raise Failed(f"trapped: {error}") from None
        good = len(results) == len(patterns) and all(
            expected.matches(result) for expected, result in zip(patterns, results, strict=True)
        )
        if not good:
            got = ", ".join(f"{value:#x}" if isinstance(value, int) else str(value) for value in results)
            raise Failed(f"got ({got})")

    def _assert_trap(self, form: Form) -> None:
        expected = form[2].decode() if isinstance(form[2], bytes) else ""
        try:
            if isinstance(form[1], Form) and form[1].head == "module":
                self._make_instance(self._load(form[1]))
            else:
                self._act(form[1])
        except Trapped as error:
            message = error.trap.detail if error.trap.kind is TrapKind.HOST else error.trap.kind.value
        except LinkError as error:
            message = str(error)
        else:
            raise Failed("did not trap")
        if not same_trap(expected, message):
            raise Failed(f"trapped with {message!r}")

    def _assert_exception(self, form: Form) -> None:
        try:
            self._act(form[1])
        except Trapped as error:
            if error.trap.kind is not TrapKind.UNCAUGHT_EXCEPTION:
                raise Failed(f"trapped: {error}") from None
        else:
            raise Failed("returned")

    def _assert_rejected(self, form: Form) -> None:
        """assert_invalid and assert_malformed: the module must be refused."""
        if not isinstance(form[1], Form):
            raise Failed("no module to reject")
        try:
            binary = self._binary(form[1])
        except wasmtime.WasmtimeError:
            raise OutOfScope("text that does not parse: ttd reads binaries only") from None
        try:
            load_module(binary)
        except (InvalidModule, UnsupportedFeature):
            return
        if form[2] in (b"multiple memories", b"multiple tables"):
            raise OutOfScope("holds for WebAssembly 1.0 only, which had one memory and one table")
        raise Failed("was accepted")

    def _assert_unlinkable(self, form: Form) -> None:
        raise OutOfScope("linking modules to one another: ttd runs one module")

    def _threads(self, form: Form) -> None:
        raise OutOfScope("threads")

    def _unknown(self, form: Form) -> None:
        raise Failed("this harness does not know the command")


_COMMANDS: dict[str, Callable[[Script, Form], None]] = {
    "module": Script._module,
    "register": Script._register,
    "invoke": Script._action,
    "get": Script._action,
    "assert_return": Script._assert_return,
    "assert_trap": Script._assert_trap,
    "assert_exhaustion": Script._assert_trap,
    "assert_exception": Script._assert_exception,
    "assert_invalid": Script._assert_rejected,
    "assert_malformed": Script._assert_rejected,
    "assert_unlinkable": Script._assert_unlinkable,
    "thread": Script._threads,
    "wait": Script._threads,
}


def assemble(text: bytes) -> bytes:
    """The binary of a module in text form. WasmtimeError if it does not parse."""
    text = re.sub(rb"\A\(\s*module\s+definition\b", b"(module", text)
    # Wasmtime's parser refuses characters that look like others. The suite uses them, in strings only.
    text = re.sub(rb"[\x80-\xff]", lambda match: b"\\%02x" % match[0][0], text)
    return bytes(wasmtime.wat2wasm(text))


def module_kind(form: Form) -> str:
    """``binary``, ``quote`` or ``text``: how the module of a ``(module …)`` form is written down."""
    for node in form[1:4]:
        if node in ("binary", "quote"):
            return str(node)
        if not isinstance(node, str):
            break
    return "text"


def same_trap(expected: str, message: str) -> bool:
    """Whether a trap is the one asked for. The suite adds details to some: "uninitialized element 2"."""
    return expected in message or expected.startswith(message)


def _consequence(error: Exception) -> Exception:
    """What is wrong with everything that needs a module which failed with `error`."""
    if isinstance(error, (OutOfScope, Unknown)):
        return OutOfScope(str(error))
    return Failed(f"its module failed: {error}")


def _strings(form: Form) -> bytes:
    return b"".join(node for node in form if isinstance(node, bytes))


@lru_cache(maxsize=1)
def _spectest() -> Module:
    return load_module(bytes(wasmtime.wat2wasm(SPECTEST)))
