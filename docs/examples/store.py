"""Host functions for store.c: a little database, kept in a Python dict.

    ttd record --host docs/examples/store.py store.wasm

Shows how a host function fills a buffer of the program, reports errors, and ends the program.
"""

from ttd.recorder.hostapi import Exit, Guest, host_function, u32

MISSING = -1

table: dict[str, bytes] = {"greeting": b"hello, world"}


@host_function("store")
def put(guest: Guest, key: u32, data: u32, length: u32) -> None:
    table[guest.read_string(key)] = guest.read(data, length)


@host_function("store")
def get(guest: Guest, key: u32, buffer: u32, size: u32, length_out: u32) -> int:
    """0, or MISSING. Writes at most `size` bytes of the value, and its length."""
    value = table.get(guest.read_string(key))
    if value is None:
        return MISSING
    guest.write(buffer, value[:size])
    guest.write_int(length_out, len(value))
    return 0


@host_function("store")
def close(guest: Guest, status: int) -> None:
    raise Exit(status)
