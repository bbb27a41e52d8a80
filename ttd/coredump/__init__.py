"""WebAssembly core dumps: the state of a stopped program in a file that other debuggers read too.

The format is that of the tool conventions (https://github.com/WebAssembly/tool-conventions/blob/main/Coredump.md),
which Wasmtime and others write. `format` is the bytes, `capture` what a `State` is in them.

May import base and `ttd.wasm`.
"""
