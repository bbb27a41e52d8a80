"""Debug information that is kept apart from the code, in a file of its own beside a stripped module.

Such a file is a WebAssembly module too (tool-conventions, Debugging.md): its custom sections hold the DWARF,
and mostly it has the code as well. DWARF counts addresses from the beginning of the code section, so its
sections serve the stripped module as they are, wherever the code lies in either file; what is made of both
is the stripped module with those sections (`Module.apart`). That they belong together is checked before:

- by the ``build_id`` sections (tool-conventions, BuildId.md), where both have one;
- by the code, byte for byte, where the file has it;
- else by the layout: where the DWARF says that functions are, there must be functions.

May import base, `ttd.wasm` and the rest of `ttd.debuginfo`.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from ttd.errors import InvalidModule, TtdError, UsageError
from ttd.wasm.decode import decode
from ttd.wasm.encode import encode
from ttd.wasm.expression import read_count
from ttd.wasm.model import CustomSection, Module

if TYPE_CHECKING:
    from ttd.debuginfo.info import DebugInfo

LARGEST = 1 << 30
"""Bytes of a file above which it is refused unread."""

_CODE = 10
_EMPTY = b"\0asm\1\0\0\0"


class Joined(NamedTuple):
    """A module with its debug information."""

    module: Module
    file: Path | None = None
    """Where the debug information is from; None: from the module itself, or there is none."""
    note: str = ""
    """For people: what was not found, or does not fit. "" mostly."""


def find_debug_info(module: Module, path: Path, chosen: Path | None = None) -> Joined:
    """The module from file `path` with the debug information that is kept apart from it, if any is.

    That is `chosen`, if given; else nothing, if the module has some itself; else the file that its
    ``external_debug_info`` section names, or ``prog.debug.wasm`` beside ``prog.wasm``. Raises UsageError
    where `chosen` cannot be used; where nobody has chosen, the note tells.
    """
    if chosen is not None:
        return join(module, read_debug_file(chosen), chosen)
    if module.custom(".debug_info") is not None:
        return Joined(module)
    link, notes = external_debug_info(module), []
    for place in _places(link, path):
        try:
            if place.exists():
                return join(module, read_debug_file(place), place)
        except (TtdError, OSError, ValueError) as error:
            notes.append(f"no debug information: {error}")
    if link and not notes:
        notes.append(
            f"the debug information is not here, but kept at {link!r}; name it with --debug-info FILE"
        )
    return Joined(module, None, notes[0] if notes else "")


def _places(link: str, path: Path) -> Iterator[Path]:
    """Where the file may be: Emscripten calls it ``prog.wasm.debug.wasm``."""
    if link:
        parts = urlsplit(link)
        if parts.scheme in ("", "file") and not parts.netloc:
            yield path.parent / unquote(parts.path)
    yield path.with_suffix(".debug.wasm")
    yield path.with_name(path.name + ".debug.wasm")


def read_debug_file(path: Path) -> bytes:
    """The contents of a file with debug information; raises UsageError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is no file; --debug-info takes a .wasm file with debug information")
        if status.st_size > LARGEST:
            raise UsageError(f"{path} is larger than 1 GiB; is it a module?")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {path}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


def join(module: Module, data: bytes, file: Path) -> Joined:
    """`module` with the debug information that `data`, the contents of `file`, holds for it.

    Raises UsageError if there is none in it, or if it belongs to another program.
    """
    if data.startswith(b"\x7fELF"):
        raise UsageError(
            f"{file} is an ELF file, perhaps split DWARF (.dwo), which ttd does not read; "
            "name a .wasm file with debug information"
        )
    try:
        debug = decode(data)
    except InvalidModule as error:
        raise UsageError(f"{error.of_file(str(file))}; name a .wasm file with debug information") from error
    if debug.custom(".debug_info") is None:
        if any(section.name.endswith(".dwo") for section in debug.customs):
            raise UsageError(
                f"{file} is split DWARF (.dwo), which ttd does not read; build without -gsplit-dwarf"
            )
        raise UsageError(
            f"{file} holds no debug information; name the module as it was before it was stripped"
        )
    joined = _with_sections(module, debug)
    difference = _difference(module, debug, joined)
    if difference:
        raise UsageError(
            f"{file} is not the debug information of this program: {difference}; "
            "use the file that was made together with it"
        )
    return Joined(joined, file)


