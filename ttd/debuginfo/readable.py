"""Names as a source writes them: what compilers and linkers spell out is left out again.

``std::__1::vector<int, std::__1::allocator<int> >`` is ``std::vector<int>``. For showing only: looking
something up takes the full name.

Imports nothing of ttd.
"""

from __future__ import annotations

import re
from functools import lru_cache

_DEFAULTS = (
    "std::allocator<", "std::char_traits<", "std::default_delete<", "std::less<", "std::hash<",
    "std::equal_to<", "alloc::alloc::Global",
)  # fmt: skip
"""What the last parameters of libc++'s and Rust's templates are unless somebody says otherwise."""

_INLINE_NAMESPACE = re.compile(r"\bstd::__\w+::")
_NUMBER_SUFFIX = re.compile(r"\b(\d+)UL\b")
LONGEST = 10_000
"""Characters of a name that is looked into."""


@lru_cache(maxsize=4096)
def readable_name(name: str) -> str:
    """The name of a type without inline namespaces of the C++ library and without default parameters."""
    if ("<" not in name and "std::__" not in name) or len(name) > LONGEST:
        return name
    name = _NUMBER_SUFFIX.sub(r"\1", _INLINE_NAMESPACE.sub("std::", name))
    for default in _DEFAULTS:
        name = _without_parameter(name, default)
    name = name.replace("std::basic_string<char>", "std::string")
    name = name.replace("std::basic_string_view<char>", "std::string_view")
    while " >" in name:
        name = name.replace(" >", ">")
    return name


def _without_parameter(name: str, default: str) -> str:
    """`name` without the template parameters that begin with `default` and are not the first."""
    start = name.find(", " + default)
    while start >= 0:
        end = _end_of_parameter(name, start + 2)
        if name[end : end + 2] in (", ", "", " >") or name[end : end + 1] == ">":
            name = name[:start] + name[end:]
            start = name.find(", " + default, start)
        else:
            start = name.find(", " + default, start + 1)
    return name


def _end_of_parameter(name: str, start: int) -> int:
    """Where the template parameter that begins at `start` ends."""
    depth = 0
    for index in range(start, len(name)):
        if name[index] in "<([":
            depth += 1
        elif name[index] in ">)]":
            depth -= 1
        if depth < 0 or (depth == 0 and name[index] == ","):
            return index
    return len(name)


def template_parameters(name: str) -> list[str]:
    """The template parameters in a name, as spelled there: ``A<B<C>, D>`` has ``B<C>`` and ``D``."""
    start = name.find("<") + 1
    parameters: list[str] = []
    while start and start < len(name):
        end = _end_of_parameter(name, start)
        parameters.append(name[start:end].strip())
        start = end + 1 if name[end : end + 1] == "," else 0
    return parameters
