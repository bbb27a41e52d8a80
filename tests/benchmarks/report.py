"""The table of the benchmarks, as text (Markdown) and as JSON.

May import the standard library, wasmtime's version and `tests.benchmarks`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from tests.benchmarks.figures import Bench, Figure, Measured


def table(figures: Sequence[Figure]) -> str:
    """The rows of the issue's table."""
    rows = [("what", "against", "at most", "measured", "processor time", "", "")]
    for figure in figures:
        verdict = {True: "holds", False: "MISSED", None: "not measured"}[figure.holds]
        rows.append(
            (
                figure.what,
                figure.against,
                _shown(figure.bound, figure.unit),
                _shown(figure.value, figure.unit),
                _shown(figure.processor, figure.unit),
                verdict,
                figure.note,
            )
        )
    return _aligned(rows)


BEGIN, END = "<!-- measured by ./dev bench -->", "<!-- end of what was measured -->"
"""Between these lines of the README the table is, and nothing else."""


def in_readme(readme: str, figures: Sequence[Figure]) -> str:
    """`readme` with a new table in its place. ValueError if it has no place for one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, behind = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} .. {END}")
    rows = [("what", "against", "at most", "measured")]
    for figure in figures:
        value = _shown(figure.value, figure.unit) or "not measured"
        rows.append((figure.what, figure.against, _shown(figure.bound, figure.unit), value))
    return f"{before}{begin}\n{_aligned(rows)}\n\n{_machine()}\n{end}{behind}"


def _machine() -> str:
    """Where that was measured, in a sentence."""
    system = f"{platform.system()} on {platform.machine()} with {os.cpu_count()} processors"
    return (
        f"ttd {version('ttd')}, Wasmtime {version('wasmtime')}, Python {platform.python_version()}, {system}."
    )


def guests(measured: Sequence[Measured]) -> str:
    """One row for each guest: how long under plain Wasmtime, and the ratios."""
    ways = ("record", "replay", "break", "watch")
    rows: list[tuple[str, ...]] = [("guest", "level", "plain", "noise", *ways, "record, processor time")]
    for guest in measured:
        plain = guest.costs["plain"]
        ratios = (f"{guest.ratio(way):.2f}" if way in guest.costs else "" for way in ways)
        rows.append(
            (
                guest.program.name,
                guest.level,
                f"{plain.seconds:.2f} s",
                f"{100 * plain.noise:.0f} %",
                *ratios,
                f"{guest.processor_ratio('record'):.2f}",
            )
        )
    return _aligned(rows)


def as_json(bench: Bench, figures: Sequence[Figure]) -> dict[str, object]:
    """Everything that was measured, each run of each process."""
    return {
        "machine": {
            "processors": os.cpu_count(),
            "architecture": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "wasmtime": version("wasmtime"),
            "ttd": version("ttd"),
            "load": os.getloadavg(),
        },
        "settings": {"runs": bench.runs, "work": bench.work, "samples": bench.samples},
        "figures": [{**asdict(figure), "holds": figure.holds} for figure in figures],
        "guests": [
            {
                "name": guest.program.name,
                "level": guest.level,
                "trace_size": guest.trace_size,
                "runs": {way: costs.as_json() for way, costs in guest.costs.items()},
            }
            for guest in bench.measured
        ],
        "problems": bench.problems,
    }


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.2f}×" if unit == "x" else f"{value:.0f} {unit}" if value >= 10 else f"{value:.2f} {unit}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table whose columns line up in plain text too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = tuple("-" * max(width, 1) for width in widths)
    lines = [rows[0], rule, *rows[1:]]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
