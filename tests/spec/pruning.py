"""Saves what can be saved of a module that uses typed function references in a few places.

Some scripts of the suite test plain features and, in the same module, a handful of functions of a proposal
that ttd does not support. Those fields are blanked out, and the rest is run. What a script then asks of a
missing export is out of scope, as the whole module would have been.
"""

from __future__ import annotations

from tests.spec.sexpr import Form, Node

_TYPED = {"ref", "call_ref", "return_call_ref", "ref.as_non_null", "br_on_null", "br_on_non_null", "ref.eq"}
"""Words of the text format that only typed function references and GC use."""

_FIELDS = {"func", "table", "global", "elem"}


def prune(source: bytes, module: Form) -> bytes | None:
    """The text of `module`, a form of `source`, without its typed fields; None if there are none.

    Blanked fields leave spaces behind, so that places in error messages stay right.
    """
    text = bytearray(source[module.start : module.end])
    fields = [node for node in module if isinstance(node, Form) and node.head in _FIELDS and _is_typed(node)]
    for field in fields:
        text[field.start - module.start : field.end - module.start] = b" " * (field.end - field.start)
    return bytes(text) if fields else None


def _is_typed(node: Node) -> bool:
    if isinstance(node, Form):
        return any(_is_typed(item) for item in node)
    return isinstance(node, str) and node in _TYPED
