/* Many small writes and reads, beside some work of its own: lines to standard output and random numbers. Argument:
   thousands of rounds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long rounds = 1000L * (argc > 1 ? atoi(argv[1]) : 1);
    uint32_t sum = 0;
    char line[64];
    for (long i = 0; i < rounds; i++) {
        uint32_t noise;
        if (getentropy(&noise, sizeof noise) != 0)
            abort();
        for (int j = 0; j < 500; j++)
            sum = sum * 31 + (noise ^ (uint32_t)j);
        int length = snprintf(line, sizeof line, "%ld\n", i);
        if (write(STDOUT_FILENO, line, (size_t)length) != length)
            abort();
    }
    printf("output %d\n", sum != 1);
    return 0;
}
