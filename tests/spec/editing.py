"""Edits the text of the suite's modules, so that what ttd supports of them can be run.

Some scripts test plain features and, in the same module, a handful of functions of a proposal that ttd does
not support: `prune` blanks those out. And some import one tag under two names, which is nothing to an engine
that runs one module and so has no need to tell a tag from its alias: `merge_tags` makes them one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tests.spec.sexpr import Form, Node

_TYPED = {"ref", "call_ref", "return_call_ref", "ref.as_non_null", "br_on_null", "br_on_non_null", "ref.eq"}
"""Words of the text format that only typed function references and GC use."""

_FIELDS = {"func", "table", "global", "elem"}


def module_text(source: bytes, module: Form, without: Sequence[Form] = ()) -> bytes:
    """The text of `module`, a form of `source`, with the fields in `without` blanked out.

    Blanks are spaces, so that places in error messages stay right.
    """
    text = bytearray(source[module.start : module.end])
    for field in without:
        text[field.start - module.start : field.end - module.start] = b" " * (field.end - field.start)
    return bytes(text)


def prune(source: bytes, module: Form) -> bytes | None:
    """The text of `module` without the fields that use typed references; None if there are none.

    What a script then asks of a missing export is out of scope, as the whole module would have been. Where
    another field names one that is gone, the text no longer parses, and the module is given up.
    """
    typed = [field for field in _fields(module) if field.head in _FIELDS and _is_typed(field)]
    return module_text(source, module, typed) if typed else None


def merge_tags(source: bytes, module: Form) -> bytes:
    """The text of `module` in which every tag is imported once, whatever its identifiers were."""
    first: dict[tuple[bytes, ...], str] = {}
    aliases: list[tuple[Form, str]] = []
    for field in _fields(module):
        origin = next((item for item in _fields(field) if item.head == "import"), None)
        if field.head == "tag" and origin is not None and isinstance(field[1], str):
            key = tuple(item for item in origin if isinstance(item, bytes))
            if key in first:
                aliases.append((field, first[key]))
            first.setdefault(key, field[1])
    text = module_text(source, module, [field for field, _ in aliases])
    for field, identifier in aliases:
        text = re.sub(re.escape(str(field[1]).encode()) + rb"(?=[\s()])", identifier.encode(), text)
    return text


def _fields(module: Form) -> Iterator[Form]:
    return (node for node in module if isinstance(node, Form))


def _is_typed(node: Node) -> bool:
    if isinstance(node, Form):
        return any(_is_typed(item) for item in node)
    return isinstance(node, str) and node in _TYPED
