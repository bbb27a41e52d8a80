/* A tight loop of integer arithmetic: nothing but the tick at the loop header can cost. Argument: millions of rounds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    uint64_t rounds = 1000000ull * (argc > 1 ? atoi(argv[1]) : 1);
    uint32_t state = 1, sum = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        state = state * 1664525u + 1013904223u;
        sum = (sum << 5 | sum >> 27) ^ state >> 16;
    }
    printf("tight %08x\n", sum);
    return 0;
}
