"""Pretty printers for the C++ library, as LLVM's libc++ lays its classes out.

Members are found by name, through whatever wraps them: libc++ 19 and later have them side by side, earlier
ones in a ``__compressed_pair``. Node types are found by the names that clang gives them.

May import base, `ttd.debuginfo` and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ttd.debuginfo.readable import template_parameters
from ttd.debuginfo.types import AggregateType, ArrayType, PointerType, Type
from ttd.errors import ExpressionError
from ttd.expr.values import TypedValue
from ttd.expr.views import MappingView, OwnerView, RecordView, Registry, SequenceView, TextView, View

MOST_ELEMENTS = 1 << 28
"""More of them cannot be in memory: whoever says so is not initialised yet."""

LIBCXX = Registry()
_HIGHEST = 128
"""Red-black trees of 2^32 nodes are at most 64 high."""
_STD = r"std::(?:__\w+::)?"


def _unwrapped(value: TypedValue) -> TypedValue:
    """The value in a ``__compressed_pair``; any other value itself."""
    aggregate = value.aggregate()
    return value.member("__value_") if aggregate is not None and aggregate.find("__value_") else value


def _field(value: TypedValue, *names: str) -> TypedValue:
    """The first member of these names that there is; raises ExpressionError if there is none."""
    for name in names[:-1]:
        try:
            return _unwrapped(value.member(name))
        except ExpressionError:
            continue
    return _unwrapped(value.member(names[-1]))


def _parameter(value: TypedValue, number: int) -> Type:
    """A type that `value`'s class was made with; raises ExpressionError if that is not known."""
    aggregate = value.aggregate()
    template = aggregate.contents.template if aggregate is not None else ()
    if number >= len(template):
        raise ExpressionError("a template without known parameters")
    return template[number][1]


def _count(number: int) -> int:
    if not 0 <= number <= MOST_ELEMENTS:
        raise ExpressionError(f"{number} elements: it is not initialised")
    return number


def sequence_at(pointer: TypedValue, count: int, element: Type, brackets: str = "{}") -> SequenceView:
    """`count` elements side by side from where `pointer` points; ExpressionError without memory there."""
    array = array_at(pointer, count, element)
    step = element.size or 1

    def elements() -> Iterator[TypedValue]:
        return (array.part(element, index * step) for index in range(count))

    return SequenceView(count, elements, brackets, array)


def array_at(pointer: TypedValue, count: int, element: Type) -> TypedValue:
    """The same as an array."""
    element = pointer.context.debug.complete_type(element.strip()) if element.size is None else element
    address, size = pointer.as_int(), element.size or 0
    if count:
        pointer.context.read_memory(address, 1)
        pointer.context.read_memory(address + _count(count) * size - 1, 1)
    return TypedValue(ArrayType(element, _count(count)), pointer.context, address)


@LIBCXX.printer(_STD + "basic_string")
def _string(value: TypedValue) -> View:
    representation = value
    for name in ("__rep_", "__r_"):
        aggregate = value.aggregate()
        if aggregate is not None and aggregate.find(name):
            representation = _field(value, name)
    short = representation.member("__s")
    if short.member("__is_long_").as_int():
        long = representation.member("__l")
        return TextView(
            array_at(long.member("__data_"), long.member("__size_").as_int(), _parameter(value, 0))
        )
    data = short.member("__data_")
    size, room = short.member("__size_").as_int(), data.type.strip()
    if isinstance(room, ArrayType) and room.count is not None and size > room.count:
        raise ExpressionError("it is not initialised")
    return TextView(data.part(ArrayType(_parameter(value, 0), size), 0))


@LIBCXX.printer(_STD + "basic_string_view")
def _string_view(value: TypedValue) -> View:
    size = value.member("__size_").as_int()
    return TextView(array_at(_field(value, "__data_"), size, _parameter(value, 0)))


