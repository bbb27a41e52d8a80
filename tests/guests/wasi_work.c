/* Works for a while on changing memory, with some output: enough for slices and snapshots. */
#include <stdio.h>
#include <stdlib.h>

static unsigned char buffer[1 << 18];

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 40;
    unsigned sum = 0;
    for (int round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < 2000; i++) {
            buffer[(round * 7919 + i * 17) % sizeof buffer] += i;
            sum += buffer[i * 31 % sizeof buffer];
        }
        if (round % 10 == 0)
            printf("%d %u\n", round, sum);
    }
    return sum % 50;
}
