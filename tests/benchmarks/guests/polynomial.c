/* The tightest of float loops: one chain of multiplications and additions, held in registers. This is where making NaNs
   canonical after every operation hurts most. Argument: millions of rounds. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    long rounds = 1000000L * (argc > 1 ? atoi(argv[1]) : 1);
    double x = 0.3, sum = 0;
    for (long i = 0; i < rounds; i++) {
        x = 3.9 * x * (1 - x);
        sum += ((x * 0.5 + 0.25) * x - 0.125) * x;
    }
    printf("polynomial %.12g\n", sum);
    return 0;
}
