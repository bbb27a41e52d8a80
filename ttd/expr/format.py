"""Values as text, in gdb's manner: ``{x = 1, next = 0x0, name = "hi"}``.

What cannot be read shows as ``<error: …>`` or ``<optimized out>`` in its place; formatting does not fail.

May import base, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from ttd.debuginfo.types import (
    AggregateType,
    AliasType,
    ArrayType,
    BaseType,
    Encoding,
    EnumType,
    FunctionType,
    MemberPointerType,
    PointerType,
    QualifiedType,
    Type,
)
from ttd.errors import ExpressionError, InternalError
from ttd.expr.arithmetic import CODE_OFFSET, number_type, read_float, write_number
from ttd.expr.printers import view_of
from ttd.expr.values import Context, LocalsType, TypedValue
from ttd.expr.views import MappingView, OwnerView, RecordView, TextView, View

FORMATS = "xdutocafzsr"
"""Letters of ``print/x``: hexadecimal, signed, unsigned, binary (t), octal, character, address, float,
hexadecimal with leading zeros (z), string, raw: without pretty printers (r)."""


ELLIPSIS = "…"
"""What stands for more of a value than is shown."""
MAX_READ = 1 << 22
"""Bytes of an array that are read, to count equal elements and find the end of text."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a value is shown; the rest becomes ``…``."""

    elements: int = 200
    """Elements and members of all arrays and structs in one value; also characters of a string."""
    depth: int = 20
    """Structs and arrays within one another."""
    repeats: int = 10
    """Equal elements in a row from which on they are counted rather than repeated."""


DEFAULT_LIMITS = Limits()


def format_value(value: TypedValue, fmt: str = "", limits: Limits = DEFAULT_LIMITS) -> str:
    """The value as gdb's print shows it. `fmt` is one of `FORMATS`, or "" for what its type suggests."""
    check_format(fmt)
    return _Formatter(fmt, limits).top(value)


def format_bytes(type_: Type, data: bytes, context: Context, fmt: str = "") -> str:
    """Bytes kept from another time (a watchpoint's old value) as a value of `type_`."""
    return format_value(TypedValue.of_bytes(type_, data, context), fmt)


def check_format(fmt: str) -> None:
    """Raise ExpressionError unless `fmt` is a format letter or empty."""
    if len(fmt) > 1 or fmt not in FORMATS:
        raise ExpressionError(f"no format /{fmt}; there are /{' /'.join(FORMATS)}")


