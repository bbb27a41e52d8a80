/* malloc and free: binary trees that are built, walked and torn down, beside a buffer that grows. Argument: rounds. */
#include <stdio.h>
#include <stdlib.h>

struct tree {
    struct tree *left, *right;
};

static struct tree *grow(int depth) {
    struct tree *tree = malloc(sizeof *tree);
    if (tree == NULL)
        abort();
    tree->left = depth > 0 ? grow(depth - 1) : NULL;
    tree->right = depth > 0 ? grow(depth - 1) : NULL;
    return tree;
}

static unsigned fell(struct tree *tree) {
    unsigned count = 1 + (tree->left ? fell(tree->left) + fell(tree->right) : 0);
    free(tree);
    return count;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    unsigned count = 0;
    char *buffer = NULL;
    for (int round = 0; round < rounds; round++) {
        for (int depth = 4; depth <= 14; depth += 2)
            count += fell(grow(depth));
        buffer = realloc(buffer, 1000 + (size_t)round * 100);
        if (buffer == NULL)
            abort();
        buffer[round] = (char)count;
    }
    printf("allocation %u %d\n", count, buffer[rounds - 1]);
    return 0;
}
