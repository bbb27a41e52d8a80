/* Ends in a trap, three calls deep, after printing something. */
#include <stdio.h>
#include <stdlib.h>

struct item {
    int value;
    int divisor;
};

static int divide(const struct item *item) {
    return item->value / item->divisor; /* @trap */
}

static int process(struct item *items, int count) {
    int total = 0;
    for (int i = 0; i < count; i++)
        total += divide(&items[i]); /* @call */
    return total;
}

int main(void) {
    struct item items[4] = {{10, 2}, {9, 3}, {8, 4}, {7, 1}};
    items[2].divisor = 0; /* @cause */
    puts("dividing");
    return process(items, 4); /* @process */
}
