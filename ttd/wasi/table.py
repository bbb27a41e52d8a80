"""The table: the signature of each of the 46 functions of WASI preview 1, and what its parameters mean.

Everything else about a function follows from its row: which memory it writes (`effects`) and how a call is
printed (`describe`). Sources: the witx files of WASI preview 1 (`typenames`, `wasi_snapshot_preview1`).

Imports nothing of ttd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

MODULE = "wasi_snapshot_preview1"
"""The name of the import module."""

LEGACY_MODULE = "wasi_unstable"
"""The import module of preview 0, which no toolchain has made since 2020 and ttd does not serve."""

TALKING = frozenset(("fd_read", "fd_write", "poll_oneoff"))
"""The functions by which a program talks to a terminal, or waits for what is typed there."""

STANDARD = 3
"""The file descriptors below are standard input, output and error."""

SUCCESS = 0
"""The error number of a call that succeeded."""

ERRNO = (
    "SUCCESS", "2BIG", "ACCES", "ADDRINUSE", "ADDRNOTAVAIL", "AFNOSUPPORT", "AGAIN", "ALREADY", "BADF",
    "BADMSG", "BUSY", "CANCELED", "CHILD", "CONNABORTED", "CONNREFUSED", "CONNRESET", "DEADLK",
    "DESTADDRREQ", "DOM", "DQUOT", "EXIST", "FAULT", "FBIG", "HOSTUNREACH", "IDRM", "ILSEQ", "INPROGRESS",
    "INTR", "INVAL", "IO", "ISCONN", "ISDIR", "LOOP", "MFILE", "MLINK", "MSGSIZE", "MULTIHOP",
    "NAMETOOLONG", "NETDOWN", "NETRESET", "NETUNREACH", "NFILE", "NOBUFS", "NODEV", "NOENT", "NOEXEC",
    "NOLCK", "NOLINK", "NOMEM", "NOMSG", "NOPROTOOPT", "NOSPC", "NOSYS", "NOTCONN", "NOTDIR", "NOTEMPTY",
    "NOTRECOVERABLE", "NOTSOCK", "NOTSUP", "NOTTY", "NXIO", "OVERFLOW", "OWNERDEAD", "PERM", "PIPE",
    "PROTO", "PROTONOSUPPORT", "PROTOTYPE", "RANGE", "ROFS", "SPIPE", "SRCH", "STALE", "TIMEDOUT",
    "TXTBSY", "XDEV", "NOTCAPABLE",
)  # fmt: skip
"""Names of the error numbers, without the E that C puts before them."""

CLOCKS = ("REALTIME", "MONOTONIC", "PROCESS_CPUTIME_ID", "THREAD_CPUTIME_ID")
"""Names of the clocks."""
_WHENCE = ("SET", "CUR", "END")
_ADVICE = ("NORMAL", "SEQUENTIAL", "RANDOM", "WILLNEED", "DONTNEED", "NOREUSE")
_FILETYPE = (
    "UNKNOWN", "BLOCK_DEVICE", "CHARACTER_DEVICE", "DIRECTORY", "REGULAR_FILE", "SOCKET_DGRAM",
    "SOCKET_STREAM", "SYMBOLIC_LINK",
)  # fmt: skip
_SIGNAL = (
    "NONE", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "POLL", "PWR", "SYS",
)  # fmt: skip
EVENTTYPE = ("CLOCK", "FD_READ", "FD_WRITE")
"""Names of the types of subscriptions and events."""
_LOOKUPFLAGS = ("SYMLINK_FOLLOW",)
_OFLAGS = ("CREAT", "DIRECTORY", "EXCL", "TRUNC")
_FDFLAGS = ("APPEND", "DSYNC", "NONBLOCK", "RSYNC", "SYNC")
_FSTFLAGS = ("ATIM", "ATIM_NOW", "MTIM", "MTIM_NOW")
_RIFLAGS = ("RECV_PEEK", "RECV_WAITALL")
_SDFLAGS = ("RD", "WR")
_RIGHTS = (
    "FD_DATASYNC", "FD_READ", "FD_SEEK", "FD_FDSTAT_SET_FLAGS", "FD_SYNC", "FD_TELL", "FD_WRITE",
    "FD_ADVISE", "FD_ALLOCATE", "PATH_CREATE_DIRECTORY", "PATH_CREATE_FILE", "PATH_LINK_SOURCE",
    "PATH_LINK_TARGET", "PATH_OPEN", "FD_READDIR", "PATH_READLINK", "PATH_RENAME_SOURCE",
    "PATH_RENAME_TARGET", "PATH_FILESTAT_GET", "PATH_FILESTAT_SET_SIZE", "PATH_FILESTAT_SET_TIMES",
    "FD_FILESTAT_GET", "FD_FILESTAT_SET_SIZE", "FD_FILESTAT_SET_TIMES", "PATH_SYMLINK",
    "PATH_REMOVE_DIRECTORY", "PATH_UNLINK_FILE", "POLL_FD_READWRITE", "SOCK_SHUTDOWN", "SOCK_ACCEPT",
)  # fmt: skip

IOVEC = 8
"""Bytes in an iovec or ciovec: address, length."""
SUBSCRIPTION = 48
"""Bytes in a subscription."""
EVENT = 32
"""Bytes in an event."""
DIRENT = 24
"""Bytes in a dirent, without the name that follows it."""


# --- showing numbers ---------------------------------------------------------------------------------


def errno_name(number: int) -> str:
    """The name of error number `number`: ``NOENT``; ``errno 99`` for one that does not exist."""
    return ERRNO[number] if number < len(ERRNO) else f"errno {number}"


Show = Callable[[int], str]
"""Shows the unsigned value of a parameter."""


def _decimal(value: int) -> str:
    return str(value)


def _hexadecimal(value: int) -> str:
    return hex(value)


def _signed64(value: int) -> str:
    return str(value - (1 << 64) if value >> 63 else value)


def nanoseconds(value: int) -> str:
    """A time in nanoseconds, as seconds with nine decimals."""
    return f"{value // 1_000_000_000}.{value % 1_000_000_000:09}"


def one_of(names: Sequence[str]) -> Show:
    """Shows a member of an enumeration by name; a number that is none of them as a number."""
    return lambda value: names[value] if value < len(names) else str(value)


def any_of(names: Sequence[str]) -> Show:
    """Shows flags, the lowest bit first: ``CREAT|TRUNC``; 0 for none."""

    def show(value: int) -> str:
        words = [name for bit, name in enumerate(names) if value >> bit & 1]
        rest = value >> len(names) << len(names)
        return "|".join([*words, *([hex(rest)] if rest else [])]) or "0"

    return show


def _rights(value: int) -> str:
    """Rights, shortened to those that Wasmtime's WASI minds: a program asks for thirty at once."""
    words = [_RIGHTS[bit] for bit in (1, 6) if value >> bit & 1]
    rest = value & ~(1 << 1 | 1 << 6)
    return "|".join([*words, *(["..."] if rest else [])]) or "0"


