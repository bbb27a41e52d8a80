"""``python -I -S starting.py OUT ERR COMMAND...``: run a process to its end, and print what it cost, as JSON.
Its output goes to the open files OUT and ERR, given by their numbers.

A process of its own, and a small one: Linux counts as a process's most memory also what the one that started
it had until then. Beside the benchmarks themselves it would hardly be told what a small process takes.

Imports the standard library only, and little of it.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> int:
    """Run the process, and print."""
    out, err, *words = sys.argv[1:]
    files = [(os.POSIX_SPAWN_DUP2, int(out), 1), (os.POSIX_SPAWN_DUP2, int(err), 2)]
    begin = time.perf_counter()
    process = os.posix_spawnp(words[0], words, os.environ, file_actions=files)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - begin
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps([code, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
