/* Nested loops over a global array: something to step, to break in, and to watch. */
#include <stdio.h>

#define ROWS 6
#define COLUMNS 5

int grid[ROWS][COLUMNS];
int checksum;

static int cell(int row, int column) {
    int value = row * 10 + column; /* @cell */
    return value;
}

static void fill(void) {
    for (int row = 0; row < ROWS; row++) /* @rows */
        for (int column = 0; column < COLUMNS; column++)
            grid[row][column] = cell(row, column); /* @store */
}

static int sum(void) {
    int total = 0;
    for (int row = 0; row < ROWS; row++) {
        int line = 0;
        for (int column = 0; column < COLUMNS; column++)
            line += grid[row][column]; /* @add */
        total += line;
        checksum = checksum * 31 + line; /* @checksum */
    }
    return total; /* @total */
}

int main(void) {
    fill(); /* @fill */
    int total = sum(); /* @sum */
    printf("total %d, checksum %d\n", total, checksum); /* @print */
    return 0;
}
