#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void arena_init(struct arena *arena, size_t size) {
    arena->base = malloc(size);
    if (arena->base == NULL) {
        fprintf(stderr, "exchange: no memory for an arena of %zu bytes\n", size);
        exit(1);
    }
    arena->size = size;
    arena->used = 0;
}

/* Objects lie side by side, eight-byte aligned, and are never given back. */
void *arena_alloc(struct arena *arena, size_t size) {
    size_t rounded = (size + 7) & ~(size_t)7;
    if (arena->used + rounded > arena->size) {
        fprintf(stderr, "exchange: arena full\n");
        exit(1);
    }
    void *object = arena->base + arena->used;
    arena->used += rounded;
    memset(object, 0, rounded);
    return object;
}
