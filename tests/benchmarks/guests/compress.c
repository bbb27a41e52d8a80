/* Compression there and back of text that it makes itself, with zlib (built with -DUSE_ZLIB) or Zstandard. Argument:
   rounds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef USE_ZLIB
#include "zlib.h"
static size_t pack(void *to, size_t room, const void *from, size_t size) {
    uLongf length = room;
    return compress2(to, &length, from, size, 6) == Z_OK ? length : 0;
}
static size_t unpack(void *to, size_t room, const void *from, size_t size) {
    uLongf length = room;
    return uncompress(to, &length, from, size) == Z_OK ? length : 0;
}
#else
#include "zstd.h"
static size_t pack(void *to, size_t room, const void *from, size_t size) { return ZSTD_compress(to, room, from, size, 6); }
static size_t unpack(void *to, size_t room, const void *from, size_t size) { return ZSTD_decompress(to, room, from, size); }
#endif

enum { SIZE = 1 << 20, ROOM = SIZE + SIZE / 8 + 1024 };
static char text[SIZE], packed[ROOM], back[SIZE];

static void make_text(uint32_t seed) {
    static const char *const WORDS[] = {"time", "travel", "record", "replay", "module", "memory", "frame", "tick",
                                        "guest", "host", "trace", "page", "freeze", "thaw", "call", "loop"};
    size_t length = 0;
    while (length < SIZE - 16) {
        seed = seed * 1664525u + 1013904223u;
        length += (size_t)snprintf(text + length, 16, seed >> 31 ? "%s " : "%s%u ", WORDS[seed >> 20 & 15], seed >> 24 & 63);
    }
    memset(text + length, '.', SIZE - length);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    size_t total = 0;
    make_text(1);
    for (int round = 0; round < rounds; round++) {
        text[round % SIZE] ^= 1;
        size_t size = pack(packed, ROOM, text, SIZE);
        if (unpack(back, SIZE, packed, size) != SIZE || memcmp(text, back, SIZE) != 0) {
            fprintf(stderr, "what came back is not what went in\n");
            return 1;
        }
        total += size;
    }
    printf("compress %zu\n", total);
    return 0;
}
