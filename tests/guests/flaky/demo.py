"""`./dev demo`: record a flaky program until it fails, then walk backward from the failure to its cause.

On a terminal it ends in the live debugger; without one it types the same commands by script.
Uses nothing but the `ttd` command, as a user would.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TRACES = HERE.parents[2] / "traces"
TRACE = TRACES / "demo.trace"
MODULE = HERE / "exchange.wasm"
ATTEMPTS = 200

SESSION = """\
goto end
bt
frame 2
print *level
watch level->price
reverse-continue
bt
list
print slot
print sizeof latency->slot / sizeof latency->slot[0]
stepi
print *(struct level *)&latency->slot[16]
"""

ADVICE = """
The program failed its audit. You are now at the start of that run, and can go anywhere in it:

  goto end                       the failure
  bt                             how it got there
  frame 2                        audit_level, the function that noticed
  print *level                   a price that is no multiple of 5: the wrong value
  watch level->price             who wrote it?
  reverse-continue               back in time to the line that did
"""


def main() -> int:
    """Record until failure, then debug; the exit code of the debugger."""
    if not record_failure():
        print(f"no failure in {ATTEMPTS} runs: you have been unlucky, try again", file=sys.stderr)
        return 1
    if sys.stdin.isatty() and sys.stdout.isatty():
        print(ADVICE)
        return ttd("replay", TRACE)
    commands = [part for line in SESSION.splitlines() for part in ("-e", line)]
    return ttd("replay", TRACE, *commands)


def record_failure() -> bool:
    """Record runs until one fails, keeping only that recording; False when none did."""
    TRACES.mkdir(exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        print(f"--- run {attempt}", flush=True)
        TRACE.unlink(missing_ok=True)
        code = ttd("record", "-q", "-o", TRACE, MODULE, quiet=attempt > 1)
        if code == 134:
            return True
        if code != 0:
            raise SystemExit(code)
    return False


def ttd(*arguments: object, quiet: bool = False) -> int:
    """Run the ttd of this environment; its exit code. `quiet` hides what the guest prints."""
    words = [str(argument) for argument in arguments]
    shown = [word.replace(f"{HERE.parents[2]}/", "") for word in words]
    print(
        f"$ ttd {shlex.join(shown)}" if "-e" not in shown else f"$ ttd {shlex.join(shown[:2])} -e …",
        flush=True,
    )
    command = [sys.executable, "-m", "ttd.cli.main", *words]
    return subprocess.run(command, stdout=subprocess.DEVNULL if quiet else None, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
