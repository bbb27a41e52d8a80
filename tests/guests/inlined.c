/* Divides by zero in a function that is inlined into one that is inlined, at every level of optimisation. */
static inline __attribute__((always_inline)) int ratio(int sum, int count) {
    return sum / count; // @ratio
}

static inline __attribute__((always_inline)) int average(const int *items, int count) {
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += items[i];       // @sum
    return ratio(sum, count);  // @average
}

__attribute__((noinline)) int report(const int *items, int count) {
    return average(items, count) + 1;  // @report
}

int main(int argc, char **argv) {
    int items[] = {3, argc, 5};
    return report(items, argc - 1);  // @main
}
