"""Names for what has only an index: from the name section, else from exports and imports (core 7.4.1).

A name section is a help and never an obstacle: whatever is malformed in it is passed over. Names come
from the guest and end up on terminals, so control characters in them are escaped.

May import base and `ttd.wasm`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TypeAlias

from ttd.errors import InvalidModule
from ttd.wasm.expression import read_count
from ttd.wasm.leb128 import read_u32
from ttd.wasm.model import ExternKind, Module

NameMap: TypeAlias = dict[int, str]

_MODULE, _FUNCTIONS, _LOCALS, _LABELS, _TYPES, _TABLES, _MEMORIES, _GLOBALS, _ELEMENTS, _DATAS = range(10)
_TAGS = 11
"""Ids of subsections; those behind the locals are of the extended-name-section proposal."""


class Names:
    """The names of one module. Read on first use, so that making one costs nothing.

    Every method answers for any index, with something like ``func[12]`` where there is no name.
    """

    def __init__(self, module: Module) -> None:
        self._module = module

    @property
    def module(self) -> str | None:
        """The name that the module gives itself."""
        data = self._subsections.get(_MODULE, b"")
        try:
            return _read_name(data, 0)[0]
        except (InvalidModule, IndexError):
            return None

    def function(self, index: int) -> str:
        """By the name section, else as exported, else as imported, else ``func[index]``."""
        return self._function_names.get(index) or f"func[{index}]"

    def has_function(self, index: int) -> bool:
        """Whether `function` has a real name to give."""
        return index in self._function_names

    def functions_named(self, name: str) -> list[int]:
        """Indices of the functions that go by `name`, in the name section, by export or as import."""
        return self._functions_by_name.get(name, [])

    def local(self, function: int, index: int) -> str:
        return self._locals.get(function, {}).get(index) or f"local[{index}]"

    def label(self, function: int, index: int) -> str:
        """Of the `index`-th block, loop, if or try_table of a function, counted from 0."""
        return self._labels.get(function, {}).get(index) or f"label[{index}]"

    def type(self, index: int) -> str:
        return self._simple(_TYPES).get(index) or f"type[{index}]"

    def table(self, index: int) -> str:
        return self._of_kind(_TABLES, ExternKind.TABLE, index) or f"table[{index}]"

    def memory(self, index: int) -> str:
        return self._of_kind(_MEMORIES, ExternKind.MEMORY, index) or f"memory[{index}]"

    def global_(self, index: int) -> str:
        return self._of_kind(_GLOBALS, ExternKind.GLOBAL, index) or f"global[{index}]"

    def tag(self, index: int) -> str:
        return self._of_kind(_TAGS, ExternKind.TAG, index) or f"tag[{index}]"

    def element(self, index: int) -> str:
        return self._simple(_ELEMENTS).get(index) or f"elem[{index}]"

    def data(self, index: int) -> str:
        return self._simple(_DATAS).get(index) or f"data[{index}]"

    # --- reading -------------------------------------------------------------------------------------

    @cached_property
    def _subsections(self) -> dict[int, bytes]:
        """Contents of the subsections by id; the first one wins, as in the specification each comes once."""
        section = self._module.custom("name")
        found: dict[int, bytes] = {}
        data, position = section.data if section is not None else b"", 0
        with suppress(InvalidModule, IndexError):
            while position < len(data):
                id_ = data[position]
                size, position = read_u32(data, position + 1)
                found.setdefault(id_, data[position : position + size])
                position += size
        return found

    @cached_property
    def _maps(self) -> dict[int, NameMap]:
        return {}

    def _simple(self, id_: int) -> NameMap:
        """The name map of a subsection that holds just one."""
        if id_ not in self._maps:
            names: NameMap = {}
            data = self._subsections.get(id_, b"")
            with suppress(InvalidModule, IndexError):
                _read_map(data, 0, names)
            self._maps[id_] = names
        return self._maps[id_]

    def _indirect(self, id_: int) -> dict[int, NameMap]:
        """The maps of a subsection that has one for each function."""
        found: dict[int, NameMap] = {}
        data = self._subsections.get(id_, b"")
        with suppress(InvalidModule, IndexError):
            count, position = read_count(data, 0, len(data))
            for _ in range(count):
                function, position = read_u32(data, position)
                position = _read_map(data, position, found.setdefault(function, {}))
        return found

    @cached_property
    def _locals(self) -> dict[int, NameMap]:
        return self._indirect(_LOCALS)

    @cached_property
    def _labels(self) -> dict[int, NameMap]:
        return self._indirect(_LABELS)

    def _outside(self, kind: ExternKind) -> NameMap:
        """Names by export (the first one of each thing), else by import."""
        names = {entry.index: printable(entry.name) for entry in self._module.imports if entry.kind is kind}
        for export in reversed(self._module.exports):
            if export.kind is kind:
                names[export.index] = printable(export.name)
        return names

    @cached_property
    def _outside_names(self) -> dict[ExternKind, NameMap]:
        return {kind: self._outside(kind) for kind in ExternKind}

    def _of_kind(self, id_: int, kind: ExternKind, index: int) -> str | None:
        return self._simple(id_).get(index) or self._outside_names[kind].get(index)

    @cached_property
    def _function_names(self) -> NameMap:
        names = {index: name for index, name in self._simple(_FUNCTIONS).items() if name}
        return {**self._outside_names[ExternKind.FUNCTION], **names}

    @cached_property
    def _functions_by_name(self) -> dict[str, list[int]]:
        """All ways to call a function, its export too where the name section says something else."""
        found: dict[str, list[int]] = {}
        for names in (self._function_names, self._outside_names[ExternKind.FUNCTION]):
            for index, name in names.items():
                if index < len(self._module.functions) and index not in found.setdefault(name, []):
                    found[name].append(index)
        return {name: sorted(indices) for name, indices in found.items()}


def printable(name: str) -> str:
    """`name` with what could drive a terminal escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def _read_name(data: bytes, position: int) -> tuple[str, int]:
    size, position = read_count(data, position, len(data))
    text = data[position : position + size].decode("utf-8", "replace")
    return printable(text), position + size


def _read_map(data: bytes, position: int, names: NameMap) -> int:
    """Add a name map to `names`; the position behind it. Keeps what it read when it then raises."""
    count, position = read_count(data, position, len(data))
    for _ in range(count):
        index, position = read_u32(data, position)
        name, position = _read_name(data, position)
        names.setdefault(index, name)
    return position
