"""Continuations as code; that they continue rightly is shown by tests/engine."""

from __future__ import annotations

from ttd.instrument.continuation import continuation
from ttd.instrument.program import Instrumented
from ttd.instrument.site import SiteKind
from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.decode import decode
from ttd.wasm.model import FuncType, Instruction, Module, ValType


def main_loop(work: int) -> Module:
    """A program whose function 1 is a loop that calls function 0, and then has much to do, in two loops."""
    builder, code = ModuleBuilder(), Code()
    callee = builder.declare(FuncType((), ()))
    main = builder.declare(FuncType((), ()))
    builder.define(callee, Code().block("loop").emit("end"))
    code.block("loop").emit("call", callee)
    for _ in range(2):
        code.block("loop")
        for _ in range(work):
            code.emit("i32.const", 0).emit("drop")
        code.emit("local.get", 0).emit("br_if", 0).emit("end")
    builder.define(main, code.emit("br", 0).emit("end"), [ValType.I32])
    return decode(builder.encode())


def longest(module: bytes) -> tuple[Instruction, ...]:
    """The instructions of the largest function of a module."""
    bodies = [function.code for function in decode(module).functions if function.body is not None]
    return max((body.instructions for body in bodies), key=len)


def test_a_continuation_has_no_loop_but_its_own_and_what_follows() -> None:
    work = 1_000
    instrumented = Instrumented(main_loop(work))
    outer, call, first, second = instrumented.plans[1].sites[1:]
    assert [site.kind for site in (outer, call)] == [SiteKind.LOOP, SiteKind.CALL]
    lengths = [len(longest(continuation(instrumented, site))) for site in (outer, call, first, second)]
    body, slack = 2 * work, 200
    assert 2 * body < lengths[0] < 2 * body + slack, "the outer loop"
    assert lengths[1] < 2 * body + slack, "the rest of this round"
    assert lengths[2] < 2 * body + slack, "an inner loop, and the one that follows"
    assert lengths[3] < body + slack, "an inner loop"