# --- parameters --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number passed by value; `core` is its core type, ``i32`` or ``i64``."""

    name: str
    core: str = "i32"
    show: Show = _decimal
    width = 1


@dataclass(frozen=True, slots=True)
class Path:
    """A string that is passed: its address and its length."""

    name: str
    width = 2


@dataclass(frozen=True, slots=True)
class Gather:
    """A list of buffers from which data is taken (ciovec_array): its address and its length."""

    name: str
    width = 2


@dataclass(frozen=True, slots=True)
class Scatter:
    """A list of buffers to be filled in order (iovec_array): its address and its length.

    As many bytes are filled as the result called ``size`` says.
    """

    name: str
    width = 2


@dataclass(frozen=True, slots=True)
class Buffer:
    """A buffer to be filled: its address and its size.

    `counted`: as many bytes are filled as the result called ``size`` says; else all of them.
    """

    name: str
    counted: bool = False
    entries: bool = False
    """It is filled with directory entries."""
    width = 2


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """What poll_oneoff waits for and where it puts what happened; their number follows."""

    name: str = "subscriptions"
    width = 3


@dataclass(frozen=True, slots=True)
class Strings:
    """Where args_get and environ_get put their pointers, and where the characters."""

    name: str
    environment: bool
    width = 2


@dataclass(frozen=True, slots=True)
class Result:
    """The address of a result of `size` bytes, written on success."""

    name: str
    size: int
    show: Callable[[bytes], str]
    width = 1


