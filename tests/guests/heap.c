/* Memory of every kind: initialised, zeroed and constant data, the stack, and a heap with a leak and a use after free. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    int value;
    struct node *next;
};

int numbers[6] = {11, 22, 33, 44, 55, 66};
const char greeting[] = "needle in a haystack";
static char buffer[64];
struct node *list;

static struct node *push(struct node *next, int value) {
    struct node *fresh = malloc(sizeof *fresh); /* @malloc */
    fresh->value = value;
    fresh->next = next;
    return fresh; /* @pushed */
}

static int sum(const struct node *first) {
    int total = 0;
    for (const struct node *node = first; node; node = node->next)
        total += node->value; /* @sum */
    return total;
}

static void fill(char *text, int count) {
    char local[32];
    int16_t small = 7;
    memset(local, 'a', sizeof local);
    memcpy(text, local, (size_t)count); /* @fill */
    text[count] = (char)small;
}

int main(void) {
    for (int i = 0; i < 4; i++)
        list = push(list, numbers[i]);
    fill(buffer, 20);
    char *grown = calloc(4, 25); /* @calloc */
    grown = realloc(grown, 5000); /* @realloc */
    strcpy(grown, greeting); /* @grown */
    struct node *stale = list->next;
    free(stale); /* @free */
    stale = list;
    list = list->next;
    printf("%d %s %s\n", sum(stale), buffer, grown); /* @print */
    free(grown);
    return 0; /* @end */
}
