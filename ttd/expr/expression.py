"""Expressions as the rest of ttd uses them: parsed once, evaluated wherever the program stands.

May import base, `ttd.wasm`, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from ttd.debuginfo import DebugInfo, Variable
from ttd.debuginfo.types import AliasType, Type
from ttd.errors import ExpressionError
from ttd.expr.evaluate import Evaluator, Meanings
from ttd.expr.parser import parse_tree, parse_type_name
from ttd.expr.syntax import Name, Node, Special
from ttd.expr.values import Context, TypedValue


class Expression:
    """A parsed expression; `text` is how it was written. Names are looked up at each evaluation."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._trees: dict[frozenset[str], Node] = {}
        self._debug: DebugInfo | None = None
        self._meanings: Meanings = {}
        with pointing_into(text):
            self._trees[frozenset()], self._doubtful = parse_tree(text)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluator(self, context: Context) -> Evaluator:
        """An evaluator that remembers what the names of this expression mean."""
        if self._debug is not context.debug:
            self._debug, self._meanings = context.debug, {}
        return Evaluator(context, self._meanings)

    def tree(self, evaluator: Evaluator) -> Node:
        """The tree, given which names are types where `evaluator` stands (see `parser`)."""
        types = frozenset(name for name in self._doubtful if evaluator.is_type(name))
        if types not in self._trees:
            self._trees[types] = parse_tree(self.text, types)[0]
        return self._trees[types]


@contextmanager
def pointing_into(text: str) -> Iterator[None]:
    """Let errors that have a column tell that it is one of `text`."""
    try:
        yield
    except ExpressionError as error:
        error.text = error.text or text
        raise


@dataclass(frozen=True, slots=True)
class Watchable:
    """A range of linear memory named by an expression.

    `frame_local` tells that it is storage of the selected frame, so that it means nothing once that frame is
    gone. (``p->x`` with a local `p` is not: what `p` points at stays.)
    """

    memory: int
    address: int
    length: int
    type: Type
    frame_local: bool


def parse(text: str) -> Expression:
    """Parse an expression; raises ExpressionError with the column."""
    return Expression(text)


def evaluate(expression: Expression | str, context: Context) -> TypedValue:
    """Evaluate an expression in a context; raises ExpressionError."""
    if isinstance(expression, str):
        expression = parse(expression)
    evaluator = expression.evaluator(context)
    with pointing_into(expression.text):
        return evaluator.evaluate(expression.tree(evaluator))


def check_names(expression: Expression, context: Context) -> None:
    """Raise ExpressionError for a name that means nothing at the context's place. Reads no values."""
    evaluator = expression.evaluator(context)
    with pointing_into(expression.text):
        for name in _names(expression.tree(evaluator)):
            evaluator.check(name)


def _names(node: Node) -> Iterator[Name]:
    """All names in a tree that stand for themselves, not for members or types."""
    if isinstance(node, Name):
        yield node
        return
    for part in fields(node):
        value = getattr(node, part.name)
        if isinstance(value, Node):
            yield from _names(value)


def lvalue_range(expression: Expression | str, context: Context) -> Watchable:
    """The memory that an expression names; raises ExpressionError for what is not in memory.

    For a bit field, the whole bytes that it touches.
    """
    value = evaluate(expression, context)
    if value.address is None:
        text = expression if isinstance(expression, str) else expression.text
        reason = value.unavailable or "it is no place in memory"
        raise ExpressionError(f"cannot watch {text}: {reason}")
    length = value.size if value.bit_size is None else (value.bit_offset + value.bit_size + 7) // 8
    if length == 0:
        raise ExpressionError("cannot watch an object without size")
    context.read_memory(value.address, length, value.memory)
    return Watchable(value.memory, value.address, length, value.type, value.in_frame)


def variable_named(expression: Expression, context: Context) -> Variable | None:
    """The variable that an expression is the name of, and nothing else; None for any other expression."""
    evaluator = expression.evaluator(context)
    node = expression.tree(evaluator)
    meaning = evaluator.meaning(node.name) if isinstance(node, Name) else None
    return meaning if isinstance(meaning, Variable) else None


def special_named(expression: Expression, context: Context) -> str | None:
    """``local3`` for the expression ``$local3``, and so on; None for any other expression."""
    node = expression.tree(expression.evaluator(context))
    return node.name if isinstance(node, Special) else None


def parse_type(text: str, context: Context) -> Type:
    """The type that `text` names, or else that of the expression `text`: for ptype."""
    return _type_of(text, context)[0]


def what_is(text: str, context: Context) -> Type:
    """As `parse_type`, but for the name of a typedef what that stands for: for whatis."""
    type_, is_named = _type_of(text, context)
    return type_.target if is_named and isinstance(type_, AliasType) else type_


def _type_of(text: str, context: Context) -> tuple[Type, bool]:
    """A type, and whether `text` is its name rather than an expression."""
    evaluator = Evaluator(context)
    try:
        name = parse_type_name(text)
    except ExpressionError:
        return evaluate(text, context).type, False
    if not name.derivations and evaluator.find_variable(name.base) is not None:
        return evaluate(text, context).type, False
    try:
        with pointing_into(text):
            return evaluator.type_named(name), True
    except ExpressionError as error:
        try:
            return evaluate(text, context).type, False
        except ExpressionError:
            raise error from None
