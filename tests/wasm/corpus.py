"""Modules to test with: those of the core test suite, and WAT snippets assembled by Wasmtime."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import wasmtime

from tests.spec.sexpr import Form, read
from ttd.engine.validate import load_module
from ttd.errors import UnsupportedFeature
from ttd.wasm.model import Body, CustomSection, Function, Instruction, Module


def assemble(text: str) -> bytes:
    """The binary of a module in text form."""
    return bytes(wasmtime.wat2wasm(text))


def suite_modules(folder: Path) -> Iterator[tuple[str, Module]]:
    """Every valid module of the suite that ttd supports, with the place it comes from."""
    for path in sorted(folder.glob("*.wast")):
        source = path.read_bytes()
        for form in read(source):
            binary = _binary(source, form) if form.head == "module" else None
            if binary is not None:
                try:
                    yield f"{path.name}:{form.line}", load_module(binary)
                except UnsupportedFeature:
                    continue


def suite_rejects(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every module that the suite expects to be refused and that can be written down in binary at all."""
    for path in sorted(folder.glob("*.wast")):
        source = path.read_bytes()
        for form in read(source):
            module = form[1] if form.head in ("assert_invalid", "assert_malformed") else None
            if isinstance(module, Form):
                try:
                    binary = _binary(source, module)
                except wasmtime.WasmtimeError:
                    continue  # the text itself is malformed: nothing of it gets as far as a binary
                if binary is not None:
                    yield f"{path.name}:{form.line}", binary


def _binary(source: bytes, form: Form) -> bytes | None:
    words = [node for node in form[1:4] if isinstance(node, str)]
    if "binary" in words:
        return b"".join(node for node in form if isinstance(node, bytes))
    if "quote" in words or "instance" in words:
        return None
    text = re.sub(rb"\A\(\s*module\s+definition\b", b"(module", source[form.start : form.end])
    text = re.sub(rb"[\x80-\xff]", lambda match: b"\\%02x" % match[0][0], text)
    return bytes(wasmtime.wat2wasm(text))


def without_offsets(part: object) -> object:
    """A module, or a part of one, as plain values without anything that depends on where it lies."""
    if isinstance(part, Instruction):
        return part.op.mnemonic, part.immediates
    if isinstance(part, CustomSection):
        return part.name, part.data
    if isinstance(part, Body):
        return part.locals, without_offsets(part.instructions)
    if isinstance(part, Function):
        return part.type_index, part.type, without_offsets(part.body), part.imported
    if isinstance(part, Module):
        placed = ("data", "sections", "code_offset")
        names = [field.name for field in dataclasses.fields(part) if field.name not in placed]
        return {name: without_offsets(getattr(part, name)) for name in names}
    if isinstance(part, tuple):
        return tuple(without_offsets(item) for item in part)
    return part
