"""Looking at a stopped program: frames, variables, expressions, WebAssembly's own values.

Knows which frame is selected. Nothing here runs the machine.

May import base, wasm, debuginfo, expr and this package.
"""

from __future__ import annotations

import struct
from itertools import count, takewhile

from ttd.debuginfo import DebugInfo, Variable
from ttd.debuginfo.stack import LiveFrame, SourceStack
from ttd.debuginfo.types import FunctionType, PointerType
from ttd.errors import ExpressionError, UsageError
from ttd.expr import (
    Limits,
    StateContext,
    TypedValue,
    ValueHistory,
    describe_frame,
    evaluate,
    format_value,
    parse,
)
from ttd.replayer.session import Session
from ttd.replayer.views import FrameView, VariableView, WasmValue
from ttd.state import State
from ttd.types import ExceptionValue, Position, Value
from ttd.wasm.model import Module, ValType
from ttd.wasm.names import Names


class Inspector:
    """Reads the state of a session, in the selected frame. `arrived` after every motion."""

    def __init__(self, session: Session, debug: DebugInfo, names: Names) -> None:
        self._session = session
        self._debug = debug
        self._names = names
        self.selected = 0
        self.hidden = 0
        """How many inlined frames are not entered yet: see `ttd.debuginfo.stack`."""
        self.history = ValueHistory()
        self.limits = Limits()
        """How much of a value is shown."""
        self.specials: dict[str, int] = {}
        """Numbers that ``$name`` stands for besides those of the position: ``$_`` is the last address
        found."""
        self._stack: tuple[tuple[State, Position], SourceStack] | None = None

    def arrived(self, hidden: int = 0) -> None:
        """The machine has moved: select the innermost frame that is not hidden."""
        self.selected, self.hidden, self._stack = 0, hidden, None

    @property
    def stack(self) -> SourceStack:
        """The frames of the source."""
        state, position = self._session.known, self._session.position
        if self._stack is None or self._stack[0][0] is not state or self._stack[0][1] != position:
            stack = SourceStack(state.frames, self._debug, self.hidden)
            self._stack = (state, position), stack
        return self._stack[1]

    @property
    def _module(self) -> Module:
        return self._session.module

    @property
    def context(self) -> StateContext:
        """Where expressions are evaluated: the selected frame."""
        return StateContext(
            self._session.known, self._debug, self.selected, self.specials, self.history, self.stack
        )

    def frame(self, level: int | None = None) -> LiveFrame:
        """Frame `level` (None: the selected one). Raises UsageError if there is no such frame."""
        level = self.selected if level is None else level
        stack = self.stack
        if not stack:
            way_back = "" if self._session.why_immovable else "; `reverse-step` leads back into it"
            raise UsageError(f"no frame: the run has returned here{way_back}")
        if not stack.has(level):
            raise UsageError(f"no frame {level}: the stack has {len(stack)}, counted from 0")
        return stack[level]

    # --- frames --------------------------------------------------------------------------------------

    def frames(self, limit: int | None, first: int = 0) -> list[FrameView]:
        """At most `limit` frames of the call stack from `first` on, innermost first."""
        first, stack = max(first, 0), self.stack
        levels = count(first) if limit is None else range(first, first + max(limit, 0))
        return [self.view(level) for level in takewhile(stack.has, levels)]

    def view(self, level: int) -> FrameView:
        """Frame `level` with its arguments. Raises UsageError."""
        frame = self.frame(level)
        described = describe_frame(self._session.known, self._debug, self.stack, level)
        return FrameView(
            level=level,
            function_index=frame.code.function,
            function=frame.name,
            pc=frame.code.pc,
            location=frame.location,
            arguments=tuple(
                VariableView(parameter.name, parameter.type.name, text)
                for parameter, text in described.arguments
            ),
            entry=frame.code.entry,
            selected=level == self.selected,
            is_inlined=frame.is_inlined,
            scope=frame.source.entry,
            note=described.note,
        )

    def select(self, level: int) -> FrameView:
        """Select a frame. Raises UsageError."""
        self.frame(level)
        self.selected = level
        return self.view(level)

    def up(self, count: int) -> FrameView:
        """Toward the callers."""
        self.frame()
        if self.stack.is_outermost(self.selected):
            raise UsageError("initial frame selected; you can't go up")
        target = self.selected + max(count, 0)
        return self.select(target if self.stack.has(target) else len(self.stack) - 1)

    def down(self, count: int) -> FrameView:
        """Toward the callees."""
        self.frame()
        if self.selected == 0:
            raise UsageError("bottom (innermost) frame selected; you can't go down")
        return self.select(max(self.selected - max(count, 0), 0))

    # --- variables -----------------------------------------------------------------------------------

    def locals(self) -> list[VariableView]:
        """Variables of the selected frame without its parameters, innermost scope first."""
        chosen = [variable for variable in self._visible() if not variable.is_parameter]
        return [self._variable(variable) for variable in sorted(chosen, key=lambda v: -v.depth)]

    def arguments(self) -> list[VariableView]:
        """Parameters of the selected frame."""
        scope = self.frame().scope
        return [self._variable(variable) for variable in (scope.parameters if scope is not None else ())]

    def variable_names(self) -> list[str]:
        """Names in scope, globals included."""
        visible = self._visible() if self.stack else []
        return sorted({variable.name for variable in (*visible, *self._debug.globals_())})

    def _visible(self) -> list[Variable]:
        frame = self.frame()
        return frame.scope.visible(frame.code.pc) if frame.scope is not None else []

    def _variable(self, variable: Variable) -> VariableView:
        value = TypedValue.of_variable(variable, self.context)
        return VariableView(variable.name, variable.type.name, _shown(value, self.limits))

    def evaluate(self, expression: str) -> TypedValue:
        """The value of an expression. Raises ExpressionError."""
        return evaluate(parse(expression), self.context)

    def code_address(self, expression: str) -> int:
        """The byte offset in the module that an expression means: a function's code, or a number.

        Raises ExpressionError.
        """
        value = self.evaluate(expression)
        function, type_ = value.function, value.type.strip()
        if isinstance(type_, PointerType) and isinstance(type_.target.strip(), FunctionType):
            table, index = value.context.function_table, value.as_int()
            entry = table[index] if index < len(table) else None
            function = entry if isinstance(entry, int) else None
        if function is None:
            return value.as_int()
        body = self._module.functions[function].body
        if body is None:
            raise ExpressionError(f"{expression} is imported and has no code here")
        return body.start

    def print(self, expression: str, fmt: str | None) -> str:
        """The value of an expression as text. Raises ExpressionError, also where it lies in no memory."""
        value = self.evaluate(expression)
        value.require_memory()
        return format_value(value, fmt or "", self.limits)

    def remember(self, expression: str, fmt: str | None) -> tuple[int, str]:
        """As `print`, with the number under which the value is kept. Raises ExpressionError."""
        text = self.print(expression, fmt)
        return self.history.add(self.evaluate(expression)), text

    # --- WebAssembly ---------------------------------------------------------------------------------

    def wasm_locals(self) -> list[WasmValue]:
        """The WebAssembly locals of the selected frame."""
        frame = self.frame().code
        types = self._module.functions[frame.function].local_types
        return [
            _wasm_value(index, self._names.local(frame.function, index), type_, value)
            for index, (type_, value) in enumerate(zip(types, frame.locals, strict=True))
        ]

    def wasm_operands(self) -> list[WasmValue]:
        """The operand stack of the selected frame, outermost first."""
        return [_wasm_value(index, "", None, value) for index, value in enumerate(self.frame().code.operands)]

    def wasm_globals(self) -> list[WasmValue]:
        """The WebAssembly globals."""
        return [
            _wasm_value(index, self._names.global_(index), declared.type.type, value)
            for index, (declared, value) in enumerate(
                zip(self._module.globals, self._session.state.globals, strict=True)
            )
        ]


