"""Host functions in Python: what ``ttd record --host FILE.py`` offers to FILE.py. See docs/host-functions.md.

A host function says which import it serves, and gets a `Guest`, through which it reads and writes the
program's memory, and the arguments of the call:

    from ttd.recorder.hostapi import Guest, host_function, u32

    @host_function("env", "greet")
    def greet(guest: Guest, name: u32, size: u32) -> int:
        print("hello,", guest.read(name, size).decode())
        return 0

What it returns and what it writes is logged; a replay takes both from the log and runs no Python.

Imports base modules, `ttd.wasm.model` and `ttd.recorder.calls`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Annotated, NamedTuple, TypeVar, get_type_hints

from ttd.errors import LinkError, UsageError
from ttd.events import MemoryWrite, Outcome
from ttd.recorder.calls import Performed, trapped
from ttd.state import Memory
from ttd.types import Value
from ttd.wasm.model import FuncType, ValType

# --- for FILE.py -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _As:
    """How an annotated argument is passed."""

    type: ValType
    signed: bool = True


i32 = Annotated[int, _As(ValType.I32)]
"""A signed 32-bit number; what an i32 is passed as without annotation."""
u32 = Annotated[int, _As(ValType.I32, signed=False)]
"""An unsigned 32-bit number, such as an address or a size."""
i64 = Annotated[int, _As(ValType.I64)]
"""A signed 64-bit number; what an i64 is passed as without annotation."""
u64 = Annotated[int, _As(ValType.I64, signed=False)]
"""An unsigned 64-bit number."""
f32 = Annotated[float, _As(ValType.F32)]
"""A 32-bit float."""
f64 = Annotated[float, _As(ValType.F64)]
"""A 64-bit float."""


class HostError(Exception):
    """Raise this in a host function to trap the program; its text becomes the message of the trap."""


class Exit(Exception):
    """Raise this in a host function to end the program with exit code `code`, from 0 to 2**32 - 1."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code & 0xFFFFFFFF


class Guest:
    """The program that calls, for as long as the call lasts. All that it writes goes into the log.

    Addresses may be given signed or unsigned. An access out of bounds raises HostError, which traps the
    program unless it is caught.
    """

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._memories: Sequence[Memory] | None = memories
        self._writes: list[MemoryWrite] = []

    def read(self, address: int, length: int, memory: int = 0) -> bytes:
        """A copy of `length` bytes from `address` on."""
        start, view = self._place(address, length, memory)
        return bytes(view[start : start + length])

    def read_string(self, address: int, limit: int = 65536, memory: int = 0) -> str:
        """The C string at `address`, UTF-8 (damaged characters replaced); HostError beyond `limit` bytes."""
        start, view = self._place(address, 0, memory)
        data = bytes(view[start : start + limit + 1])
        end = data.find(b"\0")
        if end < 0:
            raise HostError(f"the string at {start:#x} does not end within {limit} bytes")
        return data[:end].decode("utf-8", "replace")

    def read_int(self, address: int, size: int = 4, *, signed: bool = False, memory: int = 0) -> int:
        """The little-endian number in the `size` bytes from `address` on."""
        return int.from_bytes(self.read(address, size, memory), "little", signed=signed)

    def write(self, address: int, data: bytes, memory: int = 0) -> None:
        """Write `data` to `address` on, and log it."""
        data = bytes(data)
        start, view = self._place(address, len(data), memory)
        view[start : start + len(data)] = data
        if data:
            self._writes.append(MemoryWrite(memory, start, data))

    def write_int(self, address: int, value: int, size: int = 4, memory: int = 0) -> None:
        """Write the low `size` bytes of `value` to `address`, little-endian."""
        self.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"), memory)

    def memory_size(self, memory: int = 0) -> int:
        """How many bytes a memory has now."""
        return len(self._view(memory))

    def _view(self, memory: int) -> memoryview:
        if self._memories is None:
            raise RuntimeError("a Guest can be used only while its call lasts: the log of the call is closed")
        if not 0 <= memory < len(self._memories):
            raise HostError(f"the program has no memory number {memory}")
        return self._memories[memory].view()

    def _place(self, address: int, length: int, memory: int) -> tuple[int, memoryview]:
        view = self._view(memory)
        start = address if address >= 0 else address + (1 << 32)
        if length < 0 or start < 0 or start + length > len(view):
            raise HostError(f"access out of bounds: {length} bytes at {start:#x} of {len(view):#x}")
        return start, view

    def _close(self) -> tuple[MemoryWrite, ...]:
        self._memories = None
        return tuple(self._writes)


