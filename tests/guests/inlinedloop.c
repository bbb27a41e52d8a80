/* A loop that begins with the first line of an inlined function. Compile with -O1 or -O2. */
volatile int left;

static inline __attribute__((always_inline)) int drain(void) {
    int count = 0;
    do {
        count += left; /* @body */
        left = left - 1; /* @less */
    } while (left > 0); /* @while */
    return count;
}

int main(int argc, char **argv) {
    (void)argv;
    left = argc + 2; /* @fill */
    int total = drain(); /* @drain */
    left = total * 2; /* @keep */
    return left == 0;
}
