/* The most frequent of host calls, and nothing else: clock_time_get in a loop. Argument: thousands of calls. */
#include <stdio.h>
#include <stdlib.h>
#include <wasi/api.h>

int main(int argc, char **argv) {
    long rounds = 1000L * (argc > 1 ? atoi(argv[1]) : 1);
    __wasi_timestamp_t now = 0, last = 0;
    long backward = 0;
    for (long i = 0; i < rounds; i++) {
        if (__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now) != 0)
            abort();
        backward += now < last;
        last = now;
    }
    printf("clock %ld\n", backward);
    return 0;
}