class _Formatter:
    """Formats one value; counts what it has shown."""

    def __init__(self, fmt: str, limits: Limits) -> None:
        self._fmt = "" if fmt == "r" else fmt
        self._raw = fmt == "r"
        self._limits = limits
        self._left = limits.elements
        self._followed: list[int] = []
        """The addresses of the objects that are being shown because something owns them."""

    def top(self, value: TypedValue) -> str:
        """A value by itself: pointers say what they point at, ``(struct node *) 0x1234``."""
        text = self.nested(value, 0)
        stripped = value.type.strip()
        if self._fmt or not isinstance(stripped, PointerType) or value.unavailable or text.startswith("<"):
            return text
        return text if _is_character(stripped.target) else f"({value.type}) {text}"

    def nested(self, value: TypedValue, depth: int) -> str:
        """A value inside another."""
        if value.unavailable:
            return f"<{value.unavailable}>"
        try:
            return self._dispatch(value, value.type.strip(), depth)
        except ExpressionError as error:
            return f"<error: {error}>"

    def _dispatch(self, value: TypedValue, type_: Type, depth: int) -> str:
        if isinstance(type_, LocalsType):
            fields = (f"{name} = {self.nested(each, depth + 1)}" for name, each in type_.fields)
            return self._joined(fields, len(type_.fields), "{}")
        view = None if self._raw else view_of(value)
        if view is not None:
            return self._view(view, depth)
        if isinstance(type_, AggregateType):
            return self._aggregate(value, depth)
        if isinstance(type_, ArrayType):
            return self._array(value, type_, depth)
        if isinstance(type_, FunctionType):
            return _function(value)
        if isinstance(type_, PointerType):
            return self._pointer(value, type_)
        if isinstance(type_, EnumType):
            return self._enum(value, type_)
        if isinstance(type_, MemberPointerType):
            return _member_pointer(value, type_)
        if isinstance(type_, BaseType):
            return self._base(value, type_)
        return "void" if type_.name == "void" else f"<{type_}>"

    # --- aggregates ---

    def _aggregate(self, value: TypedValue, depth: int) -> str:
        type_ = value.context.debug.complete_type(value.type.strip())
        if not isinstance(type_, AggregateType) or type_.size is None:
            return "<incomplete type>"
        if depth >= self._limits.depth:
            return f"{{{ELLIPSIS}}}"
        parts: list[str] = []
        for member in type_.members:
            if member.is_hidden and not self._raw:
                continue
            if self._left <= 0:
                parts.append(ELLIPSIS)
                break
            self._left -= 1
            text = self.nested(value.member_at(member).referenced(), depth + 1)
            label = f"<{member.name}> = " if member.is_base else f"{member.name} = "
            parts.append(label + text if member.name else text)
        return "{" + ", ".join(parts) + "}"

    def _array(self, value: TypedValue, type_: ArrayType, depth: int) -> str:
        if type_.count is None:
            return (
                f"<array of unknown length at {value.address:#x}>" if value.address is not None else "<array>"
            )
        if self._fmt in ("", "s"):
            if _is_character(type_.element) and type_.element.size == 1:
                return self._characters(value, type_)
            if (prefix := wide_prefix(type_.element)) is not None:
                return self._wide_characters(value, type_, prefix)
        if depth >= self._limits.depth or (self._left <= 0 and type_.count):
            return f"{{{ELLIPSIS}}}"
        return "{" + self._elements(value, type_.element, type_.count, depth) + "}"

    def _elements(self, value: TypedValue, element: Type, count: int, depth: int) -> str:
        """Elements as text, equal ones counted. A run of them costs one of what may be shown."""
        texts: list[str] = []
        step = value.part(element, 0).size
        data = _leading_bytes(value, element, count) if step else b""
        readable = len(data) // step if step else 0
        index = 0
        while index < readable and self._left > 0:
            run = _run_length(data, index, step)
            self._left -= 1
            text = self.nested(value.part(element, index * step), depth + 1)
            if run >= self._limits.repeats:
                texts.append(f"{text} <repeats {run} times>")
            else:
                run = min(run, self._left + 1)
                self._left -= run - 1
                texts += [text] * run
            index += run
        return ", ".join(texts) + (ELLIPSIS if index < count and step else "")

    # --- views ---

    def _view(self, view: View, depth: int) -> str:
        if depth >= self._limits.depth:
            return f"{{{ELLIPSIS}}}"
        if isinstance(view, TextView):
            return self._array(view.characters, _array_type(view.characters), depth)
        if isinstance(view, OwnerView):
            return self._owner(view.pointer, depth)
        if isinstance(view, RecordView):
            return self._record(view, depth)
        if isinstance(view, MappingView):
            return self._joined(self._pairs(view, depth), view.count, "{}")
        if view.array is not None:
            elements = self._elements(view.array, _array_type(view.array).element, view.count, depth)
            return view.brackets[0] + elements + view.brackets[1]
        return self._joined(
            (self.nested(element, depth + 1) for element in view.elements()), view.count, view.brackets
        )

    def _pairs(self, view: MappingView, depth: int) -> Iterator[str]:
        for key, value in view.pairs():
            yield f"[{self.nested(key, depth + 1)}] = {self.nested(value, depth + 1)}"

    def _joined(self, texts: Iterator[str], count: int, brackets: str) -> str:
        """As many of `count` texts as may be shown; where they cannot be read on, the error."""
        parts: list[str] = []
        try:
            while len(parts) < count and self._left > 0:
                self._left -= 1
                parts.append(next(texts))
        except ExpressionError as error:
            parts.append(f"<error: {error}>")
            count = 0
        return brackets[0] + ", ".join(parts) + (ELLIPSIS if len(parts) < count else "") + brackets[1]

    def _record(self, view: RecordView, depth: int) -> str:
        parts = [
            f"{label}: {self.nested(value, depth + 1)}" if label else self.nested(value, depth + 1)
            for label, value in view.fields
        ]
        if not parts:
            return view.name
        if view.fields[0][0]:
            return f"{view.name} {{{', '.join(parts)}}}".lstrip()
        return f"{view.name}({', '.join(parts)})"

    def _owner(self, pointer: TypedValue, depth: int) -> str:
        """A smart pointer: its address with what it owns, unless that is being shown already."""
        address = pointer.as_int()
        text = f"{address:#x}"
        if not address:
            return text
        if address in self._followed or self._left <= 0:
            return f"{text} {{{ELLIPSIS}}}"
        self._followed.append(address)
        self._left -= 1
        shown = self.nested(pointer.dereference().referenced(), depth + 1)
        self._followed.pop()
        return f"{text} {shown}"

    # --- text ---

    def _characters(self, value: TypedValue, type_: ArrayType) -> str:
        """A char array as a string. Zeros at its end are not shown; what stands behind a zero is."""
        limit = self._limits.elements
        count = type_.count or 0
        text = _leading_bytes(value, type_.element, count)
        text = text.rstrip(b"\0") if len(text) == count else text
        return quote(text[:limit], self._limits.repeats) + (ELLIPSIS if len(text) > limit else "")

    def _wide_characters(self, value: TypedValue, type_: ArrayType, prefix: str) -> str:
        """An array of ``wchar_t``, ``char16_t`` or ``char32_t``, up to its zeros."""
        size, count = type_.element.size or 4, type_.count or 0
        limit = self._limits.elements
        data = value.part(ArrayType(type_.element, min(count, limit + 1)), 0).data
        while len(data) and not any(data[-size:]):
            data = data[:-size]
        shown = quote_wide(data[: limit * size], size, prefix)
        return shown + (ELLIPSIS if len(data) > limit * size else "")

    def string_at(self, value: TypedValue, address: int) -> str:
        """The zero-terminated string at an address, quoted."""
        limit = self._limits.elements
        data = b""
        while len(data) <= limit and b"\0" not in data:  # one more than is shown: it may be the zero
            wanted = min(64, limit + 1 - len(data))
            data += (part := _readable(value.context, address + len(data), wanted, bool(data)))
            if not part:  # memory ends here
                break
        text, end, _ = data.partition(b"\0")
        return quote(text[:limit], self._limits.repeats) + ("" if end else ELLIPSIS)

    # --- scalars ---

    def _pointer(self, value: TypedValue, type_: PointerType) -> str:
        address = value.as_int()
        if self._fmt not in ("", "a", "s"):
            return _number(address, type_.byte_size, self._fmt)
        if isinstance(type_.target.strip(), FunctionType):
            return _with_symbol(f"{address:#x}", _function_symbol(value, address))
        if _is_character(type_.target) and type_.target.size == 1 and self._fmt != "a" and address:
            try:
                return f"{address:#x} {self.string_at(value, address)}"
            except ExpressionError as error:
                return f"{address:#x} <error: {error}>"
        return _with_symbol(f"{address:#x}", value.context.debug.symbol_at(address, _pc(value.context)))

    def _enum(self, value: TypedValue, type_: EnumType) -> str:
        number = value.as_int()
        if self._fmt not in ("", "s"):
            return _number(number, type_.byte_size, self._fmt)
        return enum_text(type_, number)

    def _base(self, value: TypedValue, type_: BaseType) -> str:
        data = value.data
        bits = int.from_bytes(data, "little")
        if type_ is CODE_OFFSET and self._fmt in ("", "a"):
            return _with_symbol(f"{bits:#x}", value.context.debug.code_symbol(bits))
        if self._fmt == "f" and type_.is_integer:
            return float_text(data) if len(data) in (2, 4, 8, 16) else str(bits)
        if self._fmt == "a":
            return _with_symbol(f"{bits:#x}", value.context.debug.symbol_at(bits, _pc(value.context)))
        if self._fmt not in ("", "f", "s"):
            width = 8 * len(data) if value.bit_size is None else value.bit_size
            return _number(bits & (1 << width) - 1, len(data), self._fmt, width)
        return _natural(type_, data)


