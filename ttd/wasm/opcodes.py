"""The instruction table: every instruction that ttd knows, in one place (core specification 5.4 and 7.x).

Decoder, encoder, disassembler, typing, interpreter and instrumenter derive from it. A row is a code, a
mnemonic, the kind of its immediates and its signature; rows are grouped by the proposal that brought them.
What is not in this table ttd does not support: `unsupported` names such instructions.

Imports `valtype` only.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ttd.wasm.valtype import ValType


class Immediates(enum.Enum):
    """The shape of `model.Instruction.immediates`, which is always a tuple.

    Indices and depths are ints. Constants are *unsigned* bit patterns, whatever the encoding.
    """

    NONE = "()"
    BLOCK = "(FuncType,), the block's type, resolved; block and loop"
    IF = "(FuncType,), as BLOCK"
    TRY_TABLE = "(FuncType, tuple[Catch, ...])"
    LABEL = "(depth,)"
    LABEL_TABLE = "(tuple of depths, default depth)"
    FUNC = "(function index,)"
    CALL_INDIRECT = "(type index, table index)"
    LOCAL = "(local index,)"
    GLOBAL = "(global index,)"
    TABLE = "(table index,)"
    TAG = "(tag index,)"
    SELECT = "(tuple of ValTypes,): select with its type written out"
    REF_TYPE = "(ValType,), the reference type"
    MEMARG = "(memory index, alignment as a power of two, offset)"
    MEMARG_LANE = "(memory index, alignment as a power of two, offset, lane)"
    MEMORY = "(memory index,)"
    MEMORY_INIT = "(data index, memory index)"
    MEMORY_COPY = "(destination memory index, source memory index)"
    DATA = "(data index,)"
    TABLE_INIT = "(element index, table index)"
    TABLE_COPY = "(destination table index, source table index)"
    ELEMENT = "(element index,)"
    I32 = "(unsigned 32-bit value,)"
    I64 = "(unsigned 64-bit value,)"
    F32 = "(32 bits of the value,)"
    F64 = "(64 bits of the value,)"
    V128 = "(128 bits of the value, first byte least significant,)"
    SHUFFLE = "(tuple of 16 lanes,)"
    LANE = "(lane,)"


class CatchKind(enum.IntEnum):
    """The clauses of try_table (core 5.4.1)."""

    CATCH = 0
    CATCH_REF = 1
    CATCH_ALL = 2
    CATCH_ALL_REF = 3

    @property
    def has_tag(self) -> bool:
        return self in (CatchKind.CATCH, CatchKind.CATCH_REF)

    @property
    def pushes_reference(self) -> bool:
        """Whether the handler gets the exnref, on top of the payload."""
        return self in (CatchKind.CATCH_REF, CatchKind.CATCH_ALL_REF)


class Catch(NamedTuple):
    """A clause of try_table. `tag` is None for the catch-all kinds.

    `depth` counts from outside of the try_table: 0 is the label of the block around it.
    """

    kind: CatchKind
    tag: int | None
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class Opcode:
    """A row of the instruction table. There is one object per instruction: compare with ``is``."""

    code: int
    """The opcode; of prefixed ones (prefix << 16) | sub-opcode."""
    mnemonic: str
    """As in the text format; but ``select_t`` is the `select` that has its type written out."""
    immediates: Immediates
    params: tuple[ValType, ...] | None
    """What it pops, deepest first; None where that depends on context. Addresses are written as i32, and
    are i64 where the memory is a 64-bit one (MEMARG, MEMARG_LANE)."""
    results: tuple[ValType, ...] | None
    """What it pushes; None where (and only where) `params` is."""
    feature: str
    """The proposal that it came with; ``mvp`` for WebAssembly 1.0."""
    access: int
    """How many bytes of linear memory a load or store touches; 0 for everything else."""
    is_marker: bool
    """Whether it is a structure marker (block loop end else try_table), which is not a step of time."""

    def __repr__(self) -> str:
        return f"<{self.mnemonic}>"

    @property
    def is_store(self) -> bool:
        """Whether it is a plain store of `access` bytes to linear memory."""
        return self.access > 0 and not self.results

    @property
    def prefix(self) -> int:
        """The prefix byte, 0 for a one-byte opcode."""
        return self.code >> 16


# Signatures: parameters, a colon, results, one letter each (see _LETTERS); * for "depends on context".
# An @n behind it is the number of bytes that a memory access touches. ! marks structure markers.
_LETTERS = {
    "i": ValType.I32,
    "I": ValType.I64,
    "f": ValType.F32,
    "F": ValType.F64,
    "v": ValType.V128,
}

_MVP = """
00 unreachable          NONE          *
01 nop                  NONE          :
02 block                BLOCK         * !
03 loop                 BLOCK         * !
04 if                   IF            *
05 else                 NONE          * !
0b end                  NONE          * !
0c br                   LABEL         *
0d br_if                LABEL         *
0e br_table             LABEL_TABLE   *
0f return               NONE          *
10 call                 FUNC          *
11 call_indirect        CALL_INDIRECT *
1a drop                 NONE          *
1b select               NONE          *
20 local.get            LOCAL         *
21 local.set            LOCAL         *
22 local.tee            LOCAL         *
23 global.get           GLOBAL        *
24 global.set           GLOBAL        *
28 i32.load             MEMARG        i:i @4
29 i64.load             MEMARG        i:I @8
2a f32.load             MEMARG        i:f @4
2b f64.load             MEMARG        i:F @8
2c i32.load8_s          MEMARG        i:i @1
2d i32.load8_u          MEMARG        i:i @1
2e i32.load16_s         MEMARG        i:i @2
2f i32.load16_u         MEMARG        i:i @2
30 i64.load8_s          MEMARG        i:I @1
31 i64.load8_u          MEMARG        i:I @1
32 i64.load16_s         MEMARG        i:I @2
33 i64.load16_u         MEMARG        i:I @2
34 i64.load32_s         MEMARG        i:I @4
35 i64.load32_u         MEMARG        i:I @4
36 i32.store            MEMARG        ii: @4
37 i64.store            MEMARG        iI: @8
38 f32.store            MEMARG        if: @4
39 f64.store            MEMARG        iF: @8
3a i32.store8           MEMARG        ii: @1
3b i32.store16          MEMARG        ii: @2
3c i64.store8           MEMARG        iI: @1
3d i64.store16          MEMARG        iI: @2
3e i64.store32          MEMARG        iI: @4
3f memory.size          MEMORY        *
40 memory.grow          MEMORY        *
41 i32.const            I32           :i
42 i64.const            I64           :I
43 f32.const            F32           :f
44 f64.const            F64           :F
"""

# Runs of instructions with consecutive codes and one signature: first code, signature, mnemonics.
_MVP_RUNS = """
45 i:i  i32.eqz
46 ii:i i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u
50 I:i  i64.eqz
51 II:i i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u
5b ff:i f32.eq f32.ne f32.lt f32.gt f32.le f32.ge
61 FF:i f64.eq f64.ne f64.lt f64.gt f64.le f64.ge
67 i:i  i32.clz i32.ctz i32.popcnt
6a ii:i i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u
71 ii:i i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr
79 I:I  i64.clz i64.ctz i64.popcnt
7c II:I i64.add i64.sub i64.mul i64.div_s i64.div_u i64.rem_s i64.rem_u
83 II:I i64.and i64.or i64.xor i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr
8b f:f  f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt
92 ff:f f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign
99 F:F  f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt
a0 FF:F f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign
a7 I:i  i32.wrap_i64
a8 f:i  i32.trunc_f32_s i32.trunc_f32_u
aa F:i  i32.trunc_f64_s i32.trunc_f64_u
ac i:I  i64.extend_i32_s i64.extend_i32_u
ae f:I  i64.trunc_f32_s i64.trunc_f32_u
b0 F:I  i64.trunc_f64_s i64.trunc_f64_u
b2 i:f  f32.convert_i32_s f32.convert_i32_u
b4 I:f  f32.convert_i64_s f32.convert_i64_u
b6 F:f  f32.demote_f64
b7 i:F  f64.convert_i32_s f64.convert_i32_u
b9 I:F  f64.convert_i64_s f64.convert_i64_u
bb f:F  f64.promote_f32
bc f:i  i32.reinterpret_f32
bd F:I  i64.reinterpret_f64
be i:f  f32.reinterpret_i32
bf I:F  f64.reinterpret_i64
"""

_SIGN_EXTENSION_RUNS = """
c0 i:i  i32.extend8_s i32.extend16_s
c2 I:I  i64.extend8_s i64.extend16_s i64.extend32_s
"""

_SATURATING_RUNS = """
fc:0 f:i i32.trunc_sat_f32_s i32.trunc_sat_f32_u
fc:2 F:i i32.trunc_sat_f64_s i32.trunc_sat_f64_u
fc:4 f:I i64.trunc_sat_f32_s i64.trunc_sat_f32_u
fc:6 F:I i64.trunc_sat_f64_s i64.trunc_sat_f64_u
"""

_BULK_MEMORY = """
fc:8  memory.init       MEMORY_INIT   *
fc:9  data.drop         DATA          :
fc:a  memory.copy       MEMORY_COPY   *
fc:b  memory.fill       MEMORY        *
fc:c  table.init        TABLE_INIT    *
fc:d  elem.drop         ELEMENT       :
fc:e  table.copy        TABLE_COPY    *
"""

_REFERENCE_TYPES = """
1c select_t             SELECT        *
25 table.get            TABLE         *
26 table.set            TABLE         *
d0 ref.null             REF_TYPE      *
d1 ref.is_null          NONE          *
d2 ref.func             FUNC          *
fc:f  table.grow        TABLE         *
fc:10 table.size        TABLE         *
fc:11 table.fill        TABLE         *
"""

_TAIL_CALL = """
12 return_call          FUNC          *
13 return_call_indirect CALL_INDIRECT *
"""

_EXCEPTIONS = """
08 throw                TAG           *
0a throw_ref            NONE          *
1f try_table            TRY_TABLE     * !
"""

_SIMD = """
fd:0  v128.load         MEMARG        i:v @16
fd:1  v128.load8x8_s    MEMARG        i:v @8
fd:2  v128.load8x8_u    MEMARG        i:v @8
fd:3  v128.load16x4_s   MEMARG        i:v @8
fd:4  v128.load16x4_u   MEMARG        i:v @8
fd:5  v128.load32x2_s   MEMARG        i:v @8
fd:6  v128.load32x2_u   MEMARG        i:v @8
fd:7  v128.load8_splat  MEMARG        i:v @1
fd:8  v128.load16_splat MEMARG        i:v @2
fd:9  v128.load32_splat MEMARG        i:v @4
fd:a  v128.load64_splat MEMARG        i:v @8
fd:b  v128.store        MEMARG        iv: @16
fd:c  v128.const        V128          :v
fd:d  i8x16.shuffle     SHUFFLE       vv:v
fd:15 i8x16.extract_lane_s LANE       v:i
fd:16 i8x16.extract_lane_u LANE       v:i
fd:17 i8x16.replace_lane   LANE       vi:v
fd:18 i16x8.extract_lane_s LANE       v:i
fd:19 i16x8.extract_lane_u LANE       v:i
fd:1a i16x8.replace_lane   LANE       vi:v
fd:1b i32x4.extract_lane   LANE       v:i
fd:1c i32x4.replace_lane   LANE       vi:v
fd:1d i64x2.extract_lane   LANE       v:I
fd:1e i64x2.replace_lane   LANE       vI:v
fd:1f f32x4.extract_lane   LANE       v:f
fd:20 f32x4.replace_lane   LANE       vf:v
fd:21 f64x2.extract_lane   LANE       v:F
fd:22 f64x2.replace_lane   LANE       vF:v
fd:54 v128.load8_lane   MEMARG_LANE   iv:v @1
fd:55 v128.load16_lane  MEMARG_LANE   iv:v @2
fd:56 v128.load32_lane  MEMARG_LANE   iv:v @4
fd:57 v128.load64_lane  MEMARG_LANE   iv:v @8
fd:58 v128.store8_lane  MEMARG_LANE   iv: @1
fd:59 v128.store16_lane MEMARG_LANE   iv: @2
fd:5a v128.store32_lane MEMARG_LANE   iv: @4
fd:5b v128.store64_lane MEMARG_LANE   iv: @8
fd:5c v128.load32_zero  MEMARG        i:v @4
fd:5d v128.load64_zero  MEMARG        i:v @8
"""

_SIMD_RUNS = """
fd:e  vv:v i8x16.swizzle
fd:f  i:v i8x16.splat i16x8.splat i32x4.splat
fd:12 I:v i64x2.splat
fd:13 f:v f32x4.splat
fd:14 F:v f64x2.splat
fd:23 vv:v i8x16.eq i8x16.ne i8x16.lt_s i8x16.lt_u i8x16.gt_s
fd:28 vv:v i8x16.gt_u i8x16.le_s i8x16.le_u i8x16.ge_s i8x16.ge_u
fd:2d vv:v i16x8.eq i16x8.ne i16x8.lt_s i16x8.lt_u i16x8.gt_s
fd:32 vv:v i16x8.gt_u i16x8.le_s i16x8.le_u i16x8.ge_s i16x8.ge_u
fd:37 vv:v i32x4.eq i32x4.ne i32x4.lt_s i32x4.lt_u i32x4.gt_s
fd:3c vv:v i32x4.gt_u i32x4.le_s i32x4.le_u i32x4.ge_s i32x4.ge_u
fd:41 vv:v f32x4.eq f32x4.ne f32x4.lt f32x4.gt f32x4.le f32x4.ge
fd:47 vv:v f64x2.eq f64x2.ne f64x2.lt f64x2.gt f64x2.le f64x2.ge
fd:4d v:v v128.not
fd:4e vv:v v128.and v128.andnot v128.or v128.xor
fd:52 vvv:v v128.bitselect
fd:53 v:i v128.any_true
fd:5e v:v f32x4.demote_f64x2_zero f64x2.promote_low_f32x4 i8x16.abs i8x16.neg i8x16.popcnt
fd:63 v:i i8x16.all_true i8x16.bitmask
fd:65 vv:v i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u
fd:67 v:v f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest
fd:6b vi:v i8x16.shl i8x16.shr_s i8x16.shr_u
fd:6e vv:v i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u
fd:74 v:v f64x2.ceil f64x2.floor
fd:76 vv:v i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u
fd:7a v:v f64x2.trunc
fd:7b vv:v i8x16.avgr_u
fd:7c v:v i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u
fd:7e v:v i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u
fd:80 v:v i16x8.abs i16x8.neg
fd:82 vv:v i16x8.q15mulr_sat_s
fd:83 v:i i16x8.all_true i16x8.bitmask
fd:85 vv:v i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u
fd:87 v:v i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s
fd:89 v:v i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u
fd:8b vi:v i16x8.shl i16x8.shr_s i16x8.shr_u
fd:8e vv:v i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u
fd:94 v:v f64x2.nearest
fd:95 vv:v i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u
fd:9b vv:v i16x8.avgr_u
fd:9c vv:v i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s
fd:9e vv:v i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u
fd:a0 v:v i32x4.abs i32x4.neg
fd:a3 v:i i32x4.all_true i32x4.bitmask
fd:a7 v:v i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s
fd:a9 v:v i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u
fd:ab vi:v i32x4.shl i32x4.shr_s i32x4.shr_u
fd:ae vv:v i32x4.add
fd:b1 vv:v i32x4.sub
fd:b5 vv:v i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s
fd:bc vv:v i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s
fd:be vv:v i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u
fd:c0 v:v i64x2.abs i64x2.neg
fd:c3 v:i i64x2.all_true i64x2.bitmask
fd:c7 v:v i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s
fd:c9 v:v i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u
fd:cb vi:v i64x2.shl i64x2.shr_s i64x2.shr_u
fd:ce vv:v i64x2.add
fd:d1 vv:v i64x2.sub
fd:d5 vv:v i64x2.mul i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s
fd:dc vv:v i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s
fd:de vv:v i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u
fd:e0 v:v f32x4.abs f32x4.neg
fd:e3 v:v f32x4.sqrt
fd:e4 vv:v f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax
fd:ec v:v f64x2.abs f64x2.neg
fd:ef v:v f64x2.sqrt
fd:f0 vv:v f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax
fd:f8 v:v i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u
fd:fc v:v i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero
fd:fe v:v f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u
"""

_RELAXED_SIMD_RUNS = """
fd:100 vv:v i8x16.relaxed_swizzle
fd:101 v:v i32x4.relaxed_trunc_f32x4_s i32x4.relaxed_trunc_f32x4_u
fd:103 v:v i32x4.relaxed_trunc_f64x2_s_zero i32x4.relaxed_trunc_f64x2_u_zero
fd:105 vvv:v f32x4.relaxed_madd f32x4.relaxed_nmadd f64x2.relaxed_madd f64x2.relaxed_nmadd
fd:109 vvv:v i8x16.relaxed_laneselect i16x8.relaxed_laneselect
fd:10b vvv:v i32x4.relaxed_laneselect i64x2.relaxed_laneselect
fd:10d vv:v f32x4.relaxed_min f32x4.relaxed_max f64x2.relaxed_min f64x2.relaxed_max
fd:111 vv:v i16x8.relaxed_q15mulr_s i16x8.relaxed_dot_i8x16_i7x16_s
fd:113 vvv:v i32x4.relaxed_dot_i8x16_i7x16_add_s
"""


def _code(text: str) -> int:
    prefix, colon, sub = text.partition(":")
    return int(prefix, 16) << 16 | int(sub, 16) if colon else int(prefix, 16)


def _types(letters: str) -> tuple[ValType, ...]:
    return tuple(_LETTERS[letter] for letter in letters)


def _row(code: int, mnemonic: str, kind: Immediates, signature: str, feature: str, *marks: str) -> Opcode:
    access = next((int(mark[1:]) for mark in marks if mark.startswith("@")), 0)
    if signature == "*":
        return Opcode(code, mnemonic, kind, None, None, feature, access, "!" in marks)
    params, results = signature.split(":")
    return Opcode(code, mnemonic, kind, _types(params), _types(results), feature, access, False)


def _rows(table: str, feature: str) -> Iterator[Opcode]:
    """Rows of a table that has one instruction in each line."""
    for line in table.strip().splitlines():
        code, mnemonic, kind, signature, *marks = line.split()
        yield _row(_code(code), mnemonic, Immediates[kind], signature, feature, *marks)


def _runs(table: str, feature: str) -> Iterator[Opcode]:
    """Rows of a table that has, in each line, instructions without immediates and with one signature."""
    for line in table.strip().splitlines():
        first, signature, *mnemonics = line.split()
        for number, mnemonic in enumerate(mnemonics):
            yield _row(_code(first) + number, mnemonic, Immediates.NONE, signature, feature)


OPCODES: tuple[Opcode, ...] = (
    *_rows(_MVP, "mvp"),
    *_runs(_MVP_RUNS, "mvp"),
    *_runs(_SIGN_EXTENSION_RUNS, "sign-extension"),
    *_runs(_SATURATING_RUNS, "nontrapping-fptoint"),
    *_rows(_BULK_MEMORY, "bulk-memory"),
    *_rows(_REFERENCE_TYPES, "reference-types"),
    *_rows(_TAIL_CALL, "tail-call"),
    *_rows(_EXCEPTIONS, "exception-handling"),
    *_rows(_SIMD, "simd128"),
    *_runs(_SIMD_RUNS, "simd128"),
    *_runs(_RELAXED_SIMD_RUNS, "relaxed-simd"),
)
"""Every instruction. Their features are called as LLVM's -m options are."""

BY_CODE: dict[int, Opcode] = {op.code: op for op in OPCODES}
BY_MNEMONIC: dict[str, Opcode] = {op.mnemonic: op for op in OPCODES}
