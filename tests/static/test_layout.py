"""The layout of linear memory as linkers make it, and what functions take of the stack, on small modules."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from tests.support import Guests
from ttd.debuginfo import DebugInfo
from ttd.static.layout import MemoryLayout, RegionKind
from ttd.static.prologues import StackUse, stack_use
from ttd.wasm.decode import decode
from ttd.wasm.model import Module

SIZE = 2 << 16

DATA_FIRST = """(module (memory 2) (global $__stack_pointer (mut i32) (i32.const 4096))
  (data $.rodata (i32.const 1024) "abc") (data $.data (i32.const 1040) "defg"))"""
STACK_FIRST = """(module (memory 2) (global $__stack_pointer (mut i32) (i32.const 4096))
  (data $.data (i32.const 4096) "abcd"))"""
TOLD = """(module (memory 2) (global $__stack_pointer (mut i32) (i32.const 8192))
  (global (export "__data_end") i32 (i32.const 1100)) (global (export "__heap_base") i32 (i32.const 9000))
  (global (export "__stack_low") i32 (i32.const 4000)) (global (export "__stack_high") i32 (i32.const 8192))
  (data (i32.const 1024) "abcd"))"""
NAMELESS = """(module (memory 2) (global i32 (i32.const 16)) (global (mut i32) (i32.const 7))
  (global (mut i32) (i32.const 65536)))"""


def module_of(text: str) -> Module:
    return decode(bytes(wat2wasm(text)))


def layout_of(text: str) -> MemoryLayout:
    return MemoryLayout(DebugInfo(module_of(text)))


def regions(text: str) -> list[tuple[str, int, int, bool]]:
    return [(r.kind.value, r.start, r.end, r.is_exact) for r in layout_of(text).regions(SIZE)]


def test_data_below_the_stack() -> None:
    assert regions(DATA_FIRST) == [
        ("unused", 0, 1024, True),
        ("data", 1024, 1027, True),
        ("data", 1040, 1044, True),
        ("stack", 1056, 4096, False),  # there may be more static data than is known
        ("heap", 4096, SIZE, True),
    ]


def test_the_stack_first() -> None:
    assert regions(STACK_FIRST) == [
        ("stack", 0, 4096, True), ("data", 4096, 4100, True), ("heap", 4112, SIZE, False),
    ]  # fmt: skip


def test_what_the_linker_exports_counts() -> None:
    assert regions(TOLD) == [
        ("unused", 0, 1024, True), ("data", 1024, 1028, True), ("bss", 1028, 1100, True),
        ("stack", 4000, 8192, True), ("heap", 9000, SIZE, True),
    ]  # fmt: skip


def test_a_stack_pointer_without_a_name_is_recognised() -> None:
    assert layout_of(NAMELESS).stack_pointer == 2
    assert regions(NAMELESS)[0] == ("stack", 0, 65536, True)


def test_a_module_without_any_of_it_has_no_regions() -> None:
    assert regions("(module)") == []
    assert layout_of("(module (memory 1) (global (mut i32) (i32.const 0)))").stack_pointer is None


def test_variables_of_a_program(guest: Guests) -> None:
    layout = MemoryLayout(DebugInfo(decode(guest("heap").read_bytes())))
    numbers = next(symbol for symbol in layout.objects if symbol.name == "numbers")
    assert numbers.size == 24
    assert layout.object_at(numbers.address + 23) == numbers
    assert layout.object_at(numbers.address + 24) != numbers
    assert layout.object_at(3) is None
    kinds = {r.kind for r in layout.regions(SIZE << 8) if r.start <= numbers.address < r.end}
    assert kinds == {RegionKind.DATA}


def test_heap_base_as_rust_exports_it(guest: Guests) -> None:
    layout = MemoryLayout(DebugInfo(decode(guest("rust").read_bytes())))
    (heap,) = [region for region in layout.regions(17 << 16) if region.kind is RegionKind.HEAP]
    assert (heap.start, heap.is_exact) == (1058320, True)


# --- prologues ---------------------------------------------------------------------------------------


def use_of(code: str) -> tuple[Module, StackUse | None]:
    module = module_of(
        f"""(module (global $sp (mut i32) (i32.const 4096)) (func $f (param i32) (local i32 i32 i32)
        {code}))"""
    )
    return module, stack_use(module.functions[0].code, 0)


OPTIMISED = "global.get $sp i32.const 48 i32.sub local.tee 1 global.set $sp nop"
PLAIN = (
    "global.get $sp local.set 1 i32.const 48 local.set 2 local.get 1 local.get 2 i32.sub local.set 3 "
    "local.get 3 global.set $sp nop"
)
LEAF = "global.get $sp i32.const 16 i32.sub local.tee 2 local.get 0 drop drop"


@pytest.mark.parametrize(
    ("code", "expected", "is_leaf"),
    [(OPTIMISED, (48, 1, None), False), (PLAIN, (48, 3, 1), False), (LEAF, (16, 2, None), True)],
)
def test_stack_that_a_function_takes(code: str, expected: tuple[int, int, int | None], is_leaf: bool) -> None:
    use = use_of(code)[1]
    assert use is not None
    assert (use.size, use.base_local, use.entry_local) == expected
    assert (use.taken_from is None) == is_leaf


def test_functions_that_take_none() -> None:
    assert use_of("local.get 0 drop")[1] is None
    assert use_of("global.get $sp drop")[1] is None


def test_an_aligned_frame_has_no_fixed_size() -> None:
    use = use_of(
        "global.get $sp local.tee 1 i32.const 64 i32.sub i32.const -32 i32.and local.tee 2 global.set $sp"
    )[1]
    assert use is not None
    assert (use.size, use.base_local, use.entry_local) == (None, 2, 1)


def test_the_stack_is_given_back_at_the_end() -> None:
    module, use = use_of(
        OPTIMISED + " local.get 1 i32.const 48 i32.add global.set $sp local.get 0 drop return"
    )
    assert use is not None
    pcs = {i.op.mnemonic: i.offset for i in module.functions[0].code.instructions}
    starts = [i.offset for i in module.functions[0].code.instructions]
    assert not use.is_taken(starts[0])
    assert not use.is_taken(starts[4])  # at global.set itself
    assert use.is_taken(pcs["nop"])
    assert use.is_taken(pcs["return"])  # `drop` may be anything: only a plain epilogue is recognised


def test_a_plain_epilogue_gives_back() -> None:
    module, use = use_of(OPTIMISED + " local.get 1 i32.const 48 i32.add global.set $sp return")
    assert use is not None
    instructions = module.functions[0].code.instructions
    assert not use.is_taken(instructions[-2].offset)
    assert use.is_taken(instructions[-3].offset)