def _shown(value: TypedValue, limits: Limits) -> str:
    """A variable's value, or why there is none: gdb's ``<error: …>``."""
    try:
        return format_value(value, limits=limits)
    except ExpressionError as error:
        return f"<error: {error}>"


def _wasm_value(index: int, name: str, type_: ValType | None, value: Value) -> WasmValue:
    spelled = "" if type_ is None else str(type_)
    return WasmValue(index, name, spelled, value, wasm_text(type_, value))


def wasm_text(type_: ValType | None, value: Value) -> str:
    """A WebAssembly value for people: integers signed, floats as floats, vectors in hexadecimal."""
    if value is None:
        return "null" if type_ is None or type_.is_reference else "<not kept>"
    if isinstance(value, ExceptionValue):
        return f"exception (tag {value.tag})"
    if type_ is ValType.I32:
        return str(value - (1 << 32) if value >> 31 else value)
    if type_ is ValType.I64:
        return str(value - (1 << 64) if value >> 63 else value)
    if type_ is ValType.F32:
        return repr(struct.unpack("<f", value.to_bytes(4, "little"))[0])
    if type_ is ValType.F64:
        return repr(struct.unpack("<d", value.to_bytes(8, "little"))[0])
    if type_ is ValType.V128:
        return f"{value:#034x}"
    if type_ is ValType.FUNCREF:
        return f"func[{value}]"
    return hex(value) if type_ is None else str(value)
