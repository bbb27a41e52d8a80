#include "exchange.h"

struct latency *latency_new(struct arena *arena) {
    return arena_alloc(arena, sizeof(struct latency));
}

/* Everything slower than the last slot counts in the last slot. */
void latency_record(struct latency *latency, uint32_t micros) {
    uint32_t slot = micros / LATENCY_SLOT_MICROS;
    if (slot > LATENCY_SLOTS)
        slot = LATENCY_SLOTS;
    latency->slot[slot]++; /* @count */
    latency->samples++;
    if (micros > latency->worst_micros)
        latency->worst_micros = micros;
}

uint32_t latency_percentile(const struct latency *latency, unsigned percent) {
    uint64_t wanted = ((uint64_t)latency->samples * percent + 99) / 100;
    uint64_t seen = 0;
    for (uint32_t slot = 0; slot < LATENCY_SLOTS; slot++) {
        seen += latency->slot[slot];
        if (seen >= wanted)
            return (slot + 1) * LATENCY_SLOT_MICROS;
    }
    return latency->worst_micros;
}
