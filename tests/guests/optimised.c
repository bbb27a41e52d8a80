/* Traps where optimised code has forgotten what it was called with. Compile with -O2. */
int sum;

__attribute__((noinline)) static int add_up(int count, int limit) {
    for (int i = 0; i < count; i++)
        sum += i;
    if (sum > limit)
        __builtin_trap();
    return count;
}

__attribute__((noinline)) static int twice(int number, const char *name) {
    sum = name[0] == 'x';
    return add_up(number * 2, 10) + 1; /* number and name are of no use any more */
}

int main(int argc, char **argv) {
    return twice(argc + 7, argv[0]);
}