def _array_type(value: TypedValue) -> ArrayType:
    stripped = value.type.strip()
    if not isinstance(stripped, ArrayType):
        raise InternalError(f"a view of {value.type} where an array is expected")
    return stripped


def _member_pointer(value: TypedValue, type_: MemberPointerType) -> str:
    """The member that is pointed at by name: ``&Shape::id``; a function by its own name, if not virtual.

    For WebAssembly Clang marks a virtual function as ARM's C++ ABI does (3.2.1): in the lowest bit of the
    second word, the first being its offset in the virtual table.
    """
    size = type_.pointer_size
    number = int.from_bytes(value.data[:size], "little")
    if type_.is_function:
        if int.from_bytes(value.data[size : 2 * size], "little") & 1:
            return f"virtual function {number // size} of {type_.owner.name}"
        symbol = _function_symbol(value, number)
        return f"&{symbol}" if symbol else ("nullptr" if not number else f"{number:#x}")
    if number == (1 << 8 * size) - 1:
        return "nullptr"
    owner = value.context.debug.complete_type(type_.owner.strip())
    for member in owner.members if isinstance(owner, AggregateType) else ():
        if member.offset == number and not member.is_base and not member.is_hidden:
            return f"&{type_.owner.name}::{member.name}"
    return f"offset {number}"


