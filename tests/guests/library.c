/* A library without main: its exports are called from outside. */

struct node {
    int value;
    struct node *next;
};

static struct node nodes[3] = {{1, &nodes[1]}, {2, &nodes[2]}, {3, 0}};

__attribute__((export_name("scale"))) int scale(int factor) {
    int count = 0;
    struct node *n = nodes;
    for (; n; n = n->next) {    /* @list */
        n->value *= factor;     /* @body */
        count++;
    }
    return count; /* @scaled */
}

static inline __attribute__((always_inline)) int doubled(int n) { return n + n; }

__attribute__((export_name("add"))) int add(int a, int b) {
    int sum = a; /* @add */
    sum += doubled(b) - b;
    return sum; /* @added */
}
