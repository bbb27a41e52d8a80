#include <stdio.h>

int main(int argc, char **argv) {
    printf("hello from %s, %d arguments\n", argv[0], argc); /* @print */
    return argc > 1 ? 3 : 0;
}
