"""The stops of the tours: what a debugger shall show each time that a guest looks around, if nothing is lost.

The guests (tour.c, voyage.cpp, journey.rs) call ``look`` at marked lines. Here is what they are then: the
frames of the source around ``look``, innermost first, each with the line that its marker names and the values
of expressions in it. Optimised builds show the same, but for frames that are `folded` (a recursion became a
loop), and for what they no longer have.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """A frame of the source. `values`: what expressions in it show."""

    function: str
    marker: str
    values: dict[str, str]
    folded: bool = False


def at(function: str, marker: str = "", folded: bool = False, **values: str) -> Frame:
    """A frame whose expressions are names of variables; no marker: that of the function's own name."""
    return Frame(function, marker or function, values, folded)


Stop = tuple[Frame, ...]


# --- tour.c ----------------------------------------------------------------------------------------------

MAIN = {"tiny": "-3 '\\375'", "small": "40000", "wide": "1099511627776", "some": "{4, 9, 2}", "few": "{3}"}


def main(marker: str, total: str = "") -> Frame:
    return Frame("main", marker, MAIN | ({"total": total} if total else {}))


def loop(index: str, total: str, largest: str, number: str) -> Frame:
    shown = {
        "i": index,
        "total": total,
        "largest": largest,
        "number": number,
        "count": "3",
        "numbers[2]": "2",
    }
    return Frame("loop", "loop", shown)


def area(first: bool) -> Stop:
    size = f"{{x = {5 if first else 3}, y = 5}}"
    box = f"{{low = {{x = {1 if first else 3}, y = 2}}, high = {{x = 6, y = 7}}, weight = 2.5}}"
    here = {"offset": "6", "box": box, "box.weight": "2.5"}
    return (
        at("area", size=size, result="25" if first else "15"),
        at("extent", "area-call", size=size, box=box),
        Frame("boxes", "first" if first else "second", here if first else here | {"first": "27"}),
        main("boxes", "40153"),
    )


def chain(depth: int) -> Frame:
    shown = {"depth": f"{depth}", "value": f"{10 * depth + 10}", "node->value": f"{10 * depth + 10}"}
    return Frame("chain", "chain", shown, folded=True)


def blocks(marker: str, **values: str) -> Stop:
    return at("blocks", marker, calls="8", **values), main("blocks", "40226")


def add(first: bool) -> Stop:
    here = {"number": "8", "what": "(operation *) 0x1 <add>"}
    return (
        at("add", a="8" if first else "9", b="1" if first else "8"),
        Frame("twice", "once" if first else "again", here if first else here | {"once": "9"}),
        main("twice", "40362"),
    )


TOUR: list[Stop] = [
    (
        at("widths", tiny="-3 '\\375'", small="40000", plain="7", wide="1099511627776", single="0.5",
           both="9", byte="0 '\\000'", sum="39997", product="7696581394432", ratio="5", colour="BLUE",
           positive="true"),
        main("start"),
    ),
    (loop("0", "4", "4", "4"), main("some", "40009")),
    (loop("1", "13", "9", "9"), main("some", "40009")),
    (loop("2", "15", "9", "2"), main("some", "40009")),
    (at("loop", "looped", total="15", largest="9", count="3"), main("some", "40009")),
    (at("loop", i="0", total="3", largest="3", number="3", count="1"), main("few", "40144")),
    (at("loop", "looped", total="3", largest="3", count="1"), main("few", "40144")),
    area(first=True),
    area(first=False),
    (at("chain", "bottom", node="(const struct node *) 0x0", depth="3"), chain(2), chain(1), chain(0),
     main("head", "40163")),
    blocks("inner", value="10", result="11"),
    blocks("squared", value="0", squared="8", result="5"),
    blocks("squared", value="1", squared="9", result="5"),
    blocks("outer", value="5", result="5"),
    (at("spent", used="1", once="2", before="6", after="2"), main("spend", "40239")),
    (at("arrays", count="4", places="{0, 3, 6, 9, 0}", text='"ajc"', last="9"), main("array", "40241")),
    add(first=True),
    add(first=False),
    (main("end", "40379"),),
]  # fmt: skip


# --- voyage.cpp ------------------------------------------------------------------------------------------


