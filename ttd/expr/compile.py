"""Conditions compiled to Wasm code, for probes in compiled code to ask.

The code answers as `evaluate` would. Where that would raise an error (beyond the end of memory, a division by
zero), and only there, it says yes without knowing: who is told of the hit evaluates the condition once more,
and tells the user. Some expressions have no compiled form: values in no one place, library types that
have pretty printers, wider numbers, the values that were printed.

May import base, `ttd.wasm`, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.scopes import Variable
from ttd.debuginfo.types import (
    AggregateType,
    ArrayType,
    BaseType,
    Encoding,
    EnumType,
    Member,
    PointerType,
    Type,
    VoidType,
)
from ttd.errors import ExpressionError
from ttd.expr.arithmetic import (
    CODE_OFFSET,
    common_type,
    number_type,
    promote,
    read_number,
    wrap,
    write_number,
)
from ttd.expr.assembler import (
    F32,
    I64,
    INT,
    LONG,
    REAL,
    Assembler,
    Kind,
    NotCompiled,
    Piece,
    any_of,
    choose,
    constant,
    kind_of,
    piece,
    sign,
)
from ttd.expr.evaluate import Evaluator, OfClass, OfThis, target_of
from ttd.expr.expression import Expression
from ttd.expr.history import ValueHistory
from ttd.expr.places import Finder
from ttd.expr.registers import WASM_TYPES
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
from ttd.expr.text import encoded, target_of_text
from ttd.expr.values import variable_of_static
from ttd.state import Frame
from ttd.types import Position, Value
from ttd.wasm.predicate import Predicate

MOST_COMPARED = 256
"""Bytes of a string literal that compiled code compares."""

_COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", ">": "gt", "<=": "le", ">=": "ge"}
_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor"}
_REAL_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div"}


def compile_any(
    expressions: Sequence[tuple[Expression, int]],
    debug: DebugInfo,
    function: int,
    pc: int,
    is_known: Callable[[int], bool],
) -> Predicate | None:
    """The predicate that one of the expressions is true, in the frames of a function that stand at `pc`.

    Each comes with how many functions inlined there are hidden from it (see `ttd.debuginfo.stack`).
    None if one of them cannot be compiled. The right side of && need not be: it is left to others then
    (`Predicate.is_complete`). `is_known` tells of each local whether its value is known there.
    """
    assembler = Assembler(debug.module)
    try:
        conditions = []
        for expression, hidden in expressions:
            evaluator = expression.evaluator(_Nowhere(debug, function, pc, hidden))
            finder = Finder(assembler, function, pc, is_known, evaluator.address_size)
            compiler = _Compiler(evaluator, assembler, finder, pc)
            conditions.append(compiler.truth(expression.tree(evaluator)))
        return assembler.predicate(any_of(conditions))
    except (NotCompiled, ExpressionError):
        return None


class _Nowhere:
    """The context of a place in the code, before anything is there: names mean something, values do not."""

    globals: Sequence[Value] = ()
    function_table: Sequence[Value] = ()
    history = ValueHistory()

    def __init__(self, debug: DebugInfo, function: int, pc: int, hidden: int) -> None:
        self.debug = debug
        self.frame: Frame | None = Frame(function, pc, [], [], Position(0))
        self.scope = next(iter(debug.scopes(pc)[hidden:]), None)

    def read_memory(self, address: int, length: int, memory: int = 0) -> bytes:
        raise NotCompiled

    def special(self, name: str) -> int | None:
        raise NotCompiled


@dataclass(frozen=True, slots=True)
class _Object:
    """What lies in memory: `bits` are the first bit and the width of a bit field."""

    type: Type
    address: Piece
    memory: int = 0
    bits: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Result:
    """A number that was computed: `code` leaves it on the stack."""

    type: Type
    code: Piece


_Part = _Object | _Result


class _Compiler:
    """Compiles the trees of one place. Each method mirrors the one of `Evaluator` that has its name."""

    def __init__(self, evaluator: Evaluator, assembler: Assembler, finder: Finder, pc: int) -> None:
        self._evaluator = evaluator
        self._debug = evaluator.debug
        self._assembler = assembler
        self._finder = finder
        self._pc = pc
        self._size = evaluator.address_size
        self._address = finder.address

    # --- numbers ---------------------------------------------------------------------------------------

    def truth(self, node: Node) -> Piece:
        """1 or 0."""
        kind, code = self._number(self._part(node))
        return self._assembler.truth(code, kind)

    def _number(self, part: _Part) -> tuple[Kind, Piece]:
        """As `TypedValue.number`."""
        if isinstance(part, _Object) and isinstance(part.type.strip(), ArrayType):
            return self._address, part.address
        kind = kind_of(part.type)
        if isinstance(part, _Result):
            return kind, part.code
        if part.bits is not None:
            return kind, self._assembler.load_bits(part.address, kind, *part.bits, part.memory)
        return kind, self._assembler.load(part.address, kind, part.memory)

    def _integer(self, part: _Part, target: Kind) -> Piece:
        """As `TypedValue.as_int`, wrapped around to a kind."""
        kind, code = self._number(part)
        if kind.is_float:
            raise NotCompiled
        return self._assembler.convert(code, kind, target)

    def _converted(self, part: _Part, target: Kind) -> Piece:
        kind, code = self._number(part)
        return self._assembler.convert(code, kind, target)

    def _int(self, code: Piece) -> _Result:
        return _Result(number_type("int"), code)

    # --- trees -----------------------------------------------------------------------------------------

    def _part(self, node: Node) -> _Part:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise NotCompiled
        return handler(self, node)

    def _constant(self, node: Number) -> _Part:
        type_ = number_type(node.type, self._size)
        value = read_number(type_, write_number(type_, node.value))
        return _Result(type_, constant(kind_of(type_), value))

    def _name(self, node: Name) -> _Part:
        meaning = self._evaluator.check(node)
        if isinstance(meaning, Variable):
            return self._variable(meaning)
        if isinstance(meaning, OfThis):
            this = self._dereferenced(self._variable(meaning.this))
            return self._member_of(this, meaning.member)
        if isinstance(meaning, OfClass):
            return self._static(meaning.owner, meaning.member)
        if not isinstance(meaning, tuple) or len(meaning) != 2 or not isinstance(meaning[1], Type):
            raise NotCompiled
        value, type_ = meaning
        kind = kind_of(type_)
        return _Result(type_, constant(kind, wrap(value, kind.size, kind.signed)))

    def _variable(self, variable: Variable) -> _Part:
        _check_length(variable.type)
        place = self._finder.place(variable)
        if place.address is not None:
            return self._referenced(_Object(variable.type, place.address))
        return self._referenced(_Result(variable.type, self._finder.number(place, variable.type)))

    def _static(self, owner: AggregateType, member: Member) -> _Part:
        variable = variable_of_static(owner, member, self._debug, self._pc)
        if variable is None:
            raise NotCompiled
        return self._variable(variable)

    def _referenced(self, part: _Part) -> _Part:
        stripped = part.type.strip()
        if not isinstance(stripped, PointerType) or not stripped.is_reference:
            return part
        memory = part.memory if isinstance(part, _Object) else 0
        return _Object(stripped.target, self._integer(part, self._address), memory)

    def _special(self, node: Special) -> _Part:
        for prefix, find in (("local", self._finder.local), ("global", self._finder.global_)):
            number = node.name.removeprefix(prefix)
            if number.isdecimal() and number != node.name:
                wasm, code = find(int(number))
                code = piece(code, "f64.promote_f32") if wasm is F32 else code
                return _Result(number_type(WASM_TYPES[wasm]), code)
        if node.name == "pc":
            return _Result(CODE_OFFSET, constant(kind_of(CODE_OFFSET), self._pc))
        raise NotCompiled

    # --- operators -------------------------------------------------------------------------------------

    def _unary(self, node: Unary) -> _Part:
        operand = self._part(node.operand)
        if node.operator == "*":
            return self._referenced(self._dereferenced(operand))
        if node.operator == "&":
            if not isinstance(operand, _Object) or operand.bits is not None:
                raise NotCompiled
            return _Result(PointerType(operand.type, self._size), operand.address)
        if node.operator == "!":
            kind, code = self._number(operand)
            return self._int(piece(self._assembler.truth(code, kind), "i32.eqz"))
        type_ = promote(self._evaluator.arithmetic_type(operand.type, node), self._size)
        kind = kind_of(type_)
        code = self._converted(operand, kind)
        if node.operator == "+":
            return _Result(type_, code)
        if kind.is_float:
            if node.operator == "~":
                raise NotCompiled
            return _Result(type_, piece(code, "f64.neg"))
        minus_one = constant(Kind(kind.size, True), -1)
        if node.operator == "~":
            return _Result(type_, piece(code, minus_one, f"{kind.wasm}.xor"))
        return _Result(type_, piece(constant(kind, 0), code, f"{kind.wasm}.sub"))

    def _dereferenced(self, part: _Part) -> _Part:
        """As `TypedValue.dereference`."""
        stripped = part.type.strip()
        if isinstance(stripped, ArrayType) and isinstance(part, _Object):
            return _Object(stripped.element, part.address, part.memory)
        if not isinstance(stripped, PointerType) or isinstance(stripped.target.strip(), VoidType):
            raise NotCompiled
        return _Object(stripped.target, self._integer(part, self._address))

    def _same_text(self, node: Binary, text: Text, other: Node) -> _Part:
        """As `text.equals_text`; in memory behind the end of which nothing is compared, it is in doubt."""
        part = self._part(other)
        element, stripped = target_of_text(part.type), part.type.strip()
        if element is None or len(text.value) > MOST_COMPARED:
            raise NotCompiled
        wanted = encoded(text.value, element.byte_size)
        address, memory = self._integer(part, self._address), 0
        if isinstance(stripped, ArrayType):
            if not isinstance(part, _Object) or stripped.size is None or stripped.size < len(wanted):
                raise NotCompiled
            memory = part.memory
        if not isinstance(stripped, ArrayType) or stripped.size != len(wanted):
            wanted += bytes(element.byte_size)
        code = self._assembler.is_there(address, wanted, memory)
        return self._int(code if node.operator == "==" else piece(code, "i32.eqz"))

    def _binary(self, node: Binary) -> _Part:
        if node.operator == "@":
            raise NotCompiled
        if node.operator in ("==", "!="):
            if isinstance(node.right, Text):
                return self._same_text(node, node.right, node.left)
            if isinstance(node.left, Text):
                return self._same_text(node, node.left, node.right)
        if node.operator in ("&&", "||"):
            left, right = self.truth(node.left), self._right(node)
            yes, no = (right, constant(INT, 0)) if node.operator == "&&" else (constant(INT, 1), right)
            return self._int(choose(left, yes, no, INT.wasm))
        first, second = self._part(node.left), self._part(node.right)
        if node.operator in _COMPARISONS:
            return self._compare(first, second, node)
        if node.operator in ("+", "-"):
            stepped = self._pointer_arithmetic(first, second, node)
            if stepped is not None:
                return stepped
        return self._calculate(first, second, node)

    def _right(self, node: Binary) -> Piece:
        """The right side of && or ||: where it is asked at all, it may be left to the evaluator."""
        try:
            return self.truth(node.right)
        except (NotCompiled, ExpressionError):
            if node.operator == "||":  # then nearly all would be left to it
                raise
            return self._assembler.doubt()

    def _types(self, left: _Part, right: _Part, node: Binary) -> tuple[BaseType, BaseType]:
        arithmetic = self._evaluator.arithmetic_type
        return arithmetic(left.type, node), arithmetic(right.type, node)

    def _compare(self, left: _Part, right: _Part, node: Binary) -> _Part:
        kind = kind_of(common_type(*self._types(left, right, node), self._size))
        kind = REAL if kind.is_float else kind
        suffix = _COMPARISONS[node.operator]
        if not kind.is_float and suffix not in ("eq", "ne"):
            suffix = f"{suffix}_{sign(kind)}"
        code = piece(self._converted(left, kind), self._converted(right, kind), f"{kind.wasm}.{suffix}")
        return self._int(code)

    def _pointer_arithmetic(self, left: _Part, right: _Part, node: Binary) -> _Part | None:
        left_target, right_target = target_of(left.type), target_of(right.type)
        if left_target is not None and right_target is not None:
            if node.operator == "+" or self._size != 4:
                raise NotCompiled
            return self._distance(left, right, left_target)
        if left_target is not None:
            return self._advance(left, left_target, right, node.operator)
        if right_target is not None and node.operator == "+":
            return self._advance(right, right_target, left, node.operator)
        return None

    def _distance(self, left: _Part, right: _Part, target: Type) -> _Part:
        long = number_type("long", self._size)
        code = piece(self._integer(left, LONG), self._integer(right, LONG), "i64.sub")
        code = piece(code, constant(LONG, self._evaluator.step(target)), "i64.div_s")
        return _Result(long, self._assembler.convert(code, LONG, kind_of(long)))

    def _advance(self, pointer: _Part, target: Type, count: _Part, operator: str) -> _Part:
        stripped = pointer.type.strip()
        type_ = pointer.type if isinstance(stripped, PointerType) else PointerType(target, self._size)
        return _Result(type_, self._offset(self._integer(pointer, self._address), target, count, operator))

    def _offset(self, address: Piece, target: Type, count: _Part, operator: str = "+") -> Piece:
        """The address so many objects further on."""
        step, wasm = constant(self._address, self._evaluator.step(target)), self._address.wasm
        distance = piece(self._integer(count, self._address), step, f"{wasm}.mul")
        return piece(address, distance, f"{wasm}.{_ARITHMETIC[operator]}")

    def _calculate(self, left: _Part, right: _Part, node: Binary) -> _Part:
        types = self._types(left, right, node)
        if node.operator in ("<<", ">>"):
            type_ = promote(types[0], self._size)
            kind, is_left = kind_of(type_), node.operator == "<<"
            if kind.is_float:
                raise NotCompiled
            code = self._assembler.shift(self._integer(left, kind), self._integer(right, LONG), kind, is_left)
            return _Result(type_, code)
        type_ = common_type(*types, self._size)
        kind = kind_of(type_)
        if kind.is_float:
            operator = _REAL_ARITHMETIC.get(node.operator)
            if operator is None:
                raise NotCompiled
            code = piece(self._converted(left, REAL), self._converted(right, REAL), f"f64.{operator}")
            return _Result(type_, self._assembler.rounded(code, kind))
        a, b = self._converted(left, kind), self._converted(right, kind)
        if node.operator in ("/", "%"):
            return _Result(type_, self._assembler.divide(a, b, kind, node.operator == "%"))
        return _Result(type_, piece(a, b, f"{kind.wasm}.{_ARITHMETIC[node.operator]}"))

    def _conditional(self, node: Conditional) -> _Part:
        condition, yes, no = self.truth(node.condition), self._part(node.yes), self._part(node.no)
        (yes_kind, yes_code), (no_kind, no_code) = self._number(yes), self._number(no)
        same = type(yes.type.strip()) is type(no.type.strip()) and yes_kind == no_kind
        if not same or not isinstance(yes.type.strip(), BaseType):
            raise NotCompiled  # `evaluate` gives the one that is chosen its own type
        return _Result(yes.type, choose(condition, yes_code, no_code, yes_kind.wasm))

    # --- parts of objects ------------------------------------------------------------------------------

    def _member(self, node: MemberAccess) -> _Part:
        owner = self._part(node.object)
        if target_of(owner.type) is not None:
            owner = self._dereferenced(owner)
        elif node.arrow:
            raise NotCompiled
        return self._member_of(owner, node.name)

    def _member_of(self, owner: _Part, name: str) -> _Part:
        aggregate = self._debug.complete_type(owner.type.strip())
        if not isinstance(aggregate, AggregateType) or not isinstance(owner, _Object):
            raise NotCompiled
        path = aggregate.find(name)
        if path is None:
            static = aggregate.static(name)
            if static is None:
                raise NotCompiled
            return self._static(*static)
        for member in path:
            owner = self._member_at(owner, member)
        return self._referenced(owner)

    def _member_at(self, owner: _Object, member: Member) -> _Object:
        if member.virtual_offset is not None or owner.bits is not None:
            raise NotCompiled
        offset = constant(self._address, member.offset)
        address = piece(owner.address, offset, f"{self._address.wasm}.add")
        bits = (member.bit_offset, member.bit_size) if member.bit_size is not None else None
        return _Object(member.type, address, owner.memory, bits)

    def _index(self, node: Index) -> _Part:
        owner, index = self._part(node.object), self._part(node.index)
        if target_of(owner.type) is None and target_of(index.type) is not None:
            owner, index = index, owner
        target = target_of(owner.type)
        if target is None:
            raise NotCompiled
        if isinstance(owner.type.strip(), ArrayType):
            if not isinstance(owner, _Object):
                raise NotCompiled
            return _Object(target, self._offset(owner.address, target, index), owner.memory)
        return _Object(target, self._offset(self._integer(owner, self._address), target, index))

    # --- types -----------------------------------------------------------------------------------------

    def _cast(self, node: Cast) -> _Part:
        type_, operand = self._evaluator.type_named(node.type), self._part(node.operand)
        target = type_.strip()
        if isinstance(target, BaseType):
            if isinstance(operand.type.strip(), BaseType):
                return self._as_base(*self._number(operand), type_, target)
            kind, code = self._number(operand)
            if kind.is_float:
                raise NotCompiled
            return self._as_base(kind, code, type_, target)
        if isinstance(target, PointerType | EnumType):
            return _Result(type_, self._integer(operand, kind_of(type_)))
        if not isinstance(operand, _Object) or operand.bits is not None:
            raise NotCompiled
        return _Object(type_, operand.address, operand.memory)

    def _as_base(self, kind: Kind, code: Piece, type_: Type, target: BaseType) -> _Part:
        if target.encoding is Encoding.BOOLEAN:
            code = self._assembler.truth(code, kind)
            return _Result(type_, piece(code, "i64.extend_i32_u") if kind_of(type_).wasm is I64 else code)
        return _Result(type_, self._assembler.convert(code, kind, kind_of(type_)))

    def _sizeof(self, node: SizeOf) -> _Part:
        read: Piece = ()
        if isinstance(node.operand, TypeName):
            type_ = self._evaluator.type_named(node.operand)
        else:
            operand = self._part(node.operand)
            type_ = operand.type
            read = piece(operand.address if isinstance(operand, _Object) else operand.code, "drop")
        size = type_.size or self._debug.complete_type(type_.strip()).size
        if size is None:
            raise NotCompiled
        result = number_type("unsigned long", self._size)
        return _Result(result, piece(read, constant(kind_of(result), size)))


_HANDLERS: dict[type, Callable[..., _Part]] = {
    Number: _Compiler._constant,
    Name: _Compiler._name,
    Special: _Compiler._special,
    Unary: _Compiler._unary,
    Binary: _Compiler._binary,
    Conditional: _Compiler._conditional,
    MemberAccess: _Compiler._member,
    Index: _Compiler._index,
    Cast: _Compiler._cast,
    SizeOf: _Compiler._sizeof,
}


def _check_length(type_: Type) -> None:
    """NotCompiled for an array of variable length."""
    while isinstance(type_, ArrayType):
        if type_.count_entry is not None:
            raise NotCompiled
        type_ = type_.element