def _natural(type_: BaseType, data: bytes) -> str:
    if type_.encoding is Encoding.FLOAT:
        return float_text(data)
    if type_.encoding is Encoding.COMPLEX and len(data) in (8, 16, 32):
        half = len(data) // 2
        return f"{float_text(data[:half])} + {float_text(data[half:])}i"
    if type_.encoding in (Encoding.COMPLEX, Encoding.UNKNOWN):
        return "0x" + data[::-1].hex()
    number = int.from_bytes(data, "little", signed=type_.is_signed)
    if type_.encoding is Encoding.BOOLEAN:
        return {0: "false", 1: "true"}.get(number, str(number))
    if type_.is_character:
        return f"{number} {_character(number & (1 << 8 * len(data)) - 1)}"
    return str(number)


def _number(value: int, size: int, fmt: str, width: int = 0) -> str:
    """An integer in a format; `width` are the bits that count."""
    width = width or 8 * size
    bits = value & ((1 << width) - 1)
    signed = bits - (1 << width) if bits >> (width - 1) else bits
    if fmt in ("d", "s", "f"):
        return str(signed)
    if fmt == "u":
        return str(bits)
    if fmt == "t":
        return f"{bits:b}"
    if fmt == "o":
        return f"0{bits:o}" if bits else "0"
    if fmt == "z":
        return f"0x{bits:0{(width + 3) // 4}x}"
    if fmt == "c":
        low = bits & 0xFF
        return f"{low - 256 if low > 127 else low} {_character(low)}"
    return f"{bits:#x}"


def float_text(data: bytes) -> str:
    """The shortest decimal that reads back as the same float; NaNs with their bits."""
    number = read_float(data)
    if math.isnan(number):
        bits = int.from_bytes(data, "little")
        fraction = {2: 10, 4: 23, 8: 52, 16: 112}[len(data)]
        sign = "-" if bits >> (8 * len(data) - 1) else ""
        return f"{sign}nan({bits & (1 << fraction) - 1:#x})"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    text = _shortest_single(number) if len(data) == 4 else repr(number)
    return text.removesuffix(".0")


_SINGLE = number_type("float")


def _shortest_single(number: float) -> str:
    for digits in range(1, 10):
        text = f"{number:.{digits}g}"
        if read_float(write_number(_SINGLE, float(text))) == number:
            return repr(float(text))
    return repr(number)


def enum_text(type_: EnumType, number: int) -> str:
    """An enumerator by name; for an enum of flags ``(A | B)``, with what is left over as ``unknown: 0x8``."""
    name = type_.names_by_value.get(number)
    if name is not None:
        return name
    flags = [(label, value) for label, value in type_.enumerators if value]
    is_flags = flags and all(value > 0 and value & (value - 1) == 0 for _, value in flags)
    if not is_flags or number <= 0:
        return str(number)
    labels, rest = [], number
    for label, value in flags:
        if rest & value:
            labels.append(label)
            rest &= ~value
    if rest:
        labels.append(f"unknown: {rest:#x}")
    return f"({' | '.join(labels)})" if len(labels) > 1 or not rest else str(number)


_ESCAPED = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 27: r"\033", 92: r"\\"}


def _escape(code: int, delimiter: str) -> str:
    if code == ord(delimiter):
        return "\\" + delimiter
    if code in _ESCAPED:
        return _ESCAPED[code]
    return chr(code) if 32 <= code < 127 else f"\\{code:03o}"


