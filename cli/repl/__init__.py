"""The debugger's prompt: a table of commands over `ttd.replayer.debugger`, a script runner, a terminal.

`table` holds every command; `session` runs a line; `script` and `terminal` feed it lines. The only owner
of prompt_toolkit and Pygments (both imported late, and only where there is a terminal).
"""
