"""Rewriting a guest module so that compiled code can count, freeze and thaw.

`sites` finds where a function can be frozen and what its frame is there, by `liveness`; `emit` writes its
body anew; `module` puts the instrumented module together, and `continuation` the small modules that go on
in the middle of a function. `abi` is what they all, and the driver in `ttd.engine`, agree on. Plain Wasm
in, plain Wasm out: nothing here runs anything. May import base and `ttd.wasm`.
"""
