/* A loop with something to ask in every round: a local and a member behind a pointer. Argument: the number of rounds. */
#include <stdio.h>
#include <stdlib.h>

struct list {
    int count;
    struct list *next;
};

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    struct list end = {5, 0};
    struct list *list = &end;
    unsigned sum = 0;
    for (int i = 0; i < rounds; i++)
        sum += list->count ^ i; /* @here */
    printf("conditions %08x\n", sum);
    return 0;
}