def debug_info_of(module: Module, chosen: Path | None = None) -> DebugInfo:
    """What is known about the source of `module`, by its own sections or by those of a file.

    Raises UsageError as `join`.
    """
    from ttd.debuginfo.info import DebugInfo

    return DebugInfo(module if chosen is None else join(module, read_debug_file(chosen), chosen).module)


def rejoin(module: Module, kept: bytes) -> Module:
    """`module` with what `debug_sections` of it returned; raises InvalidModule. Checks nothing again."""
    return _with_sections(module, decode(kept))


def debug_sections(joined: Module) -> bytes:
    """The debug information of a joined module, as a module that holds nothing else."""
    customs = tuple(section for section in joined.customs if _is_debug(section))
    return encode(replace(decode(_EMPTY), customs=customs))


def build_id(module: Module) -> bytes | None:
    """The contents of the ``build_id`` section; None without one that can be read."""
    section = module.custom("build_id")
    if section is None:
        return None
    with suppress(InvalidModule, IndexError):
        size, start = read_count(section.data, 0, len(section.data))
        return section.data[start : start + size]
    return None


def external_debug_info(module: Module) -> str:
    """What the ``external_debug_info`` section says: path or URL of a file; "" without one."""
    section = module.custom("external_debug_info")
    if section is None:
        return ""
    with suppress(InvalidModule, IndexError):
        size, start = read_count(section.data, 0, len(section.data))
        return section.data[start : start + size].decode("utf-8", "replace")
    return ""


def _is_debug(section: CustomSection) -> bool:
    return section.name.startswith(".debug_") or section.name == "name"


def _with_sections(module: Module, debug: Module) -> Module:
    """`module` with the DWARF of `debug`, and with its names unless it has names itself."""
    own = tuple(section for section in module.customs if not section.name.startswith(".debug_"))
    has_names = any(section.name == "name" for section in own)
    taken = [s for s in debug.customs if _is_debug(s) and not (has_names and s.name == "name")]
    digest = hashlib.sha256()
    for section in taken:
        digest.update(section.name.encode() + b"\0" + section.data)
    return replace(module, customs=(*own, *taken), apart=digest.hexdigest()[:16])


def _difference(module: Module, debug: Module, joined: Module) -> str:
    """Why the debug information of `debug` cannot be that of `module`; "" if it can."""
    mine, its = build_id(module), build_id(debug)
    if mine is not None and its is not None and mine != its:
        return f"its build id is {its.hex() or 'empty'}, that of the program {mine.hex() or 'empty'}"
    if _code(debug):
        return _different_code(module, debug)
    return "" if _fits(joined) else "the functions that it describes lie elsewhere"


def _code(module: Module) -> bytes:
    """The contents of the code section."""
    found = next((section for section in module.sections if section.id == _CODE), None)
    return module.data[found.offset : found.offset + found.size] if found is not None else b""


def _different_code(module: Module, debug: Module) -> str:
    if _code(module) == _code(debug):
        return ""
    mine, its = _bodies(module), _bodies(debug)
    if len(mine) != len(its):
        return f"it has {len(its)} functions, the program {len(mine)}"
    number = next((i for i, (one, other) in enumerate(zip(mine, its, strict=True)) if one != other), None)
    if number is None:
        return "its code is laid out differently"
    return f"the code of its function {number} differs"


def _bodies(module: Module) -> list[bytes]:
    """The bytes of each function, its declared locals without what is before them."""
    return [module.data[f.body.start : f.body.end] for f in module.functions if f.body is not None]


def _fits(joined: Module) -> bool:
    """Whether all code of the compile units begins and ends where functions of the module do."""
    from ttd.debuginfo.lines import FunctionMap
    from ttd.debuginfo.sections import Problems, open_dwarf
    from ttd.debuginfo.units import Units

    problems = Problems()
    dwarf = problems.attempt("debug information", lambda: open_dwarf(joined), None)
    if dwarf is None:
        return False
    functions = FunctionMap(joined)
    ends = {f.body.end - joined.code_offset for f in joined.functions if f.body is not None}
    return all(
        functions.function_starting_at(low) is not None and high in ends
        for unit in Units(dwarf, functions, problems).all
        for low, high in unit.told_ranges
        if 0 < low < _TOMBSTONES[joined.memories[0].is64 if joined.memories else False]
    )


_TOMBSTONES = {False: 0xFFFF_FF00, True: 0xFFFF_FFFF_FFFF_FF00}
"""By whether addresses have 64 bits: from where on they stand for functions that the linker dropped."""
