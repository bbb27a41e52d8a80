"""One module for each `ttd` command: its options, its help and examples, and the call that does the work.

A module `name` here offers a click command called `command`. It imports what is costly (wasmtime,
SQLAlchemy, the terminal) inside its function, so that `ttd --help` stays fast.
"""
