"""What the source declares, by name, line and address."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support import Guests
from ttd.errors import ExpressionError, UsageError
from ttd.replayer.debugger import Debugger
from ttd.replayer.symbols import by_file

Debug = Callable[[str], Debugger]


@pytest.fixture
def structs(debug: Debug, guest: Guests) -> Debugger:
    """The guest of all C types, in main with all of its variables made."""
    debugger = debug("structs")
    debugger.break_(f"structs.c:{guest.line('structs', 'ready')}")
    debugger.continue_()
    return debugger


def matching(regex: str) -> Callable[[str], bool]:
    return lambda name: re.search(regex, name) is not None


def test_whatis_names_a_type_and_ptype_writes_it_out(structs: Debugger) -> None:
    symbols = structs.symbols
    assert symbols.whatis("head->handle") == "handle_t"
    assert symbols.whatis("handle_t") == "uint32_t"
    assert symbols.whatis("uint32_t") == "unsigned int"
    assert symbols.whatis("struct point") == "struct point"
    assert symbols.whatis("head->corner") == "struct point [3]"
    assert symbols.whatis("head") == "struct node *"
    assert symbols.ptype("handle_t") == "unsigned int"
    assert symbols.ptype("head->corner[0]") == "struct point {\n    int x;\n    int y;\n}"


def test_offsets_sizes_and_holes_of_members(structs: Debugger) -> None:
    assert structs.symbols.ptype("struct node", offsets=True).splitlines() == [
        "/* offset      |    size */  struct node {",
        "/*      0      |      12 */      char name[12];",
        "/*     12      |       4 */      enum colour colour;",
        "/*     16      |       4 */      handle_t handle;",
        "/*     20      |      24 */      struct point corner[3];",
        "/* XXX 4-byte hole       */",
        "/*     48      |       8 */      double weight;",
        "/*     56: 0   |       4 */      unsigned int flags : 3;",
        "/*     56: 3   |       4 */      unsigned int kind : 5;",
        "/* XXX 3-byte hole       */",
        "/*     60      |       4 */      struct node *next;",
        "/*     64      |       4 */      int (*compare)(const struct node *, const struct node *);",
        "/*     68      |       4 */      union number number;",
        "/*     72      |       4 */      const char *label;",
        "/* XXX 4-byte padding    */",
        "                                 /* total size:   80 bytes */",
        "                             }",
    ]
    assert structs.symbols.ptype("head->handle", offsets=True) == "unsigned int"


def test_lists_have_what_a_pattern_matches_with_its_place(structs: Debugger, guest: Guests) -> None:
    symbols = structs.symbols
    (function,), count = symbols.functions(matching("^by_weight$"), 10)
    assert (function.text, count) == ("int by_weight(const struct node *, const struct node *)", 1)
    assert function.location is not None and function.location.path.endswith("structs.c")
    (main,), _ = symbols.functions(matching("^main$"), 10)
    assert main.text == "int main(void)"
    variables, _ = symbols.variables(matching("^(head|counter|banner)$"), 10)
    assert {each.text for each in variables} == {"struct node *head", "int64_t counter", "char banner[12]"}
    types, _ = symbols.types(matching("^(handle_t|(struct )?point|(enum )?colour|double)$"), 10)
    assert {each.text for each in types} == {
        "typedef uint32_t handle_t", "struct point", "enum colour", "double",
    }  # fmt: skip
    assert [each.location is None for each in types if each.text == "double"] == [True]
    first, count = symbols.functions(matching(""), 2)
    assert len(first) == 2 < count
    (without,), _ = symbols.functions(matching("^__wasm_call_ctors$"), 10)
    assert without.location is None and without.address


def test_declarations_are_grouped_by_file_in_order_of_lines(structs: Debugger) -> None:
    found, _ = structs.symbols.types(matching("^(struct (point|node)|int)$"), 10)
    groups = by_file(found)
    assert [path.rpartition("/")[2] for path in groups] == ["structs.c", ""]
    assert [each.text for each in next(iter(groups.values()))] == ["struct point", "struct node"]


def test_lines_are_told_by_their_code(structs: Debugger, guest: Guests) -> None:
    (place,) = structs.break_("by_weight").places
    (view,) = structs.symbols.lines("by_weight")
    code = structs.module.functions[place.function].code
    assert view.start == place.pc < view.end <= code.end
    assert view.symbols[0] == f"by_weight+{place.pc - code.start}"
    inside = [each.offset for each in code.instructions if view.start <= each.offset < view.end]
    assert {structs.debug.location(pc).line for pc in inside} == {view.location.line}  # type: ignore[union-attr]
    with pytest.raises(UsageError):
        structs.symbols.lines("nowhere.c:3")


def test_variables_tell_where_they_are(structs: Debugger) -> None:
    symbols = structs.symbols
    scope = dict(symbols.scope("by_weight"))
    assert list(scope) == ["b", "a"]
    place = r"a variable at frame base \+\d+ \(frame base: WebAssembly local \d+\), length 4"
    assert re.fullmatch(place, scope["a"])
    head = structs.evaluate("&head").as_int()
    assert symbols.address("head") == f"static storage at address {head:#x}, length 4"
    assert symbols.address("RED") == "constant"
    assert symbols.address("by_weight").startswith("a function at byte offset 0x")
    with pytest.raises(ExpressionError, match="no symbol 'nothing'"):
        symbols.address("nothing")


def test_addresses_tell_what_lies_there(structs: Debugger) -> None:
    symbols = structs.symbols
    assert list(symbols.at("&banner[5]")) == ["banner+5 in memory"]
    assert list(symbols.at("by_weight")) == ["by_weight in code"]
    assert list(symbols.at("head->compare")) == ["by_weight in code"]
    assert next(iter(symbols.at("$pc"))).startswith("main+")
    assert list(symbols.at("(char *)4")) == []


def test_without_debug_information_no_variable_is_visible(debug: Debug) -> None:
    debugger = debug("wat:tail")
    assert debugger.symbols.scope(f"*{debugger.module.functions[0].code.start}") == []
