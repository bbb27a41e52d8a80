/* All four clocks of WASI; exits with how many of them stand still or do not exist. */
#include <stdio.h>
#include <wasi/api.h>

static int check(const char *name, __wasi_clockid_t clock) {
    __wasi_timestamp_t first, now, resolution;
    volatile int spin = 0;
    if (__wasi_clock_res_get(clock, &resolution) != 0 || __wasi_clock_time_get(clock, 1, &first) != 0)
        return 1;
    for (int rounds = 0; rounds < 1000; rounds++) {
        for (int i = 0; i < 200; i++)
            spin += i;
        __wasi_clock_time_get(clock, 1, &now);
        if (now > first) {
            printf("%s runs\n", name);
            return 0;
        }
    }
    return 1;
}

int main(void) {
    return check("realtime", __WASI_CLOCKID_REALTIME) + check("monotonic", __WASI_CLOCKID_MONOTONIC) +
           check("process", __WASI_CLOCKID_PROCESS_CPUTIME_ID) + check("thread", __WASI_CLOCKID_THREAD_CPUTIME_ID);
}
