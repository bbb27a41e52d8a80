"""Parser of expressions: C's grammar (ISO C 6.5) without assignments and calls, by precedence climbing.

C cannot be parsed without knowing which names are types: ``(a)*b`` is a product or a cast. Where the text
alone decides (``(struct node *)p``, ``(node *)p``, ``(node)p``), it does. Where it does not, the name counts
as a type only if it is among `types`; `Parser.doubtful` collects the names on which this depended, and
whoever knows the program parses again with those that are types.

May import base and this package's tokens and syntax.
"""

from __future__ import annotations

from ttd.errors import ExpressionError
from ttd.expr.syntax import (
    Binary,
    Cast,
    Conditional,
    Index,
    MemberAccess,
    Name,
    Node,
    Number,
    SizeOf,
    Special,
    Text,
    TypeName,
    Unary,
)
from ttd.expr.tokens import Token, TokenKind, string_value, tokenize

MAX_NESTING = 64
MAX_OPERATORS = 200
"""How deep and how long an expression may be: enough for people, and far from Python's limit on recursion."""

PRECEDENCE = {
    "@": 11,
    "*": 10, "/": 10, "%": 10,
    "+": 9, "-": 9,
    "<<": 8, ">>": 8,
    "<": 7, ">": 7, "<=": 7, ">=": 7,
    "==": 6, "!=": 6,
    "&": 5, "^": 4, "|": 3, "&&": 2, "||": 1,
}  # fmt: skip

_ASSIGNMENTS = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--"}
_QUALIFIERS = {"const", "volatile", "restrict", "_Atomic", "register", "static"}
_TAGS = {"struct", "union", "enum", "class"}
_BASIC_WORDS = {
    "void", "char", "short", "int", "long", "signed", "unsigned", "float", "double", "_Bool", "bool",
}  # fmt: skip

_BASIC: dict[tuple[str, ...], str] = {
    tuple(sorted(words.split())): name
    for name, spellings in {
        "void": "void",
        "char": "char",
        "signed char": "signed char",
        "unsigned char": "unsigned char",
        "short": "short|short int|signed short|signed short int",
        "unsigned short": "unsigned short|unsigned short int",
        "int": "int|signed|signed int",
        "unsigned int": "unsigned|unsigned int",
        "long": "long|long int|signed long|signed long int",
        "unsigned long": "unsigned long|unsigned long int",
        "long long": "long long|long long int|signed long long|signed long long int",
        "unsigned long long": "unsigned long long|unsigned long long int",
        "float": "float",
        "double": "double",
        "long double": "long double",
        "_Bool": "_Bool|bool",
    }.items()
    for words in spellings.split("|")
}