def _character(code: int) -> str:
    if code > 0x10FFFF or code > 255:
        return f"'\\x{code:x}'" if code > 0x10FFFF or not chr(code).isprintable() else f"'{chr(code)}'"
    return f"'{_escape(code, chr(39))}'"


def quote(data: bytes, repeats: int = 10) -> str:
    """Bytes as C writes a string, UTF-8 where it is; long runs of one byte as ``'x' <repeats 30 times>``."""
    try:
        decoded = data.decode("utf-8")
        if not data.isascii() and all(char.isprintable() for char in decoded if ord(char) > 127):
            return '"' + "".join(_escape(ord(c), '"') if ord(c) < 128 else c for c in decoded) + '"'
    except UnicodeDecodeError:
        pass
    parts: list[str] = []
    plain = ""
    for code, group in groupby(data):
        count = len(list(group))
        if count > repeats:
            parts += ([f'"{plain}"'] if plain else []) + [f"{_character(code)} <repeats {count} times>"]
            plain = ""
        else:
            plain += _escape(code, '"') * count
    if plain or not parts:
        parts.append(f'"{plain}"')
    return ", ".join(parts)


_WIDE = {"wchar_t": "L", "char16_t": "u", "char32_t": "U"}


def wide_prefix(type_: Type) -> str | None:
    """What stands before a string of such characters, ``L`` for ``wchar_t``; None for other types."""
    while isinstance(type_, AliasType | QualifiedType):
        if isinstance(type_, AliasType) and type_.label in _WIDE:
            return _WIDE[type_.label]
        type_ = type_.target
    return _WIDE.get(type_.label) if isinstance(type_, BaseType) else None


def quote_wide(data: bytes, size: int, prefix: str) -> str:
    """UTF-16 or UTF-32 as C writes a string; what is no character by its number."""
    if size == 2:
        codes = [ord(char) for char in data.decode("utf-16-le", "surrogatepass")]
    else:
        codes = [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]
    return prefix + '"' + "".join(_wide_character(code) for code in codes) + '"'


def _wide_character(code: int) -> str:
    if code < 128:
        return _escape(code, '"')
    return chr(code) if code <= 0x10FFFF and chr(code).isprintable() else f"\\x{code:x}"


def _readable(context: Context, address: int, length: int, partly: bool) -> bytes:
    """As many of the bytes as there are; an error only if there are none and `partly` is false."""
    while length > 1:
        try:
            return context.read_memory(address, length)
        except ExpressionError:
            length //= 2
    try:
        return context.read_memory(address, length)
    except ExpressionError:
        if partly:
            return b""
        raise


def _leading_bytes(value: TypedValue, element: Type, count: int) -> bytes:
    """The bytes of an array, up to `MAX_READ`, in whole elements."""
    step = value.part(element, 0).size
    return value.part(ArrayType(element, min(count, max(1, MAX_READ // step))), 0).data


def _run_length(data: bytes, index: int, step: int) -> int:
    """How many elements of `step` bytes, from number `index` on, are equal."""
    start, count = index * step, 1
    element = data[start : start + step]
    block = element
    while data.startswith(block, start + count * step):  # doubles what is compared with each success
        count += len(block) // step
        block += block
    while len(block) > step:
        block = block[: len(block) // 2]
        if data.startswith(block, start + count * step):
            count += len(block) // step
    return count


def _is_character(type_: Type) -> bool:
    """Whether a pointer to `type_` is a string. ``uint8_t *`` is too, as in gdb; its name decides nothing."""
    stripped = type_.strip()
    return isinstance(stripped, BaseType) and stripped.is_character


def _with_symbol(text: str, symbol: str | None) -> str:
    return f"{text} <{symbol}>" if symbol else text


def _pc(context: Context) -> int | None:
    return context.frame.pc if context.frame is not None else None


def _function_symbol(value: TypedValue, index: int) -> str | None:
    table = value.context.function_table
    function = table[index] if 0 < index < len(table) else None
    return value.context.debug.function_name(function) if isinstance(function, int) else None


def _function(value: TypedValue) -> str:
    if value.function is None:
        return f"{{{value.type}}}"
    return f"{{{value.type}}} <{value.context.debug.function_name(value.function)}>"