_Function = TypeVar("_Function", bound=Callable[..., object])

_declared: list[Declaration] | None = None
"""The host functions of the file that is being loaded; None while none is."""


def host_function(module: str, name: str | None = None) -> Callable[[_Function], _Function]:
    """Decorate the function that serves the import `name` (its own name, unless given) of `module`.

    It gets a `Guest` and the arguments: integers signed (or as annotated: `u32`, `u64`), floats as float,
    an externref as the Python object that it stands for. It returns nothing, a value, or a tuple of values.
    Types are checked against the import when recording starts, results on every call. An exception
    traps the program; `Exit` ends it.
    """

    def decorate(function: _Function) -> _Function:
        if not isinstance(function, FunctionType):
            raise TypeError(f"{module}.{name}: only a Python function can be a host function")
        if _declared is not None:
            _declared.append(Declaration(module, name or function.__name__, function))
        return function

    return decorate


# --- for the recorder --------------------------------------------------------------------------------


class Declaration(NamedTuple):
    """A function that a host file offers for an import."""

    module: str
    name: str
    function: FunctionType


def load_host_file(path: Path) -> dict[tuple[str, str], Declaration]:
    """Run a host file; its functions by module and name.

    UsageError if the file cannot be read or fails, or if two functions serve one import.
    """
    if not path.is_file():
        raise UsageError(f"--host: there is no file {path}")
    functions: dict[tuple[str, str], Declaration] = {}
    for declaration in _run(path):
        key = declaration.module, declaration.name
        if key in functions:
            raise UsageError(f"--host: {path} has two functions for {'.'.join(key)}")
        functions[key] = declaration
    if not functions:
        raise UsageError(f"--host: {path} has no host functions; mark them with @host_function")
    return functions


