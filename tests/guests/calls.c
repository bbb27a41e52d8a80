/* Calls of every kind: recursion, mutual recursion, through pointers, deep, and without any tick of their own. */
#include <stdio.h>

static int leaf(int a, int b) {
    int sum = a + b; /* @leaf */
    return sum;
}

static int factorial(int n) {
    if (n <= 1)
        return 1; /* @base */
    int smaller = factorial(n - 1); /* @recurse */
    return n * smaller; /* @multiply */
}

static int is_odd(int n);

static int is_even(int n) {
    return n == 0 ? 1 : is_odd(n - 1);
}

static int is_odd(int n) {
    return n == 0 ? 0 : is_even(n - 1);
}

static int apply(int (*function)(int, int), int a, int b) {
    return function(a, b); /* @indirect */
}

static int multiply(int a, int b) {
    return a * b; /* @product */
}

int main(void) {
    int first = leaf(1, 2); /* @first */
    int second = factorial(6); /* @second */
    int third = is_even(10) + apply(leaf, 3, 4) + apply(multiply, 5, 6); /* @third */
    printf("%d %d %d\n", first, second, third); /* @print */
    return 0;
}
