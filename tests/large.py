"""A module with one large function, as generators of code write them.

May import `ttd.wasm`.
"""

from __future__ import annotations

import random

from ttd.wasm.builder import Code, ModuleBuilder
from ttd.wasm.model import ExternKind, FuncType, ValType

I32 = ValType.I32


def large_function(instructions: int, calls: int, locals_: int) -> bytes:
    """A module whose function 1, ``main``, is large: loops, blocks, temporaries that are soon used again."""
    rng, builder, code = random.Random(0), ModuleBuilder(), Code()
    leaf = builder.declare(FuncType((I32,), (I32,)))
    main = builder.declare(FuncType((), (I32,)))
    builder.define(leaf, Code().block("loop").emit("end").emit("local.get", 0))
    depth, written, called = 0, [0], 0
    while len(code) < instructions:
        recent = written[-200:]
        if called * instructions < calls * len(code):
            code.emit("local.get", rng.choice(recent)).emit("call", leaf)
            called += 1
        elif rng.random() < 0.05:
            if depth < 4 and rng.random() < 0.5:
                code.block(rng.choice(("block", "loop")))
                depth += 1
            elif depth:
                code.emit("end")
                depth -= 1
            continue
        else:
            code.emit("local.get", rng.choice(recent)).emit("local.get", rng.choice(recent)).emit("i32.add")
        written.append((written[-1] + 1) % locals_ if rng.random() < 0.8 else rng.choice(recent))
        code.emit("local.set", written[-1])
    for _ in range(depth):
        code.emit("end")
    builder.define(main, code.emit("local.get", 0), [I32] * locals_)
    builder.export("main", ExternKind.FUNCTION, main)
    return builder.encode()
