"""Conditions that are asked thousands of times a second: the simple ones, made into functions of a frame.

What is simple: integers, pointers and enumerators in variables that lie in memory at a fixed distance from
the frame base or at a fixed address; comparisons, logic and integer arithmetic on them. Everything else, and
everything that goes wrong, is left to `evaluate`, which knows all types and all errors.

May import base, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.scopes import Variable
from ttd.debuginfo.types import BaseType, Encoding, EnumType, PointerType, Type
from ttd.errors import ExpressionError
from ttd.expr.arithmetic import common_type, number_type, promote, wrap
from ttd.expr.evaluate import MOST_MEANINGS, Evaluator
from ttd.expr.expression import Expression, evaluate
from ttd.expr.syntax import Binary, Name, Node, Number, Unary
from ttd.expr.values import StateContext
from ttd.state import Frame, State

Reader: TypeAlias = "Callable[[Frame, memoryview], int]"
"""The value of an expression in a frame, with the bytes of memory 0. Raises NotQuick."""


class NotQuick(Exception):
    """This is nothing for the quick way. Never leaves `ttd.expr`."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A part of an expression: its type, and how to read it."""

    type: Type
    read: Reader


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le,
    ">=": operator.ge,
}  # fmt: skip

_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_,
    "^": operator.xor,
}  # fmt: skip


def quick_reader(tree: Node, evaluator: Evaluator, frame: Frame) -> Reader | None:
    """How to read `tree` in all frames that stand where `frame` does; None if that is not simple."""
    try:
        return _Quick(evaluator, frame).value(tree).read
    except (NotQuick, ExpressionError):
        return None


class _Quick:
    def __init__(self, evaluator: Evaluator, frame: Frame) -> None:
        self._evaluator = evaluator
        self._frame = frame

    def value(self, node: Node) -> _Value:
        if isinstance(node, Number) and isinstance(node.value, int):
            constant = node.value
            return _Value(
                number_type(node.type, self._evaluator.address_size), lambda frame, memory: constant
            )
        if isinstance(node, Name):
            return self._name(node)
        if isinstance(node, Unary) and node.operator == "!":
            read = self.value(node.operand).read
            return self._int(lambda frame, memory: int(not read(frame, memory)))
        if isinstance(node, Unary) and node.operator == "-":
            return self._negative(node, self.value(node.operand))
        if isinstance(node, Binary):
            return self._binary(node, self.value(node.left), self.value(node.right))
        raise NotQuick

    def _int(self, read: Reader) -> _Value:
        return _Value(number_type("int"), read)

    def _negative(self, node: Unary, operand: _Value) -> _Value:
        type_ = promote(self._evaluator.arithmetic_type(operand.type, node), self._evaluator.address_size)
        read, size, signed = operand.read, type_.byte_size, type_.is_signed
        return _Value(type_, lambda frame, memory: wrap(-read(frame, memory), size, signed))

    def _binary(self, node: Binary, left: _Value, right: _Value) -> _Value:
        a, b = left.read, right.read
        if node.operator == "&&":
            return self._int(lambda frame, memory: int(bool(a(frame, memory)) and bool(b(frame, memory))))
        if node.operator == "||":
            return self._int(lambda frame, memory: int(bool(a(frame, memory)) or bool(b(frame, memory))))
        type_ = self._common(node, left, right)
        size, signed = type_.byte_size, type_.is_signed
        if node.operator in _COMPARISONS:
            compare = _COMPARISONS[node.operator]
            if _fits(left.type, type_) and _fits(right.type, type_):
                return self._int(lambda frame, memory: compare(a(frame, memory), b(frame, memory)))
            return self._int(
                lambda frame, memory: compare(
                    wrap(a(frame, memory), size, signed), wrap(b(frame, memory), size, signed)
                )
            )
        calculate = _ARITHMETIC.get(node.operator)
        if calculate is None or isinstance(left.type, PointerType) or isinstance(right.type, PointerType):
            raise NotQuick
        return _Value(
            type_, lambda frame, memory: wrap(calculate(a(frame, memory), b(frame, memory)), size, signed)
        )

    def _common(self, node: Binary, left: _Value, right: _Value) -> BaseType:
        """The type in which an operator works on two values."""
        types = [self._evaluator.arithmetic_type(value.type, node) for value in (left, right)]
        type_ = common_type(types[0], types[1], self._evaluator.address_size)
        if type_.is_float or type_.encoding is Encoding.BOOLEAN:
            raise NotQuick
        return type_

    def _name(self, node: Name) -> _Value:
        meaning = self._evaluator.check(node)
        if not isinstance(meaning, Variable):
            raise NotQuick
        type_ = meaning.type.strip()
        if (isinstance(type_, BaseType) and type_.is_integer) or isinstance(type_, EnumType):
            size, signed = type_.byte_size, type_.is_signed
        elif isinstance(type_, PointerType) and not type_.is_reference:
            size, signed = self._evaluator.address_size, False
        else:
            raise NotQuick
        return _Value(type_, self._in_memory(meaning, size, signed))

    def _in_memory(self, variable: Variable, size: int, signed: bool) -> Reader:
        fixed = variable.fixed_address
        if fixed is not None:
            address = fixed
            return lambda frame, memory: _load(memory, address, size, signed)
        local, offset = variable.frame_offset(self._frame.pc) or _not_quick()
        mask = (1 << 8 * variable.address_size) - 1

        def read(frame: Frame, memory: memoryview) -> int:
            base = frame.locals[local]
            if not isinstance(base, int):
                raise NotQuick
            return _load(memory, (base + offset) & mask, size, signed)

        return read


def _not_quick() -> tuple[int, int]:
    raise NotQuick


def _fits(type_: Type, common: BaseType) -> bool:
    """Whether conversion from `type_` changes no value."""
    if not isinstance(type_, BaseType):
        return False
    if type_.is_signed == common.is_signed:
        return type_.byte_size <= common.byte_size
    return common.is_signed and type_.byte_size < common.byte_size


def _load(memory: memoryview, address: int, size: int, signed: bool) -> int:
    if address + size > len(memory):
        raise NotQuick
    return int.from_bytes(memory[address : address + size], "little", signed=signed)


class Condition:
    """An expression that is asked often whether it is true, in the innermost frame of one program."""

    def __init__(self, expression: Expression, debug: DebugInfo) -> None:
        self._expression = expression
        self._debug = debug
        self._readers: dict[int, Reader | None] = {}

    def holds(self, state: State) -> bool:
        """Whether it is true in `state`, of which the innermost frame will do. Raises ExpressionError."""
        if state.frames and state.memories:
            frame = state.frames[-1]
            if frame.pc not in self._readers:
                self._readers[frame.pc] = self._make(state, frame)
            reader = self._readers[frame.pc]
            if reader is not None:
                try:
                    return bool(reader(frame, state.memories[0].view()))
                except NotQuick:
                    pass
        return evaluate(self._expression, StateContext(state, self._debug)).is_true()

    def _make(self, state: State, frame: Frame) -> Reader | None:
        if len(self._readers) >= MOST_MEANINGS:
            self._readers.clear()
        evaluator = self._expression.evaluator(StateContext(state, self._debug))
        try:
            return quick_reader(self._expression.tree(evaluator), evaluator, frame)
        except ExpressionError:
            return None
