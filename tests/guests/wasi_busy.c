/* Makes many small host calls of many kinds: what native gates are for. argv: a directory, rounds, work per round. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static unsigned char page[512], noise[8];

/* wasi-libc has no clocks of CPU time, but WASI does. */
__attribute__((import_module("wasi_snapshot_preview1"), import_name("clock_time_get")))
int clock_time_get(int id, unsigned long long precision, unsigned long long *time);

static unsigned work(unsigned seed, int amount) {
    for (int i = 0; i < amount; i++)
        seed = seed * 1103515245u + 12345u + page[i % sizeof page];
    return seed;
}

int main(int argc, char **argv) {
    const char *root = argc > 1 ? argv[1] : ".";
    int rounds = argc > 2 ? atoi(argv[2]) : 50;
    int amount = argc > 3 ? atoi(argv[3]) : 10;
    unsigned seed = 1;
    char path[256];
    struct stat status;
    struct timespec now;
    unsigned long long cpu;

    snprintf(path, sizeof path, "%s/busy.data", root);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (fd < 0)
        return 2;
    for (int round = 0; round < rounds; round++) {
        off_t where = (off_t)(seed >> 8) % 64 * sizeof page;
        pread(fd, page, sizeof page, where);
        page[round % sizeof page] ^= (unsigned char)seed;
        seed = work(seed, amount);
        pwrite(fd, page, 64 + seed % 448, where);
        lseek(fd, where, SEEK_SET);
        if (read(fd, page, 100) < 0)
            return 3;
        fstat(fd, &status);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (round % 8 == 0) {
            clock_time_get(2, 1, &cpu);
            getentropy(noise, sizeof noise);
            stat("missing", &status);
        }
    }
    close(fd);
    unlink(path);
    return (int)(seed % 50);
}
