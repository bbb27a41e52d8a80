/* Functions that optimisation puts into their callers, two deep and in loops. Compile with -O1 or -O2. */

#define INLINED static inline __attribute__((always_inline))
#define APART static __attribute__((noinline))

struct pair { int x, y; };

volatile int seen;

APART int leaf(int n) {
    seen = n; /* @leaf */
    return n + 1; /* @leaf-end */
}

INLINED int square(int n) {
    int result = leaf(n) * n; /* @square */
    return result;
}

INLINED int norm(struct pair p) {
    int first = square(p.x); /* @first */
    int second = square(p.y); /* @second */
    return first + second; /* @sum */
}

APART int work(int count) {
    int sum = 0;
    for (int i = 0; i < count; i++) { /* @loop */
        struct pair q = {i, count - i};
        sum += norm(q); /* @norm */
        seen = sum; /* @print */
    }
    return sum; /* @return */
}

INLINED int once(int n) {
    seen = n; /* @once */
    seen = n + 1; /* @twice */
    return seen;
}

APART int flat(int n) {
    int before = seen; /* @before */
    int got = once(n + before); /* @call-once */
    seen = got * 2; /* @after */
    return got;
}

int main(int argc, char **argv) {
    (void)argv;
    int total = work(argc + 3); /* @work */
    total += flat(argc + 5); /* @flat */
    seen = total; /* @total */
    return 0;
}
