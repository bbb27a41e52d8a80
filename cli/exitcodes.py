"""The exit codes of `ttd`, in one place.

`ttd record` is the exception to most of this: it exits as the recorded program did, so that it can stand
in its place in a script. Imports nothing.
"""

SUCCESS = 0
"""It worked. For `ttd verify`: the replay is the recording."""

FAILURE = 1
"""It did not: a damaged trace, an unsupported module, a divergence, a failing command in a script."""

USAGE = 2
"""The command was given wrongly: an unknown option, a missing file, a malformed argument."""

INTERNAL = 70
"""A bug in ttd (EX_SOFTWARE)."""

INTERRUPTED = 130
"""Ctrl-C (128 + SIGINT)."""

TRAPPED = 134
"""`ttd record`: the program trapped (128 + SIGABRT, as an aborting native program would)."""

BROKEN_PIPE = 141
"""The reader of our output went away (128 + SIGPIPE), as in `ttd events | head`."""

DOCUMENTED = {
    SUCCESS: "success",
    FAILURE: "failure: damaged trace, unsupported or invalid module, divergence, a script's command failed",
    USAGE: "usage: unknown option or command, missing file or directory, malformed argument",
    INTERNAL: "a bug in ttd",
    INTERRUPTED: "interrupted with Ctrl-C",
    TRAPPED: "`ttd record`: the recorded program trapped",
    BROKEN_PIPE: "the reader of the output went away",
}
"""What docs/commands.md says about each."""
