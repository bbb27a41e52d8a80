"""Benchmarks: how fast recording and replaying are, side by side with plain Wasmtime (`./dev bench`).

`programs` are the guests: kernels of our own in guests/, and real programs built from `packages`, which are
downloaded when they are first needed. `measure` runs whole processes by turns and keeps what they cost,
`figures` are the rows of the table, and `report` prints it. `plain`, `compiling` and `travelling` are run as
processes of their own. `code` measures instrumented code alone, without processes around it.
"""
