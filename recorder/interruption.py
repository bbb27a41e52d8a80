"""Ctrl-C and SIGTERM while a recording runs.

The guest runs on a thread of its own, because a host call may block for as long as it likes (a read from a
terminal, a sleep), inside native code that no signal gets out of. The main thread waits for a byte in a
socket: the interpreter's C handler writes the number of every signal there, whichever thread the system
has chosen to interrupt (a lock would wake only if it is the main thread), and the guest's thread a zero
when it is done.

Imports nothing of ttd.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import threading
from types import FrameType, TracebackType

_WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_PATIENCE = 3
"""So many signals kill: somebody who presses Ctrl-C again and again does not want to wait any more."""


class Inbox:
    """Tells the thread that waits in it of signals and of the end of the guest. A context manager.

    Signals are caught while the context lasts, and only if it is entered on the main thread. A signal
    that was ignored before (as under ``nohup``) stays ignored.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._before: dict[signal.Signals, object] = {}
        self._wakeup = -1
        self._seen = 0

    def __enter__(self) -> Inbox:
        if threading.current_thread() is threading.main_thread():
            self._wakeup = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
            for number in _WATCHED:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._wakeup)
        self._receiver.close()
        self._sender.close()

    def done(self) -> None:
        """Say that the guest has ended; from any thread, even when nobody waits any more."""
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for what comes next: the number of a signal, 0 for the guest's end, None after `timeout`."""
        while select.select([self._receiver], [], [], timeout)[0]:
            number = self._receiver.recv(1)[0]
            if number == 0 or number in _WATCHED:
                return number
        return None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._seen += 1
        if self._seen >= _PATIENCE:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
