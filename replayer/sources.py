"""The text of source files: from the trace first, else from disk, where they are only read.

What a user should know about a file is noted once: that it is not the one that the program was built from, as
far as debug information has checksums; that there is another on disk than in the recording.

May import base, debuginfo and this package.
"""

from __future__ import annotations

from collections.abc import Iterator

from ttd.debuginfo import DebugInfo
from ttd.debuginfo.sourcefile import is_as_built, places, read_source
from ttd.errors import DamagedTrace, UsageError
from ttd.replayer.recording import Recording


class SourcePaths:
    """Where on this machine source files are, in the manner of gdb: the first rule that fits is used."""

    def __init__(self) -> None:
        self.rules: dict[str, str] = {}
        """Beginnings of paths in debug information, and what to put in their place."""
        self.folders: list[str] = []
        """Where to look for files that are not where their paths say."""

    def substitute(self, begin: str, other: str) -> None:
        """Look for files whose path begins with `begin`, in whole components, under `other` instead."""
        if not begin:
            raise UsageError("the path that is to be substituted is empty")
        self.rules.pop(begin, None)
        self.rules[begin] = other

    def forget(self, begin: str) -> None:
        """Drop the rule for `begin`; raises UsageError if there is none."""
        if begin not in self.rules:
            raise UsageError(f"no substitution rule for {begin!r}; 'show substitute-path' lists them")
        del self.rules[begin]

    def places(self, path: str) -> Iterator[str]:
        """Where the file may be, the likeliest first."""
        for begin, other in self.rules.items():
            rest = path.removeprefix(begin.rstrip("/"))
            if rest != path and (not rest or rest.startswith("/")):
                yield other.rstrip("/") + rest
                break
        yield from places(path, self.folders)


class Sources:
    """Reads source files."""

    def __init__(self, trace: Recording, debug: DebugInfo) -> None:
        self._trace = trace
        self._debug = debug
        self._files: dict[str, list[str] | None] = {}
        self._noted: set[str] = set()
        self._notes: list[str] = []
        self.paths = SourcePaths()
        """Call `reread` after changing them."""

    def reread(self) -> None:
        """Forget what was read: it may be found elsewhere now."""
        self._files.clear()

    def lines(self, path: str) -> list[str] | None:
        """The lines of a file; None where it is not to be had."""
        if path not in self._files:
            data = self._read(path)
            self._files[path] = None if data is None else data.decode("utf-8", "replace").splitlines()
        return self._files[path]

    def take_notes(self) -> list[str]:
        """What there is to say about the files that were read since this was last asked, a sentence each."""
        notes, self._notes = self._notes, []
        return notes

    def _read(self, path: str) -> bytes | None:
        recorded = self._recorded(path)
        on_disk = self._on_disk(path)
        data = recorded if recorded is not None else on_disk
        if data is None:
            return None
        name = self._debug.display_path(path)
        if not is_as_built(data, self._debug.source_checksum(path)):
            self._note(path, f"{name} is not the file that the program was built from: lines may be off")
        elif recorded is not None and on_disk is not None and on_disk != recorded:
            self._note(path, f"{name} on disk differs from the recorded one, which is shown")
        return data

    def _note(self, path: str, text: str) -> None:
        if path not in self._noted:
            self._noted.add(path)
            self._notes.append(text)

    def _recorded(self, path: str) -> bytes | None:
        try:
            return self._trace.sources[path]
        except (KeyError, DamagedTrace):
            return None

    def _on_disk(self, path: str) -> bytes | None:
        found = (read_source(place) for place in self.paths.places(path))
        return next((data for data in found if data is not None), None)
