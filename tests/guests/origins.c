/* Values on their way: entered, computed, and copied in every manner that C has. Reads 16 bytes from stdin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define APART static __attribute__((noinline))

struct parcel {
    int id;
    unsigned char kind;
    short height;
    long long weight;
};

struct shelf {
    struct parcel *parcels;
    int count, room;
};

char incoming[16];
struct parcel received, kept, initial = {7, 'i', 3, 70}; /* @initial */
struct shelf shelf;
int product, chosen, narrow, wide_low;
long long wide;
double real;
unsigned char byte;

APART int multiply(int a, int b) {
    return a * b; /* @computed */
}

APART int through(int value) {
    return value; /* @through */
}

APART void store(int *place, int value) {
    *place = value; /* @stored */
}

APART void put(struct shelf *into, const struct parcel *parcel) {
    if (into->count == into->room) {
        into->room += 2;
        into->parcels = realloc(into->parcels, into->room * sizeof *parcel); /* @realloc */
    }
    into->parcels[into->count++] = *parcel; /* @put */
}

APART void bytewise(void *to, const void *from, int count) {
    volatile char *target = to;
    const char *source = from;
    for (int i = 0; i < count; i++)
        target[i] = source[i]; /* @bytewise */
}

int main(int argc, char **argv) {
    if (read(0, incoming, sizeof incoming) < 0) /* @read */
        return 1;
    memcpy(&received, incoming, sizeof received); /* @memcpy */
    kept = received;                              /* @assigned */
    for (int i = 0; i < 5; i++)
        put(&shelf, &kept); /* @puts */
    int factor = multiply(argc, 21); /* @factor */
    int passed = through(factor);    /* @passed */
    store(&product, passed);         /* @product */
    chosen = argc > 5 ? 1000 : product; /* @chosen */
    wide = chosen;                      /* @wide */
    real = wide;                        /* @real */
    narrow = (int)wide;                 /* @narrow */
    byte = kept.kind;                   /* @byte */
    bytewise(&wide_low, &narrow, 4);    /* @bytes */
    printf("%d %d %lld %g %d %d %d\n", shelf.parcels[0].id, product, wide, real, narrow, byte, wide_low); /* @print */
    return initial.id - 7; /* @end */
}
