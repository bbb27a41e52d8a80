/* One of every kind of C type, for the printer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum colour { RED, GREEN = 5, BLUE };

typedef uint32_t handle_t;

struct point {
    int x, y;
};

union number {
    uint32_t bits;
    float real;
};

struct node {
    char name[12];
    enum colour colour;
    handle_t handle;
    struct point corner[3];
    double weight;
    unsigned flags : 3;
    unsigned kind : 5;
    struct node *next;
    int (*compare)(const struct node *, const struct node *);
    union number number;
    const char *label;
};

static int by_weight(const struct node *a, const struct node *b) {
    return (a->weight > b->weight) - (a->weight < b->weight);
}

struct node *head;
static int64_t counter = -7;
char banner[] = "time travel";

static struct node *push(const char *name, enum colour colour, double weight) {
    struct node *node = calloc(1, sizeof *node);
    strncpy(node->name, name, sizeof node->name - 1);
    node->colour = colour;
    node->handle = 0xC0FFEEu + (uint32_t)counter;
    for (int i = 0; i < 3; i++)
        node->corner[i] = (struct point){i, -i};
    node->weight = weight;
    node->flags = 5;
    node->kind = 17;
    node->compare = by_weight;
    node->number.real = 1.5f;
    node->label = name;
    node->next = head;
    head = node; /* @push */
    counter++;
    return node; /* @pushed */
}

int main(void) {
    int numbers[4] = {1, 2, 3, 4};
    int *middle = &numbers[2];
    struct point where = {3, -4};
    _Bool truth = 1;
    char letter = 'q';
    unsigned char byte = 200;
    short small = -3;
    float ratio = 0.25f;
    struct node *a = push("alpha", RED, 2.5);
    struct node *b = push("beta", BLUE, -1.0);
    int order = a->compare(a, b); /* @ready */
    printf("%s %d %d %d %d %c %d %d %g %s\n", head->name, order, *middle, where.y, truth, letter, byte, small, ratio,
           banner);
    return 0; /* @end */
}