class Parser:
    """Parses one text. `types` are names that count as types where the text alone does not decide."""

    def __init__(self, text: str, types: frozenset[str] = frozenset()) -> None:
        self._tokens = tokenize(text)
        self._at = 0
        self._types = types
        self._depth = 0
        self._operators = 0
        self.doubtful: set[str] = set()

    def expression(self) -> Node:
        """The whole text as one expression; raises ExpressionError."""
        if self._next.kind is TokenKind.END:
            raise ExpressionError("empty expression", 0)
        node = self._conditional()
        token = self._next
        if token.kind is not TokenKind.END:
            raise self._unexpected(token)
        return node

    def type_name(self) -> TypeName:
        """The whole text as the name of a type; raises ExpressionError."""
        type_ = self._type_name()
        if self._next.kind is not TokenKind.END:
            raise self._unexpected(self._next)
        return type_

    # --- words ---

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _peek(self, ahead: int) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _is(self, operator: str, ahead: int = 0) -> bool:
        token = self._peek(ahead)
        return token.kind is TokenKind.OPERATOR and token.text == operator

    def _accept(self, operator: str) -> bool:
        if self._is(operator):
            self._take()
            return True
        return False

    def _expect(self, operator: str) -> None:
        if not self._accept(operator):
            raise ExpressionError(f"expected '{operator}' before {self._next.describe()}", self._next.column)

    def _unexpected(self, token: Token) -> ExpressionError:
        if token.text in _ASSIGNMENTS:
            hint = " (to compare, write ==)" if token.text == "=" else ""
            return ExpressionError(
                f"'{token.text}' would change the program, and a recording cannot be changed{hint}",
                token.column,
            )
        if token.text == "(":
            return ExpressionError("functions of the program cannot be called in a recording", token.column)
        return ExpressionError(f"unexpected {token.describe()}", token.column)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise ExpressionError("expression nests too deep", self._next.column)

    def _count(self) -> None:
        self._operators += 1
        if self._operators > MAX_OPERATORS:
            raise ExpressionError(f"expression has more than {MAX_OPERATORS} operators", self._next.column)

    # --- expressions ---

    def _conditional(self) -> Node:
        self._enter()
        condition = self._binary(1)
        if self._is("?"):
            column = self._take().column
            yes = self._conditional()
            self._expect(":")
            condition = Conditional(condition, yes, self._conditional(), column)
        self._depth -= 1
        return condition

    def _binary(self, minimum: int) -> Node:
        left = self._unary()
        while self._next.kind is TokenKind.OPERATOR and PRECEDENCE.get(self._next.text, 0) >= minimum:
            self._count()
            token = self._take()
            left = Binary(token.text, left, self._binary(PRECEDENCE[token.text] + 1), token.column)
        return left

    def _unary(self) -> Node:
        self._enter()
        node = self._prefixed()
        self._depth -= 1
        return node

    def _prefixed(self) -> Node:
        token = self._next
        if token.kind is TokenKind.OPERATOR and token.text in "-+~!*&":
            self._take()
            return Unary(token.text, self._unary(), token.column)
        if token.kind is TokenKind.OPERATOR and token.text == "&&":
            raise ExpressionError("unexpected '&&'; the address of an address is not known", token.column)
        if token.kind is TokenKind.NAME and token.text == "sizeof":
            return self._sizeof()
        if self._is("(") and self._parenthesis_holds_type():
            self._take()
            type_ = self._type_name()
            self._expect(")")
            return Cast(type_, self._unary(), token.column)
        return self._postfix(self._primary())

    def _sizeof(self) -> Node:
        column = self._take().column
        if self._is("(") and (self._starts_type(1) or self._is_lone_name()):
            start = self._at
            self._take()
            type_ = self._type_name()
            if self._accept(")") and not self._continues_operand():
                return SizeOf(type_, column)
            self._at = start
        return SizeOf(self._unary(), column)

    def _is_lone_name(self) -> bool:
        """At ``(name)`` or ``(name *``: after sizeof, a name that may be a variable or a type."""
        name = self._peek(1)
        if name.kind is not TokenKind.NAME:
            return False
        ahead = 2
        while self._is("*", ahead):
            ahead += 1
        if not self._is(")", ahead):
            return False
        if ahead > 2:
            return True
        self.doubtful.add(name.text)
        return name.text in self._types

    def _continues_operand(self) -> bool:
        return any(self._is(operator) for operator in (".", "->", "["))

    def _starts_type(self, ahead: int) -> bool:
        token = self._peek(ahead)
        return token.kind is TokenKind.NAME and token.text in _QUALIFIERS | _TAGS | _BASIC_WORDS

    def _parenthesis_holds_type(self) -> bool:
        """At a ``(``: whether it opens a cast."""
        if self._starts_type(1):
            return True
        name = self._peek(1)
        if name.kind is not TokenKind.NAME or name.text == "sizeof":
            return False
        ahead = 2
        while self._is("*", ahead) or self._peek(ahead).text in _QUALIFIERS:
            ahead += 1
        if not self._is(")", ahead):
            return False
        if ahead > 2:
            return True
        following = self._peek(ahead + 1)
        if following.kind is TokenKind.OPERATOR and following.text in ("-", "+", "*", "&"):
            self.doubtful.add(name.text)
            return name.text in self._types
        return following.kind not in (TokenKind.OPERATOR, TokenKind.END) or following.text in ("~", "!", "(")

    def _postfix(self, node: Node) -> Node:
        while any(self._is(operator) for operator in ("[", ".", "->")):
            column = self._next.column
            self._count()
            if self._accept("["):
                node = Index(node, self._conditional(), column)
                self._expect("]")
            else:
                arrow = self._take().text == "->"
                name = self._take()
                if name.kind is not TokenKind.NAME:
                    raise ExpressionError(f"expected a member's name before {name.describe()}", name.column)
                node = MemberAccess(node, name.text, arrow, column)
        return node

    def _primary(self) -> Node:
        token = self._take()
        if token.kind in (TokenKind.NUMBER, TokenKind.REAL, TokenKind.CHARACTER):
            return _constant(token)
        if token.kind is TokenKind.STRING:
            return Text(string_value(token), token.column)
        if token.kind is TokenKind.NAME:
            if token.text in _QUALIFIERS | _TAGS | _BASIC_WORDS:
                raise ExpressionError(f"unexpected type '{token.text}'; see whatis and ptype", token.column)
            return Name(token.text, token.column)
        if token.kind is TokenKind.SPECIAL:
            return Special(token.text[1:], token.column)
        if token.text == "(":
            node = self._conditional()
            self._expect(")")
            return node
        raise self._unexpected(token)

    # --- types ---

    def _type_name(self) -> TypeName:
        column = self._next.column
        base = self._base_type()
        derivations: list[str | int] = []
        while self._is("*") or self._next.text in _QUALIFIERS:
            if self._take().text == "*":
                derivations.append("*")
        dimensions: list[str | int] = []
        while self._accept("["):
            size = self._take()
            if size.kind is not TokenKind.NUMBER:
                raise ExpressionError("expected the number of elements", size.column)
            dimensions.append(int(size.value))
            self._expect("]")
        return TypeName(base, (*derivations, *reversed(dimensions)), column)

    def _base_type(self) -> str:
        words: list[str] = []
        start = self._next
        while self._next.kind is TokenKind.NAME:
            text = self._next.text
            if text in _QUALIFIERS:
                self._take()
            elif text in _TAGS and not words:
                return self._tagged()
            elif text in _BASIC_WORDS or not words:
                words.append(self._take().text)
                if text not in _BASIC_WORDS:
                    self._qualifiers()
                    return text
            else:
                break
        if not words:
            raise ExpressionError(f"expected a type before {start.describe()}", start.column)
        basic = _BASIC.get(tuple(sorted(words)))
        if basic is None:
            raise ExpressionError(f"no such type: {' '.join(words)}", start.column)
        return basic

    def _qualifiers(self) -> None:
        while self._next.text in _QUALIFIERS:
            self._take()

    def _tagged(self) -> str:
        keyword = self._take().text
        tag = self._take()
        if tag.kind is not TokenKind.NAME:
            raise ExpressionError(f"expected a tag after '{keyword}'", tag.column)
        self._qualifiers()
        return f"{keyword} {tag.text}"


