"""The front ends: the `ttd` command line and its debugger prompt.

May import everything; nothing imports it. The only owner of click, prompt_toolkit and Pygments. It holds
no knowledge of its own about traces or debugging: it reads what the user typed, asks `ttd.recorder`,
`ttd.replayer` or `ttd.store`, and writes down the answer.
"""
