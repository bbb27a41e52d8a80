"""Words and grammar of expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd.errors import ExpressionError
from ttd.expr import parse
from ttd.expr.parser import MAX_NESTING, MAX_OPERATORS, parse_tree, parse_type_name
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


def text_of(node: Node | TypeName) -> str:
    """The tree with every parenthesis written out."""
    if isinstance(node, Number):
        return str(node.value)
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Special):
        return f"${node.name}"
    if isinstance(node, Unary):
        return f"({node.operator}{text_of(node.operand)})"
    if isinstance(node, Binary):
        return f"({text_of(node.left)} {node.operator} {text_of(node.right)})"
    if isinstance(node, Conditional):
        return f"({text_of(node.condition)} ? {text_of(node.yes)} : {text_of(node.no)})"
    if isinstance(node, MemberAccess):
        return f"({text_of(node.object)}{'->' if node.arrow else '.'}{node.name})"
    if isinstance(node, Index):
        return f"({text_of(node.object)}[{text_of(node.index)}])"
    if isinstance(node, Cast):
        return f"({{{text_of(node.type)}}}{text_of(node.operand)})"
    if isinstance(node, SizeOf):
        return f"sizeof<{text_of(node.operand)}>"
    if isinstance(node, Text):
        return repr(node.value)
    return node.base + "".join(d if isinstance(d, str) else f"[{d}]" for d in node.derivations)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c", "(a + (b * c))"),
        (r'a == "b\n\x41\""', "(a == b'b\\nA\"')"),
        ("a - b - c", "((a - b) - c)"),
        ("a << b + c", "(a << (b + c))"),
        ("a & b == c", "(a & (b == c))"),
        ("a | b ^ c & d", "(a | (b ^ (c & d)))"),
        ("a || b && c", "(a || (b && c))"),
        ("a < b == c > d", "((a < b) == (c > d))"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("-a.b", "(-(a.b))"),
        ("*a->b[2].c", "(*(((a->b)[2]).c))"),
        ("&a[1]", "(&(a[1]))"),
        ("- -a", "(-(-a))"),
        ("!~a", "(!(~a))"),
        ("*p@3", "((*p) @ 3)"),
        ("p[0]@2*3", "(((p[0]) @ 2) * 3)"),
        ("$pc + $0", "($pc + $0)"),
        ("ns::x + ::y", "(ns::x + ::y)"),
        ("(struct node *)p->q", "({struct node*}(p->q))"),
        ("(node *)p", "({node*}p)"),
        ("(node const **)p", "({node**}p)"),
        ("(node)p", "({node}p)"),
        ("(node)~p", "({node}(~p))"),
        ("(unsigned long int)1", "({unsigned long}1)"),
        ("(long unsigned)1", "({unsigned long}1)"),
        ("(const char *const)p", "({char*}p)"),
        ("(int[2][3])x", "({int[3][2]}x)"),
        ("(a)", "a"),
        ("(a) - b", "(a - b)"),
        ("(a) * b", "(a * b)"),
        ("(a)[1]", "(a[1])"),
        ("(a).b", "(a.b)"),
        ("sizeof(int)", "sizeof<int>"),
        ("sizeof(struct s) + 1", "(sizeof<struct s> + 1)"),
        ("sizeof a[1]", "sizeof<(a[1])>"),
        ("sizeof(a)[1]", "sizeof<(a[1])>"),
        ("sizeof(t*)", "sizeof<t*>"),
        ("0x1f + 010 + 0b11", "((31 + 8) + 3)"),
        ("'a' + '\\n' + '\\x41' + '\\101' + '\\''", "((((97 + 10) + 65) + 65) + 39)"),
        ("1.5e3 + .5", "(1500.0 + 0.5)"),
    ],
)
def test_trees(text: str, tree: str) -> None:
    assert text_of(parse_tree(text)[0]) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("(t)-a*b", "(({t}(-a)) * b)"),
        ("(t)*p", "({t}(*p))"),
        ("(t)&x", "({t}(&x))"),
        ("sizeof(t)", "sizeof<t>"),
    ],
)
def test_a_name_in_doubt_is_a_type_only_if_the_program_says_so(text: str, tree: str) -> None:
    other, doubtful = parse_tree(text)
    assert doubtful == {"t"}
    assert text_of(other) != tree or text.startswith("sizeof")
    assert text_of(parse_tree(text, frozenset({"t"}))[0]) == tree


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("1", "int"),
        ("2147483648", "long long"),
        ("0x80000000", "unsigned int"),
        ("0x100000000", "long long"),
        ("18446744073709551615", "unsigned long long"),
        ("1u", "unsigned int"),
        ("1ull", "unsigned long long"),
        ("1LL", "long long"),
        ("'a'", "char"),
        ("1.0", "double"),
        ("1.0f", "float"),
    ],
)
def test_constants_have_their_types(text: str, type_: str) -> None:
    node = parse_tree(text)[0]
    assert isinstance(node, Number) and node.type == type_


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "empty", 0),
        ("   ", "empty", 0),
        ("a +", "end of expression", 3),
        ("a b", "unexpected 'b'", 2),
        ("(a", "expected ')'", 2),
        ("a[1", "expected ']'", 3),
        ("a.1", "unexpected '.1'", 1),
        ("a.", "member's name", 2),
        ("x = 1", "cannot be changed", 2),
        ("x += 1", "cannot be changed", 2),
        ("x++", "cannot be changed", 1),
        ("--x", "cannot be changed", 0),
        ("f(1)", "cannot be called", 1),
        ("1 ? 2", "expected ':'", 5),
        ("12abc", "invalid number", 0),
        ("08", "invalid number", 0),
        ("99999999999999999999", "64 bits", 0),
        ('"text', "the string does not end", 0),
        ("a # b", "invalid character '#'", 2),
        ("'ab'", "invalid character", 0),
        ("(long float)x", "no such type", 1),
        ("(struct)x", "expected a tag", 7),
        ("int", "unexpected type", 0),
        ("&&x", "unexpected '&&'", 0),
        ("1.2.3", "invalid number", 0),
    ],
)
def test_what_does_not_parse_says_where(text: str, message: str, column: int) -> None:
    with pytest.raises(ExpressionError, match=None) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.column == column
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "a",
        "- " * 3000 + "a",
        "!" * 5000 + "a",
        "a" + "[a" * 5000,
        "a ? " * 2000 + "a",
        "+" * 20_000,
    ],
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"nests too deep|longer than"):
        parse(text)


def test_long_chains_are_refused() -> None:
    with pytest.raises(ExpressionError, match="operators"):
        parse("1" + "+1" * (MAX_OPERATORS + 1))
    with pytest.raises(ExpressionError, match="operators"):
        parse("a" + ".a" * (MAX_OPERATORS + 1))
    parse("1" + "+1" * MAX_OPERATORS)
    parse("(" * (MAX_NESTING // 2 - 1) + "1" + ")" * (MAX_NESTING // 2 - 1))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("struct node *", TypeName("struct node", ("*",), 0)),
        ("unsigned", TypeName("unsigned int", (), 0)),
        ("char[4]", TypeName("char", (4,), 0)),
        ("const volatile long long int", TypeName("long long", (), 0)),
        ("bool", TypeName("_Bool", (), 0)),
    ],
)
def test_type_names(text: str, name: TypeName) -> None:
    assert parse_type_name(text) == name


NAMES = ["a", "p", "int", "struct", "const", "unsigned", "sizeof", "$pc"]
NUMBERS = ["1", "0x2", "1.5", "'c'"]
OPERATORS = [*"()[].*&+-?:@,=", "->", "&&", "==", "<<", "::"]
WORDS = st.sampled_from([*NAMES, *NUMBERS, *OPERATORS])


@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=30))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse(text)
    except ExpressionError as error:
        assert error.column is None or 0 <= error.column <= len(text)
