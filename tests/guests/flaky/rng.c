#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void rng_seed(struct rng *rng) {
    if (getentropy(rng->state, sizeof rng->state) != 0) {
        perror("exchange: getentropy");
        exit(1);
    }
    rng->state[0] |= 1;
}

/* xorshift128+ (Vigna, 2014). */
uint64_t rng_next(struct rng *rng) {
    uint64_t x = rng->state[0];
    uint64_t y = rng->state[1];
    rng->state[0] = y;
    x ^= x << 23;
    rng->state[1] = x ^ y ^ (x >> 17) ^ (y >> 26);
    return rng->state[1] + y;
}

uint32_t rng_below(struct rng *rng, uint32_t bound) {
    return (uint32_t)(rng_next(rng) >> 33) % bound;
}
