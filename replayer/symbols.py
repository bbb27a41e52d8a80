"""What the program's source declares, told by name, line or address: the answers of whatis, ptype and info.

Nothing here runs the machine. May import base, wasm, debuginfo, static, expr and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ttd.debuginfo import DebugInfo, Variable
from ttd.debuginfo.types import AliasType, FunctionType, PointerType
from ttd.errors import ExpressionError, UsageError
from ttd.expr import StateContext, describe_layout, describe_type, parse_type, what_is
from ttd.expr.arithmetic import CODE_OFFSET
from ttd.expr.evaluate import Callee, Evaluator
from ttd.replayer.inspect import Inspector
from ttd.replayer.memory import MemoryInspector
from ttd.replayer.views import Place
from ttd.types import Location
from ttd.wasm.model import Body

Accepts = Callable[[str], bool]
"""Whether a name is wanted."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A function, variable or type of the source."""

    text: str
    """As the source would declare it, ``int leaf(int, int)``; a bare name where no more is known."""
    location: Location | None
    """Where; None for what no file declares: the language's own types, code without debug information."""
    address: int | None = None
    """Of a function without debug information, the byte offset of its code in the module."""


@dataclass(frozen=True, slots=True)
class LineView:
    """The code of a source line in one function: byte offsets [start, end) in the module file."""

    location: Location
    start: int
    end: int
    symbols: tuple[str, str]
    """``main+4``, for both ends."""


class Symbols:
    """The names of a program, as seen from where it stands. `Debugger.symbols` is one."""

    def __init__(
        self,
        debug: DebugInfo,
        inspector: Inspector,
        memory: MemoryInspector,
        resolve: Callable[[str], Sequence[Place]],
    ) -> None:
        """`resolve` gives the places of a specification, as for a breakpoint."""
        self._debug = debug
        self._inspector = inspector
        self._memory = memory
        self._resolve = resolve

    @property
    def _context(self) -> StateContext:
        return self._inspector.context

    # --- types of expressions --------------------------------------------------------------------------

    def whatis(self, text: str) -> str:
        """The type of an expression by its name; of a typedef's name, what it stands for.

        Raises ExpressionError.
        """
        return what_is(text, self._context).name

    def ptype(self, text: str, offsets: bool = False) -> str:
        """A type, or that of an expression, written out; with `offsets` and sizes. Raises ExpressionError."""
        type_ = parse_type(text, self._context)
        return describe_layout(type_) if offsets else describe_type(type_)

    # --- lists -----------------------------------------------------------------------------------------

    def functions(self, accepts: Accepts, most: int) -> tuple[list[Declaration], int]:
        """Functions whose name is wanted, at most so many; and how many there are."""
        names, mains = self._debug.names, self._debug.functions_by_symbol("main")
        found = [
            f.index
            for f in self._debug.module.functions
            if f.body is not None
            and (accepts(names.function(f.index)) or (f.index in mains and accepts("main")))
        ]
        return [self._function(index) for index in found[:most]], len(found)

    def _function(self, index: int) -> Declaration:
        name, type_ = self._debug.function_name(index), self._debug.function_type(index)
        location = self._debug.function_location(index)
        if type_ is None or location is None:
            return Declaration(name, None, self._debug.module.functions[index].code.start)
        return Declaration(type_.declare(name.partition("(")[0]), location)

    def variables(self, accepts: Accepts, most: int) -> tuple[list[Declaration], int]:
        """Global and file-static variables whose name is wanted, at most so many; and how many there are."""
        found = [variable for variable in self._debug.globals_() if accepts(variable.name)]
        shown = [Declaration(v.type.declare(v.name), v.location) for v in found[:most]]
        return shown, len(found)

    def types(self, accepts: Accepts, most: int) -> tuple[list[Declaration], int]:
        """Named types whose name is wanted, at most so many; and how many there are."""
        found: dict[tuple[str, Location | None], Declaration] = {}
        for name, type_, location in self._debug.named_types(accepts):
            text = f"typedef {type_.target.declare(name)}" if isinstance(type_, AliasType) else name
            found.setdefault((text, location), Declaration(text, location))
        return list(islice(found.values(), most)), len(found)

    # --- places ----------------------------------------------------------------------------------------

    def lines(self, spec: str) -> list[LineView]:
        """The code of the lines that a specification names. Raises UsageError where there is none."""
        found = [self._line(place) for place in self._resolve(spec) if place.location is not None]
        if not found:
            raise UsageError(f"no line information for {spec}")
        return found

    def _line(self, place: Place) -> LineView:
        location = place.location or Location("", 0)
        code = self._debug.module.functions[place.function].code
        offsets = (each.offset for each in code.instructions if each.offset > place.pc)
        end = next((pc for pc in offsets if not self._is_on(location, pc)), code.end)
        name = self._debug.function_name(place.function)
        return LineView(location, place.pc, end, (_plus(name, place.pc, code), _plus(name, end, code)))

    def _is_on(self, location: Location, pc: int) -> bool:
        here = self._debug.location(pc)
        return here is not None and (here.path, here.line) == (location.path, location.line)

    def scope(self, spec: str) -> list[tuple[str, str]]:
        """Names visible at a place but for globals, and where each of them is. Raises UsageError."""
        place = self._resolve(spec)[0]
        scopes = self._debug.scopes(place.pc)
        visible = scopes[0].visible(place.pc) if scopes else []
        return [(variable.name, self.whereabouts(variable, place.pc)) for variable in reversed(visible)]

    def address(self, name: str) -> str:
        """Where the variable or function called `name` is. Raises ExpressionError for what is none."""
        meaning = Evaluator(self._context).meaning(name)
        frame = self._context.frame
        if isinstance(meaning, Variable):
            return self.whereabouts(meaning, frame.pc if frame is not None else 0)
        if isinstance(meaning, Callee):
            body = self._debug.module.functions[meaning.function].body
            return (
                f"a function at byte offset {body.start:#x}" if body is not None else "an imported function"
            )
        if isinstance(meaning, tuple) and len(meaning) == 2 and isinstance(meaning[0], int):
            return "constant"
        raise ExpressionError(f"no symbol {name!r} in the current context")

    def whereabouts(self, variable: Variable, pc: int) -> str:
        """Where a variable is when its frame stands at `pc`, and how many bytes it has."""
        size = self._debug.complete_type(variable.type.strip()).size
        length = f", length {size}" if size is not None else ""
        return _place(variable, pc) + length

    def at(self, text: str) -> Iterator[str]:
        """The symbols at an address: ``grid+8 in memory``, ``main+4 in code``. Raises ExpressionError."""
        value = self._inspector.evaluate(text)
        target = value.type.strip()
        is_code = value.function is not None or value.type is CODE_OFFSET
        is_pointer = isinstance(target, PointerType)
        if isinstance(target, PointerType) and isinstance(target.target.strip(), FunctionType):
            is_code, is_pointer = True, False
        if not is_code:
            address = value.as_int()
            symbol = self._memory.layout.object_at(address)
            if symbol is not None:
                distance = f"+{address - symbol.address}" if address != symbol.address else ""
                yield f"{symbol.name}{distance} in memory"
        if not is_pointer:
            code = self._debug.code_symbol(self._inspector.code_address(text))
            if code is not None:
                yield f"{code} in code"


