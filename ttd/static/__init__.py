"""What can be said about a module without running it: symbols, sections, source lines, backtraces of others.

The functions here take a `DebugInfo`, which knows its module (docs/static-tools.md has examples):

    debug = DebugInfo(decode(Path("prog.wasm").read_bytes()))
    debug.source_frames(0x3a4)

May import base, `ttd.wasm` and `ttd.debuginfo`.
"""
