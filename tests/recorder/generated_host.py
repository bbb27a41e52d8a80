"""The host of generated programs as a file of host functions: see `tests.engine.vocabulary.host_answer`."""

from __future__ import annotations

from tests.engine.vocabulary import host_answer
from ttd.engine.protocol import HostExit, HostTrap
from ttd.recorder.hostapi import Exit, Guest, HostError, host_function, u32, u64


def _answer(guest: Guest, name: str, *arguments: int) -> tuple[int, ...]:
    try:
        answer = host_answer(name, arguments)
    except HostExit as exit_:
        raise Exit(exit_.code) from None
    except HostTrap as trap:
        raise HostError(str(trap)) from None
    if answer.write is not None:
        guest.write(*answer.write)
    return answer.results


@host_function("host", "mix")
def mix(guest: Guest, number: u32, other: u64) -> int:
    return _answer(guest, "mix", number, other)[0]


@host_function("host", "poke")
def poke(guest: Guest, number: u32, other: u64) -> int:
    return _answer(guest, "poke", number, other)[0]


@host_function("host", "pair")
def pair(guest: Guest, number: u64) -> tuple[int, ...]:
    return _answer(guest, "pair", number)


@host_function("host", "quit")
def quit_(guest: Guest, number: u32) -> None:
    _answer(guest, "quit", number)