def _plus(name: str, pc: int, code: Body) -> str:
    return name + (f"+{pc - code.start}" if pc > code.start else "")


def _place(variable: Variable, pc: int) -> str:
    fixed = variable.fixed_address
    if fixed is not None:
        return f"static storage at address {fixed:#x}"
    if not variable.program.ranges:
        return "optimized out"
    operations = variable.program.at(pc)
    if operations is None:
        return "optimized out here, but not everywhere"
    offset = variable.frame_offset(pc)
    if offset is not None:
        return f"a variable at frame base {offset[1]:+} (frame base: WebAssembly local {offset[0]})"
    names = [name for name, _ in operations]
    if names[0] == "WASM_location" and names[1:] in ([], ["stack_value"]):
        kind, index = operations[0][1][:2]
        how = "in" if names[1:] else "where there points"
        return f"a variable {how} WebAssembly {_KINDS.get(kind, 'place')} {index!r}"
    if names[-1] == "implicit_value" or (names[-1] == "stack_value" and "WASM_location" not in names):
        return "constant here"
    return "a variable with a computed location"


_KINDS: dict[int | bytes, str] = {0: "local", 1: "global", 2: "operand", 3: "global"}
"""What DW_OP_WASM_location names."""


def by_file(declarations: Iterable[Declaration]) -> dict[str, list[Declaration]]:
    """Declarations by the path of their file, each file's in order of lines; "" for those of no file."""
    found: dict[str, list[Declaration]] = {}
    for each in declarations:
        found.setdefault(each.location.path if each.location is not None else "", []).append(each)
    for group in found.values():
        group.sort(key=lambda each: (each.location.line if each.location is not None else 0, each.text))
    return dict(sorted(found.items(), key=lambda item: (item[0] == "", item[0])))
