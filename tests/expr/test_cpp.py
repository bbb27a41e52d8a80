"""C++: classes, and the containers of libc++, each variable with the text that it must show as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.debuginfo.program import Stopped
from tests.support import Guests
from ttd.debuginfo.readable import readable_name, template_parameters
from ttd.errors import ExpressionError
from ttd.expr import Limits, describe_type, evaluate, format_value, parse_type


@pytest.fixture(scope="module")
def classes(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "classes", "ready")
    yield stopped
    stopped.engine.close()


@pytest.fixture(scope="module")
def lay(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "classes", "lay")
    yield stopped
    stopped.engine.close()


@pytest.fixture(scope="module")
def containers(guest: Guests) -> Iterator[Stopped]:
    stopped = Stopped(guest, "containers", "ready")
    yield stopped
    stopped.engine.close()


DUCK = (
    "{<Swimmer> = {<Animal> = {legs = 4}, depth = 20}, <Flyer> = {<Animal> = {legs = 4}, height = 30}, "
    r'eggs = 5, mood = Cross, {weight = 9, weight_bytes = "\t"}}'
)


@pytest.mark.parametrize(
    ("text", "type_", "shown"),
    [
        ("duck", "zoo::Duck", DUCK),
        ("reference", "const zoo::Duck", DUCK),
        ("moved", "zoo::Duck", DUCK),
        ("legs", "int", "4"),
        ("duck.legs", "int", "4"),
        ("duck.height", "int", "30"),
        ("animal->legs", "int", "4"),
        ("duck.weight", "int", "9"),
        ("data", "int Animal::*", "&Animal::legs"),
        ("null_data", "int zoo::Duck::*", "nullptr"),
        ("function", "int (zoo::Duck::*)(int)", "&zoo::Duck::lay"),
        ("virtual_function", "int (Animal::*)(void)", "virtual function 2 of Animal"),
        ("no_function", "int (Animal::*)(void)", "nullptr"),
        ("*cage.last", "const int", "3"),
        ("moods", "Cage<zoo::Mood, 2>", "{items = {Calm, Cross}, last = 0x0}"),
        ("wide", "wchar_t [7]", 'L"wide €"'),
        ("sixteen", "char16_t [8]", 'u"sixteen"'),
        ("letter", "char32_t", "120 'x'"),
        ("yes", "bool", "true"),
        ("Animal::count", "int", "3"),
        ("duck.count", "int", "3"),
        ("zoo::Duck::hatched", "int", "12"),
        ("Animal::limit", "const int", "70"),
        ("duck.limit", "const int", "70"),
        ("hidden", "int", "44"),
        ("nothing == nullptr", "int", "1"),
    ],
)
def test_classes(classes: Stopped, text: str, type_: str, shown: str) -> None:
    value = evaluate(text, classes.context())
    assert (value.type.name, format_value(value)) == (type_, shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("eggs", "7"),
        ("this->eggs", "7"),
        ("this->legs", "4"),
        ("height", "30"),
        ("hatched", "12"),
        ("more + before", "7"),
        ("(*this).mood", "Cross"),
    ],
)
def test_a_method_knows_its_object(lay: Stopped, text: str, shown: str) -> None:
    assert lay.show(text) == shown


def test_a_method_of_a_template_knows_its_object(guest: Guests) -> None:
    stopped = Stopped(guest, "classes", "first")
    assert stopped.show("items") == "{1, 2, 3}"
    assert stopped.show("*this") == f"{{items = {{1, 2, 3}}, last = {stopped.show('last', 'x')}}}"
    stopped.engine.close()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "Animal",
            "struct Animal {\n    int legs;\n    static int count;\n    static const int limit;\n}",
        ),
        ("zoo::Mood", "enum class zoo::Mood : unsigned char {Calm, Cross}"),
        ("Swimmer", "struct Swimmer : virtual Animal {\n    int depth;\n}"),
        ("cage", "struct Cage<int, 3> {\n    int items[3];\n    const int *last;\n}"),
    ],
)
def test_classes_are_written_out(classes: Stopped, text: str, lines: str) -> None:
    assert describe_type(parse_type(text, classes.context())) == lines


def test_a_virtual_base_that_cannot_be_found_says_why(classes: Stopped) -> None:
    duck = evaluate("duck", classes.context())
    stray = replace(duck, address=len(classes.state.memories[0].view()) - 4)
    assert "<error: cannot access memory" in format_value(stray)
    assert "a virtual base of what is not in memory" in format_value(
        replace(duck, address=None, immediate=bytes(100))
    )


X200 = "'x' <repeats 200 times>…"


@pytest.mark.parametrize(
    ("text", "type_", "shown"),
    [
        ("empty", "std::string", '""'),
        ("brief", "std::string", r'"short \"one\""'),
        ("lengthy", "std::string", X200),
        ("ten", "std::string", '"0123456789"'),
        ("wide", "std::wstring", 'L"wïde"'),
        ("sixteen", "std::u16string", 'u"sixteen"'),
        ("view", "std::string_view", '"234"'),
        ("numbers", "std::vector<int>", "{1, 2, 3}"),
        ("reference", "std::vector<int>", "{1, 2, 3}"),
        ("none", "std::vector<int>", "{}"),
        ("bits", "std::vector<bool>", "{true, false, true}"),
        ("nested", "std::vector<std::vector<std::string>>", '{{"a", "b"}, {}, {"c"}}'),
        ("fixed", "std::array<short, 3>", "{4, 5, 6}"),
        ("ages", "std::map<std::string, int>", '{["ann"] = 31, ["bob"] = 42, ["cleo"] = 7}'),
        ("nothing", "std::map<int, int>", "{}"),
        ("letters", "std::set<char>", "{97 'a', 109 'm', 113 'q'}"),
        ("places", "std::unordered_map<int, Point>", "{[5] = {x = 1, y = 2}}"),
        ("words", "std::unordered_set<std::string>", '{"only"}'),
        ("points", "std::list<Point>", "{{x = 1, y = 2}, {x = 3, y = 4}}"),
        ("queue", "std::deque<int>", "{1, 2, 3}"),
        ("triple", "std::tuple<int, std::string, char>", """std::tuple(7, "seven", 55 '7')"""),
        ("pair.second", "Point", "{x = 8, y = 9}"),
        ("maybe", "std::optional<std::string>", 'std::optional("some")'),
        ("never", "std::optional<std::string>", "std::nullopt"),
        ("either", "std::variant<int, std::string>", 'std::variant("second")'),
        ("first", "std::variant<int, std::string>", "std::variant(1)"),
        ("released", "std::unique_ptr<Point>", "0x0"),
        ("numbers[2]", "int", "3"),
        ("nested[0][1]", "std::string", '"b"'),
        ("queue[1]", "int", "2"),
        ("owned->y", "int", "6"),
        ("*owned", "Point", "{x = 5, y = 6}"),
        ("chain->next->value", "int", "2"),
        ("owners[0]->x", "int", "7"),
    ],
)
def test_containers(containers: Stopped, text: str, type_: str, shown: str) -> None:
    value = evaluate(text, containers.context())
    assert (value.type.name, format_value(value)) == (type_, shown)


def test_the_nodes_of_a_tree_come_in_order(containers: Stopped) -> None:
    squares = format_value(evaluate("squares", containers.context()), limits=Limits(elements=1000))
    expected = {i * 37 % 100: i for i in range(100)}
    assert squares == "{" + ", ".join(f"[{key}] = {expected[key]}" for key in range(100)) + "}"


def test_what_is_owned_is_followed_until_it_comes_round(containers: Stopped) -> None:
    context = containers.context()
    address = evaluate("shared", context).member("__ptr_").as_int()
    assert containers.show("shared") == f"{address:#x} {{value = 3, next = 0x0, ring = {address:#x} {{…}}}}"
    assert containers.show("*owned") == "{x = 5, y = 6}"
    assert containers.show("owned").endswith(" {x = 5, y = 6}")
    deep = format_value(evaluate("chain", context), limits=Limits(depth=2))
    assert deep.endswith("next = {…}, ring = {…}}")


def test_containers_are_cut_to_the_limit(containers: Stopped) -> None:
    context = containers.context()
    few = Limits(elements=3)
    assert format_value(evaluate("many", context), limits=few) == "{0, 1, 2…}"
    assert format_value(evaluate("ten", context), limits=few) == '"012"…'
    assert format_value(evaluate("wide", context), limits=few) == 'L"wïd"…'
    assert format_value(evaluate("letters", context), limits=Limits(elements=2)) == "{97 'a', 109 'm'…}"


def test_the_raw_format_shows_the_members(containers: Stopped) -> None:
    assert containers.show("numbers", "r").startswith("{__begin_ = 0x")
    assert containers.show("numbers", "x") == "{0x1, 0x2, 0x3}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("numbers[3]", "index 3 is out of bounds: there are 3 elements"),
        ("numbers[-1]", "index -1 is out of bounds"),
        ("none[0]", "there are 0 elements"),
        ("ages[0]", "cannot be indexed"),
    ],
)
def test_containers_have_bounds(containers: Stopped, text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        evaluate(text, containers.context()).number()


@pytest.mark.parametrize("name", ["numbers", "lengthy", "ages", "points", "queue", "bits", "words", "nested"])
@given(data=st.binary(min_size=32, max_size=32))
def test_a_container_of_garbage_shows_quickly_and_as_text(
    containers: Stopped, name: str, data: bytes
) -> None:
    value = evaluate(name, containers.context())
    garbage = replace(value, address=None, immediate=data[: value.size] + bytes(max(0, value.size - 32)))
    assert len(format_value(garbage)) < 100_000


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("std::__1::vector<int, std::__1::allocator<int> >", "std::vector<int>"),
        ("std::__1::vector<int, mine::allocator<int> >", "std::vector<int, mine::allocator<int>>"),
        ("std::__1::allocator<int>", "std::allocator<int>"),
        ("pair<std::__1::allocator<a>, std::__1::less<b> >::x", "pair<std::allocator<a>>::x"),
        ("alloc::vec::Vec<u8, alloc::alloc::Global>", "alloc::vec::Vec<u8>"),
        ("operator<", "operator<"),
        ("plain", "plain"),
    ],
)
def test_names_without_what_compilers_add(name: str, readable: str) -> None:
    assert readable_name(name) == readable


def test_parameters_are_read_out_of_names() -> None:
    assert template_parameters("A<B<C, D>, E (F, G), 3>") == ["B<C, D>", "E (F, G)", "3"]
    assert template_parameters("A") == []


@given(st.text(alphabet="abstd:_<>,() 123", max_size=60))
def test_any_name_has_a_readable_form(name: str) -> None:
    assert len(readable_name(name)) <= len(name)
    template_parameters(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ten == "0123456789"', 1),
        ('ten != "0123456789 "', 1),
        ('view == "234"', 1),
        ('empty == ""', 1),
        ('wide == "w\u00efde"', 1),
        ('sixteen == "sixteen"', 1),
        ('nested[0][1] == "b"', 1),
    ],
)
def test_strings_of_the_library_are_compared_too(containers: Stopped, text: str, expected: int) -> None:
    assert evaluate(text, containers.context()).as_int() == expected