Parameter = Scalar | Path | Gather | Scatter | Buffer | Subscriptions | Strings | Result


@dataclass(frozen=True, slots=True)
class Function:
    """A function of WASI preview 1: its name and parameters. All but proc_exit return an error number."""

    name: str
    parameters: tuple[Parameter, ...]

    @property
    def params(self) -> tuple[str, ...]:
        """Core types of the parameters, ``i32`` or ``i64``."""
        return tuple(core for parameter in self.parameters for core in _core_types(parameter))

    @property
    def results(self) -> tuple[str, ...]:
        """Core types of the results: one error number, but nothing for proc_exit, which does not return."""
        return () if self.name == "proc_exit" else ("i32",)


def _core_types(parameter: Parameter) -> tuple[str, ...]:
    return (parameter.core,) if isinstance(parameter, Scalar) else ("i32",) * parameter.width


def uint(data: bytes, start: int = 0, size: int = 8) -> int:
    """The unsigned little-endian number in the `size` bytes from `start` on (less where `data` ends)."""
    return int.from_bytes(data[start : start + size], "little")


def _number(data: bytes) -> str:
    return str(uint(data))


def _time(data: bytes) -> str:
    return nanoseconds(uint(data))


def _filestat(data: bytes) -> str:
    kind, size, modified = one_of(_FILETYPE)(data[16]), uint(data, 32), nanoseconds(uint(data, 48))
    return f"{{type={kind}, size={size}, mtim={modified}, ...}}"


def _fdstat(data: bytes) -> str:
    flags, rights = any_of(_FDFLAGS)(uint(data, 2, 2)), _rights(uint(data, 8))
    return f"{{type={one_of(_FILETYPE)(data[0])}, flags={flags}, rights={rights}, ...}}"


def _prestat(data: bytes) -> str:
    return f"{{DIR, name_len={uint(data, 4, 4)}}}" if data[0] == 0 else f"{{type={data[0]}}}"


def _fd(name: str = "fd") -> Scalar:
    return Scalar(name)


def _size() -> Result:
    return Result("size", 4, _number)


_STAT = Result("filestat", 64, _filestat)
_NEWFD = Result("newfd", 4, _number)
_OFFSET = Result("newoffset", 8, _number)
_TIME = Result("time", 8, _time)
_CLOCK = Scalar("id", show=one_of(CLOCKS))
_LOOKUP = Scalar("flags", show=any_of(_LOOKUPFLAGS))
_TIMES = (
    Scalar("atim", "i64", nanoseconds),
    Scalar("mtim", "i64", nanoseconds),
    Scalar("fst_flags", show=any_of(_FSTFLAGS)),
)
_RIGHT_PAIR = (
    Scalar("fs_rights_base", "i64", _rights),
    Scalar("fs_rights_inheriting", "i64", _rights),
)
_FLAGS = Scalar("fdflags", show=any_of(_FDFLAGS))

