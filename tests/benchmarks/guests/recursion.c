/* Calls and hardly anything else: a Fibonacci number the slow way, and Ackermann's function, which recurses deeply.
   Argument: rounds. */
#include <stdio.h>
#include <stdlib.h>

static unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static unsigned ackermann(unsigned m, unsigned n) {
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    unsigned sum = 0;
    for (int round = 0; round < rounds; round++)
        sum += fib(24 + round % 2) + ackermann(2, 100);
    printf("recursion %u\n", sum);
    return 0;
}
