"""The words of an expression (C's lexical grammar, ISO C 6.4, less what expressions do not need).

May import base only.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from ttd.errors import ExpressionError

MAX_LENGTH = 10_000
"""Characters of an expression."""


class TokenKind(enum.Enum):
    NUMBER = "number"
    REAL = "real"
    CHARACTER = "character"
    STRING = "string"
    NAME = "name"
    SPECIAL = "special"
    """``$pc``, ``$1``, ``$$``: `text` is all of it."""
    OPERATOR = "operator"
    END = "end of expression"


@dataclass(frozen=True, slots=True)
class Token:
    """A word. `column` counts from 0. `value` is that of a number or character, `suffix` such as ``ul``."""

    kind: TokenKind
    text: str
    column: int
    value: int | float = 0
    suffix: str = ""

    def describe(self) -> str:
        """For messages: the word in quotes, or *end of expression*."""
        return self.kind.value if self.kind is TokenKind.END else f"'{self.text}'"


_PATTERN = re.compile(
    r"""
      (?P<space>   \s+ )
    | (?P<real>    (?: [0-9]+\.[0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? [fFlL]? (?![\w.])
                 | [0-9]+ [eE][+-]?[0-9]+ [fFlL]? (?![\w.]) )
    | (?P<number>  (?: 0[xX][0-9a-fA-F]+ | 0[bB][01]+ | [0-9]+ ) [uUlL]{0,3} (?![\w.]) )
    | (?P<char>    ' (?: \\ (?: x[0-9a-fA-F]{1,2} | [0-7]{1,3} | . ) | [^'\\] ) ' )
    | (?P<string>  " (?: \\ (?: x[0-9a-fA-F]{1,2} | [0-7]{1,3} | . ) | [^"\\] )* " )
    | (?P<name>    (?:::)? [^\W\d]\w* (?: :: ~? [^\W\d]\w* )* )
    | (?P<special> \$\$? \w* )
    | (?P<operator> <<= | >>= | -> | << | >> | <= | >= | == | != | && | \|\| | \+\+ | -- | [-+*/%&|^]=
                 | [-+*/%&|^~!<>=?:.,()\[\]{}@] )
    """,
    re.VERBOSE,
)

_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27, "0": 0}


def tokenize(text: str) -> list[Token]:
    """The words of `text`, closed by an END; raises ExpressionError at what is none."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"expression is longer than {MAX_LENGTH} characters")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            raise _unreadable(text, position)
        if match.lastgroup != "space":
            tokens.append(_token(str(match.lastgroup), match[0], position))
        position = match.end()
    tokens.append(Token(TokenKind.END, "", len(text)))
    return tokens


def _unreadable(text: str, column: int) -> ExpressionError:
    word = re.match(r"[\w.]+|.", text[column:], re.DOTALL)
    shown = word[0] if word else text[column]
    if shown[0].isdigit():
        return ExpressionError(f"invalid number {shown!r}", column)
    if shown == '"':
        return ExpressionError("the string does not end", column)
    return ExpressionError(f"invalid character {shown!r} in expression", column)


def _token(group: str, text: str, column: int) -> Token:
    if group == "number":
        return _number(text, column)
    if group == "real":
        digits = text.rstrip("fFlL")
        return Token(TokenKind.REAL, text, column, float(digits), text[len(digits) :].lower())
    if group == "char":
        return Token(TokenKind.CHARACTER, text, column, _character(text[1:-1], column))
    if group == "string":
        return Token(TokenKind.STRING, text, column)
    if group == "special":
        return Token(TokenKind.SPECIAL, text, column)
    return Token(TokenKind.NAME if group == "name" else TokenKind.OPERATOR, text, column)


def _number(text: str, column: int) -> Token:
    digits = text.rstrip("uUlL")
    suffix = text[len(digits) :].lower()
    if suffix not in ("", "u", "l", "ul", "lu", "ll", "ull", "llu"):
        raise ExpressionError(f"invalid number {text!r}", column)
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] not in "xXbB"
    try:
        value = int(digits, 8) if octal else int(digits, 0)
    except ValueError:
        raise ExpressionError(f"invalid number {text!r}", column) from None
    if value >= 1 << 64:
        raise ExpressionError(f"number {text} does not fit 64 bits", column)
    return Token(TokenKind.NUMBER, text, column, value, suffix)


def string_value(token: Token) -> bytes:
    """The bytes of a string literal, UTF-8 where it has other characters than ASCII's."""
    parts = re.findall(r"\\(?:x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)|[^\\]+", token.text[1:-1], re.DOTALL)
    return b"".join(
        bytes([_character(part, token.column)]) if part.startswith("\\") else part.encode() for part in parts
    )


def _character(body: str, column: int) -> int:
    if not body.startswith("\\"):
        code = body.encode("utf-8")
        if len(code) > 1:
            raise ExpressionError(f"character {body!r} does not fit one byte", column)
        return code[0]
    escape = body[1:]
    if escape[0] == "x":
        return int(escape[1:], 16)
    if escape[0] in "01234567":
        return int(escape, 8) & 0xFF
    return _ESCAPES.get(escape, ord(escape) & 0xFF)
