/* Tail calls: the frames of those who make them are gone. Compile with -mtail-call. */
#define APART static __attribute__((noinline))
#define TAIL __attribute__((musttail)) return

volatile int seen;

APART int last(int n) {
    seen = n; /* @last */
    return n + 1;
}

APART int middle(int n) {
    seen = n + 100;
    TAIL last(n * 2); /* @middle */
}

APART int first(int n) {
    seen = n + 200;
    TAIL middle(n + 1); /* @first */
}

APART int pong(int n);

APART int ping(int n) {
    if (n > 3)
        TAIL last(n);
    TAIL pong(n + 1);
}

APART int pong(int n) {
    seen = n;
    TAIL ping(n + 1);
}

APART int left(int n) { TAIL last(n + 1); }

APART int right(int n) { TAIL last(n + 2); }

APART int either(int n) {
    if (seen > n)
        TAIL left(n);
    TAIL right(n);
}

typedef int unary(int);

APART int hidden(int n) { TAIL first(n); }

unary *volatile pointer = hidden;

int main(int argc, char **argv) {
    (void)argv;
    int sum = last(argc); /* @plain */
    sum += first(argc); /* @chain */
    sum += ping(argc); /* @round */
    sum += either(argc); /* @either */
    sum += pointer(argc); /* @pointer */
    return sum == 0;
}
