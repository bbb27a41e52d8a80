"""Reader of S-expressions as the test scripts (.wast) have them (core specification 6.3: lexical format).

Atoms come out as `str`, string literals as `bytes`, lists as `Form`. A form remembers where it stands in the
source, so that the text of a module can be cut out whole. Imports nothing of ttd.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

_TOKEN = re.compile(
    rb"""
      (?P<space> [ \t\r\n]+ | ;;[^\n]* )
    | (?P<comment> \(; )
    | (?P<open> \( )
    | (?P<close> \) )
    | (?P<string> "(?:[^"\\\n]|\\.)*" )
    | (?P<atom> [^\s()";]+ (?: "(?:[^"\\\n]|\\.)*" )? | ; )  # a lone semicolon: in annotations only
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(rb"\(;|;\)")
_ESCAPE = re.compile(rb"""\\(?:u\{([0-9a-fA-F_]+)\}|([0-9a-fA-F]{2})|(.))""", re.DOTALL)
_SIMPLE = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b'"': b'"', b"'": b"'", b"\\": b"\\"}


class SyntaxProblem(Exception):
    """The script is not well-formed; the message has the line."""


class Form(list["Node"]):
    """A parenthesised list: source bytes [start, end), and the line of its opening parenthesis."""

    __slots__ = ("end", "line", "start")

    def __init__(self, start: int, line: int) -> None:
        super().__init__()
        self.start = start
        self.end = start
        self.line = line

    @property
    def head(self) -> str:
        """The first atom, by which forms are told apart; empty where there is none."""
        return self[0] if self and isinstance(self[0], str) else ""


Node: TypeAlias = "str | bytes | Form"


def read(source: bytes) -> list[Form]:
    """All forms on the top level of `source`. Annotations are left out, at every depth."""
    forms = []
    for node in _read_nodes(source):
        if not isinstance(node, Form):
            raise SyntaxProblem(f"{node!r} outside of parentheses")
        forms.append(node)
    return forms


def _read_nodes(source: bytes) -> Iterator[Node]:
    stack: list[Form] = []
    position, line = 0, 1
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise SyntaxProblem(f"line {line}: unexpected {source[position : position + 20]!r}")
        kind, end = match.lastgroup, match.end()
        if kind == "comment":
            end = _skip_comment(source, position, line)
        elif kind == "open":
            stack.append(Form(position, line))
        elif kind == "close":
            if not stack:
                raise SyntaxProblem(f"line {line}: unmatched closing parenthesis")
            form = stack.pop()
            form.end = end
            if form.head.startswith("@"):
                pass  # an annotation: it may stand anywhere and means nothing to us
            elif stack:
                stack[-1].append(form)
            else:
                yield form
        elif kind != "space":
            text = match[0]
            node: Node = unescape(text[1:-1]) if kind == "string" else text.decode("utf-8", "replace")
            if not stack:
                yield node
            else:
                stack[-1].append(node)
        line += source.count(b"\n", position, end)
        position = end
    if stack:
        raise SyntaxProblem(f"line {stack[-1].line}: parenthesis never closed")


def _skip_comment(source: bytes, start: int, line: int) -> int:
    """The offset behind the block comment that opens at `start`; block comments nest."""
    depth = 0
    for match in _COMMENT_EDGE.finditer(source, start):
        depth += 1 if match[0] == b"(;" else -1
        if depth == 0:
            return match.end()
    raise SyntaxProblem(f"line {line}: comment never closed")


def unescape(text: bytes) -> bytes:
    """The bytes that a string literal (without its quotes) stands for."""
    if b"\\" not in text:
        return text
    return _ESCAPE.sub(_unescape_one, text)


def _unescape_one(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        code = int(match[1].replace(b"_", b"") or b"0", 16)
        if code > 0x10FFFF:
            raise SyntaxProblem(f"no such character: {match[0]!r}")
        return chr(code).encode("utf-8", "surrogatepass")
    if match[2] is not None:
        return bytes.fromhex(match[2].decode())
    try:
        return _SIMPLE[match[3]]
    except KeyError:
        raise SyntaxProblem(f"unknown escape {match[0]!r}") from None
