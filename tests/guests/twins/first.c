/* Its copy of shared() is the one in the program, as it comes first. */
#define SMALL
#include "twins.h"

volatile int shared_seen;

int other(int value);

int main(void) {
    return shared(20) + other(1) == 42 ? 0 : 1; /* @main */
}