_ROWS: tuple[tuple[str, tuple[Parameter, ...]], ...] = (
    ("args_get", (Strings("argv", environment=False),)),
    ("args_sizes_get", (Result("argc", 4, _number), Result("argv_buf_size", 4, _number))),
    ("environ_get", (Strings("environ", environment=True),)),
    ("environ_sizes_get", (Result("environc", 4, _number), Result("environ_buf_size", 4, _number))),
    ("clock_res_get", (_CLOCK, _TIME)),
    ("clock_time_get", (_CLOCK, Scalar("precision", "i64"), _TIME)),
    (
        "fd_advise",
        (_fd(), Scalar("offset", "i64"), Scalar("len", "i64"), Scalar("advice", show=one_of(_ADVICE))),
    ),
    ("fd_allocate", (_fd(), Scalar("offset", "i64"), Scalar("len", "i64"))),
    ("fd_close", (_fd(),)),
    ("fd_datasync", (_fd(),)),
    ("fd_fdstat_get", (_fd(), Result("fdstat", 24, _fdstat))),
    ("fd_fdstat_set_flags", (_fd(), _FLAGS)),
    ("fd_fdstat_set_rights", (_fd(), *_RIGHT_PAIR)),
    ("fd_filestat_get", (_fd(), _STAT)),
    ("fd_filestat_set_size", (_fd(), Scalar("size", "i64"))),
    ("fd_filestat_set_times", (_fd(), *_TIMES)),
    ("fd_pread", (_fd(), Scatter("iovs"), Scalar("offset", "i64"), _size())),
    ("fd_prestat_get", (_fd(), Result("prestat", 8, _prestat))),
    ("fd_prestat_dir_name", (_fd(), Buffer("path"))),
    ("fd_pwrite", (_fd(), Gather("iovs"), Scalar("offset", "i64"), _size())),
    ("fd_read", (_fd(), Scatter("iovs"), _size())),
    ("fd_readdir", (_fd(), Buffer("buf", counted=True, entries=True), Scalar("cookie", "i64"), _size())),
    ("fd_renumber", (_fd(), _fd("to"))),
    (
        "fd_seek",
        (_fd(), Scalar("offset", "i64", _signed64), Scalar("whence", show=one_of(_WHENCE)), _OFFSET),
    ),
    ("fd_sync", (_fd(),)),
    ("fd_tell", (_fd(), _OFFSET)),
    ("fd_write", (_fd(), Gather("iovs"), _size())),
    ("path_create_directory", (_fd(), Path("path"))),
    ("path_filestat_get", (_fd(), _LOOKUP, Path("path"), _STAT)),
    ("path_filestat_set_times", (_fd(), _LOOKUP, Path("path"), *_TIMES)),
    ("path_link", (_fd("old_fd"), _LOOKUP, Path("old_path"), _fd("new_fd"), Path("new_path"))),
    (
        "path_open",
        (
            _fd(),
            _LOOKUP,
            Path("path"),
            Scalar("oflags", show=any_of(_OFLAGS)),
            *_RIGHT_PAIR,
            _FLAGS,
            _NEWFD,
        ),
    ),
    ("path_readlink", (_fd(), Path("path"), Buffer("buf", counted=True), _size())),
    ("path_remove_directory", (_fd(), Path("path"))),
    ("path_rename", (_fd(), Path("old_path"), _fd("new_fd"), Path("new_path"))),
    ("path_symlink", (Path("old_path"), _fd(), Path("new_path"))),
    ("path_unlink_file", (_fd(), Path("path"))),
    ("poll_oneoff", (Subscriptions(), _size())),
    ("proc_exit", (Scalar("rval"),)),
    ("proc_raise", (Scalar("sig", show=one_of(_SIGNAL)),)),
    ("sched_yield", ()),
    ("random_get", (Buffer("buf"),)),
    ("sock_accept", (_fd(), _FLAGS, _NEWFD)),
    (
        "sock_recv",
        (
            _fd(),
            Scatter("ri_data"),
            Scalar("ri_flags", show=any_of(_RIFLAGS)),
            _size(),
            Result("ro_flags", 2, _number),
        ),
    ),
    ("sock_send", (_fd(), Gather("si_data"), Scalar("si_flags", show=_hexadecimal), _size())),
    ("sock_shutdown", (_fd(), Scalar("how", show=any_of(_SDFLAGS)))),
)

FUNCTIONS: Mapping[str, Function] = {name: Function(name, parameters) for name, parameters in _ROWS}
"""All 46 functions by name."""


def pairs(function: Function, arguments: Sequence[int]) -> Iterator[tuple[Parameter, Sequence[int]]]:
    """Each parameter of a call with its core values."""
    at = 0
    for parameter in function.parameters:
        yield parameter, arguments[at : at + parameter.width]
        at += parameter.width
