"""Evaluation of expression trees against a stopped program.

May import base, `ttd.wasm`, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias, TypeVar

from ttd.debuginfo.scopes import FunctionScope, Variable
from ttd.debuginfo.types import (
    AggregateType,
    ArrayType,
    BaseType,
    EnumType,
    FunctionType,
    Member,
    PointerType,
    Type,
    VoidType,
)
from ttd.errors import ExpressionError
from ttd.expr.arithmetic import (
    CODE_OFFSET,
    basic_type,
    common_type,
    number_type,
    promote,
    wrap,
    write_number,
)
from ttd.expr.printers import element_of, pointer_of
from ttd.expr.registers import register
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
from ttd.expr.text import equals_text
from ttd.expr.values import Context, LocalsType, TypedValue, static_member
from ttd.state import Frame

N = TypeVar("N", int, float)


class Callee(NamedTuple):
    """A function as the meaning of a name."""

    function: int


class OfThis(NamedTuple):
    """A member of the object that a C++ method was called on, as the meaning of its bare name."""

    this: Variable
    member: str


class OfClass(NamedTuple):
    """A static member of a C++ class as the meaning of ``class::name``."""

    owner: AggregateType
    member: Member


Meaning: TypeAlias = "Variable | Callee | OfThis | OfClass | tuple[int, Type]"
"""What a name stands for: variable, function, member of ``*this`` or of a class, constant with its type."""

Meanings: TypeAlias = "dict[tuple[str, int | None, FunctionScope | None], Meaning | None]"
"""By name, pc and function: several may be at work at one pc, inlined into each other."""

MOST_MEANINGS = 4096
"""How many of them are remembered for an expression."""

MAX_ELEMENTS = 1 << 24
"""Elements that ``@`` may ask for."""

_COMPARISONS: dict[str, Callable[[int | float, int | float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}

_INTEGER_ONLY: dict[str, Callable[[int, int], int]] = {
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}


class Evaluator:
    """Evaluates trees in one context. Memory is read late, so ``sizeof *p`` reads nothing at p."""

    def __init__(self, context: Context, meanings: Meanings | None = None) -> None:
        """`meanings` remembers what names mean, for evaluations with the same debug information."""
        self._context = context
        self._meanings = {} if meanings is None else meanings
        self.debug = context.debug
        self._size = self.address_size = context.debug.address_size

    # --- names ---

    @property
    def _pc(self) -> int | None:
        return self._context.frame.pc if self._context.frame is not None else None

    def _visible(self) -> list[Variable]:
        frame, scope = self._context.frame, self._context.scope
        return scope.visible(frame.pc) if frame is not None and scope is not None else []

    def find_variable(self, name: str) -> Variable | None:
        """The variable that `name` means here: innermost scope first, then globals."""
        return self._local(name) or self.debug.find_global(name.removeprefix("::"), self._pc)

    def _local(self, name: str) -> Variable | None:
        return next((variable for variable in reversed(self._visible()) if variable.name == name), None)

    def check(self, node: Name) -> Meaning:
        """What a name means; raises ExpressionError if nothing."""
        meaning = self.meaning(node.name)
        if meaning is None:
            raise ExpressionError(self._unknown(node.name.removeprefix("::")), node.column)
        return meaning

    def _name(self, node: Name) -> TypedValue:
        meaning = self.check(node)
        if isinstance(meaning, Variable):
            return TypedValue.of_variable(meaning, self._context)
        if isinstance(meaning, Callee):
            type_ = self.debug.function_type(meaning.function) or FunctionType(number_type("int"), None)
            return TypedValue(type_, self._context, function=meaning.function)
        if isinstance(meaning, OfThis):
            this = TypedValue.of_variable(meaning.this, self._context)
            return this.dereference().member(meaning.member).referenced()
        if isinstance(meaning, OfClass):
            return static_member(meaning.owner, meaning.member, self._context)
        value, type_ = meaning
        return self._immediate(type_, value)

    def meaning(self, name: str) -> Meaning | None:
        """What `name` means at this place in the program, whatever the values there."""
        key = name, self._pc, self._context.scope
        if key not in self._meanings:
            if len(self._meanings) >= MOST_MEANINGS:
                self._meanings.clear()
            inside = None if name.startswith("::") else self._local(name) or self._member_of_this(name)
            self._meanings[key] = inside or self._outside(name)
        return self._meanings[key]

    def _outside(self, name: str) -> Meaning | None:
        """What `name` means in the namespaces and classes around the function, from the inside out."""
        scope = self._function_name().partition("(")[0]
        while not name.startswith("::") and (scope := scope.partition("<")[0].rpartition("::")[0]):
            found = self._find_meaning(f"{scope}::{name}")
            if found is not None:
                return found
        return self._find_meaning(name.removeprefix("::"))

    def _function_name(self) -> str:
        frame, scope = self._context.frame, self._context.scope
        if scope is not None and scope.name:
            return scope.name
        return self.debug.function_name(frame.function) if frame is not None else ""

    def _find_meaning(self, name: str) -> Meaning | None:
        """What `name` means outside of functions and classes."""
        # C's order, but that a function's symbol comes before the names of other units: those of one program
        # can hardly clash, and looking through all units takes time.
        return (
            self.debug.find_global(name, self._pc, near_only=True)
            or self.debug.enumerator(name, self._pc, True)
            or _first(self.debug.functions_by_symbol(name))
            or self.debug.find_global(name, self._pc)
            or self.debug.enumerator(name, self._pc, False)
            or self._static_of_class(name)
            or self._static_of_function(name)
            or _first(self.debug.find_functions(name))
            or self._constant(name)
        )

    def _member_of_this(self, name: str) -> OfThis | None:
        this = self._local("this")
        type_ = this.type.strip() if this is not None else None
        if this is None or not isinstance(type_, PointerType):
            return None
        owner = self.debug.complete_type(type_.target.strip())
        if not isinstance(owner, AggregateType):
            return None
        return OfThis(this, name) if owner.find(name) or owner.static(name) else None

    def _static_of_class(self, name: str) -> OfClass | None:
        owner, _, member = name.rpartition("::")
        type_ = self.debug.find_type(owner, self._pc) if owner else None
        found = type_.static(member) if isinstance(type_, AggregateType) else None
        return OfClass(*found) if found is not None else None

    def _constant(self, name: str) -> tuple[int, Type] | None:
        """C++'s own constants, which C has since its version of 2023."""
        if name in ("true", "false"):
            return int(name == "true"), number_type("_Bool")
        return (0, PointerType(VoidType(), self._size)) if name == "nullptr" else None

    def _static_of_function(self, name: str) -> Variable | None:
        """``function::variable``: a static variable of a function, wherever the program stands."""
        function, _, variable_name = name.rpartition("::")
        for index in self.debug.find_functions(function) if function else ():
            for variable in self.debug.all_variables(index):
                if variable.name == variable_name and variable.is_global:
                    return variable
        return None

    def _unknown(self, name: str) -> str:
        if not self.debug.has_dwarf:
            return f"no symbol {name!r}: the module has no debug information (build it with -g)"
        known = {variable.name for variable in self._visible()}
        close = difflib.get_close_matches(name, known, n=1)
        return f"no symbol {name!r} in the current context" + (
            f"; did you mean {close[0]!r}?" if close else ""
        )

    def _special(self, node: Special) -> TypedValue:
        name = node.name
        frame = self._context.frame
        try:
            found = self._context.history.recall(name, self._context) or self._register(name)
        except ExpressionError as error:
            raise ExpressionError(str(error), node.column) from None
        if found is not None:
            return found
        if name == "pc" and frame is not None:
            return self._immediate(CODE_OFFSET, frame.pc)
        if name == "locals" and frame is not None:
            return TypedValue(LocalsType(tuple(self._locals(frame))), self._context)
        value = self._context.special(name)
        if value is None:
            raise ExpressionError(f"there is no ${name} here", node.column)
        return self._immediate(number_type("long long"), value)

    def _register(self, name: str) -> TypedValue | None:
        """The value of ``$local0`` and its like; None for any other name."""
        frame = self._context.frame
        for prefix, values in (("local", frame and frame.locals), ("global", self._context.globals),
                               ("operand", frame and frame.operands)):  # fmt: skip
            number = name.removeprefix(prefix)
            if number.isdecimal() and number != name:
                return register(self._context, prefix, values or [], int(number))
        return None

    def _locals(self, frame: Frame) -> Iterator[tuple[str, TypedValue]]:
        """The variables that are visible, outermost first; WebAssembly's locals where no source is known."""
        for variable in {variable.name: variable for variable in self._visible()}.values():
            yield variable.name, TypedValue.of_variable(variable, self._context)
        if self._context.scope is None:
            for index in range(len(frame.locals)):
                yield f"$local{index}", register(self._context, "local", frame.locals, index)

    # --- types ---

    def type_named(self, name: TypeName) -> Type:
        """The type that is written so; raises ExpressionError where the program has none of that name."""
        type_ = basic_type(name.base, self._size) or self.debug.find_type(name.base, self._pc)
        if type_ is None:
            raise ExpressionError(f"no type {name.base!r} in the program", name.column)
        for derivation in name.derivations:
            if isinstance(derivation, int):
                type_ = ArrayType(type_, derivation)
            else:
                type_ = PointerType(type_, self._size)
        return type_

    def is_type(self, name: str) -> bool:
        """Whether `name`, standing alone, means a type rather than a variable."""
        return self.find_variable(name) is None and self.debug.find_type(name, self._pc) is not None

    # --- expressions ---

    def evaluate(self, node: Node) -> TypedValue:
        """The value of a tree; raises ExpressionError."""
        return _HANDLERS[type(node)](self, node)

    def _immediate(self, type_: Type, value: int | float) -> TypedValue:
        stripped = type_.strip()
        if isinstance(stripped, BaseType):
            data = write_number(stripped, value)
        else:
            size = type_.size or self._size
            data = (int(value) & (1 << 8 * size) - 1).to_bytes(size, "little")
        return TypedValue(type_, self._context, immediate=data)

    def _int(self, value: int | bool) -> TypedValue:
        return self._immediate(number_type("int"), int(value))

    def _number(self, node: Number) -> TypedValue:
        return self._immediate(number_type(node.type, self._size), node.value)

    def _unary(self, node: Unary) -> TypedValue:
        operand = self.evaluate(node.operand)
        if node.operator == "*":
            return self._dereference(operand, node)
        if node.operator == "&":
            return self._address_of(operand, node)
        if node.operator == "!":
            return self._int(not operand.is_true())
        type_ = promote(self._arithmetic(operand, node), self._size)
        value = operand.number()
        if node.operator == "~":
            if isinstance(value, float):
                raise ExpressionError("~ needs an integer", node.column)
            return self._immediate(type_, ~value)
        return self._immediate(type_, -value if node.operator == "-" else value)

    def _dereference(self, operand: TypedValue, node: Unary) -> TypedValue:
        stripped = operand.type.strip()
        if isinstance(stripped, BaseType) and stripped.is_integer:  # as gdb: *4096 is the int at that address
            return TypedValue(number_type("int"), self._context, operand.as_int())
        if isinstance(stripped, PointerType) and isinstance(stripped.target.strip(), VoidType):
            raise ExpressionError("a void * cannot be dereferenced; cast it first", node.column)
        return (pointer_of(operand) or operand).dereference().referenced()

    def _address_of(self, operand: TypedValue, node: Unary) -> TypedValue:
        if operand.bit_size is not None:
            raise ExpressionError("a bit field has no address", node.column)
        if isinstance(operand.type.strip(), FunctionType) and operand.function is not None:
            return self._function_pointer(operand, operand.function)
        if operand.address is None:
            reason = operand.unavailable or "it is not in memory"
            raise ExpressionError(f"the operand of & has no address: {reason}", node.column)
        return self._immediate(PointerType(operand.type, self._size), operand.address)

    def _function_pointer(self, operand: TypedValue, function: int) -> TypedValue:
        """The value of a pointer to a function; where the program can have none, the place of its code."""
        try:
            return self._immediate(PointerType(operand.type, self._size), operand.table_index())
        except ExpressionError:
            body = self.debug.module.functions[function].body
            if body is None:
                raise
            return self._immediate(CODE_OFFSET, body.start)

    def _arithmetic(self, operand: TypedValue, node: Unary | Binary) -> BaseType:
        """The type in which `operand` takes part in arithmetic."""
        return self.arithmetic_type(operand.type, node)

    def arithmetic_type(self, type_: Type, node: Unary | Binary) -> BaseType:
        """The type in which a `type_` takes part in arithmetic; raises ExpressionError if in none."""
        stripped = type_.strip()
        if isinstance(stripped, EnumType):
            size = {8: "long long", 4: "int"}.get(stripped.byte_size, "int")
            return number_type(size if stripped.is_signed or stripped.byte_size < 4 else f"unsigned {size}")
        if isinstance(stripped, PointerType | ArrayType | FunctionType):
            return number_type("unsigned long", self._size)
        if isinstance(stripped, BaseType) and (stripped.is_integer or stripped.is_float):
            return stripped
        raise ExpressionError(f"{node.operator} does not apply to a value of type {type_}", node.column)

    def _text(self, node: Text) -> TypedValue:
        raise ExpressionError("a string can only be compared with another, by == or !=", node.column)

    def _same_text(self, node: Binary, text: Text, other: Node) -> TypedValue:
        """``name == "text"``"""
        value = self.evaluate(other)
        try:
            return self._int(equals_text(value, text.value) == (node.operator == "=="))
        except ExpressionError as error:
            raise ExpressionError(str(error), node.column) from None

    def _binary(self, node: Binary) -> TypedValue:
        if node.operator in ("==", "!="):
            if isinstance(node.right, Text):
                return self._same_text(node, node.right, node.left)
            if isinstance(node.left, Text):
                return self._same_text(node, node.left, node.right)
        left = self.evaluate(node.left)
        if node.operator in ("&&", "||"):
            if left.is_true() != (node.operator == "&&"):
                return self._int(node.operator == "||")
            return self._int(self.evaluate(node.right).is_true())
        right = self.evaluate(node.right)
        if node.operator == "@":
            return self._repeat(left, right, node)
        if node.operator in _COMPARISONS:
            return self._compare(left, right, node)
        if node.operator in ("+", "-"):
            stepped = self._pointer_arithmetic(left, right, node)
            if stepped is not None:
                return stepped
        return self._calculate(left, right, node)

    def _repeat(self, left: TypedValue, right: TypedValue, node: Binary) -> TypedValue:
        """``a@n``: the n objects from a on, as an array."""
        count = right.as_int()
        if left.address is None or left.bit_size is not None:
            raise ExpressionError("the left side of @ must be in memory", node.column)
        if not 0 < count <= MAX_ELEMENTS:
            raise ExpressionError(f"the right side of @ must be between 1 and {MAX_ELEMENTS}", node.column)
        return replace(left, type=ArrayType(left.type, count))

    def _compare(self, left: TypedValue, right: TypedValue, node: Binary) -> TypedValue:
        type_ = common_type(self._arithmetic(left, node), self._arithmetic(right, node), self._size)
        a, b = self._converted(left, type_), self._converted(right, type_)
        return self._int(_COMPARISONS[node.operator](a, b))

    def _converted(self, value: TypedValue, type_: BaseType) -> int | float:
        number = value.number()
        if type_.is_float:
            return float(number)
        return wrap(number, type_.byte_size, type_.is_signed) if isinstance(number, int) else number

    def _pointer_arithmetic(self, left: TypedValue, right: TypedValue, node: Binary) -> TypedValue | None:
        left_target, right_target = target_of(left.type), target_of(right.type)
        if left_target is not None and right_target is not None:
            if node.operator == "+":
                raise ExpressionError("two pointers cannot be added", node.column)
            distance = left.as_int() - right.as_int()
            return self._immediate(
                number_type("long", self._size), _quotient(distance, self.step(left_target))
            )
        if left_target is not None:
            return self._advance(left, left_target, right.as_int() * (1 if node.operator == "+" else -1))
        if right_target is not None and node.operator == "+":
            return self._advance(right, right_target, left.as_int())
        return None

    def _advance(self, pointer: TypedValue, target: Type, count: int) -> TypedValue:
        stripped = pointer.type.strip()
        type_ = pointer.type if isinstance(stripped, PointerType) else PointerType(target, self._size)
        return self._immediate(type_, pointer.as_int() + count * self.step(target))

    def step(self, target: Type) -> int:
        """Bytes from one object of a pointer's target type to the next; 1 for void, as gcc has it."""
        size = target.size or self.debug.complete_type(target.strip()).size
        if size is None and not isinstance(target.strip(), VoidType | FunctionType):
            raise ExpressionError(f"{target} is an incomplete type")
        return size or 1

    def _calculate(self, left: TypedValue, right: TypedValue, node: Binary) -> TypedValue:
        a_type, b_type = self._arithmetic(left, node), self._arithmetic(right, node)
        a, b = left.number(), right.number()
        if node.operator in ("<<", ">>"):
            return self._shift(promote(a_type, self._size), a, b, node)
        type_ = common_type(a_type, b_type, self._size)
        if type_.is_float:
            return self._immediate(type_, self._real(float(a), float(b), node))
        if not isinstance(a, int) or not isinstance(b, int):
            raise ExpressionError(f"{node.operator} needs integers", node.column)
        a, b = (wrap(value, type_.byte_size, type_.is_signed) for value in (a, b))
        return self._immediate(type_, self._integer(a, b, node))

    def _integer(self, a: int, b: int, node: Binary) -> int:
        if node.operator in _INTEGER_ONLY:
            return _INTEGER_ONLY[node.operator](a, b)
        if node.operator in ("/", "%"):
            if b == 0:
                raise ExpressionError("division by zero", node.column)
            quotient = _quotient(a, b)
            return quotient if node.operator == "/" else a - b * quotient
        return _sum(a, b, node.operator)

    def _real(self, a: float, b: float, node: Binary) -> float:
        if node.operator == "/":
            return a / b if b else _divided_by_zero(a, b)
        if node.operator in ("+", "-", "*"):
            return _sum(a, b, node.operator)
        raise ExpressionError(f"{node.operator} needs integers", node.column)

    def _shift(self, type_: BaseType, a: int | float, b: int | float, node: Binary) -> TypedValue:
        if not isinstance(a, int) or not isinstance(b, int):
            raise ExpressionError(f"{node.operator} needs integers", node.column)
        if not 0 <= b < 8 * type_.byte_size:
            raise ExpressionError(f"cannot shift {8 * type_.byte_size} bits by {b}", node.column)
        return self._immediate(type_, a << b if node.operator == "<<" else a >> b)

    def _conditional(self, node: Conditional) -> TypedValue:
        return self.evaluate(node.yes if self.evaluate(node.condition).is_true() else node.no)

    def _member(self, node: MemberAccess) -> TypedValue:
        owner = self.evaluate(node.object)
        if node.arrow:
            owner = pointer_of(owner) or owner
        if target_of(owner.type) is not None:  # like gdb, p.x for p->x
            owner = owner.dereference()
        elif node.arrow:
            raise ExpressionError(f"the left side of -> is no pointer but {owner.type}", node.column)
        try:
            return owner.member(node.name).referenced()
        except ExpressionError as error:
            raise ExpressionError(str(error), node.column) from None

    def _index(self, node: Index) -> TypedValue:
        owner, index = self.evaluate(node.object), self.evaluate(node.index)
        if target_of(owner.type) is None and target_of(index.type) is not None:
            owner, index = index, owner
        target = target_of(owner.type)
        if target is None:
            element = element_of(owner, index)
            if element is None:
                raise ExpressionError(f"a value of type {owner.type} cannot be indexed", node.column)
            return element.referenced()
        offset = index.as_int() * self.step(target)
        if isinstance(owner.type.strip(), ArrayType):
            return owner.part(target, offset)
        return TypedValue(target, self._context, (owner.as_int() + offset) & ((1 << 8 * self._size) - 1))

    def _cast(self, node: Cast) -> TypedValue:
        type_, operand = self.type_named(node.type), self.evaluate(node.operand)
        return self.convert(operand, type_, node.column)

    def convert(self, operand: TypedValue, type_: Type, column: int | None = None) -> TypedValue:
        """`operand` cast to `type_`. An object in memory may be read as an array or struct, as in gdb."""
        target, source = type_.strip(), operand.type.strip()
        if isinstance(target, VoidType):
            return TypedValue(type_, self._context, immediate=b"")
        if isinstance(target, BaseType) and isinstance(source, BaseType):
            return self._immediate(type_, operand.number())
        if isinstance(target, BaseType | PointerType | EnumType):
            return self._immediate(type_, operand.as_int())
        if operand.address is None or operand.bit_size is not None:
            raise ExpressionError(f"a value of type {operand.type} cannot be cast to {type_}", column)
        return replace(operand, type=type_)

    def _sizeof(self, node: SizeOf) -> TypedValue:
        if isinstance(node.operand, TypeName):
            value = TypedValue(self.type_named(node.operand), self._context)
        else:
            value = self.evaluate(node.operand)
        return self._immediate(number_type("unsigned long", self._size), value.size)