def _constant(token: Token) -> Number:
    """A constant with its type by ISO C 6.4.4, `int` and `long` being 32 bits wide."""
    if token.kind is TokenKind.CHARACTER:
        value = int(token.value)
        return Number(value - 256 if value > 127 else value, "char", token.column)
    if token.kind is TokenKind.REAL:
        type_ = "float" if token.suffix == "f" else "double"
        return Number(float(token.value), type_, token.column)
    value = int(token.value)
    decimal = token.text[0] != "0" or token.text == "0"
    wide = "ll" in token.suffix
    if "u" in token.suffix:
        type_ = "unsigned long long" if wide or value >= 1 << 32 else "unsigned int"
    elif not wide and value < 1 << 31:
        type_ = "int"
    elif not wide and not decimal and value < 1 << 32:
        type_ = "unsigned int"
    else:
        type_ = "long long" if value < 1 << 63 else "unsigned long long"
    return Number(value, type_, token.column)


def parse_tree(text: str, types: frozenset[str] = frozenset()) -> tuple[Node, frozenset[str]]:
    """The tree of an expression, and the names whose being types or not it depends on."""
    parser = Parser(text, types)
    node = parser.expression()
    return node, frozenset(parser.doubtful)


def parse_type_name(text: str) -> TypeName:
    """The text as the name of a type; raises ExpressionError."""
    return Parser(text).type_name()