def aboard(marker: str, total: str = "") -> Frame:
    crew = {"vessel->crew": "4"}
    return Frame("main", marker, crew | ({"total": total} if total else {}))


def largest(found: str, item: str) -> Stop:
    here = {"items": "{3, 8, 5}", "least": "1", "found": found, "item": item}
    return Frame("sea::largest<int>", "largest", here), aboard("ints", "8")


def shifted(first: bool) -> Stop:
    by, moved = ("1", "11") if first else ("10", "38")
    here = {"base": "8", "step": "4", "shift.factor": "3"}
    return (
        at("operator()", "lambda", by=by, moved=moved),
        Frame("sea::captured", "near" if first else "far", here if first else here | {"near": "15"}),
        aboard("capture", "19"),
    )


VOYAGE: list[Stop] = [
    (
        at("sea::Sloop::speed", "speed", wind="6", pull="12", sails="2", crew="4"),
        aboard("sail"),
    ),
    largest("3", "3"),
    largest("8", "8"),
    largest("8", "5"),
    (at("sea::largest<double>", "largest", items="{2.5}", least="0.5", found="2.5"), aboard("doubles", "16")),
    (
        at("sea::words", "words", text='"one two three"', limit="std::optional(2)", part='"three"', count="3",
           parts='{"one", "two", "three"}'),
        aboard("split", "17"),
    ),
    shifted(first=True),
    shifted(first=False),
    (
        Frame("sea::Point::length", "length", {"sum": "673", "x": "12", "this->y": "23"}),
        Frame("sea::owner", "owner", {"value": "2", "*point": "{x = 2, y = 3}", "sum": "{x = 12, y = 23}"}),
        aboard("own", "76"),
    ),
    (aboard("end", "751"),),
]  # fmt: skip


# --- journey.rs ------------------------------------------------------------------------------------------


def travelling(marker: str, total: str = "") -> Frame:
    shown = {
        "numbers": "[4, 9, 2]",
        "words": '["one", "two"]',
        "nine": "9",
        "tiny": "-3",
        "wide": "1099511627776",
    }
    return Frame("journey::main", marker, shown | ({"sum": total} if total else {}))


def totalled(index: str, total: str, number: str) -> Stop:
    here = {"numbers": "[4, 9, 2]", "index": index, "sum": total, "*number": number}
    return Frame("journey::total", "loop", here), travelling("total", "40003")


def measured(first: bool) -> Stop:
    size, moved = "Point {x: 6, y: 7}", "Point {x: 4, y: 7}"
    here = {"offset": "6", "size": size}
    return (
        Frame("journey::Point::area", "area", {"self": size, "result": "42"} if first else {"self": moved}),
        Frame(
            "journey::boxes",
            "first" if first else "second",
            here if first else here | {"first": "42", "moved": moved},
        ),
        travelling("boxes", "40031"),
    )


def weighed(shape: str, weight: str, total: str) -> Stop:
    here = {"*shape": shape, "scale": "10", "weight": weight}
    return Frame("journey::weigh", "weigh", here), travelling("weighed", total)


def halved(number: str, level: str, half: str) -> Frame:
    return at("journey::depth", "depth", folded=True, number=number, level=level, half=half)


JOURNEY: list[Stop] = [
    (
        at("journey::widths", "widths", tiny="-3", small="40000", plain="7", wide="1099511627776",
           single="0.5", both="9", byte="0", sum="39997", product="7696581394432", ratio="5",
           positive="true"),
        travelling("start"),
    ),
    totalled("0", "4", "4"),
    totalled("1", "22", "9"),
    totalled("2", "28", "2"),
    measured(first=True),
    measured(first=False),
    weighed("Dot", "0", "40045"),
    weighed("Circle(1.5)", "3", "40045"),
    weighed("Rect {w: 2, h: 3}", "6", "40075"),
    (
        at("journey::find", "find", words='["one", "two"]', wanted='"two"', found="Some(1)"),
        travelling("found", "40135"),
    ),
    (
        at("journey::depth", "bottom", number="1", level="2"),
        halved("2", "1", "1"),
        halved("5", "0", "2"),
        travelling("deep", "40136"),
    ),
    (travelling("end", "40141"),),
]  # fmt: skip

TOURS = {"tour": TOUR, "voyage": VOYAGE, "journey": JOURNEY}
