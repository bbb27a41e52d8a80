"""Tries the programs of seeds, and makes one that fails small: by making fewer and lower choices."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

from tests.engine.agreement import Disagreement, check, check_seed, size_of
from tests.engine.generator import generate
from tests.engine.vocabulary import Choose, Program
from ttd.engine.validate import load_module
from ttd.wasm.disasm import disassemble
from ttd.wasm.names import Names

FAILED = "FAILED"


def try_seed(seed: int) -> tuple[str, str | None]:
    """How the program of a seed ends, and None; or FAILED, and why."""
    try:
        return check_seed(seed), None
    except Exception as error:  # a crash is a failure too, and other seeds are still to be tried
        return FAILED, _problem(error)


def _problem(error: Exception) -> str:
    return str(error) if isinstance(error, Disagreement) else f"{type(error).__name__}: {error}"


def smallest(seed: int, seconds: float) -> list[str]:
    """The text of the smallest program that is found in this time to fail as that of `seed` does."""
    rng = random.Random(seed)
    size, made = size_of(rng), list[int]()

    def choose(count: int) -> int:
        made.append(rng.randrange(count))
        return made[-1]

    wanted = _kind(generate(choose, size), state := rng.getstate())
    choices = shrink(made, lambda c: _kind(generate(replayed(c), size), state) == wanted, seconds)
    return _text(generate(replayed(choices), size))


def _kind(program: Program, state: object) -> str | None:
    """In which way a program fails; None if it does not."""
    rng = random.Random()
    rng.setstate(state)  # type: ignore[arg-type]  # typeshed does not name the type of a state
    try:
        check(program, rng)
    except Exception as error:
        return _problem(error)[:12]
    return None


def _text(program: Program) -> list[str]:
    """The program for people, without what every program has."""
    module = load_module(program.binary)
    lines = [f"calls {program.calls}, start {module.start}, memories {module.memories}"]
    for function in module.functions:
        if function.body is not None and function.index != module.exports_by_name["dump"].index:
            lines.append(f"function {function.index} {function.type} locals {function.local_types}")
            lines += [f"    {line}" for line in disassemble(module, function, Names(module))]
    return lines


def replayed(choices: list[int]) -> Choose:
    """Make these choices again, as far as they are possible; behind the last one always choose 0."""
    source = iter(choices)
    return lambda count: min(next(source, 0), count - 1)


def shrink(choices: list[int], fails: Callable[[list[int]], bool], seconds: float) -> list[int]:
    """Choices, as few and low as can be found in this time, of which `fails` says yes."""
    deadline = time.monotonic() + seconds
    size = len(choices)
    while size >= 1 and time.monotonic() < deadline:
        found = next((smaller for smaller in _smaller(choices, size, deadline) if fails(smaller)), None)
        choices, size = (found, size) if found is not None else (choices, size // 2)
    return choices


def _smaller(choices: list[int], size: int, deadline: float) -> Iterator[list[int]]:
    """The choices without `size` of them, or with `size` of them 0, from the last ones forward."""
    for end in range(len(choices), 0, -size):
        if time.monotonic() > deadline:
            return
        start = max(0, end - size)
        yield choices[:start] + choices[end:]
        if any(choices[start:end]):
            yield choices[:start] + [0] * (end - start) + choices[end:]
