/* Fills a screen, and says two sentences with long thoughts in the middle of each and behind it. argv: seconds of a
   thought. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static volatile unsigned thoughts;

static void think(double duration) {
    double end = seconds() + duration;
    while (seconds() < end)
        for (int i = 0; i < 10000; i++)
            thoughts += i;
}

int main(int argc, char **argv) {
    double duration = argc > 1 ? atof(argv[1]) : 0.1;
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 0; i < 60; i++)
        printf("line %d\n", i);
    for (int i = 0; i < 2; i++) {
        printf("sentence %d begins", i);
        think(duration);
        printf(" and ends\n");
        think(duration);
    }
    return 0;
}
