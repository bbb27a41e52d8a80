/* Vectors: y = a x + y in single precision, and sums of bytes. Built with -msimd128. Argument: thousands of rounds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <wasm_simd128.h>

enum { SIZE = 4096 };
static float x[SIZE], y[SIZE];
static uint8_t bytes[SIZE];

int main(int argc, char **argv) {
    long rounds = 1000L * (argc > 1 ? atoi(argv[1]) : 1);
    for (int i = 0; i < SIZE; i++) {
        x[i] = (float)(i % 17) * 0.5f;
        bytes[i] = (uint8_t)(i * 7);
    }
    v128_t a = wasm_f32x4_splat(0.001f), half = wasm_f32x4_splat(0.5f), total = wasm_i32x4_splat(0);
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < SIZE; i += 4) {
            v128_t mixed = wasm_f32x4_add(wasm_f32x4_mul(a, wasm_v128_load(x + i)), wasm_f32x4_mul(half, wasm_v128_load(y + i)));
            wasm_v128_store(y + i, mixed);
        }
        for (int i = 0; i < SIZE; i += 16) {
            v128_t pairs = wasm_u16x8_extadd_pairwise_u8x16(wasm_v128_load(bytes + i));
            total = wasm_i32x4_add(total, wasm_u32x4_extadd_pairwise_u16x8(pairs));
        }
    }
    printf("simd %.6g %d\n", (double)y[SIZE - 1], wasm_i32x4_extract_lane(total, 0));
    return 0;
}