@LIBCXX.printer(_STD + "vector")
def _vector(value: TypedValue) -> View:
    begin, element = value.member("__begin_"), _parameter(value, 0)
    if element.strip().name == "bool":
        return _bits(value, begin, element)
    size = element.size or value.context.debug.complete_type(element.strip()).size or 1
    length = value.member("__end_").as_int() - begin.as_int()
    if length % size:
        raise ExpressionError("it is not initialised")
    return sequence_at(begin, _count(length // size), element)


def _bits(value: TypedValue, begin: TypedValue, element: Type) -> View:
    """``std::vector<bool>``: one bit for each."""
    count = _count(_field(value, "__size_").as_int())
    address = begin.as_int()
    data = value.context.read_memory(address, (count + 7) // 8)

    def elements() -> Iterator[TypedValue]:
        for index in range(count):
            bit = data[index // 8] >> index % 8 & 1
            yield TypedValue.of_bytes(element, bytes([bit]), value.context)

    return SequenceView(count, elements)


@LIBCXX.printer(_STD + "array")
def _array(value: TypedValue) -> View | None:
    elements = value.member("__elems_")
    type_ = elements.type.strip()
    if not isinstance(type_, ArrayType) or type_.count is None or elements.address is None:
        return None
    pointer = TypedValue.of_bytes(
        PointerType(type_.element), elements.address.to_bytes(8, "little"), value.context
    )
    return sequence_at(pointer, type_.count, type_.element)


@LIBCXX.printer(_STD + "(span|initializer_list)")
def _span(value: TypedValue) -> View:
    begin = _field(value, "__data_", "__data", "__begin_")
    return sequence_at(begin, _field(value, "__size_", "__size").as_int(), _parameter(value, 0))


@LIBCXX.printer(_STD + "(unique_ptr|shared_ptr)")
def _owner(value: TypedValue) -> View:
    return OwnerView(_field(value, "__ptr_"))


@LIBCXX.printer(_STD + "optional")
def _optional(value: TypedValue) -> View:
    if not value.member("__engaged_").as_int():
        return RecordView("std::nullopt")
    return RecordView("std::optional", (("", value.member("__val_").referenced()),))


@LIBCXX.printer(_STD + "tuple")
def _tuple(value: TypedValue) -> View:
    base = value.member("__base_")
    aggregate = base.aggregate()
    leaves = [base.member_at(leaf) for leaf in (aggregate.members if aggregate else ()) if leaf.is_base]
    return RecordView("std::tuple", tuple(("", _leaf(leaf)) for leaf in leaves))


def _leaf(leaf: TypedValue) -> TypedValue:
    aggregate = leaf.aggregate()
    if aggregate is not None and aggregate.find("__value_"):
        return leaf.member("__value_").referenced()
    return leaf  # an empty class, which the leaf derives from


@LIBCXX.printer(_STD + "variant")
def _variant(value: TypedValue) -> View:
    aggregate = value.aggregate()
    implementation = value.member("__impl_" if aggregate and aggregate.find("__impl_") else "__impl")
    index = implementation.member("__index").as_int()
    alternatives = implementation.member("__data")
    if index >= 1 << 8 * implementation.member("__index").size:
        return RecordView("std::variant")
    for _ in range(index):
        alternatives = alternatives.member("__tail")
    return RecordView("std::variant", (("", alternatives.member("__head").member("__value")),))


# --- nodes ---


def _node_type(container: TypedValue, node: str) -> Type:
    """The class of the nodes of `container`, whose first template parameter they hold."""
    aggregate = container.aggregate()
    parameters = template_parameters(aggregate.tag) if aggregate is not None else []
    if aggregate is None or not parameters:
        raise ExpressionError("a container without known parameters")
    namespace = aggregate.tag.partition("<")[0].rpartition("::")[0]
    name = f"{namespace}::{node}<{parameters[0]}, void *>"
    frame = container.context.frame
    type_ = container.context.debug.find_type(name, frame.pc if frame is not None else None)
    if type_ is None:
        raise ExpressionError(f"no type {name} in the program")
    return type_


def _payload(node: TypedValue) -> TypedValue:
    """What a node holds: ``__value_``, and in it, for maps, the pair ``__cc_``."""
    value = node.member("__value_")
    aggregate = value.aggregate()
    for name in ("__cc_", "__cc"):
        if isinstance(aggregate, AggregateType) and aggregate.find(name):
            return value.member(name)
    return value


def _pairs(nodes: Iterator[TypedValue]) -> Iterator[tuple[TypedValue, TypedValue]]:
    return ((pair.member("first"), pair.member("second")) for pair in map(_payload, nodes))


@LIBCXX.printer(_STD + "(map|multimap)")
def _map(value: TypedValue) -> View:
    tree = value.member("__tree_")
    count, type_ = _tree(tree)
    return MappingView(count, lambda: _pairs(_in_order(tree, type_, count)))


@LIBCXX.printer(_STD + "(set|multiset)")
def _set(value: TypedValue) -> View:
    tree = value.member("__tree_")
    count, type_ = _tree(tree)
    return SequenceView(count, lambda: map(_payload, _in_order(tree, type_, count)))


def _tree(tree: TypedValue) -> tuple[int, Type]:
    count = _count(_field(tree, "__size_", "__pair3_").as_int())
    return count, _node_type(tree, "__tree_node") if count else tree.type


def _in_order(tree: TypedValue, type_: Type, count: int) -> Iterator[TypedValue]:
    """The nodes of a red-black tree from the first on; what is longer than `count` is a circle."""
    node = TypedValue(type_, tree.context, tree.member("__begin_node_").as_int())
    for number in range(count):
        yield node
        if number + 1 < count:
            node = _successor(node)


def _successor(node: TypedValue) -> TypedValue:
    """The next node of a red-black tree: leftmost of the right branch, or the first parent to the right."""

    def linked(node: TypedValue, name: str) -> TypedValue:
        return replace(node, address=node.member(name).as_int())

    right = linked(node, "__right_")
    if right.address:
        for _ in range(_HIGHEST):
            left = linked(right, "__left_")
            if not left.address:
                return right
            right = left
    for _ in range(_HIGHEST):
        parent = linked(node, "__parent_")
        if linked(parent, "__left_").address == node.address:
            return parent
        node = parent
    raise ExpressionError("its tree is no tree")


@LIBCXX.printer(_STD + "(unordered_map|unordered_multimap)")
def _unordered_map(value: TypedValue) -> View:
    count, nodes = _hash_nodes(value)
    return MappingView(count, lambda: _pairs(nodes()))


@LIBCXX.printer(_STD + "(unordered_set|unordered_multiset)")
def _unordered_set(value: TypedValue) -> View:
    count, nodes = _hash_nodes(value)
    return SequenceView(count, lambda: map(_payload, nodes()))


def _hash_nodes(value: TypedValue) -> tuple[int, Callable[[], Iterator[TypedValue]]]:
    table = value.member("__table_")
    count = _count(_field(table, "__size_", "__p2_").as_int())
    if not count:
        return 0, lambda: iter(())
    type_ = _node_type(table, "__hash_node")
    first = _field(table, "__first_node_", "__p1_").member("__next_")
    return count, lambda: _chain(first, type_, count)


@LIBCXX.printer(_STD + "list")
def _list(value: TypedValue) -> View:
    count = _count(_field(value, "__size_", "__size_alloc_").as_int())
    if not count:
        return SequenceView(0, lambda: iter(()))
    type_ = _node_type(value, "__list_node")
    return SequenceView(
        count, lambda: map(_payload, _chain(value.member("__end_").member("__next_"), type_, count))
    )


def _chain(link: TypedValue, type_: Type, count: int) -> Iterator[TypedValue]:
    """`count` nodes, from where `link` points along ``__next_``."""
    for _ in range(count):
        node = TypedValue(type_, link.context, link.as_int())
        yield node
        link = node.member("__next_")


@LIBCXX.printer(_STD + "deque")
def _deque(value: TypedValue) -> View:
    """A table of blocks of 4096 bytes, or of 16 elements if those are large."""
    element = _parameter(value, 0)
    count, start = _count(_field(value, "__size_").as_int()), value.member("__start_").as_int()
    blocks = value.member("__map_").member("__begin_")
    size = TypedValue(element, value.context).size
    per_block = 4096 // size if size < 256 else 16

    def elements() -> Iterator[TypedValue]:
        for index in range(start, start + count):
            block = blocks.dereference().part(blocks.dereference().type, index // per_block * blocks.size)
            yield TypedValue(element, value.context, block.as_int() + index % per_block * size)

    return SequenceView(count, elements)
