"""The WebAssembly core test suite, run over ttd's engines.

`sexpr` reads the script language, `values` its constants and patterns, `instance` puts an engine behind a
module instance, `runner` runs one script, `table` prints the outcome. ``python -m tests.spec`` runs it all.
"""