_HANDLERS: dict[type, Callable[..., TypedValue]] = {
    Number: Evaluator._number,
    Text: Evaluator._text,
    Name: Evaluator._name,
    Special: Evaluator._special,
    Unary: Evaluator._unary,
    Binary: Evaluator._binary,
    Conditional: Evaluator._conditional,
    MemberAccess: Evaluator._member,
    Index: Evaluator._index,
    Cast: Evaluator._cast,
    SizeOf: Evaluator._sizeof,
}


def target_of(type_: Type) -> Type | None:
    """What a pointer or an array steps over; None for any other type."""
    stripped = type_.strip()
    if isinstance(stripped, PointerType):
        return stripped.target
    return stripped.element if isinstance(stripped, ArrayType) else None


def _first(functions: Sequence[int]) -> Callee | None:
    return Callee(functions[0]) if functions else None


def _quotient(a: int, b: int) -> int:
    """Division that rounds toward zero, as C's does."""
    return abs(a) // abs(b) if (a < 0) == (b < 0) else -(abs(a) // abs(b))


def _sum(a: N, b: N, sign: str) -> N:
    if sign == "*":
        return a * b
    return a + b if sign == "+" else a - b


def _divided_by_zero(a: float, b: float) -> float:
    if a == 0 or a != a:
        return float("nan")
    return float("inf") if (a > 0) == (str(b)[0] != "-") else float("-inf")
