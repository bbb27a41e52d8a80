"""Names of indices: the name section first, what the outside calls them second, and never an error."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import Guests
from tests.wasm.corpus import assemble
from ttd.wasm.decode import decode
from ttd.wasm.model import CustomSection, Module
from ttd.wasm.names import Names

NAMED = decode(
    assemble("""(module $program
  (type $sig (func (param i32)))
  (import "env" "log" (func $logger (param i32)))
  (tag $oops) (memory $heap 1) (table $fns 1 funcref) (global $count (mut i32) (i32.const 0))
  (elem $init func) (data $text "x")
  (func $work (export "run") (param $left i32) (local $sum i64) (block $done (loop $again))))""")
)
BARE = """(module
  (import "env" "log" (func)) (import "env" "base" (global i32))
  (func (export "run") (export "also")) (func) (memory (export "memory") 1))"""


def with_section(data: bytes) -> Names:
    """The names of a module without any, to which a name section with these contents is added."""
    module = decode(assemble(BARE))
    return Names(dataclasses.replace(module, customs=(CustomSection("name", 0, data),)))


def subsection(id_: int, contents: bytes) -> bytes:
    return bytes([id_, len(contents)]) + contents


def test_names_of_the_name_section() -> None:
    names = Names(NAMED)
    assert names.module == "program"
    assert [names.function(0), names.function(1)] == ["logger", "work"]
    assert [names.local(1, 0), names.local(1, 1)] == ["left", "sum"]
    assert [names.label(1, 0), names.label(1, 1)] == ["done", "again"]
    assert (names.type(0), names.table(0), names.memory(0)) == ("sig", "fns", "heap")
    assert (names.global_(0), names.element(0), names.data(0)) == ("count", "init", "text")
    assert names.tag(0) == "oops"


def test_exports_and_imports_name_what_has_no_other_name() -> None:
    names = Names(decode(assemble(BARE)))
    assert names.function(0) == "log"
    assert names.function(1) == "run"  # the first export, not "also"
    assert names.global_(0) == "base"
    assert names.memory(0) == "memory"
    assert names.module is None


def test_what_has_no_name_is_called_by_its_index() -> None:
    names = Names(decode(assemble(BARE)))
    assert names.function(2) == "func[2]"
    assert not names.has_function(2)
    assert names.has_function(1)
    assert names.function(99) == "func[99]"
    assert (names.local(1, 3), names.label(1, 0), names.type(0)) == ("local[3]", "label[0]", "type[0]")
    assert (names.table(1), names.memory(7), names.global_(9)) == ("table[1]", "memory[7]", "global[9]")
    assert (names.element(0), names.data(4), names.tag(2)) == ("elem[0]", "data[4]", "tag[2]")


def test_functions_are_found_by_any_of_their_names() -> None:
    names = Names(NAMED)
    assert names.functions_named("work") == [1]
    assert names.functions_named("run") == [1]
    assert names.functions_named("logger") == [0]
    assert names.functions_named("log") == [0]
    assert names.functions_named("nobody") == []


def test_functions_of_the_same_name_are_all_found() -> None:
    twice = b"\x02\x01\x03dup\x02\x03dup"
    assert with_section(subsection(1, twice)).functions_named("dup") == [1, 2]


def test_names_that_no_function_has_are_not_found() -> None:
    assert with_section(subsection(1, b"\x01\x63\x01f")).functions_named("f") == []


def test_a_damaged_subsection_leaves_the_others_readable() -> None:
    broken = subsection(2, b"\x7f\x00") + subsection(1, b"\x01\x02\x04good")
    names = with_section(broken)
    assert names.function(2) == "good"
    assert names.local(2, 0) == "local[0]"


def test_a_cut_off_map_keeps_the_names_before_the_cut() -> None:
    names = with_section(subsection(1, b"\x02\x01\x03one\x02\x7fx"))
    assert names.function(1) == "one"
    assert names.function(2) == "func[2]"


def test_empty_names_do_not_count() -> None:
    assert with_section(subsection(1, b"\x02\x01\x00\x02\x00")).function(1) == "run"


def test_control_characters_are_escaped() -> None:
    names = with_section(subsection(1, b"\x01\x02\x06\x1b[31m\n"))
    assert names.function(2) == "\\x1b[31m\\n"
    assert names.function(2).isprintable()


def test_bad_utf8_is_replaced() -> None:
    assert with_section(subsection(1, b"\x01\x02\x02a\xff")).function(2) == "a�"


def ask_everything(names: Names, module: Module) -> None:
    methods = (names.function, names.type, names.table, names.memory, names.global_, names.tag)
    for method in (*methods, names.element, names.data):
        assert method(0).isprintable()
    for function in module.functions:
        assert names.local(function.index, 0)
        assert names.label(function.index, 0)
    assert names.module is None or names.module.isprintable()
    assert names.functions_named("run") in ([], [1])


@settings(max_examples=300)
@given(st.binary(max_size=120))
def test_no_name_section_is_an_error(data: bytes) -> None:
    ask_everything(with_section(data), NAMED)


@settings(max_examples=200)
@given(st.integers(0, 12), st.binary(max_size=40))
def test_no_subsection_is_an_error(id_: int, contents: bytes) -> None:
    ask_everything(with_section(subsection(id_, contents)), NAMED)


def test_a_compiled_program_has_names(guest: Guests) -> None:
    module = decode(guest("hello").read_bytes())
    names = Names(module)
    assert names.functions_named("main")
    assert all(names.has_function(function.index) for function in module.functions)
