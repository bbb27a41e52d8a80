/* Calls through pointers: qsort with a comparison function, and a small machine whose instructions are functions.
   Argument: rounds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 50000, STEPS = 1000000 };

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t add(uint32_t a) { return a + 12345; }
static uint32_t rotate(uint32_t a) { return a << 7 | a >> 25; }
static uint32_t scramble(uint32_t a) { return (a ^ a >> 15) * 2246822519u; }
static uint32_t twice(uint32_t a) { return add(a) ^ rotate(a); }
static uint32_t (*const OPERATIONS[])(uint32_t) = {add, rotate, scramble, twice};

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    static uint32_t numbers[SIZE];
    uint32_t state = 1;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < SIZE; i++)
            numbers[i] = state = state * 1664525u + 1013904223u;
        qsort(numbers, SIZE, sizeof *numbers, ascending);
        for (int i = 0; i < STEPS; i++)
            state = OPERATIONS[state >> 30](state) + numbers[i % SIZE];
    }
    printf("indirect %u\n", state);
    return 0;
}