def _run(path: Path) -> list[Declaration]:
    spec = importlib.util.spec_from_file_location("ttd_host_file", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--host: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    with _collecting() as declared, _importing_from(path.parent):
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise UsageError(f"--host: {path} failed to load: {_explain(error, path)}") from error
    return declared


@contextlib.contextmanager
def _collecting() -> Iterator[list[Declaration]]:
    global _declared
    declared: list[Declaration] = []
    _declared = declared
    try:
        yield declared
    finally:
        _declared = None


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let a host file import what lies beside it, as a script can."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(entry)


def _explain(error: BaseException, path: Path) -> str:
    """An exception on one line, with the innermost line of `path` that it came through."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    text = " ".join(str(error).split())
    place = f" ({path.name}:{line})" if line is not None else ""
    return f"{type(error).__name__}{f': {text}' if text else ''}{place}"


@dataclass(slots=True)
class References:
    """The Python objects that the guest holds externrefs to. They are kept until the recording ends."""

    _objects: list[object] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)

    def number(self, value: object) -> int | None:
        """The number that stands for `value`; None (the null reference) for None."""
        if value is None:
            return None
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append(value)
        return number

    def object(self, number: Value) -> object:
        """The object that `number` stands for; the number itself if the recorder never gave it out."""
        known = isinstance(number, int) and number < len(self._objects)
        return self._objects[number] if known and isinstance(number, int) else number


class HostFunction:
    """One host function, bound to an import of type `type_`. A `ttd.recorder.calls.Callee`."""

    def __init__(self, declaration: Declaration, type_: FuncType, references: References) -> None:
        """LinkError if the function's parameters do not fit the import."""
        self._name = f"{declaration.module}.{declaration.name}"
        self._function = declaration.function
        self._path = Path(declaration.function.__code__.co_filename)
        self._type = type_
        self._references = references
        self._unsigned = _match(declaration, type_)

    def __call__(self, arguments: tuple[Value, ...], memories: Sequence[Memory]) -> Performed:
        """Call the Python function; what it raises is an outcome."""
        guest = Guest(memories)
        try:
            results = self._results(self._function(guest, *self._arguments(arguments)))
        except Exit as exit_:
            return Performed(writes=guest._close(), outcome=Outcome.EXITED, code=exit_.code)
        except HostError as error:
            return trapped(f"{self._name}: {' '.join(str(error).split())}", guest._close())
        except Exception as error:
            return trapped(f"{self._name}: {_explain(error, self._path)}", guest._close())
        finally:
            # What the function printed comes before what the program prints next, past Python's buffer.
            sys.stdout.flush()
        return Performed(results, guest._close())

    def _arguments(self, values: tuple[Value, ...]) -> Iterator[object]:
        for value, type_, unsigned in zip(values, self._type.params, self._unsigned, strict=True):
            if type_ is ValType.EXTERNREF:
                yield self._references.object(value)
            elif isinstance(value, int) and not unsigned and type_ in _CODES:
                yield _from_bits(value, type_)
            else:
                yield value

    def _results(self, returned: object) -> tuple[Value, ...]:
        types = self._type.results
        if len(types) == 1:
            values: tuple[object, ...] = (returned,)
        elif isinstance(returned, tuple):
            values = returned
        else:
            values = () if returned is None else (returned,)
        if len(values) != len(types):
            expected = ", ".join(map(str, types)) or "nothing"
            raise HostError(f"it returned {returned!r:.60}; the program expects {expected}")
        return tuple(self._result(value, type_) for value, type_ in zip(values, types, strict=True))

    def _result(self, value: object, type_: ValType) -> Value:
        if type_ is ValType.EXTERNREF:
            return self._references.number(value)
        if type_ in _CODES or type_ is ValType.V128:
            bits = _to_bits(value, type_)
            if bits is not None:
                return bits
        elif value is None:
            return None
        raise HostError(f"it returned {value!r:.60}, which is no {type_}")


_CODES: Mapping[ValType, str] = {
    ValType.I32: "<i",
    ValType.I64: "<q",
    ValType.F32: "<f",
    ValType.F64: "<d",
}
"""How Python packs the number types."""


def _from_bits(value: int, type_: ValType) -> int | float:
    code = _CODES[type_]
    number = struct.unpack(code, value.to_bytes(struct.calcsize(code), "little"))[0]
    return number if isinstance(number, (int, float)) else 0


def _to_bits(value: object, type_: ValType) -> int | None:
    """The bits of `value` as a `type_`; None if it is none."""
    if type_ in (ValType.F32, ValType.F64):
        return _float_bits(value, _CODES[type_]) if isinstance(value, (int, float)) else None
    bits = {ValType.I32: 32, ValType.I64: 64}.get(type_, 128)
    if not isinstance(value, int) or not -(1 << bits - 1) <= value < 1 << bits:
        return None
    return value & (1 << bits) - 1


def _float_bits(value: float, code: str) -> int | None:
    try:
        number = float(value)
        if math.isnan(number):  # Which NaN it is must not depend on the machine.
            return 0x7FC00000 if code == "<f" else 0x7FF8000000000000
        return int.from_bytes(struct.pack(code, number), "little")
    except OverflowError:
        return None


def _match(declaration: Declaration, type_: FuncType) -> tuple[bool, ...]:
    """Whether each argument is passed unsigned. LinkError if the parameters do not fit `type_`."""
    name = f"{declaration.module}.{declaration.name}"
    code = declaration.function.__code__
    if not code.co_flags & 0x04 and code.co_argcount - 1 != len(type_.params):
        raise LinkError(
            f"the host function {name} takes {max(code.co_argcount - 1, 0)} arguments behind the guest, "
            f"but the module calls it with {len(type_.params)} ({', '.join(map(str, type_.params))})"
        )
    annotations = _annotations(declaration.function)
    names = [*code.co_varnames[1 : code.co_argcount], *[""] * len(type_.params)]
    return tuple(_passed(name, names[at], annotations, kind) for at, kind in enumerate(type_.params))


def _passed(function: str, parameter: str, annotations: Mapping[str, _As], kind: ValType) -> bool:
    wanted = annotations.get(parameter)
    if wanted is None:
        return False
    if wanted.type is not kind:
        raise LinkError(
            f"the host function {function} takes its argument {parameter} as {wanted.type}, "
            f"but the module passes {kind}"
        )
    return not wanted.signed


def _annotations(function: Callable[..., object]) -> dict[str, _As]:
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception:  # Annotations are the file's own affair; those that mean nothing to us are ignored.
        return {}
    metadata = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: item for name, items in metadata.items() for item in items if isinstance(item, _As)}
