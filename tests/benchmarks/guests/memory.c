/* Bound by memory: a sieve over 8 MiB, and pointers followed through 4 MiB in random order. Argument: rounds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIEVE = 8 << 20, NODES = 1 << 20 };
static uint8_t composite[SIEVE];
static uint32_t next[NODES];

static unsigned primes(void) {
    unsigned count = 0;
    memset(composite, 0, SIEVE);
    for (uint32_t i = 2; i < SIEVE; i++) {
        if (composite[i])
            continue;
        count++;
        for (uint64_t j = (uint64_t)i * i; j < SIEVE; j += i)
            composite[j] = 1;
    }
    return count;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    for (uint32_t i = 0; i < NODES; i++)
        next[i] = (i * 1664525u + 1013904223u) % NODES;
    unsigned count = 0;
    uint32_t at = 0;
    for (int round = 0; round < rounds; round++) {
        count += primes();
        for (int i = 0; i < NODES; i++)
            at = next[at];
    }
    printf("memory %u %u\n", count, at);
    return 0;
}
